//! What the firmware's ACPI tables say about the IOMMU and the number of CPUs.
//!
//! Sources: ACPI specification 5.2.12 (MADT); "Intel Virtualization Technology for Directed I/O", 8 (DMAR); "AMD I/O
//! Virtualization Technology", 5 (IVRS). The tables are readable by root only, their names by everybody.

use super::probes::Probes;
use crate::known::Known;
use crate::root::Root;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

const TABLES: &str = "/sys/firmware/acpi/tables";
const IOMMUS: &str = "/sys/class/iommu";
/// A table of 8,192 CPUs has 128 KB.
const LIMIT: usize = 1 << 20;
/// Length of the header that all tables share.
const HEADER: usize = 36;

/// What ACPI says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Acpi {
    /// Where this was read.
    pub source: String,
    /// The IOMMU as the firmware describes it; `Absent` where it describes none: the machine has none, or it is switched
    /// off in the setup.
    pub iommu: Known<Iommu>,
    /// IOMMU units that the kernel uses now; in dom0 none, Xen has them.
    pub iommus_in_use: Known<u32>,
    /// CPUs that the firmware enabled.
    pub enabled_cpus: Known<u32>,
}

/// An IOMMU, by the firmware.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Iommu {
    /// Where this was read.
    pub source: String,
    /// Whose it is.
    pub kind: IommuKind,
    /// Number of units.
    pub units: Known<u32>,
    /// It can remap interrupts, which guests with devices of their own need to be safe from each other. For AMD: the
    /// firmware names the I/O APICs, without which Xen does not use it.
    pub interrupt_remapping: Known<bool>,
    /// The firmware asks not to use x2APIC; `Absent` for AMD, which has no such request.
    pub x2apic_opt_out: Known<bool>,
}

/// Kind of an IOMMU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IommuKind {
    /// Intel VT-d.
    #[default]
    VtD,
    /// AMD-Vi.
    AmdVi,
}

/// Sources: `/sys/firmware/acpi/tables`, `/sys/class/iommu`.
pub(super) fn read(probes: &Probes<'_>) -> Acpi {
    let root = probes.root;
    let names = root.list(TABLES);
    let judged = Acpi {
        source: TABLES.to_owned(),
        iommu: match &names {
            Ok(names) => iommu(root, names),
            Err(error) => Known::unknown(error.to_string()),
        },
        ..Acpi::default()
    };
    if !probes.for_all() {
        return judged;
    }
    Acpi {
        iommus_in_use: match root.list(IOMMUS) {
            Ok(units) => Known::Value(units.len() as u32),
            Err(error) => Known::unknown(error.to_string()),
        },
        enabled_cpus: table(root, "APIC").and_then(|table| {
            let count = enabled_cpus(&table);
            if count == 0 {
                return Known::unknown(format!("{TABLES}/APIC: names no CPU"));
            }
            Known::Value(count)
        }),
        ..judged
    }
}

fn table(root: &Root, name: &str) -> Known<Vec<u8>> {
    root.bytes(&format!("{TABLES}/{name}"), LIMIT).into()
}

/// Xen renames DMAR for its dom0, so that Linux there keeps its hands off.
fn iommu(root: &Root, names: &[String]) -> Known<Iommu> {
    let has = |wanted: &&str| names.iter().any(|name| name == wanted);
    let Some(name) = ["DMAR", "RMAD", "IVRS"].into_iter().find(has) else {
        return Known::Absent;
    };
    let source = format!("{TABLES}/{name}");
    let parse = if name == "IVRS" {
        parse_ivrs
    } else {
        parse_dmar
    };
    let too_short = || Known::unknown(format!("{source}: too short"));
    let parsed =
        table(root, name).and_then(|table| parse(&table).map_or_else(too_short, Known::Value));
    let amd = name == "IVRS";
    Known::Value(Iommu {
        kind: if amd {
            IommuKind::AmdVi
        } else {
            IommuKind::VtD
        },
        units: parsed.clone().map(|parsed| parsed.units),
        interrupt_remapping: parsed.clone().map(|parsed| parsed.interrupt_remapping),
        x2apic_opt_out: if amd {
            Known::Absent
        } else {
            parsed.map(|parsed| parsed.x2apic_opt_out)
        },
        source,
    })
}

/// What is read of either table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Parsed {
    units: u32,
    interrupt_remapping: bool,
    x2apic_opt_out: bool,
}

/// Flags stand at offset 37; structures from 48 on begin with 16 bits of type (0 is a unit) and 16 bits of length.
fn parse_dmar(table: &[u8]) -> Option<Parsed> {
    let flags = table.get(HEADER + 1)?;
    let structures = Entries {
        rest: table.get(48..)?,
        header: |rest: &[u8]| {
            let (kind, length) = (rest.first_chunk::<2>()?, rest.get(2..)?.first_chunk()?);
            Some((
                u16::from_le_bytes(*kind),
                usize::from(u16::from_le_bytes(*length)),
            ))
        },
    };
    Some(Parsed {
        units: structures.filter(|(kind, _)| *kind == 0).count() as u32,
        interrupt_remapping: flags & 1 != 0,
        x2apic_opt_out: flags & 2 != 0,
    })
}

/// Blocks from offset 48 on: a byte of type, a byte of flags, 16 bits of length, and the unit's device id and address.
/// Types 0x10, 0x11 and 0x40 describe a unit, the same one where id and address are the same.
fn parse_ivrs(table: &[u8]) -> Option<Parsed> {
    let blocks = Entries {
        rest: table.get(48..)?,
        header: |rest: &[u8]| {
            let length = rest.get(2..)?.first_chunk()?;
            Some((
                u16::from(*rest.first()?),
                usize::from(u16::from_le_bytes(*length)),
            ))
        },
    };
    let mut units = BTreeSet::new();
    let mut io_apics = false;
    for (kind, block) in blocks {
        let header = match kind {
            0x10 => 24,
            0x11 | 0x40 => 40,
            _ => continue,
        };
        units.extend(block.get(4..16).map(<[u8]>::to_vec));
        io_apics |= block.get(header..).is_some_and(names_io_apic);
    }
    Some(Parsed {
        units: units.len() as u32,
        interrupt_remapping: io_apics,
        x2apic_opt_out: false,
    })
}

