//! PCI functions from what `lspci` printed.
//!
//! Source: pciutils, `lspci.c` (`show_terse`, `show_verbose`, `show_machine`) and `ls-kernel.c`. Four forms are read: lines
//! with numbers (`-nn`, and `-n`), the same with drivers (`-nnk`), with everything (`-vvnn`), and the records of `-vmm` with
//! numbers. Names alone tell nothing that can be looked up, so a dump without numbers is refused.

use super::dumps::{Dump, DumpError, value};
use super::{PciFunction, PciIds, Sriov};
use crate::hex;
use crate::known::Known;
use std::collections::BTreeSet;

/// The largest machines have some 13,000 functions; a dump with more than this is none of one machine.
const MOST_FUNCTIONS: usize = 65_536;
const HOW: &str = "make the dump with `lspci -nnk`, `lspci -vmmnnk` or `lspci -vvnn`, as root";

/// All functions of the dump, in its order.
pub(super) fn read(dump: &Dump<'_>) -> Result<Vec<PciFunction>, DumpError> {
    let records = dump.text.lines().any(|line| line.starts_with("Slot:\t"));
    let functions = if records {
        by_records(dump)?
    } else {
        by_lines(dump)?
    };
    if functions.is_empty() {
        return Err(dump.error(1, "it names no PCI function", HOW));
    }
    let mut seen = BTreeSet::new();
    for function in &functions {
        if !seen.insert(&function.address) {
            let problem = format!(
                "{} stands there twice, as if of two machines",
                function.address
            );
            return Err(dump.error(1, problem, "give the dump of one machine"));
        }
    }
    Ok(functions)
}

/// What one function's lines told so far.
#[derive(Default)]
struct Told {
    line: usize,
    address: String,
    ids: PciIds,
    revision: u8,
    driver: Option<String>,
    numa_node: Option<u32>,
    iommu_group: Option<u32>,
    slot: Option<String>,
    sriov: Option<Sriov>,
    /// It showed the details of `-v`, which name an interface where it is not 0.
    verbose: bool,
    interface_told: bool,
}

impl Told {
    fn function(self, dump: &Dump<'_>, drivers_told: bool) -> PciFunction {
        let not_told = |what: &str| format!("{}: does not tell {what}; {HOW}", dump.name);
        let or_not_told = |known: Option<u32>, what: &str| {
            known.map_or_else(|| Known::unknown(not_told(what)), Known::Value)
        };
        let ids = PciIds {
            interface_unknown: !self.interface_told && !self.verbose,
            ..self.ids
        };
        PciFunction {
            source: format!("{}:{}", dump.name, self.line),
            address: self.address,
            modalias: if ids.interface_unknown {
                Known::unknown(not_told("the programming interface"))
            } else {
                Known::Value(ids.to_modalias())
            },
            ids: Known::Value(ids),
            revision: Known::Value(self.revision),
            driver: match self.driver {
                Some(driver) => Known::Value(driver),
                None if drivers_told => Known::Absent,
                None => Known::unknown(not_told("drivers")),
            },
            numa_node: or_not_told(self.numa_node, "the NUMA node"),
            iommu_group: or_not_told(self.iommu_group, "the IOMMU group"),
            slot: self
                .slot
                .map_or_else(|| Known::unknown(not_told("the slot")), Known::Value),
            sriov: match self.sriov {
                Some(sriov) => Known::Value(sriov),
                None => Known::unknown(not_told("virtual functions")),
            },
            ..PciFunction::default()
        }
    }
}

/// Lines that begin with an address, and indented details below each.
fn by_lines(dump: &Dump<'_>) -> Result<Vec<PciFunction>, DumpError> {
    let mut all: Vec<Told> = Vec::new();
    let mut drivers_told = false;
    for (number, line) in dump
        .text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
    {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            let Some(told) = all.last_mut() else {
                return Err(dump.error(number, "details of no function", HOW));
            };
            drivers_told |= detail(line.trim(), told);
            continue;
        }
        if all.len() == MOST_FUNCTIONS {
            return Err(dump.error(number, "more functions than any machine has", HOW));
        }
        all.push(head(dump, number, line)?);
    }
    Ok(all
        .into_iter()
        .map(|told| told.function(dump, drivers_told))
        .collect())
}

