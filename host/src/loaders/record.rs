//! What was done with the boot loaders, and what comes next: kept on the state partition, and what `xe` shows.

use crate::clock;
use crate::error::chain;
use crate::record::Value;
use serde::{Deserialize, Serialize};
use slots::names::{LOADER_RECORD, STATE_MOUNT};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use steps::System;

/// Field of hosts: the boot loaders on its disks.
pub const BOOT_LOADERS: &str = "boot-loaders";
/// Schema of the file.
const SCHEMA: u32 = 1;
/// Changes that are kept: those of some years.
const KEPT: usize = 32;

/// How they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nobody looked yet.
    #[default]
    Unknown,
    /// As the running release brings them.
    Current,
    /// Something comes later, by itself.
    Pending,
    /// Somebody has to look.
    Held,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Unknown => "unknown",
            State::Current => "current",
            State::Pending => "pending",
            State::Held => "held",
        }
    }
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// When, in seconds since 1970.
    pub when: u64,
    /// By which release.
    pub release: String,
    /// Kernel name of the disk.
    pub disk: String,
    /// What.
    pub places: Vec<String>,
    /// False while it is being done, and where a power cut or an error came between.
    pub done: bool,
}

/// The record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LoaderRecord {
    /// Schema of this document: 1.
    pub schema: u32,
    /// The release that the loaders are of: the newest that wrote them, or that found them to be its own.
    pub release: Option<String>,
    /// The boot during which something was done last (`boot_id` of the kernel).
    pub boot: Option<String>,
    /// How often the firmware was asked to start the new loader, and has not.
    pub asked: u32,
    /// How they stand.
    pub state: State,
    /// Why, in a sentence.
    pub reason: String,
    /// What was written, the latest last.
    pub written: Vec<Written>,
}

fn path() -> PathBuf {
    Path::new(STATE_MOUNT).join(LOADER_RECORD)
}

impl LoaderRecord {
    /// Reads it; an empty one where there is none, or none that can be understood. Without it the loaders of the running release count
    /// as the newest.
    pub fn read(system: &dyn System) -> LoaderRecord {
        let json = system.read_file(&path()).ok();
        json.and_then(|json| serde_json::from_slice::<LoaderRecord>(&json).ok())
            .filter(|record| record.schema == SCHEMA)
            .unwrap_or(LoaderRecord {
                schema: SCHEMA,
                ..LoaderRecord::default()
            })
    }

    /// Writes it.
    ///
    /// # Errors
    /// In words.
    pub fn save(&self, system: &dyn System) -> Result<(), String> {
        let json = serde_json::to_vec_pretty(self).map_err(|e| chain(&e))?;
        system
            .write_file(&path(), &json, 0o644)
            .map_err(|e| chain(&e))
    }

    /// Notes what is about to be written.
    pub(super) fn begin(&mut self, written: Written, boot: &str) {
        self.release = Some(written.release.clone());
        self.boot = Some(boot.to_owned());
        self.written.push(written);
        let surplus = self.written.len().saturating_sub(KEPT);
        self.written.drain(..surplus);
    }

    /// Notes that it is.
    pub(super) fn end(&mut self) {
        if let Some(last) = self.written.last_mut() {
            last.done = true;
        }
    }
}

/// The value of [`BOOT_LOADERS`].
pub fn loader_map(system: &dyn System) -> Value {
    let record = LoaderRecord::read(system);
    let mut map = BTreeMap::from([("state".to_owned(), record.state.name().to_owned())]);
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            map.insert(name.to_owned(), value);
        }
    };
    put("reason", Some(record.reason.clone()));
    put("release", record.release.clone());
    if let Some(last) = record.written.last() {
        put("written", clock::shown(last.when));
        put("written-by", Some(last.release.clone()));
        put(
            "written-to",
            Some(format!("{}: {}", last.disk, last.places.join(" "))),
        );
    }
    Value::Map(map)
}
