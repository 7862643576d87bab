//! Step: the new root image goes into the slot that does not run, and what is on the disk is compared with what was signed.

use super::Context;
use crate::hotfix::Source;
use release::delta::{Base, DeltaStream};
use release::{Artifact, data_size};
use slots::block::Access;
use slots::verity::{BLOCK, TreeBuilder};
use slots::writer::{Expected, write_counted};
use std::io::Read;
use steps::{Reporter, Step, StepError};

pub(super) struct WriteSlot;

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
        let machine = context.site.machine;
        let prepared = &context.prepared;
        let info = prepared.release.info(Artifact::Root);
        let expected = Expected::from_hex(info.size, &info.sha256)
            .ok_or("the release names no SHA-256 for its root image")?;
        let mut source: Box<dyn Read + Send> = match prepared.source(Artifact::Root) {
            Some(Source::Delta(delta)) => {
                let verity = &prepared.release.manifest.root.verity;
                let tree = TreeBuilder::new(verity)
                    .ok_or("the salt of the new root image is not hexadecimal")?;
                let active = machine.open(&prepared.slots.active, Access::ReadOnly)?;
                let data = prepared.boot.root.verity.data_blocks.saturating_mul(BLOCK);
                reporter.note(format!(
                    "made from {} by a delta of {} bytes for {} bytes of data",
                    prepared.boot.root.version,
                    delta.file.size,
                    data_size(&prepared.release.manifest)
                ));
                Box::new(DeltaStream::with_tree(
                    Box::new(prepared.release.delta_reader(delta)?),
                    Base::new().with_len(active, data),
                    tree,
                ))
            }
            _ => Box::new(prepared.release.reader(Artifact::Root)?),
        };
        // The kernel refuses this while the slot is in use, whatever was thought above.
        let mut device = machine.open(&prepared.slots.inactive, Access::Exclusive)?;
        write_counted(
            &mut *source,
            &expected,
            device.as_mut(),
            &mut |done, total| reporter.progress(done, total),
        )?;
        Ok(())
    }
}
