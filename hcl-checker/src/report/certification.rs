//! Whether a machine passed: a pure function of context, verdict and tests.

use super::Check;
use crate::certify::{Status, Surroundings, TestResult, too_little};
use crate::facts::{Context, Facts};
use crate::verdict::{Level, Severity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a machine passed, and what is in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certification {
    /// The result.
    pub result: CertificationResult,
    /// What is wrong.
    pub failed: Vec<String>,
    /// What is required and is not known.
    pub missing: Vec<String>,
}

/// The result of a certification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificationResult {
    /// Every test of the plan ran and passed, on the machine itself, and the verdict by the list allows an install.
    Passed,
    /// Something is wrong with the machine.
    Failed,
    /// Nothing is known to be wrong, and not everything is known.
    Incomplete,
}

impl CertificationResult {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Incomplete => "incomplete",
        }
    }
}

impl Certification {
    /// What follows from facts, surroundings, verdict with its checks, and tests.
    pub fn of(
        facts: &Facts,
        surroundings: &Surroundings,
        verdict: Level,
        checks: &[Check],
        tests: &[TestResult],
    ) -> Self {
        let mut failed = Vec::new();
        let mut missing = Vec::new();
        for test in tests {
            let told = format!("{}: {}", test.id, test.reason);
            match test.status {
                Status::Passed => {}
                Status::Failed => failed.push(told),
                // A plan has only what applies to the machine, so none of it may be left out.
                Status::Skipped => missing.push(told),
            }
        }
        missing.extend(tests.iter().filter_map(too_little));
        missing.extend(no_disk(facts, surroundings, tests));
        if !verdict.allows_install() {
            // What is not known is not held against the machine, and is no pass.
            let list = match verdict {
                Level::Unknown => &mut missing,
                _ => &mut failed,
            };
            list.push(no_install(verdict, checks));
        }
        match facts.context.value() {
            Some(Context::Dom0) if surroundings.xen_is_guest => missing
                .push("Xen runs in a virtual machine here, which is never certified".to_owned()),
            Some(Context::Bare | Context::Dom0) => {}
            Some(Context::Guest { hypervisor }) => missing.push(format!(
                "this is a virtual machine ({hypervisor}), which is never certified"
            )),
            None => missing.push("it is not known whether this is a virtual machine".to_owned()),
        }
        if tests.is_empty() {
            missing.push("no test ran".to_owned());
        }
        let result = match (failed.is_empty(), missing.is_empty()) {
            (false, _) => CertificationResult::Failed,
            (true, false) => CertificationResult::Incomplete,
            (true, true) => CertificationResult::Passed,
        };
        Self {
            result,
            failed,
            missing,
        }
    }

    /// Everything that is in the way, what is wrong first.
    pub fn reasons(&self) -> impl Iterator<Item = &String> {
        self.failed.iter().chain(&self.missing)
    }
}

/// That what was tested as a disk is none of the machine's. Whatever was not tested has its own reason.
fn no_disk(facts: &Facts, surroundings: &Surroundings, tests: &[TestResult]) -> Option<String> {
    let passed: Vec<&TestResult> = tests
        .iter()
        .filter(|test| test.status == Status::Passed && test.id.starts_with("disk."))
        .collect();
    let is_of_machine = |test: &&TestResult| {
        let mut targets = surroundings.targets.iter();
        targets.any(|target| target.has_test(&test.id) && target.is_of(facts))
    };
    if passed.is_empty() || passed.iter().any(is_of_machine) {
        return None;
    }
    let ids: Vec<&str> = passed.iter().map(|test| test.id.as_str()).collect();
    Some(format!(
        "no disk of this machine was tested: {} stands on none; name a disk, or a volume on disks alone, with --erase-disk PATH, \
         whose content is lost",
        ids.join(", ")
    ))
}

