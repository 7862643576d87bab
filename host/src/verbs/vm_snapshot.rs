//! Snapshots and copies of virtual machines.

use super::disk::{destroy_disk, duplicate, forget_disk, name_disk, refuse_other_guests};
use super::owner;
use super::uuid_of;
use super::vm_install::{all_disks, check_name, name_in_use};
use super::vm_life::guest_in;
use crate::XeError;
use crate::guest::devices::GuestDisk;
use crate::guest::{Domain, autostart, libvirt, snapshots};
use crate::record::Record;
use crate::selection::one;
use crate::storage::revert::{self, Pair};
use crate::storage::{self, Disk, Kind as Storage, lvm};
use crate::verb::{Arg, Asked, Kind, Outcome, Run, Verb};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(super) const VERBS: &[Verb] = &[
    Verb {
        name: "vm-snapshot",
        summary: "Takes a snapshot of a virtual machine's definition and disks, also while it runs; prints its uuid",
        args: &[
            Arg::needed("new-name-label", Kind::Text, "the name of the snapshot"),
            Arg::may("new-name-description", Kind::Text, "what it is for"),
        ],
        run: Run::Each("vm", snapshot),
    },
    Verb {
        name: "snapshot-revert",
        summary: "Brings a virtual machine back to a snapshot; what it did since is lost",
        args: &[Arg::may("force", Kind::Flag, "without asking")],
        run: Run::Agreed("snapshot", goes_back, go_back),
    },
    Verb {
        name: "snapshot-uninstall",
        summary: "Removes a snapshot with its disks",
        args: &[Arg::may("force", Kind::Flag, "without asking")],
        run: Run::Agreed("snapshot", is_removed, uninstall),
    },
    Verb {
        name: "snapshot-copy",
        summary: "Makes a virtual machine from a snapshot, with full copies of its disks; prints its uuid",
        args: &[Arg::needed(
            "new-name-label",
            Kind::Text,
            "the name of the new one",
        )],
        run: Run::Each("snapshot", copy_snapshot),
    },
    Verb {
        name: "vm-clone",
        summary: "Makes another virtual machine like a halted one, with full copies of its disks; prints its uuid",
        args: &[
            Arg::needed("new-name-label", Kind::Text, "the name of the new one"),
            Arg::may("new-name-description", Kind::Text, "what it is for"),
        ],
        run: Run::Each("vm", clone_vm),
    },
    Verb {
        name: "vm-copy",
        summary: "The same as vm-clone: every copy is a full one",
        args: &[
            Arg::needed("new-name-label", Kind::Text, "the name of the new one"),
            Arg::may("new-name-description", Kind::Text, "what it is for"),
        ],
        run: Run::Each("vm", clone_vm),
    },
];

fn snapshot(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let system = asked.around.system;
    let vm = guest_in(record, &["halted", "running", "paused"])?;
    snapshots::refuse_reverting(system, &vm, "")?;
    let mut domain = libvirt::whole_domain(system, &vm)?;
    let disks = all_disks(asked, &mut domain)?;
    if let Some(file) = disks.iter().find(|disk| disk.kind != Storage::Lvm) {
        return Err(XeError::failure(
            "SR_OPERATION_NOT_SUPPORTED",
            "Disks in files have no snapshots; shut the virtual machine down and use vm-clone, or keep its disks in the local storage.",
        )
        .with("vdi", file.uuid.clone()));
    }
    let name = asked.needed("new-name-label")?;
    // All disks are of the same moment: a guest that runs stands still meanwhile.
    let runs = record.text("power-state").as_deref() == Some("running") && disks.len() > 1;
    if runs {
        libvirt::run(system, ["suspend", &vm])?;
    }
    let made = take(asked, &disks, name);
    let resumed = match runs {
        true => libvirt::run(system, ["resume", &vm]).map(drop),
        false => Ok(()),
    };
    let paths = match (made, resumed) {
        (made, Ok(())) => made?,
        (made, Err(error)) => {
            let first = made.map(|paths| give_up(asked, &paths)).err();
            return Err(paused(first, error));
        }
    };
    let uuid = uuid::Uuid::new_v4().to_string();
    domain.set_uuid(&uuid);
    domain.set_name(name);
    domain.set_description(asked.get("new-name-description").unwrap_or_default());
    for disk in domain.disks() {
        if let Some(origin) = disk.source.filter(|path| paths.contains_key(path)) {
            domain.set_entry("own", &snapshots::origin_key(&disk.target), Some(&origin));
        }
    }
    domain.replace_sources(|disk| {
        disk.source
            .as_deref()
            .and_then(|path| paths.get(path))
            .map(|(path, _)| path.clone())
    });
    domain.set_entry("own", snapshots::OF, Some(&vm));
    domain.set_entry(
        "own",
        snapshots::OF_NAME,
        record.text("name-label").as_deref(),
    );
    domain.set_entry("own", snapshots::TIME, Some(&asked.around.now.to_string()));
    snapshots::keep(system, &domain).inspect_err(|_| give_up(asked, &paths))?;
    Ok(Outcome::Made(uuid))
}

