//! Opening a release: from the signed metadata to artifacts that can be trusted.

use crate::artifact_file::{OpenFailure, open_regular};
use crate::directory_transport::DirectoryTransport;
use crate::hotfix_info::{DELTA_KEY, HOTFIX_KEY};
use crate::metadata::runtime;
use crate::verified_reader::{CHUNK, VerifiedReader};
use crate::{
    Artifact, ArtifactInfo, DeltaInfo, Error, Expiry, ExtraFiles, HotfixInfo, MANIFEST,
    MAX_METADATA, METADATA_DIR, Manifest, Policy, TARGETS_DIR,
};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use tough::schema::{Role, Signature, Signed, Target};
use tough::{ExpirationEnforcement, RepositoryLoader, TargetName};
use url::Url;

/// The manifest is a few kilobytes.
const MAX_MANIFEST: u64 = 1024 * 1024;

/// Where a release comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A folder that holds `metadata/` and `targets/`: a medium, its copy in memory, a build.
    Directory(PathBuf),
}

/// Versions of the metadata that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// Of the list of keys.
    pub root: u64,
    /// Of the timestamp.
    pub timestamp: u64,
    /// Of the snapshot.
    pub snapshot: u64,
    /// Of the list of artifacts.
    pub targets: u64,
}

/// A repository of releases; see [`Repository::open`].
#[derive(Debug)]
pub struct Repository;

impl Repository {
    /// Verifies the metadata of a repository and its manifest, starting from `trusted_root_json`, the public root that
    /// this system carries ([`slots::names::TRUSTED_ROOT`]). Artifacts are not read yet: see
    /// [`OpenRelease::verify_all`] and [`OpenRelease::reader`].
    pub fn open(
        trusted_root_json: &[u8],
        source: &Source,
        policy: &Policy,
    ) -> Result<OpenRelease, Error> {
        let Source::Directory(dir) = source;
        let dir = dir
            .canonicalize()
            .map_err(Error::io("open the release in", dir))?;
        let metadata = dir.join(METADATA_DIR);
        let targets = dir.join(TARGETS_DIR);
        let repository = runtime()?
            .block_on(async {
                let mut loader = RepositoryLoader::new(
                    &trusted_root_json,
                    dir_url(&metadata)?,
                    dir_url(&targets)?,
                )
                .transport(DirectoryTransport {
                    dir: metadata.clone(),
                })
                .expiration_enforcement(match policy.expiry {
                    Expiry::Enforced => ExpirationEnforcement::Safe,
                    Expiry::Told => ExpirationEnforcement::Unsafe,
                });
                if let Some(datastore) = &policy.datastore {
                    loader = loader.datastore(datastore);
                }
                Ok(loader.load().await)
            })?
            .map_err(|e| Error::from_tough(e, &metadata))?;
        let root_file = format!("{}.root.json", repository.root().signed.version);
        same_content(&metadata, &root_file, repository.root())?;
        same_content(&metadata, "timestamp.json", repository.timestamp())?;

        let listed = &repository.targets().signed.targets;
        let manifest = read_manifest(
            listed.iter().find(|(name, _)| name.raw() == MANIFEST),
            &targets,
        )?;
        let deltas = deltas(listed)?;
        compare(&manifest, &deltas, listed)?;
        Ok(OpenRelease {
            hotfix: hotfix(listed)?,
            deltas,
            expired: expired(&repository),
            versions: Versions {
                root: repository.root().signed.version.get(),
                timestamp: repository.timestamp().signed.version.get(),
                snapshot: repository.snapshot().signed.version.get(),
                targets: repository.targets().signed.version.get(),
            },
            files: listed
                .iter()
                .map(|(name, target)| file_name(name, target))
                .collect(),
            extra_files: policy.extra_files,
            manifest,
            targets,
        })
    }
}

/// A delta that the signed metadata lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// What it is made from, and what comes out.
    pub info: DeltaInfo,
    /// Its size and hash.
    pub file: ArtifactInfo,
}

