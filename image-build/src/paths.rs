//! Where a build keeps things: everything under `target/`, nothing anywhere else.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// The folders of one checkout.
#[derive(Debug, Clone)]
pub struct Paths {
    /// Root of the workspace (the folder with `image-build/packages.toml`).
    pub workspace: PathBuf,
    /// `target/` of the workspace.
    pub target: PathBuf,
}

impl Paths {
    /// Finds the workspace at or above the current folder.
    ///
    /// # Errors
    /// When no folder upward holds `image-build/packages.toml`.
    pub fn find() -> Result<Paths> {
        let here = std::env::current_dir().context("the current folder cannot be read")?;
        for dir in here.ancestors() {
            if dir.join("image-build/packages.toml").is_file() {
                return Ok(Paths::at(dir));
            }
        }
        bail!(
            "no Bedplate checkout at or above {}: run image-build inside of one",
            here.display()
        )
    }

    /// The folders of the workspace at `workspace`.
    pub fn at(workspace: &Path) -> Paths {
        Paths {
            workspace: workspace.to_path_buf(),
            target: workspace.join("target"),
        }
    }

    /// Downloaded packages, kept between builds.
    pub fn package_cache(&self, name: &str) -> PathBuf {
        self.target.join("cache").join(name)
    }

    /// The Debian 13 root that build tools run from.
    pub fn tools_root(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// The tree that becomes the root image.
    pub fn tree(&self) -> PathBuf {
        self.target.join("root/tree")
    }

    /// Kernel, hypervisor and microcode as Debian installed them, moved out of the tree.
    pub fn boot_parts(&self) -> PathBuf {
        self.target.join("root/boot")
    }

    /// Logs of the tools.
    pub fn logs(&self) -> PathBuf {
        self.target.join("logs")
    }

    /// The artifacts of the release, under their target names, and `release.json`.
    pub fn release_files(&self) -> PathBuf {
        self.target.join("release-files")
    }

    /// Private keys that sign releases; never committed.
    pub fn keys(&self) -> PathBuf {
        self.target.join("keys")
    }

    /// Ledgers of the licenses that were issued here.
    pub fn licenses(&self) -> PathBuf {
        self.target.join("licenses")
    }

    /// Finished images.
    pub fn images(&self) -> PathBuf {
        self.target.join("image")
    }

    /// The ISO of a version.
    pub fn iso(&self, version: &str) -> PathBuf {
        self.images().join(format!("bedplate-{version}-amd64.iso"))
    }

    /// Files that the root image adds to Debian's.
    pub fn overlay(&self) -> PathBuf {
        self.workspace.join("image-build/root")
    }
}

/// Total bytes of a file.
///
/// # Errors
/// When the file cannot be read.
pub fn file_size(path: &Path) -> Result<u64> {
    Ok(std::fs::metadata(path)
        .with_context(|| format!("{} cannot be read", path.display()))?
        .len())
}
