//! Replacing a file on an ESP, so that a power cut at any moment leaves the old one or the new one whole.
//!
//! FAT has no journal. What is atomic on it is one sector, and a folder's entry (32 bytes) lies within one. So the new file is
//! written beside the old one, synced and read back, and then takes over the entry: Linux gives the first cluster and the size to the
//! entry of the old name in one go (`vfat_rename` in `fs/fat/namei_vfat.c`) and removes that of the new name, which is in the same
//! sector of a folder of ours. [`steps::System::move_file`] keeps the clusters of the old file until that is on the disk. What is
//! *not* atomic: where the two entries are in different sectors, a power cut between them leaves both names for the same
//! clusters. The file is whole then, but removing the other name would free its clusters; so that is never done here.

use crate::error::chain;
use crate::hotfix::Site;
use slots::block::Access;
use std::path::{Path, PathBuf};

/// Bytes that stay free on the ESP beside what is written: folders grow by clusters.
const MARGIN: u64 = 1 << 20;
/// What is at the end of the name of a file that is not in its place yet; 8.3, so that its entry is short.
const EXTENSION: &str = "new";

/// The name beside `path` that its successor is written to.
pub(super) fn beside(path: &Path) -> PathBuf {
    path.with_extension(EXTENSION)
}

/// Puts a file with these bytes at `file` below `esp`.
///
/// # Errors
/// In words. The old file is there still.
pub(super) fn replace(site: &Site<'_>, esp: &Path, file: &str, bytes: &[u8]) -> Result<(), String> {
    let (system, path) = (site.system, esp.join(file));
    let new = beside(&path);
    let wrong = |error: &(dyn std::error::Error + 'static)| chain(error);
    let same_clusters = || {
        let old = system.read_file(&path);
        system.exists(&new)
            && old.is_ok_and(|old| system.read_file(&new).is_ok_and(|new| new == old))
    };
    if same_clusters() {
        return Err(format!(
            "{} and {} are one file by two names, as a power cut can leave them on FAT, and so neither is changed; unmount the ESP and \
             have `fsck.vfat -a` put that right",
            path.display(),
            new.display()
        ));
    }
    let free = site
        .machine
        .free_space(esp)
        .map_err(|error| format!("the free space of {} is not known: {error}", esp.display()))?;
    let need = bytes.len() as u64 + MARGIN;
    if free < need {
        return Err(format!(
            "{} has {free} bytes free and {need} are needed; remove what is not Bedplate's from it",
            esp.display()
        ));
    }
    if let Some(folder) = path.parent().filter(|folder| !system.exists(folder)) {
        system.create_dir_all(folder).map_err(|e| wrong(&e))?;
    }
    system
        .write_new(&new, bytes, 0o600)
        .and_then(|()| system.sync(&new))
        .map_err(|e| wrong(&e))?;
    if let Err(problem) = holds(site, &new, bytes) {
        // It has clusters of its own. That it stays would do no harm.
        let _ = system.remove_file(&new);
        return Err(problem);
    }
    system
        .move_file(&new, &path)
        .and_then(|()| system.sync(&path))
        .map_err(|e| wrong(&e))?;
    holds(site, &path, bytes)
}

/// Whether the disk itself, and not its cache in memory, holds these bytes.
fn holds(site: &Site<'_>, path: &Path, bytes: &[u8]) -> Result<(), String> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        format!("{} cannot be read back: {}", path.display(), chain(error))
    };
    let mut file = site
        .machine
        .open(path, Access::ReadOnly)
        .map_err(|e| failed(&e))?;
    let size = file.size();
    let mut back = vec![0; bytes.len()];
    if size == bytes.len() as u64 {
        file.drop_cache(0, size)
            .and_then(|()| file.read_at(0, &mut back))
            .map_err(|e| failed(&e))?;
    }
    if size == bytes.len() as u64 && back == bytes {
        return Ok(());
    }
    Err(format!(
        "{} reads back otherwise than it was written: the disk is not to be trusted, replace it",
        path.display()
    ))
}
