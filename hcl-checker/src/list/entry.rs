//! One entry of the list.

use super::{CpuMatch, DmiMatch, PciMatch, Versions};
use crate::date::Date;
use crate::facts::PciIds;
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
    /// What follows where a demand of `require` is not met, with what to do; without it the finding says the usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deviation: Option<String>,
    /// What it can do besides, as far as that is known.
    #[serde(default, skip_serializing_if = "Features::is_empty")]
    pub features: Features,
    /// Releases of Bedplate that this was found out with: `0.1` is every 0.1.x. Without any it holds for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<String>,
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
    /// Versions of that driver. Drivers of the kernel have the kernel's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_versions: Option<Versions>,
    /// Versions of the device's own firmware, as `ethtool -i` tells them of a network card and `nvme id-ctrl` of a disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<Versions>,
    /// Oldest firmware of a system, in the words of `dmidecode -s bios-version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bios_min: Option<String>,
    /// Lowest microcode revision, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub microcode_min: Option<String>,
}

/// What a device can do besides what it is for. What is not mentioned is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Virtual functions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sriov: Option<bool>,
    /// It can be handed to a virtual machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passthrough: Option<bool>,
    /// A host can be booted from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<bool>,
}

impl Features {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Those that are known, by the name that they have for a person.
    pub fn known(&self) -> impl Iterator<Item = (&'static str, bool)> {
        let all = [
            ("SR-IOV", self.sriov),
            ("passthrough", self.passthrough),
            ("boot", self.boot),
        ];
        all.into_iter()
            .filter_map(|(name, known)| Some((name, known?)))
    }
}

impl Require {
    pub(super) fn is_empty(&self) -> bool {
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

    /// Whether it is about PCI functions of these numbers.
    pub(super) fn is_about(&self, ids: &PciIds, revision: Option<u8>) -> bool {
        matches!(&self.matches, Match::Pci(pci) if pci.matches(ids, revision))
    }

    /// What it counts as. Without any evidence nothing is more than compatible, whoever wrote the list; `lint` refuses it.
    pub fn judged_level(&self) -> ListedLevel {
        match self.level {
            ListedLevel::Certified if self.evidence.is_empty() => ListedLevel::Compatible,
            level => level,
        }
    }

    /// It says that something does not work, or warns of it.
    pub fn speaks_against(&self) -> bool {
        self.is_deny() || self.caution.is_some()
    }

    /// It says that something does not work.
    pub fn is_deny(&self) -> bool {
        self.level == ListedLevel::Unsupported
    }

    /// Whether it holds for a release: `0.1` names 0.1.0 and 0.1.7, and not 0.10.0.
    pub fn is_of(&self, release: &str) -> bool {
        let within = |named: &String| {
            release
                .strip_prefix(named.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.releases.is_empty() || self.releases.iter().any(within)
    }

    /// Of several entries that match, the one with the greatest of these decides: the more specific one, at equal
    /// specificity the one that denies, then the narrower range of versions, then the newer one. Equal ones that say
    /// different things are refused by the lint; the id makes the choice the same every time all the same.
    pub fn precedence(&self) -> impl Ord + use<'_> {
        let specificity = self.specificity();
        (
            specificity.rank,
            self.is_deny(),
            specificity.narrowness,
            self.date,
            self.id.as_str(),
        )
    }
}
