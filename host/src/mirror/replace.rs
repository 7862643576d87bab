//! Putting another disk in the place of one that is gone.

use super::arrays;
use super::esp::{copy_to, partition_of};
use super::members::disk_of;
use crate::XeError;
use crate::hotfix::{Machine, Site, internal};
use crate::local::short_text;
use slots::PartitionKind;
use slots::block::{Access, BlockDevice};
use slots::gpt::{Guids, erase_tables, read_table, write_table};
use slots::grub::BOOT_CODE;
use slots::names::{EFI_LABEL, EFI_VENDOR_PATH, ESP_LABEL};
use std::path::{Path, PathBuf};
use steps::{Command, System};

/// A disk that took the place of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Its node.
    pub device: PathBuf,
    /// What went wrong without being in the way.
    pub warnings: Vec<String>,
}

fn refuse(message: String) -> XeError {
    XeError::failure("DISK_REPLACE_REFUSED", message)
}

/// Makes the disk `device` the second half of the mirror. With `wipe`, what is on it is lost; without, it must be empty.
/// The arrays fill it in the background; its boot files are written at once.
///
/// # Errors
/// The host has no mirror, or a whole one; the disk does not fit, is in use, or holds data; or a step failed. The half that
/// the host runs on is only read.
pub fn replace(site: &Site<'_>, device: &str, wipe: bool) -> Result<Replaced, XeError> {
    let (system, machine) = (site.system, site.machine);
    let path = PathBuf::from(device);
    let states = arrays(system, &site.places.sys_block);
    if states.is_empty() {
        return Err(refuse(
            "this host has no mirror: it was installed on one disk".into(),
        ));
    }
    if states.iter().all(|array| array.degraded == 0) {
        return Err(refuse(
            "the mirror is whole. To take a disk out, pull it, or: mdadm --manage /dev/md5 --fail /dev/PARTITION".into(),
        ));
    }
    if states
        .iter()
        .any(|array| array.degraded > 0 && matches!(array.action.as_str(), "recover" | "reshape"))
    {
        return Err(refuse(
            "the mirror is being filled already; /proc/mdstat shows how far it is".into(),
        ));
    }
    for array in &states {
        let name = array.kind.array_device();
        // What was lost is still counted as a member, by a place that nothing is in.
        for word in ["failed", "detached"] {
            let _ = system.run(&Command::new("mdadm").args(["--manage", &name, "--remove", word]));
        }
    }
    let source = states
        .iter()
        .filter(|array| array.kind == PartitionKind::State)
        .flat_map(|array| &array.members)
        .map(|member| disk_of(member))
        .next()
        .ok_or_else(|| refuse("the array of the state partition has no member".into()))?;
    let source_path = Path::new("/dev").join(&source);
    if source_path == path {
        return Err(refuse(format!(
            "{device} is the half that the host runs on"
        )));
    }
    let mut from = machine
        .open(&source_path, Access::ReadOnly)
        .map_err(|e| internal(&e))?;
    let layout = read_table(from.as_mut())
        .map_err(|e| internal(&e))?
        .and_then(|table| table.layout(from.size(), from.sector_size()))
        .ok_or_else(|| {
            refuse(format!(
                "the partition table of {source} is not one that Bedplate wrote"
            ))
        })?;
    let mut to = machine
        .open(&path, Access::Exclusive)
        .map_err(|e| internal(&e))?;
    if to.sector_size() != from.sector_size() {
        return Err(refuse(format!(
            "{device} has sectors of {} bytes and {source} of {}; a mirror needs the same",
            to.sector_size(),
            from.sector_size()
        )));
    }
    // The tables at its end need room, too.
    let end = layout
        .partitions
        .iter()
        .map(|partition| partition.end())
        .max();
    let need = end.unwrap_or(0) + slots::layout::ALIGNMENT;
    if to.size() < need {
        return Err(refuse(format!(
            "{device} has {} bytes, and {need} are needed",
            to.size()
        )));
    }
    let holds = holds_data(system, to.as_mut(), &path)?;
    if let Some(found) = holds.filter(|_| !wipe) {
        return Err(refuse(format!(
            "{device} holds data ({found}); add wipe=true if it may be lost"
        )));
    }

    let mut warnings = Vec::new();
    wipe_signatures(system, &site.places.sys_block, &path)?;
    erase_tables(to.as_mut()).map_err(|e| internal(&e))?;
    let new = layout.on_disk(to.size());
    write_table(to.as_mut(), &new, &Guids::random()).map_err(|e| internal(&e))?;
    drop(to);
    reread(system, &path)?;
    let disk = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| refuse(format!("{device} is no device")))?;
    for array in states.iter().filter(|array| array.degraded > 0) {
        let part = partition_of(disk, array.kind);
        run(
            system,
            Command::new("wipefs")
                .args(["--all", "--force", "--quiet"])
                .arg(&part),
        )?;
        let add = ["--manage", &array.kind.array_device(), "--add"];
        run(system, Command::new("mdadm").args(add).arg(&part))?;
    }
    let esp = partition_of(disk, PartitionKind::Esp);
    let sector = new.sector_size.to_string();
    let mkfs = ["-F", "32", "-S", &sector, "-n", ESP_LABEL];
    run(system, Command::new("mkfs.vfat").args(mkfs).arg(&esp))?;
    copy_to(system, machine, &site.places.esp, &esp).map_err(refuse)?;
    if let Err(problem) = copy_bios(machine, from.as_mut(), &path, disk, &source) {
        warnings.push(format!(
            "by BIOS {device} does not start the host: {problem}"
        ));
    }
    if system.exists(Path::new("/sys/firmware/efi")) {
        let number = PartitionKind::Esp.number().to_string();
        let create = Command::new("efibootmgr")
            .args(["--quiet", "--create", "--disk", device, "--part", &number])
            .args(["--label", EFI_LABEL, "--loader", EFI_VENDOR_PATH]);
        if let Err(error) = system.run(&create) {
            warnings.push(format!(
                "the firmware's boot list could not be changed ({error}); the disk starts by its fallback path"
            ));
        }
    }
    Ok(Replaced {
        device: path,
        warnings,
    })
}

