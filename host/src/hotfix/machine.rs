//! The seam to disks and the boot loader.

use slots::block::{Access, BlockDevice, FileDevice, OpenError};
use slots::env_block::{EnvBlock, EnvFileError};
use std::io;
use std::path::Path;

/// What hotfixes need of the machine, apart from commands and files.
pub trait Machine: Send + Sync {
    /// Opens a disk, a partition, or a large file.
    fn open(&self, path: &Path, access: Access) -> Result<Box<dyn BlockDevice + Send>, OpenError>;
    /// Writes a block of the boot loader in place, durably.
    fn write_env(&self, path: &Path, block: &EnvBlock) -> Result<(), EnvFileError>;
    /// Bytes that may still be written to the file system of `path`.
    fn free_space(&self, path: &Path) -> io::Result<u64>;
}

/// The machine that the program runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealMachine;

impl Machine for RealMachine {
    fn open(&self, path: &Path, access: Access) -> Result<Box<dyn BlockDevice + Send>, OpenError> {
        Ok(Box::new(FileDevice::open(path, access)?))
    }

    fn write_env(&self, path: &Path, block: &EnvBlock) -> Result<(), EnvFileError> {
        block.write_in_place(path)
    }

    fn free_space(&self, path: &Path) -> io::Result<u64> {
        let stat = nix::sys::statvfs::statvfs(path)?;
        Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
    }
}
