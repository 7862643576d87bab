//! Which files of a repository over the network are needed to open it, in the order in which each names the next.

use crate::{MANIFEST, METADATA_DIR, TARGETS_DIR};
use serde_json::Value;

/// Most bytes of one file of metadata, and of the manifest: they have some kilobytes. It is the limit of the TUF client, too.
pub const MAX_METADATA: u64 = 1024 * 1024;
/// All of them together, before anything of it is known to be signed: they are kept in memory.
pub const MAX_ALL_METADATA: u64 = 16 * 1024 * 1024;
/// Keys are not changed more often in the life of a release.
const MAX_ROOTS: u64 = 1000;

/// Why the metadata of a repository is not there.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError<E> {
    /// A file cannot be fetched or kept.
    #[error(transparent)]
    Get(E),
    /// There is something else.
    #[error("{file} is not what such a file is")]
    NoRelease {
        /// The file, from the folder of the repository.
        file: String,
    },
    /// There is no end of it.
    #[error("there are more than {} MiB of metadata, which no release has", MAX_ALL_METADATA / 1048576)]
    Endless,
}

/// Gets metadata and manifest by `get`, which is given the path of a file below the folder of the repository and returns what is in
/// it; where its second argument is true the server need not have the file: none then. `keep` is given what was got. Nothing of it is verified: see [`Repository::open`].
///
/// [`Repository::open`]: crate::Repository::open
///
/// # Errors
/// When a file is missing or is no metadata, or there is no end of them.
pub fn fetch_metadata<E>(
    trusted_root_json: &[u8],
    mut get: impl FnMut(&str, bool) -> Result<Option<Vec<u8>>, E>,
    mut keep: impl FnMut(&str, &[u8]) -> Result<(), E>,
) -> Result<(), MetadataError<E>> {
    let no_release = |file: &str| MetadataError::NoRelease {
        file: file.to_owned(),
    };
    let mut all = 0;
    let mut json = |file: &str, may_end: bool| -> Result<Option<Value>, MetadataError<E>> {
        let Some(bytes) = get(file, may_end).map_err(MetadataError::Get)? else {
            return Ok(None);
        };
        all += bytes.len() as u64;
        if all > MAX_ALL_METADATA {
            return Err(MetadataError::Endless);
        }
        keep(file, &bytes).map_err(MetadataError::Get)?;
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|_| no_release(file))
    };
    let trusted: Value = serde_json::from_slice(trusted_root_json).unwrap_or_default();
    let first = trusted["signed"]["version"].as_u64().unwrap_or(1);
    for version in first..first.saturating_add(MAX_ROOTS) {
        let file = format!("{METADATA_DIR}/{version}.root.json");
        match json(&file, version > first)? {
            Some(_) => {}
            None if version == first => return Err(no_release(&file)),
            // The last one is the one that no other follows.
            None => break,
        }
    }
    let mut must = |file: &str| json(file, false)?.ok_or_else(|| no_release(file));
    let version = |json: &Value, role: &str| json["signed"]["meta"][role]["version"].as_u64();
    let file = format!("{METADATA_DIR}/timestamp.json");
    let snapshot = version(&must(&file)?, "snapshot.json").ok_or_else(|| no_release(&file))?;
    let file = format!("{METADATA_DIR}/{snapshot}.snapshot.json");
    let targets = version(&must(&file)?, "targets.json").ok_or_else(|| no_release(&file))?;
    let file = format!("{METADATA_DIR}/{targets}.targets.json");
    let targets = must(&file)?;
    let hash = targets["signed"]["targets"][MANIFEST]["hashes"]["sha256"]
        .as_str()
        // It becomes a part of a path.
        .filter(|hash| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .ok_or_else(|| no_release(&file))?;
    must(&format!("{TARGETS_DIR}/{hash}.{MANIFEST}")).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn served() -> BTreeMap<String, String> {
        let hash = "ab".repeat(32);
        let meta = |role: &str, version: u32| {
            format!(r#"{{"signed":{{"meta":{{"{role}.json":{{"version":{version}}}}}}}}}"#)
        };
        let targets = format!(
            r#"{{"signed":{{"targets":{{"{MANIFEST}":{{"hashes":{{"sha256":"{hash}"}}}}}}}}}}"#
        );
        BTreeMap::from([
            ("metadata/3.root.json".into(), "{}".into()),
            ("metadata/4.root.json".into(), "{}".into()),
            ("metadata/timestamp.json".into(), meta("snapshot", 8)),
            ("metadata/8.snapshot.json".into(), meta("targets", 9)),
            ("metadata/9.targets.json".into(), targets),
            (format!("targets/{hash}.{MANIFEST}"), "{}".into()),
        ])
    }

    fn fetch(
        files: &BTreeMap<String, String>,
    ) -> (Result<(), MetadataError<std::io::Error>>, Vec<String>) {
        let mut asked = Vec::new();
        let get = |file: &str, _: bool| {
            asked.push(file.to_owned());
            Ok(files.get(file).map(|text| text.clone().into_bytes()))
        };
        let result = fetch_metadata(br#"{"signed":{"version":3}}"#, get, |_, _| Ok(()));
        (result, asked)
    }

    #[test]
    fn every_file_names_the_next_one() {
        let (result, asked) = fetch(&served());
        result.unwrap();
        let manifest = format!("targets/{}.{MANIFEST}", "ab".repeat(32));
        assert_eq!(
            asked,
            [
                "metadata/3.root.json",
                "metadata/4.root.json",
                "metadata/5.root.json",
                "metadata/timestamp.json",
                "metadata/8.snapshot.json",
                "metadata/9.targets.json",
                &manifest
            ]
        );
    }

    #[test]
    fn what_is_missing_or_something_else_is_named() {
        for name in served().into_keys().filter(|name| !name.contains("4.root")) {
            let mut files = served();
            files.remove(&name);
            let error = fetch(&files).0.unwrap_err();
            assert!(error.to_string().contains(&name), "{name}: {error}");
            files.insert(name.clone(), "<html>".into());
            let error = fetch(&files).0.unwrap_err();
            assert!(error.to_string().contains(&name), "{name}: {error}");
        }
        let mut files = served();
        let climbs = files["metadata/9.targets.json"].replace("abab", "../a");
        files.insert("metadata/9.targets.json".into(), climbs);
        assert!(fetch(&files).0.is_err());
    }

    #[test]
    fn there_is_an_end() {
        let mut files = served();
        let blanks = " ".repeat(MAX_METADATA as usize - 2);
        for version in 3..30 {
            files.insert(
                format!("metadata/{version}.root.json"),
                format!("{{}}{blanks}"),
            );
        }
        assert!(matches!(fetch(&files).0, Err(MetadataError::Endless)));
    }
}
