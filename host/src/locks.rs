//! Who works on a guest or a disk: two commands that would spoil each other's work do not run at the same time.
//!
//! A lock is a file that flock(2) holds, so it goes with the process that has it, however that ends. What copies out of a disk
//! shares it with others that do; what changes, starts or destroys has it alone. Nobody waits for a command of another: it may
//! take hours. The files stay; they are empty of meaning while nobody holds them, and are gone with the next start of the host.

use crate::XeError;
use crate::class::DOM0;
use crate::guest::{Domain, libvirt, snapshots};
use crate::local::derived_uuid;
use crate::record::Record;
use crate::selection::one;
use crate::storage::{self, Repository};
use crate::verb::Asked;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use steps::System;
use steps::system::{Held, Hold, LockError};

/// Where the files are.
pub const FOLDER: &str = "/run/bedplate/xe-locks";
/// How long an edit of a file waits for the edit of another command; each takes milliseconds.
const EDIT_WAIT: Duration = Duration::from_secs(10);
/// How often it looks.
const EDIT_LOOK: Duration = Duration::from_millis(20);

/// What a command works on, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// The guest and its disks.
    Guest(Hold),
    /// The guest with its disks, its snapshots and theirs.
    Everything,
    /// The guest; its disks are not touched.
    Life,
    /// The definition, one command after the other.
    Definition,
    /// The disk.
    Disk(Hold),
    /// The snapshot and its volumes.
    Snapshot(Hold),
    /// The same, and the guest with its disks and those that it had when the snapshot was taken.
    Revert,
    /// The disk of a connection, and the definition of its guest.
    Connection,
    /// The definition of the guest of a device.
    Device,
    /// The repository with everything in it.
    Repository,
}

/// What a command works on; none where it spoils nothing, or where it ends a guest: that must work whatever else goes on.
fn work(verb: &str) -> Option<Work> {
    Some(match verb {
        "vm-export" | "vm-clone" | "vm-copy" => Work::Guest(Hold::Shared),
        "vm-start" | "vm-resume" | "vm-reboot" | "vm-disk-remove" => Work::Guest(Hold::Alone),
        "vm-uninstall" | "vm-destroy" => Work::Everything,
        "vm-snapshot" | "vm-suspend" | "vm-pause" | "vm-unpause" => Work::Life,
        "vm-disk-add"
        | "vm-cd-add"
        | "vm-cd-insert"
        | "vm-cd-eject"
        | "vm-cd-remove"
        | "vm-vcpu-hotplug"
        | "vm-memory-set"
        | "vm-memory-limits-set" => Work::Definition,
        "vdi-export" | "vdi-copy" => Work::Disk(Hold::Shared),
        "vdi-import" | "vdi-resize" | "vdi-destroy" => Work::Disk(Hold::Alone),
        "snapshot-export" | "snapshot-copy" => Work::Snapshot(Hold::Shared),
        "snapshot-uninstall" => Work::Snapshot(Hold::Alone),
        "snapshot-revert" => Work::Revert,
        "vbd-create" | "vbd-destroy" | "vbd-plug" | "vbd-unplug" => Work::Connection,
        "vif-create" | "vif-destroy" | "vif-plug" | "vif-unplug" => Work::Device,
        "sr-destroy" | "sr-forget" => Work::Repository,
        _ => return None,
    })
}

