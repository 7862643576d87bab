//! What ran and could be reached before a new release is tried: what the try is held to.
//!
//! A guest that its administrator broke, or a disk that died, must not make a good release fall back; a release that cannot
//! start the guests of this host must. So what is compared is this host with itself, before and after.

use super::storage;
use crate::XeError;
use crate::guest::libvirt;
use crate::hotfix::Places;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use steps::System;

/// Where libvirt's Xen driver keeps definitions, as `NAME.xml`. It writes one when it is defined, and not by itself.
const DEFINITIONS: &str = "/etc/libvirt/libxl";
/// Schema of the file.
const SCHEMA: u32 = 1;

/// A guest that started with the host and ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestBefore {
    /// Its name.
    pub name: String,
    /// SHA-256 of its definition as libvirt keeps it.
    pub definition: String,
}

/// What was well when a release was written and its try arranged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// Schema of this document: 1.
    pub schema: u32,
    /// Short name of the root that is to be tried.
    pub root_id: String,
    /// By UUID: guests that are set to start with the host, and that ran.
    pub guests: BTreeMap<String, GuestBefore>,
    /// Volume groups of the storage repositories that could be reached with all of their disks.
    pub repositories: BTreeSet<String>,
}

fn file(places: &Places) -> PathBuf {
    places.store.join("trial/before.json")
}

impl Baseline {
    /// What is well now, before the root `root_id` is tried. What could not be found out is in the second value, in words, and
    /// is not held against that root.
    pub fn now(system: &dyn System, root_id: &str) -> (Baseline, Vec<String>) {
        let mut unknown = Vec::new();
        let mut note = |what: &str, error: XeError| {
            unknown.push(format!(
                "{what}, so that the new release is not held to it: {}",
                error.message
            ));
        };
        let guests = started(system)
            .map_err(|e| note("it is not known which guests run", e))
            .unwrap_or_default();
        let repositories = storage::reachable(system)
            .map_err(|e| note("it is not known which storage repositories are there", e))
            .unwrap_or_default();
        let baseline = Baseline {
            schema: SCHEMA,
            root_id: root_id.to_owned(),
            guests,
            repositories,
        };
        (baseline, unknown)
    }

    /// Keeps it until the next one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, system: &dyn System, places: &Places) -> Result<(), XeError> {
        let path = file(places);
        let json = serde_json::to_vec_pretty(self).map_err(|e| XeError::system(&e))?;
        if let Some(folder) = path.parent() {
            system
                .create_dir_all(folder)
                .map_err(|e| XeError::system(&e))?;
        }
        system
            .write_file(&path, &json, 0o644)
            .map_err(|e| XeError::system(&e))
    }

    /// What the root `root_id` is held to; none where nothing is known about it.
    pub fn of(system: &dyn System, places: &Places, root_id: &str) -> Option<Baseline> {
        let bytes = system.read_file(&file(places)).ok()?;
        let baseline: Baseline = serde_json::from_slice(&bytes).ok()?;
        (baseline.schema == SCHEMA && baseline.root_id == root_id).then_some(baseline)
    }
}

/// Guests that start with the host, and run.
fn started(system: &dyn System) -> Result<BTreeMap<String, GuestBefore>, XeError> {
    let running = libvirt::named(system, &["--autostart"])?;
    let guest = |(uuid, name): (String, String)| {
        let definition = definition(system, &name)?;
        Some((uuid, GuestBefore { name, definition }))
    };
    // One whose definition is not found is held against nobody.
    Ok(running.into_iter().filter_map(guest).collect())
}

/// SHA-256 of the definition of the guest with this name; none where libvirt keeps none.
pub(super) fn definition(system: &dyn System, name: &str) -> Option<String> {
    let path = Path::new(DEFINITIONS).join(format!("{name}.xml"));
    let bytes = system.read_file(&path).ok()?;
    Some(hex::encode(Sha256::digest(bytes)))
}
