//! Everything that is known about a machine: plain data, read passively through one [`Root`].
//!
//! Each group of facts carries where it was read. No device node is opened and nothing is woken, unless [`Depth::Deep`] is
//! asked for: nearly all of this comes from the kernel's memory. What may take long (programs of Xen, drivers) has a limit.

mod acpi;
mod apic;
mod bedplate_host;
mod bmc;
mod context;
mod cpu;
mod cpuid;
mod cpuinfo;
mod dimm;
mod disk;
mod disk_identity;
mod disk_partition;
mod disk_paths;
mod dmi;
mod dumps;
mod ethtool;
mod firmware;
mod from_dmidecode;
mod from_lscpu;
mod from_lspci;
mod iommu_group;
mod limit;
mod list;
mod memory;
mod mounts;
mod name_order;
mod nic;
mod numa;
mod oem_strings;
mod pci;
mod pci_config;
mod pci_json;
mod probes;
mod slot;
mod smbios;
mod topology;
mod udev;
mod xen;

pub use acpi::{Acpi, Iommu, IommuKind};
pub use bedplate_host::BedplateHost;
pub use bmc::Bmc;
pub use context::Context;
pub use cpu::{Cpu, Virtualization, Vulnerability};
pub use dimm::{Dimm, ErrorCorrection};
pub use disk::{Disk, DiskKind, Transport};
pub use disk_partition::{Content, Partition};
pub use dmi::{Chassis, Dmi};
pub use dumps::{Dump, DumpError, Dumps, LIMIT as DUMP_LIMIT};
pub use firmware::{Firmware, FirmwareKind, Tpm};
pub use memory::Memory;
pub use name_order::natural;
pub use nic::{Nic, NicKind};
pub use numa::NumaNode;
pub use oem_strings::{SMBIOS_TABLE, oem_strings};
pub use pci::{PciFunction, PciIds, Sriov};
pub use pci_config::{Acs, PcieLink};
pub use probes::Depth;
pub use slot::Slot;
pub use topology::{CountMethod, SocketCount, Topology};
pub use xen::Xen;

use crate::json_text;
use crate::known::Known;
use crate::root::Root;
use cpuinfo::CpuInfo;
use probes::{Probes, Purpose, ThisMachine};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smbios::Table;
use thiserror::Error;

/// Version of the facts' form. It rises when a field changes its meaning; new fields do not raise it.
pub const SCHEMA: u32 = 1;

/// The facts about one machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Facts {
    /// [`SCHEMA`] of the program that wrote them.
    pub schema: u32,
    /// Bare metal, a virtual machine, or Xen's dom0.
    pub context: Known<Context>,
    /// Release of the running kernel. Source: `/proc/sys/kernel/osrelease`.
    pub kernel_release: Known<String>,
    /// The processors' kind.
    pub cpu: Cpu,
    /// Their number.
    pub topology: Topology,
    /// Main memory.
    pub memory: Memory,
    /// System, board and firmware by name.
    pub dmi: Dmi,
    /// How the machine booted.
    pub firmware: Firmware,
    /// The trusted platform module; `Absent` where there is none.
    pub tpm: Known<Tpm>,
    /// What ACPI says about IOMMU and CPUs.
    pub acpi: Acpi,
    /// The baseboard management controller; `Absent` where firmware and kernel know of none.
    pub bmc: Known<Bmc>,
    /// The hypervisor that runs; `Absent` outside of dom0.
    pub xen: Known<Xen>,
    /// Expansion slots by the firmware's table.
    #[serde(deserialize_with = "list::few")]
    pub slots: Known<Vec<Slot>>,
    /// Every PCI function, by address.
    #[serde(deserialize_with = "list::functions")]
    pub pci: Known<Vec<PciFunction>>,
    /// Disks and optical drives, in the order in which the kernel counts their names.
    #[serde(deserialize_with = "list::few")]
    pub disks: Known<Vec<Disk>>,
    /// Network interfaces with a device behind them, by name.
    #[serde(deserialize_with = "list::few")]
    pub nics: Known<Vec<Nic>>,
}

/// Why a facts file was refused.
#[derive(Debug, Error)]
pub enum FactsError {
    /// It is no facts file.
    #[error("these are no facts: {0}; make them with `hcl-checker facts --json`")]
    Json(#[from] serde_json::Error),
    /// Another program version wrote it.
    #[error(
        "these facts have schema {found}, this program reads {SCHEMA}; make them anew with its own `facts --json`"
    )]
    Schema {
        /// What the file says; 0 where it says nothing.
        found: u32,
    },
}

