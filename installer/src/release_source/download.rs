//! Fetching a release. Nothing is believed before the release is opened: until then files are only names that the next file
//! has, each limited in size; from then on sizes are signed.

use crate::choices::SourceChoice;
use crate::values::show_size;
use release::{
    Artifact, Error, Expiry, ExtraFiles, MAX_ALL_METADATA, MAX_METADATA, METADATA_DIR,
    MetadataError, OpenRelease, Policy, Repository, Source, TARGETS_DIR, fetch_metadata,
};
use std::path::Path;
use std::time::Duration;
use steps::fetch::{Download, FetchError};
use steps::system::{Command, FileError, RunError, System};

/// Where it is put, in memory.
pub const SOURCE_DIR: &str = "/run/bedplate/source";
/// Memory that must be left beside the release.
const SPARE: u64 = 256 * 1024 * 1024;

/// Why there is no release from the server.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file cannot be fetched.
    #[error("cannot fetch the release that [source] names; nothing was written")]
    Fetch(#[from] FetchError),
    /// A file cannot be written.
    #[error("cannot keep the release in memory")]
    File(#[from] FileError),
    /// A tool failed.
    #[error("cannot make room for the release")]
    Run(#[from] RunError),
    /// There is something else.
    #[error(
        "{file} of the release at {url} is not what such a file is; check that `url` in [source] is the folder with \
         {METADATA_DIR} and {TARGETS_DIR} in it"
    )]
    NoRelease {
        /// The file.
        file: String,
        /// Where it came from.
        url: String,
    },
    /// There is no end of it.
    #[error(
        "the server at {url} gives more than {} MiB of metadata, which no release has; check the URL in [source], and who answers \
         there", MAX_ALL_METADATA / 1048576
    )]
    Endless {
        /// Where it comes from.
        url: String,
    },
    /// It is not to be trusted, or too old.
    #[error("the release at {url} is not to be trusted; nothing was written")]
    Untrusted {
        /// Where it came from.
        url: String,
        /// Why.
        source: Error,
    },
    /// It does not fit.
    #[error(
        "the release at {url} has {} MiB, and {} MiB of memory are free; use a medium that holds the release, or leave [source] \
         out", needed / 1048576, free / 1048576
    )]
    Memory {
        /// Where it comes from.
        url: String,
        /// Bytes that it takes, with what must be left.
        needed: u64,
        /// Bytes that there are.
        free: u64,
    },
}

/// Fetches the release into `folder`. `trusted_root` is the public root that releases are signed under; `tell` hears of what
/// is fetched, `warn` of failed attempts.
///
/// # Errors
/// When it cannot be fetched, is not signed, has expired, or does not fit into memory.
pub fn download(
    system: &dyn System,
    source: &SourceChoice,
    trusted_root: &[u8],
    folder: &Path,
    pause: &dyn Fn(Duration),
    tell: &mut dyn FnMut(String),
    warn: &mut dyn FnMut(String),
) -> Result<OpenRelease, SourceError> {
    let base = source.url.expose().trim_end_matches('/');
    let shown = source.url.shown();
    let pin = source.pin.as_ref().map(ToString::to_string);
    let fetch = Download {
        pin: pin.as_deref(),
        ..Download::new(system, "the release", pause, MAX_METADATA)
    };
    // What an earlier run left may be of another release.
    system.run(
        &Command::new("rm")
            .args(["--recursive", "--force", "--"])
            .arg(folder),
    )?;
    for name in [METADATA_DIR, TARGETS_DIR] {
        system.create_dir_all(&folder.join(name))?;
    }
    let get = |file: &str, may_end: bool| -> Result<Option<Vec<u8>>, SourceError> {
        match fetch.get(&format!("{base}/{file}"), warn) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(FetchError::Refused {
                status: Some(404 | 403),
                ..
            }) if may_end => Ok(None),
            Err(error) => Err(error.into()),
        }
    };
    let keep = |file: &str, bytes: &[u8]| -> Result<(), SourceError> {
        Ok(system.write_file(&folder.join(file), bytes, 0o600)?)
    };
    fetch_metadata(trusted_root, get, keep).map_err(|error| match error {
        MetadataError::Get(error) => error,
        MetadataError::NoRelease { file } => SourceError::NoRelease {
            file,
            url: shown.clone(),
        },
        MetadataError::Endless => SourceError::Endless { url: shown.clone() },
    })?;

    let policy = Policy {
        expiry: Expiry::Enforced,
        extra_files: ExtraFiles::Ignored,
        datastore: None,
    };
    let release = Repository::open(trusted_root, &Source::Directory(folder.to_owned()), &policy)
        .map_err(|source| SourceError::Untrusted {
            url: shown.clone(),
            source,
        })?;
    let needed = release.total_size() + SPARE;
    if let Some(free) = free_memory(system)
        && free < needed
    {
        return Err(SourceError::Memory {
            url: shown,
            needed,
            free,
        });
    }
    for artifact in Artifact::ALL {
        let path = release.path(artifact);
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let size = release.info(artifact).size;
        tell(format!(
            "fetching {} of release {} from {shown}, {}",
            artifact.target_name(),
            release.manifest.version,
            show_size(size)
        ));
        let fetch = Download {
            max_bytes: size,
            ..fetch
        };
        fetch.save(&format!("{base}/{TARGETS_DIR}/{file}"), &path, warn)?;
    }
    Ok(release)
}

/// Bytes that programs can have without anything being pushed out (proc_meminfo(5), `MemAvailable`).
fn free_memory(system: &dyn System) -> Option<u64> {
    let text = system.read_file(Path::new("/proc/meminfo")).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
