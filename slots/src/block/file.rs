//! Real disks, and disk images in files.

use super::{BlockDevice, check_read, check_write};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::stat::{major, minor};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes of a page of the page cache; ranges to drop are widened to it, because the kernel keeps a page that is
/// only partly covered.
const PAGE: u64 = 4096;

/// How a [`FileDevice`] is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading only. Writes fail.
    ReadOnly,
    /// Reading and writing.
    Write,
    /// Reading and writing, and refused by the kernel when a file system, LVM, md or device mapper uses the disk or
    /// one of its partitions (`O_EXCL` on a block device). What an install opens its target with.
    Exclusive,
}

/// Why a device could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk is in use.
    #[error(
        "{path} is in use: a file system, LVM, RAID or device mapper holds it or a part of it; \
         unmount it or stop what uses it, `lsblk {path}` shows what that is"
    )]
    Busy {
        /// The device.
        path: PathBuf,
    },
    /// The path is neither a block device nor a regular file.
    #[error("{path} is neither a block device nor a regular file")]
    Kind {
        /// The path.
        path: PathBuf,
    },
    /// Opening or asking for its properties failed.
    #[error("cannot open {path}")]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The sector size is not one that Bedplate handles.
    #[error("{path} has logical sectors of {found} bytes; only 512 and 4096 are supported")]
    SectorSize {
        /// The device.
        path: PathBuf,
        /// What it said.
        found: u32,
    },
}

/// A block device (`/dev/sda`, `/dev/nvme0n1p3`) or a regular file that holds a disk image.
///
/// Goes through the page cache; [`BlockDevice::flush`] is `fdatasync`, which for a block device also empties the
/// cache of the disk.
#[derive(Debug)]
pub struct FileDevice {
    file: File,
    size: u64,
    sector_size: u32,
}

impl FileDevice {
    /// Opens `path`. A regular file has 512-byte sectors unless [`with_sector_size`](Self::with_sector_size) says
    /// otherwise; a block device knows its own.
    pub fn open(path: &Path, access: Access) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io {
            path: path.to_owned(),
            source,
        };
        let kind = fs::metadata(path).map_err(io)?.file_type();
        if !kind.is_block_device() && !kind.is_file() {
            return Err(OpenError::Kind {
                path: path.to_owned(),
            });
        }
        let mut options = OpenOptions::new();
        options.read(true).write(access != Access::ReadOnly);
        if access == Access::Exclusive && kind.is_block_device() {
            options.custom_flags(nix::libc::O_EXCL);
        }
        let mut file = options
            .open(path)
            .map_err(|source| match source.raw_os_error() {
                Some(nix::libc::EBUSY) => OpenError::Busy {
                    path: path.to_owned(),
                },
                _ => io(source),
            })?;
        // Asked of the open file, not of the path: the path may have come to mean something else since.
        let metadata = file.metadata().map_err(io)?;
        let sector_size = match metadata.file_type().is_block_device() {
            true => sysfs_sector_size(Path::new("/sys"), metadata.rdev()).map_err(io)?,
            false => 512,
        };
        if !matches!(sector_size, 512 | 4096) {
            return Err(OpenError::SectorSize {
                path: path.to_owned(),
                found: sector_size,
            });
        }
        let size = file.seek(SeekFrom::End(0)).map_err(io)?;
        Ok(FileDevice {
            file,
            size,
            sector_size,
        })
    }

    /// Treats a disk image as a disk with sectors of `sector_size` bytes.
    pub fn with_sector_size(mut self, sector_size: u32) -> Self {
        self.sector_size = sector_size;
        self
    }
}

