//! Names, sockets, memory modules, slots and BMC from what `dmidecode` printed.
//!
//! Source: dmidecode, `dmidecode.c` (`dmi_table_decode`, `dmi_decode`): a line `Handle 0x0004, DMI type 4, 48 bytes`, a
//! title, then indented `Key: value` lines; deeper lines continue a list.

use super::dimm::NON_VOLATILE;
use super::dumps::{Dump, DumpError, value};
use super::{Bmc, CountMethod, Dimm, ErrorCorrection, Facts, Slot, SocketCount};
use crate::known::Known;

/// The biggest machines have some thousand structures.
const MOST_STRUCTURES: usize = 65_536;
const HOW: &str = "make the dump with `dmidecode`, as root";

/// One structure: its kind and its lines.
struct Structure<'a> {
    line: usize,
    kind: u32,
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Structure<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        self.fields
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, text)| *text)
    }
}

/// Adds what the dump tells.
pub(super) fn read(dump: &Dump<'_>, facts: &mut Facts) -> Result<(), DumpError> {
    let structures = structures(dump)?;
    let reader = Reader { dump, structures };
    reader.dmi(facts);
    reader.sockets(facts);
    reader.memory(facts);
    facts.slots = Known::Value(reader.all(9).map(|slot| reader.slot(slot)).collect());
    facts.bmc = match reader.all(38).next() {
        Some(device) => Known::Value(reader.bmc(device)),
        None => Known::Absent,
    };
    Ok(())
}

fn structures<'a>(dump: &Dump<'a>) -> Result<Vec<Structure<'a>>, DumpError> {
    let mut all: Vec<Structure<'a>> = Vec::new();
    let mut begun = false;
    for (number, line) in dump
        .text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
    {
        // It prints this once, before all; sockets and memory of two machines would be added up.
        if line.starts_with("# dmidecode ") && std::mem::replace(&mut begun, true) {
            return Err(dump.error(
                number,
                "a second `# dmidecode`: these are dumps of several machines",
                HOW,
            ));
        }
        if let Some(rest) = line.strip_prefix("Handle ") {
            let kind = rest
                .split_once("DMI type ")
                .and_then(|(_, rest)| rest.split(',').next()?.trim().parse().ok());
            let Some(kind) = kind else {
                return Err(dump.error(number, "a handle without its `DMI type`", HOW));
            };
            if all.len() == MOST_STRUCTURES {
                return Err(dump.error(number, "more structures than any machine has", HOW));
            }
            all.push(Structure {
                line: number,
                kind,
                fields: Vec::new(),
            });
        } else if let Some(rest) = line.strip_prefix('\t')
            && !rest.starts_with('\t')
            && let (Some(structure), Some((key, text))) = (all.last_mut(), rest.split_once(':'))
        {
            structure.fields.push((key.trim(), text.trim()));
        }
    }
    if all.is_empty() {
        let refused = dump.text.contains("Permission denied");
        let problem = if refused {
            "dmidecode was not allowed to read the table"
        } else {
            "it has no `Handle`"
        };
        return Err(dump.error(1, problem, HOW));
    }
    Ok(all)
}

struct Reader<'a> {
    dump: &'a Dump<'a>,
    structures: Vec<Structure<'a>>,
}

