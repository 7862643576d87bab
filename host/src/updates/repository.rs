//! Looking at the repository: metadata and the manifest alone, verified as what comes over the network must be.

use super::Updater;
use super::policy::UpdatePolicy;
use super::state::Offered;
use crate::XeError;
use crate::error::chain;
use crate::hotfix::{Site, is_older, patch_uuid, remove_folder};
use crate::licensing::is_synchronized;
use release::{
    HotfixKind, MAX_METADATA, METADATA_DIR, MetadataError, OpenRelease, Policy, Repository, Source,
    TARGETS_DIR, fetch_metadata,
};
use slots::BootRecord;
use std::path::PathBuf;
use std::time::Duration;
use steps::fetch::{Download, FetchError, shown_url};
use steps::system::FileError;

/// Attempts in one run; the next run comes soon.
const ATTEMPTS: u32 = 3;

/// What the TUF client remembers of its last run beside metadata: a clock that is behind it is refused.
const CLOCK: &str = "latest_known_time.json";

/// The server, or what it gives.
pub(super) fn unreachable(error: &(dyn std::error::Error + 'static)) -> XeError {
    XeError::failure("UPDATE_REPOSITORY_UNREACHABLE", chain(error))
}

/// What it gives is no release, or not to be trusted.
pub(super) fn untrusted(url: &str, problem: &str) -> XeError {
    XeError::failure(
        "UPDATE_REPOSITORY_INVALID",
        format!("what {url} gives is not taken: {problem}"),
    )
}

/// Why a file of metadata is not there.
enum GetError {
    Fetch(FetchError),
    File(FileError),
}

impl Updater<'_> {
    /// How something is fetched by this policy.
    pub(super) fn download<'d>(&'d self, policy: &'d UpdatePolicy, what: &'d str) -> Download<'d> {
        Download {
            proxy: policy.proxy.as_deref(),
            attempts: ATTEMPTS,
            stall: self.stall,
            ..Download::new(self.system, what, self.pause, MAX_METADATA)
        }
    }

    /// Fetches metadata and manifest, and verifies them. What is refused leaves everything as it was.
    pub(super) fn open(
        &self,
        site: &Site<'_>,
        policy: &UpdatePolicy,
        url: &str,
    ) -> Result<OpenRelease, XeError> {
        let system = self.system;
        let shown = shown_url(url);
        let dir = self.places.updates.join("repository");
        let own = |error: &FileError| XeError::system(error);
        remove_folder(site, &dir)?;
        for name in [METADATA_DIR, TARGETS_DIR] {
            system
                .create_dir_all(&dir.join(name))
                .map_err(|e| own(&e))?;
        }
        let trusted_root = system
            .read_file(&self.places.trusted_root)
            .map_err(|e| own(&e))?;
        let download = self.download(policy, "what the update repository holds");
        let get = |file: &str, may_end: bool| {
            match download.get(&format!("{url}/{file}"), &mut |_| {}) {
                Ok(bytes) => Ok(Some(bytes)),
                // An object store may say so of what is not there.
                Err(FetchError::Refused {
                    status: Some(404 | 403),
                    ..
                }) if may_end => Ok(None),
                Err(error) => Err(GetError::Fetch(error)),
            }
        };
        let keep = |file: &str, bytes: &[u8]| {
            system
                .write_file(&dir.join(file), bytes, 0o644)
                .map_err(GetError::File)
        };
        fetch_metadata(&trusted_root, get, keep).map_err(|error| match error {
            MetadataError::Get(GetError::Fetch(error)) => unreachable(&error),
            MetadataError::Get(GetError::File(error)) => own(&error),
            MetadataError::NoRelease { file } => untrusted(
                &shown,
                &format!(
                    "{file} is not there, or is not what such a file is; is this the folder with {METADATA_DIR} and {TARGETS_DIR} \
                     in it?"
                ),
            ),
            MetadataError::Endless => {
                untrusted(&shown, "there is more metadata than any release has")
            }
        })?;
        let seen = self.seen(site)?;
        Repository::open(
            &trusted_root,
            &Source::Directory(dir),
            &Policy::network(seen),
        )
        .map_err(|error| untrusted(&shown, &chain(&error)))
    }

    /// The newest versions that this repository gave: what is older is somebody's who holds updates back. The time of the last
    /// look is one of them, unless the clock follows a time server: one that once ran ahead would end all updates.
    fn seen(&self, site: &Site<'_>) -> Result<PathBuf, XeError> {
        let seen = self.places.updates.join("seen");
        let prepare = || {
            site.system.create_dir_all(&seen)?;
            match is_synchronized(site.system) {
                true => site.system.remove_file(&seen.join(CLOCK)),
                false => Ok(()),
            }
        };
        prepare().map_err(|e| XeError::system(&e))?;
        Ok(seen)
    }
}

/// What the repository offers to a host that runs `boot`; none where that is nothing newer.
pub(super) fn offered(
    release: &OpenRelease,
    boot: &BootRecord,
    bytes: Option<u64>,
) -> Option<Offered> {
    let manifest = &release.manifest;
    if !is_older(&boot.root.version, &manifest.version) {
        return None;
    }
    let info = release.hotfix.as_ref();
    Some(Offered {
        version: manifest.version.clone(),
        uuid: patch_uuid(&manifest.root.verity.root_hash),
        kind: info.map_or(HotfixKind::Feature, |info| info.kind),
        notes: info.map(|info| info.notes.clone()).unwrap_or_default(),
        cves: info.map(|info| info.cves.clone()).unwrap_or_default(),
        bytes,
        first_seen: 0,
        urgent: false,
    })
}

/// How long a server may say nothing.
pub const STALL: Duration = Duration::from_secs(60);
