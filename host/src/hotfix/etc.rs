//! /etc has an upper folder for each release. The initrd makes that of a new release from the one it is told here, at the
//! first start: so that what is changed between applying and restarting comes along, and a try that is broken off begins
//! anew.

use super::{Site, internal};
use crate::XeError;
use release::beside::{self, remove_folder};
use slots::boot_state::is_id;
use std::path::{Path, PathBuf};
use steps::Command;

/// What a release has in /etc.
const UPPER: &str = "upper";

/// What that was, where the next start shall begin with the settings of another release. Of each release one of both is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// Its own settings, from when it was good.
    Own,
    /// What a try left that failed.
    Tried,
}

impl Kept {
    /// The name of the folder, beside that of what it has.
    fn name(self) -> &'static str {
        match self {
            Kept::Own => "upper.own",
            Kept::Tried => "upper.tried",
        }
    }
}

fn folder(site: &Site<'_>, id: &str) -> Option<PathBuf> {
    is_id(id).then(|| site.places.etc.join(id))
}

/// Has the /etc of root `new` start as that of root `from` is by then. For a slot that was just written.
pub(super) fn inherit(site: &Site<'_>, new: &str, from: &str) -> Result<(), XeError> {
    beside::inherit_etc(site.system, &site.places.etc, new, from).map_err(|e| internal(e.as_ref()))
}

/// Has the /etc of root `id` start as that of root `from` is by then. What it has now is kept beside it, as what it is.
///
/// At a power cut between any two of its steps the root has the one or the other, and never none.
pub(super) fn renew(site: &Site<'_>, id: &str, from: &str, what: Kept) -> Result<(), XeError> {
    let Some(dir) = folder(site, id) else {
        return Ok(());
    };
    // The initrd looks at the note only where there is no upper folder.
    site.system
        .create_dir_all(&dir)
        .and_then(|()| beside::name_source(site.system, &dir, from))
        .map_err(|e| internal(&e))?;
    if !site.system.exists(&dir.join(UPPER)) {
        return Ok(());
    }
    let kept = dir.join(what.name());
    remove_folder(site.system, &kept).map_err(|e| internal(&e))?;
    rename(site, &dir.join(UPPER), &kept)
}

/// Has root `id` start with the /etc that it had itself: as it is, or as it was kept. False where there is neither.
pub(super) fn restore(site: &Site<'_>, id: &str) -> Result<bool, XeError> {
    let Some(dir) = folder(site, id) else {
        return Ok(false);
    };
    if site.system.exists(&dir.join(UPPER)) {
        return Ok(true);
    }
    let kept = dir.join(Kept::Own.name());
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
