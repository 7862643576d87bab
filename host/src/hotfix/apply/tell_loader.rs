//! Steps: what the boot loader is told, before the other slot changes and after everything is in its place.

use super::{Context, give_up_others};
use crate::hotfix::Site;
use crate::mirror;
use slots::BootState;
use slots::boot_state::STATE_ENV;
use slots::env_block::ATOMIC;
use steps::{Reporter, Step, StepError};

/// The other slot is about to hold nothing: no menu entry may lead there.
pub(super) struct ForgetOther;

impl Step<Context<'_>> for ForgetOther {
    fn id(&self) -> String {
        "forget-other".into()
    }

    fn title(&self) -> String {
        "Tell the boot loader to start this release only".into()
    }

    fn run(
        &mut self,
        context: &mut Context<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), StepError> {
        let state = context.prepared.state.forgetting_other();
        if state != context.prepared.state {
            write(&context.site, &state, reporter)?;
            context.prepared.state = state;
        }
        // Not before: until then it waits.
        Ok(give_up_others(&context.site, &context.prepared.record)?)
    }
}

/// One try.
pub(super) struct ArrangeTry;

impl Step<Context<'_>> for ArrangeTry {
    fn id(&self) -> String {
        "try".into()
    }

    fn title(&self) -> String {
        "Have the next start try the new release, once".into()
    }

    fn run(
        &mut self,
        context: &mut Context<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), StepError> {
        let state = context.prepared.state.trying_once(context.new_id());
        write(&context.site, &state, reporter)
    }
}

fn write(site: &Site<'_>, state: &BootState, reporter: &mut Reporter<'_>) -> Result<(), StepError> {
    if let Some(warning) = tell_loaders(site, state)? {
        reporter.warn(warning);
    }
    Ok(())
}

/// Tells the boot loader, and that of the other disk of a mirror. Returns why that one is not told, if so: each ESP is whole by
/// itself at every moment, so that a disk which fails here keeps nothing from being done.
///
/// # Errors
/// When the state fits no block, or the block cannot be written.
pub(in crate::hotfix) fn tell_loaders(
    site: &Site<'_>,
    state: &BootState,
) -> Result<Option<String>, StepError> {
    let block = state.to_env()?;
    // What GRUB changes must lie within one sector.
    block.to_bytes_within(ATOMIC)?;
    site.machine
        .write_env(&site.places.esp.join(STATE_ENV), &block)?;
    let equal = mirror::equal_esps(site.system, site.machine, site.places);
    Ok(equal.err().map(|problem| {
        format!(
            "the other disk of the mirror is not told, and starts what it did before: {problem}"
        )
    }))
}
