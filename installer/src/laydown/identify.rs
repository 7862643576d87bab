//! Step: the disk is still the one in the plan, and may be taken. The last step before the first write.

use super::kept_group::KeptGroup;
use super::{Context, Machine, partition_path};
use crate::plan::{DiskIdentity, KeptStorage, Plan, identity_of};
use hcl_checker::facts::Disk;
use serde::Deserialize;
use slots::PartitionKind;
use slots::block::{Access, BlockDevice};
use slots::gpt::{Table, read_copies};
use slots::names::STORAGE_VG;
use std::path::Path;
use steps::system::{Command, System};
use steps::{Reporter, Step, StepError};

/// Looks at the disk again.
pub struct IdentifyDisk;

/// Why the disk is not taken.
#[derive(Debug, thiserror::Error)]
pub enum IdentifyError {
    /// It is gone.
    #[error("there is no disk {0} any more; nothing was written. Check its cable and plan again")]
    Gone(String),
    /// Another disk has its name.
    #[error(
        "{path} is not the disk in the plan any more: {differences}; nothing was written. \
         Disks may have changed their names: plan again"
    )]
    Other {
        /// Device path.
        path: String,
        /// What differs.
        differences: String,
    },
    /// It holds data and there is no consent.
    #[error(
        "{path} holds data that the plan does not know ({found}), and the answers do not allow to wipe it; \
         nothing was written. Set `wipe = true` in {section} if it may be lost"
    )]
    HoldsData {
        /// Device path.
        path: String,
        /// What was found.
        found: String,
        /// Where the answers would allow it.
        section: String,
    },
    /// The partition that stays is not where the plan saw it.
    #[error(
        "the storage partition of {path} is not as the plan knows it: {found}; nothing was written. Plan again, and repair the \
         partition table if that does not help (`sgdisk --verify` tells what is wrong)"
    )]
    KeptElsewhere {
        /// Device path.
        path: String,
        /// What was found.
        found: &'static str,
    },
    /// `wipefs` could not be understood.
    #[error(
        "cannot tell what is on {path}: `wipefs --json` printed something unexpected; nothing was written"
    )]
    Unreadable {
        /// Device path.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl Step<Context<'_>> for IdentifyDisk {
    fn id(&self) -> String {
        "identify-disk".into()
    }

    fn title(&self) -> String {
        "Identify the disk again".into()
    }

    fn run(
        &mut self,
        context: &mut Context<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), StepError> {
        let plan = context.plan;
        let keeps = plan.disk.keeps.as_ref();
        let host = plan
            .disk
            .members()
            .into_iter()
            .map(|(planned, _)| (planned, plan.disk.wipe, keeps, "[disk]".to_owned()));
        let extra = plan.storage.iter().flat_map(|storage| {
            let section = storage.name.section();
            storage.disks.iter().map(move |disk| {
                let keeps = disk.keeps.as_ref();
                (&disk.identity, storage.wipe, keeps, section.clone())
            })
        });
        // All of them before the first write to any.
        for (planned, wipe, keeps, section) in host.chain(extra) {
            let table = identify(context, planned, wipe, keeps, section)?;
            let entries = table.iter().flat_map(|table| &table.entries);
            context
                .old_partitions
                .extend(entries.map(|entry| entry.guid));
        }
        for (group, devices) in kept_groups(plan) {
            reporter.note(KeptGroup::remember(context, &group, &devices)?);
        }
        Ok(())
    }
}

/// The volume groups that stay, each with its partitions.
fn kept_groups(plan: &Plan) -> Vec<(String, Vec<String>)> {
    let number = PartitionKind::Storage.number();
    let storage = |disk: &DiskIdentity| partition_path(&disk.path, number).display().to_string();
    let host = plan.disk.keeps.iter();
    let host = host.map(|_| (STORAGE_VG.to_owned(), vec![storage(&plan.disk.identity)]));
    let extra = plan.storage.iter().filter(|plan| plan.kind.is_none());
    let extra = extra.map(|plan| {
        let devices = plan.disks.iter().map(|disk| storage(&disk.identity));
        (plan.name.group(), devices.collect())
    });
    host.chain(extra).collect()
}

/// The disk by that path, which must be the one in the plan.
pub(crate) fn same_disk(machine: &dyn Machine, planned: &DiskIdentity) -> Result<Disk, StepError> {
    let disk = machine
        .disk(&planned.path)
        .ok_or_else(|| IdentifyError::Gone(planned.path.clone()))?;
    let differences = differences(planned, &identity_of(&disk)?);
    if differences.is_empty() {
        return Ok(disk);
    }
    Err(IdentifyError::Other {
        path: planned.path.clone(),
        differences: differences.join(", "),
    }
    .into())
}

