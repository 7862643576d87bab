//! Which disk the plan takes.

use super::matches::MatchGroup;
use super::problem::{About, DiskVerdict, PlanProblem};
use super::{DiskIdentity, DiskPlan, Firmware, MirrorPlan};
use crate::choices::DiskChoice;
use crate::selector::DiskSelector;
use crate::values::show_size;
use hcl_checker::Known;
use hcl_checker::facts::{Content, Disk, DiskKind, Partition};
use slots::layout::{Layout, LayoutError, SLOT_TYPE};
use slots::names::{ANSWER_LABEL, ISO_LABEL_PREFIX, PART_SLOT_A, PART_SLOT_B};

/// What identifies `disk`. An error says what is not known about it.
pub fn identity_of(disk: &Disk) -> Result<DiskIdentity, String> {
    let number = |what: &str, reason: Option<&str>| {
        format!(
            "the {what} of {} is not known{}",
            disk.path,
            reason.map_or(String::new(), |r| format!(": {r}"))
        )
    };
    let size = disk
        .size_bytes
        .value()
        .ok_or_else(|| number("size", disk.size_bytes.reason()))?;
    let sector = disk.logical_sector.value();
    let sector = sector.ok_or_else(|| number("sector size", disk.logical_sector.reason()))?;
    Ok(DiskIdentity {
        path: disk.path.clone(),
        model: disk.model.value().cloned(),
        serial: disk.serial.value().cloned(),
        wwn: disk.wwn.value().cloned(),
        size: *size,
        sector_size: *sector,
    })
}

/// The disk that the operator means, or the two of a mirror, or all that is in the way. Warnings go into `warnings`.
pub fn choose(
    choice: &DiskChoice,
    disks: &[Disk],
    medium: Option<&str>,
    firmware: Option<Firmware>,
    warnings: &mut Vec<String>,
) -> Result<DiskPlan, Vec<PlanProblem>> {
    let taken = taken(choice, disks, medium)?;
    let mut problems = Vec::new();
    let mut warned = Vec::new();
    let members: Vec<DiskIdentity> = taken
        .iter()
        .filter_map(|disk| inspect(choice, disk, firmware, &mut warned, &mut problems))
        .collect();
    let layouts = layouts(&members, choice.state_size).map_err(|(about, error)| {
        let advice = match error {
            LayoutError::StateTooLarge { .. } => {
                "make `state_size` in [disk] smaller, or choose another disk"
            }
            _ => "choose another disk",
        };
        problems.push(PlanProblem::new(
            About::Disk,
            format!("{about}: {error}"),
            advice,
        ));
    });
    let (Ok(layouts), true) = (layouts, problems.is_empty()) else {
        return Err(problems);
    };
    for other in disks
        .iter()
        .filter(|other| taken.iter().all(|disk| disk.path != other.path) && holds_bedplate(other))
    {
        warned.push(format!(
            "{} holds another Bedplate; it is left as it is, the new host does not use its storage, and the firmware decides which one starts",
            other.path
        ));
    }
    if let [first, second] = members.as_slice()
        && first.size != second.size
    {
        let (larger, smaller) = if first.size > second.size {
            (first, second)
        } else {
            (second, first)
        };
        warned.push(format!(
            "{} is larger than {}: {} of it are not used",
            larger.path,
            smaller.path,
            show_size(larger.size - smaller.size)
        ));
    }
    warnings.extend(warned);
    let mut halves =
        members
            .into_iter()
            .zip(layouts)
            .zip(&taken)
            .map(|((identity, layout), disk)| MirrorPlan {
                identity,
                loses: contents(disk),
                layout,
            });
    let Some(MirrorPlan {
        identity,
        loses,
        layout,
    }) = halves.next()
    else {
        return Err(vec![no_disk()]);
    };
    Ok(DiskPlan {
        identity,
        wipe: choice.wipe,
        loses,
        layout,
        storage: choice.storage,
        mirror: halves.next(),
    })
}

/// One wish of the answers: what asks for it, the properties, and how many disks must have them.
pub(super) struct Wish<'c> {
    /// What asks for it, as people write it.
    pub section: String,
    /// The properties; where no disk has them, those of the next one count.
    pub selects: Vec<&'c DiskSelector>,
    /// How many disks must have them.
    pub count: usize,
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

fn wishes(choice: &DiskChoice) -> Vec<Wish<'_>> {
    let first = Wish {
        section: match choice.fallbacks.is_empty() {
            true => "[disk]".to_owned(),
            false => "[[disk.any_of]]".to_owned(),
        },
        selects: std::iter::once(&choice.select)
            .chain(&choice.fallbacks)
            .collect(),
        count: if choice.mirror && choice.second.is_none() {
            2
        } else {
            1
        },
    };
    let second = choice.second.as_ref().map(|select| Wish {
        section: "[disk.second]".to_owned(),
        selects: vec![select],
        count: 1,
    });
    std::iter::once(first).chain(second).collect()
}

