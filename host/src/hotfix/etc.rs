//! /etc has an upper folder for each release. The initrd makes that of a new release from the one it is told here, at the
//! first start: so that what is changed between applying and restarting comes along, and a try that is broken off begins
//! anew.

use super::{Site, internal};
use crate::XeError;
use release::beside::{self, remove_folder};
use slots::boot_state::is_id;
use slots::names::ETC_FROM;
use std::path::{Path, PathBuf};
use steps::Command;

/// What a release had in /etc before its next start shall begin with that of another one. One of each release is kept.
const KEPT: &str = "upper.kept";
/// What it has.
const UPPER: &str = "upper";

fn folder(site: &Site<'_>, id: &str) -> Option<PathBuf> {
    is_id(id).then(|| site.places.etc.join(id))
}

/// Has the /etc of root `new` start as that of root `from` is by then. For a slot that was just written.
pub(super) fn inherit(site: &Site<'_>, new: &str, from: &str) -> Result<(), XeError> {
    beside::inherit_etc(site.system, &site.places.etc, new, from).map_err(|e| internal(e.as_ref()))
}

/// Has the /etc of root `id` start as that of root `from` is by then. What it has now is kept beside it. Returns where; none
/// where it has nothing of its own.
///
/// At a power cut between any two of its steps the root has the one or the other, and never none.
pub(super) fn renew(site: &Site<'_>, id: &str, from: &str) -> Result<Option<PathBuf>, XeError> {
    let Some(dir) = folder(site, id) else {
        return Ok(None);
    };
    // The initrd looks at the note only where there is no upper folder.
    site.system
        .create_dir_all(&dir)
        .and_then(|()| {
            site.system
                .write_file(&dir.join(ETC_FROM), format!("{from}\n").as_bytes(), 0o644)
        })
        .map_err(|e| internal(&e))?;
    if !site.system.exists(&dir.join(UPPER)) {
        return Ok(None);
    }
    let kept = dir.join(KEPT);
    remove_folder(site.system, &kept).map_err(|e| internal(&e))?;
    rename(site, &dir.join(UPPER), &kept)?;
    Ok(Some(kept))
}

/// Has root `id` start with the /etc that it had itself: as it is, or as it was kept. False where there is neither.
pub(super) fn restore(site: &Site<'_>, id: &str) -> Result<bool, XeError> {
    let Some(dir) = folder(site, id) else {
        return Ok(false);
    };
    if site.system.exists(&dir.join(UPPER)) {
        return Ok(true);
    }
    let kept = dir.join(KEPT);
    if !site.system.exists(&kept) {
        return Ok(false);
    }
    rename(site, &kept, &dir.join(UPPER))?;
    Ok(true)
}

fn rename(site: &Site<'_>, from: &Path, to: &Path) -> Result<(), XeError> {
    let mv = Command::new("mv").arg("--no-target-directory").arg("--");
    site.system
        .run(&mv.arg(from).arg(to))
        .map(drop)
        .map_err(|e| internal(&e))
}
