//! Fetching the files of a release that this host needs, and no others: deltas from what it has, or else whole files.
//!
//! Files that are not whole yet lie beside the repository in the store, under names that say what they are to be: a run that was
//! ended goes on where it was. What is whole and not as it was signed is thrown away.

use super::Updater;
use super::policy::UpdatePolicy;
use super::repository::{unreachable, untrusted};
use crate::XeError;
use crate::hotfix::{
    self, PatchRecord, Site, Source, free, out_of_space, patch_uuid, remove_folder, require_room,
    take_fetched,
};
use release::{Artifact, ArtifactInfo, METADATA_DIR, OpenRelease, TARGETS_DIR, hash_file};
use slots::BootRecord;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use steps::System;
use steps::fetch::{FetchError, shown_url};

/// What folders of fetched releases are called in the store, before the UUID.
pub(super) const PREFIX: &str = "network-";

/// A file of a release.
struct Wanted {
    /// As messages call it.
    what: String,
    /// Where it lies in an opened repository; its name is that on the server.
    path: PathBuf,
    info: ArtifactInfo,
    /// Whether there is something else where the server does not have it.
    is_delta: bool,
}

impl Wanted {
    fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }
}

/// Why a file is not there.
enum FileProblem {
    /// The server does not have it.
    Absent,
    Other(XeError),
}

/// The files that a host which runs `boot` needs, but for those that the server is known not to have.
fn wanted(
    site: &Site<'_>,
    boot: &BootRecord,
    release: &OpenRelease,
    absent: &BTreeSet<PathBuf>,
) -> Result<Vec<Wanted>, XeError> {
    let offers = |path: &Path| !absent.contains(path);
    let sources = hotfix::sources(site, boot, release, &offers)?;
    let file = |(artifact, source): (Artifact, Source)| match source {
        Source::Unchanged => None,
        Source::Delta(delta) => Some(Wanted {
            what: format!("the delta of {}", artifact.target_name()),
            path: release.delta_path(&delta),
            info: delta.file,
            is_delta: true,
        }),
        Source::Full => Some(Wanted {
            what: artifact.target_name().to_owned(),
            path: release.path(artifact),
            info: release.info(artifact).clone(),
            is_delta: false,
        }),
    };
    Ok(sources.into_iter().filter_map(file).collect())
}

/// Bytes that a host which runs `boot` would fetch.
pub(super) fn size(site: &Site<'_>, boot: &BootRecord, release: &OpenRelease) -> Option<u64> {
    let files = wanted(site, boot, release, &BTreeSet::new()).ok()?;
    Some(files.iter().map(|file| file.info.size).sum())
}

