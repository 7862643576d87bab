//! The block devices that the kernel shows in /sys.

use std::path::{Path, PathBuf};

/// Where /sys lists block devices, disks and partitions alike.
pub const CLASS_BLOCK: &str = "/sys/class/block";

/// Bytes of the unit in which /sys tells sizes, whatever the sector size of the disk.
const SIZE_UNIT: u64 = 512;

/// Kernel names that never hold Bedplate itself: made by a driver out of memory or other devices, or floppies, on which
/// a read takes seconds.
const IGNORED: [&str; 6] = ["dm-", "fd", "loop", "nbd", "ram", "zram"];

/// A disk or partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The kernel's name, for example `nvme0n1p3`.
    pub name: String,
    /// Node below /dev.
    pub node: PathBuf,
    /// `major:minor`.
    pub number: String,
    /// Bytes; 0 for a drive without a medium.
    pub size: u64,
    /// Kernel name of the disk that it is, or lies on.
    pub disk: String,
    /// Model that the disk tells, where it does.
    pub model: Option<String>,
    /// Partition name (GPT).
    pub part_name: Option<String>,
    /// Number of the partition in its table.
    pub part_number: Option<u32>,
    /// Partition UUID (GPT), lowercase. The kernel knows it and does not tell it in /sys, so it is none until somebody
    /// read the table.
    pub part_uuid: Option<String>,
}

impl Block {
    /// A disk, and no partition of one.
    pub fn is_disk(&self) -> bool {
        self.name == self.disk
    }
}

/// Lists disks and partitions, sorted by name, with disks before their partitions.
///
/// A device that goes away while it is read is left out; so is everything when `class` cannot be read, as before the
/// first driver is there.
pub fn scan(class: &Path) -> Vec<Block> {
    let Ok(entries) = class.read_dir() else {
        return Vec::new();
    };
    let mut blocks: Vec<Block> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            if IGNORED.iter().any(|prefix| name.starts_with(prefix)) {
                return None;
            }
            read(&entry.path(), name)
        })
        .collect();
    blocks.sort_by(|a, b| {
        (&a.disk, !a.is_disk(), a.name.len(), &a.name).cmp(&(
            &b.disk,
            !b.is_disk(),
            b.name.len(),
            &b.name,
        ))
    });
    blocks
}

/// Reads one device's folder.
fn read(folder: &Path, name: String) -> Option<Block> {
    let uevent = std::fs::read_to_string(folder.join("uevent")).ok()?;
    let value = |key: &str| {
        uevent
            .lines()
            .filter_map(|line| line.split_once('='))
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value.to_owned())
    };
    let sectors: u64 = std::fs::read_to_string(folder.join("size"))
        .ok()?
        .trim()
        .parse()
        .ok()?;
    // The folder of a partition lies within that of its disk.
    let folder = folder.canonicalize().ok()?;
    let disk_folder = if value("DEVTYPE")? == "partition" {
        folder.parent()?
    } else {
        &folder
    };
    let model = std::fs::read_to_string(disk_folder.join("device/model"))
        .ok()
        .map(|model| model.trim().to_owned())
        .filter(|model| !model.is_empty());
    Some(Block {
        node: Path::new("/dev").join(value("DEVNAME")?),
        number: format!("{}:{}", value("MAJOR")?, value("MINOR")?),
        size: sectors.checked_mul(SIZE_UNIT)?,
        disk: disk_folder.file_name()?.to_str()?.to_owned(),
        model,
        part_name: value("PARTNAME"),
        part_number: value("PARTN").and_then(|number| number.parse().ok()),
        part_uuid: None,
        name,
    })
}

/// Bytes in a form for people.
pub fn human(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    match bytes {
        0 => "no medium".to_owned(),
        small if small < 10 * MIB => format!("{} KiB", small >> 10),
        middle if middle < 10_240 * MIB => format!("{} MiB", middle / MIB),
        large => format!("{} GiB", large >> 30),
    }
}

#[cfg(test)]
pub mod fixtures {
    use super::Block;
    use std::path::Path;

