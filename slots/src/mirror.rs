//! A host on two disks: which partitions are mirrored, and what their arrays are called.
//!
//! Each disk has the same partitions at the same places. Slots, state and the storage repository are md arrays of level 1
//! over the two partitions of the same number; the ESP and GRUB's core image are on each disk for itself, because firmware
//! reads them.

use crate::layout::{Layout, LayoutError, MIB, PartitionKind};

/// Where the data of a member begins, in bytes.
///
/// Metadata version 1.2 lies in front of the data, so that a member looks like a member and never like the file system,
/// volume or root image in it, as it would with versions 0.90 and 1.0. One fixed place, so that the initrd can look at a
/// slot before its array runs; superblock (at 4 KiB) and write-intent bitmap fit in front of it.
pub const DATA_OFFSET: u64 = MIB;

impl PartitionKind {
    /// What a mirror has as an array, in the order on the disk.
    pub const MIRRORED: [PartitionKind; 4] = [
        PartitionKind::SlotA,
        PartitionKind::SlotB,
        PartitionKind::State,
        PartitionKind::Storage,
    ];

    /// The kernel's name of the array over these partitions: its number is that of the partitions.
    pub fn array_name(self) -> String {
        format!("md{}", self.number())
    }

    /// The device of that array.
    pub fn array_device(self) -> String {
        format!("/dev/{}", self.array_name())
    }
}

impl Layout {
    /// The layouts of two disks of a mirror, given as bytes and bytes of a logical sector: the same partitions, as large as
    /// the smaller disk allows.
    ///
    /// # Errors
    /// A disk takes no layout, or the two have different sectors.
    pub fn plan_mirror(
        first: (u64, u32),
        second: (u64, u32),
        state_size: Option<u64>,
    ) -> Result<[Layout; 2], LayoutError> {
        if first.1 != second.1 {
            return Err(LayoutError::OtherSectors {
                first: first.1,
                second: second.1,
            });
        }
        let smaller = Layout::plan_with(first.0.min(second.0), first.1, state_size)?;
        Ok([first, second].map(|(disk_size, _)| smaller.on_disk(disk_size)))
    }

    /// The same partitions on a disk of another size, which must be large enough for them.
    pub fn on_disk(&self, disk_size: u64) -> Layout {
        Layout {
            disk_size,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{GIB, MIN_DISK_SIZE};

    #[test]
    fn both_disks_have_the_partitions_of_the_smaller_one() {
        let [large, small] = Layout::plan_mirror((100 * GIB, 512), (40 * GIB, 512), None).unwrap();
        assert_eq!(small, Layout::plan(40 * GIB, 512).unwrap());
        assert_eq!(large.partitions, small.partitions);
        assert_eq!(large.disk_size, 100 * GIB);
    }

    #[test]
    fn disks_that_do_not_fit_together() {
        assert_eq!(
            Layout::plan_mirror((40 * GIB, 512), (40 * GIB, 4096), None),
            Err(LayoutError::OtherSectors {
                first: 512,
                second: 4096
            })
        );
        assert_eq!(
            Layout::plan_mirror((40 * GIB, 512), (MIN_DISK_SIZE - 1, 512), None),
            Err(LayoutError::TooSmall {
                size: MIN_DISK_SIZE - 1
            })
        );
    }

    #[test]
    fn arrays_are_called_after_the_partitions() {
        let names = PartitionKind::MIRRORED.map(PartitionKind::array_device);
        assert_eq!(names, ["/dev/md3", "/dev/md4", "/dev/md5", "/dev/md6"]);
    }
}
