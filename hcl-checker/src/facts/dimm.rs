//! Memory modules and their slots, as the firmware describes them.
//!
//! Source: DMTF DSP0134, 7.17 (type 16, physical memory array) and 7.18 (type 17, memory device).

use super::smbios::{Structure, Table};
use crate::known::Known;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const ARRAY: u8 = 16;
const DEVICE: u8 = 17;

/// A slot for memory, and what is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Dimm {
    /// Where this was read.
    pub source: String,
    /// The slot's name on the board.
    pub slot: Known<String>,
    /// The bank or channel.
    pub bank: Known<String>,
    /// Bytes; `Absent` for an empty slot.
    pub size_bytes: Known<u64>,
    /// Bytes of it that forget without power: of persistent memory those that are used as main memory. Since SMBIOS 3.2.
    pub volatile_bytes: Known<u64>,
    /// `DDR4`, `DDR5`, ...
    pub kind: Known<String>,
    /// Highest speed of the module, in megatransfers per second.
    pub speed_mts: Known<u32>,
    /// Speed at which it runs, in megatransfers per second.
    pub configured_speed_mts: Known<u32>,
    /// Its maker.
    pub manufacturer: Known<String>,
    /// The maker's number of the part.
    pub part_number: Known<String>,
    /// Its serial number.
    pub serial: Known<String>,
}

/// What [`Dimm::kind`] says of persistent memory (type 1Fh, `Logical non-volatile device`).
pub(super) const NON_VOLATILE: &str = "non-volatile";

impl Dimm {
    /// Bytes that are main memory: not the flash that holds the firmware, and of persistent memory what is used as such.
    /// `Absent` for an empty slot.
    pub fn main_memory_bytes(&self) -> Known<u64> {
        match self.kind.value().map(String::as_str) {
            Some("ROM" | "Flash" | "EEPROM") => Known::Value(0),
            Some(NON_VOLATILE) => match &self.volatile_bytes {
                Known::Absent => Known::Value(0),
                known => known.clone(),
            },
            _ => self.size_bytes.clone(),
        }
    }
}

/// How memory finds and mends errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCorrection {
    /// Not at all.
    None,
    /// Errors of one bit are found.
    Parity,
    /// Errors of one bit are mended: the usual ECC.
    SingleBit,
    /// Errors of several bits are mended.
    MultiBit,
    /// Errors are found by checksums.
    Crc,
    /// In a way that the firmware does not name.
    Other,
}

/// All slots, the empty ones too.
pub(super) fn read(table: &Table) -> Known<Vec<Dimm>> {
    table
        .all(DEVICE)
        .map(|devices| devices.iter().map(dimm).collect())
}

fn dimm(device: &Structure<'_>) -> Dimm {
    let size_bytes = size(device);
    let empty = size_bytes == Known::Absent;
    // An empty slot has no properties, though firmware likes to write `Not Specified` there.
    let of_module = |offset| {
        if empty {
            Known::Absent
        } else {
            device.string(offset)
        }
    };
    Dimm {
        source: device.source(),
        slot: device.string(0x10),
        bank: device.string(0x11),
        kind: if empty { Known::Absent } else { kind(device) },
        speed_mts: speed(device, 0x15, 0x54, empty),
        configured_speed_mts: speed(device, 0x20, 0x58, empty),
        manufacturer: of_module(0x17),
        serial: of_module(0x18),
        part_number: of_module(0x1a),
        volatile_bytes: if empty {
            Known::Absent
        } else {
            volatile(device)
        },
        size_bytes,
    }
}

/// 0 is an empty slot, 0xFFFF not known, 0x7FFF stands for the extended size in MiB; bit 15 says KiB instead of MiB.
fn size(device: &Structure<'_>) -> Known<u64> {
    match device.word(0x0c) {
        None => device.too_short(0x0c),
        Some(0) => Known::Absent,
        Some(0xffff) => Known::unknown(format!(
            "{}: the firmware does not know the size",
            device.source()
        )),
        Some(0x7fff) => match device.double_word(0x1c) {
            Some(mib) => Known::Value(u64::from(mib & 0x7fff_ffff) << 20),
            None => device.too_short(0x1c),
        },
        Some(size) if size & 0x8000 != 0 => Known::Value(u64::from(size & 0x7fff) << 10),
        Some(size) => Known::Value(u64::from(size) << 20),
    }
}

