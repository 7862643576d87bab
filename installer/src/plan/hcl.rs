//! What the verdict on the hardware means for the plan.

use super::HclPlan;
use super::problem::{About, DiskVerdict, PlanProblem};
use crate::choices::HclPolicy;
use crate::release_source::ImageRoot;
use hcl_checker::drivers::DriverIndex;
use hcl_checker::facts::Facts;
use hcl_checker::list::List;
use hcl_checker::verdict::{Finding, Severity, Verdict, judge_for_disks};
use steps::StepError;

/// Where the drivers of a kernel are.
const MODULES: &str = "/usr/lib/modules";

/// The list, and the drivers that the installed host will have.
pub struct Judge {
    list: List,
    drivers: Option<DriverIndex>,
}

impl Judge {
    /// The list of this program, and the drivers of the kernel `release` as far as they are in `image`. In the live system
    /// they are: it runs the root image of its medium. Elsewhere the index of this program is the same, where it is of that
    /// kernel: a plan that is made at a desk must be that of the machine.
    pub fn load(image: &ImageRoot, release: &str) -> Result<Self, StepError> {
        let drivers = DriverIndex::read(&image.path(MODULES).join(release))
            .ok()
            .or_else(|| {
                DriverIndex::of_release()
                    .ok()
                    .filter(|index| index.release == release)
            });
        Ok(Judge {
            list: List::built_in()?,
            drivers,
        })
    }

    /// The verdict for an installation on these disks (kernel names); on the best one when none is named.
    pub fn verdict(&self, facts: &Facts, disks: &[&str]) -> Verdict {
        judge_for_disks(facts, &self.list, self.drivers.as_ref(), disks)
    }
}

/// Whether the installation may go on. What the operator should know goes into `warnings`.
pub fn decide(
    verdict: &Verdict,
    policy: &HclPolicy,
    warnings: &mut Vec<String>,
) -> Result<HclPlan, PlanProblem> {
    let plan = |overridden| HclPlan {
        level: verdict.level.to_string(),
        policy: policy.clone(),
        overridden,
    };
    if verdict.allows_install() {
        let count = verdict.of(Severity::Warns).count();
        if count > 0 {
            let (things, them) = if count == 1 {
                ("1 thing", "it")
            } else {
                (&*format!("{count} things"), "them")
            };
            warnings.push(format!(
                "the hardware is {}, with {things} to know; `hcl-checker check` lists {them}",
                verdict.level
            ));
        }
        return Ok(plan(false));
    }
    let blocking: Vec<&Finding> = verdict.of(Severity::Blocks).collect();
    match policy {
        HclPolicy::Warn { reason } | HclPolicy::Allow { reason } => {
            let told = matches!(policy, HclPolicy::Warn { .. });
            for finding in blocking.iter().filter(|_| told) {
                warnings.push(format!(
                    "the compatibility list disapproves of {}: {}",
                    finding.name,
                    sentences(finding).join("; ")
                ));
            }
            warnings.push(format!(
                "installed on hardware that is {} because: {reason}",
                verdict.level
            ));
            Ok(plan(true))
        }
        HclPolicy::Refuse => {
            let candidates = blocking.iter().map(|finding| DiskVerdict {
                name: finding.subject.to_string(),
                description: match &finding.level {
                    Some(level) => format!("{} ({level})", finding.name),
                    None => finding.name.clone(),
                },
                reasons: sentences(finding),
            });
            Err(PlanProblem::new(
                About::Verdict,
                format!("the hardware is {}", verdict.level),
                "see what is in the way below; to install all the same, set `policy = \"warn\"` and a `reason` in [hcl]",
            )
            .with(candidates.collect()))
        }
    }
}

fn sentences(finding: &Finding) -> Vec<String> {
    let parts = [
        ("seen: ", &finding.observed),
        ("expected: ", &finding.expected),
        ("", &finding.advice),
    ];
    parts
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(label, text)| format!("{label}{text}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hcl_checker::Known;
    use hcl_checker::facts::Context;
    use hcl_checker::verdict::{Level, SCHEMA, Subject};

    fn verdict(level: Level, severity: Severity) -> Verdict {
        let finding = Finding {
            rule: "nic-broken".into(),
            subject: Subject::Nic("eno1".into()),
            name: "Broken NIC".into(),
            level: Some(level),
            essential: true,
            severity,
            observed: "firmware 1.0".into(),
            source: "/sys".into(),
            expected: "firmware 2.0".into(),
            advice: "update it".into(),
            notes: String::new(),
        };
        let context = Known::Value(Context::Bare);
        Verdict {
            schema: SCHEMA,
            level,
            context,
            kernel: None,
            findings: vec![finding],
        }
    }

    #[test]
    fn what_blocks_is_listed_with_what_to_do() {
        let bad = verdict(Level::Unsupported, Severity::Blocks);
        let problem = decide(&bad, &HclPolicy::Refuse, &mut Vec::new()).unwrap_err();
        assert_eq!(problem.about, About::Verdict);
        assert_eq!(problem.candidates[0].name, "nic eno1");
        assert_eq!(
            problem.candidates[0].reasons,
            ["seen: firmware 1.0", "expected: firmware 2.0", "update it"]
        );

        let mut warnings = Vec::new();
        let plan = decide(
            &bad,
            &HclPolicy::Warn {
                reason: "spare ordered".into(),
            },
            &mut warnings,
        )
        .unwrap();
        assert!(plan.overridden);
        let allow = HclPolicy::Allow {
            reason: "spare ordered".into(),
        };
        let mut reason_alone = Vec::new();
        assert!(decide(&bad, &allow, &mut reason_alone).unwrap().overridden);
        assert_eq!(reason_alone.len(), 1, "{reason_alone:?}");
        assert!(
            warnings[0].contains("Broken NIC") && warnings[1].contains("spare ordered"),
            "{warnings:?}"
        );
    }

    #[test]
    fn unknown_never_passes_and_warnings_are_told() {
        let policy = HclPolicy::Refuse;
        assert!(
            decide(
                &verdict(Level::Unknown, Severity::Blocks),
                &policy,
                &mut Vec::new()
            )
            .is_err()
        );
        let mut warnings = Vec::new();
        let plan = decide(
            &verdict(Level::UnlistedWithDriver, Severity::Warns),
            &policy,
            &mut warnings,
        )
        .unwrap();
        assert!(!plan.overridden);
        assert_eq!(
            warnings,
            [
                "the hardware is unlisted (driver present), with 1 thing to know; `hcl-checker check` lists it"
            ]
        );
    }
}