/// The failure to have a guest go on that stood still for its snapshot; `first` is what failed before.
fn paused(first: Option<XeError>, why: XeError) -> XeError {
    let (message, error) = match first {
        Some(first) => (
            format!("{}; and then: {}", first.message, why.message),
            first,
        ),
        None => (why.message.clone(), why),
    };
    let message = format!(
        "{}. The virtual machine is paused: vm-unpause has it go on.",
        message.trim_end_matches('.')
    );
    XeError { message, ..error }
}

/// Snapshots of disks: by the path of the disk, path and UUID of the snapshot.
type Taken = BTreeMap<String, (String, String)>;

/// Removes snapshots of disks that no snapshot of a guest has: nobody would know what they are for, and the disks could neither be made
/// larger nor be destroyed.
fn give_up(asked: &Asked<'_>, taken: &Taken) {
    for (path, uuid) in taken.values() {
        // The error that is told is the first one.
        let _ = lvm::remove_volume(asked.around.system, Path::new(path));
        let _ = forget_disk(asked, uuid);
    }
}

/// Snapshots of these disks. All or none.
fn take(asked: &Asked<'_>, disks: &[Disk], name: &str) -> Result<Taken, XeError> {
    let mut taken = Taken::new();
    let result: Result<(), XeError> = disks.iter().try_for_each(|disk| {
        let uuid = uuid::Uuid::new_v4().to_string();
        let path = lvm::snapshot(asked.around.system, &disk.path, &uuid)?;
        taken.insert(
            disk.path.to_string_lossy().into_owned(),
            (path.to_string_lossy().into_owned(), uuid),
        );
        Ok(())
    });
    result
        .and_then(|()| {
            let mut uuids = taken.values().map(|(_, uuid)| uuid);
            uuids.try_for_each(|uuid| name_disk(asked, uuid, name))
        })
        .inspect_err(|_| give_up(asked, &taken))?;
    Ok(taken)
}

/// The volumes of a snapshot with what they are snapshots of, by what was written down when it was taken: in the middle of
/// going back a volume is missing.
fn pairs(snapshot: &Domain) -> Vec<Pair> {
    let pair = |disk: GuestDisk| {
        let volume = PathBuf::from(disk.source?);
        let origin = snapshot.own(&snapshots::origin_key(&disk.target))?;
        let name = volume.file_name()?.to_str()?;
        Some(Pair {
            uuid: name.strip_prefix(lvm::PREFIX)?.to_owned(),
            origin: PathBuf::from(origin),
            volume,
        })
    };
    snapshot.disks().into_iter().filter_map(pair).collect()
}

/// A guest that goes back.
struct Reverted {
    snapshot: Domain,
    vm: String,
    /// Its definition as it is now.
    current: Domain,
    pairs: Vec<Pair>,
    /// What was noted when it was begun before, and not finished.
    begun: Option<String>,
}

