//! What is recorded about a boot.

use super::{Check, Outcome};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The health of a boot, as in `health.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthReport {
    /// Schema of this document: 1.
    pub schema: u32,
    /// Version of the release; none where the initrd left no record.
    pub version: Option<String>,
    /// Short name of the root ([`slots::RootIdentity::id`]).
    pub root_id: Option<String>,
    /// True only if every check passed and the boot loader knows this root as good.
    pub passed: bool,
    /// A root that was tried before this boot and did not come up.
    pub failed_try: Option<String>,
    /// Milliseconds since dom0's kernel started, when the checks were done.
    pub uptime_ms: Option<u64>,
    /// The checks, in the order in which they ran.
    pub checks: Vec<Check>,
}

impl HealthReport {
    /// The schema that this code writes.
    pub const SCHEMA: u32 = 1;

    /// The checks that did not pass.
    pub fn problems(&self) -> impl Iterator<Item = &Check> {
        self.checks
            .iter()
            .filter(|check| check.outcome != Outcome::Pass)
    }
}

/// For the journal and the console.
impl fmt::Display for HealthReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.version.as_deref().unwrap_or("of unknown version");
        let id = self.root_id.as_deref().unwrap_or("unknown root");
        let verdict = if self.passed {
            "this boot is good"
        } else {
            "THIS BOOT IS NOT GOOD"
        };
        writeln!(f, "Bedplate {version} ({id}): {verdict}")?;
        for check in &self.checks {
            let outcome = match check.outcome {
                Outcome::Pass => "pass",
                Outcome::Warn => "WARN",
                Outcome::Fail => "FAIL",
                Outcome::Unknown => "UNKNOWN",
            };
            writeln!(f, "  {outcome:<8} {:<12} {}", check.name, check.reason)?;
        }
        if let Some(id) = &self.failed_try {
            writeln!(
                f,
                "  note     {id} was tried before this boot and did not come up"
            )?;
        }
        Ok(())
    }
}
