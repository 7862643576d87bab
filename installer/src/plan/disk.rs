//! Which disk the plan takes.

use super::problem::{About, DiskVerdict, PlanProblem};
use super::{DiskIdentity, DiskPlan, Firmware};
use crate::choices::DiskChoice;
use crate::values::show_size;
use hcl_checker::Known;
use hcl_checker::facts::{Content, Disk, DiskKind, Partition};
use slots::layout::{Layout, SLOT_TYPE};
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

/// The one disk that the operator means, or all that is in the way. Warnings go into `warnings`.
pub fn choose(
    choice: &DiskChoice,
    disks: &[Disk],
    medium: Option<&str>,
    firmware: Option<Firmware>,
    warnings: &mut Vec<String>,
) -> Result<DiskPlan, Vec<PlanProblem>> {
    let looked: Vec<(&Disk, Vec<String>)> = disks
        .iter()
        .map(|disk| {
            let mut reasons = never(disk, medium, choice.select.names_one_disk());
            reasons.extend(choice.select.mismatches(disk));
            (disk, reasons)
        })
        .collect();
    let matching: Vec<&Disk> = looked
        .iter()
        .filter(|(_, reasons)| reasons.is_empty())
        .map(|(disk, _)| *disk)
        .collect();
    let disk = match matching.as_slice() {
        [disk] => *disk,
        [] => return Err(vec![none_matches(&looked)]),
        several => return Err(vec![several_match(several)]),
    };
    let mut problems = Vec::new();
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
    let layout = identity.as_ref().ok().and_then(|identity| {
        match Layout::plan(identity.size, identity.sector_size) {
            Ok(layout) => Some(layout),
            Err(error) => {
                problem(format!("{name}: {error}"), "choose another disk");
                None
            }
        }
    });
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
    match (identity, layout) {
        (Ok(identity), Some(layout)) if problems.is_empty() => {
            if identity.serial.is_none() && identity.wwn.is_none() {
                warnings.push(format!(
                    "{name} reports neither a serial number nor a world wide name: it is known by path and size only"
                ));
            }
            for other in disks
                .iter()
                .filter(|other| other.path != disk.path && holds_bedplate(other))
            {
                warnings.push(format!(
                    "{} holds another Bedplate; it is left as it is, the new host does not use its storage, and the firmware decides which one starts",
                    other.path
                ));
            }
            Ok(DiskPlan {
                identity,
                wipe: choice.wipe,
                loses,
                layout,
            })
        }
        _ => Err(problems),
    }
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
    let mut reasons = never(disk, medium, true);
    reasons.extend(uses(disk));
    if let (Some(size), Some(sector)) = (disk.size_bytes.value(), disk.logical_sector.value())
        && reasons.is_empty()
        && let Err(error) = Layout::plan(*size, *sector)
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

fn none_matches(looked: &[(&Disk, Vec<String>)]) -> PlanProblem {
    if looked.is_empty() {
        return PlanProblem::new(
            About::Disk,
            "this machine has no disk that the kernel knows",
            "check the controller: RAID and VMD modes hide disks, and some controllers need a driver",
        );
    }
    let candidates = looked
        .iter()
        .map(|(disk, reasons)| verdict(disk, reasons.clone()))
        .collect();
    PlanProblem::new(
        About::Disk,
        "no disk matches what [disk] asks for",
        "change [disk] so that it fits exactly one of these:",
    )
    .with(candidates)
}

fn several_match(several: &[&Disk]) -> PlanProblem {
    PlanProblem::new(
        About::Disk,
        format!(
            "{} disks match what [disk] asks for, and exactly one must",
            several.len()
        ),
        "add a property that tells them apart, such as `serial`:",
    )
    .with(
        several
            .iter()
            .map(|disk| verdict(disk, Vec::new()))
            .collect(),
    )
}

fn verdict(disk: &Disk, reasons: Vec<String>) -> DiskVerdict {
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

fn slots_on(disk: &Disk) -> Vec<&str> {
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

fn uses(disk: &Disk) -> Vec<String> {
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
