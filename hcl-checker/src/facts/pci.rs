//! Every PCI function.

use super::iommu_group::{self, Member};
use super::pci_config::{self, Acs, Parsed, PcieLink};
use super::probes::{PROBE, Probes};
use super::slot::Slot;
use super::{attribute, is_pci_address, limit, link, number};
use crate::hex;
use crate::known::Known;
use crate::pci_names;
use crate::root::Root;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const FOLDER: &str = "/sys/bus/pci/devices";
/// Slots by the kernel's hotplug and ACPI drivers.
const SLOTS: &str = "/sys/bus/pci/slots";
/// A function's uevent has some 10 lines.
const UEVENT: usize = 64 * 1024;

/// One function of a PCI device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PciFunction {
    /// Where this was read.
    pub source: String,
    /// `0000:00:1f.2`.
    pub address: String,
    /// What it is.
    pub ids: Known<PciIds>,
    /// Revision of the silicon.
    pub revision: Known<u8>,
    /// What the kernel finds a driver by.
    pub modalias: Known<String>,
    /// The bound driver.
    pub driver: Known<String>,
    /// Where it hangs; `Absent` where the firmware does not say.
    pub numa_node: Known<u32>,
    /// Number of the IOMMU group; `Absent` without an IOMMU in use, and always in dom0.
    pub iommu_group: Known<u32>,
    /// Number of the group by ACS and topology, as the kernel would make them; `Absent` where the kernel has made them.
    pub computed_group: Known<u32>,
    /// Whether it is part of a device with several functions.
    pub multifunction: Known<bool>,
    /// Its PCI Express link; `Absent` for conventional PCI and for parts of the root complex.
    pub link: Known<PcieLink>,
    /// Access control services; `Absent` where it has none.
    pub acs: Known<Acs>,
    /// Virtual functions that it can have; `Absent` where it can have none.
    pub sriov: Known<Sriov>,
    /// The physical function that it is a virtual one of; `Absent` for all others.
    pub physical_function: Known<String>,
    /// Name of the slot that it is in, or of the slot above; `Absent` for what is soldered on.
    pub slot: Known<String>,
}

/// Virtual functions of a function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sriov {
    /// As many as it can have.
    pub total: u32,
    /// As many as it has now.
    pub enabled: u32,
}

/// The numbers that name a PCI function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct PciIds {
    /// Maker of the chip.
    #[serde(with = "hex")]
    #[schemars(with = "String")]
    pub vendor: u16,
    /// The chip.
    #[serde(with = "hex")]
    #[schemars(with = "String")]
    pub device: u16,
    /// Maker of the card.
    #[serde(with = "hex::option", default)]
    #[schemars(with = "Option<String>")]
    pub subsystem_vendor: Option<u16>,
    /// The card.
    #[serde(with = "hex::option", default)]
    #[schemars(with = "Option<String>")]
    pub subsystem_device: Option<u16>,
    /// Class, subclass and interface: `0x010802` is NVMe.
    #[serde(with = "hex")]
    #[schemars(with = "String")]
    pub class: u32,
    /// The interface in `class` was not told (a dump by `lspci -nn`), and is 0 there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interface_unknown: bool,
}

impl PciIds {
    /// Class and subclass: `0x0108` is non-volatile memory.
    pub fn subclass(&self) -> u16 {
        (self.class >> 8) as u16
    }

    /// Class: 1 is storage, 2 is network.
    pub fn base_class(&self) -> u8 {
        (self.class >> 16) as u8
    }