fn run(system: &dyn System, command: Command) -> Result<(), XeError> {
    system.run(&command).map(drop).map_err(|e| internal(&e))
}

/// What is on the disk, in a word; none where its ends are empty and no tool knows it.
fn holds_data(
    system: &dyn System,
    device: &mut dyn BlockDevice,
    path: &Path,
) -> Result<Option<String>, XeError> {
    let listed = system
        .run(
            &Command::new("wipefs")
                .args(["--noheadings", "--output", "TYPE"])
                .arg(path),
        )
        .map_err(|e| internal(&e))?
        .text();
    let kinds: Vec<&str> = listed.split_whitespace().collect();
    if !kinds.is_empty() {
        return Ok(Some(kinds.join(", ")));
    }
    let len = slots::layout::MIB.min(device.size());
    let mut bytes = vec![0; len as usize];
    for offset in [0, device.size() - len] {
        device
            .read_at(offset, &mut bytes)
            .map_err(|e| internal(&e))?;
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(Some("of an unknown kind".into()));
        }
    }
    Ok(None)
}

/// Removes what old arrays, volumes and file systems left on the disk and its partitions.
fn wipe_signatures(system: &dyn System, sys_block: &Path, disk: &Path) -> Result<(), XeError> {
    let name = disk
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let all = system.list_dir(sys_block).unwrap_or_default();
    let parts = all
        .iter()
        .filter(|part| disk_of(part) == name && **part != name)
        .filter(|part| short_text(system, sys_block.join(part).join("partition")).is_some())
        .map(|part| Path::new("/dev").join(part));
    for path in parts.chain([disk.to_owned()]) {
        run(
            system,
            Command::new("wipefs")
                .args(["--all", "--force", "--quiet"])
                .arg(path),
        )?;
    }
    Ok(())
}

fn reread(system: &dyn System, disk: &Path) -> Result<(), XeError> {
    let settle = || {
        run(
            system,
            Command::new("udevadm").args(["settle", "--timeout=60"]),
        )
    };
    settle()?;
    run(system, Command::new("blockdev").arg("--rereadpt").arg(disk))?;
    settle()
}

/// GRUB's boot code and core image, as the other disk has them: the same partitions are at the same places.
fn copy_bios(
    machine: &dyn Machine,
    from: &mut dyn BlockDevice,
    to: &Path,
    disk: &str,
    source: &str,
) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut code = [0; BOOT_CODE];
    from.read_at(0, &mut code).map_err(|e| text(&e))?;
    if code.iter().all(|byte| *byte == 0) {
        // A disk that no BIOS starts.
        return Ok(());
    }
    let core = partition_of(source, PartitionKind::Bios);
    let mut core = machine
        .open(&core, Access::ReadOnly)
        .map_err(|e| text(&e))?;
    let mut bytes = vec![0; core.size() as usize];
    core.read_at(0, &mut bytes).map_err(|e| text(&e))?;
    let target = partition_of(disk, PartitionKind::Bios);
    let mut target = machine.open(&target, Access::Write).map_err(|e| text(&e))?;
    target
        .write_at(0, &bytes)
        .and_then(|()| target.flush())
        .map_err(|e| text(&e))?;
    let mut whole = machine.open(to, Access::Write).map_err(|e| text(&e))?;
    whole
        .write_at(0, &code)
        .and_then(|()| whole.flush())
        .map_err(|e| text(&e))
}
