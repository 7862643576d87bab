//! A disk or volume whose content may be lost: what it stands on, and what uses it now.

use super::change::read_text;
use crate::facts::{DiskKind, Facts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use steps::System;

/// A folder for each block device, those of software and partitions too (Documentation/ABI/testing/sysfs-class-block).
const BLOCK: &str = "/sys/class/block";
/// Disks that dom0 gives to guests.
const BACKENDS: &str = "/sys/bus/xen-backend/devices";

/// A disk or volume that may be erased.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// As it was named.
    pub path: PathBuf,
    /// Kernel names of the devices that it stands on in the end: of a partition its disk, of a volume or an array the disks of
    /// all members. Empty where the kernel does not tell.
    pub stands_on: Vec<String>,
    /// What uses it, for people.
    pub used_by: Vec<String>,
}

/// Id of the test of a disk or volume.
pub(super) fn test_id(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    format!("disk.{}", name.to_string_lossy())
}

fn folder(name: &str) -> PathBuf {
    Path::new(BLOCK).join(name)
}

fn attribute(system: &dyn System, name: &str, attribute: &str) -> Option<String> {
    read_text(system, &format!("{BLOCK}/{name}/{attribute}")).ok()
}

fn names(system: &dyn System, folder: &Path) -> Vec<String> {
    system.list_dir(folder).unwrap_or_default()
}

/// Device path of a kernel name; `!` stands for `/` there.
fn device(name: &str) -> PathBuf {
    Path::new("/dev").join(name.replace('!', "/"))
}

/// The disk that has this partition; none for what is no partition.
fn whole(system: &dyn System, name: &str) -> Option<String> {
    if !system.exists(&folder(name).join("partition")) {
        return None;
    }
    let real = system.real_path(&folder(name));
    Some(real.parent()?.file_name()?.to_string_lossy().into_owned())
}

fn partitions(system: &dyn System, disk: &str) -> Vec<String> {
    let files = names(system, &folder(disk));
    // The kernel makes the name of a partition from that of its disk. The other files there need no look.
    let is_one = |name: &String| {
        name.starts_with(disk) && system.exists(&folder(disk).join(name).join("partition"))
    };
    files.into_iter().filter(is_one).collect()
}

/// Where this stands on others: their names.
fn below(system: &dyn System, name: &str) -> Vec<String> {
    match whole(system, name) {
        Some(disk) => vec![disk],
        None => names(system, &folder(name).join("slaves")),
    }
}

fn stands_on(system: &dyn System, name: &str) -> Vec<String> {
    let (mut seen, mut ends) = (BTreeSet::new(), BTreeSet::new());
    let mut todo = vec![name.to_owned()];
    while let Some(name) = todo.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let below = below(system, &name);
        if below.is_empty() {
            ends.insert(name);
        }
        todo.extend(below);
    }
    ends.into_iter().collect()
}

impl Target {
    /// Whether it stands on nothing but disks of these facts: a loop device is a file that may lie anywhere.
    pub fn is_of(&self, facts: &Facts) -> bool {
        let disks = facts.disks.value().map(Vec::as_slice).unwrap_or_default();
        let is_disk = |name: &String| {
            let disk = disks.iter().find(|disk| disk.name == *name);
            disk.is_some_and(|disk| disk.kind == DiskKind::Disk)
        };
        !self.stands_on.is_empty() && self.stands_on.iter().all(is_disk)
    }

    /// Whether this is the test of it.
    pub fn has_test(&self, id: &str) -> bool {
        test_id(&self.path) == id
    }

    /// Looks at what `path` leads to. What the kernel does not tell is left out: it refuses the disk in use once more when that
    /// is opened.
    pub(super) fn read(system: &dyn System, path: &Path) -> Self {
        let mut target = Self {
            path: path.to_owned(),
            ..Self::default()
        };
        let real = system.real_path(path);
        let Ok(name) = real.strip_prefix("/dev") else {
            return target;
        };
        let name = name.to_string_lossy().replace('/', "!");
        if name.is_empty() || !system.exists(&folder(&name)) {
            return target;
        }
        let uses = Uses::read(system);
        // A partition is used with its disk, and a disk with each of its partitions.
        let mut devices = vec![name.clone()];
        devices.extend(whole(system, &name));
        devices.extend(partitions(system, &name));
        target.used_by = devices.iter().flat_map(|name| uses.of(name)).collect();
        target.stands_on = stands_on(system, &name);
        target
    }
}

/// What may use a block device.
struct Uses<'a> {
    system: &'a dyn System,
    mounts: String,
    swaps: String,
    /// Backing files of loop devices.
    loops: Vec<(String, PathBuf)>,
    /// Names and device numbers of guests' disks.
    guests: Vec<(String, String)>,
}

