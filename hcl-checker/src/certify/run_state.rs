//! The state file: what a run did and what it has changed, so that it can go on after Ctrl-C, a restart or a power cut.

use super::{Change, Evidence, Options, Surroundings, TestResult};
use crate::facts::Facts;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use steps::System;
use steps::system::FileError;
use thiserror::Error;

/// Version of the file. It rises when an older program would misread it.
pub const SCHEMA: u32 = 1;
/// Its name in the folder of the run.
const NAME: &str = "state.json";

/// A run, as far as it got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunState {
    /// Version of the form, by the program that wrote it.
    pub schema: u32,
    /// What was asked for.
    pub options: Options,
    /// The machine when the run began.
    pub facts: Facts,
    /// What the plan found around it.
    pub surroundings: Surroundings,
    /// What the one who asked for the report wants to see in it, or a random number.
    pub nonce: String,
    /// When it began, seconds since 1970.
    pub started: u64,
    /// What came of the tests so far, in their order.
    pub results: Vec<TestResult>,
    /// Evidence so far.
    pub evidence: Vec<Evidence>,
    /// What is changed now and must be undone, in the order in which it was changed.
    pub changes: Vec<Change>,
    /// The test that restarts the machine, while it does.
    pub waiting: Option<Waiting>,
    /// How the report is made when all is done.
    pub signing: Signing,
}

/// How the report is made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signing {
    /// File of the private key.
    pub key: PathBuf,
    /// Serial numbers stay in it.
    pub with_serials: bool,
    /// Modules folder of the kernel to judge by; none for that of the release.
    pub modules: Option<PathBuf>,
}

/// A test that goes on after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// Id of the test.
    pub test: String,
    /// `/proc/sys/kernel/random/boot_id` before.
    pub boot_id: String,
    /// When it was started, seconds since 1970.
    pub since: u64,
    /// Dumps that were there before, by path.
    pub dumps: Vec<String>,
}

/// The state file cannot be used.
#[derive(Debug, Error)]
pub enum StateError {
    /// It cannot be read or written.
    #[error("{error}: {}", error.source)]
    File {
        /// What failed.
        error: FileError,
    },
    /// It is damaged.
    #[error(
        "{path}: this is no state of a certification ({source}); name another folder with --out"
    )]
    Json {
        /// Which file.
        path: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Another program version wrote it.
    #[error(
        "{path}: written by a version of schema {found}, this one has {SCHEMA}; finish the run with that version"
    )]
    Schema {
        /// Which file.
        path: String,
        /// What it says.
        found: u32,
    },
}

impl From<FileError> for StateError {
    fn from(error: FileError) -> Self {
        Self::File { error }
    }
}

impl RunState {
    /// A run that begins.
    pub fn begin(
        options: Options,
        facts: Facts,
        surroundings: Surroundings,
        nonce: String,
        started: u64,
    ) -> Self {
        Self {
            schema: SCHEMA,
            options,
            facts,
            surroundings,
            nonce,
            started,
            results: Vec::new(),
            evidence: Vec::new(),
            changes: Vec::new(),
            waiting: None,
            signing: Signing::default(),
        }
    }

    /// Whether there is a run in `folder`.
    pub fn exists(system: &dyn System, folder: &Path) -> bool {
        system.exists(&folder.join(NAME))
    }

    /// Reads the run in `folder`.
    ///
    /// # Errors
    /// There is none, it is damaged, or another version wrote it.
    pub fn load(system: &dyn System, folder: &Path) -> Result<Self, StateError> {
        let path = folder.join(NAME);
        let bytes = system.read_file(&path)?;
        let path = path.display().to_string();
        let json = |source| StateError::Json {
            path: path.clone(),
            source,
        };
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(json)?;
        let found = value.get("schema").and_then(serde_json::Value::as_u64);
        match found {
            Some(found) if found != u64::from(SCHEMA) => Err(StateError::Schema {
                path,
                found: u32::try_from(found).unwrap_or(u32::MAX),
            }),
            _ => serde_json::from_value(value).map_err(json),
        }
    }

    /// Writes it, durably, before anything that depends on it is done.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, system: &dyn System, folder: &Path) -> Result<(), StateError> {
        let path = folder.join(NAME);
        // It holds serial numbers: for its owner only.
        let json = serde_json::to_vec_pretty(self).map_err(|source| StateError::Json {
            path: path.display().to_string(),
            source,
        })?;
        Ok(system.write_file(&path, &json, 0o600)?)
    }

    /// What came of a test, if it is done.
    pub fn result(&self, id: &str) -> Option<&TestResult> {
        self.results.iter().find(|result| result.id == id)
    }
}
