//! What the answers ask for, and the disks that fit it.

use super::matches::MatchGroup;
use super::problem::{About, DiskVerdict, PlanProblem};
use crate::selector::DiskSelector;
use crate::values::show_size;
use hcl_checker::Known;
use hcl_checker::facts::{Disk, DiskKind, Partition, Transport};
use slots::names::{ANSWER_LABEL, ISO_LABEL_PREFIX};

/// One wish of the answers: what asks for it, the properties, and how many disks must have them.
pub(super) struct Wish<'c> {
    /// What asks for it, as people write it.
    pub section: String,
    /// The properties; where no disk has them, those of the next one count.
    pub selects: Vec<&'c DiskSelector>,
    /// How many disks must have them.
    pub count: usize,
    /// The answers give the count themselves; else it follows from what the host is to be.
    pub counted: bool,
}

impl Wish<'_> {
    /// All disks with the reasons why each does not fit, by the first properties that any disk has. Where none fits, the
    /// reasons of all are told.
    pub fn look<'d>(
        &self,
        disks: &'d [Disk],
        medium: Option<&str>,
    ) -> Vec<(&'d Disk, Vec<String>)> {
        let by = |select: &DiskSelector, disk: &Disk| {
            let mut reasons = never(disk, medium, select.names_one_disk());
            reasons.extend(select.mismatches(disk));
            reasons
        };
        let fitting = self
            .selects
            .iter()
            .find(|select| disks.iter().any(|disk| by(select, disk).is_empty()));
        let several = self.selects.len() > 1;
        disks
            .iter()
            .map(|disk| {
                let reasons = match fitting {
                    Some(select) => by(select, disk),
                    None => (1..)
                        .zip(&self.selects)
                        .flat_map(|(number, select)| {
                            by(select, disk)
                                .into_iter()
                                .map(move |reason| match several {
                                    true => format!("{number}: {reason}"),
                                    false => reason,
                                })
                        })
                        .collect(),
                };
                (disk, reasons)
            })
            .collect()
    }

    /// The disks that it means.
    pub fn taken<'d>(
        &self,
        disks: &'d [Disk],
        medium: Option<&str>,
    ) -> Result<Vec<&'d Disk>, PlanProblem> {
        let looked = self.look(disks, medium);
        let matching: Vec<&Disk> = looked
            .iter()
            .filter(|(_, reasons)| reasons.is_empty())
            .map(|(disk, _)| *disk)
            .collect();
        if matching.is_empty() {
            Err(none_matches(&looked, self))
        } else if matching.len() != self.count {
            Err(wrong_count(&matching, self))
        } else {
            Ok(matching)
        }
    }

    /// What was looked at, for people who write answers.
    pub fn group(&self, wanted: String, disks: &[Disk]) -> MatchGroup {
        MatchGroup {
            wanted,
            count: self.count,
            candidates: self
                .look(disks, None)
                .into_iter()
                .map(|(disk, reasons)| verdict(disk, reasons))
                .collect(),
        }
    }
}

/// Why a disk is no candidate, whatever the operator says. A disk that its maker calls removable counts only where the
/// operator named it: some controllers say so of every hot-swap bay.
pub(super) fn never(disk: &Disk, medium: Option<&str>, named: bool) -> Vec<String> {
    let mut reasons = Vec::new();
    if disk.kind == DiskKind::Optical {
        reasons.push("it is an optical drive".to_owned());
    }
    if medium.is_some_and(|medium| is_on(disk, medium)) {
        reasons.push("it is the medium that this system was started from".to_owned());
    } else if !named && let Some(volume) = installation_medium(disk) {
        reasons.push(format!(
            "it holds \"{volume}\", what installations are made from, and is not named by path, serial number or world wide name"
        ));
    }
    // NVMe joins its paths by itself: there the paths are controllers of one disk.
    if !disk.paths.is_empty() && disk.transport != Known::Value(Transport::Nvme) {
        reasons.push(format!(
            "it is one of several paths to the same disk (also {}), and disks with several paths are not supported yet: leave one path \
             connected, or choose another disk",
            disk.paths.join(", ")
        ));
    }
    match &disk.read_only {
        Known::Value(false) => {}
        Known::Value(true) => reasons.push("it is read-only".to_owned()),
        _ => reasons.push("it is not known whether it can be written".to_owned()),
    }
    match &disk.size_bytes {
        Known::Value(0) => reasons.push("it has no medium in it".to_owned()),
        Known::Value(_) => {}
        _ => reasons.push("its size is not known".to_owned()),
    }
    if disk.removable != Known::Value(false) && !named {
        reasons.push(
            "it is removable, and not named by path, serial number or world wide name".to_owned(),
        );
    }
    reasons
}

