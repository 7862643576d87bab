//! Every PCI function.

use super::{attribute, link, number};
use crate::hex;
use crate::known::Known;
use crate::root::Root;
use serde::{Deserialize, Serialize};

const FOLDER: &str = "/sys/bus/pci/devices";

/// One function of a PCI device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// The numbers that name a PCI function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PciIds {
    /// Maker of the chip.
    #[serde(with = "hex")]
    pub vendor: u16,
    /// The chip.
    #[serde(with = "hex")]
    pub device: u16,
    /// Maker of the card.
    #[serde(with = "hex::option", default)]
    pub subsystem_vendor: Option<u16>,
    /// The card.
    #[serde(with = "hex::option", default)]
    pub subsystem_device: Option<u16>,
    /// Class, subclass and interface: `0x010802` is NVMe.
    #[serde(with = "hex")]
    pub class: u32,
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
        })
    }
}

/// Source: `/sys/bus/pci/devices`; all of it is the kernel's memory, no configuration space is read.
pub(super) fn read(root: &Root) -> Known<Vec<PciFunction>> {
    match root.list(FOLDER) {
        Ok(addresses) => Known::Value(
            addresses
                .into_iter()
                .map(|address| function(root, address))
                .collect(),
        ),
        Err(error) => Known::unknown(error.to_string()),
    }
}

fn function(root: &Root, address: String) -> PciFunction {
    let source = format!("{FOLDER}/{address}");
    let modalias = attribute(root, &format!("{source}/modalias"));
    // One file instead of five, and the kernel writes both from the same fields.
    let ids = match modalias
        .value()
        .and_then(|text| PciIds::from_modalias(text))
    {
        Some(ids) => Known::Value(ids),
        None => ids_by_files(root, &source),
    };
    PciFunction {
        address,
        ids,
        revision: hexadecimal(root, &format!("{source}/revision")),
        driver: link(root, &format!("{source}/driver")),
        numa_node: number::<i64>(root, &format!("{source}/numa_node"))
            .and_then(|node| u32::try_from(node).map_or(Known::Absent, Known::Value)),
        iommu_group: link(root, &format!("{source}/iommu_group"))
            .and_then(|name| super::parse(&source, &name)),
        modalias,
        source,
    }
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
            };
            prop_assert_eq!(PciIds::from_modalias(&text), Some(expected));
            prop_assert_eq!(expected.to_modalias(), text);
            let json = serde_json::to_string(&expected).expect("serialize");
            prop_assert_eq!(serde_json::from_str::<PciIds>(&json).expect("deserialize"), expected);
        }
    }
}