/// That the verdict allows no install, and what it is about.
fn no_install(verdict: Level, checks: &[Check]) -> String {
    let blocks = checks
        .iter()
        .filter(|check| check.result == Severity::Blocks);
    let told = blocks.map(|check| {
        let name = match check.name.as_str() {
            "" => &check.id,
            name => name,
        };
        format!("{name}, seen: {}", check.observed)
    });
    let told: Vec<String> = told.collect();
    let mut text = format!("the verdict by the list is {verdict}, which allows no install");
    if !told.is_empty() {
        text.push_str(": ");
        text.push_str(&told.join("; "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known::Known;

    fn test(id: &str, status: Status) -> TestResult {
        TestResult {
            id: id.to_owned(),
            title: String::new(),
            status,
            reason: "why".to_owned(),
            measurements: Vec::new(),
            evidence: Vec::new(),
            started: String::new(),
            duration_ms: 0,
        }
    }

    fn facts(context: Option<&Context>) -> Facts {
        Facts {
            context: context
                .cloned()
                .map_or_else(|| Known::unknown("test"), Known::Value),
            ..Facts::default()
        }
    }

    fn of(context: Option<&Context>, verdict: Level, tests: &[TestResult]) -> Certification {
        let here = Surroundings::default();
        Certification::of(&facts(context), &here, verdict, &[], tests)
    }

    const ALL: [&str; 5] = [
        "log",
        "nic.eth0.jumbo",
        "nic.eth0.vlan",
        "sriov.x",
        "crash.xen",
    ];

    #[test]
    fn a_skipped_test_never_passes() {
        let here = Some(&Context::Dom0);
        let good = ALL.map(|id| test(id, Status::Passed));
        assert_eq!(
            of(here, Level::Compatible, &good).result,
            CertificationResult::Passed
        );
        for (number, id) in ALL.into_iter().enumerate() {
            let mut tests = good.clone();
            tests[number].status = Status::Skipped;
            let skipped = of(here, Level::Compatible, &tests);
            assert_eq!(skipped.result, CertificationResult::Incomplete, "{id}");
            assert_eq!(skipped.missing, [format!("{id}: why")]);
            tests[number].status = Status::Failed;
            let failed = of(here, Level::Compatible, &tests);
            assert_eq!(failed.result, CertificationResult::Failed, "{id}");
        }
        assert_eq!(
            of(here, Level::Compatible, &[]).result,
            CertificationResult::Incomplete
        );
    }

    #[test]
    fn a_virtual_machine_is_never_certified() {
        let good = [test("log", Status::Passed)];
        let guest = Context::Guest {
            hypervisor: "KVM".to_owned(),
        };
        for context in [None, Some(&guest)] {
            assert_eq!(
                of(context, Level::Compatible, &good).result,
                CertificationResult::Incomplete
            );
        }
        let nested = Surroundings {
            xen_is_guest: true,
            ..Surroundings::default()
        };
        let dom0 = facts(Some(&Context::Dom0));
        let nested = Certification::of(&dom0, &nested, Level::Compatible, &[], &good);
        assert_eq!(nested.result, CertificationResult::Incomplete);
        assert_eq!(nested.missing.len(), 1, "{nested:?}");
    }

    #[test]
    fn a_verdict_that_allows_no_install_refuses_with_its_reason() {
        let good = [test("log", Status::Passed)];
        let check = |name: &str, result: Severity| Check {
            id: "cpu".to_owned(),
            name: name.to_owned(),
            observed: "none".to_owned(),
            source: String::new(),
            expected: String::new(),
            result,
            level: None,
            rule: String::new(),
        };
        let checks = [
            check("NPT", Severity::Blocks),
            check("", Severity::Blocks),
            check("SMEP", Severity::Warns),
        ];
        for (level, result) in [
            (Level::Certified, CertificationResult::Passed),
            (Level::CertifiedWithDeviation, CertificationResult::Passed),
            (Level::Compatible, CertificationResult::Passed),
            (Level::UnlistedWithDriver, CertificationResult::Passed),
            (Level::UnlistedWithoutDriver, CertificationResult::Failed),
            (Level::Unknown, CertificationResult::Incomplete),
            (Level::Unsupported, CertificationResult::Failed),
        ] {
            let bare = facts(Some(&Context::Bare));
            let here = Surroundings::default();
            let certification = Certification::of(&bare, &here, level, &checks, &good);
            assert_eq!(certification.result, result, "{level}");
            let reasons: Vec<&String> = certification.reasons().collect();
            if result == CertificationResult::Passed {
                assert!(reasons.is_empty(), "{level}");
            } else {
                let told = format!(
                    "the verdict by the list is {level}, which allows no install: NPT, seen: none; cpu, seen: none"
                );
                assert_eq!(reasons, [&told]);
            }
        }
    }
}
