//! The Hardware Compatibility List: reviewed rules about devices, CPUs, systems, and what the platform must have.

mod class_code;
mod cpu_match;
mod dmi_match;
mod entry;
mod lint;
mod pci_match;
mod requirement;

pub use class_code::ClassCode;
pub use cpu_match::CpuMatch;
pub use dmi_match::DmiMatch;
pub use entry::{DeviceClass, Entry, ListedLevel, Match, Require, Specificity};
pub use lint::{Lint, lint, lint_drivers};
pub use pci_match::PciMatch;
pub use requirement::{Check, CpuFeature, Otherwise, Requirement};

use crate::facts::{Cpu, Dmi, PciFunction};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Name and text of every file of the list. A test compares this with the folder.
const FILES: [(&str, &str); 10] = [
    ("cpu.toml", include_str!("../../db/cpu.toml")),
    (
        "nic-by-driver.toml",
        include_str!("../../db/nic-by-driver.toml"),
    ),
    ("nic.toml", include_str!("../../db/nic.toml")),
    ("platform.toml", include_str!("../../db/platform.toml")),
    ("quirks.toml", include_str!("../../db/quirks.toml")),
    (
        "requirements.toml",
        include_str!("../../db/requirements.toml"),
    ),
    ("servers.toml", include_str!("../../db/servers.toml")),
    (
        "storage-by-driver.toml",
        include_str!("../../db/storage-by-driver.toml"),
    ),
    ("storage.toml", include_str!("../../db/storage.toml")),
    ("virtual.toml", include_str!("../../db/virtual.toml")),
];

/// The list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// What is known about devices, CPUs and systems.
    #[serde(default, rename = "entry")]
    pub entries: Vec<Entry>,
    /// What a machine must have.
    #[serde(default, rename = "requirement")]
    pub requirements: Vec<Requirement>,
}

/// A file of the list could not be read.
#[derive(Debug, Error)]
#[error("{file}: {source}")]
pub struct ListError {
    /// Which file.
    pub file: String,
    /// What is wrong, with line and column.
    pub source: toml::de::Error,
}

impl List {
    /// The list that this program was built with.
    ///
    /// # Errors
    /// A file of it is malformed; a test sees to it that none is.
    pub fn built_in() -> Result<Self, ListError> {
        let mut list = Self::default();
        for (file, text) in FILES {
            list.extend(Self::parse(file, text)?);
        }
        Ok(list)
    }

    /// Reads one file; `name` is for the error.
    ///
    /// # Errors
    /// It is no TOML of this form. An unknown key is an error.
    pub fn parse(name: &str, text: &str) -> Result<Self, ListError> {
        toml::from_str(text).map_err(|source| ListError {
            file: name.to_owned(),
            source,
        })
    }

    /// Adds what another file holds.
    pub fn extend(&mut self, other: Self) {
        self.entries.extend(other.entries);
        self.requirements.extend(other.requirements);
    }

    /// The entry that decides about a PCI function.
    pub fn for_pci(&self, function: &PciFunction) -> Option<&Entry> {
        self.deciding(|entry| match &entry.matches {
            Match::Pci(pci) => pci.matches(function),
            Match::Cpu(_) | Match::Dmi(_) => false,
        })
    }

    /// The entry that decides about a CPU.
    pub fn for_cpu(&self, cpu: &Cpu) -> Option<&Entry> {
        self.deciding(|entry| match &entry.matches {
            Match::Cpu(pattern) => pattern.matches(cpu),
            Match::Pci(_) | Match::Dmi(_) => false,
        })
    }

    /// The entry that decides about a system.
    pub fn for_system(&self, dmi: &Dmi) -> Option<&Entry> {
        self.deciding(|entry| match &entry.matches {
            Match::Dmi(pattern) => pattern.matches(dmi),
            Match::Pci(_) | Match::Cpu(_) => false,
        })
    }

    /// Of those that match the one that goes first, see [`Entry::precedence`].
    fn deciding(&self, matches: impl Fn(&Entry) -> bool) -> Option<&Entry> {
        self.entries
            .iter()
            .filter(|entry| matches(entry))
            .max_by_key(|entry| entry.precedence())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::date::Date;
    use crate::drivers::DriverIndex;

    #[test]
    fn every_file_of_the_folder_is_in_the_list() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("db");
        let names = std::fs::read_dir(folder)
            .expect("folder")
            .map(|entry| entry.expect("entry").file_name());
        let mut names: Vec<String> = names
            .map(|name| name.into_string().expect("UTF-8"))
            .collect();
        names.sort_unstable();
        assert_eq!(names, FILES.map(|(name, _)| name));
    }

    #[test]
    fn the_list_is_sound() {
        let list = List::built_in().expect("well-formed");
        assert!(list.entries.len() > 20 && list.requirements.len() > 5);
        let problems = lint(&list, Date::today());
        assert!(problems.is_empty(), "{problems:#?}");
        let drivers = DriverIndex::shipped().expect("well-formed");
        let problems = lint_drivers(&list, &drivers);
        assert!(problems.is_empty(), "{problems:#?}");
    }

    #[test]
    fn unknown_keys_are_errors_with_their_place() {
        let text = "[[entry]]\nid = \"x\"\ncolour = \"red\"\n";
        let error = List::parse("x.toml", text)
            .expect_err("unknown key")
            .to_string();
        assert!(
            error.contains("x.toml") && error.contains("line 3") && error.contains("colour"),
            "{error}"
        );
    }
}
