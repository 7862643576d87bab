//! Fetching a release. Nothing is believed before the release is opened: until then files are only names that the next file
//! has, each limited in size; from then on sizes are signed.

use crate::answer_source::{Download, FetchError};
use crate::choices::SourceChoice;
use release::{
    Artifact, Error, Expiry, ExtraFiles, MANIFEST, METADATA_DIR, OpenRelease, Policy, Repository,
    Source, TARGETS_DIR,
};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use steps::system::{Command, FileError, RunError, System};

/// Where it is put, in memory.
pub const SOURCE_DIR: &str = "/run/bedplate/source";
/// Metadata and the manifest have some kilobytes.
const MAX_METADATA: u64 = 1024 * 1024;
/// All of them together, before anything of it is known to be signed: they are kept in memory.
const MAX_ALL_METADATA: u64 = 16 * 1024 * 1024;
/// Memory that must be left beside the release.
const SPARE: u64 = 256 * 1024 * 1024;
/// Keys are not changed more often in the life of a release.
const MAX_ROOTS: u64 = 1000;

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
    let fetch = Download {
        system,
        what: "the release",
        pin: source.pin.as_ref(),
        pause,
        max_bytes: MAX_METADATA,
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
    let mut all = 0;
    let mut get = |file: &str| -> Result<Value, SourceError> {
        let bytes = fetch.get(&format!("{base}/{file}"), warn)?;
        all += bytes.len() as u64;
        if all > MAX_ALL_METADATA {
            return Err(SourceError::Endless { url: shown.clone() });
        }
        system.write_file(&folder.join(file), &bytes, 0o600)?;
        serde_json::from_slice(&bytes).map_err(|_| SourceError::NoRelease {
            file: file.to_owned(),
            url: shown.clone(),
        })
    };
    let no_release = |file: &str| SourceError::NoRelease {
        file: file.to_owned(),
        url: shown.clone(),
    };

    let trusted: Value = serde_json::from_slice(trusted_root).unwrap_or_default();
    let first = trusted["signed"]["version"].as_u64().unwrap_or(1);
    get(&format!("{METADATA_DIR}/{first}.root.json"))?;
    for version in first + 1..first + MAX_ROOTS {
        match get(&format!("{METADATA_DIR}/{version}.root.json")) {
            Ok(_) => {}
            // The last one is the one that no other follows.
            Err(SourceError::Fetch(FetchError::Refused {
                status: Some(404 | 403),
                ..
            })) => break,
            Err(error) => return Err(error),
        }
    }
    let version = |json: &Value, role: &str| json["signed"]["meta"][role]["version"].as_u64();
    let name = format!("{METADATA_DIR}/timestamp.json");
    let snapshot = version(&get(&name)?, "snapshot.json").ok_or_else(|| no_release(&name))?;
    let name = format!("{METADATA_DIR}/{snapshot}.snapshot.json");
    let targets = version(&get(&name)?, "targets.json").ok_or_else(|| no_release(&name))?;
    let name = format!("{METADATA_DIR}/{targets}.targets.json");
    let targets = get(&name)?;
    let hash = targets["signed"]["targets"][MANIFEST]["hashes"]["sha256"]
        .as_str()
        // It becomes a part of a path.
        .filter(|hash| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .ok_or_else(|| no_release(&name))?;
    get(&format!("{TARGETS_DIR}/{hash}.{MANIFEST}"))?;

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
            "fetching {} of release {} from {shown}, {} MiB",
            artifact.target_name(),
            release.manifest.version,
            size.div_ceil(1024 * 1024)
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
