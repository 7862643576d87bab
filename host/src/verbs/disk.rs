//! Virtual disks: made, filled, enlarged, copied, destroyed.

use super::uuid_of;
use crate::XeError;
use crate::change::Change;
use crate::guest::{Domain, libvirt, snapshots};
use crate::labels;
use crate::locks;
use crate::record::Record;
use crate::selection::one;
use crate::storage::{self, Disk, Kind as Storage, copy};
use crate::verb::{Arg, Asked, Kind, Outcome, Run, Verb};
use std::io;
use std::path::{Path, PathBuf};

const FILE: Arg = Arg::needed(
    "filename",
    Kind::File,
    "the image: raw, qcow2, VMDK, VHD or VHDX",
);

pub(super) const VERBS: &[Verb] = &[
    Verb {
        name: "vdi-create",
        summary: "Makes a virtual disk; prints its uuid",
        args: &[
            Arg::needed("name-label", Kind::Text, "its name"),
            Arg::needed("virtual-size", Kind::Size, "its size"),
            Arg::may(
                "sr-uuid",
                Kind::Of("sr"),
                "where; the local storage if left out",
            ),
            Arg::may("name-description", Kind::Text, "what it is for"),
        ],
        run: Run::Once(create),
    },
    Verb {
        name: "vdi-destroy",
        summary: "Destroys a virtual disk that no virtual machine has",
        args: &[],
        run: Run::Each("vdi", destroy),
    },
    Verb {
        name: "vdi-resize",
        summary: "Makes a virtual disk larger; a guest that runs sees it after its next start",
        args: &[Arg::needed("disk-size", Kind::Size, "the new size")],
        run: Run::Each("vdi", resize),
    },
    Verb {
        name: "vdi-import",
        summary: "Fills a virtual disk from an image",
        args: &[FILE],
        run: Run::Each("vdi", import),
    },
    Verb {
        name: "vdi-export",
        summary: "Writes the content of a virtual disk to a file, raw",
        args: &[Arg::needed(
            "filename",
            Kind::File,
            "the file, which must not exist",
        )],
        run: Run::Each("vdi", export),
    },
    Verb {
        name: "vdi-copy",
        summary: "Copies a virtual disk; prints the uuid of the copy",
        args: &[Arg::may(
            "into-sr-uuid",
            Kind::Of("sr"),
            "where; beside the original if left out",
        )],
        run: Run::Each("vdi", copy_disk),
    },
];

/// The repository that an argument names, or the one that is taken by itself, to make a disk in it: it is there until the command
/// ends.
pub(super) fn repository(
    asked: &Asked<'_>,
    argument: &str,
) -> Result<storage::Repository, XeError> {
    let system = asked.around.system;
    let found = match asked.get(argument) {
        Some(name) => storage::repository(system, &uuid_of(&one("sr", name, asked.around)?)?)?,
        None => storage::default_repository(system)?,
    };
    asked.task.hold([locks::making_in(system, &found)?]);
    // It may have gone before the lock was had.
    storage::repository(system, &found.uuid)
}

/// Gives a new disk its name.
pub(super) fn name_disk(asked: &Asked<'_>, uuid: &str, name: &str) -> Result<(), XeError> {
    let change = Change::Set("name-label", name.to_owned());
    labels::change(asked.around.system, uuid, &[change])
}

/// Makes a disk that is filled afterwards and has its name only then. Until the command ends it is not for others, and whoever
/// finds it after a power cut is told what it is.
pub(super) fn make_disk(
    asked: &Asked<'_>,
    repository: &storage::Repository,
    size: u64,
    name: &str,
) -> Result<Disk, XeError> {
    let disk = storage::create(asked.around.system, repository, size)?;
    locks::new_disk(asked.around.system, &disk.path)
        .map(|held| asked.task.hold(held))
        .and_then(|()| name_disk(asked, &disk.uuid, &format!("{name} (incomplete)")))
        .inspect_err(|_| {
            // The error that is told is the first one.
            let _ = destroy_disk(asked, &disk);
        })?;
    Ok(disk)
}

