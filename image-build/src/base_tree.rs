//! Debian trees by mmdebstrap, with downloads cached and the tree kept until its package list changes.

use crate::paths::Paths;
use crate::tool::{Tool, fresh_dir, remove_all};
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
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

impl Bootstrap {
    /// Changes when the tree would come out differently (newer package versions aside).
    fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(format!(
            "2\n{}\n{:?}\n{:?}\n",
            self.suite, self.components, self.packages
        ));
        hex::encode(hash.finalize())
    }

    fn stamp(&self) -> PathBuf {
        self.directory.with_extension("stamp")
    }
}

/// Makes the tree unless it is there already; true when it was made anew.
///
/// # Errors
/// When not run as root, or mmdebstrap fails.
pub fn bootstrap(paths: &Paths, wanted: &Bootstrap) -> Result<bool> {
    let stamp = wanted.stamp();
    if wanted.directory.is_dir()
        && std::fs::read_to_string(&stamp).is_ok_and(|s| s == wanted.fingerprint())
    {
        return Ok(false);
    }
    require_root()?;
    if !Path::new("/usr/bin/mmdebstrap").exists() {
        bail!("mmdebstrap is not installed: `apt-get install mmdebstrap`, or run ./ci/setup");
    }
    eprintln!(
        "making the {} tree from {} Debian packages",
        wanted.name,
        wanted.packages.len()
    );
    remove_all(&stamp)?;
    if let Some(parent) = wanted.directory.parent() {
        std::fs::create_dir_all(parent)?;
    }
    fresh_dir(&wanted.directory)?;
    let cache = paths.package_cache(wanted.name);
    std::fs::create_dir_all(cache.join("partial"))?;
    let cache = cache
        .to_str()
        .context("the path of the checkout is not UTF-8")?;
    if cache.contains(['\'', ' ']) {
        bail!(
            "the path of the checkout holds a space or a quote, which mmdebstrap's hooks cannot take: {cache}"
        );
    }
    // In a mount namespace of its own: whatever a failing run leaves mounted is gone with it, and the next build cannot
    // remove files through a forgotten bind mount.
    Tool::host(paths, "unshare")
        .args(["--mount", "--propagation", "private", "--", "mmdebstrap"])
        .args(["--mode=root", "--variant=minbase", "--format=directory"])
        .arg(format!("--components={}", wanted.components.join(",")))
        .arg("--aptopt=Apt::Install-Recommends \"false\"")
        .arg("--dpkgopt=force-confold")
        .arg("--aptopt=Acquire::Languages \"none\"")
        // The packages are kept: a later build, or one without a network, installs the same ones.
        .args(["--skip=download/empty", "--skip=essential/unlink"])
        .arg("--setup-hook=mkdir -p \"$1\"/var/cache/apt/archives")
        .arg(format!("--setup-hook=mount --bind '{cache}' \"$1\"/var/cache/apt/archives"))
        // The initrd is ours: initramfs-tools comes as a dependency and would spend a minute on one nobody boots.
        .arg("--essential-hook=mkdir -p \"$1\"/etc/initramfs-tools && echo update_initramfs=no > \"$1\"/etc/initramfs-tools/update-initramfs.conf")
        .arg("--customize-hook=umount \"$1\"/var/cache/apt/archives")
        .arg(format!("--include={}", wanted.packages.join(",")))
        .arg(&wanted.suite)
        .arg(&wanted.directory)
        .run()
        .with_context(|| format!("the {} tree could not be made", wanted.name))?;
    std::fs::write(&stamp, wanted.fingerprint())?;
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