/// `00:1f.2 SATA controller [0106]: Intel Corporation ICH9 [8086:2922] (rev 02) (prog-if 01 [AHCI 1.0])`.
fn head(dump: &Dump<'_>, line: usize, text: &str) -> Result<Told, DumpError> {
    let Some((address, rest)) = text
        .split_once(' ')
        .and_then(|(first, rest)| Some((address(first)?, rest)))
    else {
        return Err(dump.error(line, "a line that begins with no PCI address", HOW));
    };
    let mut told = Told {
        line,
        address,
        ..Told::default()
    };
    let numbers = named(rest).or_else(|| bare(rest));
    let Some((class, vendor, device)) = numbers else {
        return Err(dump.error(
            line,
            "names without the numbers of class, vendor and device",
            HOW,
        ));
    };
    told.ids.class = u32::from(class) << 8;
    (told.ids.vendor, told.ids.device) = (vendor, device);
    // Behind the numbers: names may hold parentheses as well.
    let tail = &rest[rest
        .rfind("(rev ")
        .or(rest.rfind("(prog-if "))
        .unwrap_or(rest.len())..];
    if let Some(digits) = between(tail, "(rev ", ")") {
        told.revision = hex::parse_as(digits).unwrap_or_default();
    }
    if let Some(digits) = tail.split_once("(prog-if ").map(|(_, rest)| rest) {
        let digits: String = digits.chars().take_while(char::is_ascii_hexdigit).collect();
        if let Some(interface) = hex::parse_as::<u8>(&digits) {
            told.ids.class |= u32::from(interface);
            told.interface_told = true;
        }
    }
    Ok(told)
}

/// Numbers behind names: the class in the first brackets before a colon, vendor and device in the last ones.
fn named(text: &str) -> Option<(u16, u16, u16)> {
    let (class, rest) = text.split_once("]: ")?;
    let (_, class) = class.rsplit_once('[')?;
    let class = four(class)?;
    let (vendor, device) = pair_in_brackets(rest)?;
    Some((class, vendor, device))
}

/// `0106: 8086:2922`, as `-n` prints it.
fn bare(text: &str) -> Option<(u16, u16, u16)> {
    let mut words = text.split_ascii_whitespace();
    let class = four(words.next()?.strip_suffix(':')?)?;
    let (vendor, device) = pair(words.next()?)?;
    Some((class, vendor, device))
}

/// One line of details; true where it tells of drivers.
fn detail(text: &str, told: &mut Told) -> bool {
    let (key, content) = text.split_once(':').unwrap_or((text, ""));
    let content = content.trim();
    match key {
        "Subsystem" => {
            let ids = pair_in_brackets(content).or_else(|| pair(content));
            if let Some((vendor, device)) = ids {
                told.ids.subsystem_vendor = Some(vendor);
                told.ids.subsystem_device = Some(device);
            }
        }
        // `-v` prints one of them for every function; only what is not 0 has a `prog-if` then.
        "Flags" | "Control" => told.verbose = true,
        "Kernel driver in use" => {
            told.driver = Some(value(content));
            return true;
        }
        "Kernel modules" => return true,
        "NUMA node" => told.numa_node = content.parse().ok(),
        "IOMMU group" => told.iommu_group = content.parse().ok(),
        "Physical Slot" => told.slot = Some(value(content)),
        "Initial VFs" => told.sriov = sriov(text),
        _ => {}
    }
    false
}

/// `Initial VFs: 64, Total VFs: 64, Number of VFs: 0, Function Dependency Link: 00`.
fn sriov(text: &str) -> Option<Sriov> {
    let field = |name: &str| {
        let (_, rest) = text.split_once(name)?;
        rest.split(',').next()?.trim().parse().ok()
    };
    Some(Sriov {
        total: field("Total VFs:")?,
        enabled: field("Number of VFs:")?,
    })
}

