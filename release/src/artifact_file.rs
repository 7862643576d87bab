//! Opening files that somebody else may have laid out.

use nix::fcntl::OFlag;
use std::fs::{File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Why a file was not opened.
pub(crate) enum OpenFailure {
    /// There is nothing by that name.
    Missing,
    /// It is there but no regular file; the words say what it is.
    NotRegular(&'static str),
    /// The system refused.
    Io(io::Error),
}

/// Opens a regular file for reading and returns its size in bytes. Never follows a link in the last place of the path,
/// and never waits: opening a pipe without a writer would.
pub(crate) fn open_regular(path: &Path) -> Result<(File, u64), OpenFailure> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = match OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
    {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(OpenFailure::Missing),
        // O_NOFOLLOW answers ELOOP on a link; ENXIO comes from a socket.
        Err(e) => {
            return Err(match path.symlink_metadata() {
                Ok(meta) if !meta.is_file() => OpenFailure::NotRegular(kind(meta.file_type())),
                _ => OpenFailure::Io(e),
            });
        }
    };
    let meta = file.metadata().map_err(OpenFailure::Io)?;
    if !meta.is_file() {
        return Err(OpenFailure::NotRegular(kind(meta.file_type())));
    }
    Ok((file, meta.len()))
}

fn kind(file_type: FileType) -> &'static str {
    if file_type.is_symlink() {
        "symbolic link"
    } else if file_type.is_dir() {
        "folder"
    } else if file_type.is_fifo() {
        "pipe"
    } else if file_type.is_socket() {
        "socket"
    } else if file_type.is_block_device() || file_type.is_char_device() {
        "device"
    } else {
        "special file"
    }
}
