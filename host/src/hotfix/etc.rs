//! /etc has an upper folder for each release. The initrd makes that of a new release from the one it is told here, at the
//! first start: so that what is changed between applying and restarting comes along, and a try that is broken off begins
//! anew.

use super::upload::remove_folder;
use super::{Site, internal};
use crate::XeError;
use release::beside;
use slots::boot_state::is_id;
use std::path::PathBuf;

fn folder(site: &Site<'_>, id: &str) -> Option<PathBuf> {
    is_id(id).then(|| site.places.etc.join(id))
}

/// Has the /etc of root `new` start as that of root `from` is by then.
pub(super) fn inherit(site: &Site<'_>, new: &str, from: &str) -> Result<(), XeError> {
    beside::inherit_etc(site.system, &site.places.etc, new, from).map_err(|e| internal(e.as_ref()))
}

/// Forgets what was changed in /etc under root `id`.
pub(super) fn discard(site: &Site<'_>, id: &str) -> Result<(), XeError> {
    match folder(site, id) {
        Some(dir) => remove_folder(site, &dir),
        None => Ok(()),
    }
}

/// True where root `id` has an /etc of its own.
pub(super) fn exists(site: &Site<'_>, id: &str) -> bool {
    folder(site, id).is_some_and(|dir| site.system.exists(&dir.join("upper")))
}
