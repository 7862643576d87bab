//! Expansion slots, as the firmware describes them.
//!
//! Source: DMTF DSP0134, 7.10 (type 9, system slots).

use super::smbios::{Structure, Table};
use crate::known::Known;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const SLOT: u8 = 9;

/// A slot for a card.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Slot {
    /// Where this was read.
    pub source: String,
    /// Its name on the board.
    pub name: Known<String>,
    /// `PCI Express 4 x16`, `M.2 Socket 3`, ...
    pub kind: Known<String>,
    /// Whether a card is in it.
    pub in_use: Known<bool>,
    /// Its PCI address: that of the card, or of the port above it. `Absent` where the firmware does not tell.
    pub pci_address: Known<String>,
}

/// All slots.
pub(super) fn read(table: &Table) -> Known<Vec<Slot>> {
    table
        .all(SLOT)
        .map(|slots| slots.iter().map(slot).collect())
}

fn slot(slot: &Structure<'_>) -> Slot {
    Slot {
        source: slot.source(),
        name: slot.string(0x04),
        kind: kind(slot),
        in_use: match slot.byte(0x07) {
            Some(3) => Known::Value(false),
            Some(4) => Known::Value(true),
            Some(5) => Known::unknown(format!("{}: the slot cannot be used now", slot.source())),
            Some(_) => Known::unknown(format!("{}: the firmware does not know", slot.source())),
            None => slot.too_short(0x07),
        },
        pci_address: address(slot),
    }
}

/// Segment, bus, and device and function in one byte; all ones where there is none.
fn address(slot: &Structure<'_>) -> Known<String> {
    let (Some(segment), Some(bus), Some(function)) =
        (slot.word(0x0d), slot.byte(0x0f), slot.byte(0x10))
    else {
        // SMBIOS before 2.6.
        return Known::Absent;
    };
    if (segment, bus, function) == (0xffff, 0xff, 0xff) {
        return Known::Absent;
    }
    Known::Value(format!(
        "{segment:04x}:{bus:02x}:{:02x}.{}",
        function >> 3,
        function & 7
    ))
}

/// Type of the slot, and the lanes where the type does not tell them.
fn kind(slot: &Structure<'_>) -> Known<String> {
    let Some(code) = slot.byte(0x05) else {
        return slot.too_short(0x05);
    };
    let lanes = match slot.byte(0x06) {
        Some(0x08) => " x1",
        Some(0x09) => " x2",
        Some(0x0a) => " x4",
        Some(0x0b) => " x8",
        Some(0x0c) => " x12",
        Some(0x0d) => " x16",
        Some(0x0e) => " x32",
        _ => "",
    };
    // Each generation has a code for any width, then x1, x2, x4, x8 and x16.
    let generations = [
        (0xa5, ""),
        (0xab, " 2"),
        (0xb1, " 3"),
        (0xb8, " 4"),
        (0xbe, " 5"),
    ];
    for (first, generation) in generations {
        if (first..=first + 5).contains(&code) {
            let width = [lanes, " x1", " x2", " x4", " x8", " x16"][usize::from(code - first)];
            return Known::Value(format!("PCI Express{generation}{width}"));
        }
    }
    let name = match code {
        0x06 => "PCI",
        0x0e => "PCI 66 MHz",
        0x12 => "PCI-X",
        0x0b => "memory riser",
        0x0c => "riser",
        0x14 => "M.2 Socket 1-DP",
        0x15 => "M.2 Socket 1-SD",
        0x16 => "M.2 Socket 2",
        0x17 => "M.2 Socket 3",
        0x1f => "U.2 PCI Express 2",
        0x20 => "U.2 PCI Express 3",
        0x21..=0x23 => "Mini PCI Express",
        0x24 => "U.2 PCI Express 4",
        0x25 => "U.2 PCI Express 5",
        0x26 => "OCP NIC 3.0, small",
        0x27 => "OCP NIC 3.0, large",
        0x28 => "OCP NIC before 3.0",
        0x30 => "CXL Flexbus 1.0",
        0xc4 => "PCI Express 6",
        0xc5 => "EDSFF E1",
        0xc6 => "EDSFF E3",
        other => {
            return Known::unknown(format!("{}: slot of type {other:#04x}", slot.source()));
        }
    };
    Known::Value(format!("{name}{lanes}"))
}

#[cfg(test)]
mod tests {
    use super::super::smbios::tests::structure;
    use super::*;
    use proptest::prelude::*;

    fn slots(fields: &[u8]) -> Slot {
        let table = Table::of(structure(SLOT, 0x11, &[(4, fields)], &["SLOT 3"]));
        read(&table).value().expect("slots")[0].clone()
    }

    #[test]
    fn slots_with_and_without_address() {
        let found = slots(&[1, 0xbd, 0x0d, 4, 4, 0, 0, 0, 0, 0, 0, 0x3b, 0x19]);
        assert_eq!(found.name, Known::Value("SLOT 3".to_owned()));
        assert_eq!(found.kind, Known::Value("PCI Express 4 x16".to_owned()));
        assert_eq!(found.in_use, Known::Value(true));
        assert_eq!(found.pci_address, Known::Value("0000:3b:03.1".to_owned()));
        let empty = slots(&[1, 0xa5, 0x0b, 3, 4, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(empty.kind, Known::Value("PCI Express x8".to_owned()));
        assert_eq!(
            (empty.in_use, empty.pci_address),
            (Known::Value(false), Known::Absent)
        );
        let odd = slots(&[1, 2, 1, 2]);
        assert!(odd.kind.is_unknown() && odd.in_use.is_unknown());
        assert_eq!(
            slots(&[1, 0x17, 0x0a, 4]).kind,
            Known::Value("M.2 Socket 3 x4".to_owned())
        );
    }

    proptest! {
        #[test]
        fn never_panics(length in 4u8..0x20, body in proptest::collection::vec(any::<u8>(), 0x20)) {
            let fields = &body[4..usize::from(length)];
            let _ = read(&Table::of(structure(SLOT, length, &[(4, fields)], &["a"])));
        }
    }
}
