//! Step: everything that will be read from the hotfix is as it was signed, and the slot it is made from is whole.

use super::{Context, wrong};
use crate::hotfix::Source;
use release::VerifiedReader;
use slots::block::Access;
use slots::verity::root_fits;
use std::io::{Read, copy, sink};
use steps::{Reporter, Step, StepError};

pub(super) struct VerifyHotfix;

impl Step<Context<'_>> for VerifyHotfix {
    fn id(&self) -> String {
        "verify".into()
    }

    fn title(&self) -> String {
        "Verify the hotfix and what it is made from".into()
    }

    fn run(
        &mut self,
        context: &mut Context<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), StepError> {
        let prepared = &context.prepared;
        let release = &prepared.release;
        if let Some(expired) = &release.expired {
            reporter.warn(format!(
                "{expired}; a file in the operator's hand is applied all the same"
            ));
        }
        let mut readers: Vec<VerifiedReader> = Vec::new();
        for (artifact, source) in &prepared.sources {
            match source {
                Source::Unchanged => {}
                Source::Delta(delta) => readers.push(release.delta_reader(delta)?),
                Source::Full => readers.push(release.reader(*artifact)?),
            }
        }
        let total = readers.iter().map(VerifiedReader::size).sum();
        let mut done = 0;
        for mut reader in readers {
            done += copy(&mut reader as &mut dyn Read, &mut sink())?;
            reporter.progress(done, total);
        }
        let active = &prepared.slots.active;
        let mut device = context.site.machine.open(active, Access::ReadOnly)?;
        match root_fits(device.as_mut(), &prepared.boot.root.verity) {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!(
                "the slot {} does not hold the root that runs; restart the host and try again",
                active.display()
            )
            .into()),
            Err(error) => Err(wrong(&error)),
        }
    }
}