/// The disks that the wishes name, in their order.
fn taken<'d>(
    choice: &DiskChoice,
    disks: &'d [Disk],
    medium: Option<&str>,
) -> Result<Vec<&'d Disk>, Vec<PlanProblem>> {
    let mut taken: Vec<&Disk> = Vec::new();
    let mut problems = Vec::new();
    for wish in wishes(choice) {
        let matching = match wish.taken(disks, medium) {
            Ok(matching) => matching,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        if let Some(twice) = matching
            .iter()
            .find(|disk| taken.iter().any(|t| t.path == disk.path))
        {
            problems.push(PlanProblem::new(
                About::Disk,
                format!(
                    "[disk] and [disk.second] both mean {}, and a mirror needs two disks",
                    twice.path
                ),
                "change one of the two so that it means the other disk",
            ));
        } else {
            taken.extend(matching);
        }
    }
    if problems.is_empty() {
        Ok(taken)
    } else {
        Err(problems)
    }
}

/// What identifies a disk that may be taken; none where something is in the way, which then is among the problems.
fn inspect(
    choice: &DiskChoice,
    disk: &Disk,
    firmware: Option<Firmware>,
    warnings: &mut Vec<String>,
    problems: &mut Vec<PlanProblem>,
) -> Option<DiskIdentity> {
    let before = problems.len();
    let mut problem = |message: String, advice: &str| {
        problems.push(
            PlanProblem::new(About::Disk, message, advice).with(vec![verdict(disk, Vec::new())]),
        );
    };
    let name = &disk.path;
    if disk.is_in_use() {
        problem(
            format!("{name} is in use: {}", uses(disk).join(", ")),
            "stop what uses it, or choose another disk; consent to wipe does not cover a disk in use",
        );
    }
    let loses = contents(disk);
    if holds_bedplate(disk) && !(choice.wipe && choice.reinstall) {
        problem(
            format!(
                "{name} already runs Bedplate ({}); not reinstalled",
                slots_on(disk).join(", ")
            ),
            "boot from the disk; to install anew and lose the host with its guests, set `wipe = true` and `reinstall = true` in [disk]",
        );
    } else if !choice.wipe {
        if let Known::Unknown(unknown) = disk.holds_data() {
            problem(
                format!(
                    "it is not known whether {name} holds data: {}",
                    unknown.reason
                ),
                "set `wipe = true` in [disk] if everything on it may be lost",
            );
        } else if disk.holds_data() == Known::Value(true) {
            problem(
                format!("{name} holds data: {}", loses.join("; ")),
                "set `wipe = true` in [disk] if all of this may be lost, or choose another disk",
            );
        }
    }
    let identity = identity_of(disk);
    if let Err(reason) = &identity {
        problem(
            reason.clone(),
            "choose another disk, or look at its cable and at `dmesg`",
        );
    }
    if let Ok(identity) = &identity
        && let Err(error) = Layout::plan(identity.size, identity.sector_size)
    {
        problem(format!("{name}: {error}"), "choose another disk");
    }
    if identity
        .as_ref()
        .is_ok_and(|identity| identity.sector_size == 4096)
        && firmware == Some(Firmware::Bios)
    {
        problem(
            format!(
                "{name} has 4096-byte sectors, and this machine was started by BIOS, which cannot boot from it"
            ),
            "switch the machine to UEFI and start the medium again, or choose a disk with 512-byte sectors",
        );
    }
    let identity = identity.ok().filter(|_| problems.len() == before)?;
    if identity.serial.is_none() && identity.wwn.is_none() {
        warnings.push(format!(
            "{name} reports neither a serial number nor a world wide name: it is known by path and size only"
        ));
    }
    Some(identity)
}

/// A layout for each member. Disks that take none by themselves were told already, so what fails here is about both.
fn layouts(
    members: &[DiskIdentity],
    state_size: Option<u64>,
) -> Result<Vec<Layout>, (String, LayoutError)> {
    match members {
        [first, second] => {
            let of = |id: &DiskIdentity| (id.size, id.sector_size);
            let both = Layout::plan_mirror(of(first), of(second), state_size);
            both.map(Vec::from)
                .map_err(|error| (format!("{} and {}", first.path, second.path), error))
        }
        one => one
            .iter()
            .map(|id| {
                let layout = Layout::plan_with(id.size, id.sector_size, state_size);
                layout.map_err(|error| (id.path.clone(), error))
            })
            .collect(),
    }
}

/// Why each disk is the one that the operator means or not, apart from what is on it.
pub fn matches(choice: &DiskChoice, disks: &[Disk]) -> Vec<MatchGroup> {
    let group = |wish: Wish<'_>| {
        let wanted = match wish.count {
            1 => format!("The disk that {} asks for", wish.section),
            _ => format!("The two disks that {} asks for", wish.section),
        };
        wish.group(wanted, disks)
    };
    wishes(choice).into_iter().map(group).collect()
}

