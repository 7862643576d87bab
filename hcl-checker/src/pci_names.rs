//! Names of PCI vendors, devices and classes, by the public database of PCI ids.
//!
//! A sorted table of bytes needs no work at the start of the program and a look-up some fifteen comparisons: the largest
//! vendor has thousands of devices, and a fleet asks for millions of names.

use crate::hex;

/// Records as `build.rs` writes them: eight characters of key, then where the name begins, little-endian.
const KEYS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/name-keys"));
/// The names in the order of the keys.
const NAMES: &str = include_str!(concat!(env!("OUT_DIR"), "/names"));

/// Characters of a key.
const KEY: usize = 8;

/// Maker of a chip or of a card.
pub(crate) fn vendor(vendor: u16) -> Option<&'static str> {
    let [a, b, c, d] = hex::digits(vendor);
    find([a, b, c, d, b' ', b' ', b' ', b' '])
}

/// A chip.
pub(crate) fn device(vendor: u16, device: u16) -> Option<&'static str> {
    let ([a, b, c, d], [e, f, g, h]) = (hex::digits(vendor), hex::digits(device));
    find([a, b, c, d, e, f, g, h])
}

/// What a device is for; by the class alone where the subclass has no name.
pub(crate) fn class(base: u8, subclass: u8) -> Option<&'static str> {
    let [a, b, c, d] = hex::digits(u16::from_be_bytes([base, subclass]));
    find([b'C', a, b, c, d, b' ', b' ', b' '])
        .or_else(|| find([b'C', a, b, b' ', b' ', b' ', b' ', b' ']))
}

/// The name of a key. As a big-endian number a key is before another one where it is so as text.
fn find(key: [u8; KEY]) -> Option<&'static str> {
    let (records, _) = KEYS.as_chunks::<{ KEY + 4 }>();
    let number = |record: &[u8; KEY + 4]| record.first_chunk().map(|key| u64::from_be_bytes(*key));
    let wanted = Some(u64::from_be_bytes(key));
    let found = records.binary_search_by(|record| number(record).cmp(&wanted));
    let begin = |number: usize| {
        let bytes = records.get(number)?.last_chunk()?;
        Some(u32::from_le_bytes(*bytes) as usize)
    };
    let number = found.ok()?;
    NAMES.get(begin(number)?..begin(number + 1).unwrap_or(NAMES.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_database() {
        assert_eq!(vendor(0x8086), Some("Intel Corporation"));
        assert_eq!(
            device(0x8086, 0x10d3),
            Some("82574L Gigabit Network Connection")
        );
        assert_eq!(class(2, 0), Some("Ethernet controller"));
        assert_eq!(
            class(2, 0xee),
            Some("Network controller"),
            "the class stands for a subclass without a name"
        );
        assert_eq!(device(0x8086, 0xfffe), None);
        assert_eq!((vendor(0xfff0), class(0xfe, 0)), (None, None));
    }

    /// The file itself says the same about each device: the first, the last and all between.
    #[test]
    fn every_name_is_found() {
        let text = include_str!("../pci.ids");
        let number = |digits: &str| u16::from_str_radix(digits, 16).ok();
        let (mut maker, mut count) = (0, 0);
        for line in text.lines().take_while(|line| !line.starts_with("C ")) {
            let Some((id, name)) = line.split_once("  ") else {
                continue;
            };
            match (id.strip_prefix('\t').and_then(number), number(id)) {
                (Some(id), _) => assert_eq!(device(maker, id), Some(name), "{line}"),
                (None, Some(id)) => {
                    maker = id;
                    assert_eq!(vendor(id), Some(name), "{line}");
                }
                (None, None) => continue,
            }
            count += 1;
        }
        assert!(count > 20_000);
    }
}
