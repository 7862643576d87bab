//! Releases after the one that is tested, and the hotfixes that lead to them: the same tree with a later version, and for
//! one of them with a toolstack that does not start.

use crate::case::Run;
use crate::process;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The next release: higher than any version that the workspace has.
pub const NEXT: &str = "0.1.97";
/// The one after it, whose toolstack does not start.
pub const BROKEN: &str = "0.1.98";

/// Builds are not emulated, but the disk may be slow.
const BUILD: Duration = Duration::from_secs(1200);

/// Replaces what starts the toolstack by something that fails.
const NO_TOOLSTACK: (&str, &str) = (
    "usr/lib/systemd/system/xen.service.d/90-broken.conf",
    "[Service]\nExecStart=\nExecStart=/usr/bin/false\n",
);

/// Makes the hotfixes from the tested release to [`NEXT`], and from that to each of `more` (version, broken), as files
/// without the full image, and leaves the release files of the build as they were.
///
/// # Errors
/// When `image-build` fails; with its last lines.
pub fn hotfixes(run: &Run, more: &[(&str, bool)]) -> Result<Vec<PathBuf>> {
    let target = run.bench.workspace.target();
    let folder = |name: &str| target.join(format!("release-files{name}"));
    let (files, tested, next) = (folder(""), folder(".tested"), folder(".next"));
    if tested.exists() {
        // An earlier run was ended in the middle.
        let _ = std::fs::remove_dir_all(&files);
        rename(&tested, &files)?;
    }
    let _ = std::fs::remove_dir_all(&next);
    rename(&files, &tested)?;
    let made = (|| {
        let mut made = vec![hotfix(run, &tested, NEXT, 1, None)?];
        rename(&files, &next)?;
        for (number, (version, broken)) in (2..).zip(more) {
            let overlay = broken.then(|| broken_toolstack(run)).transpose()?;
            made.push(hotfix(run, &next, version, number, overlay.as_deref())?);
        }
        Ok(made)
    })();
    for made_here in [&files, &next] {
        let _ = std::fs::remove_dir_all(made_here);
    }
    rename(&tested, &files)?;
    made
}

/// A folder to lay over the root image.
fn broken_toolstack(run: &Run) -> Result<PathBuf> {
    // Beside the folder of the case, which holds files only.
    let overlay = run.bench.workspace.target().join("broken-toolstack");
    let (name, text) = NO_TOOLSTACK;
    let path = overlay.join(name);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(overlay)
}

/// Builds the release `version` and makes its hotfix. `number` makes its date later than that of the others: a release is
/// dated with its commit, and these have the same one.
fn hotfix(
    run: &Run,
    from: &Path,
    version: &str,
    number: u64,
    overlay: Option<&Path>,
) -> Result<PathBuf> {
    let out = run.file(&format!("{version}.hotfix"));
    let tested = run.bench.workspace.target().join("release-files.tested");
    let epoch = epoch_of(&tested)? + number;
    image_build(run, epoch, |command| {
        command.args(["root", "--version", version]);
        if let Some(overlay) = overlay {
            command.arg("--overlay").arg(overlay);
        }
        command
    })?;
    image_build(run, epoch, |command| {
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
    let bytes = std::fs::metadata(&out)
        .with_context(|| format!("{} is not there", out.display()))?
        .len();
    run.note(&format!("hotfix {version}: {bytes} bytes"));
    Ok(out)
}

/// Seconds since 1970 that a release is dated with.
fn epoch_of(files: &Path) -> Result<u64> {
    let path = files.join(release::MANIFEST);
    let json =
        std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let manifest: release::Manifest = serde_json::from_slice(&json)
        .with_context(|| format!("{} is no manifest", path.display()))?;
    Ok(manifest.epoch)
}

fn image_build(
    run: &Run,
    epoch: u64,
    with: impl FnOnce(&mut Command) -> &mut Command,
) -> Result<()> {
    let mut command = Command::new(run.bench.workspace.program("image-build")?);
    with(&mut command)
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        .current_dir(run.bench.workspace.root());
    process::run(&mut command, b"", BUILD).map(drop)
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to)
        .with_context(|| format!("{} cannot be renamed to {}", from.display(), to.display()))
}
