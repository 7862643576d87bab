//! The release after the one that is tested, and the hotfix that leads to it: the same tree with the next version.

use crate::case::Run;
use crate::process;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Its version: higher than any that the workspace has.
pub const VERSION: &str = "0.1.99";

/// Builds are not emulated, but the disk may be slow.
const BUILD: Duration = Duration::from_secs(1200);

/// Makes the hotfix from the tested release to the next one, as a file without the full image, and leaves the release
/// files of the build as they were.
///
/// # Errors
/// When `image-build` fails; with its last lines.
pub fn hotfix(run: &Run) -> Result<PathBuf> {
    let target = run.bench.workspace.target();
    let (files, kept) = (
        target.join("release-files"),
        target.join("release-files.tested"),
    );
    if kept.exists() {
        // An earlier run was ended in the middle.
        let _ = std::fs::remove_dir_all(&files);
        rename(&kept, &files)?;
    }
    rename(&files, &kept)?;
    let made = make(run, &kept);
    let _ = std::fs::remove_dir_all(&files);
    rename(&kept, &files)?;
    made
}

fn make(run: &Run, from: &Path) -> Result<PathBuf> {
    let out = run.file("next.hotfix");
    image_build(run, |command| command.args(["root", "--version", VERSION]))?;
    image_build(run, |command| {
        command
            .args([
                "hotfix",
                "--security",
                "--cve",
                "CVE-2026-0001",
                "--no-full-image",
            ])
            .args(["--notes", "the next version of everything"])
            .arg("--from")
            .arg(from)
            .arg("--out")
            .arg(&out)
    })?;
    Ok(out)
}

fn image_build(run: &Run, with: impl FnOnce(&mut Command) -> &mut Command) -> Result<()> {
    let mut command = Command::new(run.bench.workspace.program("image-build")?);
    with(&mut command).current_dir(run.bench.workspace.root());
    process::run(&mut command, b"", BUILD).map(drop)
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to)
        .with_context(|| format!("{} cannot be renamed to {}", from.display(), to.display()))
}
