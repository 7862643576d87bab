//! Which disk the plan takes.

use super::contents::{contents, contents_but, holds_bedplate, slots_on, uses};
use super::keep::{KeptStorage, kept_storage};
use super::matches::MatchGroup;
use super::problem::{About, PlanProblem};
use super::wish::{Looked, Uses, Wish, never, no_disk, verdict};
use super::{DiskIdentity, DiskPlan, Firmware, MirrorPlan};
use crate::choices::DiskChoice;
use crate::values::show_size;
use hcl_checker::Known;
use hcl_checker::facts::{Disk, Transport};
use slots::layout::{Layout, LayoutError};

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
        twin: None,
    })
}

/// What identifies `disk` among `disks`: also tells another one that cannot be told from it but by its path. Docks and bridges of
/// USB give all their disks one serial number, and virtual disks often have none.
pub(super) fn identity_among(disk: &Disk, disks: &[Disk]) -> Result<DiskIdentity, String> {
    let identity = identity_of(disk)?;
    let alike = |other: &&Disk| {
        identity_of(other).is_ok_and(|other| {
            let path = identity.path.clone();
            other.path != path && DiskIdentity { path, ..other } == identity
        })
    };
    let twin = disks.iter().find(alike).map(|other| other.path.clone());
    Ok(DiskIdentity { twin, ..identity })
}

/// What the operator should know about what identifies a disk.
pub(super) fn doubts(identity: &DiskIdentity) -> Option<String> {
    let name = &identity.path;
    let nothing = identity.serial.is_none() && identity.wwn.is_none();
    match &identity.twin {
        Some(twin) => Some(format!(
            "{name} and {twin} report the same model, serial number, world wide name and size: only the paths tell them apart, and \
             another start of this machine may exchange those"
        )),
        None if nothing => Some(format!(
            "{name} reports neither a serial number nor a world wide name: it is known by path and size only"
        )),
        None => None,
    }
}

