//! Why each disk and each interface of a machine fits the answers or not: for people who write answers.

use super::problem::DiskVerdict;
use super::{disk, network, storage};
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
}

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Matches {
    /// One for each wish, disks first.
    pub groups: Vec<MatchGroup>,
}

impl Matches {
    /// Looks at all disks and interfaces. The medium of this machine is not known here, as the facts may be another's.
    pub fn of(choices: &Choices, facts: &Facts) -> Self {
        let disks = facts.disks.value().map_or(&[][..], Vec::as_slice);
        let nics = facts.nics.value().map_or(&[][..], Vec::as_slice);
        let mut groups = disk::matches(&choices.disk, disks);
        groups.extend(storage::matches(&choices.storage, disks));
        groups.extend(network::matches(&choices.network, nics));
        Matches { groups }
    }

    /// True when exactly as many fit each wish as must.
    pub fn all_found(&self) -> bool {
        let right = |group: &MatchGroup| {
            let fits = group.candidates.iter().filter(|one| one.reasons.is_empty());
            fits.count() == group.count
        };
        self.groups.iter().all(right)
    }
}
