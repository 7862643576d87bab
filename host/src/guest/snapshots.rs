//! Snapshots of guests: the definition at that time, with the snapshots of its disks in it. libvirt's Xen driver has none of its
//! own, and a snapshot is no guest that could be started by mistake.

use super::Domain;
use super::devices::GuestDisk;
use crate::XeError;
use crate::local::names_in;
use std::path::{Path, PathBuf};
use steps::System;

/// One file for each.
pub const FOLDER: &str = "/var/lib/bedplate/xe/snapshots";
/// Key of the UUID of the guest.
pub const OF: &str = "snapshot-of";
/// Key of the name of the guest.
pub const OF_NAME: &str = "snapshot-of-name";
/// Key of the time, in seconds since 1970.
pub const TIME: &str = "snapshot-time";

/// Key of the note that a guest is going back to it and is not there yet: `autostart` where the guest starts with the host, else
/// `manual`.
pub const REVERTING: &str = "reverting";

/// Refuses where a guest is in the middle of going back to a snapshot, but for `except`: its disks are of two moments.
pub fn refuse_reverting(system: &dyn System, vm: &str, except: &str) -> Result<(), XeError> {
    let all = all(system)?;
    let unfinished = all
        .iter()
        .filter(|snapshot| snapshot.own(OF).as_deref() == Some(vm) && snapshot.uuid() != except)
        .find(|snapshot| snapshot.own(REVERTING).is_some());
    match unfinished {
        Some(snapshot) => Err(XeError::failure(
            "OTHER_OPERATION_IN_PROGRESS",
            "The virtual machine was going back to a snapshot, and that was cut off: its disks may be of two moments. Run \
             snapshot-revert with this snapshot again.",
        )
        .with("vm", vm)
        .with("snapshot", snapshot.uuid())),
        None => Ok(()),
    }
}

fn file(uuid: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{uuid}.xml"))
}

/// All of them, the oldest first.
pub fn all(system: &dyn System) -> Result<Vec<Domain>, XeError> {
    let read = |uuid: &String| {
        let path = file(uuid);
        let bytes = system.read_file(&path).map_err(|e| XeError::system(&e))?;
        // A guest may be in the middle of going back to it, so none is started without it being known.
        Domain::parse(&String::from_utf8_lossy(&bytes)).map_err(|error| {
            XeError::failure(
                error.code,
                format!(
                    "{}; correct this file of a snapshot, or move it elsewhere to go on without the snapshot",
                    error.message
                ),
            )
            .with("file", path.display().to_string())
        })
    };
    let mut all: Vec<_> = names_in(system, FOLDER, ".xml")?
        .iter()
        .map(read)
        .collect::<Result<_, _>>()?;
    all.sort_by_key(|snapshot| (time(snapshot), snapshot.uuid()));
    Ok(all)
}

/// Makes a definition of a guest from that of a snapshot.
pub fn clear(domain: &mut Domain) {
    for key in domain.own_keys() {
        domain.set_entry("own", &key, None);
    }
}

/// Key of the path of the disk whose snapshot is in this place.
pub fn origin_key(target: &str) -> String {
    format!("origin-{target}")
}

/// The paths of the disks that it is a snapshot of.
pub fn origins(snapshot: &Domain) -> Vec<PathBuf> {
    let origin = |disk: GuestDisk| snapshot.own(&origin_key(&disk.target)).map(PathBuf::from);
    snapshot.disks().into_iter().filter_map(origin).collect()
}

/// When it was taken, in seconds since 1970.
pub fn time(snapshot: &Domain) -> u64 {
    snapshot
        .own(TIME)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// The snapshot with this UUID.
pub fn one(system: &dyn System, uuid: &str) -> Result<Domain, XeError> {
    all(system)?
        .into_iter()
        .find(|snapshot| snapshot.uuid() == uuid)
        .ok_or_else(|| crate::selection::uuid_invalid("snapshot", uuid))
}

/// UUIDs of those of a guest.
pub fn of(all: &[Domain], vm: &str) -> Vec<String> {
    all.iter()
        .filter(|snapshot| snapshot.own(OF).as_deref() == Some(vm))
        .map(Domain::uuid)
        .collect()
}

/// Keeps one.
pub fn keep(system: &dyn System, snapshot: &Domain) -> Result<(), XeError> {
    system
        .create_dir_all(Path::new(FOLDER))
        .and_then(|()| {
            system.write_file(&file(&snapshot.uuid()), snapshot.print().as_bytes(), 0o600)
        })
        .map_err(|e| XeError::system(&e))
}

/// Forgets one.
pub fn forget(system: &dyn System, uuid: &str) -> Result<(), XeError> {
    system
        .remove_file(&file(uuid))
        .map_err(|e| XeError::system(&e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::domain::tests::PVH;
    use steps::RecordingSystem;

    #[test]
    fn they_are_kept_in_the_order_of_their_time() {
        let system = RecordingSystem::new();
        assert!(all(&system).unwrap().is_empty());
        for (uuid, time) in [("1", "200"), ("2", "100")] {
            let mut snapshot = Domain::parse(PVH).unwrap();
            snapshot.set_uuid(uuid);
            snapshot.set_entry("own", OF, Some("vm"));
            snapshot.set_entry("own", TIME, Some(time));
            keep(&system, &snapshot).unwrap();
        }
        assert_eq!(of(&all(&system).unwrap(), "vm"), ["2", "1"]);
        assert!(of(&all(&system).unwrap(), "other").is_empty());
        forget(&system, "2").unwrap();
        assert_eq!(one(&system, "2").unwrap_err().code, "UUID_INVALID");
        assert_eq!(one(&system, "1").unwrap().uuid(), "1");
    }

    #[test]
    fn one_that_is_damaged_is_named() {
        let system = RecordingSystem::new().file(file("1"), "<domain");
        let error = all(&system).unwrap_err().to_string();
        assert!(
            error.contains(&format!("file: {FOLDER}/1.xml")) && error.contains("move it"),
            "{error}"
        );
    }
}