/// 0 is none, all ones is not known.
fn volatile(device: &Structure<'_>) -> Known<u64> {
    const OFFSET: usize = 0x3c;
    match device
        .double_word(OFFSET)
        .zip(device.double_word(OFFSET + 4))
    {
        None => device.too_short(OFFSET),
        Some((0, 0)) => Known::Absent,
        Some((u32::MAX, u32::MAX)) => Known::unknown(format!(
            "{}: the firmware does not know how much of it is volatile",
            device.source()
        )),
        Some((low, high)) => Known::Value(u64::from(high) << 32 | u64::from(low)),
    }
}

/// 0 is not known, 0xFFFF stands for the extended speed.
fn speed(device: &Structure<'_>, offset: usize, extended: usize, empty: bool) -> Known<u32> {
    if empty {
        return Known::Absent;
    }
    let speed = match device.word(offset) {
        Some(0xffff) => device
            .double_word(extended)
            .map(|speed| speed & 0x7fff_ffff),
        speed => speed.map(u32::from),
    };
    match speed {
        None => device.too_short(offset),
        Some(0) => Known::unknown(format!(
            "{}: the firmware does not know the speed",
            device.source()
        )),
        Some(speed) => Known::Value(speed),
    }
}

fn kind(device: &Structure<'_>) -> Known<String> {
    let name = match device.byte(0x12) {
        None => return device.too_short(0x12),
        Some(0x03) => "DRAM",
        Some(0x07) => "RAM",
        Some(0x08) => "ROM",
        Some(0x09) => "Flash",
        Some(0x0a) => "EEPROM",
        Some(0x0f) => "SDRAM",
        Some(0x12) => "DDR",
        Some(0x13) => "DDR2",
        Some(0x14) => "DDR2 FB-DIMM",
        Some(0x18) => "DDR3",
        Some(0x19) => "FBD2",
        Some(0x1a) => "DDR4",
        Some(0x1b) => "LPDDR",
        Some(0x1c) => "LPDDR2",
        Some(0x1d) => "LPDDR3",
        Some(0x1e) => "LPDDR4",
        Some(0x1f) => NON_VOLATILE,
        Some(0x20) => "HBM",
        Some(0x21) => "HBM2",
        Some(0x22) => "DDR5",
        Some(0x23) => "LPDDR5",
        Some(0x24) => "HBM3",
        Some(other) => {
            return Known::unknown(format!("{}: memory of type {other:#04x}", device.source()));
        }
    };
    Known::Value(name.to_owned())
}

