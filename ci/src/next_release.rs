//! Releases after the one that is tested, and the hotfixes that lead to them: the same tree with a later version, and for
//! some of them with a defect that the host must survive.

use crate::case::Run;
use crate::image_builder;
use anyhow::{Context, Result};
use release::Artifact;
use slots::grub_cfg::{GRUB_CFG_FILE, grub_cfg};
use slots::names::BOOT_LOADERS;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A release to make. Its version is higher than any that the workspace has, and than those before it in a list.
#[derive(Debug, Clone, Copy)]
pub struct Next {
    /// Its version.
    pub version: &'static str,
    /// What is wrong with it.
    pub defect: Option<Defect>,
    /// Whether its boot loaders are others than those of the tested release.
    pub loaders: bool,
}

impl Next {
    /// One that works.
    pub const fn good(version: &'static str) -> Next {
        Next {
            version,
            defect: None,
            loaders: false,
        }
    }

    /// The same with other boot loaders.
    pub const fn with_loaders(self) -> Next {
        Next {
            loaders: true,
            ..self
        }
    }

    /// One that does not.
    pub const fn bad(version: &'static str, defect: Defect) -> Next {
        Next {
            version,
            defect: Some(defect),
            loaders: false,
        }
    }
}

/// What a release does not survive, as a drop-in of systemd that does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// The toolstack does not start.
    Toolstack,
    /// The network does not start.
    Network,
    /// dom0's kernel panics early in the boot.
    Panic,
    /// The boot hangs before anything could look after it.
    Hang,
}

impl Defect {
    /// The unit, and its drop-in. systemd-tmpfiles-setup is before everything that sysinit.target stands for, and so
    /// before timers and health.
    fn drop_in(self) -> (&'static str, &'static str) {
        match self {
            Defect::Toolstack => ("xen", "ExecStart=\nExecStart=/usr/bin/false\n"),
            Defect::Network => (
                "systemd-networkd",
                "ExecStart=\nExecStart=!/usr/bin/false\n",
            ),
            Defect::Panic => (
                "systemd-tmpfiles-setup",
                "ExecStartPre=/bin/sh -c 'echo c >/proc/sysrq-trigger'\n",
            ),
            Defect::Hang => (
                "systemd-tmpfiles-setup",
                "TimeoutStartSec=infinity\nExecStartPre=/bin/sleep infinity\n",
            ),
        }
    }

    /// Writes it below `overlay`.
    fn lay_down(self, overlay: &Path) -> Result<()> {
        let (unit, text) = self.drop_in();
        write(
            &overlay.join(format!(
                "usr/lib/systemd/system/{unit}.service.d/90-defect.conf"
            )),
            format!("[Service]\n{text}").as_bytes(),
        )
    }
}

/// Writes what is laid over the root image of a release into a folder of its own; none where that is nothing.
fn overlay(run: &Run, next: Next) -> Result<Option<PathBuf>> {
    // Beside the folder of the case, which holds files only.
    let overlay = run
        .bench
        .workspace
        .target()
        .join("next-releases")
        .join(next.version);
    let _ = std::fs::remove_dir_all(&overlay);
    if let Some(defect) = next.defect {
        defect.lay_down(&overlay)?;
    }
    if next.loaders {
        let folder = overlay.join(BOOT_LOADERS.trim_start_matches('/'));
        let tested = release_files(run, ".tested").join(Artifact::GrubEfi.target_name());
        let mut efi = std::fs::read(&tested)
            .with_context(|| format!("{} cannot be read", tested.display()))?;
        // Behind everything that firmware reads of a program; what was signed is another one then, so without Secure Boot only.
        efi.extend([next.version.as_bytes(), b"\0\0"].concat());
        write(&folder.join(Artifact::GrubEfi.target_name()), &efi)?;
        let config = format!("{}# {}\n", grub_cfg(), next.version);
        write(&folder.join(GRUB_CFG_FILE), config.as_bytes())?;
    }
    Ok((next.defect.is_some() || next.loaders).then_some(overlay))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    std::fs::write(path, bytes).with_context(|| format!("{} cannot be written", path.display()))
}

/// Makes a hotfix for each release, from the last good one before it or the tested one, as files without the full image.
/// Leaves the release files of the build as they were.
///
/// # Errors
/// When `image-build` fails; with its last lines.
pub fn hotfixes(run: &Run, releases: &[Next]) -> Result<Vec<PathBuf>> {
    let folder = |name: &str| release_files(run, name);
    let (files, tested, good) = (folder(""), folder(".tested"), folder(".good"));
    let _ = std::fs::remove_dir_all(&good);
    let made = beside_tested(run, || {
        let mut made = Vec::new();
        let mut from = &tested;
        for (number, release) in (1..).zip(releases) {
            made.push(hotfix(run, from, *release, number)?);
            if release.defect.is_none() {
                let _ = std::fs::remove_dir_all(&good);
                rename(&files, &good)?;
                from = &good;
            }
        }
        Ok(made)
    });
    let _ = std::fs::remove_dir_all(&good);
    made
}

/// Makes a medium with the release, as a file in the folder of the case. Leaves the release files of the build as they were.
///
/// # Errors
/// When `image-build` fails; with its last lines.
pub fn medium(run: &Run, next: Next) -> Result<PathBuf> {
    let version = next.version;
    let out = run.file(&format!("{version}.iso"));
    // Named after its version, so that the tested one stays.
    let made = run
        .bench
        .workspace
        .target()
        .join(format!("image/bedplate-{version}-amd64.iso"));
    beside_tested(run, || {
        let epoch = build(run, next, 1)?;
        image_build(run, epoch, |command| command.arg("iso"))?;
        rename(&made, &out)
    })?;
    Ok(out)
}

/// The folder of release files with that end of its name; the build's own without one.
fn release_files(run: &Run, name: &str) -> PathBuf {
    run.bench
        .workspace
        .target()
        .join(format!("release-files{name}"))
}

/// Does something while the release files of the build are `.tested`, and puts them back.
fn beside_tested<T>(run: &Run, make: impl FnOnce() -> Result<T>) -> Result<T> {
    let (files, tested) = (release_files(run, ""), release_files(run, ".tested"));
    if tested.exists() {
        // An earlier run was ended in the middle.
        let _ = std::fs::remove_dir_all(&files);
        rename(&tested, &files)?;
    }
    rename(&files, &tested)?;
    let made = make();
    let _ = std::fs::remove_dir_all(&files);
    rename(&tested, &files)?;
    made
}

/// Builds a release. `number` makes its date later than that of the others: a release is dated with its commit, and these have the
/// same one. Returns the date.
fn build(run: &Run, next: Next, number: u64) -> Result<u64> {
    let epoch = epoch_of(&release_files(run, ".tested"))? + number;
    let overlay = overlay(run, next)?;
    image_build(run, epoch, |command| {
        command.args(["root", "--version", next.version]);
        if let Some(overlay) = overlay {
            command.arg("--overlay").arg(overlay);
        }
        command
    })?;
    Ok(epoch)
}

/// Builds a release and makes its hotfix.
fn hotfix(run: &Run, from: &Path, next: Next, number: u64) -> Result<PathBuf> {
    let version = next.version;
    let out = run.file(&format!("{version}.hotfix"));
    let epoch = build(run, next, number)?;
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
    image_builder::run(run, |command| {
        with(command).env("SOURCE_DATE_EPOCH", epoch.to_string())
    })
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to)
        .with_context(|| format!("{} cannot be renamed to {}", from.display(), to.display()))
}
