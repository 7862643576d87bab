//! Step: the EFI system partition with the boot files of slot A, without anything yet that would start them.

use super::{Context, boot_state, files};
use release::BOOT_FILES;
use slots::layout::PartitionKind;
use slots::names::ESP_LABEL;
use std::path::{Path, PathBuf};
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
        let devices: Vec<PathBuf> = context
            .members
            .iter()
            .map(|member| member.partition(PartitionKind::Esp))
            .collect();
        let sizes = BOOT_FILES.map(|(artifact, _)| context.release.info(artifact).size);
        // Written and read back, on each disk.
        let total = sizes.iter().sum::<u64>() * 2 * devices.len() as u64;
        let mut done = 0;
        for device in devices {
            fill(context, &device, &mut |bytes| {
                done += bytes;
                reporter.progress(done, total);
            })?;
        }
        Ok(())
    }

    fn cleanup(&mut self, context: &mut Context<'_>) -> Result<(), StepError> {
        context.clean_up()
    }
}

/// Makes the ESP on `device`. Counts the bytes that are written, and those that are read back.
fn fill(
    context: &mut Context<'_>,
    device: &Path,
    count: &mut dyn FnMut(u64),
) -> Result<(), StepError> {
    let sector = context.plan.disk.identity.sector_size.to_string();
    let mkfs = ["-F", "32", "-S", &sector, "-n", ESP_LABEL];
    context.run(Command::new("mkfs.vfat").args(mkfs).arg(device))?;

    let mount = |context: &mut Context<'_>, read_only| {
        context.mount_device(device.to_owned(), PartitionKind::Esp, "vfat", read_only)
    };
    let esp = mount(context, false)?;
    let folder = Path::new("bedplate").join(context.plan.release.root.id());
    let system = context.system;
    system.create_dir_all(&esp.join(&folder))?;
    system.create_dir_all(&esp.join("grub"))?;
    for (artifact, name) in BOOT_FILES {
        files::copy(
            context.system,
            context.release,
            &context.origin,
            artifact,
            &esp.join(&folder).join(name),
        )?;
        count(context.release.info(artifact).size);
    }
    boot_state::write(context, &esp, &folder)?;
    context.unmount(&esp)?;

    let esp = mount(context, true)?;
    for (artifact, name) in BOOT_FILES {
        files::compare(
            context.system,
            context.release,
            artifact,
            &esp.join(&folder).join(name),
        )?;
        count(context.release.info(artifact).size);
    }
    boot_state::compare(context, &esp, &folder)?;
    context.unmount(&esp)
}
