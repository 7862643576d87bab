//! Makes the dm-verity device of the root.
#![allow(
    unsafe_code,
    reason = "device mapper is reached by ioctl only; each call says why it is sound"
)]

use anyhow::{Context, Result};
use nix::{ioctl_readwrite, sys::stat::makedev};
use slots::{Mode, RootIdentity};
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Name of the device.
const NAME: &str = "bedplate-root";

/// Bytes of a data or hash block.
const BLOCK: u64 = 4096;

/// Device mapper counts in sectors of this many bytes on every disk.
const SECTOR: u64 = 512;

/// Bytes for the parameters of a table line; ours take about 300.
const PARAMETERS: usize = 1024;

// Flags of struct dm_ioctl, from <linux/dm-ioctl.h>.
const DM_READONLY_FLAG: u32 = 1 << 0;

/// `struct dm_ioctl` of <linux/dm-ioctl.h>.
#[repr(C)]
struct DmIoctl {
    version: [u32; 3],
    data_size: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event_nr: u32,
    padding: u32,
    dev: u64,
    name: [u8; 128],
    uuid: [u8; 129],
    data: [u8; 7],
}

/// `struct dm_target_spec` of <linux/dm-ioctl.h>.
#[repr(C)]
struct DmTargetSpec {
    sector_start: u64,
    length: u64,
    status: i32,
    next: u32,
    target_type: [u8; 16],
}

/// A request to load a table with one target: what the kernel expects behind a [`DmIoctl`].
#[repr(C)]
struct TableLoad {
    head: DmIoctl,
    target: DmTargetSpec,
    parameters: [u8; PARAMETERS],
}

// The kernel reads these by offset: a wrong layout must not compile.
const _: () = assert!(size_of::<DmIoctl>() == 312 && size_of::<DmTargetSpec>() == 40);
const _: () = assert!(size_of::<TableLoad>() == 312 + 40 + PARAMETERS);

ioctl_readwrite!(
    /// `DM_DEV_CREATE`
    dm_dev_create, 0xfd, 3, DmIoctl
);
ioctl_readwrite!(
    /// `DM_DEV_SUSPEND`, which resumes unless its flag is set.
    dm_dev_suspend, 0xfd, 6, DmIoctl
);
ioctl_readwrite!(
    /// `DM_TABLE_LOAD`
    dm_table_load, 0xfd, 9, DmIoctl
);

/// What the kernel does when a block does not have its hash.
///
/// In a host it panics: the reason stays on the console for the seconds of `panic=`, the machine restarts, and the loader
/// counts a failed try. An I/O error alone could leave process 1 dead by SIGBUS in a machine that looks alive; and a
/// root that no longer is what was signed must not go on running guests. (`restart_on_corruption` would show nothing.)
///
/// In live and rescue someone stands before the machine, and the installer checks every artifact by itself: the read
/// fails, the kernel logs it, and the rest of the system stays usable to find out.
pub fn corruption_option(mode: Mode) -> Option<&'static str> {
    match mode {
        Mode::Host => Some("panic_on_corruption"),
        Mode::Live | Mode::Rescue => None,
    }
}

/// Parameters of the verity target (Linux `Documentation/admin-guide/device-mapper/verity.rst`): data and hash tree are
/// on the same device, the tree directly behind the data, without a superblock.
fn parameters(identity: &RootIdentity, number: &str, option: Option<&str>) -> String {
    let verity = &identity.verity;
    let salt = if verity.salt.is_empty() {
        "-"
    } else {
        &verity.salt
    };
    let mut line = format!(
        "1 {number} {number} {BLOCK} {BLOCK} {blocks} {blocks} sha256 {hash} {salt}",
        blocks = verity.data_blocks,
        hash = verity.root_hash,
    );
    if let Some(option) = option {
        line.push_str(&format!(" 1 {option}"));
    }
    line
}

/// Makes the device over the one with this `major:minor`, and returns its node.
///
/// # Errors
/// Device mapper or its verity target is missing, or the kernel refuses the table.
pub fn open(identity: &RootIdentity, number: &str, mode: Mode) -> Result<PathBuf> {
    let control = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/mapper/control")
        .context("cannot open /dev/mapper/control: is dm_mod in the initrd?")?;
    let device = create(&control).with_context(|| format!("cannot create the device {NAME}"))?;
    let line = parameters(identity, number, corruption_option(mode));
    load(&control, identity, &line).with_context(|| {
        format!("the kernel refuses the dm-verity table `{line}`: is dm_verity in the initrd, and the device whole?")
    })?;
    resume(&control).with_context(|| format!("cannot activate the device {NAME}"))?;
    let node = PathBuf::from(format!("/dev/dm-{}", nix::sys::stat::minor(device)));
    let link = Path::new("/dev/mapper").join(NAME);
    // The root is opened by its node; the name is for the people and tools of the running system.
    symlink(Path::new("..").join(node.strip_prefix("/dev")?), &link)
        .with_context(|| format!("cannot make {}", link.display()))?;
    Ok(node)
}

