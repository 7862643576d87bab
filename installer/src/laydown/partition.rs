//! Step: the new partition table.

use super::erase::wipe;
use super::{Context, partition_path};
use slots::Layout;
use slots::PartitionKind;
use slots::block::Access;
use slots::gpt::{Guids, replace_table, write_table};
use std::path::{Path, PathBuf};
use steps::system::{Command, RunError};
use steps::{Reporter, Step, StepError};

/// The kernel refuses to read a table anew while udev still looks at the disk; tried this often, with udev's queue
/// emptied between.
const REREAD_TRIES: u32 = 5;

/// Writes the table and waits for the kernel's devices.
pub struct PartitionDisk;

/// Why the partitions did not appear.
#[derive(Debug, thiserror::Error)]
pub enum PartitionError {
    /// The device is missing.
    #[error(
        "the kernel made no device {0} after the partition table was written; `dmesg` may say why"
    )]
    Missing(PathBuf),
    /// It is another partition than planned.
    #[error(
        "{path} has {found} bytes and the partition in the plan {planned}: the kernel still uses an old table; restart"
    )]
    Stale {
        /// Device.
        path: PathBuf,
        /// Bytes that it has.
        found: u64,
        /// Bytes that it should have.
        planned: u64,
    },
}

impl Step<Context<'_>> for PartitionDisk {
    fn id(&self) -> String {
        "partition-disk".into()
    }

    fn title(&self) -> String {
        "Write the partition table".into()
    }

    fn run(&mut self, context: &mut Context<'_>, _: &mut Reporter<'_>) -> Result<(), StepError> {
        for member in &context.members {
            let keeps = context.plan.disk.keeps.is_some();
            partition(context, member.disk(), member.layout, &member.guids, keeps)?;
        }
        Ok(())
    }
}

/// Partitions one disk. With `keeps` over the table that is there, and without a touch of the storage partition.
pub(super) fn partition(
    context: &Context<'_>,
    disk: &str,
    layout: &Layout,
    guids: &Guids,
    keeps: bool,
) -> Result<(), StepError> {
    let mut device = context.machine.open(Path::new(disk), Access::Exclusive)?;
    if keeps {
        replace_table(device.as_mut(), layout, guids)?;
    } else {
        write_table(device.as_mut(), layout, guids)?;
    }
    // The kernel reads a table anew only when nobody has the disk open.
    drop(device);
    reread(context, disk)?;
    for partition in &layout.partitions {
        let path = partition_path(disk, partition.kind.number());
        if !context.machine.has_device(&path) {
            return Err(PartitionError::Missing(path).into());
        }
        let found = context.machine.open(&path, Access::ReadOnly)?.size();
        if found != partition.size {
            return Err(PartitionError::Stale {
                path,
                found,
                planned: partition.size,
            }
            .into());
        }
    }
    // What an older file system left in the middle of the disk must not be taken for one of the new ones.
    let stays = |kind| keeps && kind == PartitionKind::Storage;
    for partition in layout.partitions.iter().filter(|part| !stays(part.kind)) {
        wipe(context, &partition_path(disk, partition.kind.number()))?;
    }
    Ok(())
}

/// Makes the kernel and udev look at the partition table anew, and waits until they are done.
///
/// udev does so by itself when a writer closes the disk, some time later, and the partitions' nodes are gone for a moment
/// then: whoever writes to the whole disk ends with this.
pub(super) fn reread(context: &Context<'_>, disk: &str) -> Result<(), StepError> {
    let settle = || context.run(Command::new("udevadm").args(["settle", "--timeout=60"]));
    let mut tries = 1;
    loop {
        settle()?;
        match context
            .system
            .run(&Command::new("blockdev").args(["--rereadpt", disk]))
        {
            Ok(_) => break,
            Err(RunError::Failed { .. }) if tries < REREAD_TRIES => tries += 1,
            Err(error) => return Err(error.into()),
        }
    }
    settle()?;
    Ok(())
}