impl<'a> Reader<'a> {
    fn all(&self, kind: u32) -> impl Iterator<Item = &Structure<'a>> {
        self.structures
            .iter()
            .filter(move |structure| structure.kind == kind)
    }

    fn source(&self, structure: &Structure<'_>) -> String {
        format!("{}:{}", self.dump.name, structure.line)
    }

    /// A text; dmidecode has words for what the firmware leaves out.
    fn text(&self, structure: &Structure<'_>, key: &str) -> Known<String> {
        match structure.get(key) {
            None => Known::unknown(format!("{}: no `{key}`", self.source(structure))),
            Some("" | "Not Specified" | "Not Present") => Known::Absent,
            Some("<BAD INDEX>" | "<OUT OF SPEC>" | "Unknown") => Known::unknown(format!(
                "{}: the firmware does not know `{key}`",
                self.source(structure)
            )),
            Some(text) => Known::Value(value(text)),
        }
    }

    fn dmi(&self, facts: &mut Facts) {
        let first = |kind: u32, key: &str| match self.all(kind).next() {
            Some(structure) => self.text(structure, key),
            None => Known::unknown(format!("{}: no structure of type {kind}", self.dump.name)),
        };
        let dmi = &mut facts.dmi;
        dmi.source = self.dump.name.to_owned();
        dmi.bios_vendor = first(0, "Vendor");
        dmi.bios_version = first(0, "Version");
        dmi.bios_date = first(0, "Release Date");
        dmi.system_vendor = first(1, "Manufacturer");
        dmi.product = first(1, "Product Name");
        dmi.serial = first(1, "Serial Number");
        dmi.uuid = first(1, "UUID").map(|uuid| uuid.to_ascii_lowercase());
        dmi.sku = first(1, "SKU Number");
        dmi.board_vendor = first(2, "Manufacturer");
        dmi.board = first(2, "Product Name");
        dmi.board_serial = first(2, "Serial Number");
        dmi.chassis.vendor = first(3, "Manufacturer");
        dmi.chassis.kind =
            first(3, "Type").map(|kind| kind.trim_end_matches(" Chassis").to_lowercase());
        dmi.chassis.serial = first(3, "Serial Number");
        dmi.chassis.asset_tag = first(3, "Asset Tag");
        let version = self.dump.text.lines().find_map(|line| {
            let (_, rest) = line.strip_suffix(" present.")?.split_once("SMBIOS ")?;
            Some(value(rest))
        });
        dmi.smbios_version = version.map_or_else(
            || Known::unknown(format!("{}: no line `SMBIOS ... present.`", self.dump.name)),
            Known::Value,
        );
    }

    /// Central processors that are populated and enabled: DSP0134 7.5.
    fn sockets(&self, facts: &mut Facts) {
        let central: Vec<&Structure<'_>> = self
            .all(4)
            .filter(|processor| processor.get("Type") == Some("Central Processor"))
            .filter(|processor| processor.get("Status").is_some())
            .collect();
        let sockets = if central.is_empty() {
            Known::unknown(format!("{}: describes no processor", self.dump.name))
        } else {
            let in_use = central
                .iter()
                .filter(|processor| processor.get("Status") == Some("Populated, Enabled"));
            Known::Value(in_use.count() as u32)
        };
        facts.topology.sources.push(self.dump.name.to_owned());
        facts.topology.socket_counts.push(SocketCount {
            method: CountMethod::Smbios,
            sockets,
        });
    }

    fn memory(&self, facts: &mut Facts) {
        let memory = &mut facts.memory;
        memory.source = self.dump.name.to_owned();
        memory.dimms_source = self.dump.name.to_owned();
        memory.dimms = Known::Value(self.all(17).map(|device| self.dimm(device)).collect());
        // What the kernel manages is a few percent less, and nothing here tells it.
        memory.total_bytes = match memory.installed_bytes() {
            Known::Value(0) => Known::unknown(format!("{}: describes no memory", self.dump.name)),
            known => known,
        };
        let main = |array: &&Structure<'_>| array.get("Use") == Some("System Memory");
        let mut kinds: Vec<&str> = self
            .all(16)
            .filter(main)
            .filter_map(|array| array.get("Error Correction Type"))
            .collect();
        kinds.dedup();
        memory.error_correction = match kinds.as_slice() {
            ["None"] => Known::Value(ErrorCorrection::None),
            ["Parity"] => Known::Value(ErrorCorrection::Parity),
            ["Single-bit ECC"] => Known::Value(ErrorCorrection::SingleBit),
            ["Multi-bit ECC"] => Known::Value(ErrorCorrection::MultiBit),
            ["CRC"] => Known::Value(ErrorCorrection::Crc),
            ["Other"] => Known::Value(ErrorCorrection::Other),
            _ => Known::unknown(format!(
                "{}: tells no error correction, or several kinds",
                self.dump.name
            )),
        };
    }

    fn dimm(&self, device: &Structure<'_>) -> Dimm {
        let size_bytes = match device.get("Size") {
            Some("No Module Installed") => Known::Absent,
            Some(text) => bytes(text).map_or_else(
                || {
                    Known::unknown(format!(
                        "{}: `{}` is no size",
                        self.source(device),
                        value(text)
                    ))
                },
                Known::Value,
            ),
            None => Known::unknown(format!("{}: no `Size`", self.source(device))),
        };
        let empty = size_bytes == Known::Absent;
        let of_module = |key: &str| {
            if empty {
                Known::Absent
            } else {
                self.text(device, key)
            }
        };
        let speed = |keys: [&str; 2]| {
            if empty {
                return Known::Absent;
            }
            let text = keys
                .iter()
                .find_map(|key| device.get(key))
                .unwrap_or_default();
            // `2666 MT/s`; before dmidecode 3.2 `2666 MHz`, which meant the same.
            match text
                .split_ascii_whitespace()
                .next()
                .and_then(|number| number.parse().ok())
            {
                Some(speed) => Known::Value(speed),
                None => Known::unknown(format!("{}: no `{}`", self.source(device), keys[0])),
            }
        };
        Dimm {
            source: self.source(device),
            slot: self.text(device, "Locator"),
            bank: self.text(device, "Bank Locator"),
            kind: of_module("Type").map(|kind| match &*kind {
                "Logical non-volatile device" => NON_VOLATILE.to_owned(),
                _ => kind,
            }),
            volatile_bytes: match (empty, device.get("Volatile Size")) {
                (true, _) | (_, Some("None")) => Known::Absent,
                (_, text) => match text.and_then(bytes) {
                    Some(size) => Known::Value(size),
                    None => {
                        Known::unknown(format!("{}: tells no `Volatile Size`", self.source(device)))
                    }
                },
            },
            speed_mts: speed(["Speed", "Speed"]),
            configured_speed_mts: speed(["Configured Memory Speed", "Configured Clock Speed"]),
            manufacturer: of_module("Manufacturer"),
            part_number: of_module("Part Number"),
            serial: of_module("Serial Number"),
            size_bytes,
        }
    }

    fn slot(&self, slot: &Structure<'_>) -> Slot {
        Slot {
            source: self.source(slot),
            name: self.text(slot, "Designation"),
            kind: self.text(slot, "Type"),
            in_use: match slot.get("Current Usage") {
                Some("In Use") => Known::Value(true),
                Some("Available") => Known::Value(false),
                _ => Known::unknown(format!("{}: no `Current Usage`", self.source(slot))),
            },
            pci_address: match slot.get("Bus Address") {
                Some(text) if super::is_pci_address(text) => {
                    Known::Value(text.to_ascii_lowercase())
                }
                _ => Known::Absent,
            },
        }
    }

    fn bmc(&self, device: &Structure<'_>) -> Bmc {
        let elsewhere = || format!("{}: only the machine itself tells it", self.dump.name);
        Bmc {
            sources: vec![self.source(device)],
            interface: self.text(device, "Interface Type").map(|text| {
                let word = text.split_ascii_whitespace().next().unwrap_or_default();
                word.to_owned()
            }),
            ipmi_version: self.text(device, "Specification Version"),
            has_driver: Known::unknown(elsewhere()),
            has_node: Known::unknown(elsewhere()),
            firmware_version: Known::unknown(elsewhere()),
        }
    }
}