impl<'a> Uses<'a> {
    fn read(system: &'a dyn System) -> Self {
        let read = |path: &str| read_text(system, path).unwrap_or_default();
        let backing = |name: String| {
            let file = attribute(system, &name, "loop/backing_file")?;
            Some((name, system.real_path(Path::new(&file))))
        };
        let number = |name: String| {
            let file = format!("{BACKENDS}/{name}/physical_device");
            Some((name, read_text(system, &file).ok()?))
        };
        let devices = names(system, Path::new(BLOCK)).into_iter();
        let guests = names(system, Path::new(BACKENDS)).into_iter();
        Self {
            system,
            mounts: read("/proc/self/mountinfo"),
            swaps: read("/proc/swaps"),
            loops: devices
                .filter(|name| name.starts_with("loop"))
                .filter_map(backing)
                .collect(),
            guests: guests
                .filter(|name| name.starts_with("vbd-"))
                .filter_map(number)
                .collect(),
        }
    }

    /// What uses one device, and nothing else that is on the same disk.
    fn of(&self, name: &str) -> Vec<String> {
        let path = device(name);
        let number = attribute(self.system, name, "dev").unwrap_or_default();
        let is_it = |other: &str| {
            other.starts_with("/dev/") && self.system.real_path(Path::new(other)) == path
        };
        let mut uses = Vec::new();
        for line in self.mounts.lines() {
            // By number, and by path as well: btrfs shows a number of its own.
            if let Some((at, source, target)) = mount(line)
                && (at == number || is_it(source))
            {
                uses.push(format!("mounted on {target}"));
            }
        }
        let swaps = self.swaps.lines().skip(1);
        let swaps = swaps.filter_map(|line| line.split_ascii_whitespace().next());
        uses.extend(swaps.filter(|swap| is_it(swap)).map(|_| "swap".to_owned()));
        for holder in names(self.system, &folder(name).join("holders")) {
            let called = attribute(self.system, &holder, "dm/name");
            uses.push(format!("part of {}", called.unwrap_or(holder)));
        }
        let loops = self.loops.iter().filter(|(_, file)| *file == path);
        uses.extend(loops.map(|(name, _)| format!("behind {name}")));
        let decimal = number.split_once(':');
        let guests = self
            .guests
            .iter()
            .filter(|(_, at)| decimal.is_some() && hexadecimal(at) == decimal.map(plain));
        uses.extend(guests.map(|(name, _)| format!("a guest's disk ({name})")));
        let told = uses.into_iter();
        told.map(|used| format!("{} is {used}", path.display()))
            .collect()
    }
}

/// Number, source and mount point in a line of mountinfo (proc_pid_mountinfo(5)); spaces in them stay `\040`.
fn mount(line: &str) -> Option<(&str, &str, &str)> {
    let (head, tail) = line.split_once(" - ")?;
    let mut head = head.split(' ');
    let number = head.nth(2)?;
    Some((number, tail.split(' ').nth(1)?, head.nth(1)?))
}

fn plain((major, minor): (&str, &str)) -> (Option<u64>, Option<u64>) {
    (major.parse().ok(), minor.parse().ok())
}

