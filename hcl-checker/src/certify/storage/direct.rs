//! A disk without the page cache.

use slots::block::{Access, BlockDevice, FileDevice, OpenError};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Alignment of memory, offsets and lengths for `O_DIRECT`: no disk that is sold asks for more (open(2)).
const ALIGN: usize = 4096;

/// Why a disk cannot be tested.
#[derive(Debug, Error)]
pub enum DirectError {
    /// It is no disk.
    #[error("{path} is no block device")]
    NoDisk {
        /// What was named.
        path: PathBuf,
    },
    /// It cannot be claimed.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be opened without the cache.
    #[error("{path} cannot be opened with O_DIRECT: {source}")]
    Direct {
        /// What was named.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A block device that is claimed exclusively and goes past the page cache. Offsets and lengths must be multiples of
/// 4096 bytes.
#[derive(Debug)]
pub struct DirectDevice {
    /// Holds the claim: the kernel refuses it while a file system, LVM, md or device mapper uses the disk, and refuses them
    /// while it holds.
    claim: Arc<FileDevice>,
    file: File,
    /// More than is needed, so that an aligned part fits.
    buffer: Vec<u8>,
}

impl DirectDevice {
    /// Opens a disk, partition or volume.
    ///
    /// # Errors
    /// It is no block device, it is in use, or it knows no `O_DIRECT`.
    pub fn open(path: &Path) -> Result<Self, DirectError> {
        let direct = |source| DirectError::Direct {
            path: path.to_owned(),
            source,
        };
        let kind = std::fs::metadata(path).map_err(direct)?.file_type();
        if !kind.is_block_device() {
            return Err(DirectError::NoDisk {
                path: path.to_owned(),
            });
        }
        let claim = FileDevice::open(path, Access::Exclusive)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(nix::libc::O_DIRECT)
            .open(path)
            .map_err(direct)?;
        Ok(Self {
            claim: Arc::new(claim),
            file,
            buffer: Vec::new(),
        })
    }

    /// The same disk for another thread.
    ///
    /// # Errors
    /// The system has no more file descriptors.
    pub fn again(&self) -> io::Result<Self> {
        Ok(Self {
            claim: self.claim.clone(),
            file: self.file.try_clone()?,
            buffer: Vec::new(),
        })
    }

    /// `length` aligned bytes.
    fn aligned(buffer: &mut Vec<u8>, length: usize) -> &mut [u8] {
        if buffer.len() < length + ALIGN {
            buffer.resize(length + ALIGN, 0);
        }
        let start = buffer.as_ptr().addr().next_multiple_of(ALIGN) - buffer.as_ptr().addr();
        &mut buffer[start..start + length]
    }
}

impl BlockDevice for DirectDevice {
    fn size(&self) -> u64 {
        self.claim.size()
    }

    fn sector_size(&self) -> u32 {
        self.claim.sector_size()
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let aligned = Self::aligned(&mut self.buffer, buf.len());
        self.file.read_exact_at(aligned, offset)?;
        buf.copy_from_slice(aligned);
        Ok(())
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let aligned = Self::aligned(&mut self.buffer, data.len());
        aligned.copy_from_slice(data);
        self.file.write_all_at(aligned, offset)
    }

    fn flush(&mut self) -> io::Result<()> {
        // Past the page cache there is still the disk's own.
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_at_every_length() {
        let mut buffer = Vec::new();
        for length in [4096, 512, 1 << 20, 8192] {
            let part = DirectDevice::aligned(&mut buffer, length);
            assert_eq!((part.len(), part.as_ptr().addr() % ALIGN), (length, 0));
        }
    }

    #[test]
    fn files_and_folders_are_no_disks() {
        let folder = tempfile::tempdir().expect("temp dir");
        let error = DirectDevice::open(folder.path()).expect_err("a folder");
        assert!(error.to_string().ends_with("is no block device"), "{error}");
        let error = DirectDevice::open(Path::new("/dev/no-such-disk")).expect_err("nothing");
        assert!(error.to_string().contains("/dev/no-such-disk"), "{error}");
    }
}