    /// Name of the subclass by the public database of PCI ids: `Ethernet controller`.
    pub fn class_name(&self) -> Option<&'static str> {
        pci_names::class(self.base_class(), self.subclass() as u8)
    }

    /// The modalias that the kernel makes of them; what is not known of the card is 0 there.
    pub fn to_modalias(&self) -> String {
        let (base, sub, interface) = (self.base_class(), self.subclass() & 0xff, self.class & 0xff);
        format!(
            "pci:v{:08X}d{:08X}sv{:08X}sd{:08X}bc{base:02X}sc{sub:02X}i{interface:02x}",
            self.vendor,
            self.device,
            self.subsystem_vendor.unwrap_or_default(),
            self.subsystem_device.unwrap_or_default(),
        )
    }

    /// Reads them from a modalias: `pci:v00008086d000010D3sv00008086sd00000000bc02sc00i00`.
    pub fn from_modalias(modalias: &str) -> Option<Self> {
        let mut rest = modalias.trim().strip_prefix("pci:")?;
        let mut field = |name: &str, width: usize| -> Option<u32> {
            let (digits, behind) = rest.strip_prefix(name)?.split_at_checked(width)?;
            rest = behind;
            hex::parse_as(digits)
        };
        let id = |number: u32| u16::try_from(number).ok();
        let vendor = id(field("v", 8)?)?;
        let device = id(field("d", 8)?)?;
        let subsystem_vendor = Some(id(field("sv", 8)?)?);
        let subsystem_device = Some(id(field("sd", 8)?)?);
        let class = (field("bc", 2)? << 16) | (field("sc", 2)? << 8) | field("i", 2)?;
        rest.is_empty().then_some(Self {
            vendor,
            device,
            subsystem_vendor,
            subsystem_device,
            class,
            interface_unknown: false,
        })
    }
}

/// Sources: `/sys/bus/pci/devices` and `/sys/bus/pci/slots`, which are the kernel's memory, and the configuration space of
/// functions that are awake.
pub(super) fn read(probes: &Probes<'_>, slots: &Known<Vec<Slot>>) -> Known<Vec<PciFunction>> {
    let addresses = match probes.root.list(FOLDER) {
        Ok(addresses) => addresses,
        Err(error) => return Known::unknown(error.to_string()),
    };
    let slots = slot_names(probes.root, slots);
    let (mut functions, places): (Vec<PciFunction>, Vec<Place>) = addresses
        .into_iter()
        .map(|address| function(probes, address, &slots))
        .unzip();
    let in_use = functions
        .iter()
        .any(|function| function.iommu_group.value().is_some());
    let groups = if in_use {
        vec![Known::Absent; functions.len()]
    } else {
        let members = functions
            .iter()
            .zip(places)
            .map(|(function, place)| Member {
                address: &function.address,
                parent: place.parent,
                parsed: place.parsed,
            });
        iommu_group::groups(&members.collect::<Vec<_>>())
    };
    for (function, group) in functions.iter_mut().zip(groups) {
        function.computed_group = group;
    }
    Known::Value(functions)
}

/// What a verdict asks of the functions; `revision` says of which it asks for that. One file of each, as a rule.
pub(super) fn read_for_verdict(
    root: &Root,
    revision: &dyn Fn(&PciIds) -> bool,
) -> Known<Vec<PciFunction>> {
    let identity = |address| {
        let mut function = identity(root, address);
        if function.ids.value().is_some_and(revision) {
            function.revision = self::revision(root, &function.source);
        }
        function
    };
    let functions = root.list(FOLDER).map(|addresses| {
        let functions = addresses.into_iter().map(identity);
        functions.collect::<Vec<_>>()
    });
    functions.into()
}

/// What a function is and what drives it.
fn identity(root: &Root, address: String) -> PciFunction {
    let source = format!("{FOLDER}/{address}");
    let event = Event::read(root, &source);
    // The kernel writes the modalias from the same fields as the files, so it stands for six of them.
    let ids = match event
        .modalias
        .value()
        .and_then(|text| PciIds::from_modalias(text))
    {
        Some(ids) => Known::Value(ids),
        None => ids_by_files(root, &source),
    };
    PciFunction {
        ids,
        modalias: event.modalias,
        driver: event.driver,
        address,
        source,
        ..PciFunction::default()
    }
}

fn revision(root: &Root, source: &str) -> Known<u8> {
    hexadecimal(root, &format!("{source}/revision"))
}

/// Where a function hangs and what its configuration space says.
struct Place {
    parent: Known<String>,
    parsed: Known<Parsed>,
}

