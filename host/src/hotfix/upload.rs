//! Taking a hotfix file in.

use super::seen;
use super::standing::state_at_upload;
use super::{PatchRecord, Site, internal, lock, patch_uuid};
use crate::XeError;
use crate::error::chain;
use release::{Guidance, HotfixInfo, HotfixKind, OpenRelease, Policy, unpack_hotfix};
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

/// Left free on the file system of the host, in bytes: logs and guests' definitions live there, too.
const RESERVE: u64 = 64 * 1024 * 1024;

/// Verifies the hotfix file at `path` and keeps what is in it. Returns its record.
///
/// Whatever goes wrong, nothing is left of it, and nothing that was there before is touched.
pub fn upload(site: &Site<'_>, path: &Path) -> Result<PatchRecord, XeError> {
    let _lock = lock(site.system, site.places, "patch-upload")?;
    let unreadable = |source: io::Error| {
        XeError::failure(
            "INVALID_PATCH",
            format!(
                "The hotfix file {} cannot be read: {source}.",
                path.display()
            ),
        )
    };
    let file = File::open(path).map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    if !meta.is_file() {
        return Err(unreadable(io::Error::other("it is no regular file")));
    }
    remove_strays(site)?;
    require_room(site, meta.len())?;
    let folder = free_name(site);
    let dir = site.places.store.join(&folder);
    let taken = take(site, BufReader::new(file), meta.len(), &folder, &dir);
    if taken.is_err() {
        // The first error is the one to tell; what stays is removed at the next upload.
        let _ = remove_folder(site, &dir);
    }
    taken
}

/// A name that no folder has. The lock sees to it that nobody else takes it meanwhile.
fn free_name(site: &Site<'_>) -> String {
    let mut number = 0u64;
    loop {
        let name = format!("files-{number}");
        if !site.system.exists(&site.places.store.join(&name)) {
            return name;
        }
        number += 1;
    }
}

fn take(
    site: &Site<'_>,
    mut file: impl io::Read,
    size: u64,
    folder: &str,
    dir: &Path,
) -> Result<PatchRecord, XeError> {
    let system = site.system;
    let trusted_root = system
        .read_file(&site.places.trusted_root)
        .map_err(|e| internal(&e))?;
    let datastore = seen::datastore(system, site.places, dir)?;
    let release = unpack_hotfix(
        &mut file,
        &dir.join("repository"),
        &trusted_root,
        &Policy::hotfix(datastore),
    )
    .map_err(|error| match error {
        release::Error::Io { ref source, .. } if source.kind() == io::ErrorKind::StorageFull => {
            out_of_space(site, size, free(site).unwrap_or(0))
        }
        release::Error::Io { .. } => internal(&error),
        error => XeError::failure("INVALID_PATCH", chain(&error)),
    })?;
    let info = release.hotfix.clone().ok_or_else(|| {
        XeError::failure(
            "INVALID_PATCH",
            "The file holds a release, and nothing in it says that it is a hotfix.",
        )
    })?;
    let record = PatchRecord::uploaded(&release.manifest, info, size, folder.to_owned(), site.now);
    keep(site, record)
}

/// Keeps the record of files that are in the store.
fn keep(site: &Site<'_>, record: PatchRecord) -> Result<PatchRecord, XeError> {
    let system = site.system;
    let known = PatchRecord::all(system, site.places)?
        .into_iter()
        .find(|known| known.uuid == record.uuid);
    match known {
        Some(known) if known.folder.is_some() => Err(XeError::failure(
            "PATCH_ALREADY_EXISTS",
            format!(
                "{} was uploaded already, and is {}; `xe patch-apply` applies what is not applied.",
                known.root.version,
                known.state.name()
            ),
        )
        .with("uuid", known.uuid)),
        // Its files were cleaned: they are there again, and what happened to it stays.
        Some(mut known) => {
            known.folder = record.folder;
            known.size = record.size;
            known.save(system, site.places)?;
            Ok(known)
        }
        None => {
            let state = state_at_upload(site, &record.root);
            let record = PatchRecord { state, ..record };
            record.save(system, site.places)?;
            Ok(record)
        }
    }
}

