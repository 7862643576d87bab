//! Steps: the local storage repository, created or kept, and checked now and not at first boot.

use super::kept_group::KeptGroup;
use super::{Context, volume_group};
use slots::layout::PartitionKind;
use slots::names::STORAGE_VG;
use steps::{Reporter, Step, StepError};

/// Makes an LVM volume group of the storage partition.
pub struct CreateStorage;

impl Step<Context<'_>> for CreateStorage {
    fn id(&self) -> String {
        "storage".into()
    }

    fn title(&self) -> String {
        "Create the local storage repository".into()
    }

    fn run(&mut self, context: &mut Context<'_>, _: &mut Reporter<'_>) -> Result<(), StepError> {
        let device = context.device_text(PartitionKind::Storage);
        let kind = context.plan.disk.storage;
        volume_group::create(context, STORAGE_VG, &[device], kind)
    }

    fn cleanup(&mut self, context: &mut Context<'_>) -> Result<(), StepError> {
        context.clean_up()
    }
}

/// Sees that the storage repository that stays is what it was.
pub struct KeepStorage;

impl Step<Context<'_>> for KeepStorage {
    fn id(&self) -> String {
        "keep-storage".into()
    }

    fn title(&self) -> String {
        "See that the storage repository stayed as it was".into()
    }

    fn run(&mut self, context: &mut Context<'_>, _: &mut Reporter<'_>) -> Result<(), StepError> {
        let device = context.device_text(PartitionKind::Storage);
        KeptGroup::compare(context, STORAGE_VG, &[device])
    }
}
