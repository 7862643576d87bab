//! Building and signing TUF metadata.
//!
//! `tough` has an editor for that, but it writes its hash maps in random order: the same release would have other bytes
//! in every build, and with them other hashes in the snapshot. Here the schema and the signing are `tough`'s, and the
//! order is by name.

use crate::hotfix_info::Customs;
use crate::keys::SigningKey;
use crate::{Error, MANIFEST, Manifest};
use aws_lc_rs::rand::SystemRandom;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::num::NonZeroU64;
use tough::schema::{
    Hashes, Metafile, Role, Signature, Signed, Snapshot, Target, Targets, Timestamp,
};

pub(crate) const SPEC_VERSION: &str = "1.0.0";

/// Versions and dates of the metadata of one release. Given, so that the same input makes the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Version of targets, snapshot and timestamp; a newer release of the same keys has a higher one.
    pub version: NonZeroU64,
    /// When the list of artifacts expires, in seconds since 1970.
    pub targets_expires: u64,
    /// When the snapshot expires, in seconds since 1970.
    pub snapshot_expires: u64,
    /// When the timestamp expires, in seconds since 1970. Short on an update server; on a medium it is only told.
    pub timestamp_expires: u64,
}

/// One metadata file, ready to be written.
pub(crate) struct MetadataFile {
    /// Its name in the metadata folder.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// The metadata files of one release but the root, in the order in which they must be written: the timestamp, which
/// makes the others visible, comes last. `customs` is what is said about targets beyond size and hash.
pub(crate) fn build(
    targets: HashMap<String, (u64, String)>,
    customs: &Customs,
    stamp: Stamp,
    keys: &[SigningKey; 3],
) -> Result<Vec<MetadataFile>, Error> {
    let [targets_key, snapshot_key, timestamp_key] = keys;
    let mut role = Targets::new(
        SPEC_VERSION.to_owned(),
        stamp.version,
        date("the expiry of targets", stamp.targets_expires)?,
    );
    // An empty list of delegations would still be a statement; this repository has none.
    role.delegations = None;
    for (name, (length, sha256)) in targets {
        let target = Target {
            length,
            hashes: hashes(&sha256)?,
            custom: customs.get(&name).cloned().unwrap_or_default(),
            _extra: HashMap::new(),
        };
        let name = tough::TargetName::new(&name).map_err(|e| Error::Manifest {
            problem: e.to_string(),
        })?;
        role.add_target(name, target);
    }
    let targets_bytes = sign(role, targets_key)?;
    above(targets_bytes, stamp, snapshot_key, timestamp_key)
}

/// Signed targets, and what stands above them: the snapshot and the timestamp.
pub(crate) fn above(
    targets_bytes: Vec<u8>,
    stamp: Stamp,
    snapshot_key: &SigningKey,
    timestamp_key: &SigningKey,
) -> Result<Vec<MetadataFile>, Error> {
    let mut snapshot = Snapshot::new(
        SPEC_VERSION.to_owned(),
        stamp.version,
        date("the expiry of snapshot", stamp.snapshot_expires)?,
    );
    snapshot.meta.insert(
        "targets.json".to_owned(),
        metafile(&targets_bytes, stamp.version)?,
    );
    let snapshot_bytes = sign(snapshot, snapshot_key)?;

    let timestamp_bytes = build_timestamp(
        &snapshot_bytes,
        stamp.version,
        stamp.version,
        stamp.timestamp_expires,
        timestamp_key,
    )?;

    Ok(vec![
        MetadataFile {
            name: format!("{}.targets.json", stamp.version),
            bytes: targets_bytes,
        },
        MetadataFile {
            name: format!("{}.snapshot.json", stamp.version),
            bytes: snapshot_bytes,
        },
        MetadataFile {
            name: "timestamp.json".to_owned(),
            bytes: timestamp_bytes,
        },
    ])
}

/// The timestamp of version `version` over a snapshot of version `snapshot_version`.
pub(crate) fn build_timestamp(
    snapshot_bytes: &[u8],
    snapshot_version: NonZeroU64,
    version: NonZeroU64,
    expires: u64,
    key: &SigningKey,
) -> Result<Vec<u8>, Error> {
    let mut timestamp = Timestamp::new(
        SPEC_VERSION.to_owned(),
        version,
        date("the expiry of timestamp", expires)?,
    );
    timestamp.meta.insert(
        "snapshot.json".to_owned(),
        metafile(snapshot_bytes, snapshot_version)?,
    );
    sign(timestamp, key)
}

/// The targets of a release: every artifact, and the manifest itself.
pub(crate) fn targets_of(
    manifest: &Manifest,
    manifest_bytes: &[u8],
) -> HashMap<String, (u64, String)> {
    let mut targets: HashMap<_, _> = manifest
        .artifacts
        .iter()
        .map(|(artifact, info)| {
            (
                artifact.target_name().to_owned(),
                (info.size, info.sha256.clone()),
            )
        })
        .collect();
    targets.insert(
        MANIFEST.to_owned(),
        (
            manifest_bytes.len() as u64,
            hex::encode(Sha256::digest(manifest_bytes)),
        ),
    );
    targets
}

/// Signs `role` and serializes it with its members in the order of their names.
pub(crate) fn sign<T: Role>(role: T, key: &SigningKey) -> Result<Vec<u8>, Error> {
    let problem = |problem: String| Error::Key {
        path: key.path.clone(),
        problem,
    };
    let message = role.canonical_form().map_err(|e| problem(e.to_string()))?;
    let keyid = key
        .key
        .tuf_key()
        .key_id()
        .map_err(|e| problem(e.to_string()))?;
    let signature = runtime()?
        .block_on(key.key.sign(&message, &SystemRandom::new()))
        .map_err(|e| problem(format!("signing failed: {e}")))?;
    let signed = Signed {
        signed: role,
        signatures: vec![Signature {
            keyid,
            sig: signature.into(),
        }],
    };
    to_sorted_json(&signed).map_err(|e| problem(e.to_string()))
}

/// JSON with the members of every object in the order of their names, and a line feed at the end.
pub(crate) fn to_sorted_json(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    // serde_json's Value keeps its members sorted (unless its feature preserve_order is on: a test would notice).
    let mut bytes = serde_json::to_vec_pretty(&serde_json::to_value(value)?)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// `tough` is asynchronous; this runs it on the calling thread.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(Error::io("start the runtime for", "TUF metadata"))
}

/// A date in the form that metadata holds.
pub(crate) fn date(what: &'static str, seconds: u64) -> Result<jiff::Timestamp, Error> {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .ok_or(Error::Date { what, seconds })
}

fn hashes(sha256: &str) -> Result<Hashes, Error> {
    let bytes = hex::decode(sha256).map_err(|e| Error::Manifest {
        problem: format!("SHA-256 {sha256:?}: {e}"),
    })?;
    Ok(Hashes {
        sha256: bytes.into(),
        _extra: HashMap::new(),
    })
}

fn metafile(bytes: &[u8], version: NonZeroU64) -> Result<Metafile, Error> {
    Ok(Metafile {
        length: Some(bytes.len() as u64),
        hashes: Some(hashes(&hex::encode(Sha256::digest(bytes)))?),
        version,
        _extra: HashMap::new(),
    })
}