/// Whether an entry among the devices of a unit is for an I/O APIC: type 72 of variety 1. The type's upper two bits tell
/// the length; ACPI devices (type 240) have one of their own.
fn names_io_apic(devices: &[u8]) -> bool {
    let mut entries = Entries {
        rest: devices,
        header: |rest: &[u8]| {
            let kind = *rest.first()?;
            let length = match kind {
                240 => 22 + usize::from(*rest.get(21)?),
                _ => 4 << (kind >> 6),
            };
            Some((u16::from(kind), length))
        },
    };
    entries.any(|(kind, entry)| kind == 72 && entry.get(7) == Some(&1))
}

/// Different APIC ids of CPUs that are enabled. Entries from offset 44 on: type 0 is a local APIC, type 9 a local x2APIC;
/// firmware may list one CPU as both.
fn enabled_cpus(table: &[u8]) -> u32 {
    const ENABLED: u32 = 1;
    let entries = Entries {
        rest: table.get(HEADER + 8..).unwrap_or_default(),
        header: |rest: &[u8]| Some((u16::from(*rest.first()?), usize::from(*rest.get(1)?))),
    };
    let double_word = |entry: &[u8], at: usize| {
        let bytes = entry.get(at..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes))
    };
    let ids = entries.filter_map(|(kind, entry)| {
        let (id, flags) = match kind {
            0 => (u32::from(*entry.get(3)?), double_word(entry, 4)?),
            9 => (double_word(entry, 4)?, double_word(entry, 8)?),
            _ => return None,
        };
        (flags & ENABLED != 0).then_some(id)
    });
    ids.collect::<BTreeSet<u32>>().len() as u32
}

/// Entries that tell their own type and length, up to the first one that makes no sense.
struct Entries<'a, F> {
    rest: &'a [u8],
    header: F,
}

impl<'a, F: Fn(&[u8]) -> Option<(u16, usize)>> Iterator for Entries<'a, F> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (kind, length) = (self.header)(self.rest)?;
        if length == 0 {
            return None;
        }
        let (entry, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some((kind, entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dmar_flags_and_units() {
        let mut table = vec![0; 48];
        table[37] = 0b11;
        let unit = [0, 0, 16, 0, 1, 0, 0, 0, 0, 0, 0xd9, 0xfe, 0, 0, 0, 0];
        let reserved_memory = [1, 0, 8, 0, 0, 0, 0, 0];
        table.extend(unit);
        table.extend(reserved_memory);
        table.extend(unit);
        let expected = Parsed {
            units: 2,
            interrupt_remapping: true,
            x2apic_opt_out: true,
        };
        assert_eq!(parse_dmar(&table), Some(expected));
        table[37] = 0;
        assert_eq!(
            parse_dmar(&table).map(|parsed| parsed.interrupt_remapping),
            Some(false)
        );
        assert_eq!(parse_dmar(&table[..40]), None);
    }

    #[test]
    fn ivrs_units_and_io_apics() {
        let block = |kind: u8, header: usize, devices: &[u8]| {
            let mut block = vec![0; header];
            block[0] = kind;
            block[4..6].copy_from_slice(&[2, 0]);
            block[8..12].copy_from_slice(&[0, 0, 0xb8, 0xfe]);
            block.extend(devices);
            let length = block.len() as u8;
            block[2] = length;
            block
        };
        let all_devices = [1, 0, 0, 0];
        let acpi_device = [&[240; 21][..], &[2, b'A', b'B']].concat();
        let io_apic = [72, 0, 0, 0xd7, 0x80, 0xa0, 0, 1];
        let timer = [72, 0, 0, 0xd7, 0, 0xa0, 0, 2];
        let with = |devices: &[&[u8]]| {
            let devices = devices.concat();
            let blocks = [
                vec![0; 48],
                block(0x10, 24, &devices),
                block(0x11, 40, &devices),
            ];
            parse_ivrs(&blocks.concat())
        };
        let found = with(&[&all_devices, &acpi_device, &timer, &io_apic]).expect("parsed");
        assert_eq!(
            (found.units, found.interrupt_remapping),
            (1, true),
            "one unit, described twice"
        );
        let found = with(&[&all_devices, &timer]).expect("parsed");
        assert!(!found.interrupt_remapping);
    }

    #[test]
    fn cpus_are_counted_once() {
        let local = |id: u8, flags: u8| vec![0, 8, 0, id, flags, 0, 0, 0];
        let x2 = |id: u8, flags: u8| vec![9, 16, 0, 0, id, 0, 0, 0, flags, 0, 0, 0, 0, 0, 0, 0];
        let io_apic = vec![1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let table = [
            vec![0; 44],
            local(0, 1),
            local(2, 1),
            io_apic,
            local(4, 0),
            local(6, 2),
            x2(2, 1),
            x2(8, 1),
        ];
        assert_eq!(enabled_cpus(&table.concat()), 3);
        assert_eq!(enabled_cpus(&[0; 20]), 0);
        // An entry of no length would be read for ever.
        assert_eq!(enabled_cpus(&[0; 100]), 0);
    }

    proptest! {
        #[test]
        fn never_panics(table in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (parse_dmar(&table), parse_ivrs(&table), enabled_cpus(&table), names_io_apic(&table));
        }
    }
}
