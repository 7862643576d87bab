//! Where the end-to-end tests find things and where they leave their evidence: everything below `target/`.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// The folders of one checkout.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: PathBuf,
    tools: PathBuf,
    iso: PathBuf,
    release_files: PathBuf,
}

/// Things to take from elsewhere than where the build leaves them.
#[derive(Debug, Clone, Default)]
pub struct Elsewhere {
    /// A Debian 13 tree with QEMU and OVMF in it.
    pub tools: Option<PathBuf>,
    /// The ISO to test.
    pub iso: Option<PathBuf>,
    /// A folder with `vmlinuz` and `xen.gz`.
    pub release_files: Option<PathBuf>,
}

impl Workspace {
    /// Finds the checkout at or above the current folder.
    ///
    /// # Errors
    /// When no folder upward is a checkout.
    pub fn find(elsewhere: Elsewhere) -> Result<Workspace> {
        let here = std::env::current_dir().context("the current folder cannot be read")?;
        let Some(root) = here
            .ancestors()
            .find(|dir| dir.join("ci/Cargo.toml").is_file() && dir.join("Cargo.lock").is_file())
        else {
            bail!(
                "no Bedplate checkout at or above {}: run ci inside of one",
                here.display()
            );
        };
        let target = root.join("target");
        let iso = format!("image/bedplate-{}-amd64.iso", env!("CARGO_PKG_VERSION"));
        Ok(Workspace {
            root: root.to_path_buf(),
            tools: elsewhere.tools.unwrap_or_else(|| target.join("tools")),
            iso: elsewhere.iso.unwrap_or_else(|| target.join(iso)),
            release_files: elsewhere
                .release_files
                .unwrap_or_else(|| target.join("release-files")),
        })
    }

    /// Root of the checkout.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The Debian 13 tree that QEMU and its firmware run from.
    pub fn tools(&self) -> &Path {
        &self.tools
    }

    /// The folder `target`.
    pub fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// The evidence of a case: serial logs, screenshots, reports, times.
    pub fn case(&self, name: &str) -> PathBuf {
        self.target().join("e2e").join(name)
    }

    /// The ISO that is tested.
    ///
    /// # Errors
    /// When it is not there.
    pub fn iso(&self) -> Result<&Path> {
        if !self.iso.is_file() {
            bail!(
                "{} is not there: `cargo run --release -p image-build -- iso` makes it",
                self.iso.display()
            );
        }
        Ok(&self.iso)
    }

    /// The artifact of the release with the target name `name`, as the build left it.
    ///
    /// # Errors
    /// When it is not there.
    pub fn release_file(&self, name: &str) -> Result<PathBuf> {
        let file = self.release_files.join(name);
        if !file.is_file() {
            bail!(
                "{} is not there: `cargo run --release -p image-build -- root` makes it",
                file.display()
            );
        }
        Ok(file)
    }

    /// A program of this workspace, as the last release build made it.
    ///
    /// # Errors
    /// When it is not built.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        let program = self.target().join("release").join(name);
        if !program.is_file() {
            bail!(
                "{} is not there: `cargo build --release -p {name}` makes it",
                program.display()
            );
        }
        Ok(program)
    }
}