/// Takes what the command needs for this record. What the record says about the state of a guest is to be read again then.
pub fn of_record(
    asked: &Asked<'_>,
    verb: &'static str,
    record: &Record,
) -> Result<Vec<Held>, XeError> {
    let taker = Taker::new(asked.around.system, verb);
    let uuid = record.text("uuid").unwrap_or_default();
    let Some(work) = work(verb).filter(|_| uuid != DOM0) else {
        return Ok(Vec::new());
    };
    match work {
        Work::Guest(hold) => taker.guest_with_disks(&uuid, hold),
        Work::Everything => {
            let mut held = taker.guest_with_disks(&uuid, Hold::Alone)?;
            for snapshot in snapshots::all(taker.system)? {
                if snapshot.own(snapshots::OF).as_deref() == Some(&uuid) {
                    held.extend(taker.snapshot(&snapshot, Hold::Alone)?);
                }
            }
            Ok(held)
        }
        Work::Life => Ok(vec![taker.guest(&uuid, Hold::Alone)?]),
        Work::Definition => taker.definition(&uuid),
        Work::Disk(hold) => match record.text("location") {
            Some(path) => taker.disk(Path::new(&path), hold),
            None => Ok(Vec::new()),
        },
        Work::Snapshot(hold) => taker.snapshot(&snapshots::one(taker.system, &uuid)?, hold),
        Work::Revert => {
            let snapshot = snapshots::one(taker.system, &uuid)?;
            let mut held = taker.snapshot(&snapshot, Hold::Alone)?;
            let mut paths = snapshots::origins(&snapshot);
            if let Some(guest) = snapshot.own(snapshots::OF) {
                held.push(taker.guest(&guest, Hold::Alone)?);
                paths.extend(disk_paths(&libvirt::domain(taker.system, &guest)?));
            }
            held.extend(taker.disks(&paths, Hold::Alone)?);
            Ok(held)
        }
        Work::Connection | Work::Device => {
            let mut held = match record.text("vm-uuid") {
                Some(guest) => taker.definition(&guest)?,
                None => Vec::new(),
            };
            let is_disk = work == Work::Connection && record.text("type").as_deref() != Some("CD");
            if let Some(path) = record
                .text("location")
                .filter(|path| is_disk && !path.is_empty())
            {
                held.extend(taker.disk(Path::new(&path), Hold::Alone)?);
            }
            Ok(held)
        }
        Work::Repository => {
            let repository = storage::repository(taker.system, &uuid)?;
            Ok(vec![taker.repository(&repository.folder(), Hold::Alone)?])
        }
    }
}

/// The same for a command that names what it works on in its arguments.
pub fn of_line(asked: &Asked<'_>, verb: &'static str) -> Result<Vec<Held>, XeError> {
    let Some(work @ (Work::Connection | Work::Device)) = work(verb) else {
        return Ok(Vec::new());
    };
    let taker = Taker::new(asked.around.system, verb);
    let text = |class: &str, value: &str, field: &str| {
        one(class, value, asked.around).map(|record| record.text(field))
    };
    let mut held = Vec::new();
    if let Some(guest) = asked.get("vm-uuid")
        && let Some(uuid) = text("vm", guest, "uuid")?.filter(|uuid| uuid != DOM0)
    {
        held.extend(taker.definition(&uuid)?);
    }
    if work == Work::Connection
        && let Some(disk) = asked.get("vdi-uuid")
        && let Some(path) = text("vdi", disk, "location")?
        // Several guests may have one medium.
        && text("vdi", disk, "read-only")?.as_deref() != Some("true")
    {
        held.extend(taker.disk(Path::new(&path), Hold::Alone)?);
    }
    Ok(held)
}

/// For a change of the fields of a guest.
pub fn of_definition(system: &dyn System, guest: &str) -> Result<Vec<Held>, XeError> {
    match guest == DOM0 {
        true => Ok(Vec::new()),
        false => Taker::new(system, "vm-param-set").definition(guest),
    }
}

/// The same for whoever has time: none where another command works with the guest or its definition.
pub fn of_idle_definition(system: &dyn System, guest: &str) -> Result<Option<Vec<Held>>, XeError> {
    let what = definition_of(guest);
    let all = [
        (Path::new(FOLDER).join(guest_file(guest)), Hold::Shared),
        (edit_file(&what), Hold::Alone),
    ];
    let mut held = Vec::new();
    for (path, hold) in all {
        match system.lock(&path, hold, &what) {
            Ok(lock) => held.push(lock),
            Err(LockError::Taken { .. }) => return Ok(None),
            Err(LockError::File(error)) => return Err(XeError::system(&error)),
        }
    }
    Ok(Some(held))
}

/// For a change of the fields of a snapshot: not while the guest goes back to it, which is noted there.
pub fn of_snapshot(system: &dyn System, uuid: &str) -> Result<Vec<Held>, XeError> {
    let file = format!("snapshot-{uuid}");
    Ok(vec![
        Taker::new(system, "snapshot-param-set").take(&file, Hold::Shared, ("snapshot", uuid))?,
        edit(system, &format!("the snapshot {uuid}"))?,
    ])
}

/// A disk that is made, until it is filled.
pub fn new_disk(system: &dyn System, path: &Path) -> Result<Vec<Held>, XeError> {
    Taker::new(system, "making a disk").disk(path, Hold::Alone)
}

