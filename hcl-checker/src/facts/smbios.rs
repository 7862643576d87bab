//! The SMBIOS table, as far as sockets are counted by it.
//!
//! Source: DMTF DSP0134, "System Management BIOS Reference Specification", 6.1 (structure header) and 7.5 (type 4).

use crate::known::Known;
use crate::root::Root;

/// The raw structures, readable by root only.
pub(super) const TABLE: &str = "/sys/firmware/dmi/tables/DMI";
/// Tables of big servers have 20 KB; the 16-bit length of SMBIOS 2 allows 64 KB, SMBIOS 3 more.
const LIMIT: usize = 1 << 20;

const PROCESSOR: u8 = 4;
const END: u8 = 127;
/// Offset of the processor's type within its structure, and the value for a central processor.
const PROCESSOR_TYPE: (usize, u8) = (0x05, 3);
/// Offset of the processor's status: bit 6 populated, bits 0 to 2 are 1 when enabled.
const PROCESSOR_STATUS: usize = 0x18;

/// Sockets that hold an enabled central processor.
pub(super) fn populated_sockets(root: &Root) -> Known<u32> {
    match root.bytes(TABLE, LIMIT) {
        Ok(table) => count_sockets(&table),
        Err(error) => Known::unknown(error.to_string()),
    }
}

fn count_sockets(table: &[u8]) -> Known<u32> {
    let mut processors = 0;
    let mut sockets = 0;
    for structure in (Structures { rest: table }) {
        if structure.first() != Some(&PROCESSOR)
            || structure.get(PROCESSOR_TYPE.0) != Some(&PROCESSOR_TYPE.1)
        {
            continue;
        }
        let Some(status) = structure.get(PROCESSOR_STATUS) else {
            continue;
        };
        processors += 1;
        sockets += u32::from(status & 0x40 != 0 && status & 7 == 1);
    }
    if processors == 0 {
        Known::unknown(format!("{TABLE}: describes no processor"))
    } else {
        Known::Value(sockets)
    }
}

/// The formatted parts of the structures, up to the end marker or the first one that makes no sense.
struct Structures<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Structures<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(*self.rest.get(1)?);
        if length < 4 || self.rest[0] == END {
            return None;
        }
        let (formatted, behind) = self.rest.split_at_checked(length)?;
        // The strings end with an empty one.
        let strings = behind.windows(2).position(|pair| pair == [0, 0])?;
        self.rest = &behind[strings + 2..];
        Some(formatted)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A type 4 structure with one string.
    pub(crate) fn processor(kind: u8, status: u8) -> Vec<u8> {
        let mut structure = vec![0; 0x1a];
        structure[..4].copy_from_slice(&[PROCESSOR, 0x1a, 0, 0]);
        structure[PROCESSOR_TYPE.0] = kind;
        structure[PROCESSOR_STATUS] = status;
        structure.extend(b"CPU 1\0\0");
        structure
    }

    #[test]
    fn counts_populated_and_enabled_central_processors() {
        let other = [1, 5, 0, 0, 9, 0, 0];
        let end = [END, 4, 0, 0, 0, 0];
        let table = [
            &other[..],
            &processor(3, 0x41),
            &processor(3, 0x41),
            &processor(3, 0),
            &processor(3, 0x44),
            &end,
        ]
        .concat();
        assert_eq!(count_sockets(&table), Known::Value(2));
        // A mathematics coprocessor is no socket; what follows the end marker is no structure.
        let table = [
            &processor(4, 0x41)[..],
            &processor(3, 0x41),
            &end,
            &processor(3, 0x41),
        ]
        .concat();
        assert_eq!(count_sockets(&table), Known::Value(1));
    }

    #[test]
    fn an_empty_table_is_unknown() {
        assert!(count_sockets(&[]).is_unknown());
        assert!(count_sockets(&[4, 0, 0, 0]).is_unknown());
    }

    proptest! {
        #[test]
        fn never_panics(table in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = count_sockets(&table);
        }

        #[test]
        fn cut_tables_never_panic(cut in 0usize..60) {
            let table = [processor(3, 0x41), processor(3, 0x41)].concat();
            let _ = count_sockets(&table[..cut.min(table.len())]);
        }
    }
}