/// Refuses what cannot go back.
fn to_revert(asked: &Asked<'_>, record: &Record) -> Result<Reverted, XeError> {
    let system = asked.around.system;
    let snapshot = snapshots::one(system, &uuid_of(record)?)?;
    let vm = snapshot.own(snapshots::OF).unwrap_or_default();
    guest_in(&one("vm", &vm, asked.around)?, &["halted"])?;
    snapshots::refuse_reverting(system, &vm, &snapshot.uuid())?;
    let begun = snapshot.own(snapshots::REVERTING);
    let pairs = pairs(&snapshot);
    revert::check(system, &pairs, begun.is_some())?;
    // It would be set back, too, and both would have the disk.
    refuse_other_guests(asked, &vm, pairs.iter().map(|pair| pair.origin.as_path()))?;
    Ok(Reverted {
        current: libvirt::domain(system, &vm)?,
        snapshot,
        vm,
        pairs,
        begun,
    })
}

fn goes_back(asked: &Asked<'_>, record: &Record) -> Result<String, XeError> {
    let all = to_revert(asked, record)?;
    let mut text = format!(
        "VM : {} ({}) goes back to {:?} ({}); what it did since is lost.\n",
        all.vm,
        all.current.name(),
        all.snapshot.name(),
        all.snapshot.uuid()
    );
    for pair in &all.pairs {
        text += &format!("VDI: {}\n", pair.origin.display());
    }
    Ok(text)
}

fn go_back(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let system = asked.around.system;
    let Reverted {
        mut snapshot,
        vm,
        current,
        pairs,
        begun,
    } = to_revert(asked, record)?;
    let auto = match &begun {
        Some(was) => was == AUTOSTART,
        None => libvirt::autostarted(system)?.contains(&vm),
    };
    // From here on the guest is not started: neither by `xe` nor with the host, which may restart in the middle.
    let mark = if auto { AUTOSTART } else { "manual" };
    snapshot.set_entry("own", snapshots::REVERTING, Some(mark));
    snapshots::keep(system, &snapshot)?;
    if auto {
        autostart::set(system, &vm, false)?;
    }
    for pair in &pairs {
        revert::revert(system, pair)?;
    }
    let mut domain = snapshot.clone();
    domain.set_uuid(&vm);
    domain.set_name(&current.name());
    domain.set_description(&current.description());
    domain.replace_sources(|disk| {
        let volume = Path::new(disk.source.as_deref()?);
        let pair = pairs.iter().find(|pair| pair.volume == volume)?;
        Some(pair.origin.to_string_lossy().into_owned())
    });
    snapshots::clear(&mut domain);
    libvirt::define(system, &domain)?;
    // In this order: a guest that starts must not seem to be in the middle, as running this again would undo what it does; and the
    // power may go between any two of them.
    if auto {
        autostart::owe(system, &vm)?;
    }
    snapshot.set_entry("own", snapshots::REVERTING, None);
    snapshots::keep(system, &snapshot)?;
    if auto {
        autostart::settle(system, &vm)?;
    }
    Ok(Outcome::Done)
}

/// What is noted where the guest starts with the host.
const AUTOSTART: &str = "autostart";

/// Removes a snapshot with its volumes.
pub(super) fn remove(asked: &Asked<'_>, snapshot: &Domain) -> Result<(), XeError> {
    let system = asked.around.system;
    let pairs = pairs(snapshot);
    for disk in storage::disks(system, &storage::repositories(system)?)? {
        if pairs.iter().any(|pair| pair.volume == disk.path) {
            destroy_disk(asked, &disk)?;
        }
    }
    snapshots::forget(asked.around.system, &snapshot.uuid())
}

/// A snapshot that is removed.
struct Removed {
    snapshot: Domain,
    /// The volume without which its guest does not come to the end of going back to it.
    lost: Option<PathBuf>,
}

/// Refuses the snapshot that a guest is in the middle of going back to, as long as it can go on.
fn to_remove(asked: &Asked<'_>, record: &Record) -> Result<Removed, XeError> {
    let system = asked.around.system;
    let snapshot = snapshots::one(system, &uuid_of(record)?)?;
    let vm = snapshot.own(snapshots::OF).unwrap_or_default();
    // Without the guest it is of use to nobody.
    let holds = snapshot.own(snapshots::REVERTING).is_some() && libvirt::all(system)?.contains(&vm);
    let lost = match holds {
        true => revert::lost(system, &pairs(&snapshot))?,
        false => None,
    };
    if holds && lost.is_none() {
        snapshots::refuse_reverting(system, &vm, "")?;
    }
    Ok(Removed { snapshot, lost })
}

