//! Step: storage repositories on disks of their own.

use super::erase::erase;
use super::partition::partition;
use super::{Context, partition_path, volume_group};
use slots::layout::PartitionKind;
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
                let path = disk.identity.path.as_str();
                erase(context, path)?;
                partition(context, path, &disk.layout, &guids)?;
                let storage = partition_path(path, PartitionKind::Storage.number());
                devices.push(storage.display().to_string());
            }
            volume_group::create(context, &storage.name.group(), &devices, storage.kind)?;
        }
        Ok(())
    }
}
