//! What the choices come to: an installation, or an upgrade of the host that is there.

use super::build::{self, Input, build};
use super::{DiskIdentity, Plan, PlanProblems, UpgradePlan, fingerprint, upgrade};
use crate::choices::{After, Choices};
use hcl_checker::facts::Facts;
use serde::Serialize;

/// What will be done. Serializes as the plan itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Planned {
    /// A host is laid down.
    Install(Box<Plan>),
    /// A release is written beside the one that a host runs.
    Upgrade(Box<UpgradePlan>),
}

/// Decides everything, or says everything that is in the way: an upgrade where the answers ask for one and the disk holds a host,
/// else an installation.
pub fn decide(input: &Input<'_>) -> Result<Planned, PlanProblems> {
    match upgrade::build(input) {
        Some(plan) => plan.map(|plan| Planned::Upgrade(Box::new(plan))),
        None => build(input).map(|plan| Planned::Install(Box::new(plan))),
    }
}

/// What stands in the way whatever the release is, and the warnings where nothing does. What the compatibility list says, and whether
/// a host can get the release, only [`decide`] tells.
pub fn check(
    facts: &Facts,
    choices: &Choices,
    medium: Option<&str>,
) -> Result<Vec<String>, PlanProblems> {
    match upgrade::check(facts, choices, medium) {
        Some(checked) => checked,
        None => build::check(facts, choices, medium),
    }
}

impl Planned {
    /// The plan of an installation.
    pub fn install(&self) -> Option<&Plan> {
        match self {
            Planned::Install(plan) => Some(plan),
            Planned::Upgrade(_) => None,
        }
    }

    /// Version of the release.
    pub fn version(&self) -> &str {
        match self {
            Planned::Install(plan) => &plan.release.version,
            Planned::Upgrade(plan) => &plan.release.version,
        }
    }

    /// What follows success and failure.
    pub fn after(&self) -> (After, After) {
        match self {
            Planned::Install(plan) => (plan.on_success, plan.on_failure),
            Planned::Upgrade(plan) => (plan.on_success, plan.on_failure),
        }
    }

    /// What the operator should know.
    pub fn warnings(&self) -> &[String] {
        match self {
            Planned::Install(plan) => &plan.warnings,
            Planned::Upgrade(plan) => &plan.warnings,
        }
    }

    /// The same, to add to them.
    pub fn warnings_mut(&mut self) -> &mut Vec<String> {
        match self {
            Planned::Install(plan) => &mut plan.warnings,
            Planned::Upgrade(plan) => &mut plan.warnings,
        }
    }

    /// True when the operator agreed to lose what is on any of the disks.
    pub fn wipes(&self) -> bool {
        self.install().is_some_and(Plan::wipes)
    }

    /// What the operator agrees to lose, in one sentence without its full stop; none where nothing is lost.
    pub fn loss(&self) -> Option<String> {
        self.install().and_then(Plan::loss)
    }

    /// The plan as JSON, always the same for the same plan: two spaces, keys in the order of the types.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }

    /// SHA-256 of what is done to which disks and interfaces, lowercase hexadecimal; see [`Plan::hash`].
    pub fn hash(&self) -> Result<String, serde_json::Error> {
        match self {
            Planned::Install(plan) => plan.hash(),
            Planned::Upgrade(plan) => fingerprint::of_upgrade(plan),
        }
    }

    /// Two disks that only their paths tell apart, where the plan takes one of them: it may be about the other one after the next
    /// start, so the hash of the plan is no promise.
    pub fn twins(&self) -> Option<(&str, &str)> {
        let disks: Vec<&DiskIdentity> = match self {
            Planned::Install(plan) => {
                let host = plan
                    .disk
                    .members()
                    .into_iter()
                    .map(|(identity, _)| identity);
                let extra = plan.storage.iter().flat_map(|storage| &storage.disks);
                host.chain(extra.map(|disk| &disk.identity)).collect()
            }
            Planned::Upgrade(plan) => vec![&plan.disk],
        };
        disks
            .into_iter()
            .find_map(|disk| Some((disk.path.as_str(), disk.twin.as_deref()?)))
    }

    /// The plan in lines for people, without secrets.
    pub fn describe(&self) -> String {
        match self {
            Planned::Install(plan) => plan.describe().to_string(),
            Planned::Upgrade(plan) => plan.describe().to_string(),
        }
    }
}

impl From<Plan> for Planned {
    fn from(plan: Plan) -> Self {
        Planned::Install(Box::new(plan))
    }
}
