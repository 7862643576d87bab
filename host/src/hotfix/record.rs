//! What is known about a hotfix: kept when its files are removed, and what `xe patch-list` shows.

use super::{Places, internal};
use crate::XeError;
use release::{HotfixInfo, Manifest};
use serde::{Deserialize, Serialize};
use slots::RootIdentity;
use steps::System;
use uuid::Uuid;

/// How far a hotfix is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PatchState {
    /// Verified and kept; nothing else happened.
    Uploaded,
    /// It is being written, or was when the power went: applying it again finishes.
    Applying,
    /// Written and verified; the next start of the host tries it.
    RestartNeeded,
    /// It came up, and is what the host runs.
    Applied,
    /// It came up once, and a newer one took its place.
    Superseded,
    /// It did not come up, and the host went back.
    Failed,
    /// Somebody went back from it by hand.
    RolledBack,
}

impl PatchState {
    /// As `xe` prints it.
    pub fn name(self) -> &'static str {
        match self {
            PatchState::Uploaded => "uploaded",
            PatchState::Applying => "applying",
            PatchState::RestartNeeded => "restart-needed",
            PatchState::Applied => "applied",
            PatchState::Superseded => "superseded",
            PatchState::Failed => "failed",
            PatchState::RolledBack => "rolled-back",
        }
    }
}

/// Schema of the record.
const SCHEMA: u32 = 1;

/// The record of a hotfix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchRecord {
    /// Schema of this document: 1.
    pub schema: u32,
    /// Its UUID; see [`patch_uuid`].
    pub uuid: String,
    /// The root that it brings.
    pub root: RootIdentity,
    /// What its maker says.
    pub info: HotfixInfo,
    /// Bytes of the file that was uploaded.
    pub size: u64,
    /// Name of the folder in the store that holds its files; none after they were cleaned.
    pub folder: Option<String>,
    /// How far it is.
    pub state: PatchState,
    /// Why it is in that state, where there is something to say.
    pub reason: String,
    /// When it came into that state, in seconds since 1970.
    pub changed: u64,
}

/// The UUID of the release with this root hash: the same on every host, so that a script knows what it looks for.
pub fn patch_uuid(root_hash: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, root_hash.as_bytes()).to_string()
}

impl PatchRecord {
    /// Of a release that was just verified.
    pub(super) fn uploaded(
        manifest: &Manifest,
        info: HotfixInfo,
        size: u64,
        folder: String,
        now: u64,
    ) -> Self {
        PatchRecord {
            schema: SCHEMA,
            uuid: patch_uuid(&manifest.root.verity.root_hash),
            root: manifest.root.clone(),
            info,
            size,
            folder: Some(folder),
            state: PatchState::Uploaded,
            reason: String::new(),
            changed: now,
        }
    }

    /// In another state.
    pub(super) fn become_state(&mut self, state: PatchState, reason: impl Into<String>, now: u64) {
        self.state = state;
        self.reason = reason.into();
        self.changed = now;
    }

    /// Writes it.
    pub(super) fn save(&self, system: &dyn System, places: &Places) -> Result<(), XeError> {
        let json = serde_json::to_vec_pretty(self).map_err(|e| internal(&e))?;
        system
            .create_dir_all(&places.store)
            .and_then(|()| system.write_file(&places.record(&self.uuid), &json, 0o644))
            .map_err(|e| internal(&e))
    }

    /// The record with that UUID.
    pub fn find(system: &dyn System, places: &Places, uuid: &str) -> Result<Self, XeError> {
        let unknown = || {
            XeError::failure(
                "CANNOT_FIND_PATCH",
                "There is no hotfix with that uuid; `xe patch-list` shows those that were uploaded.",
            )
            .with("uuid", uuid)
        };
        // Also keeps a path out of the name.
        Uuid::parse_str(uuid).map_err(|_| unknown())?;
        let all = Self::all(system, places)?;
        all.into_iter()
            .find(|record| record.uuid == uuid.to_lowercase())
            .ok_or_else(unknown)
    }

    /// All of them, the oldest change first. What cannot be understood is left out: a damaged record must not hide the
    /// others.
    pub fn all(system: &dyn System, places: &Places) -> Result<Vec<Self>, XeError> {
        if !system.exists(&places.store) {
            return Ok(Vec::new());
        }
        let names = system.list_dir(&places.store).map_err(|e| internal(&e))?;
        let mut records: Vec<PatchRecord> = names
            .iter()
            .filter(|name| name.ends_with(".json"))
            .filter_map(|name| {
                let json = system.read_file(&places.store.join(name)).ok()?;
                serde_json::from_slice::<PatchRecord>(&json).ok()
            })
            .filter(|record| record.schema == SCHEMA)
            .collect();
        records.sort_by(|a, b| (a.changed, &a.uuid).cmp(&(b.changed, &b.uuid)));
        Ok(records)
    }
}