/// A device that becomes a repository, until it is one: by its name and by what that leads to, as a disk may be known by either.
pub fn new_device(system: &dyn System, path: &Path) -> Result<Vec<Held>, XeError> {
    let paths = [path.to_owned(), system.real_path(path)];
    Taker::new(system, "making a repository").disks(&paths, Hold::Alone)
}

/// A file that a command writes, until it is there: until then it has a name that another one for the same place would take.
pub fn new_file(system: &dyn System, path: &Path) -> Result<Held, XeError> {
    // It is not there yet, so it is its folder that may have two names.
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let folder = system.real_path(folder);
    let real = folder.join(path.file_name().unwrap_or_default());
    let real = real.display().to_string();
    let taker = Taker::new(system, "writing a file");
    taker.take(
        &format!("file-{}", key(&real)),
        Hold::Alone,
        ("filename", &real),
    )
}

/// A repository that a disk is made in, until somebody has that.
pub fn making_in(system: &dyn System, repository: &Repository) -> Result<Held, XeError> {
    Taker::new(system, "making a disk").repository(&repository.folder(), Hold::Shared)
}

/// For reading a file, changing what was read and writing it again. Waits for others that do the same.
pub fn edit(system: &dyn System, what: &str) -> Result<Held, XeError> {
    let path = edit_file(what);
    let start = Instant::now();
    loop {
        match system.lock(&path, Hold::Alone, what) {
            Ok(held) => return Ok(held),
            Err(LockError::Taken { .. }) if start.elapsed() < EDIT_WAIT => {
                std::thread::sleep(EDIT_LOOK);
            }
            Err(error) => {
                return Err(refused(error, |by| {
                    XeError::failure(
                        "OTHER_OPERATION_IN_PROGRESS",
                        "Another command changes this at the same time and does not come to an end; look at its process.",
                    )
                    .with("object", what)
                    .with("operation", by)
                }));
            }
        }
    }
}

fn edit_file(what: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("edit-{}", key(what)))
}

/// What is edited where a definition is changed.
fn definition_of(guest: &str) -> String {
    format!("the definition of {guest}")
}

fn guest_file(uuid: &str) -> String {
    format!("vm-{uuid}")
}

/// The name of a file for something with any name.
fn key(text: &str) -> String {
    derived_uuid(None, "lock", text).to_string()
}

fn refused(error: LockError, taken: impl FnOnce(String) -> XeError) -> XeError {
    match error {
        LockError::Taken { by } => taken(by),
        LockError::File(error) => XeError::system(&error),
    }
}

/// Takes locks for a command.
struct Taker<'a> {
    system: &'a dyn System,
    verb: &'static str,
}

