//! /etc has an upper folder for each release. The initrd makes that of a new release from the one it is told here, at the
//! first start: so that what is changed between applying and restarting comes along, and a try that is broken off begins
//! anew.

use super::upload::no_room;
use super::{Site, internal};
use crate::XeError;
use release::beside::{self, remove_folder};
use slots::boot_state::is_id;
use std::path::{Path, PathBuf};
use steps::Command;

/// What a release has in /etc.
const UPPER: &str = "upper";
/// In it: the definitions of guests.
const GUESTS: &str = "libvirt/libxl";

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

/// What root `id` has in /etc; none where it has nothing of its own.
pub(super) fn current(site: &Site<'_>, id: &str) -> Option<PathBuf> {
    let upper = folder(site, id)?.join(UPPER);
    site.system.exists(&upper).then_some(upper)
}

/// The /etc that root `id` had when it ran last: as it is, or as it was kept. What a try left is that only where its own settings were
/// taken for it, and are nowhere else.
pub(super) fn own(site: &Site<'_>, id: &str) -> Option<PathBuf> {
    let dir = folder(site, id)?;
    [UPPER, Kept::Own.name(), Kept::Tried.name()]
        .into_iter()
        .map(|name| dir.join(name))
        .find(|path| site.system.exists(path))
}

/// Has root `id` start with its [`own`] /etc, where it has one.
pub(super) fn restore(site: &Site<'_>, id: &str) -> Result<(), XeError> {
    match (folder(site, id), own(site, id)) {
        (Some(dir), Some(path)) if path != dir.join(UPPER) => rename(site, &path, &dir.join(UPPER)),
        _ => Ok(()),
    }
}

fn rename(site: &Site<'_>, from: &Path, to: &Path) -> Result<(), XeError> {
    site.system.move_file(from, to).map_err(|e| internal(&e))
}

/// Refuses where the file system of the host has no room for a copy of `upper`: the start that makes it would fail.
pub(super) fn require_room(site: &Site<'_>, upper: &Path) -> Result<(), XeError> {
    let du = Command::new("du").args(["--summarize", "--block-size=1", "--one-file-system", "--"]);
    let output = site
        .system
        .run(&du.arg(upper))
        .map_err(|e| internal(&e))?
        .text();
    let size = output
        .split_whitespace()
        .next()
        .and_then(|n| n.parse().ok());
    let need = size.ok_or_else(|| {
        XeError::failure(
            "INTERNAL_ERROR",
            format!("du does not say how large {} is", upper.display()),
        )
    })?;
    let free = site
        .machine
        .free_space(&site.places.etc)
        .map_err(|e| internal(&e))?;
    no_room(site, "a copy of the settings in /etc", need, free).map_or(Ok(()), Err)
}

/// Names of the guests that are defined in the /etc `upper`.
pub(super) fn guests(site: &Site<'_>, upper: &Path) -> Vec<String> {
    let dir = upper.join(GUESTS);
    let names = site.system.list_dir(&dir).unwrap_or_default();
    // What was removed under a release is there as a device that cannot be read.
    let is_there = |name: &&String| site.system.read_file(&dir.join(name)).is_ok();
    names
        .iter()
        .filter(is_there)
        .filter_map(|name| name.strip_suffix(".xml"))
        .map(str::to_owned)
        .collect()
}
