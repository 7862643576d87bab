//! Locks between processes.

use super::FileError;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::any::Any;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// How a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Others may hold it like this at the same time.
    Shared,
    /// Nobody else holds it.
    Alone,
}

/// A lock that is held while this exists. The kernel lets go of it when the process ends, however that happens.
pub struct Held(#[allow(dead_code)] Box<dyn Any + Send + Sync>);

impl Held {
    pub(super) fn new(lock: impl Any + Send + Sync) -> Held {
        Held(Box::new(lock))
    }

    /// One that keeps nobody out: for systems that no other process sees.
    pub fn nothing() -> Held {
        Held::new(())
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Held")
    }
}

/// A lock that is not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error("held by another process: {by}")]
    Taken {
        /// What the last one that took it said that it does; empty where that is not known.
        by: String,
    },
    /// The file of the lock cannot be used.
    #[error(transparent)]
    File(FileError),
}

/// Bytes of what the holder says that are read.
const SAID: u64 = 200;

/// flock(2) of the file `path`, which is made where it is missing and stays.
pub(super) fn lock(path: &Path, hold: Hold, what: &str) -> Result<Held, LockError> {
    let failed = |source: io::Error| {
        LockError::File(FileError {
            action: "lock",
            path: path.to_owned(),
            source,
        })
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(failed)?;
    let arg = match hold {
        Hold::Shared => FlockArg::LockSharedNonblock,
        Hold::Alone => FlockArg::LockExclusiveNonblock,
    };
    match Flock::lock(file, arg) {
        Ok(mut held) => {
            // For whoever comes second; the lock holds without it.
            let _ = say(&mut held, what);
            Ok(Held::new(held))
        }
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let mut by = String::new();
            let _ = (&mut file).take(SAID).read_to_string(&mut by);
            Err(LockError::Taken {
                by: by.trim().to_owned(),
            })
        }
        Err((_, errno)) => Err(failed(errno.into())),
    }
}

fn say(file: &mut File, what: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    write!(file, "{what}, process {}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RealSystem, RecordingSystem, System};

    #[test]
    fn some_share_and_one_is_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/lock");
        let systems: [&dyn System; 2] = [&RealSystem::silent(), &RecordingSystem::new()];
        for system in systems {
            let first = system.lock(&path, Hold::Shared, "first").unwrap();
            let second = system.lock(&path, Hold::Shared, "second").unwrap();
            drop(first);
            let error = system.lock(&path, Hold::Alone, "third").unwrap_err();
            assert!(error.to_string().contains("second"), "{error}");
            drop(second);
            let alone = system.lock(&path, Hold::Alone, "third").unwrap();
            for hold in [Hold::Shared, Hold::Alone] {
                let error = system.lock(&path, hold, "fourth").unwrap_err();
                assert!(
                    matches!(&error, LockError::Taken { by } if by.starts_with("third")),
                    "{error}"
                );
            }
            drop(alone);
            system.lock(&path, Hold::Shared, "fifth").unwrap();
        }
    }

    #[test]
    fn what_the_holder_started_does_not_keep_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let system = RealSystem::silent();
        let held = system.lock(&path, Hold::Alone, "first").unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        drop(held);
        let second = system.lock(&path, Hold::Alone, "second");
        child.kill().unwrap();
        child.wait().unwrap();
        second.unwrap();
    }

    #[test]
    fn a_lock_that_cannot_be_made_is_told_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file/lock");
        fs::write(dir.path().join("file"), "").unwrap();
        let error = RealSystem::silent()
            .lock(&path, Hold::Alone, "")
            .unwrap_err();
        assert!(error.to_string().contains("file/lock"), "{error}");
    }
}