/// Destroys a disk and forgets its name.
pub(super) fn destroy_disk(asked: &Asked<'_>, disk: &Disk) -> Result<(), XeError> {
    storage::destroy(asked.around.system, disk)?;
    forget_disk(asked, &disk.uuid)
}

/// Forgets the name of a disk that is gone.
pub(super) fn forget_disk(asked: &Asked<'_>, uuid: &str) -> Result<(), XeError> {
    let clear = ["name-label", "name-description", "other-config", "tags"].map(Change::Clear);
    labels::change(asked.around.system, uuid, &clear)
}

fn create(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    let repository = repository(asked, "sr-uuid")?;
    let size = asked
        .size("virtual-size")?
        .ok_or_else(|| XeError::usage("virtual-size= is missing"))?;
    let disk = storage::create(asked.around.system, &repository, size)?;
    name_disk(asked, &disk.uuid, asked.needed("name-label")?)?;
    if let Some(text) = asked.get("name-description") {
        let change = Change::Set("name-description", text.to_owned());
        labels::change(asked.around.system, &disk.uuid, &[change])?;
    }
    Ok(Outcome::Made(disk.uuid))
}

/// Refuses where a guest or a snapshot has one of these disks, or one below one of these folders.
pub(super) fn refuse_users(asked: &Asked<'_>, places: &[PathBuf]) -> Result<(), XeError> {
    let system = asked.around.system;
    let mut domains = libvirt::domains(system)?;
    domains.extend(snapshots::all(system)?);
    let real: Vec<_> = places.iter().map(|place| system.real_path(place)).collect();
    let is_in = |source: &Path| {
        let real_source = system.real_path(source);
        places.iter().any(|place| source.starts_with(place))
            || real.iter().any(|place| real_source.starts_with(place))
    };
    let used = domains.iter().find_map(|domain| {
        let sources = domain.disks().into_iter().filter_map(|disk| disk.source);
        let mut sources = sources.filter(|source| is_in(Path::new(source)));
        Some((domain, sources.next()?))
    });
    match used {
        Some((domain, path)) => Err(XeError::failure(
            "VDI_IN_USE",
            "A virtual machine or a snapshot has this disk; remove it there first (vm-disk-remove, snapshot-uninstall).",
        )
        .with("location", path)
        .with("vm", domain.uuid())
        .with("name-label", domain.name())),
        None => Ok(()),
    }
}

/// Refuses where a guest other than `vm` has one of these disks.
pub(super) fn refuse_other_guests<'p>(
    asked: &Asked<'_>,
    vm: &str,
    paths: impl IntoIterator<Item = &'p Path>,
) -> Result<(), XeError> {
    let system = asked.around.system;
    let mut others = libvirt::domains(system)?;
    others.retain(|domain| domain.uuid() != vm);
    for path in paths {
        let has = |domain: &&Domain| domain.disks().iter().any(|disk| disk.is_on(system, path));
        if let Some(other) = others.iter().find(has) {
            return Err(XeError::failure(
                "VDI_IN_USE",
                "Another virtual machine has this disk as well; take it away there first (vbd-destroy).",
            )
            .with("location", path.display().to_string())
            .with("vm", other.uuid())
            .with("name-label", other.name()));
        }
    }
    Ok(())
}