/// `fd:2`, as blkback writes device numbers (drivers/block/xen-blkback/xenbus.c).
fn hexadecimal(number: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (major, minor) = number.split_once(':')?;
    Some((crate::hex::parse(major), crate::hex::parse(minor)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Disk;
    use crate::known::Known;
    use steps::RecordingSystem;

    /// A partition; the kernel shows it in the folder of its disk and links to it from that of all devices.
    fn partition(system: RecordingSystem, disk: &str, name: &str, number: &str) -> RecordingSystem {
        let real = format!("/sys/devices/pci0/{disk}/{name}");
        system
            .file(format!("{BLOCK}/{disk}/{name}/partition"), "1\n")
            .file(format!("{BLOCK}/{name}/partition"), "1\n")
            .file(format!("{BLOCK}/{name}/dev"), number)
            .linked(format!("{BLOCK}/{name}"), real)
    }

    fn disk(system: RecordingSystem, name: &str, number: &str) -> RecordingSystem {
        system.file(format!("{BLOCK}/{name}/dev"), number)
    }

    fn target(system: &RecordingSystem, path: &str) -> Target {
        Target::read(system, Path::new(path))
    }

    /// Two disks with a partition each, an array over both partitions, a volume on it, and a loop device.
    fn machine() -> RecordingSystem {
        let system = disk(RecordingSystem::new(), "sda", "8:0\n");
        let system = disk(system, "sdb", "8:16\n");
        let system = partition(system, "sda", "sda1", "8:1\n");
        let system = partition(system, "sdb", "sdb1", "8:17\n");
        disk(system, "loop0", "7:0\n")
            .file(format!("{BLOCK}/md0/dev"), "9:0\n")
            .file(format!("{BLOCK}/md0/slaves/sda1/x"), "")
            .file(format!("{BLOCK}/md0/slaves/sdb1/x"), "")
            .file(format!("{BLOCK}/dm-3/dev"), "253:3\n")
            .file(format!("{BLOCK}/dm-3/slaves/md0/x"), "")
            .linked("/dev/vg/one", "/dev/dm-3")
    }

    #[test]
    fn what_a_volume_stands_on_are_the_disks_of_all_members() {
        let system = machine();
        for (path, ends) in [
            ("/dev/sda", &["sda"][..]),
            ("/dev/sdb1", &["sdb"]),
            ("/dev/md0", &["sda", "sdb"]),
            ("/dev/vg/one", &["sda", "sdb"]),
            ("/dev/loop0", &["loop0"]),
            ("/dev/nothing", &[]),
            ("/dev", &[]),
            ("/home/image", &[]),
        ] {
            assert_eq!(target(&system, path).stands_on, ends, "{path}");
            assert_eq!(
                target(&system, path).used_by,
                Vec::<String>::new(),
                "{path}"
            );
        }
    }

    #[test]
    fn only_what_stands_on_disks_alone_is_of_the_machine() {
        let disk = |name: &str, kind: DiskKind| Disk {
            name: name.to_owned(),
            kind,
            ..Disk::default()
        };
        let facts = Facts {
            disks: Known::Value(vec![
                disk("sda", DiskKind::Disk),
                disk("sdb", DiskKind::Disk),
                disk("sr0", DiskKind::Optical),
            ]),
            ..Facts::default()
        };
        let target = |stands_on: &[&str]| Target {
            stands_on: stands_on.iter().map(|&name| name.to_owned()).collect(),
            ..Target::default()
        };
        assert!(target(&["sda"]).is_of(&facts) && target(&["sda", "sdb"]).is_of(&facts));
        for other in [&["loop0"][..], &["sda", "loop0"], &["sr0"], &["sdc"], &[]] {
            assert!(!target(other).is_of(&facts), "{other:?}");
        }
        assert!(!target(&["sda"]).is_of(&Facts::default()));
    }

    #[test]
    fn every_kind_of_use_is_named_of_the_device_its_disk_and_its_partitions() {
        let mounts = "36 35 7:0 / /mnt rw,noatime shared:1 - ext4 /dev/root rw\n\
                      37 35 0:40 / /data rw - btrfs /dev/disk/by-id/b rw\n\
                      38 35 0:21 / /proc rw - proc proc rw\nnonsense\n";
        let swaps = "Filename Type Size Used Priority\n/dev/sda1 partition 1 0 -2\n";
        let system = machine()
            .file("/proc/self/mountinfo", mounts)
            .file("/proc/swaps", swaps)
            .linked("/dev/disk/by-id/b", "/dev/sdb1")
            .file(format!("{BLOCK}/md0/holders/dm-3/x"), "")
            .file(format!("{BLOCK}/dm-3/dm/name"), "vg-one\n")
            .file(format!("{BLOCK}/loop7/loop/backing_file"), "/dev/vg/one\n")
            .file(format!("{BACKENDS}/vbd-4-51712/physical_device"), "fd:3\n")
            .file(format!("{BACKENDS}/vif-4-0/physical_device"), "8:0\n");
        let sda = "/dev/sda1 is swap";
        let sdb = "/dev/sdb1 is mounted on /data";
        for (path, uses) in [
            ("/dev/loop0", &["/dev/loop0 is mounted on /mnt"][..]),
            ("/dev/sda1", &[sda]),
            ("/dev/sda", &[sda]),
            ("/dev/sdb", &[sdb]),
            ("/dev/md0", &["/dev/md0 is part of vg-one"]),
            (
                "/dev/vg/one",
                &[
                    "/dev/dm-3 is behind loop7",
                    "/dev/dm-3 is a guest's disk (vbd-4-51712)",
                ],
            ),
        ] {
            assert_eq!(target(&system, path).used_by, uses, "{path}");
        }
        let held = machine().file(format!("{BLOCK}/sda/holders/dm-9/x"), "");
        assert_eq!(
            target(&held, "/dev/sda1").used_by,
            ["/dev/sda is part of dm-9"],
            "the disk of a partition"
        );
    }
}