/// The label of an installation medium or of a volume of answers on the disk: a second stick beside the one that was started
/// is none the less somebody's.
fn installation_medium(disk: &Disk) -> Option<&str> {
    let parts = disk.partitions.iter().map(|part| &part.content);
    parts
        .chain([&disk.content])
        .filter_map(|content| content.value()?.label.as_deref())
        .find(|label| label.starts_with(ISO_LABEL_PREFIX) || *label == ANSWER_LABEL)
}

/// True when the device at `path` is the disk, a link to it, or a part of it.
fn is_on(disk: &Disk, path: &str) -> bool {
    let part = |partition: &Partition| partition.path == path;
    disk.path == path
        || disk.by_id.iter().any(|link| link == path)
        || disk.partitions.iter().any(part)
}

pub(super) fn no_disk() -> PlanProblem {
    PlanProblem::new(
        About::Disk,
        "this machine has no disk that the kernel knows",
        "check the controller: RAID and VMD modes hide disks, and some controllers need a driver",
    )
}

fn none_matches(looked: &[(&Disk, Vec<String>)], wish: &Wish<'_>) -> PlanProblem {
    if looked.is_empty() {
        return no_disk();
    }
    let section = &wish.section;
    let candidates = looked
        .iter()
        .map(|(disk, reasons)| verdict(disk, reasons.clone()))
        .collect();
    PlanProblem::new(
        About::Disk,
        format!("no disk matches what {section} asks for"),
        match wish.count {
            n if wish.counted && n > 1 => {
                format!("change {section} so that it fits exactly {n} of these:")
            }
            _ => format!("change {section} so that it fits exactly one of these:"),
        },
    )
    .with(candidates)
}

fn wrong_count(found: &[&Disk], wish: &Wish<'_>) -> PlanProblem {
    let section = &wish.section;
    if wish.counted {
        let candidates = found.iter().map(|disk| verdict(disk, Vec::new()));
        return PlanProblem::new(
            About::Disk,
            format!(
                "{} match what {section} asks for, and exactly {} must",
                match found.len() {
                    1 => "one disk".to_owned(),
                    n => format!("{n} disks"),
                },
                wish.count
            ),
            "change its properties or its `count`; these match:",
        )
        .with(candidates.collect());
    }
    let (message, advice) = match (wish.count, found.len()) {
        (1, n) => (
            format!("{n} disks match what {section} asks for, and exactly one must"),
            "add a property that tells them apart, such as `serial`:",
        ),
        (_, 1) => (
            format!("one disk matches what {section} asks for, and a mirror needs exactly two"),
            "change it so that it fits both, or name the other one in a section [disk.second]; this is the one that fits:",
        ),
        (_, n) => (
            format!("{n} disks match what {section} asks for, and a mirror needs exactly two"),
            "add a property that only those two have, or name each: one in [disk.match] and one in [disk.second]:",
        ),
    };
    let candidates = found.iter().map(|disk| verdict(disk, Vec::new()));
    PlanProblem::new(About::Disk, message, advice).with(candidates.collect())
}

pub(super) fn verdict(disk: &Disk, reasons: Vec<String>) -> DiskVerdict {
    let mut words = Vec::new();
    if let Known::Value(size) = disk.size_bytes {
        words.push(show_size(size));
    }
    words.extend(
        disk.transport
            .value()
            .map(|transport| transport.to_string()),
    );
    words.extend(disk.model.value().cloned());
    words.extend(disk.serial.value().map(|serial| format!("serial {serial}")));
    words.extend(disk.wwn.value().map(|wwn| format!("wwn {wwn}")));
    DiskVerdict {
        name: disk.path.clone(),
        description: words.join(", "),
        reasons,
    }
}
