//! Names, descriptions and notes that an administrator gave to things that have no place for them: the host, networks,
//! storage repositories, network interfaces.

use crate::XeError;
use crate::change::Change;
use crate::local::names_in;
use crate::locks;
use crate::record::{Field, Record, Value};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use steps::System;

/// Where they are kept: a file for each thing, so that two commands about two things do not undo each other.
pub const FOLDER: &str = "/var/lib/bedplate/xe/labels";

/// `name-label`, which can be changed.
pub const NAME_LABEL: Field = Field::listed("name-label").writable();
/// `name-description`, which can be changed.
pub const NAME_DESCRIPTION: Field = Field::listed("name-description").writable();
/// `other-config`: anything that scripts want to remember.
pub const OTHER_CONFIG: Field = Field::map("other-config").writable();
/// `tags`.
pub const TAGS: Field = Field::more_set("tags").writable();

/// What somebody said about one thing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Labels {
    /// Its name; absent: the one that it has by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_label: Option<String>,
    /// Its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_description: Option<String>,
    /// Notes of scripts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub other_config: BTreeMap<String, String>,
    /// Tags.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
}

impl Labels {
    /// Applies a change. False where the field is none of these.
    pub fn apply(&mut self, change: &Change) -> bool {
        match change {
            Change::Set("name-label", value) => self.name_label = Some(value.clone()),
            Change::Set("name-description", value) => self.name_description = Some(value.clone()),
            Change::Clear("name-label") => self.name_label = None,
            Change::Clear("name-description") => self.name_description = None,
            Change::SetKey("other-config", key, value) => {
                self.other_config.insert(key.clone(), value.clone());
            }
            Change::RemoveKey("other-config", key) => {
                self.other_config.remove(key);
            }
            Change::Clear("other-config") => self.other_config.clear(),
            Change::Add("tags", tag) => {
                self.tags.insert(tag.clone());
            }
            Change::Remove("tags", tag) => {
                self.tags.remove(tag);
            }
            Change::Clear("tags") => self.tags.clear(),
            _ => return false,
        }
        true
    }

    /// The record with what was said about it.
    pub fn over(&self, mut record: Record) -> Record {
        if let Some(name) = &self.name_label {
            record = record.with("name-label", name.clone());
        }
        if let Some(description) = &self.name_description {
            record = record.with("name-description", description.clone());
        }
        record
            .with("other-config", Value::Map(self.other_config.clone()))
            .with("tags", Value::Set(self.tags.iter().cloned().collect()))
    }
}

fn file(uuid: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{uuid}.json"))
}

/// All of them by UUID.
pub fn read(system: &dyn System) -> Result<BTreeMap<String, Labels>, XeError> {
    let mut all = BTreeMap::new();
    for uuid in names_in(system, FOLDER, ".json")? {
        if let Some(labels) = read_one(system, &uuid)? {
            all.insert(uuid, labels);
        }
    }
    Ok(all)
}

/// Those of the thing with this UUID; none where nothing was said about it.
pub fn read_one(system: &dyn System, uuid: &str) -> Result<Option<Labels>, XeError> {
    let path = file(uuid);
    let bytes = match system.read_file(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(XeError::system(&e)),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|e| {
        XeError::failure(
            "INTERNAL_ERROR",
            format!(
                "{} cannot be understood: {e}; correct it, or remove it to go on without this name",
                path.display()
            ),
        )
    })
}

/// Changes what is said about the thing with this UUID.
pub fn change(system: &dyn System, uuid: &str, changes: &[Change]) -> Result<(), XeError> {
    let _held = locks::edit(system, &format!("the names of {uuid}"))?;
    let mut labels = read_one(system, uuid)?.unwrap_or_default();
    for change in changes {
        if !labels.apply(change) {
            return Err(XeError::usage(format!(
                "{} cannot be changed like this",
                change.field()
            )));
        }
    }
    let path = file(uuid);
    if labels == Labels::default() {
        return system.remove_file(&path).map_err(|e| XeError::system(&e));
    }
    let text = serde_json::to_vec_pretty(&labels).map_err(|e| XeError::system(&e))?;
    system
        .create_dir_all(Path::new(FOLDER))
        .and_then(|()| system.write_file(&path, &text, 0o644))
        .map_err(|e| XeError::system(&e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps::RecordingSystem;

    #[test]
    fn what_is_said_is_kept_and_taken_back() {
        let system = RecordingSystem::new();
        let set = [
            Change::Set("name-label", "rack 7".into()),
            Change::SetKey("other-config", "owner".into(), "ops".into()),
            Change::Add("tags", "prod".into()),
        ];
        change(&system, "1", &set).unwrap();
        let record = read(&system).unwrap()["1"].over(Record::new().with("name-label", "node"));
        assert_eq!(record.get("name-label").to_string(), "rack 7");
        assert_eq!(record.get("other-config").to_string(), "owner: ops");
        assert_eq!(record.get("tags").to_string(), "prod");
        let clear = ["name-label", "other-config", "tags"].map(Change::Clear);
        change(&system, "1", &clear).unwrap();
        assert!(
            read(&system).unwrap().is_empty(),
            "nothing said, nothing kept"
        );
        let wrong = change(&system, "1", &[Change::Clear("mtu")]).unwrap_err();
        assert!(wrong.usage);
    }

    #[test]
    fn a_damaged_file_is_told_and_not_overwritten() {
        let system = RecordingSystem::new().file(file("1"), "{");
        let set = [Change::Set("name-label", "x".into())];
        let error = change(&system, "1", &set).unwrap_err();
        assert!(error.message.contains("/1.json"), "{error}");
        assert_eq!(system.read_file(&file("1")).unwrap(), b"{");
        assert!(read(&system).is_err());
        change(&system, "2", &set).unwrap();
    }
}