/// A request about our device, of `size` bytes in all.
fn head(size: usize) -> DmIoctl {
    let mut head = DmIoctl {
        version: [4, 0, 0],
        // The sizes of this file's own types.
        data_size: size as u32,
        data_start: size_of::<DmIoctl>() as u32,
        target_count: 0,
        open_count: 0,
        flags: DM_READONLY_FLAG,
        event_nr: 0,
        padding: 0,
        dev: 0,
        name: [0; 128],
        uuid: [0; 129],
        data: [0; 7],
    };
    head.name[..NAME.len()].copy_from_slice(NAME.as_bytes());
    head
}

/// Creates the device without a table and returns its number.
fn create(control: &File) -> nix::Result<u64> {
    let mut request = head(size_of::<DmIoctl>());
    // SAFETY: the descriptor is open, and the kernel reads and writes `data_size` bytes, the size of what it is given.
    unsafe { dm_dev_create(control.as_raw_fd(), &mut request) }?;
    // The number is in the kernel's own encoding (`new_encode_dev`), 12 bits major and 20 bits minor.
    let major = (request.dev >> 8) & 0xfff;
    let minor = (request.dev & 0xff) | ((request.dev >> 12) & 0xfff00);
    Ok(makedev(major, minor))
}

/// Loads the table of one verity target.
fn load(control: &File, identity: &RootIdentity, line: &str) -> Result<()> {
    let length = identity
        .verity
        .data_blocks
        .checked_mul(BLOCK / SECTOR)
        .context("the root image is too large")?;
    let mut request = TableLoad {
        head: head(size_of::<TableLoad>()),
        target: DmTargetSpec {
            sector_start: 0,
            length,
            status: 0,
            next: 0,
            target_type: *b"verity\0\0\0\0\0\0\0\0\0\0",
        },
        parameters: [0; PARAMETERS],
    };
    request.head.target_count = 1;
    // One byte less, so that a zero ends the text.
    request.parameters[..PARAMETERS - 1]
        .get_mut(..line.len())
        .context("the table line is too long")?
        .copy_from_slice(line.as_bytes());
    let request: *mut TableLoad = &mut request;
    // SAFETY: the descriptor is open. The pointer is to all of the request, whose first field is the DmIoctl (repr(C)),
    // and `data_size` in it is the size of the whole, which is what the kernel reads and writes.
    unsafe { dm_table_load(control.as_raw_fd(), request.cast()) }?;
    Ok(())
}

/// Makes the loaded table the active one.
fn resume(control: &File) -> nix::Result<()> {
    let mut request = head(size_of::<DmIoctl>());
    // SAFETY: as in `create`.
    unsafe { dm_dev_suspend(control.as_raw_fd(), &mut request) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use slots::Verity;

    fn identity(salt: &str) -> RootIdentity {
        RootIdentity {
            version: "0.1.0".to_owned(),
            image_name: "x.root.img".to_owned(),
            image_size: 5 * 4096,
            image_sha256: "00".repeat(32),
            verity: Verity {
                data_blocks: 3,
                salt: salt.to_owned(),
                root_hash: "ab".repeat(32),
            },
        }
    }

    #[test]
    fn table_line() {
        let hash = "ab".repeat(32);
        assert_eq!(
            parameters(&identity("c0ffee"), "259:3", corruption_option(Mode::Host)),
            format!("1 259:3 259:3 4096 4096 3 3 sha256 {hash} c0ffee 1 panic_on_corruption")
        );
        assert_eq!(
            parameters(&identity(""), "7:0", corruption_option(Mode::Live)),
            format!("1 7:0 7:0 4096 4096 3 3 sha256 {hash} -")
        );
        assert_eq!(corruption_option(Mode::Rescue), None);
    }

    #[test]
    fn the_head_says_its_own_size_and_name() {
        let head = head(size_of::<TableLoad>());
        assert_eq!(head.data_size as usize, size_of::<TableLoad>());
        assert_eq!(&head.name[..14], b"bedplate-root\0");
        assert_eq!(head.flags, DM_READONLY_FLAG);
    }
}