impl Facts {
    /// Reads all facts passively. This never fails: what cannot be read is unknown, with the reason.
    pub fn read(root: &Root) -> Self {
        Self::read_with(root, Depth::Passive)
    }

    /// Reads all facts as deeply as told. A captured tree has what was recorded, whatever the depth.
    pub fn read_with(root: &Root, depth: Depth) -> Self {
        Self::of(&Probes::new(root, depth, &ThisMachine))
    }

    /// Reads what a verdict asks for, passively; everything else is unknown. Three of four files tell nothing that is judged, and
    /// reading them takes most of the time of a check. `revision` says of which functions the list asks for the revision, as
    /// [`List::asks_revision`](crate::list::List::asks_revision) does.
    pub fn read_for_verdict(root: &Root, revision: &dyn Fn(&PciIds) -> bool) -> Self {
        let probes = Probes::new(root, Depth::Passive, &ThisMachine);
        Self::of(&probes.with(Purpose::Verdict { revision }))
    }

    fn of(probes: &Probes<'_>) -> Self {
        let root = probes.root;
        let cpuinfo = CpuInfo::read(root);
        let table = Table::read(root);
        let context = context::read(root, &cpuinfo);
        let xen = xen::ask(probes, &context);
        let facts = Self {
            schema: SCHEMA,
            cpu: cpu::read(probes, &context, &cpuinfo, &xen),
            topology: topology::read(probes, &context, &cpuinfo, &xen, &table),
            memory: memory::read(root, &context, &xen, &table),
            xen: xen.map(|xen| xen.facts()),
            context,
            kernel_release: attribute(root, "/proc/sys/kernel/osrelease"),
            dmi: dmi::read(probes),
            acpi: acpi::read(probes),
            disks: disk::read(probes),
            nics: nic::read(probes),
            ..Self::default()
        };
        if let Purpose::Verdict { revision } = probes.purpose {
            let pci = pci::read_for_verdict(root, revision);
            return Self { pci, ..facts };
        }
        let slots = slot::read(&table);
        Self {
            firmware: firmware::read(root),
            tpm: firmware::read_tpm(root),
            bmc: bmc::read(probes, &table),
            pci: pci::read(probes, &slots),
            slots,
            ..facts
        }
    }

    /// Reads facts that were saved as JSON. What the file does not mention is unknown.
    ///
    /// # Errors
    /// It is no JSON of this form, or has another schema.
    pub fn from_json(json: &[u8]) -> Result<Self, FactsError> {
        let facts = Self::from_text(json_text::utf8(json)?)?;
        if facts.schema != SCHEMA {
            return Err(FactsError::Schema {
                found: facts.schema,
            });
        }
        Ok(facts)
    }

    /// Reads facts that were saved as JSON to be judged: without those PCI functions that a verdict does not look at, which of a
    /// server nearly all are. `wanted` is given the numbers of a function and its revision, if that is known, and says whether it
    /// is looked at for its own sake, as [`looks_at`](crate::verdict::looks_at) does.
    ///
    /// # Errors
    /// As [`Facts::from_json`].
    pub fn from_json_for_verdict(
        json: &[u8],
        wanted: &dyn Fn(&PciIds, Option<u8>) -> bool,
    ) -> Result<Self, FactsError> {
        match Self::quickly(json_text::utf8(json)?, wanted) {
            // A disk may hang on any function, which is looked at then.
            Some((facts, others)) if facts.schema == SCHEMA && !facts.has_a_disk_on(&others) => {
                Ok(facts)
            }
            _ => Self::from_json(json),
        }
    }

    fn has_a_disk_on(&self, addresses: &[&str]) -> bool {
        let disks = self.disks.value().into_iter().flatten();
        disks
            .filter_map(|disk| disk.pci_address.value())
            .any(|address| addresses.contains(&address.as_str()))
    }

    /// As serde reads it, and most of it quicker.
    fn from_text(text: &str) -> serde_json::Result<Self> {
        match Self::quickly(text, &|_, _| true) {
            Some((facts, _)) => Ok(facts),
            None => serde_json::from_str(text),
        }
    }

    /// With the PCI functions that are wanted, and the addresses of the others; nothing where serde has to read it or to say what
    /// is wrong.
    fn quickly<'a>(text: &'a str, wanted: pci_json::Wanted<'_>) -> Option<(Self, Vec<&'a str>)> {
        let taken = pci_json::take(text, wanted)?;
        let mut facts: Self = serde_json::from_str(&taken.rest).ok()?;
        facts.pci = Known::Value(taken.functions);
        Some((facts, taken.others))
    }

    /// The PCI function at `address`.
    pub fn pci_function(&self, address: &str) -> Option<&PciFunction> {
        self.pci
            .value()?
            .iter()
            .find(|function| function.address == address)
    }
}

