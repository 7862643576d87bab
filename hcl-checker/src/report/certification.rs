//! Whether a machine passed: a pure function of context, verdict and tests.

use crate::certify::{Status, Surroundings, TestResult, is_required};
use crate::facts::Context;
use crate::verdict::Level;
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
    /// Every required test ran and passed, on the machine itself, and the list has nothing against it.
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
    /// What follows from context, surroundings, verdict and tests.
    pub fn of(
        context: Option<&Context>,
        surroundings: &Surroundings,
        verdict: Level,
        tests: &[TestResult],
    ) -> Self {
        let mut failed = Vec::new();
        let mut missing = Vec::new();
        for test in tests {
            match test.status {
                Status::Passed => {}
                Status::Failed => failed.push(format!("{}: {}", test.id, test.reason)),
                Status::Skipped if is_required(&test.id) => {
                    missing.push(format!("{}: {}", test.id, test.reason));
                }
                Status::Skipped => {}
            }
        }
        if verdict == Level::Unsupported {
            failed.push("the list says that this machine is unsupported".to_owned());
        }
        match context {
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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_skipped_test_never_passes() {
        let of = |context: Option<&Context>, tests: &[TestResult]| {
            Certification::of(context, &Surroundings::default(), Level::Compatible, tests).result
        };
        let good = [
            test("memory", Status::Passed),
            test("sriov.x", Status::Skipped),
        ];
        assert_eq!(of(Some(&Context::Bare), &good), CertificationResult::Passed);
        let skipped = [
            test("memory", Status::Skipped),
            test("cpu.load", Status::Passed),
        ];
        assert_eq!(
            of(Some(&Context::Dom0), &skipped),
            CertificationResult::Incomplete
        );
        let failed = [
            test("nic.eth0.vlan", Status::Failed),
            test("memory", Status::Skipped),
        ];
        assert_eq!(
            of(Some(&Context::Bare), &failed),
            CertificationResult::Failed
        );
        assert_eq!(of(None, &good), CertificationResult::Incomplete);
        assert_eq!(
            of(Some(&Context::Bare), &[]),
            CertificationResult::Incomplete
        );
        let guest = Context::Guest {
            hypervisor: "KVM".to_owned(),
        };
        assert_eq!(of(Some(&guest), &good), CertificationResult::Incomplete);
        let nested = Surroundings {
            xen_is_guest: true,
            ..Surroundings::default()
        };
        let nested = Certification::of(Some(&Context::Dom0), &nested, Level::Compatible, &good);
        assert_eq!(nested.result, CertificationResult::Incomplete);
        assert_eq!(nested.missing.len(), 1, "{nested:?}");
        let here = Surroundings::default();
        let denied = Certification::of(Some(&Context::Bare), &here, Level::Unsupported, &good);
        assert_eq!(denied.result, CertificationResult::Failed);
    }
}
