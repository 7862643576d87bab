//! Makes a file readable as a block device.
#![allow(
    unsafe_code,
    reason = "loop devices are reached by ioctl only; each call says why it is sound"
)]

use anyhow::{Context, Result};
use nix::{ioctl_none_bad, ioctl_write_ptr_bad};
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// `LO_FLAGS_READ_ONLY` of <linux/loop.h>.
const READ_ONLY: u32 = 1;

/// Bytes of the device's sectors: the block size of the root image, so that no read is for less.
const SECTOR: u32 = 4096;

/// `struct loop_info64` of <linux/loop.h>.
#[repr(C)]
struct LoopInfo64 {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config` of <linux/loop.h>.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo64,
    reserved: [u64; 8],
}

// The kernel reads these by offset: a wrong layout must not compile.
const _: () = assert!(size_of::<LoopInfo64>() == 232 && size_of::<LoopConfig>() == 304);

ioctl_none_bad!(
    /// `LOOP_CTL_GET_FREE`
    loop_ctl_get_free, 0x4c82
);
ioctl_write_ptr_bad!(
    /// `LOOP_CONFIGURE`
    loop_configure, 0x4c0a, LoopConfig
);

/// Makes a read-only loop device of `file` and returns its node. It stays when this process is gone.
///
/// # Errors
/// The file cannot be opened, or there is no loop device to be had.
pub fn attach(file: &Path) -> Result<PathBuf> {
    let backing = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    let control = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/loop-control")
        .context("cannot open /dev/loop-control: is loop in the initrd?")?;
    // SAFETY: the descriptor is open and the call has no argument.
    let number =
        unsafe { loop_ctl_get_free(control.as_raw_fd()) }.context("no loop device is free")?;
    let node = PathBuf::from(format!("/dev/loop{number}"));
    let device = File::open(&node).with_context(|| format!("cannot open {}", node.display()))?;
    let config = LoopConfig {
        fd: u32::try_from(backing.as_raw_fd()).context("a file descriptor is negative")?,
        block_size: SECTOR,
        info: LoopInfo64 {
            device: 0,
            inode: 0,
            rdevice: 0,
            offset: 0,
            size_limit: 0,
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags: READ_ONLY,
            // What `losetup` shows; the kernel takes the file from the descriptor.
            file_name: truncated(file),
            crypt_name: [0; 64],
            encrypt_key: [0; 32],
            init: [0; 2],
        },
        reserved: [0; 8],
    };
    // SAFETY: both descriptors are open, and the kernel reads one struct loop_config, whose layout is asserted above.
    unsafe { loop_configure(device.as_raw_fd(), &config) }
        .with_context(|| format!("cannot attach {} to {}", file.display(), node.display()))?;
    Ok(node)
}

/// The path in 63 bytes and a zero.
fn truncated(file: &Path) -> [u8; 64] {
    let mut name = [0; 64];
    for (to, from) in name[..63]
        .iter_mut()
        .zip(file.as_os_str().as_encoded_bytes())
    {
        *to = *from;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::truncated;
    use std::path::Path;

    #[test]
    fn long_paths_end_in_a_zero() {
        let name = truncated(Path::new(&"x".repeat(100)));
        assert_eq!(&name[..63], [b'x'; 63]);
        assert_eq!(name[63], 0);
        assert_eq!(&truncated(Path::new("/a"))[..3], b"/a\0");
    }
}
