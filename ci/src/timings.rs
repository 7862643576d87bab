//! How long the phases of a case took.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// One phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// What was done.
    pub name: String,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// The phases of a case: `target/e2e/CASE/times.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Name of the case.
    pub case: String,
    /// How guests ran: KVM or software emulation.
    pub accelerator: String,
    /// Its phases, in order.
    pub phases: Vec<Phase>,
    /// It ran to its end and passed: the times of half a run would be taken for a whole one.
    pub passed: bool,
}

impl Timings {
    /// No phases yet.
    pub fn new(case: &str, accelerator: &str) -> Timings {
        Timings {
            case: case.to_string(),
            accelerator: accelerator.to_string(),
            phases: Vec::new(),
            passed: false,
        }
    }

    /// Adds a phase.
    pub fn add(&mut self, name: &str, seconds: f64) {
        self.phases.push(Phase {
            name: name.to_string(),
            seconds,
        });
    }

    /// Seconds of all phases.
    pub fn total(&self) -> f64 {
        self.phases.iter().map(|phase| phase.seconds).sum()
    }

    /// Writes them as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Reads what [`Timings::write`] wrote.
    ///
    /// # Errors
    /// When the file cannot be read or is something else.
    pub fn read(path: &Path) -> Result<Timings> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is not as expected", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_their_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("times.json");
        let mut timings = Timings::new("bios-virtio", "KVM");
        timings.add("boot the medium", 12.5);
        timings.add("install", 30.25);
        timings.passed = true;
        timings.write(&path).unwrap();
        assert_eq!(Timings::read(&path).unwrap(), timings);
        assert_eq!(timings.total(), 42.75);
        std::fs::write(&path, "{}").unwrap();
        assert!(Timings::read(&path).is_err());
    }
}