/// Refuses where a guest has the disk that runs, or that is suspended: it goes on with what it knows of the disk.
fn refuse_running(asked: &Asked<'_>, disk: &Disk) -> Result<(), XeError> {
    let system = asked.around.system;
    let has = |domain: &Domain| {
        domain
            .disks()
            .iter()
            .any(|used| used.is_on(system, &disk.path))
    };
    let why = "A virtual machine that runs has this disk; shut it down first.";
    let user = libvirt::running(system)?.into_iter().find(has);
    let user = match user.map(|domain| (domain, why)) {
        Some(user) => Some(user),
        None => {
            let why = "A virtual machine that is suspended has this disk, and goes on with it; resume it and shut it down first, or \
                       drop its memory by vm-reset-powerstate.";
            let suspended = libvirt::suspended(system)?;
            let mut all = match suspended.is_empty() {
                true => Vec::new(),
                false => libvirt::domains(system)?,
            };
            all.retain(|domain| suspended.contains(&domain.uuid()));
            all.into_iter().find(has).map(|domain| (domain, why))
        }
    };
    match user {
        Some((domain, why)) => Err(XeError::failure("VDI_IN_USE", why)
            .with("vdi", disk.uuid.clone())
            .with("vm", domain.uuid())
            .with("name-label", domain.name())),
        None => Ok(()),
    }
}

/// Refuses to destroy a disk that has snapshots: LVM would take them along.
pub(super) fn refuse_snapshots(asked: &Asked<'_>, disk: &Disk) -> Result<(), XeError> {
    refuse_other_snapshots(asked, disk, &[])
}

/// The same, but for the disks of these snapshots of virtual machines.
pub(super) fn refuse_other_snapshots(
    asked: &Asked<'_>,
    disk: &Disk,
    known: &[Domain],
) -> Result<(), XeError> {
    let system = asked.around.system;
    let all = storage::disks(system, &storage::repositories(system)?)?;
    let is_known = |other: &&Disk| {
        known
            .iter()
            .flat_map(Domain::disks)
            .any(|disk| disk.is_on(system, &other.path))
    };
    match all
        .iter()
        .filter(|other| other.snapshot_of.as_ref() == Some(&disk.uuid))
        .find(|other| !is_known(other))
    {
        Some(snapshot) => Err(XeError::failure(
            "VDI_HAS_SNAPSHOTS",
            "The disk has snapshots, which would go with it; remove them first.",
        )
        .with("vdi", disk.uuid.clone())
        .with("snapshot", snapshot.uuid.clone())),
        None => Ok(()),
    }
}

fn destroy(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let disk = storage::disk(asked.around.system, &uuid_of(record)?)?;
    refuse_users(asked, std::slice::from_ref(&disk.path))?;
    // One that was only plugged in stands in no definition.
    refuse_running(asked, &disk)?;
    refuse_snapshots(asked, &disk)?;
    destroy_disk(asked, &disk)?;
    Ok(Outcome::Done)
}

fn resize(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let disk = storage::disk(asked.around.system, &uuid_of(record)?)?;
    refuse_snapshots(asked, &disk)?;
    let size = asked.size("disk-size")?.unwrap_or(disk.size);
    storage::resize(asked.around.system, &disk, size)?;
    Ok(Outcome::Done)
}

fn import(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let disk = storage::disk(asked.around.system, &uuid_of(record)?)?;
    if disk.kind == Storage::Iso {
        return Err(storage::read_only(&disk));
    }
    refuse_running(asked, &disk)?;
    fill(asked, Path::new(asked.needed("filename")?), &disk, false)?;
    Ok(Outcome::Done)
}

/// Fills a disk from an image, which must fit.
pub(super) fn fill(
    asked: &Asked<'_>,
    image: &Path,
    disk: &Disk,
    is_new: bool,
) -> Result<(), XeError> {
    let (system, machine) = (asked.around.system, asked.around.machine);
    let (format, size) = copy::look(system, machine, image)?;
    if size > disk.size {
        return Err(XeError::failure(
            "VDI_TOO_SMALL",
            "The disk in the image does not fit; make the virtual disk larger by vdi-resize.",
        )
        .with("vdi", disk.uuid.clone())
        .with("needed", size.to_string())
        .with("current", disk.size.to_string()));
    }
    // Only of a new file is it known that what is not written is zero.
    let zeroed = is_new && disk.kind == Storage::Ext;
    let kind = if zeroed { Storage::Ext } else { Storage::Lvm };
    copy::import(
        system,
        machine,
        (image, format, size),
        &disk.path,
        kind,
        asked.task,
    )?;
    match zeroed {
        true => Ok(()),
        false => zero_rest(asked, disk, size),
    }
}

