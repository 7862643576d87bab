//! Steps: what was on the disk is forgotten. The first write.

use super::partition::reread;
use super::{Context, partition_path};
use slots::PartitionKind;
use slots::block::Access;
use slots::gpt::{Table, erase_tables, forget_boot_code, read_table};
use std::path::{Path, PathBuf};
use steps::system::Command;
use steps::{Reporter, Step, StepError};

/// Removes signatures and partition tables, so that nothing old comes back to life between the new parts.
pub struct EraseDisk;

impl Step<Context<'_>> for EraseDisk {
    fn id(&self) -> String {
        "erase-disk".into()
    }

    fn title(&self) -> String {
        "Erase the old partition table and signatures".into()
    }

    fn run(&mut self, context: &mut Context<'_>, _: &mut Reporter<'_>) -> Result<(), StepError> {
        for at in 0..context.members.len() {
            let disk = context.members[at].disk();
            erase(context, disk)?;
        }
        Ok(())
    }
}

/// Removes an older host and leaves its storage repository and the partition table, so that at no time the disk is without an
/// entry for what stays.
pub struct EraseHost;

impl Step<Context<'_>> for EraseHost {
    fn id(&self) -> String {
        "erase-host".into()
    }

    fn title(&self) -> String {
        "Erase the old host beside its storage repository".into()
    }

    fn run(&mut self, context: &mut Context<'_>, _: &mut Reporter<'_>) -> Result<(), StepError> {
        for at in 0..context.members.len() {
            let disk = context.members[at].disk();
            let mut device = context.machine.open(Path::new(disk), Access::Exclusive)?;
            let table = read_table(device.as_mut())?;
            context.written = true;
            // First of all: from here on nothing starts what is half gone. The ESP is the first partition.
            forget_boot_code(device.as_mut())?;
            drop(device);
            reread(context, disk)?;
            for path in old_partitions(context, disk, table.as_ref()) {
                if path != partition_path(disk, PartitionKind::Storage.number()) {
                    wipe(context, &path)?;
                }
            }
        }
        Ok(())
    }
}

/// Erases one disk.
pub(super) fn erase(context: &mut Context<'_>, path: &str) -> Result<(), StepError> {
    let disk = Path::new(path);
    let mut device = context.machine.open(disk, Access::Exclusive)?;
    let table = read_table(device.as_mut())?;
    context.written = true;
    drop(device);
    // An old RAID or LVM inside of a partition would be found again where a new partition happens to start there.
    let old = old_partitions(context, path, table.as_ref());
    for path in old.iter().map(|path| path.as_path()).chain([disk]) {
        wipe(context, path)?;
    }
    let mut device = context.machine.open(disk, Access::Exclusive)?;
    erase_tables(device.as_mut())?;
    Ok(())
}

/// The devices of the partitions in the table of the disk at `path`.
fn old_partitions(context: &Context<'_>, path: &str, table: Option<&Table>) -> Vec<PathBuf> {
    let numbers = table
        .into_iter()
        .flat_map(|table| &table.entries)
        .map(|entry| entry.number);
    numbers
        .map(|number| partition_path(path, number))
        .filter(|path| context.machine.has_device(path))
        .collect()
}

/// Removes what a disk or partition begins with, so that it is taken for nothing old.
pub(super) fn wipe(context: &Context<'_>, path: &Path) -> Result<(), StepError> {
    let wipefs = Command::new("wipefs").args(["--all", "--force", "--quiet"]);
    context.run(wipefs.arg(path)).map(drop)
}