fn is_removed(asked: &Asked<'_>, record: &Record) -> Result<String, XeError> {
    let Removed { snapshot, lost } = to_remove(asked, record)?;
    let mut text = format!(
        "The snapshot {:?} ({}) and its disks are destroyed.\n",
        snapshot.name(),
        snapshot.uuid()
    );
    for pair in pairs(&snapshot) {
        text += &format!("VDI: {} ({})\n", pair.uuid, pair.volume.display());
    }
    if let Some(lost) = lost {
        text += &format!("{}\n", freed(&snapshot, &lost));
    }
    Ok(text)
}

/// What it means for a guest that it is not held in the middle any more.
fn freed(snapshot: &Domain, lost: &Path) -> String {
    format!(
        "{} ({}) was going back to it, which cannot be finished: {} is not there. It can be used as it is: its other disks may be of two \
         moments, and it does not start with the host unless auto-poweron=true is set again.",
        snapshot.own(snapshots::OF_NAME).unwrap_or_default(),
        snapshot.own(snapshots::OF).unwrap_or_default(),
        lost.display()
    )
}

/// Has LVM come to the end of what going back to a snapshot began. Without the snapshot the disks are written to, and nobody would know
/// that some of them are still to be set back.
pub(super) fn finish_merging(asked: &Asked<'_>, snapshot: &Domain) -> Result<(), XeError> {
    match snapshot.own(snapshots::REVERTING) {
        Some(_) => revert::finish(asked.around.system, &pairs(snapshot)),
        None => Ok(()),
    }
}

fn uninstall(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let Removed { snapshot, lost } = to_remove(asked, record)?;
    finish_merging(asked, &snapshot)?;
    remove(asked, &snapshot)?;
    Ok(match lost {
        Some(lost) => Outcome::Said(freed(&snapshot, &lost)),
        None => Outcome::Done,
    })
}

fn copy_snapshot(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let mut snapshot = snapshots::one(asked.around.system, &uuid_of(record)?)?;
    snapshots::clear(&mut snapshot);
    another(asked, snapshot)
}

fn clone_vm(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let vm = guest_in(record, &["halted"])?;
    snapshots::refuse_reverting(asked.around.system, &vm, "")?;
    another(asked, libvirt::whole_domain(asked.around.system, &vm)?)
}

/// A new guest like this one, with copies of its disks.
fn another(asked: &Asked<'_>, mut domain: Domain) -> Result<Outcome, XeError> {
    let system = asked.around.system;
    let name = asked.needed("new-name-label")?;
    check_name(name)?;
    if libvirt::domains(system)?
        .iter()
        .any(|other| other.name() == name)
    {
        return Err(name_in_use(name));
    }
    let uuid = uuid::Uuid::new_v4().to_string();
    let mut copies: Vec<(Disk, Disk)> = Vec::new();
    let made = all_disks(asked, &mut domain)?
        .into_iter()
        .enumerate()
        .try_for_each(|(index, disk)| {
            let target = storage::repository(system, &disk.repository)?;
            let copy = duplicate(asked, &disk, &target, &format!("{name} disk {index}"))?;
            let owned = owner::set(system, &copy.uuid, &uuid);
            copies.push((disk, copy));
            owned
        });
    domain.set_uuid(&uuid);
    domain.set_name(name);
    if let Some(description) = asked.get("new-name-description") {
        domain.set_description(description);
    }
    domain.renew_addresses();
    domain.replace_sources(|disk| {
        let path = Path::new(disk.source.as_deref()?);
        let (_, copy) = copies.iter().find(|(disk, _)| disk.path == path)?;
        Some(copy.path.to_string_lossy().into_owned())
    });
    made.and_then(|()| libvirt::define(system, &domain))
        .inspect_err(|_| {
            for (_, copy) in &copies {
                // The error that is told is the first one.
                let _ = destroy_disk(asked, copy);
            }
        })?;
    Ok(Outcome::Made(uuid))
}
