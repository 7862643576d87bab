//! What is mounted where.

use std::io;
use std::path::{Path, PathBuf};

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Device or folder; the name of the file system type where there is neither (`tmpfs`).
    pub source: PathBuf,
    /// Where.
    pub target: PathBuf,
    /// `ext4`, `vfat`; none for a bind mount.
    pub fs_type: Option<String>,
    /// Read-only.
    pub read_only: bool,
    /// Devices, set-user-id bits and programs on it are ignored (`nodev`, `nosuid`, `noexec`).
    pub inert: bool,
    /// Comma-separated options of the file system: `umask=0077`.
    pub options: String,
}

impl Mount {
    /// A file system of a device.
    pub fn device(source: impl Into<PathBuf>, target: impl Into<PathBuf>, fs_type: &str) -> Self {
        Mount {
            source: source.into(),
            target: target.into(),
            fs_type: Some(fs_type.to_owned()),
            read_only: false,
            inert: false,
            options: String::new(),
        }
    }

    /// A folder seen at another place too.
    pub fn bind(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Mount {
            fs_type: None,
            ..Mount::device(source, target, "")
        }
    }

    /// Read-only.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// `nodev`, `nosuid`, `noexec`: for data of others.
    pub fn inert(mut self) -> Self {
        self.inert = true;
        self
    }

    /// Options of the file system.
    pub fn options(mut self, options: &str) -> Self {
        options.clone_into(&mut self.options);
        self
    }
}

/// A mount or unmount that failed.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// Mounting.
    #[error("cannot mount {mount_source} on {target} ({kind}){}", hint(source))]
    Mount {
        /// Device or folder.
        mount_source: PathBuf,
        /// Where.
        target: PathBuf,
        /// File system type or `bind`.
        kind: String,
        /// What the system said.
        source: io::Error,
    },
    /// Unmounting.
    #[error("cannot unmount {target}{}", hint(source))]
    Unmount {
        /// Where.
        target: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl MountError {
    pub(super) fn mount(mount: &Mount, source: io::Error) -> Self {
        MountError::Mount {
            mount_source: mount.source.clone(),
            target: mount.target.clone(),
            kind: mount.fs_type.clone().unwrap_or_else(|| "bind".to_owned()),
            source,
        }
    }

    pub(super) fn unmount(target: &Path, source: io::Error) -> Self {
        MountError::Unmount {
            target: target.to_owned(),
            source,
        }
    }
}

/// What to do next, for the errors whose text says little.
fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(nix::libc::EBUSY) => {
            "; something still uses it, `fuser -vm` on the mount point tells what"
        }
        Some(nix::libc::ENODEV) => "; the kernel does not know that file system type",
        Some(nix::libc::EINVAL) => {
            "; there is no such file system on it, or an option is wrong: see `dmesg`"
        }
        _ => "",
    }
}
