//! Which disks become storage repositories of their own.

use super::DiskIdentity;
use super::contents::{contents, holds_bedplate, slots_on, uses};
use super::disk::{doubts, identity_among};
use super::keep::{KeptStorage, kept_storage};
use super::matches::MatchGroup;
use super::problem::{About, PlanProblem};
use super::wish::{Uses, Wish, verdict};
use crate::choices::{StorageChoice, StorageKind};
use crate::values::StorageName;
use hcl_checker::Known;
use hcl_checker::facts::Disk;
use serde::Serialize;
use slots::{Layout, Partition, PartitionKind};

/// A storage repository on disks of its own: an LVM volume group over one partition of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoragePlan {
    /// What it is called.
    pub name: StorageName,
    /// How it keeps the disks of guests; none where it stays as it is.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<StorageKind>,
    /// True when the operator agreed to lose what is on its disks.
    pub wipe: bool,
    /// Its disks.
    pub disks: Vec<StorageDisk>,
}

/// One disk of a storage repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StorageDisk {
    /// Identity; compared again just before the first write.
    pub identity: DiskIdentity,
    /// What is on it now and will be lost, in plain words.
    pub loses: Vec<String>,
    /// The partition that it gets, or has where it stays as it is.
    pub layout: Layout,
    /// The partition that stays as it is. Nothing is written to this disk then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keeps: Option<KeptStorage>,
}

fn wish(choice: &StorageChoice) -> Wish<'_> {
    Wish {
        section: choice.name.section(),
        selects: vec![&choice.select],
        count: choice.count,
        counted: true,
    }
}

/// The storage repositories, or all that is in the way. `uses` knows the disks that the host itself is meant to have.
pub(super) fn choose<'d>(
    choices: &[StorageChoice],
    disks: &'d [Disk],
    medium: Option<&str>,
    uses: &mut Uses<'d>,
    warnings: &mut Vec<String>,
) -> Result<Vec<StoragePlan>, Vec<PlanProblem>> {
    let mut problems = Vec::new();
    let mut plans = Vec::new();
    for choice in choices {
        let looked = uses.take(&wish(choice), disks, medium);
        problems.extend(looked.problems);
        let mut members = Vec::new();
        for disk in looked.taken {
            if choice.keep {
                let kept = keep(choice, disk, disks).map_err(|problem| problems.push(problem));
                members.extend(kept);
            } else {
                members.extend(inspect(choice, disk, disks, warnings, &mut problems));
            }
        }
        plans.push(StoragePlan {
            name: choice.name.clone(),
            kind: (!choice.keep).then_some(choice.kind),
            wipe: choice.wipe,
            disks: members,
        });
    }
    if problems.is_empty() {
        Ok(plans)
    } else {
        Err(problems)
    }
}

/// A disk of a storage repository that stays as it is.
fn keep(choice: &StorageChoice, disk: &Disk, disks: &[Disk]) -> Result<StorageDisk, PlanProblem> {
    let cannot = |reason: String| {
        let section = choice.name.section();
        PlanProblem::new(
            About::Disk,
            format!("the storage repository of {section} cannot be kept: {reason}"),
            format!(
                "leave `keep` out of {section} to make a new one, or choose the disk that holds it"
            ),
        )
        .with(vec![verdict(disk, Vec::new())])
    };
    if disk.is_in_use() {
        return Err(cannot(format!(
            "{} is in use: {}",
            disk.path,
            uses(disk).join(", ")
        )));
    }
    if holds_bedplate(disk) {
        return Err(cannot(format!(
            "{} holds a Bedplate host ({}), whose storage repository is that of [disk]",
            disk.path,
            slots_on(disk).join(", ")
        )));
    }
    let kept = kept_storage(disk).map_err(cannot)?;
    let identity = identity_among(disk, disks).map_err(cannot)?;
    let end = kept.start.checked_add(kept.size);
    if end.is_none_or(|end| end > identity.size) {
        return Err(cannot(format!(
            "its partition reaches past the end of {}",
            disk.path
        )));
    }
    Ok(StorageDisk {
        layout: Layout {
            disk_size: identity.size,
            sector_size: identity.sector_size,
            partitions: vec![Partition {
                kind: PartitionKind::Storage,
                start: kept.start,
                size: kept.size,
            }],
        },
        identity,
        loses: Vec::new(),
        keeps: Some(kept),
    })
}

/// A disk that may be taken; none where something is in the way, which then is among the problems.
fn inspect(
    choice: &StorageChoice,
    disk: &Disk,
    disks: &[Disk],
    warnings: &mut Vec<String>,
    problems: &mut Vec<PlanProblem>,
) -> Option<StorageDisk> {
    let before = problems.len();
    let mut problem = |message: String, advice: String| {
        problems.push(
            PlanProblem::new(About::Disk, message, advice).with(vec![verdict(disk, Vec::new())]),
        );
    };
    let (name, section) = (&disk.path, choice.name.section());
    let loses = contents(disk);
    let consent =
        format!("set `wipe = true` in {section} if all of it may be lost, or choose another disk");
    if disk.is_in_use() {
        problem(
            format!("{name} is in use: {}", uses(disk).join(", ")),
            "stop what uses it, or choose another disk; consent to wipe does not cover a disk in use".to_owned(),
        );
    }
    if holds_bedplate(disk) {
        // No consent covers that: a host is lost by installing over it, never by giving it more storage.
        problem(
            format!(
                "{name} runs Bedplate ({}) and is not taken for a storage repository",
                slots_on(disk).join(", ")
            ),
            "choose another disk, or erase this one by hand: `wipefs --all`".to_owned(),
        );
    } else if !choice.wipe {
        match disk.holds_data() {
            Known::Value(true) => {
                problem(format!("{name} holds data: {}", loses.join("; ")), consent)
            }
            Known::Unknown(unknown) => problem(
                format!(
                    "it is not known whether {name} holds data: {}",
                    unknown.reason
                ),
                consent,
            ),
            _ => {}
        }
    }
    let planned = identity_among(disk, disks).and_then(|identity| {
        let layout = Layout::plan_storage(identity.size, identity.sector_size)
            .map_err(|error| format!("{name}: {error}"))?;
        Ok((identity, layout))
    });
    match planned {
        Ok((identity, layout)) if problems.len() == before => {
            warnings.extend(doubts(&identity));
            Some(StorageDisk {
                identity,
                loses,
                layout,
                keeps: None,
            })
        }
        Ok(_) => None,
        Err(reason) => {
            problems.push(PlanProblem::new(
                About::Disk,
                reason,
                "choose another disk, or look at its cable and at `dmesg`",
            ));
            None
        }
    }
}

/// Why each disk belongs to each storage repository or not.
pub(super) fn matches<'d>(
    choices: &[StorageChoice],
    disks: &'d [Disk],
    medium: Option<&str>,
    uses: &mut Uses<'d>,
) -> Vec<MatchGroup> {
    choices
        .iter()
        .map(|choice| {
            let wish = wish(choice);
            let wanted = match choice.count {
                1 => format!("The disk that {} asks for", wish.section),
                n => format!("The {n} disks that {} asks for", wish.section),
            };
            uses.take(&wish, disks, medium).group(wanted, choice.count)
        })
        .collect()
}