/// A release whose metadata and manifest are verified, and whose artifacts can be.
#[derive(Debug, Clone)]
pub struct OpenRelease {
    /// The signed description of the release.
    pub manifest: Manifest,
    /// With [`Expiry::Told`]: which metadata expired and when, in words. It was accepted; tell the operator.
    pub expired: Option<String>,
    /// Versions of the metadata.
    pub versions: Versions,
    /// What its maker says, where it is a hotfix.
    pub hotfix: Option<HotfixInfo>,
    /// The deltas by which it is made from others.
    pub deltas: Vec<Delta>,
    targets: PathBuf,
    files: BTreeSet<String>,
    extra_files: ExtraFiles,
}

impl OpenRelease {
    /// Size and hash of an artifact, as signed.
    pub fn info(&self, artifact: Artifact) -> &ArtifactInfo {
        // Every artifact is there: Manifest::check looked.
        &self.manifest.artifacts[&artifact]
    }

    /// Bytes of all artifacts together.
    pub fn total_size(&self) -> u64 {
        self.manifest.total_size()
    }

    /// Where the file of an artifact lies. Its content is not verified by this: use [`OpenRelease::reader`], or
    /// [`OpenRelease::verify_all`] on files that nobody else can change (a copy in memory).
    pub fn path(&self, artifact: Artifact) -> PathBuf {
        self.targets.join(format!(
            "{}.{}",
            self.info(artifact).sha256,
            artifact.target_name()
        ))
    }

    /// Opens an artifact as a stream that checks size and hash; what was read is good once `read` has returned 0.
    pub fn reader(&self, artifact: Artifact) -> Result<VerifiedReader, Error> {
        VerifiedReader::open(
            artifact.target_name(),
            &self.path(artifact),
            self.info(artifact),
        )
    }

    /// The delta by which `artifact` is made from the one with this SHA-256.
    pub fn delta(&self, artifact: Artifact, base_sha256: &str) -> Option<&Delta> {
        self.deltas
            .iter()
            .find(|delta| delta.info.artifact == artifact && delta.info.base_sha256 == base_sha256)
    }

    /// Where the file of a delta lies.
    pub fn delta_path(&self, delta: &Delta) -> PathBuf {
        self.targets.join(format!(
            "{}.{}",
            delta.file.sha256,
            delta.info.target_name()
        ))
    }

    /// Opens a delta as a stream that checks size and hash.
    pub fn delta_reader(&self, delta: &Delta) -> Result<VerifiedReader, Error> {
        VerifiedReader::open(
            &delta.info.target_name(),
            &self.delta_path(delta),
            &delta.file,
        )
    }

    /// The signed size and hash of the file `name` in `targets/`; none where nothing signed lists it.
    pub(crate) fn listed(&self, name: &str) -> Option<(String, ArtifactInfo)> {
        let artifacts = self.manifest.artifacts.iter();
        let artifacts = artifacts.map(|(a, info)| (a.target_name().to_owned(), info));
        let deltas = self.deltas.iter();
        let deltas = deltas.map(|delta| (delta.info.target_name(), &delta.file));
        artifacts
            .chain(deltas)
            .find(|(target, info)| format!("{}.{target}", info.sha256) == name)
            .map(|(target, info)| (target, info.clone()))
    }

    /// Reads a small artifact into memory; verified. More than `limit` bytes is an error.
    pub fn read(&self, artifact: Artifact, limit: u64) -> Result<Vec<u8>, Error> {
        let info = self.info(artifact);
        if info.size > limit {
            let (name, expected) = (artifact.target_name().to_owned(), limit);
            return Err(Error::TargetSize {
                name,
                path: self.path(artifact),
                expected,
                found: info.size,
            });
        }
        self.reader(artifact)?.into_bytes()
    }

