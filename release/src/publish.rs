//! Making a repository out of a release's files.

use crate::artifact_file::{OpenFailure, open_regular};
use crate::hotfix_info::{Customs, customs};
use crate::keys::SigningKey;
use crate::metadata::{self, MetadataFile};
use crate::verified_reader::CHUNK;
use crate::{
    Artifact, ArtifactInfo, DeltaInfo, Error, HotfixInfo, MANIFEST, METADATA_DIR, Manifest, Stamp,
    TARGETS_DIR, trusted_root_path,
};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use tough::schema::{Role, RoleType, Root, Signed, Timestamp};

/// What [`publish`] wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// File name in `targets/` of every artifact: `<sha256>.<name>`.
    pub artifacts: BTreeMap<Artifact, String>,
    /// File name in `targets/` of the manifest.
    pub manifest: String,
    /// File names in `metadata/`, in the order in which they were written.
    pub metadata: Vec<String>,
    /// Bytes of all artifacts and the manifest.
    pub bytes: u64,
}

/// Size and SHA-256 of a file, for the manifest. Reads it once, in chunks of 1 MiB.
pub fn hash_file(path: &Path) -> Result<ArtifactInfo, Error> {
    let (mut file, _) = open_regular(path).map_err(|failure| Error::Io {
        action: "read",
        path: path.to_owned(),
        source: match failure {
            OpenFailure::Missing => ErrorKind::NotFound.into(),
            OpenFailure::NotRegular(found) => {
                std::io::Error::new(ErrorKind::InvalidInput, format!("it is a {found}"))
            }
            OpenFailure::Io(source) => source,
        },
    })?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut size = 0;
    loop {
        let n = file.read(&mut buffer).map_err(Error::io("read", path))?;
        if n == 0 {
            return Ok(ArtifactInfo {
                size,
                sha256: hex::encode(hasher.finalize()),
            });
        }
        hasher.update(&buffer[..n]);
        size += n as u64;
    }
}

/// Writes the repository of one release to `out_dir`, or adds it to the one that is there.
///
/// `artifacts` says where the file of every artifact lies; its size and hash must be those of the manifest. Files are
/// hard-linked into `targets/` where that is possible and copied where not, and hashed in their new place. Metadata is
/// written last, the timestamp by renaming at the very end, so a reader sees the old release or the new one. The same
/// input makes the same bytes. A metadata file of the same version with other content is never replaced.
pub fn publish(
    keys_dir: &Path,
    out_dir: &Path,
    manifest: &Manifest,
    artifacts: &BTreeMap<Artifact, PathBuf>,
    stamp: Stamp,
) -> Result<Published, Error> {
    let missing = manifest
        .artifacts
        .keys()
        .find(|artifact| !artifacts.contains_key(artifact));
    if let Some(artifact) = missing {
        return Err(Error::Unpublishable {
            artifact: *artifact,
            problem: "no file was given for it".into(),
        });
    }
    let extra = Extra {
        customs: Customs::new(),
        deltas: &[],
    };
    write(keys_dir, out_dir, manifest, artifacts, &extra, stamp)
}

/// A delta and where its file lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeltaFile {
    /// What it is made from.
    pub info: DeltaInfo,
    /// Its size and hash.
    pub file: ArtifactInfo,
    /// Its file.
    pub path: PathBuf,
}

/// Writes the repository of a hotfix: as [`publish()`], with deltas and what the maker says.
///
/// `artifacts` may leave out those that every host makes from deltas; they are signed all the same.
pub fn publish_hotfix(
    keys_dir: &Path,
    out_dir: &Path,
    manifest: &Manifest,
    artifacts: &BTreeMap<Artifact, PathBuf>,
    info: &HotfixInfo,
    deltas: &[DeltaFile],
    stamp: Stamp,
) -> Result<Published, Error> {
    let infos: Vec<_> = deltas.iter().map(|delta| delta.info.clone()).collect();
    let extra = Extra {
        customs: customs(Some(info), &infos)?,
        deltas,
    };
    write(keys_dir, out_dir, manifest, artifacts, &extra, stamp)
}

/// What a hotfix has beside the release.
struct Extra<'a> {
    customs: Customs,
    deltas: &'a [DeltaFile],
}

