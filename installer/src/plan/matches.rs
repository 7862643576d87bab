//! Why each disk and each interface of a machine fits the answers or not: for people who write answers.
//!
//! What fits is decided where plans decide it, so that the two never differ.

use super::problem::{DiskVerdict, PlanProblem};
use super::wish::Uses;
use super::{disk, network, storage, upgrade};
use crate::choices::Choices;
use hcl_checker::facts::Facts;
use serde::Serialize;

/// What was looked at for one wish of the answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MatchGroup {
    /// What is wanted.
    pub wanted: String,
    /// How many must fit.
    pub count: usize,
    /// Everything that was looked at. What has no reason fits.
    pub candidates: Vec<DiskVerdict>,
    /// Why there is no plan with this; none where exactly as many fit as must.
    pub problems: Vec<PlanProblem>,
}

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Matches {
    /// One for each wish, disks first.
    pub groups: Vec<MatchGroup>,
}

impl Matches {
    /// Looks at all disks and interfaces that a plan looks at: an upgrade leaves storage and network as they are. `medium` is the
    /// block device that the medium is; none when the facts are another machine's.
    pub fn of(choices: &Choices, facts: &Facts, medium: Option<&str>) -> Self {
        let disks = facts.disks.value().map_or(&[][..], Vec::as_slice);
        let nics = facts.nics.value().map_or(&[][..], Vec::as_slice);
        let mut uses = Uses::default();
        let mut groups = disk::matches(&choices.disk, disks, medium, &mut uses);
        if upgrade::wanted(&choices.disk, disks, medium).is_none() {
            groups.extend(storage::matches(&choices.storage, disks, medium, &mut uses));
            groups.extend(network::matches(&choices.network, nics));
        }
        Matches { groups }
    }

    /// True when exactly as many fit each wish as must.
    pub fn all_found(&self) -> bool {
        self.groups.iter().all(|group| group.problems.is_empty())
    }
}
