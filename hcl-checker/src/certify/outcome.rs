//! What came of a test.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It ran, and everything was as expected.
    Passed,
    /// It ran, and something was not as expected.
    Failed,
    /// It did not run. Never a pass.
    Skipped,
}

impl Status {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// Something that was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Measurement {
    /// What.
    pub name: String,
    /// What came out, with its unit.
    pub observed: String,
    /// What should have come out; empty where nothing is asked of it.
    pub expected: String,
    /// Where it was read: a program, a file, a device.
    pub source: String,
}

/// What a test found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// Why, where it did not pass.
    pub reason: String,
    /// What was measured on the way.
    pub measurements: Vec<Measurement>,
}

impl Outcome {
    /// Nothing measured and nothing wrong yet.
    pub fn new() -> Self {
        Self {
            status: Status::Passed,
            reason: String::new(),
            measurements: Vec::new(),
        }
    }

    /// It cannot run here.
    pub fn skipped(reason: impl Into<String>) -> Self {
        Self {
            status: Status::Skipped,
            reason: reason.into(),
            ..Self::new()
        }
    }

    /// Keeps what was measured.
    pub fn measured(
        &mut self,
        name: &str,
        observed: impl Into<String>,
        expected: impl Into<String>,
        source: impl Into<String>,
    ) {
        self.measurements.push(Measurement {
            name: name.to_owned(),
            observed: observed.into(),
            expected: expected.into(),
            source: source.into(),
        });
    }

    /// Something was not as expected. Reasons add up.
    pub fn fail(&mut self, reason: impl Into<String>) {
        self.status = Status::Failed;
        if !self.reason.is_empty() {
            self.reason.push_str("; ");
        }
        self.reason.push_str(&reason.into());
    }

    /// Fails with `reason` unless it is as it should be.
    pub fn expect(&mut self, as_it_should_be: bool, reason: impl FnOnce() -> String) {
        if !as_it_should_be {
            self.fail(reason());
        }
    }
}

impl Default for Outcome {
    fn default() -> Self {
        Self::new()
    }
}

/// A test and what came of it: part of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TestResult {
    /// Id of the planned test.
    pub id: String,
    /// What it does, for people.
    pub title: String,
    /// How it ended.
    pub status: Status,
    /// Why, where it did not pass; else empty.
    pub reason: String,
    /// What was measured.
    pub measurements: Vec<Measurement>,
    /// Names of the files that it left as evidence.
    pub evidence: Vec<String>,
    /// When it started, RFC 3339.
    pub started: String,
    /// How long it took, milliseconds.
    pub duration_ms: u64,
}
