//! Removing files and records.

use super::upload::remove_folder;
use super::{PatchRecord, PatchState, Site, internal, lock};
use crate::XeError;
use crate::local::boot_record_at;

/// Removes the files of a hotfix; its record stays. What the host runs does not need them.
pub fn clean(site: &Site<'_>, uuid: &str) -> Result<(), XeError> {
    let _lock = lock(site.system, site.places, "patch-clean")?;
    let mut record = PatchRecord::find(site.system, site.places, uuid)?;
    remove_files(site, &mut record)
}

/// The record goes first: a folder without one is removed at the next upload, a record without its folder would be wrong.
fn remove_files(site: &Site<'_>, record: &mut PatchRecord) -> Result<(), XeError> {
    match record.folder.take() {
        Some(folder) => {
            record.save(site.system, site.places)?;
            remove_folder(site, &site.places.store.join(folder))
        }
        None => Ok(()),
    }
}

/// Forgets a hotfix. Refused for one that the host runs or is about to try.
pub fn destroy(site: &Site<'_>, uuid: &str) -> Result<(), XeError> {
    let _lock = lock(site.system, site.places, "patch-destroy")?;
    let mut record = PatchRecord::find(site.system, site.places, uuid)?;
    let runs = boot_record_at(site.system, &site.places.boot_record)
        .is_ok_and(|boot| boot.root == record.root);
    let in_use = matches!(
        record.state,
        PatchState::Applied | PatchState::RestartNeeded
    );
    if runs || in_use {
        return Err(XeError::failure(
            "PATCH_IS_APPLIED",
            "The host runs this hotfix or is about to try it; `xe host-rollback` goes back, `xe patch-clean` removes its \
             files only.",
        )
        .with("uuid", record.uuid));
    }
    remove_files(site, &mut record)?;
    site.system
        .remove_file(&site.places.record(&record.uuid))
        .map_err(|e| internal(&e))
}
