//! Step: the boot loaders. From here on the disk starts, so everything else is done and verified.

use super::{Context, files, partition};
use release::Artifact;
use slots::block::Access;
use slots::grub::{CORE_MAX, grub_bios_embed};
use slots::layout::PartitionKind;
use std::path::Path;
use steps::{Reporter, Step, StepError};

/// GRUB for UEFI, from the root of the ESP: Bedplate's own place, and the fallback that firmware starts when it has
/// no entry for the disk (UEFI 2.10, section 3.5.1.1).
const EFI_PATHS: [&str; 2] = ["EFI/bedplate/grubx64.efi", "EFI/BOOT/BOOTX64.EFI"];

/// Writes the loaders for UEFI and for BIOS.
pub struct WriteLoaders;

impl Step<Context<'_>> for WriteLoaders {
    fn id(&self) -> String {
        "boot-loaders".into()
    }

    fn title(&self) -> String {
        "Write the boot loaders".into()
    }

    fn run(&mut self, context: &mut Context<'_>, _: &mut Reporter<'_>) -> Result<(), StepError> {
        // Read and checked before the first write, so that a bad image leaves no half.
        let bios = context
            .plan
            .boot
            .bios_code
            .then(|| bios_images(context))
            .transpose()?;

        let esp = context.mount(PartitionKind::Esp, "vfat", false)?;
        for path in EFI_PATHS {
            let path = esp.join(path);
            if let Some(folder) = path.parent() {
                context.system.create_dir_all(folder)?;
            }
            files::copy(context, Artifact::GrubEfi, &path)?;
        }
        context.unmount(&esp)?;
        let esp = context.mount(PartitionKind::Esp, "vfat", true)?;
        for path in EFI_PATHS {
            files::compare(context, Artifact::GrubEfi, &esp.join(path))?;
        }
        context.unmount(&esp)?;

        if let Some((boot, core)) = bios {
            let layout = &context.plan.disk.layout;
            let bios_partition = layout
                .get(PartitionKind::Bios)
                .ok_or("the plan has no BIOS boot partition")?;
            let images = grub_bios_embed(&boot, &core, bios_partition.start, bios_partition.size)?;
            let mut device = context
                .machine
                .open(Path::new(context.disk()), Access::Exclusive)?;
            images.write(device.as_mut(), bios_partition)?;
            drop(device);
            partition::reread(context)?;
        }
        Ok(())
    }

    fn cleanup(&mut self, context: &mut Context<'_>) -> Result<(), StepError> {
        context.unmount_all()
    }
}

fn bios_images(context: &Context<'_>) -> Result<(Vec<u8>, Vec<u8>), StepError> {
    let boot = context
        .release
        .read(Artifact::GrubBiosBoot, CORE_MAX as u64)?;
    let core = context
        .release
        .read(Artifact::GrubBiosCore, CORE_MAX as u64)?;
    let layout = &context.plan.disk.layout;
    let partition = layout
        .get(PartitionKind::Bios)
        .ok_or("the plan has no BIOS boot partition")?;
    grub_bios_embed(&boot, &core, partition.start, partition.size)?;
    Ok((boot, core))
}
