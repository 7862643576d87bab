//! Whose a disk is: the guest that it was made for takes it along when it is uninstalled. One that was only attached stays.

use crate::XeError;
use crate::change::Change;
use crate::guest::Domain;
use crate::labels;
use crate::storage::{self, Disk};
use steps::System;

/// Key in a disk's `other-config` of the UUID of the guest that it was made for.
const OWNER: &str = "owner";

/// Notes for which guest a disk was made.
pub(super) fn set(system: &dyn System, disk: &str, vm: &str) -> Result<(), XeError> {
    let change = Change::SetKey("other-config", OWNER.to_owned(), vm.to_owned());
    labels::change(system, disk, &[change])
}

/// Whether a disk was made for this guest. Without a note it was not: what stays too long can still be removed.
pub(super) fn is(system: &dyn System, disk: &Disk, vm: &str) -> Result<bool, XeError> {
    let labels = labels::read_one(system, &disk.uuid)?.unwrap_or_default();
    Ok(labels.other_config.get(OWNER).is_some_and(|of| of == vm))
}

/// From here on the disk is nobody's, whoever has it attached.
pub(super) fn clear(system: &dyn System, disk: &Disk) -> Result<(), XeError> {
    let labels = labels::read_one(system, &disk.uuid)?.unwrap_or_default();
    match labels.other_config.contains_key(OWNER) {
        true => {
            let change = Change::RemoveKey("other-config", OWNER.to_owned());
            labels::change(system, &disk.uuid, &[change])
        }
        false => Ok(()),
    }
}

/// The disks of a definition that are none of `taken`, a line each: UUID and path, or the path alone of what is in no
/// repository.
pub(super) fn others(
    system: &dyn System,
    domain: &Domain,
    taken: &[Disk],
) -> Result<Vec<String>, XeError> {
    let all = storage::disks(system, &storage::repositories(system)?)?;
    let used = domain.disks().into_iter().filter(|used| !used.cdrom);
    let line = |used: crate::guest::devices::GuestDisk| {
        let is_it = |disk: &&Disk| used.is_on(system, &disk.path);
        if taken.iter().any(|disk| is_it(&disk)) {
            return None;
        }
        let source = used.source.clone()?;
        Some(match all.iter().find(is_it) {
            Some(disk) => format!("VDI: {} ({source})", disk.uuid),
            None => source,
        })
    };
    Ok(used.filter_map(line).collect())
}