/// Why a disk is no candidate, whatever the operator says. A disk that its maker calls removable counts only where the
/// operator named it: some controllers say so of every hot-swap bay.
fn never(disk: &Disk, medium: Option<&str>, named: bool) -> Vec<String> {
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

/// Why the disk cannot be installed to although an operator names it; empty when it can.
pub fn unusable(disk: &Disk, medium: Option<&str>) -> Vec<String> {
    unusable_with(disk, medium, Layout::plan)
}

/// Why the disk cannot become a storage repository although an operator names it; empty when it can.
pub fn unusable_for_storage(disk: &Disk, medium: Option<&str>) -> Vec<String> {
    unusable_with(disk, medium, Layout::plan_storage)
}

fn unusable_with(
    disk: &Disk,
    medium: Option<&str>,
    layout: impl Fn(u64, u32) -> Result<Layout, LayoutError>,
) -> Vec<String> {
    let mut reasons = never(disk, medium, true);
    reasons.extend(uses(disk));
    if let (Some(size), Some(sector)) = (disk.size_bytes.value(), disk.logical_sector.value())
        && reasons.is_empty()
        && let Err(error) = layout(*size, *sector)
    {
        reasons.push(error.to_string());
    }
    reasons
}

/// True when the device at `path` is the disk, a link to it, or a part of it.
fn is_on(disk: &Disk, path: &str) -> bool {
    let part = |partition: &Partition| partition.path == path;
    disk.path == path
        || disk.by_id.iter().any(|link| link == path)
        || disk.partitions.iter().any(part)
}

fn no_disk() -> PlanProblem {
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
            1 => format!("change {section} so that it fits exactly one of these:"),
            n if section.starts_with("[[storage") => {
                format!("change {section} so that it fits exactly {n} of these:")
            }
            _ => format!("change {section} so that it fits exactly one of these:"),
        },
    )
    .with(candidates)
}

fn wrong_count(found: &[&Disk], wish: &Wish<'_>) -> PlanProblem {
    let section = &wish.section;
    if section.starts_with("[[storage") {
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

pub(super) fn slots_on(disk: &Disk) -> Vec<&str> {
    let slot = |partition: &&Partition| {
        let name = partition.gpt_name.value().map(String::as_str);
        let by_type = partition
            .type_id
            .value()
            .is_some_and(|id| id.eq_ignore_ascii_case(&SLOT_TYPE.to_string()));
        by_type || matches!(name, Some(PART_SLOT_A | PART_SLOT_B))
    };
    disk.partitions
        .iter()
        .filter(slot)
        .map(|partition| partition.path.as_str())
        .collect()
}

/// True when the disk has a slot of Bedplate.
pub fn holds_bedplate(disk: &Disk) -> bool {
    !slots_on(disk).is_empty()
}

pub(super) fn uses(disk: &Disk) -> Vec<String> {
    let of = |path: &str, holders: &[String], mounts: &[String]| {
        let held = holders
            .iter()
            .map(|holder| format!("{path} is a part of {holder}"));
        let mounted = mounts
            .iter()
            .map(|mount| format!("{path} is mounted at {mount}"));
        held.chain(mounted).collect::<Vec<_>>()
    };
    let mut list = of(&disk.path, &disk.holders, &disk.mount_points);
    for partition in &disk.partitions {
        list.extend(of(
            &partition.path,
            &partition.holders,
            &partition.mount_points,
        ));
    }
    list
}

/// What is on a disk, in plain words.
pub fn contents(disk: &Disk) -> Vec<String> {
    let mut list = Vec::new();
    if let Known::Value(content) = &disk.content {
        list.extend(content_words(&disk.path, content));
    }
    for partition in &disk.partitions {
        let mut words = partition.path.clone();
        if let Known::Value(name) = &partition.gpt_name {
            words.push_str(&format!(" \"{name}\""));
        }
        if let Known::Value(size) = partition.size_bytes {
            words.push_str(&format!(", {}", show_size(size)));
        }
        if let Known::Value(Content {
            kind: Some(kind),
            label,
            ..
        }) = &partition.content
        {
            words.push_str(&format!(", {kind}"));
            if let Some(label) = label {
                words.push_str(&format!(" \"{label}\""));
            }
        }
        list.push(words);
    }
    list
}

fn content_words(path: &str, content: &Content) -> Vec<String> {
    let table = content
        .table
        .as_ref()
        .map(|table| format!("{path} has a partition table ({table})"));
    let kind = content.kind.as_ref().map(|kind| match &content.label {
        Some(label) => format!("{path} holds {kind} \"{label}\""),
        None => format!("{path} holds {kind}"),
    });
    table.into_iter().chain(kind).collect()
}
