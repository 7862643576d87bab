//! Makes the verified root the root directory, and gives the initrd's memory back.
//!
//! This happens as soon as the root is mounted, before the state partition is touched: from then on paths are what they
//! are in the running system, and the programs that are called (e2fsck, cp) come from the verified root.

use anyhow::{Context, Result};
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{FsType, TMPFS_MAGIC, fstatfs};
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chroot};
use std::path::Path;

/// Mounts of the initrd that the system goes on using; the root image has a folder for each.
const KEPT: [&str; 4] = ["dev", "proc", "sys", "run"];

/// File system of an initrd without `tmpfs` options, from <linux/magic.h>.
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// The initrd's own file system, after it ceased to be the root directory.
pub struct Initrd {
    folder: File,
}

/// Makes `new_root` the root directory of this process and moves the kept mounts there.
///
/// # Errors
/// The root image has no folder for one of the mounts, or the kernel refuses.
pub fn switch(new_root: &Path) -> Result<Initrd> {
    let folder = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_DIRECTORY.bits())
        .open("/")
        .context("cannot open the initrd's root directory")?;
    for name in KEPT {
        let (from, to) = (Path::new("/").join(name), new_root.join(name));
        move_mount(&from, &to).with_context(|| {
            format!(
                "cannot move {} to {}: is it in the root image?",
                from.display(),
                to.display()
            )
        })?;
    }
    std::env::set_current_dir(new_root)
        .with_context(|| format!("cannot enter {}", new_root.display()))?;
    // The initrd's root cannot be unmounted or pivoted away: the new one is laid over it (see util-linux switch_root).
    move_mount(Path::new("."), Path::new("/")).context("cannot lay the root over the initrd")?;
    chroot(".")
        .and_then(|()| std::env::set_current_dir("/"))
        .context("cannot make the root image the root directory")?;
    Ok(Initrd { folder })
}

fn move_mount(from: &Path, to: &Path) -> nix::Result<()> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_MOVE, None::<&str>)
}

impl Initrd {
    /// Removes all files of the initrd, which frees their memory. Does nothing unless they are in memory.
    ///
    /// # Errors
    /// Something could not be removed: memory is lost, and nothing else.
    pub fn remove(self) -> Result<()> {
        let kind = fstatfs(&self.folder)
            .context("cannot ask for the initrd's file system")?
            .filesystem_type();
        if kind != RAMFS_MAGIC && kind != TMPFS_MAGIC {
            return Ok(());
        }
        let device = self
            .folder
            .metadata()
            .context("cannot look at the initrd")?
            .dev();
        // No path leads there any more but this one.
        let folder = format!("/proc/self/fd/{}", self.folder.as_raw_fd());
        for entry in fs::read_dir(folder).context("cannot list the initrd")? {
            let entry = entry.context("cannot list the initrd")?;
            let metadata = entry.metadata().context("cannot look into the initrd")?;
            // Whatever else is mounted there is not the initrd's.
            if metadata.dev() != device {
                continue;
            }
            let path = entry.path();
            let removed = if metadata.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            removed.with_context(|| {
                format!(
                    "cannot remove /{} of the initrd",
                    entry.file_name().to_string_lossy()
                )
            })?;
        }
        Ok(())
    }
}
