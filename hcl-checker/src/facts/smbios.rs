//! The SMBIOS table: its structures and their strings.
//!
//! Source: DMTF DSP0134, "System Management BIOS Reference Specification", 5.2 (entry point), 6.1 (structures). What
//! firmware writes is not trusted: a structure that makes no sense ends the table, and a field that is not there is not
//! known.

use crate::known::Known;
use crate::root::{Root, clean};

/// The raw structures, readable by root only.
pub(super) const TABLE: &str = "/sys/firmware/dmi/tables/DMI";
const ENTRY_POINT: &str = "/sys/firmware/dmi/tables/smbios_entry_point";
/// Tables of big servers have 20 KB; the 16-bit length of SMBIOS 2 allows 64 KB, SMBIOS 3 more.
const LIMIT: usize = 1 << 20;
/// Structures of one kind that are looked at. The biggest machines have some hundred memory devices.
pub(super) const STRUCTURES: usize = 4096;

const PROCESSOR: u8 = 4;
const END: u8 = 127;
/// Offset of the processor's type within its structure, and the value for a central processor.
const PROCESSOR_TYPE: (usize, u8) = (0x05, 3);
/// Offset of the processor's status: bit 6 populated, bits 0 to 2 are 1 when enabled.
const PROCESSOR_STATUS: usize = 0x18;

/// The structures of a machine.
#[derive(Debug, Clone)]
pub(super) struct Table {
    bytes: Known<Vec<u8>>,
}

impl Table {
    /// Reads it once for all that stands in it.
    pub(super) fn read(root: &Root) -> Self {
        Self {
            bytes: root.bytes(TABLE, LIMIT).into(),
        }
    }

    #[cfg(test)]
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Self {
            bytes: Known::Value(bytes),
        }
    }

    /// All structures of one type; unknown where the table is, or holds nothing at all.
    pub(super) fn all(&self, kind: u8) -> Known<Vec<Structure<'_>>> {
        let bytes = match &self.bytes {
            Known::Value(bytes) => bytes,
            Known::Absent => return Known::Absent,
            Known::Unknown(unknown) => return Known::Unknown(unknown.clone()),
        };
        let mut structures = Structures::of(bytes).peekable();
        if structures.peek().is_none() {
            return Known::unknown(format!("{TABLE}: holds no structure"));
        }
        let of_kind = structures.filter(|structure| structure.kind() == kind);
        Known::Value(of_kind.take(STRUCTURES).collect())
    }

    /// Sockets that hold an enabled central processor.
    pub(super) fn populated_sockets(&self) -> Known<u32> {
        self.all(PROCESSOR).and_then(|processors| {
            let statuses: Vec<u8> = processors
                .iter()
                .filter(|processor| processor.byte(PROCESSOR_TYPE.0) == Some(PROCESSOR_TYPE.1))
                .filter_map(|processor| processor.byte(PROCESSOR_STATUS))
                .collect();
            if statuses.is_empty() {
                return Known::unknown(format!("{TABLE}: describes no processor"));
            }
            let in_use = |status: &&u8| **status & 0x40 != 0 && **status & 7 == 1;
            Known::Value(statuses.iter().filter(in_use).count() as u32)
        })
    }
}

/// Version of the specification that the firmware follows, `3.5`.
pub(super) fn version(root: &Root) -> Known<String> {
    match root.bytes(ENTRY_POINT, 256) {
        Ok(bytes) => match parse_version(&bytes) {
            Some(version) => Known::Value(version),
            None => Known::unknown(format!("{ENTRY_POINT}: no entry point of SMBIOS 2 or 3")),
        },
        Err(error) => Known::unknown(error.to_string()),
    }
}

fn parse_version(bytes: &[u8]) -> Option<String> {
    let at = if bytes.starts_with(b"_SM3_") {
        7
    } else if bytes.starts_with(b"_SM_") {
        6
    } else {
        return None;
    };
    Some(format!("{}.{}", bytes.get(at)?, bytes.get(at + 1)?))
}

/// One structure: the formatted part, and the strings behind it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Structure<'a> {
    formatted: &'a [u8],
    strings: &'a [u8],
}

impl<'a> Structure<'a> {
    /// Its type.
    pub(super) fn kind(&self) -> u8 {
        self.formatted[0]
    }

    /// Its strings as they are.
    pub(super) fn strings(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        // Without any, two zeros stand behind the formatted part, and this is empty.
        self.strings
            .split(|&byte| byte == 0)
            .filter(|text| !text.is_empty())
    }

    /// Where a fact of it was read: the table and the handle.
    pub(super) fn source(&self) -> String {
        format!("{TABLE}, handle {:#06x}", self.word(2).unwrap_or_default())
    }

    /// A byte of the formatted part, where it is that long.
    pub(super) fn byte(&self, offset: usize) -> Option<u8> {
        self.formatted.get(offset).copied()
    }

    /// 16 bits.
    pub(super) fn word(&self, offset: usize) -> Option<u16> {
        let bytes = self.formatted.get(offset..)?.first_chunk()?;
        Some(u16::from_le_bytes(*bytes))
    }

