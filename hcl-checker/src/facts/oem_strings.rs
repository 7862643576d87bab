//! Strings that the owner of a machine leaves in its SMBIOS table, by the management controller, the setup of the firmware or the
//! definition of a virtual machine: OEM strings, structures of type 11 (DMTF DSP0134, 7.12).
//!
//! They are no facts about hardware, and may hold secrets: they are in no [`super::Facts`].

use super::smbios::Structures;

/// Where the kernel shows the table, to root only.
pub const SMBIOS_TABLE: &str = super::smbios::TABLE;

const OEM_STRINGS: u8 = 11;
/// Offset of the number of strings.
const COUNT: usize = 4;

/// The OEM strings of a table, in their order and as they are: any bytes but 0.
pub fn oem_strings(table: &[u8]) -> Vec<Vec<u8>> {
    Structures::of(table)
        .filter(|structure| structure.kind() == OEM_STRINGS)
        .flat_map(|structure| {
            let count = usize::from(structure.byte(COUNT).unwrap_or_default());
            structure.strings().take(count).map(<[u8]>::to_vec)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::smbios::tests::{LAST, structure};
    use super::*;
    use proptest::prelude::*;

    fn table(strings: &[&str]) -> Vec<u8> {
        let count = [u8::try_from(strings.len()).unwrap()];
        structure(OEM_STRINGS, 5, &[(COUNT, &count)], strings)
    }

    #[test]
    fn all_structures_of_the_type_are_read_and_no_other() {
        let long = "x".repeat(65_535);
        let bytes = [
            structure(1, 8, &[(4, &[1])], &["no OEM string"]),
            table(&["first", "second\nline"]),
            table(&[]),
            table(&[&long]),
            LAST.to_vec(),
            table(&["behind the end"]),
        ]
        .concat();
        let expected = [&b"first"[..], b"second\nline", long.as_bytes()];
        assert_eq!(oem_strings(&bytes), expected);
    }

    #[test]
    fn strings_that_are_not_counted_are_none() {
        let bytes = structure(OEM_STRINGS, 5, &[(COUNT, &[1])], &["first", "second"]);
        assert_eq!(oem_strings(&bytes), [b"first"]);
        // More than there are.
        let bytes = structure(OEM_STRINGS, 5, &[(COUNT, &[9])], &["first"]);
        assert_eq!(oem_strings(&bytes), [b"first"]);
        // Too short to have a number.
        let bytes = structure(OEM_STRINGS, 4, &[], &["first"]);
        assert!(oem_strings(&bytes).is_empty());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(prop_oneof![Just(0u8), Just(11), Just(5), any::<u8>()], 0..200)) {
            let _ = oem_strings(&bytes);
        }
    }
}
