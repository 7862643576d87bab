//! Step: what was on the disk is forgotten. The first write.

use super::{Context, partition_path};
use slots::block::Access;
use slots::gpt::{erase_tables, read_table};
use std::path::Path;
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

/// Erases one disk.
pub(super) fn erase(context: &mut Context<'_>, path: &str) -> Result<(), StepError> {
    let disk = Path::new(path);
    let mut device = context.machine.open(disk, Access::Exclusive)?;
    let table = read_table(device.as_mut())?;
    context.written = true;
    drop(device);
    // An old RAID or LVM inside of a partition would be found again where a new partition happens to start there.
    let numbers = table
        .iter()
        .flat_map(|table| &table.entries)
        .map(|entry| entry.number);
    let old = numbers.map(|number| partition_path(path, number));
    let old: Vec<_> = old
        .filter(|path| context.machine.has_device(path))
        .collect();
    for path in old.iter().map(|path| path.as_path()).chain([disk]) {
        wipe(context, path)?;
    }
    let mut device = context.machine.open(disk, Access::Exclusive)?;
    erase_tables(device.as_mut())?;
    Ok(())
}

/// Removes what a disk or partition begins with, so that it is taken for nothing old.
pub(super) fn wipe(context: &Context<'_>, path: &Path) -> Result<(), StepError> {
    let wipefs = Command::new("wipefs").args(["--all", "--force", "--quiet"]);
    context.run(wipefs.arg(path)).map(drop)
}
