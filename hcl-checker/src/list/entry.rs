//! One entry of the list.

use super::{CpuMatch, DmiMatch, PciMatch};
use crate::date::Date;
use crate::verdict::Level;
use serde::{Deserialize, Serialize};

/// What is known about a device, a CPU or a system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Name of the rule, the same for ever.
    pub id: String,
    /// What it is about.
    pub class: DeviceClass,
    /// What it applies to.
    #[serde(rename = "match")]
    pub matches: Match,
    /// What must hold for the level to be reached in full.
    #[serde(default, skip_serializing_if = "Require::is_empty")]
    pub require: Require,
    /// What is said about it.
    pub level: ListedLevel,
    /// A warning that is shown with it though the level is good, with what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caution: Option<String>,
    /// Where that is known from: public pages, or `bedplate: ...` for the project's own tests.
    pub evidence: Vec<String>,
    /// When the entry was last reviewed.
    pub date: Date,
    /// The last day on which it holds; without one it holds until it is changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Date>,
    /// For the reader of the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceClass {
    /// A whole system of one maker.
    System,
    /// A CPU.
    Cpu,
    /// A network controller.
    Nic,
    /// A storage controller.
    Storage,
    /// A graphics controller.
    Gpu,
    /// Firmware.
    Firmware,
    /// A machine that is no maker's product: a chipset, a virtual machine.
    Platform,
}

/// What an entry applies to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Match {
    /// PCI functions.
    Pci(PciMatch),
    /// CPUs.
    Cpu(CpuMatch),
    /// Systems by their names.
    Dmi(DmiMatch),
}

/// What must hold besides the match. Broken, it makes `certified` a `certified with deviation`, and warns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Require {
    /// Module that drives the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Lowest microcode revision, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub microcode_min: Option<String>,
}

impl Require {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What an entry can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListedLevel {
    /// Tested, with a signed report.
    Certified,
    /// Known to work by public evidence, or with certified components.
    Compatible,
    /// Known not to work.
    Unsupported,
}

impl From<ListedLevel> for Level {
    fn from(level: ListedLevel) -> Self {
        match level {
            ListedLevel::Certified => Self::Certified,
            ListedLevel::Compatible => Self::Compatible,
            ListedLevel::Unsupported => Self::Unsupported,
        }
    }
}

/// How narrowly an entry matches. Ordered: the greater one is the more specific.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Specificity {
    /// How many properties are named; for PCI 4 ids > vendor and device > vendor and class > class.
    pub rank: u32,
    /// Among equals: the narrower range of versions is the greater number.
    pub narrowness: u64,
}

impl Entry {
    /// How narrowly it matches.
    pub fn specificity(&self) -> Specificity {
        match &self.matches {
            Match::Pci(pci) => pci.specificity(),
            Match::Cpu(cpu) => cpu.specificity(),
            Match::Dmi(dmi) => dmi.specificity(),
        }
    }

    /// It says that something does not work.
    pub fn is_deny(&self) -> bool {
        self.level == ListedLevel::Unsupported
    }

    /// Of several entries that match, the one with the greatest of these decides: the more specific one, at equal
    /// specificity the one that denies, then the narrower range of versions, then the newer one. Equal ones that say
    /// different things are refused by the lint; the id makes the choice the same every time all the same.
    pub fn precedence(&self) -> impl Ord + use<> {
        let specificity = self.specificity();
        (
            specificity.rank,
            self.is_deny(),
            specificity.narrowness,
            self.date,
            self.id.clone(),
        )
    }
}
