//! The verdict: facts and list put together.

mod constraints;
mod devices;
mod disks;
mod finding;
mod judge;
mod judged;
mod level;
mod names;
mod platform;

pub use devices::looks_at;
pub use finding::{Finding, Severity, Subject};
pub use judge::{judge, judge_for_disks};
pub use judged::{Judged, JudgedBy, JudgingList, JudgingTool};
pub use level::Level;
pub(crate) use names::device_name;

use crate::facts::Context;
use crate::known::Known;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the verdict's form. It rises when a field changes its meaning; new fields do not raise it.
pub const SCHEMA: u32 = 1;

/// What is said about a machine as a whole, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// [`SCHEMA`] of the program that wrote it.
    pub schema: u32,
    /// The worst level among what the machine cannot do without.
    pub level: Level,
    /// On what the facts were read. Only bare metal can be certified.
    pub context: Known<Context>,
    /// The kernel whose drivers were looked for; none where no modules folder was given.
    pub kernel: Option<String>,
    /// Everything that was looked at: what blocks first, then what warns, then the rest.
    pub findings: Vec<Finding>,
}

impl Verdict {
    /// Whether an install may go on without being overridden.
    pub fn allows_install(&self) -> bool {
        self.level.allows_install()
    }

    /// Findings of one severity.
    pub fn of(&self, severity: Severity) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(move |finding| finding.severity == severity)
    }

    /// Exit code of `hcl-checker check`: 0 certified or compatible, 1 with warnings, 3 unsupported, 4 unknown.
    pub fn exit_code(&self) -> u8 {
        match self.level {
            Level::Unsupported | Level::UnlistedWithoutDriver => 3,
            Level::Unknown => 4,
            Level::CertifiedWithDeviation | Level::UnlistedWithDriver => 1,
            Level::Certified | Level::Compatible => {
                u8::from(self.of(Severity::Warns).next().is_some())
            }
        }
    }
}