/// Looks at one disk again, and returns the partition table that is on it. `section` is what asks for it.
fn identify(
    context: &Context<'_>,
    planned: &DiskIdentity,
    wipe: bool,
    keeps: Option<&KeptStorage>,
    section: String,
) -> Result<Option<Table>, StepError> {
    same_disk(context.machine, planned)?;
    // Exclusive: the kernel refuses when a file system, LVM, md or device mapper uses any part of it.
    let mut device = context
        .machine
        .open(Path::new(&planned.path), Access::Exclusive)?;
    if (device.size(), device.sector_size()) != (planned.size, planned.sector_size) {
        let differences = format!("it has {} bytes, not {}", device.size(), planned.size);
        return Err(IdentifyError::Other {
            path: planned.path.clone(),
            differences,
        }
        .into());
    }
    let [primary, backup] = read_copies(device.as_mut())?;
    if let Some(kept) = keeps {
        let found = other_storage(kept, primary.as_ref(), backup.as_ref());
        if let Some(found) = found {
            let path = planned.path.clone();
            return Err(IdentifyError::KeptElsewhere { path, found }.into());
        }
    }
    let table = primary.or(backup);
    let unknown = if wipe || keeps.is_some() {
        None
    } else {
        Some(unknown_data(device.as_mut())?)
    };
    drop(device);
    if let Some(unknown) = unknown {
        let mut found = signatures(context.system, &planned.path)?;
        if found.is_empty() {
            found.extend(unknown.map(str::to_owned));
        }
        if !found.is_empty() {
            let found = found.join(", ");
            return Err(IdentifyError::HoldsData {
                path: planned.path.clone(),
                found,
                section,
            }
            .into());
        }
    }
    Ok(table)
}

/// What is not as planned about a storage partition that stays; none where all is.
///
/// The first copy must be whole, because the kernel looks at no other one. The second may be damaged: an installation that was
/// stopped while it wrote leaves it so. But where it is whole it must say the same.
fn other_storage(
    kept: &KeptStorage,
    primary: Option<&Table>,
    backup: Option<&Table>,
) -> Option<&'static str> {
    let is_same = |table: &Table| {
        table.find(PartitionKind::Storage).is_some_and(|entry| {
            entry.number == PartitionKind::Storage.number()
                && (entry.guid, entry.start, entry.size) == (kept.part_uuid, kept.start, kept.size)
        })
    };
    match primary {
        None => Some("the disk has no valid partition table at its start"),
        Some(table) if !is_same(table) => Some("the partition table says something else"),
        Some(_) => backup
            .filter(|table| !is_same(table))
            .map(|_| "the two copies of the partition table do not say the same"),
    }
}

fn differences(planned: &DiskIdentity, found: &DiskIdentity) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
    let mut list = Vec::new();
    if planned.serial != found.serial {
        list.push(format!(
            "its serial number is {}, not {}",
            text(&found.serial),
            text(&planned.serial)
        ));
    }
    if planned.wwn != found.wwn {
        list.push(format!(
            "its world wide name is {}, not {}",
            text(&found.wwn),
            text(&planned.wwn)
        ));
    }
    if planned.size != found.size {
        list.push(format!("it has {} bytes, not {}", found.size, planned.size));
    }
    if planned.sector_size != found.sector_size {
        list.push(format!(
            "its sectors have {} bytes, not {}",
            found.sector_size, planned.sector_size
        ));
    }
    list
}

/// Bytes at each end of the disk that must be zero on an empty one: tables, boot code and superblocks of all kinds lie there.
const ENDS: u64 = 1 << 20;

/// Data of a kind that no tool knows: an encrypted disk without a header, a foreign RAID member, somebody's raw volume.
fn unknown_data(device: &mut dyn BlockDevice) -> std::io::Result<Option<&'static str>> {
    let size = device.size();
    let len = ENDS.min(size);
    let mut bytes = vec![0; len as usize];
    for (offset, place) in [
        (0, "data of an unknown kind in its first MiB"),
        (size - len, "data of an unknown kind in its last MiB"),
    ] {
        device.read_at(offset, &mut bytes)?;
        if bytes.iter().any(|&byte| byte != 0) {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

/// What `wipefs --json` prints; without signatures, nothing at all.
#[derive(Deserialize)]
struct Wipefs {
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    #[serde(rename = "type")]
    kind: String,
}

/// The signatures of partition tables, file systems, RAID and LVM on a device.
pub fn signatures(system: &dyn System, path: &str) -> Result<Vec<String>, StepError> {
    let output = system
        .run(&Command::new("wipefs").args(["--json", "--no-act", path]))?
        .text();
    if output.is_empty() {
        return Ok(Vec::new());
    }
    let unreadable = |source| IdentifyError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let found: Wipefs = serde_json::from_str(&output).map_err(unreadable)?;
    let mut kinds: Vec<String> = found
        .signatures
        .into_iter()
        .map(|signature| signature.kind)
        .collect();
    kinds.dedup();
    Ok(kinds)
}