    /// A disk of 20 GiB.
    pub fn disk(name: &str) -> Block {
        Block {
            name: name.to_owned(),
            node: Path::new("/dev").join(name),
            number: "8:0".to_owned(),
            size: 20 << 30,
            disk: name.to_owned(),
            model: Some("TESTDISK".to_owned()),
            part_name: None,
            part_number: None,
            part_uuid: None,
        }
    }

    /// A partition of `disk`.
    pub fn partition(disk: &str, number: u32, part_name: &str, part_uuid: &str) -> Block {
        Block {
            name: format!("{disk}{number}"),
            node: Path::new("/dev").join(format!("{disk}{number}")),
            number: format!("8:{number}"),
            size: 4 << 30,
            part_name: Some(part_name.to_owned()),
            part_number: Some(number),
            part_uuid: Some(part_uuid.to_owned()),
            ..self::disk(disk)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A /sys with the given devices: path below devices/, size in 512-byte units, uevent.
    fn sys(devices: &[(&str, &str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("temp dir");
        fs::create_dir_all(root.path().join("class/block")).expect("class");
        for (path, size, uevent) in devices {
            let folder = root.path().join("devices").join(path);
            fs::create_dir_all(&folder).expect("device");
            fs::write(folder.join("size"), size).expect("size");
            fs::write(folder.join("uevent"), uevent).expect("uevent");
            let name = folder.file_name().expect("name");
            symlink(&folder, root.path().join("class/block").join(name)).expect("link");
        }
        root
    }

    #[test]
    fn reads_disks_and_partitions() {
        let root = sys(&[
            (
                "pci/nvme0n1/nvme0n1p10",
                "2048\n",
                "MAJOR=259\nMINOR=3\nDEVNAME=nvme0n1p10\nDEVTYPE=partition\nPARTN=10\n",
            ),
            (
                "pci/nvme0n1/nvme0n1p3",
                "8388608\n",
                "MAJOR=259\nMINOR=2\nDEVNAME=nvme0n1p3\nDEVTYPE=partition\nPARTN=3\nPARTNAME=bedplate-a\n",
            ),
            (
                "pci/nvme0n1",
                "41943040\n",
                "MAJOR=259\nMINOR=0\nDEVNAME=nvme0n1\nDEVTYPE=disk\nDISKSEQ=1\n",
            ),
            (
                "pci/cciss!c0d0",
                "8\n",
                "MAJOR=104\nMINOR=0\nDEVNAME=cciss/c0d0\nDEVTYPE=disk\n",
            ),
            (
                "virtual/loop0",
                "8\n",
                "MAJOR=7\nMINOR=0\nDEVNAME=loop0\nDEVTYPE=disk\n",
            ),
            ("pci/broken", "8\n", "MAJOR=7\n"),
        ]);
        fs::create_dir_all(root.path().join("devices/pci/nvme0n1/device")).expect("device");
        fs::write(
            root.path().join("devices/pci/nvme0n1/device/model"),
            "Fast Disk   \n",
        )
        .expect("model");
        let blocks = scan(&root.path().join("class/block"));
        let names: Vec<&str> = blocks.iter().map(|block| block.name.as_str()).collect();
        assert_eq!(names, ["cciss!c0d0", "nvme0n1", "nvme0n1p3", "nvme0n1p10"]);
        assert_eq!(blocks[0].node, Path::new("/dev/cciss/c0d0"));
        assert!(blocks[1].is_disk());
        let slot = &blocks[2];
        assert_eq!(slot.disk, "nvme0n1");
        assert_eq!(slot.size, 4 << 30);
        assert_eq!(slot.number, "259:2");
        assert_eq!(slot.part_name.as_deref(), Some("bedplate-a"));
        assert_eq!(
            (slot.part_number, slot.part_uuid.as_deref()),
            (Some(3), None)
        );
        assert_eq!(slot.model.as_deref(), Some("Fast Disk"));
        assert!(!slot.is_disk());
    }

    #[test]
    fn nothing_there_is_no_device() {
        assert!(scan(Path::new("/nonexistent/class/block")).is_empty());
    }

    #[test]
    fn sizes() {
        assert_eq!(human(0), "no medium");
        assert_eq!(human(1 << 20), "1024 KiB");
        assert_eq!(human(700 << 20), "700 MiB");
        assert_eq!(human(20 << 30), "20 GiB");
    }
}
