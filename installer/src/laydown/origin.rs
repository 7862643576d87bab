//! Where the release that is laid down is read from, for when it cannot be.

use slots::Medium;
use slots::writer::WriteError;
use steps::StepError;

/// Where the release is read from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origin {
    /// A folder that somebody named: what is read says enough.
    #[default]
    Folder,
    /// The medium at this device, which must stay in.
    Medium(String),
    /// Its copy in memory.
    Memory(String),
    /// It was fetched into memory, from this server.
    Server(String),
}

/// The release cannot be read, or is not what was signed.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// The medium is damaged, or somebody took it out.
    #[error(
        "the release cannot be taken from the medium {device}, which could not be copied into memory when this machine started and \
         so must stay in until the end: put it in again, or write it anew, and start from it"
    )]
    Medium {
        /// The device.
        device: String,
        /// What happened.
        source: StepError,
    },
    /// The medium was good when it was copied, or nobody had looked yet.
    #[error(
        "the release cannot be taken from its copy in memory, which was made from the medium {device} when this machine started: \
         start from the medium again; if it happens twice write the medium anew, and test the memory"
    )]
    Memory {
        /// The device.
        device: String,
        /// What happened.
        source: StepError,
    },
    /// What came was not what is there.
    #[error(
        "the release that was fetched from {url} cannot be taken from memory: start again; if it happens twice test the memory"
    )]
    Server {
        /// The server, without what may be a secret.
        url: String,
        /// What happened.
        source: StepError,
    },
}

impl Origin {
    /// Of a release on the medium that the live system was started from.
    pub fn of_medium(medium: Option<&Medium>) -> Self {
        match medium {
            None => Origin::Folder,
            Some(medium) if medium.in_memory => Origin::Memory(medium.device.clone()),
            Some(medium) => Origin::Medium(medium.device.clone()),
        }
    }

    /// What happened, with where the release should have come from and what to do.
    pub fn failed(&self, error: impl Into<StepError>) -> StepError {
        let source = error.into();
        match self.clone() {
            Origin::Folder => source,
            Origin::Medium(device) => OriginError::Medium { device, source }.into(),
            Origin::Memory(device) => OriginError::Memory { device, source }.into(),
            Origin::Server(url) => OriginError::Server { url, source }.into(),
        }
    }

    /// As [`Origin::failed`], for what a slot was written from; the slot itself is no matter of the release.
    pub fn failed_write(&self, error: WriteError) -> StepError {
        match error {
            WriteError::Source { .. }
            | WriteError::SourceSize { .. }
            | WriteError::SourceHash { .. } => self.failed(error),
            other => other.into(),
        }
    }
}
