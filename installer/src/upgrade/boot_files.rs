//! Step: kernel, initrd, microcode and hypervisor of the new release on the ESP, beside those of the old one.

use super::Context;
use crate::laydown::files;
use release::{BOOT_FILES, beside};
use steps::{Reporter, Step, StepError};

/// Writes them, and reads them back from an ESP that was mounted anew.
pub struct WriteBootFiles;

impl Step<Context<'_>> for WriteBootFiles {
    fn id(&self) -> String {
        "boot-files".into()
    }

    fn title(&self) -> String {
        "Write the new boot files and read them back".into()
    }

    fn run(
        &mut self,
        context: &mut Context<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), StepError> {
        let (system, release) = (context.system, context.release);
        let esp = context.mount_esp(false)?;
        let (etc, state) = context.mount_etc()?;
        // The slot that they start was just overwritten. Those of an attempt that was broken off go, too.
        for id in beside::other_roots(system, &esp, context.old_id())? {
            beside::discard_root(system, &esp, &etc, &id)?;
        }
        context.unmount(&state)?;
        let folder = beside::boot_files(&esp, context.new_id());
        system.create_dir_all(&folder)?;
        // Written and read back.
        let total = BOOT_FILES
            .map(|(artifact, _)| release.info(artifact).size)
            .iter()
            .sum::<u64>()
            * 2;
        let mut done = 0;
        for (artifact, name) in BOOT_FILES {
            files::copy(
                system,
                release,
                &context.origin,
                artifact,
                &folder.join(name),
            )?;
            done += release.info(artifact).size;
            reporter.progress(done, total);
        }
        beside::write_release_env(system, &folder, &context.plan.release.version)?;
        context.unmount(&esp)?;

        let esp = context.mount_esp(true)?;
        let folder = beside::boot_files(&esp, context.new_id());
        for (artifact, name) in BOOT_FILES {
            files::compare(system, release, artifact, &folder.join(name))?;
            done += release.info(artifact).size;
            reporter.progress(done, total);
        }
        context.unmount(&esp)
    }

    fn cleanup(&mut self, context: &mut Context<'_>) -> Result<(), StepError> {
        context.mounts.unmount_all()
    }
}
