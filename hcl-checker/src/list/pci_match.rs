//! Which PCI functions an entry applies to.

use super::{ClassCode, Specificity};
use crate::facts::PciIds;
use serde::{Deserialize, Serialize};

/// All that is given must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PciMatch {
    /// Maker of the chip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<u16>,
    /// Chips, any of them. Needs the vendor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<u16>,
    /// Maker of the card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subvendor: Option<u16>,
    /// The card. Needs its maker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subdevice: Option<u16>,
    /// Class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<ClassCode>,
    /// First and last revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revisions: Option<(u8, u8)>,
}

impl PciMatch {
    /// Whether a function of these numbers is meant. A revision that is not known does not fit.
    pub fn matches(&self, ids: &PciIds, revision: Option<u8>) -> bool {
        let fits =
            |wanted: Option<u16>, is: Option<u16>| wanted.is_none_or(|wanted| Some(wanted) == is);
        fits(self.vendor, Some(ids.vendor))
            && (self.devices.is_empty() || self.devices.contains(&ids.device))
            && fits(self.subvendor, ids.subsystem_vendor)
            && fits(self.subdevice, ids.subsystem_device)
            && self.class.is_none_or(|class| class.contains(ids.class))
            && self
                .revisions
                .is_none_or(|(first, last)| revision.is_some_and(|is| (first..=last).contains(&is)))
    }

    /// 4 ids > vendor and device > vendor and class > class; a class with more digits is more.
    pub fn specificity(&self) -> Specificity {
        let class = self.class.map_or(0, |class| u32::from(class.digits()));
        let kind = match (
            self.vendor,
            self.devices.is_empty(),
            self.subvendor,
            self.subdevice,
        ) {
            (Some(_), false, Some(_), Some(_)) => 4,
            (Some(_), false, Some(_), None) => 3,
            (Some(_), false, ..) => 2,
            (Some(_), true, ..) => 1,
            (None, ..) => 0,
        };
        let width = self.revisions.map_or(256, |(first, last)| {
            u64::from(last.saturating_sub(first)) + 1
        });
        Specificity {
            rank: kind * 10 + class,
            narrowness: 256 - width.min(256),
        }
    }

    /// What the kernel would call functions of this device, in the classes that such devices have where none is named:
    /// patterns of drivers may name a card or a class as well.
    pub fn modaliases(&self, device: u16) -> Vec<String> {
        const CLASSES: [u32; 10] = [
            0x02_0000, 0x02_0700, 0x01_0000, 0x01_0100, 0x01_0400, 0x01_0601, 0x01_0700, 0x01_0802,
            0x0c_0400, 0x02_8000,
        ];
        let named = self.class.map(|class| class.lowest());
        let ids = |class| PciIds {
            vendor: self.vendor.unwrap_or_default(),
            device,
            subsystem_vendor: self.subvendor,
            subsystem_device: self.subdevice,
            class,
            interface_unknown: false,
        };
        match named {
            Some(class) => vec![ids(class).to_modalias()],
            None => CLASSES
                .iter()
                .map(|&class| ids(class).to_modalias())
                .collect(),
        }
    }

    /// Why no function can match, or too many.
    pub fn problem(&self) -> Option<&'static str> {
        if self.vendor.is_none() && self.class.is_none() {
            Some("names neither vendor nor class, so it would apply to every device")
        } else if !self.devices.is_empty() && self.vendor.is_none() {
            Some("names devices without their vendor")
        } else if self.subdevice.is_some() && self.subvendor.is_none() {
            Some("names a subdevice without its subvendor")
        } else if self.subvendor.is_some() && self.devices.is_empty() {
            Some("names a subvendor without devices")
        } else if self.revisions.is_some_and(|(first, last)| first > last) {
            Some("has an empty range of revisions")
        } else {
            None
        }
    }

    /// Whether some function can match both.
    pub fn overlaps(&self, other: &Self) -> bool {
        fn meet<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
            a.zip(b).is_none_or(|(a, b)| a == b)
        }
        let devices = self.devices.is_empty()
            || other.devices.is_empty()
            || self
                .devices
                .iter()
                .any(|device| other.devices.contains(device));
        let classes = self.class.zip(other.class).is_none_or(|(a, b)| {
            let (a, b) = (String::from(a), String::from(b));
            a.starts_with(&b) || b.starts_with(&a)
        });
        let revisions = self
            .revisions
            .zip(other.revisions)
            .is_none_or(|(a, b)| a.0 <= b.1 && b.0 <= a.1);
        meet(self.vendor, other.vendor)
            && devices
            && meet(self.subvendor, other.subvendor)
            && meet(self.subdevice, other.subdevice)
            && classes
            && revisions
    }
}
