//! Step: storage repositories on disks of their own.

use super::{Context, partition, partition_path, volume_group};
use crate::plan::StorageDisk;
use slots::block::Access;
use slots::gpt::{Guids, erase_tables, write_table};
use slots::layout::PartitionKind;
use std::path::Path;
use steps::system::Command;
use steps::{Reporter, Step, StepError};

/// Makes each disk one partition, and a volume group of those that belong together.
pub struct CreateExtraStorage;

impl Step<Context<'_>> for CreateExtraStorage {
    fn id(&self) -> String {
        "extra-storage".into()
    }

    fn title(&self) -> String {
        "Create the storage repositories on disks of their own".into()
    }

    fn run(&mut self, context: &mut Context<'_>, _: &mut Reporter<'_>) -> Result<(), StepError> {
        let plan = context.plan;
        let mut guids = context.storage_guids.clone().into_iter();
        for storage in &plan.storage {
            let mut devices = Vec::new();
            for disk in &storage.disks {
                let guids = guids.next().ok_or("a storage disk has no identity")?;
                devices.push(partition_disk(context, disk, &guids)?);
            }
            volume_group::create(context, &storage.name.group(), &devices, storage.kind)?;
        }
        Ok(())
    }
}

/// Forgets what was on the disk, and makes it one partition, whose device is returned.
fn partition_disk(
    context: &Context<'_>,
    disk: &StorageDisk,
    guids: &Guids,
) -> Result<String, StepError> {
    let path = disk.identity.path.as_str();
    let wipe = |path: &Path| {
        context.run(
            Command::new("wipefs")
                .args(["--all", "--force", "--quiet"])
                .arg(path),
        )
    };
    let mut device = context.machine.open(Path::new(path), Access::Exclusive)?;
    let table = slots::gpt::read_table(device.as_mut())?;
    drop(device);
    for entry in table.iter().flat_map(|table| &table.entries) {
        let old = partition_path(path, entry.number);
        if context.machine.has_device(&old) {
            wipe(&old)?;
        }
    }
    wipe(Path::new(path))?;
    let mut device = context.machine.open(Path::new(path), Access::Exclusive)?;
    erase_tables(device.as_mut())?;
    write_table(device.as_mut(), &disk.layout, guids)?;
    drop(device);
    partition::reread(context, path)?;
    let new = partition_path(path, PartitionKind::Storage.number());
    if !context.machine.has_device(&new) {
        return Err(partition::PartitionError::Missing(new).into());
    }
    // What an older file system left in the middle of the disk must not be taken for the new volume.
    wipe(&new)?;
    Ok(new.display().to_string())
}