/// `16 GB`, `16384 MB`, `512 kB`: dmidecode counts in 1024.
fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = text.split_once(' ')?;
    let shift = match unit.trim() {
        "bytes" => 0,
        "kB" => 10,
        "MB" => 20,
        "GB" => 30,
        "TB" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::dumps::Dumps;

    /// By dmidecode 3.4, shortened.
    const SERVER: &str = "\
# dmidecode 3.4
Getting SMBIOS data from sysfs.
SMBIOS 3.3.0 present.

Handle 0x0000, DMI type 0, 26 bytes
BIOS Information
\tVendor: Dell Inc.
\tVersion: 2.12.2
\tRelease Date: 07/09/2021
\tCharacteristics:
\t\tISA is supported

Handle 0x0100, DMI type 1, 27 bytes
System Information
\tManufacturer: Dell Inc.
\tProduct Name: PowerEdge R640
\tVersion: Not Specified
\tSerial Number: ABC1234
\tUUID: 4C4C4544-0042-4310-8031-B2C04F313233

Handle 0x0300, DMI type 3, 22 bytes
Chassis Information
\tManufacturer: Dell Inc.
\tType: Rack Mount Chassis
\tAsset Tag: Not Specified

Handle 0x0400, DMI type 4, 48 bytes
Processor Information
\tType: Central Processor
\tStatus: Populated, Enabled

Handle 0x0401, DMI type 4, 48 bytes
Processor Information
\tType: Central Processor
\tStatus: Unpopulated

Handle 0x0900, DMI type 9, 17 bytes
System Slot Information
\tDesignation: PCIe Slot 1
\tType: x16 PCI Express 3 x16
\tCurrent Usage: In Use
\tBus Address: 0000:3B:00.0

Handle 0x1000, DMI type 16, 23 bytes
Physical Memory Array
\tUse: System Memory
\tError Correction Type: Multi-bit ECC

Handle 0x1100, DMI type 17, 84 bytes
Memory Device
\tSize: 32 GB
\tLocator: A1
\tType: DDR4
\tSpeed: 2933 MT/s
\tConfigured Memory Speed: 2666 MT/s
\tManufacturer: 00AD00B300AD
\tSerial Number: 12345678

Handle 0x1101, DMI type 17, 84 bytes
Memory Device
\tSize: No Module Installed
\tLocator: A2
\tType: Unknown

Handle 0x2600, DMI type 38, 18 bytes
IPMI Device Information
\tInterface Type: KCS (Keyboard Control Style)
\tSpecification Version: 2.0
";

    fn facts(text: &str) -> Facts {
        let dmidecode = Some(Dump {
            name: "dmi.txt",
            text,
        });
        Dumps {
            dmidecode,
            ..Dumps::default()
        }
        .facts()
        .expect("facts")
    }

    /// A machine of 2009 has its firmware in the table, and one of 2019 persistent memory.
    #[test]
    fn flash_and_persistent_memory_are_no_main_memory() {
        let module =
            |lines: &str| format!("\nHandle 0x1102, DMI type 17, 84 bytes\nMemory Device\n{lines}");
        let installed = |more: &str| facts(&(SERVER.to_owned() + more)).memory.total_bytes;
        let ram = Known::Value(32 << 30);
        assert_eq!(installed(""), ram);
        let flash = module("\tSize: 2 MB\n\tLocator: SYSTEM ROM\n\tType: Flash\n");
        assert_eq!(installed(&flash), ram);
        let optane = |volatile: &str| {
            module(&format!(
                "\tSize: 512 GB\n\tType: Logical non-volatile device\n\tVolatile Size: {volatile}\n"
            ))
        };
        assert_eq!(installed(&optane("None")), ram);
        assert_eq!(installed(&optane("502 GB")), Known::Value(534 << 30));
        assert!(installed(&optane("Unknown")).is_unknown());
        let only_flash = SERVER.replace("Size: 32 GB", "Size: No Module Installed") + &flash;
        assert!(facts(&only_flash).memory.total_bytes.is_unknown());
    }

    #[test]
    fn dumps_of_two_machines_are_refused() {
        let both = SERVER.repeat(2);
        let dmidecode = Some(Dump {
            name: "dmi.txt",
            text: &both,
        });
        let dumps = Dumps {
            dmidecode,
            ..Dumps::default()
        };
        let error = dumps.facts().expect_err("two").to_string();
        assert!(error.contains("several machines"), "{error}");
    }

    #[test]
    fn a_server() {
        let facts = facts(SERVER);
        let text = |text: &str| Known::Value(text.to_owned());
        assert_eq!(facts.dmi.product, text("PowerEdge R640"));
        assert_eq!(facts.dmi.uuid, text("4c4c4544-0042-4310-8031-b2c04f313233"));
        assert_eq!(facts.dmi.chassis.kind, text("rack mount"));
        assert_eq!(facts.dmi.chassis.asset_tag, Known::Absent);
        assert_eq!(facts.dmi.smbios_version, text("3.3.0"));
        assert_eq!(
            facts.topology.sockets,
            Known::Value(1),
            "the second socket is empty"
        );
        assert_eq!(facts.memory.total_bytes, Known::Value(32 << 30));
        assert_eq!(
            facts.memory.error_correction,
            Known::Value(ErrorCorrection::MultiBit)
        );
        let dimms = facts.memory.dimms.value().expect("dimms");
        assert_eq!(
            (&dimms[0].speed_mts, &dimms[0].configured_speed_mts),
            (&Known::Value(2933), &Known::Value(2666))
        );
        assert_eq!(
            (&dimms[1].size_bytes, &dimms[1].kind),
            (&Known::Absent, &Known::Absent)
        );
        let slots = facts.slots.value().expect("slots");
        assert_eq!(slots[0].pci_address, text("0000:3b:00.0"));
        assert_eq!(facts.bmc.value().expect("bmc").interface, text("KCS"));
    }

    #[test]
    fn sizes() {
        assert_eq!(bytes("16384 MB"), Some(16 << 30));
        assert_eq!(bytes("18446744073709551615 TB"), None);
        assert_eq!(bytes("Unknown"), None);
        let unknown = SERVER.replace("Size: 32 GB", "Size: Unknown");
        assert!(facts(&unknown).memory.total_bytes.is_unknown());
    }

    #[test]
    fn what_is_no_dump() {
        let of = |text| {
            let dmidecode = Some(Dump {
                name: "dmi.txt",
                text,
            });
            Dumps {
                dmidecode,
                ..Dumps::default()
            }
            .facts()
            .expect_err("no dump")
            .to_string()
        };
        assert!(of("").contains("no `Handle`"));
        assert!(of("/dev/mem: Permission denied\n").contains("not allowed"));
        assert!(of("Handle 0x1, nonsense\n").contains("dmi.txt:1: a handle without"));
    }
}