/// Logical sector size of block device `rdev` in bytes. A partition has no queue of its own: its disk's is used.
///
/// Source: Linux `Documentation/ABI/stable/sysfs-block`, `queue/logical_block_size`. Read there and not by the ioctl
/// `BLKSSZGET`, which would need unsafe code for the same number.
fn sysfs_sector_size(sys: &Path, rdev: u64) -> io::Result<u32> {
    let node = sys
        .join("dev/block")
        .join(format!("{}:{}", major(rdev), minor(rdev)));
    let own = node.join("queue/logical_block_size");
    // /sys/dev/block/8:1 is a link to .../block/sda/sda1, so `..` of its target is the disk.
    let disk = fs::canonicalize(&node)?.join("../queue/logical_block_size");
    let text = fs::read_to_string(if own.exists() { own } else { disk })?;
    text.trim().parse().map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("logical_block_size is {:?}", text.trim()),
        )
    })
}

impl BlockDevice for FileDevice {
    fn size(&self) -> u64 {
        self.size
    }
    fn sector_size(&self) -> u32 {
        self.sector_size
    }
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        check_read(self.size, offset, buf.len())?;
        self.file.read_exact_at(buf, offset)
    }
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        // A regular file would grow.
        check_write(self.size, offset, data.len())?;
        self.file.write_all_at(data, offset)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
    fn drop_cache(&mut self, offset: u64, len: u64) -> io::Result<()> {
        let start = offset / PAGE * PAGE;
        let end = offset
            .saturating_add(len)
            .checked_next_multiple_of(PAGE)
            .unwrap_or(u64::MAX);
        let signed = |n: u64| i64::try_from(n).map_err(io::Error::other);
        if start < end {
            posix_fadvise(
                &self.file,
                signed(start)?,
                signed(end - start)?,
                PosixFadviseAdvice::POSIX_FADV_DONTNEED,
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn image(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.img");
        fs::write(&path, bytes).unwrap();
        (dir, path)
    }

    #[test]
    fn writes_what_is_read_and_never_grows_the_file() {
        let (_dir, path) = image(&[0; 8192]);
        let mut device = FileDevice::open(&path, Access::Exclusive).unwrap();
        assert_eq!((device.size(), device.sector_size()), (8192, 512));
        device.write_at(8000, &[7; 192]).unwrap();
        assert!(device.write_at(8000, &[7; 193]).is_err());
        device.flush().unwrap();
        device.drop_cache(8000, 192).unwrap();
        let mut back = [0; 192];
        device.read_at(8000, &mut back).unwrap();
        assert_eq!(back, [7; 192]);
        assert_eq!(fs::metadata(&path).unwrap().len(), 8192);
    }

    #[test]
    fn read_only_refuses_writes() {
        let (_dir, path) = image(&[1; 512]);
        let mut device = FileDevice::open(&path, Access::ReadOnly).unwrap();
        assert!(device.write_at(0, &[2]).is_err());
        assert_eq!(fs::read(&path).unwrap(), [1; 512]);
    }

    #[test]
    fn refuses_what_is_no_disk() {
        let err = FileDevice::open(Path::new("/dev/null"), Access::ReadOnly).unwrap_err();
        assert!(matches!(err, OpenError::Kind { .. }), "{err}");
        let err = FileDevice::open(Path::new("/nonexistent/disk"), Access::ReadOnly).unwrap_err();
        assert!(err.to_string().contains("/nonexistent/disk"), "{err}");
    }

    #[test]
    fn sector_size_of_a_partition_is_that_of_its_disk() {
        let sys = tempfile::tempdir().unwrap();
        let disk = sys.path().join("devices/block/sda");
        fs::create_dir_all(disk.join("queue")).unwrap();
        fs::create_dir_all(disk.join("sda1")).unwrap();
        fs::create_dir_all(sys.path().join("dev/block")).unwrap();
        fs::write(disk.join("queue/logical_block_size"), "4096\n").unwrap();
        symlink(&disk, sys.path().join("dev/block/8:0")).unwrap();
        symlink(disk.join("sda1"), sys.path().join("dev/block/8:1")).unwrap();
        let rdev = |minor| nix::sys::stat::makedev(8, minor);
        assert_eq!(sysfs_sector_size(sys.path(), rdev(0)).unwrap(), 4096);
        assert_eq!(sysfs_sector_size(sys.path(), rdev(1)).unwrap(), 4096);
        assert!(sysfs_sector_size(sys.path(), rdev(2)).is_err());
    }
}