/// Takes in a release that was fetched into `folder` of the store, verified: from now on it is a hotfix like every other.
pub(crate) fn take_fetched(
    site: &Site<'_>,
    release: &OpenRelease,
    folder: &str,
    size: u64,
) -> Result<PatchRecord, XeError> {
    let _lock = lock(site.system, site.places, "host-update")?;
    let uuid = patch_uuid(&release.manifest.root.verity.root_hash);
    let known = PatchRecord::all(site.system, site.places)?;
    if let Some(known) = known
        .into_iter()
        .find(|known| known.uuid == uuid && known.folder.is_some())
    {
        // Somebody uploaded it meanwhile.
        remove_folder(site, &site.places.store.join(folder))?;
        return Ok(known);
    }
    let info = release.hotfix.clone().unwrap_or(HotfixInfo {
        kind: HotfixKind::Feature,
        notes: String::new(),
        cves: Vec::new(),
        guidance: Guidance::RestartHost,
    });
    let folder = folder.to_owned();
    keep(
        site,
        PatchRecord::uploaded(&release.manifest, info, size, folder, site.now),
    )
}

/// Refuses where `need` bytes would not leave room enough in the store; the error says what to clean.
pub(crate) fn require_room(site: &Site<'_>, need: u64) -> Result<(), XeError> {
    let free = free(site)?;
    no_room(site, "the hotfix", need, free).map_or(Ok(()), Err)
}

/// The error where `need` bytes for `what` would not leave room enough of the `free` ones.
pub(super) fn no_room(site: &Site<'_>, what: &str, need: u64, free: u64) -> Option<XeError> {
    (need.saturating_add(RESERVE) > free).then(|| says_what_to_clean(site, what, need, free))
}

pub(crate) fn free(site: &Site<'_>) -> Result<u64, XeError> {
    let store = &site.places.store;
    site.system
        .create_dir_all(store)
        .map_err(|e| internal(&e))?;
    site.machine.free_space(store).map_err(|e| internal(&e))
}

/// Says what to clean.
pub(crate) fn out_of_space(site: &Site<'_>, need: u64, free: u64) -> XeError {
    says_what_to_clean(site, "the hotfix", need, free)
}

fn says_what_to_clean(site: &Site<'_>, what: &str, need: u64, free: u64) -> XeError {
    let records = PatchRecord::all(site.system, site.places).unwrap_or_default();
    let kept: Vec<_> = records
        .iter()
        .filter(|record| record.folder.is_some())
        .map(|record| {
            format!(
                "xe patch-clean uuid={} ({} MB of {})",
                record.uuid,
                record.size / 1_000_000,
                record.root.version
            )
        })
        .collect();
    let advice = match kept.is_empty() {
        true => "no hotfix is kept that could be cleaned; look for what else fills /var (`du -xh -d 3 /var | sort -h`)"
            .to_owned(),
        false => kept.join(", "),
    };
    XeError::failure(
        "OUT_OF_SPACE",
        format!("There is no room for {what}; nothing was changed. Clean what is not needed any more, and try again."),
    )
    .with("required", need.saturating_add(RESERVE).to_string())
    .with("free", free.to_string())
    .with("clean", advice)
}

/// Removes folders that no record names: a power cut came while they were filled.
fn remove_strays(site: &Site<'_>) -> Result<(), XeError> {
    let store = &site.places.store;
    if !site.system.exists(store) {
        return Ok(());
    }
    let kept: Vec<_> = PatchRecord::all(site.system, site.places)?
        .into_iter()
        .filter_map(|record| record.folder)
        .collect();
    let names = site.system.list_dir(store).map_err(|e| internal(&e))?;
    for name in names {
        if name.starts_with("files-") && !kept.contains(&name) {
            remove_folder(site, &store.join(name))?;
        }
    }
    Ok(())
}

/// Removes a folder with all that is in it; one that does not exist is no error.
pub(crate) fn remove_folder(site: &Site<'_>, dir: &Path) -> Result<(), XeError> {
    release::beside::remove_folder(site.system, dir).map_err(|e| internal(&e))
}
