//! Drivers that claim a PCI device by vendor and device alone, which four of five patterns of a kernel do. As numbers they
//! are read and found without a pattern being written out, sorted or matched for each.

use crate::modalias::matches;

/// What such a pattern says of the rest of a modalias: nothing.
pub(super) const REST: &str = "sv*sd*bc*sc*i*";

/// Drivers by the vendor and device that they claim.
#[derive(Debug, Clone, Default)]
pub(super) struct DriversByIds {
    /// Vendor and device above, the number of the driver below, sorted. Pairs take twice as long to sort.
    claims: Vec<u64>,
}

impl DriversByIds {
    /// Claims of vendor and device (see [`ids`]) by the number of a driver, in any order.
    pub(super) fn new(claims: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let claims = claims.into_iter();
        let mut claims: Vec<u64> = claims
            .map(|(ids, driver)| u64::from(ids) << 32 | u64::from(driver))
            .collect();
        // Those of each driver are in order already, which this way of sorting makes use of.
        claims.sort();
        Self { claims }
    }

    /// Numbers of the drivers that claim `modalias`, ascending.
    pub(super) fn lookup(&self, modalias: &str) -> impl Iterator<Item = u32> {
        let wanted = ids_of_modalias(modalias).map(u64::from);
        let start = wanted.map_or(self.claims.len(), |wanted| {
            self.claims.partition_point(|claim| claim >> 32 < wanted)
        });
        self.claims[start..]
            .iter()
            .take_while(move |&claim| Some(claim >> 32) == wanted)
            .map(|&claim| claim as u32)
    }
}

/// `8086:10d3` as one number, the vendor above.
pub(super) fn ids(word: &str) -> Option<u32> {
    let (vendor, device) = word.split_once(':')?;
    Some(four_digits(vendor)? << 16 | four_digits(device)?)
}

/// Vendor and device of `pci:v00008086d000010D3sv...`, where both have 16 bits. The kernel writes digits above 9 in capitals.
fn ids_of_modalias(modalias: &str) -> Option<u32> {
    let (vendor, rest) = modalias.strip_prefix("pci:v0000")?.split_at_checked(4)?;
    let (device, rest) = rest.strip_prefix("d0000")?.split_at_checked(4)?;
    let small = |text: &str| text.bytes().any(|byte| byte.is_ascii_lowercase());
    if small(vendor) || small(device) || !matches(REST, rest) {
        return None;
    }
    Some(four_digits(vendor)? << 16 | four_digits(device)?)
}

/// Exactly four hexadecimal digits.
fn four_digits(text: &str) -> Option<u32> {
    let bytes: &[u8; 4] = text.as_bytes().try_into().ok()?;
    bytes.iter().try_fold(0, |number, &byte| {
        Some(number << 4 | char::from(byte).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modalias::AliasIndex;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_pair_of_numbers() {
        assert_eq!(ids("8086:10d3"), Some(0x8086_10d3));
        for word in [
            "8086:10d",
            "8086",
            ":",
            "+086:10d3",
            "8086:10dg",
            "808610d3:",
        ] {
            assert_eq!(ids(word), None, "{word}");
        }
    }

    proptest! {
        /// The numbers find exactly what the patterns that they stand for find.
        #[test]
        fn equals_the_patterns(
            claims in proptest::collection::vec((0x80_u32..0x83, 0x10_u32..0x13), 0..12),
            wanted in "pci:v0000008[0-2a]d0000001[0-2]s?v[0-9F]{0,3}sd0bc0[0-1]?sc0?i0?",
        ) {
            let text: String = claims
                .iter()
                .enumerate()
                .map(|(n, (vendor, device))| format!("alias pci:v{vendor:08X}d{device:08X}{REST} m{n:02}\n"))
                .collect();
            let patterns = AliasIndex::parse(&text, b"");
            let numbers = claims.iter().enumerate().map(|(n, (vendor, device))| (vendor << 16 | device, n as u32));
            let by_ids = DriversByIds::new(numbers);
            let found: Vec<String> = by_ids.lookup(&wanted).map(|n| format!("m{n:02}")).collect();
            prop_assert_eq!(found, patterns.modules(&wanted));
        }
    }
}
