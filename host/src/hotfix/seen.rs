//! The newest release that was good on this host: what is older is refused as a rollback.
//!
//! Only what was good counts. A release that failed here must not keep the host from the one before it, and nothing that is
//! merely shown to the host may ever lock it out of what follows.

use super::{Places, internal};
use crate::XeError;
use std::path::Path;
use steps::System;

/// What the TUF client remembers beside metadata: the time of its last run. Not kept: a file in the operator's hand is
/// accepted whatever the clock of the host says.
const CLOCK: &str = "latest_known_time.json";
/// The timestamp of a repository on the network is signed anew every week, and its version is the time of that: a release that was
/// made before, and comes as a file, would be refused. Which release is newer is in the other metadata.
const TIMESTAMP: &str = "timestamp.json";

/// Copies the metadata in `from` to `to`, which is created. Where there is none, there is nothing to remember.
pub(super) fn copy(system: &dyn System, from: &Path, to: &Path) -> Result<(), XeError> {
    let run = || {
        system.create_dir_all(to)?;
        if !system.exists(from) {
            return Ok(());
        }
        for name in system.list_dir(from)? {
            if name != CLOCK && name != TIMESTAMP && name.ends_with(".json") {
                system.copy_file(&from.join(&name), &to.join(&name), 0o600)?;
            }
        }
        Ok(())
    };
    run().map_err(|e: steps::system::FileError| internal(&e))
}

/// The datastore to open a hotfix with, in its own folder: what was good, and what this release adds to that.
pub(super) fn datastore(
    system: &dyn System,
    places: &Places,
    folder: &Path,
) -> Result<std::path::PathBuf, XeError> {
    let own = folder.join("seen");
    for name in system.list_dir(&own).unwrap_or_default() {
        system
            .remove_file(&own.join(name))
            .map_err(|e| internal(&e))?;
    }
    copy(system, &places.seen(), &own)?;
    Ok(own)
}
