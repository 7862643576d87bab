//! Removing files and records.

use super::standing::{Unrecorded, refuse_in_use, running, without_record};
use super::upload::remove_folder;
use super::{PatchRecord, Site, internal, lock};
use crate::XeError;

/// Removes the files of a hotfix; its record stays. What the host runs does not need them.
pub fn clean(site: &Site<'_>, uuid: &str) -> Result<(), XeError> {
    let _lock = lock(site.system, site.places, "patch-clean")?;
    match PatchRecord::find(site.system, site.places, uuid) {
        Ok(mut record) => remove_files(site, &mut record),
        // It came with the installation, and so without files.
        Err(_) if running(site, uuid).is_some() => Ok(()),
        Err(error) => Err(error),
    }
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

/// Forgets a hotfix. Refused for one that the host runs, is about to try, or may have to go back to.
pub fn destroy(site: &Site<'_>, uuid: &str) -> Result<(), XeError> {
    let _lock = lock(site.system, site.places, "patch-destroy")?;
    let mut record = PatchRecord::find(site.system, site.places, uuid)
        .map_err(|error| without_record(site, uuid, error, Unrecorded::Destroy))?;
    refuse_in_use(site, &record)?;
    remove_files(site, &mut record)?;
    site.system
        .remove_file(&site.places.record(&record.uuid))
        .map_err(|e| internal(&e))
}
