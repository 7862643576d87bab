//! Why a release could not be made, opened or trusted.

use crate::Artifact;
use std::io;
use std::path::PathBuf;
use tough::schema::RoleType;

/// What went wrong, to which thing, and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried, as a verb: `read`, `write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Keys are there already: they are never overwritten.
    #[error(
        "{path} exists already: signing keys are never overwritten, because every installed host trusts the old ones; \
         choose another folder, or move this one away yourself",
        path = path.display()
    )]
    KeysExist {
        /// The folder.
        path: PathBuf,
    },
    /// A key file holds no usable key, or signing failed.
    #[error("key {path}: {problem}; make keys with `image-build keys new`, or restore this file from its backup", path = path.display())]
    Key {
        /// The key file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A date is outside of what metadata can hold.
    #[error("{what} is {seconds} seconds since 1970, which is no valid date")]
    Date {
        /// Which date.
        what: &'static str,
        /// Seconds since 1970.
        seconds: u64,
    },
    /// A repository that is added to holds this version of a metadata file with other content.
    #[error("{path} exists with other content: give this release higher metadata versions", path = path.display())]
    VersionTaken {
        /// The metadata file.
        path: PathBuf,
    },
    /// The public root that this system trusts cannot be used.
    #[error(
        "the trusted root of this system is not usable: {problem}; take it again from the image of the release"
    )]
    TrustedRoot {
        /// What is wrong.
        problem: String,
    },
    /// A metadata file is not there.
    #[error("{file} is missing in the repository {path}: this is not a complete release; copy or write the medium again", path = path.display())]
    MetadataMissing {
        /// Name of the file.
        file: String,
        /// The metadata folder.
        path: PathBuf,
    },
    /// A metadata file is damaged: it cannot be parsed, is too long, or has another hash than the file above it says.
    #[error("{role} metadata of the release is damaged: {problem}; copy or write the medium again")]
    MetadataDamaged {
        /// Whose metadata.
        role: RoleType,
        /// What is wrong.
        problem: String,
    },
    /// A signature does not fit the keys that are trusted.
    #[error(
        "{role} metadata of the release is not signed by the keys that this system trusts ({problem}): \
         the release was changed, or made by somebody else; get it again from its source"
    )]
    Signature {
        /// Whose metadata.
        role: RoleType,
        /// What is wrong.
        problem: String,
    },
    /// The release is older than what this system has seen.
    #[error(
        "the release is older than one that this system has accepted before: {problem}; use the newer one"
    )]
    Rollback {
        /// Which version is older than which.
        problem: String,
    },
    /// The metadata expired, and the policy enforces that.
    #[error(
        "{problem}: the update server is out of date or somebody holds updates back; check the server and this host's clock"
    )]
    Expired {
        /// Which role.
        problem: String,
    },
    /// The clock of this host is behind the last time that it accepted a release.
    #[error("the clock of this host went backwards: {problem}; set the clock")]
    ClockBackwards {
        /// The two times.
        problem: String,
    },
    /// The metadata could not be verified for another reason.
    #[error("the release's metadata cannot be verified: {source}")]
    Metadata {
        /// What the TUF client says.
        source: Box<tough::error::Error>,
    },
    /// The manifest cannot be parsed, or contradicts itself or the signed metadata.
    #[error("release.json: {problem}; this release is broken, get another one")]
    Manifest {
        /// What is wrong.
        problem: String,
    },
    /// The file of a target is not there.
    #[error("{name} is missing: {path} does not exist; copy or write the medium again", path = path.display())]
    TargetMissing {
        /// Name of the target, for example `root.img`.
        name: String,
        /// Where its file should be.
        path: PathBuf,
    },
    /// The file of a target is a link, folder, pipe or device.
    #[error("{name} is refused: {path} is a {found}, not a regular file; copy or write the medium again", path = path.display())]
    TargetNotRegular {
        /// Name of the target.
        name: String,
        /// Its file.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// The file of a target cannot be read to its end.
    #[error(
        "cannot read {name} at byte {at} ({path}): {source}; the medium is damaged or was taken out: put it in again, or copy or \
         write it again",
        path = path.display()
    )]
    TargetUnreadable {
        /// Name of the target.
        name: String,
        /// Its file.
        path: PathBuf,
        /// Bytes that were read before.
        at: u64,
        /// The system's answer.
        source: io::Error,
    },
    /// The file of a target has the wrong size.
    #[error("{name} has {found} bytes where the signed release says {expected} ({path}): it is cut off or damaged; copy or write the medium again", path = path.display())]
    TargetSize {
        /// Name of the target.
        name: String,
        /// Its file.
        path: PathBuf,
        /// Bytes that the signed release says.
        expected: u64,
        /// Bytes that were found; at least one more than expected where the file grew while it was read.
        found: u64,
    },
    /// The file of a target has the wrong content.
    #[error(
        "{name} is damaged: {path} has SHA-256 {found} where the signed release says {expected}; \
         copy or write the medium again, and if it happens twice suspect the medium, the virtual drive or the memory",
        path = path.display()
    )]
    TargetHash {
        /// Name of the target.
        name: String,
        /// Its file.
        path: PathBuf,
        /// SHA-256 that the signed release says, lowercase hexadecimal.
        expected: String,
        /// SHA-256 that was found.
        found: String,
    },
    /// A file lies in the repository that the signed release does not list.
    #[error("{path} does not belong to the release: nothing signed lists it; remove it, or copy or write the medium again", path = path.display())]
    ExtraFile {
        /// The file.
        path: PathBuf,
    },
    /// A file is no hotfix, or damaged.
    #[error("this is no hotfix file, or it is damaged: {problem}; get it again from its source")]
    HotfixFile {
        /// What is wrong.
        problem: String,
    },
    /// To publish: the manifest and the given files do not fit.
    #[error("{artifact}: {problem}", artifact = artifact.target_name())]
    Unpublishable {
        /// Which artifact.
        artifact: Artifact,
        /// What does not fit.
        problem: String,
    },
}