/// A short text; a missing file is unknown.
fn attribute(root: &Root, path: &str) -> Known<String> {
    root.attribute(path).into()
}

/// A short text whose file is missing or empty where the thing does not exist.
fn optional_attribute(root: &Root, path: &str) -> Known<String> {
    match root.attribute(path) {
        Ok(text) if text.is_empty() => Known::Absent,
        Ok(text) => Known::Value(text),
        Err(error) if error.is_missing() => Known::Absent,
        Err(error) => Known::unknown(error.to_string()),
    }
}

/// A decimal number.
fn number<T: std::str::FromStr>(root: &Root, path: &str) -> Known<T> {
    attribute(root, path).and_then(|text| parse(path, &text))
}

/// `0` or `1`.
fn flag(root: &Root, path: &str) -> Known<bool> {
    number::<u8>(root, path).and_then(|value| match value {
        0 => Known::Value(false),
        1 => Known::Value(true),
        other => Known::unknown(format!("{path}: {other} is neither 0 nor 1")),
    })
}

/// Text as a number; the reason names where it stood.
fn parse<T: std::str::FromStr>(source: &str, text: &str) -> Known<T> {
    match text.parse() {
        Ok(value) => Known::Value(value),
        Err(_) => Known::unknown(format!("{source}: `{}` is no such number", shorten(text))),
    }
}

/// The name that a link of /sys points to; without the link there is none.
fn link(root: &Root, path: &str) -> Known<String> {
    match root.link_name(path) {
        Ok(name) => Known::Value(name),
        Err(error) if error.is_missing() => Known::Absent,
        Err(error) => Known::unknown(error.to_string()),
    }
}

/// The PCI function nearest to a device, from the parts of its real path.
fn pci_address_in(real_path: &str) -> Option<&str> {
    real_path.rsplit('/').find(|part| is_pci_address(part))
}

/// `0000:00:1f.2`; the domain may be longer than four digits (Intel VMD).
fn is_pci_address(text: &str) -> bool {
    let Some((rest, function)) = text.split_once('.') else {
        return false;
    };
    let mut fields = rest.split(':');
    let (Some(domain), Some(bus), Some(slot), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return false;
    };
    let hex = |field: &str| field.bytes().all(|byte| byte.is_ascii_hexdigit());
    (4..=8).contains(&domain.len())
        && bus.len() == 2
        && slot.len() == 2
        && function.len() == 1
        && hex(domain)
        && hex(bus)
        && hex(slot)
        && hex(function)
}

/// A text for an error message.
fn shorten(text: &str) -> String {
    if text.chars().count() <= 60 {
        text.to_owned()
    } else {
        text.chars().take(60).chain("...".chars()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pci_addresses() {
        assert!(is_pci_address("0000:00:1f.2") && is_pci_address("10000:e1:00.0"));
        assert!(
            !is_pci_address("0000:00") && !is_pci_address("host0") && !is_pci_address("pci0000:00")
        );
        assert!(!is_pci_address("0000:00:1f.2.3") && !is_pci_address(""));
        let path = "/sys/devices/pci0000:00/0000:00:1c.0/0000:03:00.0/ata1/host0/block/sda";
        assert_eq!(pci_address_in(path), Some("0000:03:00.0"));
        assert_eq!(pci_address_in("/sys/devices/virtual/block/loop0"), None);
    }

    #[test]
    fn other_schemas_are_refused() {
        assert!(matches!(
            Facts::from_json(b"{}"),
            Err(FactsError::Schema { found: 0 })
        ));
        assert!(matches!(
            Facts::from_json(b"{\"schema\": 99}"),
            Err(FactsError::Schema { found: 99 })
        ));
        assert!(matches!(
            Facts::from_json(b"nonsense"),
            Err(FactsError::Json(_))
        ));
        let facts = Facts::from_json(b"{\"schema\": 1, \"from_the_future\": 1}")
            .expect("new fields are no harm");
        assert!(facts.disks.is_unknown() && facts.cpu.vendor.is_unknown());
    }

    proptest! {
        #[test]
        fn addresses_never_panic(text in "\\PC{0,30}") {
            let _ = is_pci_address(&text);
            let _ = pci_address_in(&text);
        }
    }
}