/// The disk that the operator means, or the two of a mirror, or all that is in the way. Warnings go into `warnings`, and the disks
/// that are meant into `uses`.
pub(super) fn choose<'d>(
    choice: &DiskChoice,
    disks: &'d [Disk],
    medium: Option<&str>,
    firmware: Option<Firmware>,
    uses: &mut Uses<'d>,
    warnings: &mut Vec<String>,
) -> Result<DiskPlan, Vec<PlanProblem>> {
    let taken = taken(choice, disks, medium, uses)?;
    let mut problems = Vec::new();
    let mut warned = Vec::new();
    let members: Vec<DiskIdentity> = taken
        .iter()
        .filter_map(|disk| inspect(choice, disk, disks, firmware, &mut warned, &mut problems))
        .collect();
    let kept = if choice.keep_storage {
        keep(&taken)
            .map(Some)
            .map_err(|problem| problems.push(problem))
    } else {
        Ok(None)
    };
    let Ok(kept) = kept else {
        return Err(problems);
    };
    let layouts = layouts(&members, choice.state_size, kept.as_ref()).map_err(|(about, error)| {
        let advice = match error {
            LayoutError::StateTooLarge { .. } => {
                "make `state_size` in [disk] smaller, or choose another disk"
            }
            LayoutError::KeptState { .. } => {
                "leave `state_size` out of [disk]: a storage repository that is kept decides it"
            }
            LayoutError::KeptStorage { .. } => NOT_KEPT,
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
            .map(|((identity, layout), disk)| {
                let loses = match &kept {
                    Some(kept) => contents_but(disk, kept),
                    None => contents(disk),
                };
                MirrorPlan {
                    identity,
                    loses,
                    layout,
                }
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
        reinstall: choice.reinstall,
        loses,
        layout,
        storage: choice.storage,
        mirror: halves.next(),
        keeps: kept,
    })
}

/// What an operator does about a storage repository that cannot be kept.
const NOT_KEPT: &str = "leave `keep_storage` out of [disk] if the disks of its guests may be lost; nothing is written as long as it stands there";

/// The storage repository that stays.
fn keep(taken: &[&Disk]) -> Result<KeptStorage, PlanProblem> {
    let cannot = |reason: String| {
        let candidates = taken.iter().map(|disk| verdict(disk, Vec::new()));
        PlanProblem::new(
            About::Disk,
            format!("the storage repository cannot be kept: {reason}"),
            NOT_KEPT,
        )
        .with(candidates.collect())
    };
    let [disk] = taken else {
        return Err(cannot(
            "an installation on a mirror makes it anew, on both disks".to_owned(),
        ));
    };
    if !holds_bedplate(disk) {
        return Err(cannot(format!("{} holds no Bedplate host", disk.path)));
    }
    kept_storage(disk).map_err(cannot)
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
        counted: false,
    };
    let second = choice.second.as_ref().map(|select| Wish {
        section: "[disk.second]".to_owned(),
        selects: vec![select],
        count: 1,
        counted: false,
    });
    std::iter::once(first).chain(second).collect()
}

/// What was looked at for each wish, in their order. `uses` gets what they take.
fn looked<'d>(
    choice: &DiskChoice,
    disks: &'d [Disk],
    medium: Option<&str>,
    uses: &mut Uses<'d>,
) -> Vec<(usize, String, Looked<'d>)> {
    wishes(choice)
        .into_iter()
        .map(|wish| {
            let looked = uses.take(&wish, disks, medium);
            (wish.count, wish.section, looked)
        })
        .collect()
}

/// The disks that the wishes name, in their order. `uses` gets them, also where something else is in the way.
pub(super) fn taken<'d>(
    choice: &DiskChoice,
    disks: &'d [Disk],
    medium: Option<&str>,
    uses: &mut Uses<'d>,
) -> Result<Vec<&'d Disk>, Vec<PlanProblem>> {
    let mut taken: Vec<&Disk> = Vec::new();
    let mut problems = Vec::new();
    for (_, _, looked) in looked(choice, disks, medium, uses) {
        taken.extend(looked.taken);
        problems.extend(looked.problems);
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
    disks: &[Disk],
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
    if let Some(how) = by_network(disk) {
        problem(
            format!(
                "{name} is reached {how}, and the host cannot be started from it: there is no network before the root"
            ),
            "choose a disk of the machine itself; guests can have this one",
        );
    }
    let loses = contents(disk);
    if holds_bedplate(disk) && !(choice.wipe && choice.reinstall) {
        problem(
            format!(
                "{name} already runs Bedplate ({}); not reinstalled",
                slots_on(disk).join(", ")
            ),
            "boot from the disk; to bring the host to the release of this medium, set `upgrade = true` in [disk]; to install anew and lose the host with its guests, set `wipe = true` and `reinstall = true` in [disk], and \
             `keep_storage = true` for the disks of its guests to stay",
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
    let identity = identity_among(disk, disks);
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
    warnings.extend(doubts(&identity));
    Some(identity)
}

/// How a disk is reached whose drivers the initrd leaves out (image-build's initrd.rs); none for others.
fn by_network(disk: &Disk) -> Option<&'static str> {
    match disk.transport.value()? {
        Transport::Iscsi => Some("by iSCSI"),
        // Every other one hangs on a PCI function.
        Transport::Nvme if disk.pci_address == Known::Absent => Some("by NVMe over a network"),
        _ => None,
    }
}

/// A layout for each member. Disks that take none by themselves were told already, so what fails here is about both, or about
/// the storage partition that stays.
fn layouts(
    members: &[DiskIdentity],
    state_size: Option<u64>,
    kept: Option<&KeptStorage>,
) -> Result<Vec<Layout>, (String, LayoutError)> {
    let of = |id: &DiskIdentity| (id.size, id.sector_size);
    if let Some(kept) = kept {
        let place = (kept.start, kept.size);
        let each = members.iter().map(|id| {
            let layout = Layout::plan_keeping(id.size, id.sector_size, state_size, place);
            layout.map_err(|error| (id.path.clone(), error))
        });
        return each.collect();
    }
    match members {
        [first, second] => {
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
pub(super) fn matches<'d>(
    choice: &DiskChoice,
    disks: &'d [Disk],
    medium: Option<&str>,
    uses: &mut Uses<'d>,
) -> Vec<MatchGroup> {
    looked(choice, disks, medium, uses)
        .into_iter()
        .map(|(count, section, looked)| {
            let wanted = match count {
                1 => format!("The disk that {section} asks for"),
                _ => format!("The two disks that {section} asks for"),
            };
            looked.group(wanted, count)
        })
        .collect()
}

/// Why the disk cannot be installed to although an operator names it; empty when it can.
pub fn unusable(disk: &Disk, medium: Option<&str>) -> Vec<String> {
    unusable_with(disk, medium, Layout::plan)
}

/// Why the two disks cannot hold the same host; none where they can.
pub fn unpairable(first: &Disk, second: &Disk) -> Option<String> {
    let place = |disk| identity_of(disk).map(|id| (id.size, id.sector_size));
    let both = place(first).and_then(|first| Ok((first, place(second)?)));
    match both {
        Ok((first, second)) => {
            let layouts = Layout::plan_mirror(first, second, None);
            layouts.err().map(|error| error.to_string())
        }
        Err(unknown) => Some(unknown),
    }
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