impl Updater<'_> {
    /// Fetches what is missing of a release, and takes it in as a hotfix.
    ///
    /// # Errors
    /// When the server does not give it, gives something else, or there is no room. What was fetched is kept for the next attempt.
    pub(super) fn fetch(
        &self,
        policy: &UpdatePolicy,
        url: &str,
        boot: &BootRecord,
        release: &OpenRelease,
    ) -> Result<PatchRecord, XeError> {
        let site = self.site();
        let uuid = patch_uuid(&release.manifest.root.verity.root_hash);
        let known = PatchRecord::all(self.system, self.places)?;
        if let Some(record) = known
            .into_iter()
            .find(|record| record.uuid == uuid && record.folder.is_some())
        {
            return Ok(record);
        }
        let folder = format!("{PREFIX}{uuid}");
        let store = Store::new(self.places.store.join(&folder));
        for dir in [&store.partial, &store.targets, &store.metadata] {
            self.system
                .create_dir_all(dir)
                .map_err(|e| XeError::system(&e))?;
        }
        let mut absent = BTreeSet::new();
        let files = 'again: loop {
            let files = wanted(&site, boot, release, &absent)?;
            let missing = files
                .iter()
                .map(|file| store.missing(self.system, file))
                .sum();
            require_room(&site, missing)?;
            for file in &files {
                match self.file(policy, url, &store, file) {
                    Ok(()) => {}
                    Err(FileProblem::Absent) => {
                        absent.insert(file.path.clone());
                        continue 'again;
                    }
                    Err(FileProblem::Other(error)) => return Err(error),
                }
            }
            break files;
        };
        self.copy_metadata(&store)?;
        remove_folder(&site, &store.partial)?;
        let size = files.iter().map(|file| file.info.size).sum();
        take_fetched(&self.site(), release, &folder, size)
    }

    /// Bytes of a file; 0 where there is none.
    fn length(&self, path: &Path) -> u64 {
        self.system.file_size(path).unwrap_or(0)
    }

    /// One file, verified and in its place.
    fn file(
        &self,
        policy: &UpdatePolicy,
        url: &str,
        store: &Store,
        file: &Wanted,
    ) -> Result<(), FileProblem> {
        let (name, place) = (file.name(), store.targets.join(file.name()));
        let is_good = |path: &Path| hash_file(path).is_ok_and(|found| found == file.info);
        if is_good(&place) {
            return Ok(());
        }
        let system = |error: steps::system::FileError| FileProblem::Other(XeError::system(&error));
        let partial = store.partial.join(&name);
        if self.length(&partial) > file.info.size {
            self.system.remove_file(&partial).map_err(system)?;
        }
        if self.length(&partial) < file.info.size {
            let download = steps::fetch::Download {
                max_bytes: file.info.size,
                rate: policy.rate,
                ..self.download(policy, &file.what)
            };
            let url = format!("{url}/{TARGETS_DIR}/{name}");
            download
                .resume(&url, &partial, &mut |_| {})
                .map_err(|error| self.problem(error, store, file))?;
        }
        if is_good(&partial) {
            return self.system.move_file(&partial, &place).map_err(system);
        }
        self.system.remove_file(&partial).map_err(system)?;
        Err(FileProblem::Other(untrusted(
            &shown_url(url),
            &format!(
                "{} is not what was signed: the server, or somebody on the way, gives other bytes; it is thrown away and fetched \
                 again later",
                file.what
            ),
        )))
    }

    fn problem(&self, error: FetchError, store: &Store, file: &Wanted) -> FileProblem {
        match error {
            FetchError::Refused {
                status: Some(404 | 403 | 410),
                ..
            } if file.is_delta => FileProblem::Absent,
            FetchError::NotWritten { .. } => {
                let site = self.site();
                let free = free(&site).unwrap_or(0);
                FileProblem::Other(out_of_space(&site, store.missing(self.system, file), free))
            }
            error => FileProblem::Other(unreachable(&error)),
        }
    }

    /// The signed metadata and the manifest of the look go with the files.
    fn copy_metadata(&self, store: &Store) -> Result<(), XeError> {
        let from = self.places.updates.join("repository");
        let copy = || {
            for (name, to) in [
                (METADATA_DIR, &store.metadata),
                (TARGETS_DIR, &store.targets),
            ] {
                // Of an earlier look of an attempt that was ended.
                if name == METADATA_DIR {
                    for old in self.system.list_dir(to)? {
                        self.system.remove_file(&to.join(old))?;
                    }
                }
                for file in self.system.list_dir(&from.join(name))? {
                    self.system
                        .copy_file(&from.join(name).join(&file), &to.join(&file), 0o644)?;
                }
            }
            self.system.sync(&store.targets)
        };
        copy().map_err(|e: steps::system::FileError| XeError::system(&e))
    }
}

/// The folders of a release that is fetched.
struct Store {
    partial: PathBuf,
    targets: PathBuf,
    metadata: PathBuf,
}

impl Store {
    fn new(dir: PathBuf) -> Store {
        let repository = dir.join("repository");
        Store {
            partial: dir.join("partial"),
            targets: repository.join(TARGETS_DIR),
            metadata: repository.join(METADATA_DIR),
        }
    }

    /// Bytes of a file that are not here yet.
    fn missing(&self, system: &dyn System, file: &Wanted) -> u64 {
        let name = file.name();
        let length = |folder: &Path| system.file_size(&folder.join(&name)).unwrap_or(0);
        if length(&self.targets) == file.info.size {
            return 0;
        }
        file.info.size.saturating_sub(length(&self.partial))
    }
}
