//! Files of the release on a file system, compared with what was signed after they came back from the disk.

use super::Origin;
use release::{Artifact, OpenRelease};
use std::path::{Path, PathBuf};
use steps::StepError;
use steps::system::{Command, System};

/// What was read back is not what was signed.
#[derive(Debug, thiserror::Error)]
#[error("{path} reads back with another SHA-256 than the release says; the disk cannot be trusted")]
pub struct ReadBackError {
    /// The file.
    pub path: PathBuf,
}

/// Copies an artifact to `path`, whose folder must exist.
pub fn copy(
    system: &dyn System,
    release: &OpenRelease,
    origin: &Origin,
    artifact: Artifact,
    path: &Path,
) -> Result<(), StepError> {
    let from = release.path(artifact);
    let copied = system.copy_file(&from, path, 0o600);
    copied.map(drop).map_err(|error| match error.path == from {
        true => origin.failed(error),
        false => error.into(),
    })
}

/// Compares the file at `path` with the artifact. Only what was unmounted and mounted again since it was written comes
/// from the disk and not from memory.
pub fn compare(
    system: &dyn System,
    release: &OpenRelease,
    artifact: Artifact,
    path: &Path,
) -> Result<(), StepError> {
    let output = system
        .run(&Command::new("sha256sum").arg("--binary").arg(path))?
        .text();
    let found = output.split_ascii_whitespace().next().unwrap_or_default();
    if found != release.info(artifact).sha256 {
        return Err(ReadBackError {
            path: path.to_owned(),
        }
        .into());
    }
    Ok(())
}
