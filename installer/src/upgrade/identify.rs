//! Step: the host is still the one in the plan, and there is room. The last step before the first write.

use super::Context;
use crate::installed::Installed;
use crate::laydown::same_disk;
use release::{Artifact, BOOT_FILES, beside};
use slots::block::Access;
use slots::gpt::read_copies;
use slots::layout::PartitionKind;
use std::path::{Path, PathBuf};
use steps::{Reporter, Step, StepError};

/// Looks at the host again.
pub struct IdentifyHost;

/// Why the host is not upgraded.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// Something uses it.
    #[error("{0} is in use; nothing was written. Stop what uses it, and plan again")]
    InUse(String),
    /// A partition is not where the plan saw it.
    #[error(
        "{path} is not the {name} in the plan any more; nothing was written. Plan again, and repair the partition table if that \
         does not help (`sgdisk --verify` tells what is wrong)"
    )]
    Moved {
        /// Device path of the disk.
        path: String,
        /// Which partition.
        name: &'static str,
    },
    /// It is another host, or it was started meanwhile.
    #[error(
        "the host on {path} is not as the plan knows it: {found}; nothing was written. Plan again"
    )]
    Other {
        /// Device path of the disk.
        path: String,
        /// What is there.
        found: String,
    },
    /// The image is larger than the slot.
    #[error(
        "the root image has {need} bytes, and the slot {slot} has {room}; nothing was written. Install anew with this release, which \
         makes larger slots"
    )]
    Slot {
        /// The slot.
        slot: PathBuf,
        /// Bytes of the image.
        need: u64,
        /// Bytes of the slot.
        room: u64,
    },
    /// The boot files do not fit.
    #[error(
        "the boot files need {need} bytes on the EFI system partition {esp}, and {room} are free; nothing was written. Start the \
         host and remove what is not Bedplate's from /boot/efi"
    )]
    Esp {
        /// The partition.
        esp: PathBuf,
        /// Bytes that are needed.
        need: u64,
        /// Bytes that are free.
        room: u64,
    },
}

impl Step<Context<'_>> for IdentifyHost {
    fn id(&self) -> String {
        "identify-host".into()
    }

    fn title(&self) -> String {
        "Identify the host again".into()
    }

    fn run(
        &mut self,
        context: &mut Context<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), StepError> {
        let plan = context.plan;
        let path = &plan.disk.path;
        let disk = same_disk(context.machine, &plan.disk)?;
        if disk.is_in_use() {
            return Err(UpgradeError::InUse(path.clone()).into());
        }
        same_partitions(context)?;
        let found = Installed::read(context.system, context.machine, path)?;
        if let Some(found) = difference(context, &found) {
            let path = path.clone();
            return Err(UpgradeError::Other { path, found }.into());
        }
        context.state = Some(found.state);
        room_in_slot(context)?;
        room_on_esp(context)?;
        reporter.note(format!(
            "Bedplate {} stays in {}",
            plan.host.version,
            plan.device(plan.host.slot).display()
        ));
        Ok(())
    }

    fn cleanup(&mut self, context: &mut Context<'_>) -> Result<(), StepError> {
        context.mounts.unmount_all()
    }
}

/// The partitions that are opened are where the plan saw them. Read-only: whoever opens a whole disk to write has udev read its
/// table anew, and for a moment there are no partitions.
fn same_partitions(context: &Context<'_>) -> Result<(), StepError> {
    let plan = context.plan;
    let path = Path::new(&plan.disk.path);
    let mut device = context.machine.open(path, Access::ReadOnly)?;
    let [primary, _] = read_copies(device.as_mut())?;
    for planned in &plan.partitions {
        let same = primary
            .as_ref()
            .and_then(|table| table.find(planned.kind))
            .is_some_and(|entry| {
                entry.number == planned.kind.number()
                    && (entry.guid, entry.start, entry.size)
                        == (planned.part_uuid, planned.start, planned.size)
            });
        if !same {
            let (path, name) = (plan.disk.path.clone(), planned.kind.name());
            return Err(UpgradeError::Moved { path, name }.into());
        }
    }
    Ok(())
}

/// What differs from the plan.
fn difference(context: &Context<'_>, found: &Installed) -> Option<String> {
    let host = &context.plan.host;
    if found.root.verity.root_hash != host.root_hash {
        return Some(format!("it runs Bedplate {}", found.root.version));
    }
    if found.slot != host.slot {
        return Some(format!("its release is in {}", found.slot.name()));
    }
    found
        .fact()
        .trial
        .map(|id| format!("its next start tries the release {id}"))
}

fn room_in_slot(context: &Context<'_>) -> Result<(), StepError> {
    let slot = context.plan.device(context.plan.writes);
    let room = context.machine.open(&slot, Access::ReadOnly)?.size();
    let need = context.release.info(Artifact::Root).size;
    if need > room {
        return Err(UpgradeError::Slot { slot, need, room }.into());
    }
    Ok(())
}

fn room_on_esp(context: &mut Context<'_>) -> Result<(), StepError> {
    let esp = context.mount_esp(true)?;
    let mut room = context.machine.free_space(&esp)?;
    // What the other slot was started with goes first.
    for id in beside::other_roots(context.system, &esp, context.old_id())? {
        let folder = beside::boot_files(&esp, &id);
        let sizes = BOOT_FILES.map(|(_, name)| context.system.file_size(&folder.join(name)));
        room = sizes
            .into_iter()
            .flatten()
            .fold(room, |room, size| room.saturating_add(size));
    }
    context.unmount(&esp)?;
    let need = beside::esp_room(context.release);
    if need > room {
        let esp = context.plan.device(PartitionKind::Esp);
        return Err(UpgradeError::Esp { esp, need, room }.into());
    }
    Ok(())
}
