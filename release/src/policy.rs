//! How strictly a repository is opened.

use std::path::PathBuf;

/// What to do about metadata that expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Refuse it: for what comes over the network, where somebody may hold updates back.
    Enforced,
    /// Accept it and say so in [`OpenRelease::expired`](crate::OpenRelease::expired): for a medium or file in the operator's hand, which must install
    /// years later and on machines whose clock is wrong.
    Told,
}

/// What to do about files in `targets/` that nothing signed lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtraFiles {
    /// Refuse them: a medium holds one release and nothing else.
    Refused,
    /// Leave them alone: an update server keeps earlier releases.
    Ignored,
}

/// How strictly a repository is opened. Signatures, hashes, sizes and versions are always enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What to do about metadata that expired.
    pub expiry: Expiry,
    /// What to do about unlisted files.
    pub extra_files: ExtraFiles,
    /// A folder that remembers the versions seen before, so that an older release is refused as a rollback. It must
    /// exist. Without one, nothing is remembered.
    pub datastore: Option<PathBuf>,
}

impl Policy {
    /// For a medium or file in the operator's hand: expiry is told, unlisted files are refused, nothing is remembered.
    pub fn medium() -> Policy {
        Policy {
            expiry: Expiry::Told,
            extra_files: ExtraFiles::Refused,
            datastore: None,
        }
    }

    /// For a hotfix file in the operator's hand: as [`Policy::medium`], and versions are remembered in `datastore`, so that
    /// an older release is refused.
    pub fn hotfix(datastore: PathBuf) -> Policy {
        Policy {
            datastore: Some(datastore),
            ..Policy::medium()
        }
    }

    /// For an update server: expiry is enforced, unlisted files are ignored, versions are remembered in `datastore`.
    pub fn network(datastore: PathBuf) -> Policy {
        Policy {
            expiry: Expiry::Enforced,
            extra_files: ExtraFiles::Ignored,
            datastore: Some(datastore),
        }
    }
}