/// Records of `-vmm`: `Key:\tvalue`, an empty line behind each.
fn by_records(dump: &Dump<'_>) -> Result<Vec<PciFunction>, DumpError> {
    let mut all: Vec<Told> = Vec::new();
    let mut drivers_told = false;
    let mut open = false;
    for (number, line) in dump
        .text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
    {
        if line.trim().is_empty() {
            open = false;
            continue;
        }
        let Some((key, content)) = line.split_once(':') else {
            return Err(dump.error(number, "neither a record of lspci nor an empty line", HOW));
        };
        let content = content.trim();
        if key == "Slot" {
            let Some(address) = address(content) else {
                return Err(dump.error(number, "no PCI address", HOW));
            };
            if all.len() == MOST_FUNCTIONS {
                return Err(dump.error(number, "more functions than any machine has", HOW));
            }
            // An interface or a revision of 0 is left out.
            all.push(Told {
                line: number,
                address,
                interface_told: true,
                ..Told::default()
            });
            open = true;
            continue;
        }
        let Some(told) = all.last_mut().filter(|_| open) else {
            return Err(dump.error(number, "a record that does not begin with `Slot:`", HOW));
        };
        drivers_told |= matches!(key, "Driver" | "Module");
        let number_of = || number_in(content);
        match key {
            "Class" | "Vendor" | "Device" => {
                let Some(id) = number_of() else {
                    return Err(dump.error(number, format!("{key} without its number"), HOW));
                };
                match key {
                    "Class" => told.ids.class |= u32::from(id) << 8,
                    "Vendor" => told.ids.vendor = id,
                    _ => told.ids.device = id,
                }
            }
            "SVendor" => told.ids.subsystem_vendor = number_of(),
            "SDevice" => told.ids.subsystem_device = number_of(),
            "Rev" => told.revision = hex::parse_as(content).unwrap_or_default(),
            "ProgIf" => told.ids.class |= hex::parse_as::<u8>(content).map_or(0, u32::from),
            "Driver" => told.driver = Some(value(content)),
            "NUMANode" => told.numa_node = content.parse().ok(),
            "IOMMUGroup" => told.iommu_group = content.parse().ok(),
            "PhySlot" => told.slot = Some(value(content)),
            _ => {}
        }
    }
    if let Some(told) = all
        .iter()
        .find(|told| told.ids.vendor == 0 && told.ids.class == 0)
    {
        return Err(dump.error(told.line, "a function without class and vendor", HOW));
    }
    Ok(all
        .into_iter()
        .map(|told| told.function(dump, drivers_told))
        .collect())
}

/// With its domain, which lspci leaves out where every function is in domain 0.
fn address(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let whole = if text.matches(':').count() == 1 {
        format!("0000:{text}")
    } else {
        text
    };
    super::is_pci_address(&whole).then_some(whole)
}

/// Four hexadecimal digits.
fn four(text: &str) -> Option<u16> {
    (text.len() == 4).then(|| hex::parse_as(text)).flatten()
}

/// `8086:2922`.
fn pair(text: &str) -> Option<(u16, u16)> {
    let (vendor, device) = text.split_ascii_whitespace().next()?.split_once(':')?;
    Some((four(vendor)?, four(device)?))
}

/// The last `[8086:2922]`: names hold brackets too (`82801IR [AHCI mode] [8086:2922]`).
fn pair_in_brackets(text: &str) -> Option<(u16, u16)> {
    let mut rest = text;
    while let Some((before, behind)) = rest.rsplit_once('[') {
        if let Some(found) = behind.split(']').next().and_then(pair) {
            return Some(found);
        }
        rest = before;
    }
    None
}

/// `Intel Corporation [8086]` or `8086`.
fn number_in(text: &str) -> Option<u16> {
    match text.rsplit_once('[') {
        Some((_, digits)) => four(digits.split(']').next()?),
        None => four(text),
    }
}

