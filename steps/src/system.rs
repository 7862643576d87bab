//! The system seam: every command, mount and file outside of block devices goes through it.

mod child;
mod command;
mod files;
mod lock;
mod mount;
mod packages;
mod real;
mod recording;

pub use command::{Command, DEFAULT_TIMEOUT, Output, RunError};
pub use lock::{Held, Hold, LockError};
pub use mount::{Mount, MountError};
pub use packages::package_of;
pub use real::{Log, RealSystem};
pub use recording::{Call, RecordingSystem};

use std::io;
use std::path::{Path, PathBuf};

/// Files read through [`System::read_file`] are limited to this many bytes: nothing that an install reads whole is
/// larger, and a device node or a runaway log is.
pub const MAX_FILE: u64 = 64 * 1024 * 1024;

/// A file operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}")]
pub struct FileError {
    /// What was tried, as a verb: `write`, `read`.
    pub action: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Commands, mounts and files.
pub trait System: Send + Sync {
    /// Runs a command to its end. An exit status that the command does not name as good is an error.
    fn run(&self, command: &Command) -> Result<Output, RunError>;

    /// Mounts a file system; creates the mount point where it is missing.
    fn mount(&self, mount: &Mount) -> Result<(), MountError>;
    /// Unmounts; waits a little while the file system is busy.
    fn unmount(&self, target: &Path) -> Result<(), MountError>;

    /// Replaces a file in one step and makes it durable: after a power cut there is the old content or the new.
    fn write_file(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError>;
    /// Writes a file that nothing reads yet, durably: what is there goes first, and after a power cut there may be a part of it. For
    /// what is to be read back before it takes a place by [`move_file`](Self::move_file).
    ///
    /// # Errors
    /// When the old file cannot be removed, or the new one not written.
    fn write_new(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
        // For systems that have no power to lose.
        self.write_file(path, bytes, mode)
    }
    /// Replaces a file by all that `source` gives, in one step and durably, like [`write_file`](Self::write_file), whatever its
    /// size. Where reading fails, the old file stays. Returns its bytes.
    fn write_stream(
        &self,
        path: &Path,
        source: &mut dyn io::Read,
        mode: u32,
    ) -> Result<u64, FileError> {
        // For systems that keep their files in memory anyway.
        let mut bytes = Vec::new();
        source.read_to_end(&mut bytes).map_err(|source| FileError {
            action: "write",
            path: path.to_owned(),
            source,
        })?;
        self.write_file(path, &bytes, mode)?;
        Ok(bytes.len() as u64)
    }
    /// The content of a file, up to [`MAX_FILE`] bytes; more is an error.
    fn read_file(&self, path: &Path) -> Result<Vec<u8>, FileError>;
    /// Copies a file in one step and makes it durable, like [`write_file`](Self::write_file), whatever its size.
    /// Returns its bytes.
    fn copy_file(&self, from: &Path, to: &Path, mode: u32) -> Result<u64, FileError>;
    /// Creates a folder and those above it; existing ones are kept as they are.
    fn create_dir_all(&self, path: &Path) -> Result<(), FileError>;
    /// Makes `link` a symbolic link to `target`, replacing a link or file that is there.
    fn symlink(&self, target: &Path, link: &Path) -> Result<(), FileError>;
    /// Removes a file or link; one that does not exist is no error.
    fn remove_file(&self, path: &Path) -> Result<(), FileError>;
    /// Moves a file to another name on the same file system, over what is there, in one step and durably.
    fn move_file(&self, from: &Path, to: &Path) -> Result<(), FileError>;
    /// The same, but never over anything: where the name is taken, also since a moment ago, nothing is moved.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] where the name is taken; others as in [`move_file`](Self::move_file).
    fn move_new(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        // For systems that no other process sees.
        match self.exists(to) {
            true => Err(FileError {
                action: "move to",
                path: to.to_owned(),
                source: io::ErrorKind::AlreadyExists.into(),
            }),
            false => self.move_file(from, to),
        }
    }
    /// Sets the permission bits of a file or folder.
    fn set_mode(&self, path: &Path, mode: u32) -> Result<(), FileError>;
    /// The names in a folder, sorted.
    fn list_dir(&self, path: &Path) -> Result<Vec<String>, FileError>;
    /// True when `path` exists, links followed.
    fn exists(&self, path: &Path) -> bool;
    /// Bytes of a file; none where there is no such file.
    fn file_size(&self, path: &Path) -> Option<u64>;
    /// What `path` leads to, without symbolic links; `path` itself where it leads nowhere. Two names of one device have the
    /// same.
    fn real_path(&self, path: &Path) -> PathBuf;
    /// Takes the lock `path`, a file that is made where it is missing, or says at once who has it. `what` is what the next one
    /// is told.
    fn lock(&self, _path: &Path, _hold: Hold, _what: &str) -> Result<Held, LockError> {
        // For systems that no other process sees.
        Ok(Held::nothing())
    }
    /// Makes everything written to the file system of `path` durable.
    fn sync(&self, path: &Path) -> Result<(), FileError>;
}
