//! The Hardware Compatibility List: reviewed rules about devices, CPUs, systems, and what the platform must have.

mod class_code;
mod cpu_match;
mod dmi_match;
mod entry;
mod id;
mod index;
mod lint;
mod pci_match;
mod requirement;
mod version;

pub use class_code::ClassCode;
pub use cpu_match::CpuMatch;
pub use dmi_match::DmiMatch;
pub use entry::{DeviceClass, Entry, Features, ListedLevel, Match, Require, Specificity};
pub use id::ListId;
pub use lint::{Lint, lint, lint_drivers};
pub use pci_match::PciMatch;
pub use requirement::{Check, CpuFeature, Otherwise, Requirement};
pub use version::Versions;

use crate::facts::{Cpu, Dmi, PciFunction, PciIds};
use crate::json_text;
use index::Index;
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;
use thiserror::Error;

/// The files of `db`, put together by `build.rs`: reading TOML at each start would take longer than all the rest.
const BUILT_IN: &str = include_str!(concat!(env!("OUT_DIR"), "/list.json"));

/// The release that is judged for.
const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// The list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// What is known about devices, CPUs and systems.
    #[serde(default, rename = "entry")]
    entries: Vec<Entry>,
    /// What a machine must have.
    #[serde(default, rename = "requirement")]
    requirements: Vec<Requirement>,
    /// Made when it is first asked for.
    #[serde(skip)]
    index: Lazy,
}

/// An index that is no part of the list's value: a copy makes its own, and lists are compared without it.
#[derive(Debug, Default)]
struct Lazy(OnceLock<Index>);

impl Clone for Lazy {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Lazy {
    fn eq(&self, _: &Self) -> bool {
        true
    }
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

/// A bundle could not be read.
#[derive(Debug, Error)]
pub enum BundleError {
    /// It has another form.
    #[error("this is no bundle of the compatibility list: {0}; make it with `hcl-checker bundle`")]
    Form(#[from] serde_json::Error),
    /// A list that asks nothing of a machine would let each one pass.
    #[error(
        "this is no compatibility list: it holds no requirement of a machine; make it with `hcl-checker bundle`"
    )]
    Empty,
}

impl List {
    /// The list that this program was built with.
    ///
    /// # Errors
    /// It is malformed; a test sees to it that it is not.
    pub fn built_in() -> Result<Self, BundleError> {
        Self::from_text(BUILT_IN)
    }

    /// Reads what [`List::to_bundle`] wrote.
    ///
    /// # Errors
    /// It is no bundle of this form, or an empty one. An unknown key is an error.
    pub fn from_bundle(json: &[u8]) -> Result<Self, BundleError> {
        Self::from_text(json_text::utf8(json)?)
    }

    fn from_text(json: &str) -> Result<Self, BundleError> {
        let list: Self = serde_json::from_str(json)?;
        if list.requirements.is_empty() {
            return Err(BundleError::Empty);
        }
        Ok(list)
    }

    /// The list as one file, to be signed as part of a release. The same list gives the same bytes.
    pub fn to_bundle(&self) -> String {
        // Strings and numbers alone: this cannot fail.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// What is known about devices, CPUs and systems.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What a machine must have.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
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
        self.index = Lazy::default();
        self.entries.extend(other.entries);
        self.requirements.extend(other.requirements);
    }

    /// The entry that decides about a PCI function.
    pub fn for_pci(&self, function: &PciFunction) -> Option<&Entry> {
        self.for_ids(function.ids.value()?, function.revision.value().copied())
    }

    fn for_ids(&self, ids: &PciIds, revision: Option<u8>) -> Option<&Entry> {
        let candidates = self.index().pci.candidates(ids);
        self.deciding(candidates, |entry| entry.is_about(ids, revision))
    }

    /// The entry that decides about PCI functions of these numbers, if it speaks against them ([`Entry::speaks_against`]). Of
    /// a server's hundreds of functions nearly all are done with at the first look.
    pub fn against_pci(&self, ids: &PciIds, revision: Option<u8>) -> Option<&Entry> {
        let mut candidates = self.index().against.candidates(ids);
        let is_about = |number: u32| {
            let entry = self.entries.get(number as usize);
            entry.is_some_and(|entry| entry.is_about(ids, revision))
        };
        // Another entry may go before that one.
        let entry = candidates
            .any(is_about)
            .then(|| self.for_ids(ids, revision))?;
        entry.filter(|entry| entry.speaks_against())
    }

    /// Whether some entry that may be about such a function asks for its revision.
    pub fn asks_revision(&self, ids: &PciIds) -> bool {
        self.index().by_revision.candidates(ids).next().is_some()
    }

    /// The entry that decides about a CPU.
    pub fn for_cpu(&self, cpu: &Cpu) -> Option<&Entry> {
        self.deciding(
            self.index().cpus.iter().copied(),
            |entry| matches!(&entry.matches, Match::Cpu(pattern) if pattern.matches(cpu)),
        )
    }

    /// The entry that decides about a system.
    pub fn for_system(&self, dmi: &Dmi) -> Option<&Entry> {
        self.deciding(
            self.index().systems.iter().copied(),
            |entry| matches!(&entry.matches, Match::Dmi(pattern) if pattern.matches(dmi)),
        )
    }

    fn index(&self) -> &Index {
        self.index.0.get_or_init(|| Index::of(&self.entries))
    }

    /// Of the candidates that match the one that goes first, see [`Entry::precedence`].
    fn deciding(
        &self,
        candidates: impl Iterator<Item = u32>,
        matches: impl Fn(&Entry) -> bool,
    ) -> Option<&Entry> {
        candidates
            .filter_map(|number| self.entries.get(number as usize))
            .filter(|entry| matches(entry) && entry.is_of(RELEASE))
            .max_by_key(|entry| entry.precedence())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::date::Date;
    use crate::drivers::DriverIndex;

    #[test]
    fn the_bundle_holds_every_file_of_the_folder() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("db");
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .expect("folder")
            .map(|entry| entry.expect("entry").path())
            .collect();
        names.sort_unstable();
        let mut list = List::default();
        for path in names {
            let text = std::fs::read_to_string(&path).expect("text");
            list.extend(List::parse(&path.display().to_string(), &text).expect("well-formed"));
        }
        let built_in = List::built_in().expect("well-formed");
        assert_eq!(list, built_in);
        assert_eq!(
            List::from_bundle(list.to_bundle().as_bytes()).expect("a bundle"),
            built_in
        );
    }

    #[test]
    fn another_form_is_no_bundle() {
        for wrong in ["", "{\"entry\":1}", "{\"entry\":[],\"colour\":1}"] {
            let error = List::from_bundle(wrong.as_bytes()).expect_err(wrong);
            assert!(matches!(error, BundleError::Form(_)), "{wrong}: {error}");
        }
    }

    /// Every machine would pass it.
    #[test]
    fn a_list_that_asks_for_nothing_is_none() {
        let mut entries = List::built_in().expect("well-formed");
        entries.requirements.clear();
        for wrong in [
            "{}",
            "{\"entry\":[],\"requirement\":[]}",
            &entries.to_bundle(),
        ] {
            let error = List::from_bundle(wrong.as_bytes()).expect_err("asks for nothing");
            assert!(matches!(error, BundleError::Empty), "{error}");
        }
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
