//! The report of a certification: canonical JSON, signed, that anybody can check.
//!
//! A signature that somebody made with a key of their own proves where a report comes from and that nobody changed it, not
//! that it is true. So a report holds what the verdict was made of, [`verify`](verify()) makes the verdict anew from that, and
//! the one who asks for a report may ask for a nonce in it.

mod beside;
mod canonical;
mod certification;
mod entry;
mod html;
mod kernel;
mod key;
mod redact;
mod verify;

pub use beside::Beside;
pub use canonical::{CanonicalError, is_canonical, to_canonical};
pub use certification::{Certification, CertificationResult};
pub use entry::{EntryError, submit_entries};
pub use html::html;
pub use kernel::KernelDrivers;
pub use key::{KeyError, PublicKey, SubmitterKey};
pub use redact::Redaction;
pub use verify::{Verification, VerifyOptions, verify};

use crate::certify::{Evidence, Options, RunState, Surroundings, TestResult, now, stamp};
use crate::drivers::DriverIndex;
use crate::facts::{Context, Facts};
use crate::known::Known;
use crate::list::{List, ListId};
use crate::verdict::{Finding, Level, Severity, Verdict, judge};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// What a report calls its form. The number rises when a field changes its meaning.
pub const SCHEMA: &str = "bedplate-certification-report-1";
/// Names of the files of a report in the folder of a run.
pub const REPORT_FILE: &str = "report.json";
/// The signature of [`REPORT_FILE`]: 64 bytes, Ed25519.
pub const SIGNATURE_FILE: &str = "report.json.sig";
/// The report for people.
pub const HTML_FILE: &str = "report.html";
/// The public key, PEM.
pub const PUBLIC_KEY_FILE: &str = "submitter.pem";

/// A report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// The program that made it.
    pub tool: Tool,
    /// The list that the machine was judged by.
    pub list: ListId,
    /// Drivers of the kernel that the machine was judged by, as far as this machine's devices ask for them.
    pub drivers: Option<KernelDrivers>,
    /// Release of the kernel that ran.
    pub kernel: Known<String>,
    /// Version of Xen that ran; `null` where none did.
    pub xen: Known<String>,
    /// Bare metal, a virtual machine, or dom0.
    pub context: Known<Context>,
    /// Who made it.
    pub submitter: Submitter,
    /// What was asked for.
    pub options: Options,
    /// What the plan depended on.
    pub surroundings: Surroundings,
    /// The machine.
    pub facts: Facts,
    /// Digests of raw evidence, which stays with the submitter.
    pub evidence: Vec<Evidence>,
    /// What the list says about it.
    pub checks: Vec<Check>,
    /// What the tests found.
    pub tests: Vec<TestResult>,
    /// The verdict by the list.
    pub verdict: Level,
    /// Whether the machine passed.
    pub certification: Certification,
    /// From the one who asked for the report, or random.
    pub nonce: String,
    /// When the run began, RFC 3339.
    pub started: String,
    /// When it ended.
    pub finished: String,
}

/// The program that made a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Its version.
    pub version: String,
    /// SHA-256 of its file.
    pub sha256: String,
}

/// Who made a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Submitter {
    /// Ed25519, hexadecimal.
    pub public_key: String,
    /// Whether serial numbers and addresses are in the report.
    pub serials: Serials,
}

/// What a report does with serial numbers and hardware addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Serials {
    /// In their place stand hashes with a key that the submitter has: the same machine has the same ones in each report of
    /// the same submitter, and nobody else can find out what they stand for.
    Hashed,
    /// They are in it.
    Plain,
}

/// One thing that the list says something about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What it is about.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What was seen.
    pub observed: String,
    /// Where.
    pub source: String,
    /// What should be there.
    pub expected: String,
    /// What that means.
    pub result: Severity,
    /// How well it is known to work.
    pub level: Option<Level>,
    /// The rule that says so.
    pub rule: String,
}

impl Check {
    fn of(finding: &Finding) -> Self {
        Self {
            id: finding.subject.to_string(),
            name: finding.name.clone(),
            observed: finding.observed.clone(),
            source: finding.source.clone(),
            expected: finding.expected.clone(),
            result: finding.severity,
            level: finding.level,
            rule: finding.rule.clone(),
        }
    }
}

/// Level and checks of a machine, by the list and the drivers of a kernel.
fn judged(facts: &Facts, list: &List, drivers: Option<&KernelDrivers>) -> (Level, Vec<Check>) {
    let index = drivers.map(KernelDrivers::index);
    let Verdict {
        level, findings, ..
    } = judge(facts, list, index.as_ref());
    (level, findings.iter().map(Check::of).collect())
}

impl Report {
    /// Makes the report of a run that is over. `program` is the file of this program.
    ///
    /// # Errors
    /// The program cannot be read, or something in it cannot be written as canonical JSON.
    pub fn of_run(
        state: &RunState,
        list: &List,
        drivers: Option<&DriverIndex>,
        key: &SubmitterKey,
        serials: Serials,
        program: &std::path::Path,
    ) -> Result<Self, ReportError> {
        let program_bytes = std::fs::read(program).map_err(|source| ReportError::Program {
            path: program.to_owned(),
            source,
        })?;
        let redaction = match serials {
            Serials::Hashed => Redaction::new(&state.facts, key)?,
            Serials::Plain => Redaction::none(),
        };
        // Everything below is made from what is in the report, so that it can be made again from that.
        let facts: Facts = redaction.apply(&state.facts)?;
        let drivers = drivers.map(|index| KernelDrivers::of(index, &facts, list));
        let (verdict, checks) = judged(&facts, list, drivers.as_ref());
        let tests: Vec<TestResult> = redaction.apply(&state.results)?;
        let surroundings = redaction.apply(&state.surroundings)?;
        let xen = facts.xen.clone().and_then(|xen| xen.version);
        Ok(Self {
            schema: SCHEMA.to_owned(),
            tool: Tool {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                sha256: hex::encode(Sha256::digest(program_bytes)),
            },
            list: ListId::of(list),
            kernel: facts.kernel_release.clone(),
            xen,
            context: facts.context.clone(),
            submitter: Submitter {
                public_key: key.public().hex(),
                serials,
            },
            options: redaction.apply(&state.options)?,
            certification: Certification::of(&facts, &surroundings, verdict, &checks, &tests),
            surroundings,
            evidence: redaction.names(&state.evidence),
            drivers,
            checks,
            tests,
            verdict,
            nonce: state.nonce.clone(),
            started: stamp(state.started),
            finished: stamp(now()),
            facts,
        })
    }

    /// Its bytes, which are signed.
    ///
    /// # Errors
    /// A number does not fit.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        to_canonical(self)
    }
}

/// No report could be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file of this program.
    #[error("{path}: {source}")]
    Program {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something has no canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

#[cfg(test)]
mod tests;
