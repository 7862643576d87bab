//! Partitions, and what a disk or partition holds.

use super::mounts::Mounts;
use super::{number, udev};
use crate::known::Known;
use crate::root::Root;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A partition that the kernel knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Partition {
    /// Where this was read.
    pub source: String,
    /// Kernel name, `vda1`.
    pub name: String,
    /// Device path, `/dev/vda1`.
    pub path: String,
    /// Its number in the table.
    pub number: Known<u32>,
    /// Bytes from the start of the disk.
    pub start_bytes: Known<u64>,
    /// Its size.
    pub size_bytes: Known<u64>,
    /// Name in the GPT; `Absent` where it has none.
    pub gpt_name: Known<String>,
    /// Unique id (PARTUUID), lowercase.
    pub part_uuid: Known<String>,
    /// Type: a GUID with GPT, `0x83` with MBR.
    pub type_id: Known<String>,
    /// What it holds; `Absent` where udev found no signature that it knows.
    pub content: Known<Content>,
    /// Device mapper and md devices on it.
    pub holders: Vec<String>,
    /// Where it is mounted (`[swap]` for swap).
    pub mount_points: Vec<String>,
}

/// Signatures that udev found at the start of a disk or partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Content {
    /// Where this was read.
    pub source: String,
    /// Partition table: `gpt`, `dos`, ...
    pub table: Option<String>,
    /// File system, or `LVM2_member`, `linux_raid_member`, `crypto_LUKS`, ...
    pub kind: Option<String>,
    /// Its label.
    pub label: Option<String>,
    /// Its UUID.
    pub uuid: Option<String>,
}

/// Reads the partitions of the disk in the folder `disk` of /sys, in the order of the table.
pub(super) fn read(
    root: &Root,
    disk: &str,
    whole: &Known<Content>,
    mounts: &Mounts,
) -> Vec<Partition> {
    let names = root.list(disk).unwrap_or_default();
    // The kernel makes the name of a partition from that of its disk. The many other files there need no look.
    let (_, own) = disk.rsplit_once('/').unwrap_or(("", disk));
    let is_partition =
        |name: &String| name.starts_with(own) && root.exists(&format!("{disk}/{name}/partition"));
    let mut partitions: Vec<Partition> = names
        .into_iter()
        .filter(is_partition)
        .map(|name| partition(root, disk, name, whole, mounts))
        .collect();
    partitions.sort_by_key(|partition| partition.number.value().copied().unwrap_or(u32::MAX));
    partitions
}

fn partition(
    root: &Root,
    disk: &str,
    name: String,
    whole: &Known<Content>,
    mounts: &Mounts,
) -> Partition {
    let source = format!("{disk}/{name}");
    let path = super::disk::device_path(&name);
    let device_number = root.attribute(&format!("{source}/dev"));
    let record = match &device_number {
        Ok(number) => udev::read(root, number),
        Err(error) => Known::unknown(error.to_string()),
    };
    let uevent = root.text(&format!("{source}/uevent"), 64 * 1024);
    let property = |kernel: &str, by_udev: &str| -> Known<String> {
        let text = match &uevent {
            Ok(text) => text,
            Err(error) => return Known::unknown(error.to_string()),
        };
        let found = text
            .lines()
            .find_map(|line| line.strip_prefix(kernel)?.strip_prefix('='));
        if let Some(value) = found.filter(|value| !value.is_empty()) {
            return Known::Value(value.to_owned());
        }
        // Kernels before 6.9 do not tell PARTUUID; where udev does not know of it either, there is none.
        match &record {
            Known::Value(record) => record
                .get(by_udev)
                .map_or(Known::Absent, |value| Known::Value(value.to_owned())),
            Known::Absent => Known::Absent,
            Known::Unknown(unknown) => Known::Unknown(unknown.clone()),
        }
    };
    let gpt_name = match property("PARTNAME", "ID_PART_ENTRY_NAME") {
        // The kernel knows the table, so a partition without this line has no name.
        Known::Unknown(_) if uevent.is_ok() => Known::Absent,
        name => name,
    };
    let targets = mounts.targets(device_number.as_deref().ok(), &path);
    Partition {
        number: number(root, &format!("{source}/partition")),
        start_bytes: sectors(root, &format!("{source}/start")),
        size_bytes: sectors(root, &format!("{source}/size")),
        gpt_name,
        part_uuid: property("PARTUUID", "ID_PART_ENTRY_UUID").map(|uuid| uuid.to_ascii_lowercase()),
        type_id: property("PARTTYPE", "ID_PART_ENTRY_TYPE").map(|id| id.to_ascii_lowercase()),
        content: own_content(
            content(record, device_number.as_deref().unwrap_or_default()),
            whole,
        ),
        holders: root.list(&format!("{source}/holders")).unwrap_or_default(),
        mount_points: targets,
        path,
        name,
        source,
    }
}

/// The signatures in a record of udev.
pub(super) fn content(record: Known<udev::Record>, device_number: &str) -> Known<Content> {
    record.and_then(|record| {
        let content = Content {
            source: udev::record_path(device_number),
            table: record.get("ID_PART_TABLE_TYPE").map(str::to_owned),
            kind: record.get("ID_FS_TYPE").map(str::to_owned),
            label: record.get_decoded("ID_FS_LABEL"),
            uuid: record.get("ID_FS_UUID").map(str::to_owned),
        };
        if content.table.is_none() && content.kind.is_none() {
            Known::Absent
        } else {
            Known::Value(content)
        }
    })
}

/// What a partition holds itself. Into its record udev copies what it found on the whole disk, and then only adds.
fn own_content(content: Known<Content>, whole: &Known<Content>) -> Known<Content> {
    content.and_then(|mut content| {
        content.table = None;
        let copied = whole
            .value()
            .is_some_and(|whole| whole.uuid.is_some() && whole.uuid == content.uuid);
        if content.kind.is_none() || copied {
            Known::Absent
        } else {
            Known::Value(content)
        }
    })
}

/// A number of 512-byte units, whatever the disk's sectors are, in bytes.
pub(super) fn sectors(root: &Root, path: &str) -> Known<u64> {
    number::<u64>(root, path).and_then(|count| match count.checked_mul(512) {
        Some(bytes) => Known::Value(bytes),
        None => Known::unknown(format!(
            "{path}: {count} sectors are more than any disk has"
        )),
    })
}
