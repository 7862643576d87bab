//! Step: the root image goes into the slot that does not run, and what is on the disk is compared with what was signed.

use super::Context;
use release::Artifact;
use slots::block::Access;
use slots::writer::{Expected, write_counted};
use steps::{Reporter, Step, StepError};

/// Writes and verifies the slot.
pub struct WriteSlot;

impl Step<Context<'_>> for WriteSlot {
    fn id(&self) -> String {
        "slot".into()
    }

    fn title(&self) -> String {
        "Write the new root image to the other slot and read it back".into()
    }

    fn run(
        &mut self,
        context: &mut Context<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), StepError> {
        let info = context.release.info(Artifact::Root);
        let expected = Expected::from_hex(info.size, &info.sha256)
            .ok_or("the release names no SHA-256 for its root image")?;
        let origin = &context.origin;
        let mut source = context
            .release
            .reader(Artifact::Root)
            .map_err(|error| origin.failed(error))?;
        let slot = context.plan.device(context.plan.writes);
        let mut device = context.machine.open(&slot, Access::Exclusive)?;
        write_counted(
            &mut source,
            &expected,
            device.as_mut(),
            &mut |done, total| reporter.progress(done, total),
        )
        .map_err(|error| origin.failed_write(error))?;
        Ok(())
    }
}