/// Makes zero what is behind the content of a disk. A volume may be larger than was asked for.
pub(super) fn zero_rest(asked: &Asked<'_>, disk: &Disk, from: u64) -> Result<(), XeError> {
    copy::zero_rest(
        asked.around.system,
        asked.around.machine,
        (&disk.path, disk.kind),
        from,
        asked.task,
    )
}

/// Has `write` make a file that is called `path` when it is whole. Nothing is overwritten, neither what is there nor what comes
/// meanwhile.
pub(super) fn new_file(
    asked: &Asked<'_>,
    path: &Path,
    write: impl FnOnce(&Path) -> Result<(), XeError>,
) -> Result<(), XeError> {
    let system = asked.around.system;
    let _held = locks::new_file(system, path)?;
    // What a command left that was killed is somebody's decision: it may as well be a file of the administrator.
    let begun = incomplete(path);
    if let Some(taken) = [path, begun.as_path()]
        .into_iter()
        .find(|file| system.exists(file))
    {
        return Err(file_exists(taken));
    }
    let moved = || {
        system
            .move_new(&begun, path)
            .map_err(|error| match error.source.kind() {
                io::ErrorKind::AlreadyExists => file_exists(path),
                _ => XeError::system(&error),
            })
    };
    write(&begun).and_then(|()| moved()).inspect_err(|_| {
        // The error that is told is the first one.
        let _ = system.remove_file(&begun);
    })
}

/// Nothing is overwritten.
fn file_exists(path: &Path) -> XeError {
    XeError::failure(
        "FILE_EXISTS",
        "The file exists; remove it, or choose another name.",
    )
    .with("filename", path.display().to_string())
}

fn export(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let system = asked.around.system;
    let disk = storage::disk(system, &uuid_of(record)?)?;
    refuse_running(asked, &disk)?;
    new_file(asked, Path::new(asked.needed("filename")?), |begun| {
        storage::make_file(system, begun, disk.size)?;
        let places = (disk.path.as_path(), begun);
        copy::copy(asked.around.machine, places, disk.size, true, asked.task)
    })?;
    Ok(Outcome::Done)
}

/// The name of a file until it is whole: it has its size from the beginning.
fn incomplete(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".incomplete");
    PathBuf::from(name)
}

fn copy_disk(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let disk = storage::disk(asked.around.system, &uuid_of(record)?)?;
    refuse_running(asked, &disk)?;
    let target = match asked.get("into-sr-uuid") {
        Some(_) => repository(asked, "into-sr-uuid")?,
        None => storage::repository(asked.around.system, &disk.repository)?,
    };
    let name = record.text("name-label").unwrap_or_default();
    duplicate(asked, &disk, &target, &name).map(|new| Outcome::Made(new.uuid))
}

/// A full copy of a disk.
pub(super) fn duplicate(
    asked: &Asked<'_>,
    disk: &Disk,
    target: &storage::Repository,
    name: &str,
) -> Result<Disk, XeError> {
    let new = make_disk(asked, target, disk.size, name)?;
    copy::copy(
        asked.around.machine,
        (&disk.path, &new.path),
        disk.size,
        new.kind == Storage::Ext,
        asked.task,
    )
    .and_then(|()| zero_rest(asked, &new, disk.size))
    .and_then(|()| name_disk(asked, &new.uuid, name))
    .inspect_err(|_| {
        // The error that is told is the first one.
        let _ = destroy_disk(asked, &new);
    })?;
    Ok(new)
}