    /// 32 bits.
    pub(super) fn double_word(&self, offset: usize) -> Option<u32> {
        let bytes = self.formatted.get(offset..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes))
    }

    /// The string whose number stands at `offset`; number 0 and blanks stand for none.
    pub(super) fn string(&self, offset: usize) -> Known<String> {
        let number = match self.byte(offset) {
            Some(0) => return Known::Absent,
            Some(number) => usize::from(number),
            None => return self.too_short(offset),
        };
        match self.strings.split(|&byte| byte == 0).nth(number - 1) {
            Some(text) => match clean(text, false) {
                text if text.is_empty() => Known::Absent,
                text => Known::Value(text),
            },
            None => Known::unknown(format!("{}: has no string {number}", self.source())),
        }
    }

    /// The firmware follows a version of the specification that does not have the field.
    pub(super) fn too_short<T>(&self, offset: usize) -> Known<T> {
        Known::unknown(format!("{}: ends before offset {offset:#x}", self.source()))
    }
}

/// The structures, up to the end marker or the first one that makes no sense.
pub(super) struct Structures<'a> {
    rest: &'a [u8],
}

impl<'a> Structures<'a> {
    /// Of the bytes of a table.
    pub(super) fn of(table: &'a [u8]) -> Self {
        Structures { rest: table }
    }
}

impl<'a> Iterator for Structures<'a> {
    type Item = Structure<'a>;

    fn next(&mut self) -> Option<Structure<'a>> {
        let length = usize::from(*self.rest.get(1)?);
        if length < 4 || self.rest[0] == END {
            return None;
        }
        let (formatted, behind) = self.rest.split_at_checked(length)?;
        // The strings end with an empty one.
        let end = behind.windows(2).position(|pair| pair == [0, 0])?;
        self.rest = &behind[end + 2..];
        Some(Structure {
            formatted,
            strings: &behind[..end],
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What ends a table.
    pub(crate) const LAST: [u8; 6] = [END, 4, 0xff, 0xfe, 0, 0];

    /// A structure of a length, with fields at offsets and strings.
    pub(crate) fn structure(
        kind: u8,
        length: u8,
        fields: &[(usize, &[u8])],
        strings: &[&str],
    ) -> Vec<u8> {
        let mut bytes = vec![0; usize::from(length)];
        bytes[..4].copy_from_slice(&[kind, length, kind, 0x10]);
        for (offset, field) in fields {
            bytes[*offset..offset + field.len()].copy_from_slice(field);
        }
        for text in strings {
            bytes.extend(text.bytes().chain([0]));
        }
        bytes.extend(if strings.is_empty() {
            &[0, 0][..]
        } else {
            &[0]
        });
        bytes
    }

    fn processor(kind: u8, status: u8) -> Vec<u8> {
        let fields: [(usize, &[u8]); 2] =
            [(PROCESSOR_TYPE.0, &[kind]), (PROCESSOR_STATUS, &[status])];
        structure(PROCESSOR, 0x1a, &fields, &["CPU 1"])
    }

    fn count_sockets(table: &[u8]) -> Known<u32> {
        Table::of(table.to_vec()).populated_sockets()
    }

    #[test]
    fn counts_populated_and_enabled_central_processors() {
        let other = [1, 5, 0, 0, 9, 0, 0];
        let table = [
            &other[..],
            &processor(3, 0x41),
            &processor(3, 0x41),
            &processor(3, 0),
            &processor(3, 0x44),
            &LAST,
        ]
        .concat();
        assert_eq!(count_sockets(&table), Known::Value(2));
        // A mathematics coprocessor is no socket; what follows the end marker is no structure.
        let table = [
            &processor(4, 0x41)[..],
            &processor(3, 0x41),
            &LAST,
            &processor(3, 0x41),
        ]
        .concat();
        assert_eq!(count_sockets(&table), Known::Value(1));
    }

    #[test]
    fn an_empty_table_is_unknown() {
        assert!(count_sockets(&[]).is_unknown());
        assert!(count_sockets(&[4, 0, 0, 0]).is_unknown());
        assert!(count_sockets(&LAST).is_unknown());
    }

    #[test]
    fn strings_by_number() {
        let bytes = structure(
            1,
            8,
            &[(4, &[2, 0, 3, 9])],
            &["first", " second\x1b ", "  "],
        );
        let table = Table::of(bytes);
        let Known::Value(found) = table.all(1) else {
            panic!("no structure")
        };
        assert_eq!(found[0].string(4), Known::Value("second\\x1b".to_owned()));
        assert_eq!(
            (found[0].string(5), found[0].string(6)),
            (Known::Absent, Known::Absent)
        );
        assert!(found[0].string(7).is_unknown(), "there is no ninth string");
        assert!(found[0].string(8).is_unknown(), "the structure ends before");
        assert_eq!(found[0].source(), format!("{TABLE}, handle 0x1001"));
    }

    #[test]
    fn versions() {
        assert_eq!(
            parse_version(b"_SM3_\0\x18\x03\x05\0").as_deref(),
            Some("3.5")
        );
        assert_eq!(parse_version(b"_SM_\0\x1f\x02\x08").as_deref(), Some("2.8"));
        assert_eq!(parse_version(b"_SM3_\0\x18\x03"), None);
        assert_eq!(parse_version(b"_DMI_"), None);
    }

    proptest! {
        #[test]
        fn never_panics(table in proptest::collection::vec(any::<u8>(), 0..300)) {
            let table = Table::of(table);
            let _ = table.populated_sockets();
            for kind in 0..=255 {
                for structure in table.all(kind).value().into_iter().flatten() {
                    for offset in 0..64 {
                        let _ = (structure.string(offset), structure.word(offset), structure.double_word(offset));
                    }
                }
            }
        }

        #[test]
        fn cut_tables_never_panic(cut in 0usize..60) {
            let table = [processor(3, 0x41), processor(3, 0x41)].concat();
            let _ = count_sockets(&table[..cut.min(table.len())]);
        }
    }
}
