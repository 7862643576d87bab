//! GRUB for BIOS on a disk: a boot sector, and a core image in one of two places of the BIOS boot partition.
//!
//! A new core image goes to the place that does not start the disk, and is read back. Then the boot sector is written, which names
//! the place: one sector of 512 bytes, which a disk writes whole or not at all. A power cut so leaves a disk that starts the old
//! image or the new one.

use super::disk::Disk;
use super::shipped::Shipped;
use crate::error::chain;
use crate::hotfix::{Site, partition_name};
use crate::local::short_text;
use crate::mirror::partition_of;
use slots::block::{Access, BlockDevice};
use slots::grub::{
    BIOS_SECTOR, BOOT_CODE, BiosBoot, core_places, core_size, core_start, grub_bios_embed,
};
use slots::{Partition, PartitionKind};
use std::path::Path;

/// What is on a disk.
pub(super) enum Bios {
    /// A BIOS does not start from it, and is not meant to.
    Absent,
    /// What the release brings.
    Current,
    /// Another one.
    Old {
        /// Where the core image of the release goes to.
        to: Partition,
        /// The images, for that place.
        images: Box<BiosBoot>,
    },
}

/// Looks at a disk.
///
/// # Errors
/// In words: it cannot be read, it is not as Bedplate writes it, or it has no room for two core images. Nothing may be written then.
pub(super) fn look(site: &Site<'_>, disk: &Disk, shipped: &Shipped) -> Result<Bios, String> {
    let mut device = open(site, disk, Access::ReadOnly)?;
    // A BIOS starts from no other.
    if u64::from(device.sector_size()) != BIOS_SECTOR {
        return Ok(Bios::Absent);
    }
    let mut code = [0; BOOT_CODE];
    read(device.as_mut(), disk, 0, &mut code)?;
    if code.iter().all(|byte| *byte == 0) {
        return Ok(Bios::Absent);
    }
    let stays = |why: String| format!("the boot code for BIOS of {} stays: {why}", disk.name);
    let start = core_start(&code).ok_or_else(|| {
        stays(
            "it is not GRUB's as Bedplate writes it; reinstall what it is of by its own means"
                .to_owned(),
        )
    })?;
    let places = core_places(&partition(site, disk)?);
    let active = places
        .iter()
        .position(|place| place.start == start)
        .ok_or_else(|| {
            stays(format!(
                "it loads from byte {start}, where Bedplate puts no core image"
            ))
        })?;
    let (here, to) = (&places[active], &places[1 - active]);
    let mut first = [0; BIOS_SECTOR as usize];
    read(device.as_mut(), disk, here.start, &mut first)?;
    let size = core_size(&first);
    if size > here.size {
        return Err(stays(format!(
            "its core image has {size} bytes, and the BIOS boot partition room for two of {} only",
            here.size
        )));
    }
    let embed = |place: &Partition| {
        grub_bios_embed(
            &shipped.bios_boot,
            &shipped.bios_core,
            place.start,
            place.size,
        )
        .map_err(|error| stays(error.to_string()))
    };
    let wanted = embed(here)?;
    let mut core = vec![0; wanted.core.len()];
    read(device.as_mut(), disk, here.start, &mut core)?;
    if code == wanted.boot_code && core == wanted.core {
        return Ok(Bios::Current);
    }
    Ok(Bios::Old {
        to: to.clone(),
        images: Box::new(embed(to)?),
    })
}

/// Puts the core image of the release in the other place, and has the boot sector load it.
///
/// # Errors
/// In words. The disk starts what it did before.
pub(super) fn put(site: &Site<'_>, disk: &Disk, shipped: &Shipped) -> Result<(), String> {
    // Once more: what was looked at may have changed.
    let Bios::Old { to, images } = look(site, disk, shipped)? else {
        return Ok(());
    };
    let mut device = open(site, disk, Access::Write)?;
    images
        .write(device.as_mut(), &to)
        .map_err(|error| format!("{}: {}", disk.name, chain(&error)))
}

/// The BIOS boot partition, as the kernel knows it; it must have the name that Bedplate gives it.
fn partition(site: &Site<'_>, disk: &Disk) -> Result<Partition, String> {
    let node = partition_of(&disk.name, PartitionKind::Bios);
    let name = partition_name(site.system, site.places, &node);
    if name.as_deref() != Some(PartitionKind::Bios.name()) {
        return Err(format!(
            "the partition {} should be named {} and is {}; the partition table is not one that Bedplate wrote",
            node.display(),
            PartitionKind::Bios.name(),
            name.as_deref().unwrap_or("not there")
        ));
    }
    let folder = site
        .places
        .sys_block
        .join(node.file_name().unwrap_or_default());
    // Always of 512 bytes. Source: Linux `Documentation/ABI/stable/sysfs-block`.
    let sectors = |file: &str| {
        short_text(site.system, folder.join(file))
            .and_then(|text| text.parse::<u64>().ok())
            .and_then(|count| count.checked_mul(BIOS_SECTOR))
            .ok_or_else(|| format!("{} cannot be read", folder.join(file).display()))
    };
    Ok(Partition {
        kind: PartitionKind::Bios,
        start: sectors("start")?,
        size: sectors("size")?,
    })
}

fn open(
    site: &Site<'_>,
    disk: &Disk,
    access: Access,
) -> Result<Box<dyn BlockDevice + Send>, String> {
    site.machine
        .open(Path::new(&disk.node()), access)
        .map_err(|error| chain(&error))
}

fn read(
    device: &mut dyn BlockDevice,
    disk: &Disk,
    at: u64,
    bytes: &mut [u8],
) -> Result<(), String> {
    device
        .read_at(at, bytes)
        .map_err(|error| format!("{} cannot be read at byte {at}: {error}", disk.name))
}