    /// Reads every artifact once, in chunks of 1 MiB, and compares size and hash with the signed ones. All sizes are
    /// compared first, so that a cut-off copy is found at once.
    ///
    /// `on_progress` gets the bytes done so far, the bytes of all artifacts, and the artifact being read.
    pub fn verify_all(&self, mut on_progress: impl FnMut(u64, u64, Artifact)) -> Result<(), Error> {
        self.check_extra_files()?;
        for artifact in Artifact::ALL {
            self.reader(artifact)?;
        }
        let total = self.total_size();
        let mut done = 0;
        let mut buffer = vec![0; CHUNK];
        for artifact in Artifact::ALL {
            on_progress(done, total, artifact);
            self.reader(artifact)?.drain(&mut buffer, |bytes| {
                done += bytes;
                on_progress(done, total, artifact);
            })?;
        }
        Ok(())
    }

    pub(crate) fn check_extra_files(&self) -> Result<(), Error> {
        if self.extra_files == ExtraFiles::Ignored {
            return Ok(());
        }
        for entry in fs::read_dir(&self.targets).map_err(Error::io("read", &self.targets))? {
            let entry = entry.map_err(Error::io("read", &self.targets))?;
            if !entry
                .file_name()
                .to_str()
                .is_some_and(|name| self.files.contains(name))
            {
                return Err(Error::ExtraFile { path: entry.path() });
            }
        }
        Ok(())
    }
}

fn dir_url(dir: &Path) -> Result<Url, Error> {
    Url::from_directory_path(dir).map_err(|()| Error::Io {
        action: "use",
        path: dir.to_owned(),
        source: std::io::ErrorKind::InvalidInput.into(),
    })
}

fn file_name(name: &TargetName, target: &Target) -> String {
    format!("{}.{}", hex::encode(&target.hashes.sha256), name.raw())
}

fn info_of(target: &Target) -> ArtifactInfo {
    ArtifactInfo {
        size: target.length,
        sha256: hex::encode(&target.hashes.sha256),
    }
}

fn read_manifest(
    listed: Option<(&TargetName, &Target)>,
    targets: &Path,
) -> Result<Manifest, Error> {
    let problem = |problem: String| Error::Manifest { problem };
    let (name, target) =
        listed.ok_or_else(|| problem("the signed list of artifacts does not name it".into()))?;
    if target.length > MAX_MANIFEST {
        return Err(problem(format!(
            "it is said to have {} bytes; {MAX_MANIFEST} is the most",
            target.length
        )));
    }
    let bytes = VerifiedReader::open(
        MANIFEST,
        &targets.join(file_name(name, target)),
        &info_of(target),
    )?
    .into_bytes()?;
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|e| problem(e.to_string()))?;
    manifest.check()?;
    Ok(manifest)
}

/// What the signed list says about the hotfix.
fn hotfix(listed: &HashMap<TargetName, Target>) -> Result<Option<HotfixInfo>, Error> {
    let custom = listed
        .iter()
        .find(|(name, _)| name.raw() == MANIFEST)
        .and_then(|(_, target)| target.custom.get(HOTFIX_KEY));
    let Some(value) = custom else {
        return Ok(None);
    };
    let info: HotfixInfo = serde_json::from_value(value.clone()).map_err(|e| Error::Manifest {
        problem: format!("what is said about the hotfix cannot be understood: {e}"),
    })?;
    info.check()?;
    Ok(Some(info))
}

/// The deltas in the signed list, in the order of their names.
fn deltas(listed: &HashMap<TargetName, Target>) -> Result<Vec<Delta>, Error> {
    let mut deltas = Vec::new();
    for (name, target) in listed {
        let Some(value) = target.custom.get(DELTA_KEY) else {
            continue;
        };
        let info: DeltaInfo =
            serde_json::from_value(value.clone()).map_err(|e| Error::Manifest {
                problem: format!(
                    "what is said about the delta {:?} cannot be understood: {e}",
                    name.raw()
                ),
            })?;
        info.check(name.raw())?;
        deltas.push(Delta {
            info,
            file: info_of(target),
        });
    }
    deltas.sort_by_key(|delta| delta.info.target_name());
    Ok(deltas)
}

