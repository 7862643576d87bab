//! Step: the root image goes into slot A, and what is on the disk is compared with what was signed.

use super::Context;
use release::Artifact;
use slots::block::Access;
use slots::layout::PartitionKind;
use slots::writer::{Expected, forget_image, write_counted};
use steps::{Reporter, Step, StepError};

/// Writes and verifies slot A; makes slot B hold nothing.
pub struct WriteSlot;

impl Step<Context<'_>> for WriteSlot {
    fn id(&self) -> String {
        "slot-a".into()
    }

    fn title(&self) -> String {
        "Write the root image to slot A and read it back".into()
    }

    fn run(
        &mut self,
        context: &mut Context<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), StepError> {
        // An earlier installation had its slots at the same places.
        let mut other = context
            .machine
            .open(&context.device(PartitionKind::SlotB), Access::Exclusive)?;
        forget_image(other.as_mut(), 0)?;
        drop(other);

        let info = context.release.info(Artifact::Root);
        let expected = Expected::from_hex(info.size, &info.sha256).ok_or_else(|| {
            format!(
                "the release names no SHA-256 for {}",
                Artifact::Root.target_name()
            )
        })?;
        let origin = &context.origin;
        let mut source = context
            .release
            .reader(Artifact::Root)
            .map_err(|error| origin.failed(error))?;
        let mut device = context
            .machine
            .open(&context.device(PartitionKind::SlotA), Access::Exclusive)?;
        let written = write_counted(
            &mut source,
            &expected,
            device.as_mut(),
            &mut |done, total| reporter.progress(done, total),
        )
        .map_err(|error| origin.failed_write(error))?;
        debug_assert_eq!(written.sha256, expected.sha256);
        Ok(())
    }

    fn cleanup(&mut self, context: &mut Context<'_>) -> Result<(), StepError> {
        context.clean_up()
    }
}
