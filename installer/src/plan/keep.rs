//! Which storage repository stays when a host is installed anew.

use super::contents::partition_words;
use hcl_checker::Known;
use hcl_checker::facts::{Disk, Partition};
use serde::Serialize;
use slots::PartitionKind;
use uuid::Uuid;

/// What udev calls a physical volume of LVM, and a member of an md array (libblkid).
const LVM_MEMBER: &str = "LVM2_member";
const MD_MEMBER: &str = "linux_raid_member";

/// The storage partition of an earlier installation, which stays with all that is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptStorage {
    /// What it is, in plain words.
    pub shown: String,
    /// PARTUUID; compared again just before the first write.
    pub part_uuid: Uuid,
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
}

/// The storage partition on `disk`.
///
/// # Errors
/// Says why nothing there can be kept.
pub fn kept_storage(disk: &Disk) -> Result<KeptStorage, String> {
    let table = disk
        .content
        .value()
        .and_then(|content| content.table.as_deref());
    if table != Some("gpt") {
        return Err(format!("{} has no partition table of Bedplate", disk.path));
    }
    let named = |partition: &&Partition| {
        partition.gpt_name.value().map(String::as_str) == Some(PartitionKind::Storage.name())
    };
    let mut found = disk.partitions.iter().filter(named);
    let partition = match (found.next(), found.next()) {
        (Some(one), None) => one,
        (None, _) => {
            let name = PartitionKind::Storage.name();
            return Err(format!("{} has no partition \"{name}\"", disk.path));
        }
        (Some(_), Some(_)) => return Err(format!("{} has several storage partitions", disk.path)),
    };
    let path = &partition.path;
    let type_id = PartitionKind::Storage.type_guid().to_string();
    let is_type = |id: &String| id.eq_ignore_ascii_case(&type_id);
    if partition.number != Known::Value(PartitionKind::Storage.number())
        || !partition.type_id.value().is_some_and(is_type)
    {
        return Err(format!(
            "{path} was made by another release: it has another number or type than a storage partition has"
        ));
    }
    let content = partition.content.value();
    match content.and_then(|content| content.kind.as_deref()) {
        Some(LVM_MEMBER) => {}
        Some(MD_MEMBER) => {
            return Err(format!(
                "{path} is one half of a mirror, and an installation keeps none"
            ));
        }
        Some(other) => return Err(format!("{path} holds {other} and no LVM volume group")),
        None => return Err(format!("{path} holds no LVM volume group")),
    }
    let part_uuid = partition.part_uuid.value();
    let part_uuid = part_uuid.and_then(|uuid| Uuid::try_parse(uuid).ok());
    match (part_uuid, &partition.start_bytes, &partition.size_bytes) {
        (Some(part_uuid), Known::Value(start), Known::Value(size)) => Ok(KeptStorage {
            shown: partition_words(partition),
            part_uuid,
            start: *start,
            size: *size,
        }),
        _ => Err(format!(
            "it is not known where {path} lies, or which partition it is"
        )),
    }
}
