//! Step: the boot loaders. From here on the disk starts, so everything else is done and verified.

use super::{Context, files, partition};
use release::Artifact;
use slots::block::Access;
use slots::grub::{CORE_MAX, grub_bios_embed};
use slots::layout::PartitionKind;
use slots::names::{EFI_FALLBACK, EFI_VENDOR};
use std::path::Path;
use steps::{Reporter, Step, StepError};

/// GRUB for UEFI, from the root of the ESP.
const EFI_PATHS: [&str; 2] = [EFI_VENDOR, EFI_FALLBACK];

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

        context.stop_arrays()?;
        for at in 0..context.members.len() {
            write_efi(context, at)?;
            if let Some((boot, core)) = &bios {
                write_bios(context, at, boot, core)?;
            }
        }
        Ok(())
    }

    fn cleanup(&mut self, context: &mut Context<'_>) -> Result<(), StepError> {
        context.clean_up()
    }
}

/// Writes the loader for UEFI to one of the disks.
fn write_efi(context: &mut Context<'_>, at: usize) -> Result<(), StepError> {
    let device = context.members[at].partition(PartitionKind::Esp);
    let esp = context.mount_device(device.clone(), PartitionKind::Esp, "vfat", false)?;
    for path in EFI_PATHS {
        let path = esp.join(path);
        if let Some(folder) = path.parent() {
            context.system.create_dir_all(folder)?;
        }
        files::copy(
            context.system,
            context.release,
            &context.origin,
            Artifact::GrubEfi,
            &path,
        )?;
    }
    context.unmount(&esp)?;
    let esp = context.mount_device(device, PartitionKind::Esp, "vfat", true)?;
    for path in EFI_PATHS {
        files::compare(
            context.system,
            context.release,
            Artifact::GrubEfi,
            &esp.join(path),
        )?;
    }
    context.unmount(&esp)
}

/// Writes the loader for BIOS to one of the disks.
fn write_bios(context: &Context<'_>, at: usize, boot: &[u8], core: &[u8]) -> Result<(), StepError> {
    let member = &context.members[at];
    let bios_partition = member
        .layout
        .get(PartitionKind::Bios)
        .ok_or("the plan has no BIOS boot partition")?;
    let images = grub_bios_embed(boot, core, bios_partition.start, bios_partition.size)?;
    let mut device = context
        .machine
        .open(Path::new(member.disk()), Access::Exclusive)?;
    images.write(device.as_mut(), bios_partition)?;
    drop(device);
    partition::reread(context, member.disk())
}

fn bios_images(context: &Context<'_>) -> Result<(Vec<u8>, Vec<u8>), StepError> {
    let read = |artifact| {
        let read = context.release.read(artifact, CORE_MAX as u64);
        read.map_err(|error| context.origin.failed(error))
    };
    let boot = read(Artifact::GrubBiosBoot)?;
    let core = read(Artifact::GrubBiosCore)?;
    let layout = &context.plan.disk.layout;
    let partition = layout
        .get(PartitionKind::Bios)
        .ok_or("the plan has no BIOS boot partition")?;
    grub_bios_embed(&boot, &core, partition.start, partition.size)?;
    Ok((boot, core))
}
