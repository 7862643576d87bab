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

impl Measurement {
    /// Whether what came out is what should have, by the words that tests use for it: `5 at least`, `5 Mbit/s at most`, `a number`,
    /// `one, two or three`, `with one and two`; anything else must be the same. True where nothing is asked.
    pub fn agrees(&self) -> bool {
        let (observed, expected) = (self.observed.as_str(), self.expected.as_str());
        let words = |list: &str, last: &str| -> Vec<String> {
            let list = list.replace(last, ", ");
            list.split(", ").map(str::to_owned).collect()
        };
        // Numbers with different units say nothing about each other.
        let both = |limit: &str| {
            let ((number, unit), (limit, of)) = (amount(observed)?, amount(limit)?);
            (unit == of).then_some((number, limit))
        };
        if let Some(least) = expected.strip_suffix(" at least") {
            both(least).is_some_and(|(number, least)| number >= least)
        } else if let Some(most) = expected.strip_suffix(" at most") {
            both(most).is_some_and(|(number, most)| number <= most)
        } else if let Some(list) = expected.strip_prefix("with ") {
            let has = |word: String| observed.split(' ').any(|other| other == word);
            words(list, " and ").into_iter().all(has)
        } else if expected == "a number" {
            observed.parse::<u64>().is_ok_and(|number| number > 0)
        } else {
            // Where nothing is asked, anything is right.
            expected.is_empty() || words(expected, " or ").iter().any(|word| word == observed)
        }
    }

    /// For people: that it does not [agree](Self::agrees).
    pub fn difference(&self) -> String {
        format!(
            "{} is `{}` and should be `{}`",
            self.name, self.observed, self.expected
        )
    }
}

/// `800 Mbit/s` as a number and its unit; a bare number has none.
fn amount(text: &str) -> Option<(u64, &str)> {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    Some((number.parse().ok()?, unit))
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

impl Outcome {
    /// Fails a test that passed although something that it measured is not as it should be. Its report would not be believed.
    pub(super) fn hold_to_measurements(&mut self) {
        if self.status != Status::Passed {
            return;
        }
        let differs = self.measurements.iter().filter(|one| !one.agrees());
        let told: Vec<String> = differs.map(Measurement::difference).collect();
        for reason in told {
            self.fail(reason);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn measurement(observed: &str, expected: &str) -> Measurement {
        Measurement {
            name: "speed".to_owned(),
            observed: observed.to_owned(),
            expected: expected.to_owned(),
            source: String::new(),
        }
    }

    #[test]
    fn what_was_measured_is_held_against_what_should_be() {
        for (expected, right, wrong) in [
            ("0", &["0"][..], &["1", "", "0 s"][..]),
            ("yes", &["yes"], &["no", "no, older lines are lost"]),
            ("PVH", &["PVH"], &["PV", "nothing"]),
            ("1 at least", &["1", "88"], &["0", "", "-1", "many", "1 s"]),
            (
                "800 Mbit/s at least",
                &["800 Mbit/s", "941 Mbit/s"],
                &["799 Mbit/s", "900", "900 kbit/s"],
            ),
            ("3 at most", &["0", "3"], &["4", ""]),
            ("a number", &["1", "64"], &["0", "unknown (not read)"]),
            ("vmx, svm or hvm", &["svm", "hvm", "vmx"], &["missing", ""]),
            (
                "with pv, hvm and hap",
                &["pv hvm hap", "hap hvm_directio hvm pv"],
                &["pv hvm", "pv hvm_directio hap"],
            ),
            ("", &["", "anything"], &[]),
        ] {
            for observed in right {
                assert!(
                    measurement(observed, expected).agrees(),
                    "{observed} {expected}"
                );
            }
            for observed in wrong {
                assert!(
                    !measurement(observed, expected).agrees(),
                    "{observed} {expected}"
                );
            }
        }
    }

    #[test]
    fn no_test_passes_against_its_own_measurement() {
        let mut outcome = Outcome::new();
        outcome.measured("speed", "2", "1 at least", "");
        outcome.hold_to_measurements();
        assert_eq!(outcome.status, Status::Passed);
        outcome.measured("speed", "2", "3 at least", "");
        outcome.hold_to_measurements();
        assert_eq!(
            (outcome.status, outcome.reason.as_str()),
            (Status::Failed, "speed is `2` and should be `3 at least`")
        );
        // Reasons of its own are enough.
        outcome.hold_to_measurements();
        assert_eq!(outcome.reason.matches("speed").count(), 1);
    }
}
