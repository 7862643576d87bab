//! Step: storage repositories on disks of their own.

use super::erase::erase;
use super::kept_group::KeptGroup;
use super::partition::partition;
use super::{Context, partition_path, volume_group};
use slots::layout::PartitionKind;
use steps::{Reporter, Step, StepError};

/// Makes each disk one partition, and a volume group of those that belong together. What stays is only looked at.
pub struct CreateExtraStorage;

impl Step<Context<'_>> for CreateExtraStorage {
    fn id(&self) -> String {
        "extra-storage".into()
    }

    fn title(&self) -> String {
        "Set up the storage repositories on disks of their own".into()
    }

    fn run(&mut self, context: &mut Context<'_>, _: &mut Reporter<'_>) -> Result<(), StepError> {
        let plan = context.plan;
        let mut guids = context.storage_guids.clone().into_iter();
        for storage in &plan.storage {
            let mut devices = Vec::new();
            for disk in &storage.disks {
                let guids = guids.next().ok_or("a storage disk has no identity")?;
                let path = disk.identity.path.as_str();
                if disk.keeps.is_none() {
                    erase(context, path)?;
                    partition(context, path, &disk.layout, &guids, false)?;
                }
                let storage = partition_path(path, PartitionKind::Storage.number());
                devices.push(storage.display().to_string());
            }
            let group = storage.name.group();
            match storage.kind {
                Some(kind) => volume_group::create(context, &group, &devices, kind)?,
                None => KeptGroup::compare(context, &group, &devices)?,
            }
        }
        Ok(())
    }
}