/// The manifest and the signed list must say the same about every artifact, and list the same ones and deltas.
fn compare(
    manifest: &Manifest,
    deltas: &[Delta],
    listed: &HashMap<TargetName, Target>,
) -> Result<(), Error> {
    let problem = |problem: String| Err(Error::Manifest { problem });
    for (artifact, info) in &manifest.artifacts {
        let name = artifact.target_name();
        match listed.iter().find(|(n, _)| n.raw() == name) {
            None => return problem(format!("the signed list of artifacts does not name {name}")),
            Some((_, target)) if info_of(target) != *info => {
                return problem(format!(
                    "it and the signed list of artifacts say different things about {name}"
                ));
            }
            Some(_) => {}
        }
    }
    let known = |name: &str| {
        name == MANIFEST
            || Artifact::ALL.iter().any(|a| a.target_name() == name)
            || deltas.iter().any(|delta| delta.info.target_name() == name)
    };
    match listed.keys().find(|name| !known(name.raw())) {
        Some(name) => problem(format!(
            "the signed list names {:?}, which is no artifact known here",
            name.raw()
        )),
        None => Ok(()),
    }
}

/// The snapshot and the targets are covered byte by byte by a hash, the timestamp and the root only by what their
/// signature covers: a few places (the `_type`, upper and lower case of hexadecimal) could change without notice. That
/// harms nobody, but a medium that has it is damaged, so the content of the files is compared with what was verified.
fn same_content<T: Role + Clone>(
    metadata: &Path,
    file: &str,
    verified: &Signed<T>,
) -> Result<(), Error> {
    let role = T::TYPE;
    let damaged = |problem: String| Error::MetadataDamaged { role, problem };
    let path = metadata.join(file);
    let file_handle = match open_regular(&path) {
        Ok((handle, _)) => handle,
        Err(OpenFailure::Missing) => {
            return Err(Error::MetadataMissing {
                file: file.to_owned(),
                path: metadata.to_owned(),
            });
        }
        Err(OpenFailure::NotRegular(found)) => {
            return Err(damaged(format!("{file} is a {found}, not a regular file")));
        }
        Err(OpenFailure::Io(source)) => return Err(Error::io("read", path)(source)),
    };
    let mut bytes = Vec::new();
    file_handle
        .take(MAX_METADATA + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::io("read", path))?;
    if bytes.len() as u64 > MAX_METADATA {
        return Err(damaged(format!(
            "{file} has more than {MAX_METADATA} bytes"
        )));
    }
    let found: Value =
        serde_json::from_slice(&bytes).map_err(|e| damaged(format!("{file}: {e}")))?;
    // `tough` keeps hexadecimal text as it was read; what the signatures cover has one form already.
    let signatures = verified.signatures.iter().map(|s| Signature {
        keyid: s.keyid.to_vec().into(),
        sig: s.sig.to_vec().into(),
    });
    let verified = Signed {
        signed: verified.signed.clone(),
        signatures: signatures.collect(),
    };
    let verified = serde_json::to_value(verified).map_err(|e| damaged(e.to_string()))?;
    if found == verified {
        Ok(())
    } else {
        Err(damaged(format!("{file} is not what its signature covers")))
    }
}

fn expired(repository: &tough::Repository) -> Option<String> {
    let now = jiff::Timestamp::now();
    let dates = [
        ("root", repository.root().signed.expires),
        ("timestamp", repository.timestamp().signed.expires),
        ("snapshot", repository.snapshot().signed.expires),
        ("targets", repository.targets().signed.expires),
    ];
    let told: Vec<_> = dates
        .iter()
        .filter(|(_, at)| *at < now)
        .map(|(role, at)| format!("{role} metadata expired on {at}"))
        .collect();
    (!told.is_empty()).then(|| told.join(", "))
}
