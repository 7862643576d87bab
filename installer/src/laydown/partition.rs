//! Step: the new partition table.

use super::{Context, context::Member};
use slots::block::Access;
use slots::gpt::write_table;
use slots::layout::PartitionKind;
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
            partition(context, member)?;
        }
        Ok(())
    }
}

/// Partitions one of the disks.
fn partition(context: &Context<'_>, member: &Member<'_>) -> Result<(), StepError> {
    let layout = member.layout;
    let mut device = context
        .machine
        .open(Path::new(member.disk()), Access::Exclusive)?;
    write_table(device.as_mut(), layout, &member.guids)?;
    // The kernel reads a table anew only when nobody has the disk open.
    drop(device);
    reread(context, member.disk())?;
    for partition in &layout.partitions {
        let path = member.partition(partition.kind);
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
    for kind in PartitionKind::ALL {
        context.run(
            Command::new("wipefs")
                .args(["--all", "--force", "--quiet"])
                .arg(member.partition(kind)),
        )?;
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
