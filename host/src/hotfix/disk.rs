//! Which partitions are meant: the slot that runs, and the other one on the same disk.

use super::Places;
use crate::local::short_text;
use slots::layout::PartitionKind;
use std::path::{Path, PathBuf};
use steps::System;

/// The two slots of the disk that the host runs from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slots {
    /// Holds the root that runs.
    pub active: PathBuf,
    /// May be written.
    pub inactive: PathBuf,
}

/// Why the slots are not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{device}: {problem}")]
pub struct SlotError {
    device: String,
    problem: String,
}

/// The slots, by the device that the root was opened from. Both must have the names that Bedplate gives them in the
/// partition table: what is written to is never guessed.
pub fn slots(system: &dyn System, places: &Places, root_device: &str) -> Result<Slots, SlotError> {
    let wrong = |problem: String| SlotError {
        device: root_device.to_owned(),
        problem,
    };
    let end = root_device
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |at| at + 1);
    let (disk, number) = root_device.split_at(end);
    let kind = |number: u32| match number {
        n if n == PartitionKind::SlotA.number() => Some(PartitionKind::SlotA),
        n if n == PartitionKind::SlotB.number() => Some(PartitionKind::SlotB),
        _ => None,
    };
    let active =
        number.parse().ok().and_then(kind).ok_or_else(|| {
            wrong("the root runs from something that is no slot of a disk".into())
        })?;
    let inactive = match active {
        PartitionKind::SlotA => PartitionKind::SlotB,
        _ => PartitionKind::SlotA,
    };
    let device = |kind: PartitionKind| PathBuf::from(format!("{disk}{}", kind.number()));
    // An array of the mirror has no entry in a table; its number and its name are one.
    if disk == "/dev/md" {
        return Ok(Slots {
            active: device(active),
            inactive: device(inactive),
        });
    }
    for kind in [active, inactive] {
        let path = device(kind);
        let found = partition_name(system, places, &path);
        if found.as_deref() != Some(kind.name()) {
            return Err(wrong(format!(
                "the partition {} should be named {} and is {}; the partition table is not one that Bedplate wrote",
                path.display(),
                kind.name(),
                found.as_deref().unwrap_or("not there")
            )));
        }
    }
    Ok(Slots {
        active: device(active),
        inactive: device(inactive),
    })
}

/// `PARTNAME` of a partition. Source: `part_uevent` in Linux `block/partitions/core.c`.
pub(crate) fn partition_name(
    system: &dyn System,
    places: &Places,
    device: &Path,
) -> Option<String> {
    let uevent = places.sys_block.join(device.file_name()?).join("uevent");
    let text = short_text(system, uevent)?;
    text.lines()
        .find_map(|line| line.strip_prefix("PARTNAME="))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps::RecordingSystem;

    fn system(names: &[(&str, &str)]) -> RecordingSystem {
        names
            .iter()
            .fold(RecordingSystem::new(), |system, (dev, name)| {
                system.file(
                    format!("/sys/class/block/{dev}/uevent"),
                    format!("MAJOR=8\nDEVTYPE=partition\nPARTNAME={name}\n"),
                )
            })
    }

    #[test]
    fn the_other_slot_of_the_same_disk() {
        let named = |a: &str, b: &str| system(&[(a, "bedplate-a"), (b, "bedplate-b")]);
        let found = |system: &RecordingSystem, device: &str| {
            slots(system, &Places::default(), device)
                .map(|slots| slots.inactive.display().to_string())
        };
        assert_eq!(
            found(&named("sda3", "sda4"), "/dev/sda3").unwrap(),
            "/dev/sda4"
        );
        assert_eq!(
            found(&named("sda3", "sda4"), "/dev/sda4").unwrap(),
            "/dev/sda3"
        );
        assert_eq!(
            found(&named("nvme0n1p3", "nvme0n1p4"), "/dev/nvme0n1p4").unwrap(),
            "/dev/nvme0n1p3"
        );
        assert_eq!(
            found(&RecordingSystem::new(), "/dev/md3").unwrap(),
            "/dev/md4"
        );
        assert!(found(&RecordingSystem::new(), "/dev/md5").is_err());
        // Swapped, missing, another partition, something else.
        assert!(found(&named("sda4", "sda3"), "/dev/sda3").is_err());
        assert!(found(&system(&[("sda3", "bedplate-a")]), "/dev/sda3").is_err());
        assert!(
            found(
                &system(&[("sda3", "bedplate-a"), ("sda4", "data")]),
                "/dev/sda3"
            )
            .is_err()
        );
        assert!(found(&named("sda3", "sda4"), "/dev/sda5").is_err());
        assert!(found(&named("sda3", "sda4"), "/dev/loop").is_err());
        assert!(found(&named("sda3", "sda4"), "").is_err());
    }
}