fn function(
    probes: &Probes<'_>,
    address: String,
    slots: &BTreeMap<String, String>,
) -> (PciFunction, Place) {
    let root = probes.root;
    let identity = identity(root, address);
    let source = &identity.source;
    let parent = parent(root, source);
    let parsed = parsed(probes, source);
    let function = PciFunction {
        revision: revision(root, source),
        numa_node: number::<i64>(root, &format!("{source}/numa_node"))
            .and_then(|node| u32::try_from(node).map_or(Known::Absent, Known::Value)),
        iommu_group: link(root, &format!("{source}/iommu_group"))
            .and_then(|name| super::parse(source, &name)),
        computed_group: Known::Absent,
        multifunction: parsed.clone().map(|parsed| parsed.multifunction),
        link: parsed
            .clone()
            .and_then(|parsed| parsed.link.map_or(Known::Absent, Known::Value)),
        acs: parsed.clone().and_then(|parsed| match parsed.acs {
            Ok(acs) => acs.map_or(Known::Absent, Known::Value),
            Err(reason) => Known::unknown(format!("{source}/config: {reason}")),
        }),
        sriov: sriov(root, source),
        physical_function: link(root, &format!("{source}/physfn")),
        slot: slot(slots, &identity.address, &identity.ids, &parent),
        ..identity
    };
    (function, Place { parent, parsed })
}

/// What the kernel tells udev about a function; one file instead of a file and a link.
struct Event {
    modalias: Known<String>,
    driver: Known<String>,
}

impl Event {
    fn read(root: &Root, source: &str) -> Self {
        let text = root
            .text(&format!("{source}/uevent"), UEVENT)
            .unwrap_or_default();
        let line = |name: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(name));
            found.map(|value| Known::Value(value.to_owned()))
        };
        match line("MODALIAS=") {
            Some(modalias) => Self {
                modalias,
                driver: line("DRIVER=").unwrap_or(Known::Absent),
            },
            // Captured trees often have the files only.
            None => Self {
                modalias: attribute(root, &format!("{source}/modalias")),
                driver: link(root, &format!("{source}/driver")),
            },
        }
    }
}

/// The bridge above: the part before the last of where the function really is.
fn parent(root: &Root, source: &str) -> Known<String> {
    match root.link_target(source) {
        Ok(target) => {
            let above = target.parent().and_then(|above| above.file_name());
            let name = above.and_then(|name| name.to_str());
            match name.filter(|name| is_pci_address(name)) {
                Some(address) => Known::Value(address.to_owned()),
                None => Known::Absent,
            }
        }
        Err(error) => Known::unknown(format!("{error}; no link tells what it hangs on")),
    }
}

/// Reading the configuration space wakes a function that sleeps, so without `--deep` it is read of those that do not.
fn parsed(probes: &Probes<'_>, source: &str) -> Known<Parsed> {
    let path = format!("{source}/config");
    let status = probes
        .root
        .attribute(&format!("{source}/power/runtime_status"));
    let awake = status.as_deref().is_ok_and(|status| status == "active");
    let asleep = || {
        let status = status.as_deref().unwrap_or("its power is not known");
        Known::unknown(format!("{path}: not read ({status}); `--deep` wakes it"))
    };
    if !awake && !probes.may_disturb() {
        return asleep();
    }
    let read = |root: &Root, path: &str| match root.window(path, pci_config::LENGTH) {
        Ok(space) => Ok(pci_config::parse(&space).map_err(|reason| format!("{path}: {reason}"))),
        Err(error) => Err(error),
    };
    if awake || !probes.root.is_system() {
        return match read(probes.root, &path) {
            Ok(parsed) => parsed.into(),
            // A tree that was captured without waking it does not have the file.
            Err(error) if error.is_missing() && status.is_ok() && !awake => asleep(),
            Err(error) => Known::unknown(error.to_string()),
        };
    }
    let (root, path) = (probes.root.clone(), path);
    limit::within(PROBE, move || {
        read(&root, &path).unwrap_or_else(|error| Err(error.to_string()))
    })
    .into()
}

/// The file exists for functions that can have virtual ones.
fn sriov(root: &Root, source: &str) -> Known<Sriov> {
    let total = format!("{source}/sriov_totalvfs");
    match root.attribute(&total) {
        Ok(text) => super::parse(&total, &text).and_then(|total| {
            number(root, &format!("{source}/sriov_numvfs")).map(|enabled| Sriov { total, enabled })
        }),
        Err(error) if error.is_missing() => Known::Absent,
        Err(error) => Known::unknown(error.to_string()),
    }
}