fn write(
    keys_dir: &Path,
    out_dir: &Path,
    manifest: &Manifest,
    artifacts: &BTreeMap<Artifact, PathBuf>,
    extra: &Extra<'_>,
    stamp: Stamp,
) -> Result<Published, Error> {
    manifest.check()?;
    let root = root_file(keys_dir)?;
    let keys = [
        SigningKey::load(keys_dir, RoleType::Targets)?,
        SigningKey::load(keys_dir, RoleType::Snapshot)?,
        SigningKey::load(keys_dir, RoleType::Timestamp)?,
    ];
    let manifest_bytes = metadata::to_sorted_json(manifest).map_err(|e| Error::Manifest {
        problem: e.to_string(),
    })?;
    let mut targets = metadata::targets_of(manifest, &manifest_bytes);
    for delta in extra.deltas {
        let signed = (delta.file.size, delta.file.sha256.clone());
        targets.insert(delta.info.target_name(), signed);
    }
    let files = metadata::build(targets.clone(), &extra.customs, stamp, &keys)?;

    let targets_dir = out_dir.join(TARGETS_DIR);
    let metadata_dir = out_dir.join(METADATA_DIR);
    for dir in [&targets_dir, &metadata_dir] {
        fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
    }
    let mut names = BTreeMap::new();
    for (artifact, info) in &manifest.artifacts {
        let Some(source) = artifacts.get(artifact) else {
            continue;
        };
        let name = format!("{}.{}", info.sha256, artifact.target_name());
        place(*artifact, source, &targets_dir.join(&name), info)?;
        names.insert(*artifact, name);
    }
    if let Some(artifact) = artifacts
        .keys()
        .find(|a| !manifest.artifacts.contains_key(a))
    {
        return Err(Error::Unpublishable {
            artifact: *artifact,
            problem: "it is not in the manifest".into(),
        });
    }
    for DeltaFile { info, file, path } in extra.deltas {
        let name = format!("{}.{}", file.sha256, info.target_name());
        place(info.artifact, path, &targets_dir.join(&name), file)?;
    }
    let manifest_name = format!("{}.{MANIFEST}", targets[MANIFEST].1);
    write_new(&targets_dir.join(&manifest_name), &manifest_bytes)?;
    let mut written = Vec::new();
    for file in std::iter::once(root).chain(files) {
        let path = metadata_dir.join(&file.name);
        if file.name == "timestamp.json" {
            replace(&path, &file.bytes)?
        } else {
            write_new(&path, &file.bytes)?
        }
        written.push(file.name);
    }
    Ok(Published {
        artifacts: names,
        manifest: manifest_name,
        metadata: written,
        bytes: targets.values().map(|(size, _)| size).sum(),
    })
}

/// Signs the timestamp of the repository in `dir` anew, so that an update server does not look as if somebody held updates
/// back: it is the one statement with a short life. `version` must be higher than before.
pub fn refresh_timestamp(
    keys_dir: &Path,
    dir: &Path,
    version: NonZeroU64,
    expires: u64,
) -> Result<(), Error> {
    let path = dir.join(METADATA_DIR).join("timestamp.json");
    let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
    let damaged = |problem: String| Error::MetadataDamaged {
        role: RoleType::Timestamp,
        problem,
    };
    let old: Signed<Timestamp> =
        serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
    if old.signed.version >= version {
        return Err(Error::VersionTaken { path });
    }
    let snapshot = old
        .signed
        .meta
        .get("snapshot.json")
        .ok_or_else(|| damaged("it names no snapshot".to_owned()))?;
    let snapshot_path = dir
        .join(METADATA_DIR)
        .join(format!("{}.snapshot.json", snapshot.version));
    let snapshot_bytes = fs::read(&snapshot_path).map_err(Error::io("read", &snapshot_path))?;
    let key = SigningKey::load(keys_dir, RoleType::Timestamp)?;
    let bytes =
        metadata::build_timestamp(&snapshot_bytes, snapshot.version, version, expires, &key)?;
    replace(&path, &bytes)
}

/// The public root as `<version>.root.json`.
fn root_file(keys_dir: &Path) -> Result<MetadataFile, Error> {
    let path = trusted_root_path(keys_dir);
    let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
    let root: Signed<Root> = serde_json::from_slice(&bytes).map_err(|e| Error::TrustedRoot {
        problem: format!("{}: {e}", path.display()),
    })?;
    Ok(MetadataFile {
        name: format!("{}.root.json", root.signed.version()),
        bytes,
    })
}

fn place(
    artifact: Artifact,
    source: &Path,
    target: &Path,
    info: &ArtifactInfo,
) -> Result<(), Error> {
    // A hard link to a symbolic link would be a symbolic link.
    let source = source.canonicalize().map_err(Error::io("read", source))?;
    // From an earlier release or an earlier run: kept if it is right, made anew if that run did not end.
    if target.symlink_metadata().is_ok() {
        if hash_file(target).is_ok_and(|found| found == *info) {
            return Ok(());
        }
        fs::remove_file(target).map_err(Error::io("remove", target))?;
    }
    // Links do not work across filesystems, and on some not at all.
    if fs::hard_link(&source, target).is_err() {
        fs::copy(&source, target).map_err(Error::io("copy to", target))?;
    }
    let found = hash_file(target)?;
    if found == *info {
        return Ok(());
    }
    fs::remove_file(target).map_err(Error::io("remove", target))?;
    Err(Error::Unpublishable {
        artifact,
        problem: format!(
            "{} has {} bytes and SHA-256 {}, but the manifest says {} bytes and {}",
            source.display(),
            found.size,
            found.sha256,
            info.size,
            info.sha256
        ),
    })
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    match fs::read(path) {
        Ok(found) if found == bytes => Ok(()),
        Ok(_) => Err(Error::VersionTaken {
            path: path.to_owned(),
        }),
        Err(e) if e.kind() == ErrorKind::NotFound => replace(path, bytes),
        Err(e) => Err(Error::io("read", path)(e)),
    }
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    fs::write(&new, bytes).map_err(Error::io("write", &new))?;
    fs::File::open(&new)
        .and_then(|f| f.sync_all())
        .map_err(Error::io("write", &new))?;
    fs::rename(&new, path).map_err(Error::io("write", path))
}
