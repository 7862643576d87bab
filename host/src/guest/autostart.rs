//! Whether a guest starts with the host.
//!
//! libvirt makes a symbolic link for it, or removes that, and leaves it to the kernel when the disk has it. Going back to a snapshot
//! takes it away from a guest for a while: that it is to come back is in a file from before the snapshot forgets it until libvirt has
//! it, so that it outlives a power cut.

use super::{libvirt, snapshots};
use crate::XeError;
use crate::local::names_in;
use crate::locks;
use std::path::{Path, PathBuf};
use steps::System;

/// One file for each guest that is to start with the host again; they are empty.
const FOLDER: &str = "/var/lib/bedplate/xe/autostart";
/// Where libvirt has its links: on the file system that is to be durable.
const LIBVIRT: &str = "/etc/libvirt";

fn file(uuid: &str) -> PathBuf {
    Path::new(FOLDER).join(uuid)
}

/// Sets it, durably.
pub fn set(system: &dyn System, uuid: &str, on: bool) -> Result<(), XeError> {
    match on {
        true => libvirt::run(system, ["autostart", uuid])?,
        false => libvirt::run(system, ["autostart", "--disable", uuid])?,
    };
    system
        .sync(Path::new(LIBVIRT))
        .map_err(|e| XeError::system(&e))
}

/// Notes that the guest is to start with the host again, by [`settle`] or, where that is not reached, by [`finish`].
pub fn owe(system: &dyn System, uuid: &str) -> Result<(), XeError> {
    system
        .create_dir_all(Path::new(FOLDER))
        .and_then(|()| system.write_file(&file(uuid), b"", 0o600))
        .map_err(|e| XeError::system(&e))
}

/// Does what was noted.
pub fn settle(system: &dyn System, uuid: &str) -> Result<(), XeError> {
    set(system, uuid, true)?;
    forget(system, uuid)
}

fn forget(system: &dyn System, uuid: &str) -> Result<(), XeError> {
    system
        .remove_file(&file(uuid))
        .map_err(|e| XeError::system(&e))
}

/// Does what was noted and cut off. A guest that somebody works with now is left to them. Returns what does not work: it is tried
/// again the next time, and nobody is to be kept from anything by it.
#[must_use]
pub fn finish(system: &dyn System) -> Vec<XeError> {
    let uuids = match names_in(system, FOLDER, "") {
        Ok(uuids) => uuids,
        Err(error) => return vec![error],
    };
    let failed = |uuid: &String| {
        let error = finish_one(system, uuid).err()?;
        let message = format!(
            "A virtual machine went back to a snapshot and is to start with the host again, which does not work: {}",
            error.message
        );
        Some(XeError { message, ..error }.with("vm", uuid.clone()))
    };
    uuids.iter().filter_map(failed).collect()
}

fn finish_one(system: &dyn System, uuid: &str) -> Result<(), XeError> {
    let Some(_held) = locks::of_idle_definition(system, uuid)? else {
        return Ok(());
    };
    // It was done before the lock was had.
    if !system.exists(&file(uuid)) {
        return Ok(());
    }
    if !libvirt::all(system)?.contains(uuid) {
        return forget(system, uuid);
    }
    // As long as it is in the middle, it must not start.
    match snapshots::refuse_reverting(system, uuid, "") {
        Err(error) if error.code == "OTHER_OPERATION_IN_PROGRESS" => Ok(()),
        Err(error) => Err(error),
        Ok(()) => settle(system, uuid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::Domain;
    use crate::guest::domain::tests::PVH;
    use steps::RecordingSystem;
    use steps::system::Call;

    const UUID: &str = "33333333-3333-4333-8333-333333333333";
    const V: &str = "virsh -q -c xen:///system";

    fn owed(defined: &str) -> RecordingSystem {
        let system = RecordingSystem::new().prints(&format!("{V} list --uuid --all"), defined);
        owe(&system, UUID).unwrap();
        system
    }

    fn set_lines(system: &RecordingSystem) -> usize {
        let line = format!("{V} autostart {UUID}");
        let lines = system.command_lines();
        lines.iter().filter(|found| **found == line).count()
    }

    #[test]
    fn what_was_cut_off_is_done_the_next_time() {
        let system = owed(&format!("{UUID}\n"));
        assert_eq!(finish(&system), []);
        assert_eq!(set_lines(&system), 1);
        let sync = Call::Sync(LIBVIRT.into());
        let calls = system.calls();
        let at = |wanted: &dyn Fn(&Call) -> bool| calls.iter().position(wanted);
        let (synced, removed) = (
            at(&|call| *call == sync),
            at(&|call| matches!(call, Call::Remove(path) if *path == file(UUID))),
        );
        assert!(synced.is_some() && synced < removed, "{calls:?}");
        assert_eq!(finish(&system), []);
        assert_eq!(set_lines(&system), 1, "it is done once");
    }

    #[test]
    fn a_guest_that_is_gone_is_forgotten() {
        let system = owed("\n");
        assert_eq!(finish(&system), []);
        assert_eq!(set_lines(&system), 0);
        assert!(!system.exists(&file(UUID)));
    }

    #[test]
    fn who_is_in_the_middle_or_in_work_waits() {
        let system = owed(&format!("{UUID}\n"));
        let mut snapshot = Domain::parse(PVH).unwrap();
        snapshot.set_uuid("1");
        snapshot.set_entry("own", snapshots::OF, Some(UUID));
        snapshot.set_entry("own", snapshots::REVERTING, Some("autostart"));
        snapshots::keep(&system, &snapshot).unwrap();
        assert_eq!(finish(&system), []);
        snapshots::forget(&system, "1").unwrap();
        let held = locks::of_definition(&system, UUID).unwrap();
        assert_eq!(finish(&system), []);
        drop(held);
        assert_eq!(set_lines(&system), 0);
        assert_eq!(finish(&system), []);
        assert_eq!(set_lines(&system), 1);
    }

    #[test]
    fn what_does_not_work_is_told_and_stays() {
        let system = owed(&format!("{UUID}\n")).fails(&format!("{V} autostart"), 1, "error: no");
        let [error] = &finish(&system)[..] else {
            panic!("it does not work");
        };
        assert_eq!(error.params, [("vm", UUID.to_owned())]);
        assert!(system.exists(&file(UUID)), "for the next time");
    }
}