/// The slot of a function: by its own address, by that of its device (but ports of one device lead to different slots), or
/// by the port above.
fn slot(
    slots: &BTreeMap<String, String>,
    address: &str,
    ids: &Known<PciIds>,
    parent: &Known<String>,
) -> Known<String> {
    const PCI_BRIDGE: u16 = 0x0604;
    let device = iommu_group::slot(address);
    let is_bridge = ids.value().is_some_and(|ids| ids.subclass() == PCI_BRIDGE);
    let of_device = || {
        let first = format!("{device}.0");
        let found = slots.get(device).or_else(|| slots.get(&first));
        found.filter(|_| !is_bridge)
    };
    let of_port = || slots.get(parent.value()?);
    match slots.get(address).or_else(of_device).or_else(of_port) {
        Some(name) => Known::Value(name.clone()),
        None => Known::Absent,
    }
}

/// Names of slots, by address: without the function as the kernel writes it, with it as the firmware does.
fn slot_names(root: &Root, by_firmware: &Known<Vec<Slot>>) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for slot in by_firmware.value().into_iter().flatten() {
        if let (Known::Value(address), Known::Value(name)) = (&slot.pci_address, &slot.name) {
            names.insert(address.clone(), name.clone());
        }
    }
    // Without drivers for slots there is no such folder. The firmware's names are those printed on the board.
    for name in root.list(SLOTS).unwrap_or_default() {
        if let Ok(address) = root.attribute(&format!("{SLOTS}/{name}/address")) {
            names.entry(address).or_insert(name);
        }
    }
    names
}

fn ids_by_files(root: &Root, source: &str) -> Known<PciIds> {
    let id = |name: &str| hexadecimal::<u16>(root, &format!("{source}/{name}"));
    let class = hexadecimal::<u32>(root, &format!("{source}/class"));
    id("vendor").and_then(|vendor| {
        id("device").and_then(|device| {
            class.map(|class| PciIds {
                vendor,
                device,
                subsystem_vendor: id("subsystem_vendor").value().copied(),
                subsystem_device: id("subsystem_device").value().copied(),
                class,
                interface_unknown: false,
            })
        })
    })
}

fn hexadecimal<T: TryFrom<u64>>(root: &Root, path: &str) -> Known<T> {
    attribute(root, path).and_then(|text| match hex::parse_as(&text) {
        Some(value) => Known::Value(value),
        None => Known::unknown(format!(
            "{path}: `{}` is no such number",
            super::shorten(&text)
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_of_a_modalias() {
        let ids = PciIds::from_modalias("pci:v0000144Dd0000A80Asv0000144Dsd0000A801bc01sc08i02")
            .expect("ids");
        assert_eq!(
            (ids.vendor, ids.device, ids.class),
            (0x144d, 0xa80a, 0x01_0802)
        );
        assert_eq!(
            (ids.subsystem_vendor, ids.subsystem_device),
            (Some(0x144d), Some(0xa801))
        );
        assert_eq!((ids.subclass(), ids.base_class()), (0x0108, 1));
        assert_eq!(PciIds::from_modalias("virtio:d00000002v00001AF4"), None);
        assert_eq!(PciIds::from_modalias("pci:v0000144D"), None);
        assert_eq!(
            PciIds::from_modalias("pci:v0001144Dd0000A80Asv0000144Dsd0000A801bc01sc08i02"),
            None
        );
        assert_eq!(
            PciIds::from_modalias("pci:v0000144Dd0000A80Asv0000144Dsd0000A801bc01sc08i02x"),
            None
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in "(pci:v)?\\PC{0,80}") {
            let _ = PciIds::from_modalias(&text);
        }

        #[test]
        fn reads_what_the_kernel_writes(
            vendor: u16, device: u16, subvendor: u16, subdevice: u16, class in 0u32..0x0100_0000,
        ) {
            let (base, sub, interface) = (class >> 16, (class >> 8) & 0xff, class & 0xff);
            let text = format!(
                "pci:v{vendor:08X}d{device:08X}sv{subvendor:08X}sd{subdevice:08X}bc{base:02X}sc{sub:02X}i{interface:02x}"
            );
            let expected = PciIds {
                vendor, device, subsystem_vendor: Some(subvendor), subsystem_device: Some(subdevice), class,
                interface_unknown: false,
            };
            prop_assert_eq!(PciIds::from_modalias(&text), Some(expected));
            prop_assert_eq!(expected.to_modalias(), text);
            let json = serde_json::to_string(&expected).expect("serialize");
            prop_assert_eq!(serde_json::from_str::<PciIds>(&json).expect("deserialize"), expected);
        }
    }
}
