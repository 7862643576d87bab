//! Steps: what the boot loader is told, before the other slot changes and after everything is in its place.

use super::{Context, LAST};
use slots::BootState;
use slots::boot_state::STATE_ENV;
use steps::{Reporter, Step, StepError};

/// The other slot is about to hold nothing: no menu entry may lead there.
pub struct ForgetOther;

impl Step<Context<'_>> for ForgetOther {
    fn id(&self) -> String {
        "forget-other".into()
    }

    fn title(&self) -> String {
        "Tell the boot loader to start the old release only".into()
    }

    fn run(&mut self, context: &mut Context<'_>, _: &mut Reporter<'_>) -> Result<(), StepError> {
        let state = context.state()?.forgetting_other();
        write(context, state)
    }

    fn cleanup(&mut self, context: &mut Context<'_>) -> Result<(), StepError> {
        context.mounts.unmount_all()
    }
}

/// One try.
pub struct ArrangeTry;

impl Step<Context<'_>> for ArrangeTry {
    fn id(&self) -> String {
        LAST.into()
    }

    fn title(&self) -> String {
        "Have the next start try the new release, once".into()
    }

    fn run(&mut self, context: &mut Context<'_>, _: &mut Reporter<'_>) -> Result<(), StepError> {
        let state = context.state()?.trying_once(context.new_id());
        write(context, state)
    }

    fn cleanup(&mut self, context: &mut Context<'_>) -> Result<(), StepError> {
        context.mounts.unmount_all()
    }
}

fn write(context: &mut Context<'_>, state: BootState) -> Result<(), StepError> {
    if context.state.as_ref() == Some(&state) {
        return Ok(());
    }
    let block = state.to_env()?;
    let esp = context.mount_esp(false)?;
    context.machine.write_env(&esp.join(STATE_ENV), &block)?;
    context.unmount(&esp)?;
    context.state = Some(state);
    Ok(())
}
