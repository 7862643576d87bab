//! The machine that is installed: its disks as they are now, and its block devices.

use hcl_checker::facts::Disk;
use hcl_checker::root::Root;
use slots::block::{Access, BlockDevice, FileDevice, OpenError};
use slots::env_block::{EnvBlock, EnvFileError};
use std::io;
use std::path::{Path, PathBuf};

/// What the lay-down needs of the machine, apart from commands and files.
pub trait Machine: Send + Sync {
    /// The facts about the disk at `path` as they are now; none when there is no such disk.
    fn disk(&self, path: &str) -> Option<Disk>;
    /// Opens a disk or partition.
    fn open(&self, path: &Path, access: Access) -> Result<Box<dyn BlockDevice>, OpenError>;
    /// True when `path` exists.
    fn has_device(&self, path: &Path) -> bool;
    /// Writes a block of the boot loader in place, durably.
    fn write_env(&self, path: &Path, block: &EnvBlock) -> Result<(), EnvFileError> {
        block.write_in_place(path)
    }
    /// Bytes that may still be written to the file system of `path`.
    fn free_space(&self, path: &Path) -> io::Result<u64> {
        let stat = nix::sys::statvfs::statvfs(path)?;
        Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
    }
    /// Random identities of what is made.
    fn random_guids(&self) -> slots::gpt::Guids {
        slots::gpt::Guids::random()
    }
}

/// The machine that the program runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealMachine;

impl Machine for RealMachine {
    fn disk(&self, path: &str) -> Option<Disk> {
        Disk::read(&Root::system(), path)
    }

    fn open(&self, path: &Path, access: Access) -> Result<Box<dyn BlockDevice>, OpenError> {
        Ok(Box::new(FileDevice::open(path, access)?))
    }

    fn has_device(&self, path: &Path) -> bool {
        path.exists()
    }
}

/// The device of partition `number` of the disk at `disk`, named as the kernel does (`disk_name` in block/partitions:
/// a `p` goes between when the name of the disk ends with a digit).
pub fn partition_path(disk: &str, number: u32) -> PathBuf {
    let between = if disk.ends_with(|c: char| c.is_ascii_digit()) {
        "p"
    } else {
        ""
    };
    format!("{disk}{between}{number}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_named_as_the_kernel_does() {
        assert_eq!(partition_path("/dev/sda", 3), Path::new("/dev/sda3"));
        assert_eq!(
            partition_path("/dev/nvme0n1", 3),
            Path::new("/dev/nvme0n1p3")
        );
        assert_eq!(
            partition_path("/dev/mmcblk0", 1),
            Path::new("/dev/mmcblk0p1")
        );
    }
}
