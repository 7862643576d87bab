//! What the answers ask for, and the disks that fit it.

use super::matches::MatchGroup;
use super::problem::{About, DiskVerdict, PlanProblem};
use crate::selector::DiskSelector;
use crate::values::show_size;
use hcl_checker::Known;
use hcl_checker::facts::{Disk, DiskKind, Facts, Partition};
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
            .filter(|disk| !is_other_path(disk, disks))
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
}

/// What was looked at for one wish, and what came of it. Plans and `installer match` both read this.
pub(super) struct Looked<'d> {
    /// All disks with the reasons why each is not taken; those without a reason fit.
    pub candidates: Vec<(&'d Disk, Vec<String>)>,
    /// The disks that the wish means; nothing where their number is wrong.
    pub taken: Vec<&'d Disk>,
    /// What is in the way.
    pub problems: Vec<PlanProblem>,
}

impl Looked<'_> {
    /// For people who write answers.
    pub fn group(self, wanted: String, count: usize) -> MatchGroup {
        MatchGroup {
            wanted,
            count,
            candidates: self
                .candidates
                .into_iter()
                .map(|(disk, reasons)| verdict(disk, reasons))
                .collect(),
            problems: self.problems,
        }
    }
}

/// Which disks the wishes of the answers took so far, each with what asks for it: a disk has one use.
#[derive(Default)]
pub(super) struct Uses<'d>(Vec<(&'d Disk, String)>);

impl<'d> Uses<'d> {
    /// Takes the disks that `wish` means.
    pub fn take(&mut self, wish: &Wish<'_>, disks: &'d [Disk], medium: Option<&str>) -> Looked<'d> {
        let mut candidates = wish.look(disks, medium);
        let fitting: Vec<&Disk> = candidates
            .iter()
            .filter(|(_, reasons)| reasons.is_empty())
            .map(|(disk, _)| *disk)
            .collect();
        if fitting.len() != wish.count {
            let problem = match fitting.is_empty() {
                true => none_matches(&candidates, wish),
                false => wrong_count(&fitting, wish),
            };
            return Looked {
                candidates,
                taken: Vec::new(),
                problems: vec![problem],
            };
        }
        let section = &wish.section;
        let mut problems = Vec::new();
        let mut taken = Vec::new();
        for (disk, reasons) in candidates.iter_mut().filter(|one| one.1.is_empty()) {
            match self.0.iter().find(|(other, _)| other.path == disk.path) {
                Some((_, first)) => {
                    reasons.push(format!("{first} means it already, and a disk has one use"));
                    problems.push(PlanProblem::new(
                        About::Disk,
                        format!("{first} and {section} both mean {}", disk.path),
                        "change one of the two so that it means another disk",
                    ));
                }
                None => taken.push(*disk),
            }
        }
        self.0
            .extend(taken.iter().map(|disk| (*disk, section.clone())));
        Looked {
            candidates,
            taken,
            problems,
        }
    }
}

/// True for a disk that is another path to one that stands before it: that one is shown for both.
pub fn is_other_path(disk: &Disk, disks: &[Disk]) -> bool {
    let mut before = disks.iter().take_while(|other| other.path != disk.path);
    // The paths tell of each other.
    disk.has_other_devices() && before.any(|other| disk.is_also(&other.path))
}

/// Leaves one of several paths to the same disk in the facts: what people choose from are disks.
pub fn join_paths(facts: &mut Facts) {
    if let Known::Value(disks) = &mut facts.disks {
        let all = disks.clone();
        disks.retain(|disk| !is_other_path(disk, &all));
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
    let others: Vec<&str> = disk.other_devices().map(String::as_str).collect();
    if !others.is_empty() {
        reasons.push(format!(
            "it is one of several paths to the same disk (also {}), and disks with several paths are not supported yet: leave one path \
             connected, or choose another disk",
            others.join(", ")
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
