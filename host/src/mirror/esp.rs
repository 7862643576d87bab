//! Both ESPs hold the same: whichever disk the firmware takes, it starts what the other one would.

use super::arrays;
use super::members::disk_of;
use crate::hotfix::{Machine, Places};
use crate::loaders::{is_loader, is_unfinished};
use slots::PartitionKind;
use slots::boot_state::{GOOD_ENV, STATE_ENV};
use slots::env_block::EnvBlock;
use std::path::{Path, PathBuf};
use steps::system::Mount;
use steps::{Command, System};

/// Where the other disk's ESP is mounted while it is written.
const MOUNT: &str = "/run/bedplate/other-esp";
/// The folder of the boot files, a folder for each root in it, from the root of the ESP.
const BOOT_FOLDERS: &str = "bedplate";

/// Makes the ESP of the other disk equal to the mounted one, but for boot loaders that are there ([`crate::loaders`]). Does nothing on a host with one disk, or while there is one
/// disk only. Returns the partitions that were compared.
///
/// In an order in which a power cut leaves an ESP that starts something whole: boot files before what names them, and what is
/// not named any more is removed last.
///
/// # Errors
/// In words: what could not be read or written.
pub fn equal_esps(
    system: &dyn System,
    machine: &dyn Machine,
    places: &Places,
) -> Result<Vec<PathBuf>, String> {
    let state = arrays(system, &places.sys_block)
        .into_iter()
        .find(|array| array.kind == PartitionKind::State);
    let Some(state) = state else {
        return Ok(Vec::new());
    };
    let mounted = mounted(system, &places.esp)
        .ok_or_else(|| format!("no ESP is mounted at {}", places.esp.display()))?;
    let mut done = Vec::new();
    for member in &state.members {
        let esp = partition_of(&disk_of(member), PartitionKind::Esp);
        if esp == mounted || !system.exists(&esp) {
            continue;
        }
        copy_to(system, machine, &places.esp, &esp)?;
        done.push(esp);
    }
    Ok(done)
}

/// The node of a partition of a disk, both as the kernel names them.
pub(crate) fn partition_of(disk: &str, kind: PartitionKind) -> PathBuf {
    let between = if disk.ends_with(|c: char| c.is_ascii_digit()) {
        "p"
    } else {
        ""
    };
    format!("/dev/{disk}{between}{}", kind.number()).into()
}

/// The device that is mounted there.
pub(crate) fn mounted(system: &dyn System, target: &Path) -> Option<PathBuf> {
    let mounts = system.read_file(Path::new("/proc/self/mounts")).ok()?;
    let mounts = String::from_utf8_lossy(&mounts).into_owned();
    let target = target.to_str()?;
    let line = mounts
        .lines()
        .rev()
        .find(|line| line.split(' ').nth(1) == Some(target))?;
    Some(line.split(' ').next()?.into())
}

/// Mounts the ESP `device`, makes it equal to the one mounted at `from`, and unmounts it.
pub(super) fn copy_to(
    system: &dyn System,
    machine: &dyn Machine,
    from: &Path,
    device: &Path,
) -> Result<(), String> {
    with_esp(system, device, |to| copy(system, machine, from, to))
}

/// Mounts the ESP `device` for what `act` does in its folder, makes that durable, and unmounts it.
///
/// # Errors
/// In words, with the device: what `act` says, or that it cannot be mounted, synced or unmounted.
pub(crate) fn with_esp<T>(
    system: &dyn System,
    device: &Path,
    act: impl FnOnce(&Path) -> Result<T, String>,
) -> Result<T, String> {
    let to = Path::new(MOUNT);
    let mount = Mount::device(device, to, "vfat")
        .inert()
        .options("umask=0077");
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", device.display());
    system.mount(&mount).map_err(|error| wrong(&error))?;
    let acted = act(to).and_then(|done| {
        system
            .sync(to)
            .map(|()| done)
            .map_err(|error| error.to_string())
    });
    let unmounted = system.unmount(to);
    let done = acted.map_err(|error| wrong(&error))?;
    unmounted.map_err(|error| wrong(&error))?;
    Ok(done)
}

/// Makes the files below `to` equal to those below `from`.
fn copy(system: &dyn System, machine: &dyn Machine, from: &Path, to: &Path) -> Result<(), String> {
    let mut files = Vec::new();
    list(system, from, Path::new(""), &mut files);
    files.retain(|file| !is_unfinished(file));
    // What the loader reads to decide comes behind everything that it may decide for.
    let named = |file: &PathBuf| {
        [STATE_ENV, GOOD_ENV]
            .iter()
            .any(|name| file == Path::new(name))
    };
    files.sort_by_key(|file| (named(file), !file.starts_with(BOOT_FOLDERS)));
    for file in &files {
        let (source, target) = (from.join(file), to.join(file));
        // Loaders change on one disk at a time, and not from here; a new disk gets them with everything else.
        let left = is_loader(file) && system.exists(&target);
        if left || equal(system, &source, &target) {
            continue;
        }
        if let Some(folder) = target.parent() {
            system
                .create_dir_all(folder)
                .map_err(|error| error.to_string())?;
        }
        match EnvBlock::read(&source) {
            // In place, as everything that changes what a loader decides.
            Ok(block) if named(file) && system.exists(&target) => machine
                .write_env(&target, &block)
                .map_err(|error| error.to_string())?,
            _ => system
                .copy_file(&source, &target, 0o600)
                .map(drop)
                .map_err(|error| error.to_string())?,
        }
        if !equal(system, &source, &target) {
            return Err(format!("{} reads back differently", target.display()));
        }
    }
    let mut there = Vec::new();
    list(system, to, Path::new(""), &mut there);
    let gone = |file: &&PathBuf| !files.contains(file) && !is_loader(file) && !is_unfinished(file);
    for file in there.iter().filter(gone) {
        system
            .remove_file(&to.join(file))
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// True when both files are there and hold the same bytes.
fn equal(system: &dyn System, a: &Path, b: &Path) -> bool {
    system
        .run(&Command::new("cmp").arg("--silent").arg(a).arg(b))
        .is_ok()
}

/// All files below `root`/`folder`, as paths from `root`.
fn list(system: &dyn System, root: &Path, folder: &Path, files: &mut Vec<PathBuf>) {
    for name in system.list_dir(&root.join(folder)).unwrap_or_default() {
        let path = folder.join(name);
        match system.list_dir(&root.join(&path)) {
            Ok(_) => list(system, root, &path, files),
            Err(_) => files.push(path),
        }
    }
}