impl<'a> Taker<'a> {
    fn new(system: &'a dyn System, verb: &'static str) -> Taker<'a> {
        Taker { system, verb }
    }

    /// `file` is the name of the lock, `kind` and `object` are what somebody who is refused is told.
    fn take(
        &self,
        file: &str,
        hold: Hold,
        (kind, object): (&'static str, &str),
    ) -> Result<Held, XeError> {
        let path = Path::new(FOLDER).join(file);
        let words = match kind {
            "vm" => "virtual machine",
            "vdi" => "virtual disk",
            "sr" => "storage repository",
            "filename" => "file",
            _ => "snapshot",
        };
        let said = format!("{} of {object}", self.verb);
        self.system.lock(&path, hold, &said).map_err(|error| {
            refused(error, |by| {
                XeError::failure(
                    "OTHER_OPERATION_IN_PROGRESS",
                    format!(
                        "Another command works with this {words}; `xe task-list` shows it where it takes long. Wait for its end, or \
                         end it by `xe task-cancel`, and try again."
                    ),
                )
                .with(kind, object)
                .with("operation", by)
            })
        })
    }

    fn guest(&self, uuid: &str, hold: Hold) -> Result<Held, XeError> {
        self.take(&guest_file(uuid), hold, ("vm", uuid))
    }

    /// With the repository that it is in, which must not go meanwhile.
    fn disk(&self, path: &Path, hold: Hold) -> Result<Vec<Held>, XeError> {
        let path = plain(self.system, path);
        let repository = path
            .parent()
            .map(|folder| self.repository(folder, Hold::Shared))
            .transpose()?;
        let path = path.display().to_string();
        let disk = self.take(&format!("vdi-{}", key(&path)), hold, ("vdi", &path))?;
        Ok(repository.into_iter().chain([disk]).collect())
    }

    /// By the folder that the paths of its disks start with.
    fn repository(&self, folder: &Path, hold: Hold) -> Result<Held, XeError> {
        let folder = plain(self.system, folder).display().to_string();
        self.take(&format!("sr-{}", key(&folder)), hold, ("sr", &folder))
    }

    fn disks(&self, paths: &[PathBuf], hold: Hold) -> Result<Vec<Held>, XeError> {
        // Nobody keeps himself out.
        let paths: BTreeSet<_> = paths.iter().map(|path| plain(self.system, path)).collect();
        let held: Result<Vec<_>, _> = paths.iter().map(|path| self.disk(path, hold)).collect();
        Ok(held?.into_iter().flatten().collect())
    }

    fn guest_with_disks(&self, uuid: &str, hold: Hold) -> Result<Vec<Held>, XeError> {
        let guest = self.guest(uuid, hold)?;
        let mut held = self.disks(&disk_paths(&libvirt::domain(self.system, uuid)?), hold)?;
        held.push(guest);
        Ok(held)
    }

    fn snapshot(&self, snapshot: &Domain, hold: Hold) -> Result<Vec<Held>, XeError> {
        let uuid = snapshot.uuid();
        let mut held = self.disks(&disk_paths(snapshot), hold)?;
        held.push(self.take(&format!("snapshot-{uuid}"), hold, ("snapshot", &uuid))?);
        Ok(held)
    }

    /// A guest that is copied meanwhile may be changed, one that starts or goes may not.
    fn definition(&self, uuid: &str) -> Result<Vec<Held>, XeError> {
        Ok(vec![
            self.guest(uuid, Hold::Shared)?,
            edit(self.system, &definition_of(uuid))?,
        ])
    }
}

fn disk_paths(domain: &Domain) -> Vec<PathBuf> {
    let disks = domain.disks().into_iter().filter(|disk| !disk.cdrom);
    disks
        .filter_map(|disk| disk.source)
        .map(PathBuf::from)
        .collect()
}

/// The same name for the same disk, before and after it was made anew: a logical volume is `/dev/GROUP/NAME`, whatever device
/// the kernel has for it now, and `/dev/mapper/GROUP-NAME` is the same.
fn plain(system: &dyn System, path: &Path) -> PathBuf {
    if let Ok(name) = path.strip_prefix("/dev/mapper") {
        let name = name.to_string_lossy().replace("--", "\0");
        return match name.split_once('-') {
            Some((group, volume)) => {
                Path::new("/dev").join(format!("{group}/{volume}").replace('\0', "-"))
            }
            None => path.to_owned(),
        };
    }
    match path.starts_with("/dev") {
        true => path.to_owned(),
        false => system.real_path(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps::RecordingSystem;

    #[test]
    fn every_command_that_is_kept_apart_is_one() {
        let working = crate::verbs::all().filter(|verb| work(verb.name).is_some());
        assert_eq!(working.count(), 40, "a name of the list is no command");
    }

    #[test]
    fn a_disk_has_one_name() {
        let system = RecordingSystem::new()
            .linked("/srv/xen/link.raw", "/srv/xen/a.raw")
            .linked("/dev/bedplate/vdi-1", "/dev/dm-3");
        for (path, expected) in [
            ("/dev/bedplate/vdi-1", "/dev/bedplate/vdi-1"),
            ("/dev/mapper/bedplate-vdi--1", "/dev/bedplate/vdi-1"),
            ("/dev/mapper/bedplate--fast-x", "/dev/bedplate-fast/x"),
            ("/dev/mapper/control", "/dev/mapper/control"),
            ("/dev/sdb", "/dev/sdb"),
            ("/srv/xen/link.raw", "/srv/xen/a.raw"),
        ] {
            assert_eq!(plain(&system, Path::new(path)), Path::new(expected));
        }
    }

    #[test]
    fn edits_wait_for_each_other() {
        let system = RecordingSystem::new();
        let first = edit(&system, "a").unwrap();
        edit(&system, "b").unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| edit(&system, "a").map(drop));
            std::thread::sleep(Duration::from_millis(100));
            assert!(!second.is_finished());
            drop(first);
            second.join().unwrap().unwrap();
        });
    }
}