fn between<'a>(text: &'a str, before: &str, behind: &str) -> Option<&'a str> {
    text.split_once(before)?
        .1
        .split_once(behind)
        .map(|(found, _)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions(text: &str) -> Vec<PciFunction> {
        read(&Dump {
            name: "lspci.txt",
            text,
        })
        .expect("a dump")
    }

    fn refused(text: &str) -> String {
        read(&Dump {
            name: "lspci.txt",
            text,
        })
        .expect_err("no dump")
        .to_string()
    }

    const SATA: &str = "00:1f.2 SATA controller [0106]: Intel Corporation 82801IR/IO/IH (ICH9R/DO/DH) 6 port SATA Controller [AHCI mode] [8086:2922] (rev 02)";

    #[test]
    fn short_lines() {
        let found = functions(SATA);
        let [sata] = found.as_slice() else {
            panic!("{found:?}")
        };
        let ids = sata.ids.value().expect("ids");
        assert_eq!(
            (ids.vendor, ids.device, ids.class),
            (0x8086, 0x2922, 0x01_0600)
        );
        assert!(ids.interface_unknown && ids.subsystem_vendor.is_none());
        assert_eq!(sata.address, "0000:00:1f.2");
        assert_eq!(sata.revision, Known::Value(2));
        assert!(sata.driver.is_unknown() && sata.modalias.is_unknown());
        assert_eq!(sata.source, "lspci.txt:1");
        let numbers = functions("0001:3b:00.0 0200: 15b3:1015\n");
        assert_eq!(numbers[0].address, "0001:3b:00.0");
        assert_eq!(
            numbers[0].ids.value().map(|ids| (ids.vendor, ids.class)),
            Some((0x15b3, 0x02_0000))
        );
    }

    #[test]
    fn drivers() {
        let text = format!(
            "{SATA}\n\tSubsystem: Red Hat, Inc. QEMU Virtual Machine [1af4:1100]\n\tKernel driver in use: ahci\n\tKernel modules: ahci\n\
             00:1f.3 SMBus [0c05]: Intel Corporation 82801I (ICH9 Family) SMBus Controller [8086:2930] (rev 02)\n"
        );
        let found = functions(&text);
        assert_eq!(found[0].driver, Known::Value("ahci".to_owned()));
        assert_eq!(
            found[0].ids.value().and_then(|ids| ids.subsystem_device),
            Some(0x1100)
        );
        assert_eq!(
            found[1].driver,
            Known::Absent,
            "drivers are told, and it has none"
        );
    }

    #[test]
    fn all_details() {
        let text = "02:00.0 Non-Volatile memory controller [0108]: Samsung Electronics Co Ltd NVMe SSD Controller [144d:a80a] (prog-if 02 [NVM Express])\n\
                    \tSubsystem: Samsung Electronics Co Ltd SSD 980 PRO [144d:a801]\n\tPhysical Slot: 3\n\tControl: I/O- Mem+ BusMaster+\n\
                    \tNUMA node: 1\n\tIOMMU group: 40\n\tCapabilities: [168 v1] Single Root I/O Virtualization (SR-IOV)\n\
                    \t\tIOVCap:\tMigration- 10BitTagReq-\n\t\tInitial VFs: 8, Total VFs: 16, Number of VFs: 2, Function Dependency Link: 00\n\
                    \tKernel driver in use: nvme\n\n\
                    00:00.0 Host bridge [0600]: Intel Corporation Device [8086:29c0]\n\tControl: I/O- Mem-\n";
        let found = functions(text);
        assert_eq!(
            found[0].modalias,
            Known::Value("pci:v0000144Dd0000A80Asv0000144Dsd0000A801bc01sc08i02".to_owned())
        );
        assert_eq!(
            found[0].sriov,
            Known::Value(Sriov {
                total: 16,
                enabled: 2
            })
        );
        assert_eq!(
            (&found[0].numa_node, &found[0].iommu_group),
            (&Known::Value(1), &Known::Value(40))
        );
        assert_eq!(found[0].slot, Known::Value("3".to_owned()));
        // With details an interface of 0 without a name is not printed.
        assert!(!found[1].ids.value().expect("ids").interface_unknown);
    }

    #[test]
    fn records() {
        let text = "Slot:\t00:1f.2\nClass:\tSATA controller [0106]\nVendor:\tIntel Corporation [8086]\nDevice:\tICH9 [AHCI mode] [2922]\n\
                    SVendor:\tRed Hat, Inc. [1af4]\nSDevice:\tQEMU [1100]\nRev:\t02\nProgIf:\t01\nDriver:\tahci\nModule:\tahci\nNUMANode:\t0\n\n\
                    Slot:\t00:00.0\nClass:\t0600\nVendor:\t8086\nDevice:\t29c0\n";
        let found = functions(text);
        assert_eq!(
            found[0].modalias,
            Known::Value("pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01".to_owned())
        );
        assert_eq!(found[0].driver, Known::Value("ahci".to_owned()));
        assert_eq!(found[1].driver, Known::Absent);
        assert_eq!(found[1].ids.value().map(|ids| ids.class), Some(0x06_0000));
    }

    #[test]
    fn what_is_no_dump() {
        for (text, part) in [
            ("", "names no PCI function"),
            (
                "00:1f.2 SATA controller: Intel Corporation ICH9\n",
                "lspci.txt:1: names without the numbers",
            ),
            ("hello world\n", "begins with no PCI address"),
            ("\tKernel driver in use: x\n", "details of no function"),
            (
                "Slot:\t00:1f.2\nClass:\tSATA controller\n",
                "lspci.txt:2: Class without its number",
            ),
            ("Slot:\tnowhere\n", "no PCI address"),
            ("Slot:\t00:00.0\nDriver:\tx\n", "without class and vendor"),
        ] {
            let error = refused(text);
            assert!(error.contains(part), "{text:?}: {error}");
        }
        let twice = format!("{SATA}\n{SATA}\n");
        assert!(refused(&twice).contains("0000:00:1f.2 stands there twice"));
    }
}