/// Error correction of main memory; unknown where the firmware describes several arrays that differ.
pub(super) fn error_correction(table: &Table) -> Known<ErrorCorrection> {
    /// Use of an array: main memory, not video memory or flash.
    const SYSTEM_MEMORY: Option<u8> = Some(3);
    table.all(ARRAY).and_then(|arrays| {
        let mut found: Option<(u8, String)> = None;
        for array in arrays
            .iter()
            .filter(|array| array.byte(0x05) == SYSTEM_MEMORY)
        {
            let Some(code) = array.byte(0x06) else {
                return array.too_short(0x06);
            };
            match &found {
                Some((first, source)) if *first != code => {
                    return Known::unknown(format!("{source} and {}: differ", array.source()));
                }
                Some(_) => {}
                None => found = Some((code, array.source())),
            }
        }
        let (code, source) = match found {
            Some(found) => found,
            None => {
                let table = super::smbios::TABLE;
                return Known::unknown(format!("{table}: describes no main memory"));
            }
        };
        match code {
            1 => Known::Value(ErrorCorrection::Other),
            3 => Known::Value(ErrorCorrection::None),
            4 => Known::Value(ErrorCorrection::Parity),
            5 => Known::Value(ErrorCorrection::SingleBit),
            6 => Known::Value(ErrorCorrection::MultiBit),
            7 => Known::Value(ErrorCorrection::Crc),
            _ => Known::unknown(format!("{source}: error correction of kind {code}")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::smbios::tests::{LAST, structure};
    use super::*;
    use proptest::prelude::*;

    fn dimms(table: Vec<u8>) -> Vec<Dimm> {
        read(&Table::of(table)).value().cloned().unwrap_or_default()
    }

    #[test]
    fn a_module_and_an_empty_slot() {
        let module = structure(
            DEVICE,
            0x28,
            &[
                (0x0c, &32768_u16.wrapping_sub(1).to_le_bytes()),
                (0x10, &[1, 2]),
                (0x12, &[0x1a]),
                (0x15, &3200_u16.to_le_bytes()),
                (0x17, &[3, 4]),
                (0x1a, &[5]),
                (0x1c, &65536_u32.to_le_bytes()),
                (0x20, &2933_u16.to_le_bytes()),
            ],
            &[
                "A1",
                "P0 CHANNEL A",
                "Samsung",
                "0351A2B3",
                "M393A8G40AB2-CWE ",
            ],
        );
        let empty = structure(
            DEVICE,
            0x28,
            &[(0x10, &[1]), (0x17, &[2])],
            &["A2", "NO DIMM"],
        );
        let found = dimms([&module[..], &empty, &LAST].concat());
        let text = |text: &str| Known::Value(text.to_owned());
        assert_eq!(found[0].size_bytes, Known::Value(64 << 30), "extended size");
        assert_eq!(
            (&found[0].slot, &found[0].bank),
            (&text("A1"), &text("P0 CHANNEL A"))
        );
        assert_eq!(
            (&found[0].kind, &found[0].manufacturer),
            (&text("DDR4"), &text("Samsung"))
        );
        assert_eq!(
            (&found[0].serial, &found[0].part_number),
            (&text("0351A2B3"), &text("M393A8G40AB2-CWE"))
        );
        assert_eq!(
            (
                found[0].speed_mts.value(),
                found[0].configured_speed_mts.value()
            ),
            (Some(&3200), Some(&2933))
        );
        assert_eq!(
            (&found[1].slot, &found[1].size_bytes),
            (&text("A2"), &Known::Absent)
        );
        assert_eq!(
            (&found[1].manufacturer, &found[1].kind),
            (&Known::Absent, &Known::Absent)
        );
    }

    #[test]
    fn of_persistent_memory_the_volatile_part_counts() {
        let module = |kind: u8, volatile: u64| {
            let table = structure(
                DEVICE,
                0x54,
                &[
                    (0x0c, &16384_u16.to_le_bytes()),
                    (0x12, &[kind]),
                    (0x3c, &volatile.to_le_bytes()),
                ],
                &[],
            );
            dimms(table).remove(0).main_memory_bytes()
        };
        assert_eq!(module(0x1f, 0), Known::Value(0));
        assert_eq!(module(0x1f, 12 << 30), Known::Value(12 << 30));
        assert!(module(0x1f, u64::MAX).is_unknown());
        // Firmware leaves the field empty for plain modules.
        assert_eq!(module(0x1a, 0), Known::Value(16 << 30));
        assert_eq!(module(0x09, 0), Known::Value(0), "flash");
    }

    #[test]
    fn sizes_and_speeds_in_every_form() {
        let sized = |size: u16| {
            let table = structure(
                DEVICE,
                0x5c,
                &[
                    (0x0c, &size.to_le_bytes()),
                    (0x15, &[0xff, 0xff]),
                    (0x54, &8800_u32.to_le_bytes()),
                ],
                &[],
            );
            dimms(table).remove(0)
        };
        assert_eq!(sized(16384).size_bytes, Known::Value(16 << 30));
        assert_eq!(sized(0x8000 | 512).size_bytes, Known::Value(512 << 10));
        assert!(sized(0xffff).size_bytes.is_unknown());
        assert_eq!(sized(16384).speed_mts, Known::Value(8800));
        // SMBIOS 2.1 ends before the speed.
        let old = structure(DEVICE, 0x15, &[(0x0c, &1024_u16.to_le_bytes())], &[]);
        let old = &dimms(old)[0];
        assert!(old.size_bytes == Known::Value(1 << 30) && old.speed_mts.is_unknown());
    }

    #[test]
    fn error_correction_of_main_memory() {
        let array = |purpose: u8, code: u8| structure(ARRAY, 0x17, &[(5, &[purpose, code])], &[]);
        let of = |arrays: &[Vec<u8>]| error_correction(&Table::of(arrays.concat()));
        assert_eq!(
            of(&[array(4, 3), array(3, 6), array(3, 6)]),
            Known::Value(ErrorCorrection::MultiBit)
        );
        assert_eq!(of(&[array(3, 3)]), Known::Value(ErrorCorrection::None));
        assert!(of(&[array(3, 3), array(3, 6)]).is_unknown());
        assert!(of(&[array(3, 2)]).is_unknown() && of(&[array(4, 6)]).is_unknown());
    }

    proptest! {
        #[test]
        fn never_panics(length in 4u8..0x60, body in proptest::collection::vec(any::<u8>(), 0x60)) {
            for kind in [ARRAY, DEVICE] {
                let fields = &body[4..usize::from(length)];
                let table = Table::of(structure(kind, length, &[(4, fields)], &["a", "b"]));
                let _ = read(&table);
                let _ = error_correction(&table);
            }
        }
    }
}
