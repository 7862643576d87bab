//! Halves that came back: taken in again where they are only older, set aside where they hold a history of their own.

use super::arrays;
use crate::hotfix::{Machine, Places};
use crate::local::short_text;
use slots::PartitionKind;
use slots::block::Access;
use slots::gpt::rename_partition;
use slots::md_superblock::{Halves, MdSuperblock};
use slots::names::PART_ASIDE;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use steps::{Command, System};

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Partitions that were taken into their arrays again.
    pub taken: Vec<String>,
    /// Disks that were set aside.
    pub aside: Vec<String>,
    /// What went wrong.
    pub problems: Vec<String>,
}

/// A partition that an array of this host names as its own and that is not in it.
struct Outside {
    kind: PartitionKind,
    disk: String,
    part: String,
    halves: Halves,
}

/// Looks for partitions of the mirror that are not in it, and takes them in or sets their disk aside.
///
/// A half that ran alone while this one did, too, holds what nobody has here. Its state partition gets another name in the
/// partition table, by which every later start leaves it alone; nothing on it is changed or lost.
pub fn settle(system: &dyn System, machine: &dyn Machine, places: &Places) -> Settled {
    let mut settled = Settled::default();
    let outside = outside(system, machine, places, &mut settled.problems);
    let apart: BTreeSet<&str> = outside
        .iter()
        .filter(|one| one.halves == Halves::Apart)
        .map(|one| one.disk.as_str())
        .collect();
    for disk in &apart {
        match set_aside(system, machine, disk) {
            Ok(()) => settled.aside.push((*disk).to_owned()),
            Err(problem) => settled.problems.push(problem),
        }
    }
    for one in outside
        .iter()
        .filter(|one| !apart.contains(one.disk.as_str()))
    {
        if one.halves == Halves::SecondNewer {
            settled.problems.push(format!(
                "{} is newer than what the host runs on, and is left alone: restart the host",
                one.part
            ));
            continue;
        }
        match take_in(system, &one.kind.array_device(), &one.part) {
            Ok(()) => settled.taken.push(one.part.clone()),
            Err(problem) => settled.problems.push(problem),
        }
    }
    settled
}

/// All partitions of the mirror that are not in it.
fn outside(
    system: &dyn System,
    machine: &dyn Machine,
    places: &Places,
    problems: &mut Vec<String>,
) -> Vec<Outside> {
    let names = system.list_dir(&places.sys_block).unwrap_or_default();
    let aside = aside(system, &places.sys_block, &names);
    let mut found = Vec::new();
    for array in arrays(system, &places.sys_block) {
        let own = array
            .members
            .iter()
            .find_map(|member| superblock(machine, member).ok().flatten());
        let Some(own) = own else {
            problems.push(format!(
                "{}: none of its members has a superblock that can be read",
                array.kind.array_name()
            ));
            continue;
        };
        for part in names.iter().filter(|name| !array.members.contains(name)) {
            if aside.contains(&disk_of(part)) {
                continue;
            }
            if part_name(system, &places.sys_block, part).as_deref() != Some(array.kind.name()) {
                continue;
            }
            match superblock(machine, part) {
                Ok(Some(other)) if other.array == own.array => found.push(Outside {
                    kind: array.kind,
                    disk: disk_of(part),
                    part: part.clone(),
                    halves: own.compare(&other),
                }),
                Ok(_) => {}
                Err(problem) => problems.push(problem),
            }
        }
    }
    found
}

/// Disks that were set aside. Only their state partition has another name, but all of them is left alone: the disks of guests
/// on it have the same history as the state.
fn aside(system: &dyn System, sys_block: &Path, names: &[String]) -> BTreeSet<String> {
    names
        .iter()
        .filter(|part| part_name(system, sys_block, part).as_deref() == Some(PART_ASIDE))
        .map(|part| disk_of(part))
        .collect()
}

fn superblock(machine: &dyn Machine, part: &str) -> Result<Option<MdSuperblock>, String> {
    let path = Path::new("/dev").join(part);
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut device = machine
        .open(&path, Access::ReadOnly)
        .map_err(|error| wrong(&error))?;
    // What the kernel wrote for the array may not be in the cache of the partition.
    let _ = device.drop_cache(0, slots::mirror::DATA_OFFSET);
    MdSuperblock::read(device.as_mut()).map_err(|error| wrong(&error))
}

/// `PARTNAME` of a partition.
fn part_name(system: &dyn System, sys_block: &Path, part: &str) -> Option<String> {
    let text = short_text(system, sys_block.join(part).join("uevent"))?;
    text.lines()
        .find_map(|line| line.strip_prefix("PARTNAME="))
        .map(str::to_owned)
}

/// The kernel's name of the disk that a partition is on: `sda5` is on `sda`, `nvme0n1p5` on `nvme0n1`.
pub(crate) fn disk_of(part: &str) -> String {
    let disk = part.trim_end_matches(|c: char| c.is_ascii_digit());
    match disk.strip_suffix('p') {
        Some(short) if short.ends_with(|c: char| c.is_ascii_digit()) => short.to_owned(),
        _ => disk.to_owned(),
    }
}

/// Takes a partition into its array again: only what was written meanwhile is copied, where the array knows that.
fn take_in(system: &dyn System, array: &str, part: &str) -> Result<(), String> {
    let path = PathBuf::from("/dev").join(part);
    let manage = |how: &str| {
        let command = Command::new("mdadm").args(["--manage", array, how]);
        system.run(&command.arg(&path))
    };
    if manage("--re-add").is_ok() {
        return Ok(());
    }
    // Too much happened meanwhile: it is filled anew.
    manage("--add")
        .map(drop)
        .map_err(|error| format!("{part} cannot be taken into {array} again: {error}"))
}

fn set_aside(system: &dyn System, machine: &dyn Machine, disk: &str) -> Result<(), String> {
    let path = Path::new("/dev").join(disk);
    let wrong = |error: &dyn std::fmt::Display| format!("{disk} is not set aside: {error}");
    let mut device = machine
        .open(&path, Access::Write)
        .map_err(|error| wrong(&error))?;
    rename_partition(device.as_mut(), PartitionKind::State.number(), PART_ASIDE)
        .map_err(|error| wrong(&error))?;
    drop(device);
    // The kernel tells the new name from now on; where it does not, the next start reads it.
    let _ = system.run(&Command::new("blockdev").arg("--rereadpt").arg(&path));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps::RecordingSystem;

    #[test]
    fn a_disk_is_set_aside_as_a_whole() {
        let sys = Path::new("/sys/class/block");
        let names = ["vda3", "vda5", "vdb3", "vdb5"].map(str::to_owned);
        let mut system = RecordingSystem::new();
        for (part, name) in
            names
                .iter()
                .zip(["bedplate-a", PART_ASIDE, "bedplate-a", "bedplate-state"])
        {
            system = system.file(
                sys.join(part).join("uevent"),
                format!("DEVTYPE=partition\nPARTNAME={name}\n"),
            );
        }
        assert_eq!(aside(&system, sys, &names), ["vda".to_owned()].into());
    }

    #[test]
    fn disks_of_partitions() {
        for (part, disk) in [
            ("sda5", "sda"),
            ("vdb12", "vdb"),
            ("nvme0n1p5", "nvme0n1"),
            ("mmcblk0p1", "mmcblk0"),
            ("sdp5", "sdp"),
        ] {
            assert_eq!(disk_of(part), disk);
        }
    }
}