impl Error {
    /// For `map_err` of file operations.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io {
            action,
            path,
            source,
        }
    }

    /// Sorts what the TUF client says into the cases that an operator can act on.
    pub(crate) fn from_tough(error: tough::error::Error, metadata: &std::path::Path) -> Error {
        use tough::error::Error as E;
        let problem = error.to_string();
        match error {
            E::ParseTrustedMetadata { .. } | E::VerifyTrustedMetadata { .. } => {
                Error::TrustedRoot { problem }
            }
            E::VerifyMetadata { role, source, .. } => Error::Signature {
                role,
                problem: source.to_string(),
            },
            E::ParseMetadata { role, source, .. } => Error::MetadataDamaged {
                role,
                problem: source.to_string(),
            },
            E::VersionMismatch { role, .. } => Error::MetadataDamaged { role, problem },
            E::Transport { source, url, .. } => {
                let file = url
                    .path_segments()
                    .and_then(|mut s| s.next_back())
                    .unwrap_or_default()
                    .to_owned();
                if source.kind() == tough::TransportErrorKind::FileNotFound {
                    return Error::MetadataMissing {
                        file,
                        path: metadata.to_owned(),
                    };
                }
                Error::MetadataDamaged {
                    role: role_of(&file),
                    problem: innermost(&source),
                }
            }
            E::OlderMetadata { .. }
            | E::OlderSnapshotInTimestamp { .. }
            | E::SnapshotRoleMissing { .. }
            | E::SnapshotRoleRollback { .. } => Error::Rollback { problem },
            E::ExpiredMetadata { .. } => Error::Expired { problem },
            E::SystemTimeSteppedBackward { .. } => Error::ClockBackwards { problem },
            other => Error::Metadata {
                source: Box::new(other),
            },
        }
    }
}

fn role_of(file: &str) -> RoleType {
    if file.ends_with("timestamp.json") {
        RoleType::Timestamp
    } else if file.ends_with("snapshot.json") {
        RoleType::Snapshot
    } else if file.ends_with("root.json") {
        RoleType::Root
    } else {
        RoleType::Targets
    }
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
