//! Step: the EFI system partition with the boot files of slot A, without anything yet that would start them.

use super::{Context, boot_state, files};
use release::BOOT_FILES;
use slots::layout::PartitionKind;
use slots::names::ESP_LABEL;
use std::path::Path;
use steps::system::Command;
use steps::{Reporter, Step, StepError};

/// Makes the ESP and puts the boot files of slot A on it.
pub struct FillEsp;

impl Step<Context<'_>> for FillEsp {
    fn id(&self) -> String {
        "boot-files".into()
    }

    fn title(&self) -> String {
        "Write the boot files and read them back".into()
    }

    fn run(
        &mut self,
        context: &mut Context<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), StepError> {
        let device = context.partition_text(PartitionKind::Esp);
        let sector = context.plan.disk.identity.sector_size.to_string();
        let mkfs = ["-F", "32", "-S", &sector, "-n", ESP_LABEL, &device];
        context.run(Command::new("mkfs.vfat").args(mkfs))?;

        let esp = context.mount(PartitionKind::Esp, "vfat", false)?;
        let folder = Path::new("bedplate").join(context.plan.release.root.id());
        let system = context.system;
        system.create_dir_all(&esp.join(&folder))?;
        system.create_dir_all(&esp.join("grub"))?;
        let total: u64 = BOOT_FILES
            .iter()
            .map(|(artifact, _)| context.release.info(*artifact).size)
            .sum();
        let mut done = 0;
        for (artifact, name) in BOOT_FILES {
            files::copy(context, artifact, &esp.join(&folder).join(name))?;
            done += context.release.info(artifact).size;
            reporter.progress(done, total * 2);
        }
        boot_state::write(context, &esp, &folder)?;
        context.unmount(&esp)?;

        let esp = context.mount(PartitionKind::Esp, "vfat", true)?;
        for (artifact, name) in BOOT_FILES {
            files::compare(context, artifact, &esp.join(&folder).join(name))?;
            done += context.release.info(artifact).size;
            reporter.progress(done, total * 2);
        }
        boot_state::compare(context, &esp, &folder)?;
        context.unmount(&esp)
    }

    fn cleanup(&mut self, context: &mut Context<'_>) -> Result<(), StepError> {
        context.unmount_all()
    }
}
