//! Debian trees by mmdebstrap from the locked packages, kept until the lock changes.

use crate::archive;
use crate::lock::{Lock, TreeLock, requested};
use crate::paths::Paths;
use crate::tool::{Tool, fresh_dir, remove_all};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// One tree to make.
#[derive(Debug)]
pub struct Bootstrap {
    /// Names the tree in messages and its package cache.
    pub name: &'static str,
    /// Where the tree goes.
    pub directory: PathBuf,
    /// Debian suite.
    pub suite: String,
    /// Archive components.
    pub components: Vec<String>,
    /// Packages beyond apt and the essential ones.
    pub packages: Vec<String>,
}

/// What trees are dated with: the day on which the layout of the image was fixed. A tree is kept over many commits, so it
/// must not depend on the date of one.
pub const FIXED_EPOCH: u64 = 1_763_769_600;

impl Bootstrap {
    /// Changes when the tree would come out differently (versions that had to be resolved anew aside).
    fn fingerprint(&self, paths: &Paths) -> Result<String> {
        let lock = Lock::read(&Lock::path(&paths.workspace))?;
        let packages = lock
            .0
            .get(self.name)
            .map(TreeLock::fingerprint)
            .unwrap_or_default();
        Ok(format!("3 {} {packages}", requested(self)))
    }

    /// Where it is written down which packages the finished tree was made from.
    pub fn stamp(&self) -> PathBuf {
        self.directory.with_extension("stamp")
    }
}

/// Makes the tree unless it is there already; true when it was made anew.
///
/// # Errors
/// When not run as root, packages cannot be had, or mmdebstrap fails.
pub fn bootstrap(paths: &Paths, wanted: &Bootstrap) -> Result<bool> {
    let (stamp, fingerprint) = (wanted.stamp(), wanted.fingerprint(paths)?);
    if wanted.directory.is_dir()
        && std::fs::read_to_string(&stamp).is_ok_and(|s| s.lines().next() == Some(&fingerprint))
    {
        return Ok(false);
    }
    require_root()?;
    if !Path::new("/usr/bin/mmdebstrap").exists() {
        bail!("mmdebstrap is not installed: `apt-get install mmdebstrap`, or run ./ci/setup");
    }
    let target = paths.target.to_string_lossy();
    if target.contains(|c: char| c.is_whitespace() || "'\"[]%".contains(c)) {
        bail!(
            "the path of the checkout holds a space, a quote or a bracket, which apt's list of sources cannot take: {target}"
        );
    }
    remove_all(&stamp)?;
    if let Some(parent) = wanted.directory.parent() {
        std::fs::create_dir_all(parent)?;
    }
    fresh_dir(&wanted.directory)?;
    let lock = archive::ensure(paths, wanted)?;
    let source = archive::make(paths, wanted, &lock)?;
    eprintln!(
        "making the {} tree from {} Debian packages",
        wanted.name,
        lock.packages.len()
    );
    let names: Vec<&str> = lock.packages.keys().map(String::as_str).collect();
    // In a mount namespace of its own: whatever a failing run leaves mounted is gone with it.
    Tool::host(paths, "unshare")
        .args(["--mount", "--propagation", "private", "--", "mmdebstrap"])
        .args(["--mode=root", "--variant=minbase", "--format=directory"])
        .arg("--aptopt=Apt::Install-Recommends \"false\"")
        .arg("--dpkgopt=force-confold")
        .arg("--aptopt=Acquire::Languages \"none\"")
        // The initrd is ours: initramfs-tools comes as a dependency and would spend a minute on one nobody boots.
        .arg("--essential-hook=mkdir -p \"$1\"/etc/initramfs-tools && echo update_initramfs=no > \"$1\"/etc/initramfs-tools/update-initramfs.conf")
        // The archive of this folder is no place to update from.
        .arg("--customize-hook=rm -f \"$1\"/etc/apt/sources.list")
        .arg(format!("--include={}", names.join(",")))
        .arg(&wanted.suite)
        .arg(&wanted.directory)
        .arg(source)
        // Accounts carry the day on which their password was last changed.
        .env("SOURCE_DATE_EPOCH", FIXED_EPOCH.to_string())
        .run()
        .with_context(|| format!("the {} tree could not be made", wanted.name))?;
    // The second line is for what is kept beside the tree: packages that had to be resolved anew are others each time.
    std::fs::write(&stamp, format!("{fingerprint}\n{}\n", lock.fingerprint()))?;
    Ok(true)
}

/// mmdebstrap, chroot and device nodes in the tree need root.
///
/// # Errors
/// When the effective user is another.
pub fn require_root() -> Result<()> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid = status
        .lines()
        .find_map(|l| l.strip_prefix("Uid:"))
        .and_then(|l| l.split_whitespace().nth(1));
    if uid != Some("0") {
        bail!("this needs root (device nodes and file owners of a Debian tree): run it by sudo");
    }
    Ok(())
}
