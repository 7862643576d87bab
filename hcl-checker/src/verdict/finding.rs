//! One thing that was looked at.

use super::Level;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What was found about one thing, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Id of the rule: an entry or a requirement of the list, or `unlisted-...` and the like where none applies.
    pub rule: String,
    /// What it is about.
    pub subject: Subject,
    /// Its name for a person, `Samsung Electronics Co Ltd NVMe SSD Controller PM9A1 [144d:a80a]`.
    pub name: String,
    /// How well it is known to work; none where nothing is said about that: a requirement that is met, a remark.
    pub level: Option<Level>,
    /// The machine cannot do without it, so it counts for the verdict.
    pub essential: bool,
    /// What that means.
    pub severity: Severity,
    /// What was seen.
    pub observed: String,
    /// Where it was seen.
    pub source: String,
    /// What should be there; empty where there is nothing to say.
    pub expected: String,
    /// What to do; empty where there is nothing to do.
    pub advice: String,
    /// What the entry of the list tells its reader besides: what runs degraded, and why; empty where there is nothing to say.
    #[serde(default)]
    pub notes: String,
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Bare metal or not.
    Context,
    /// The system as its maker sells it.
    System,
    /// The processors.
    Cpu,
    /// Main memory.
    Memory,
    /// A PCI function, by address.
    Pci(String),
    /// A disk, by kernel name.
    Disk(String),
    /// A network interface, by name.
    Nic(String),
    /// Storage as a whole.
    Storage,
    /// Network as a whole.
    Network,
}

impl Subject {
    /// The kind of thing, and which one of it where there may be several.
    pub(crate) fn parts(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Context => ("context", None),
            Self::System => ("system", None),
            Self::Cpu => ("cpu", None),
            Self::Memory => ("memory", None),
            Self::Pci(address) => ("pci", Some(address)),
            Self::Disk(name) => ("disk", Some(name)),
            Self::Nic(name) => ("nic", Some(name)),
            Self::Storage => ("storage", None),
            Self::Network => ("network", None),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            (kind, Some(which)) => write!(f, "{kind} {which}"),
            (kind, None) => f.write_str(kind),
        }
    }
}

/// What a finding means for the install. Ordered: the greater one is the worse.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// As it should be.
    Fine,
    /// Something to know before going on.
    Warns,
    /// In the way.
    Blocks,
}

impl Finding {
    /// A finding whose severity follows from level and weight.
    pub(super) fn new(
        rule: impl Into<String>,
        subject: Subject,
        level: Level,
        essential: bool,
    ) -> Self {
        let severity = match level {
            Level::Certified | Level::Compatible => Severity::Fine,
            Level::CertifiedWithDeviation | Level::UnlistedWithDriver => Severity::Warns,
            _ if essential => Severity::Blocks,
            _ => Severity::Warns,
        };
        let empty = String::new;
        Self {
            rule: rule.into(),
            subject,
            name: empty(),
            level: Some(level),
            essential,
            severity,
            observed: empty(),
            source: empty(),
            expected: empty(),
            advice: empty(),
            notes: empty(),
        }
    }

    /// Something that is as it should be, and says nothing about what is listed.
    pub(super) fn fine(rule: impl Into<String>, subject: Subject) -> Self {
        Self {
            level: None,
            ..Self::new(rule, subject, Level::Certified, false)
        }
    }

    pub(super) fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    pub(super) fn observed(
        mut self,
        observed: impl Into<String>,
        source: impl Into<String>,
    ) -> Self {
        self.observed = observed.into();
        self.source = source.into();
        self
    }

    pub(super) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = expected.into();
        self
    }

    pub(super) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }

    pub(super) fn notes(mut self, notes: impl Into<String>) -> Self {
        self.notes = notes.into();
        self
    }

    /// Warns at least, though the level is good.
    pub(super) fn warning(mut self) -> Self {
        self.severity = self.severity.max(Severity::Warns);
        self
    }

    /// Counts for the verdict no longer.
    pub(super) fn not_essential(mut self) -> Self {
        self.essential = false;
        self.severity = self.severity.min(Severity::Warns);
        self
    }
}
