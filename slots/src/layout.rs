//! Where everything goes on a disk. Pure: the same disk size always gives the same layout.

use crate::names;
use serde::{Deserialize, Serialize};
use uuid::{Uuid, uuid};

/// One mebibyte.
pub const MIB: u64 = 1024 * 1024;
/// One gibibyte.
pub const GIB: u64 = 1024 * MIB;

/// Every partition starts and ends on a multiple of this: fits every erase block and RAID stripe in use.
pub const ALIGNMENT: u64 = MIB;
/// EFI system partition: kernels, initrds, hypervisors and loaders of both slots (about 200 MiB each), and room to grow.
pub const ESP_SIZE: u64 = GIB;
/// BIOS boot partition: GRUB's core image, which may have [`crate::grub::CORE_MAX`] bytes.
pub const BIOS_SIZE: u64 = MIB;
/// One slot: a root image is near 400 MiB in the first release and has to fit for as long as the host lives.
pub const SLOT_SIZE: u64 = 4 * GIB;
/// State on the smallest disk.
pub const MIN_STATE_SIZE: u64 = 8 * GIB;
/// State on the largest disk: logs, hotfixes and crash dumps never need more, virtual machines do.
pub const MAX_STATE_SIZE: u64 = 64 * GIB;
/// State takes one part in this many of the disk, between its two limits.
pub const STATE_SHARE: u64 = 16;
/// The storage repository on the smallest disk: enough for the volume group to exist and hold one small disk.
pub const MIN_STORAGE_SIZE: u64 = GIB;
/// Kept free at either end for the partition tables: GPT takes 34 sectors at the start and 33 at the end
/// (UEFI 2.10, section 5.3), which is less than 1 MiB with 512- and with 4096-byte sectors (6 sectors each there).
const TABLE_ROOM: u64 = ALIGNMENT;

/// The smallest disk that takes a Bedplate, in bytes.
pub const MIN_DISK_SIZE: u64 =
    2 * TABLE_ROOM + ESP_SIZE + BIOS_SIZE + 2 * SLOT_SIZE + MIN_STATE_SIZE + MIN_STORAGE_SIZE;

/// What a partition is for, in the order on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionKind {
    /// EFI system partition: the boot files, also of BIOS machines.
    Esp,
    /// GRUB's core image on BIOS machines.
    Bios,
    /// First root slot.
    SlotA,
    /// Second root slot.
    SlotB,
    /// State of the host: /var, the /etc overlay, logs.
    State,
    /// Local storage repository (LVM).
    Storage,
}

/// GPT type of a slot. Bedplate's own: the Discoverable Partitions Specification has types for a root and for its
/// verity tree in two partitions, and a slot holds both in one, so no other system may take it for its root.
pub const SLOT_TYPE: Uuid = uuid!("41275d90-b7dc-47e0-b760-5f7eef563af3");

impl PartitionKind {
    /// All of them, in the order on the disk.
    pub const ALL: [PartitionKind; 6] = [
        PartitionKind::Esp,
        PartitionKind::Bios,
        PartitionKind::SlotA,
        PartitionKind::SlotB,
        PartitionKind::State,
        PartitionKind::Storage,
    ];

    /// Number of the partition in the table, from 1 (`/dev/sda1`, `/dev/nvme0n1p1`).
    pub fn number(self) -> u32 {
        self as u32 + 1
    }

    /// Name of the partition in the table.
    pub fn name(self) -> &'static str {
        match self {
            PartitionKind::Esp => names::PART_ESP,
            PartitionKind::Bios => names::PART_BIOS,
            PartitionKind::SlotA => names::PART_SLOT_A,
            PartitionKind::SlotB => names::PART_SLOT_B,
            PartitionKind::State => names::PART_STATE,
            PartitionKind::Storage => names::PART_STORAGE,
        }
    }

    /// GPT type. Sources: UEFI 2.10 table 5.7 (ESP), the GRUB manual "BIOS installation" (BIOS boot), the
    /// Discoverable Partitions Specification (LVM, generic Linux data). State is not the specification's `/var` type:
    /// that one is bound to the machine id, which lives on it.
    pub fn type_guid(self) -> Uuid {
        match self {
            PartitionKind::Esp => uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"),
            PartitionKind::Bios => uuid!("21686148-6449-6e6f-744e-656564454649"),
            PartitionKind::SlotA | PartitionKind::SlotB => SLOT_TYPE,
            PartitionKind::State => uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4"),
            PartitionKind::Storage => uuid!("e6d6d379-f507-44c2-a23c-238f2a3df928"),
        }
    }
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// What it is for.
    pub kind: PartitionKind,
    /// First byte on the disk.
    pub start: u64,
    /// Bytes.
    pub size: u64,
}

impl Partition {
    /// The first byte behind it.
    pub fn end(&self) -> u64 {
        self.start + self.size
    }
}

/// The partitions of one disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// Bytes of the disk.
    pub disk_size: u64,
    /// Bytes of a logical sector: 512 or 4096.
    pub sector_size: u32,
    /// One of each kind, in the order of [`PartitionKind::ALL`].
    pub partitions: Vec<Partition>,
}

/// Why a disk takes no layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Too small.
    #[error("the disk has {size} bytes and Bedplate needs {MIN_DISK_SIZE} (about {} GiB); take a larger disk", MIN_DISK_SIZE.div_ceil(GIB))]
    TooSmall {
        /// Bytes of the disk.
        size: u64,
    },
    /// Sectors of another size.
    #[error(
        "the disk has logical sectors of {found} bytes and Bedplate handles 512 and 4096; reformat the disk to one of those or take another"
    )]
    SectorSize {
        /// What the disk says.
        found: u32,
    },
    /// The wish for a state partition leaves too little.
    #[error(
        "a state partition of {wanted} bytes leaves too little for the storage repository; {most} bytes at most fit this disk"
    )]
    StateTooLarge {
        /// Bytes that are wanted.
        wanted: u64,
        /// Bytes that it may have.
        most: u64,
    },
    /// Too small for a storage repository of its own.
    #[error(
        "the disk has {size} bytes, and a storage repository needs {MIN_STORAGE_SIZE} and room for the partition table; take a larger disk"
    )]
    TooSmallForStorage {
        /// Bytes of the disk.
        size: u64,
    },
    /// A storage partition that stays is not where this layout can have one.
    #[error(
        "the storage partition that shall stay lies at {start} with {size} bytes, where this release has none: {reason}; \
         save what is on it, and install without keeping it"
    )]
    KeptStorage {
        /// First byte of the partition.
        start: u64,
        /// Bytes.
        size: u64,
        /// What does not fit.
        reason: &'static str,
    },
    /// A state partition of another size than what lies in front of the storage partition that stays.
    #[error(
        "a state partition of {wanted} bytes does not fit in front of the storage partition that stays; it gets {gets} bytes"
    )]
    KeptState {
        /// Bytes that are wanted.
        wanted: u64,
        /// Bytes that it gets.
        gets: u64,
    },
    /// Two disks of a mirror with different sectors.
    #[error(
        "one disk has logical sectors of {first} bytes and the other of {second}, and the two disks of a mirror must have the same; reformat one of them or take another"
    )]
    OtherSectors {
        /// Of the first disk.
        first: u32,
        /// Of the second disk.
        second: u32,
    },
}

impl Layout {
    /// The layout of a disk of `disk_size` bytes with logical sectors of `sector_size` bytes.
    pub fn plan(disk_size: u64, sector_size: u32) -> Result<Layout, LayoutError> {
        Self::plan_with(disk_size, sector_size, None)
    }

    /// The same with a state partition of `state_size` bytes, rounded up to [`ALIGNMENT`].
    ///
    /// # Errors
    /// Also where that leaves less than [`MIN_STORAGE_SIZE`] for the storage repository.
    pub fn plan_with(
        disk_size: u64,
        sector_size: u32,
        state_size: Option<u64>,
    ) -> Result<Layout, LayoutError> {
        if !matches!(sector_size, 512 | 4096) {
            return Err(LayoutError::SectorSize { found: sector_size });
        }
        if disk_size < MIN_DISK_SIZE {
            return Err(LayoutError::TooSmall { size: disk_size });
        }
        let end = (disk_size - TABLE_ROOM) / ALIGNMENT * ALIGNMENT;
        let share = disk_size / STATE_SHARE / ALIGNMENT * ALIGNMENT;
        let state = match state_size {
            None => share.clamp(MIN_STATE_SIZE, MAX_STATE_SIZE),
            Some(wanted) => {
                let most = MIN_STATE_SIZE + (disk_size - MIN_DISK_SIZE) / ALIGNMENT * ALIGNMENT;
                if wanted > most {
                    return Err(LayoutError::StateTooLarge { wanted, most });
                }
                wanted.max(MIN_STATE_SIZE).next_multiple_of(ALIGNMENT)
            }
        };
        Ok(Self::with_state(disk_size, sector_size, state, end))
    }

    /// The layout of a disk on which a storage partition stays where it is: `storage` is its first byte and its bytes. What
    /// is in front of it is laid out anew, and the state partition takes what is left there. What is behind it stays unused.
    ///
    /// # Errors
    /// The storage partition lies where this layout can have none, or the state partition gets another size than wanted.
    pub fn plan_keeping(
        disk_size: u64,
        sector_size: u32,
        state_size: Option<u64>,
        (start, size): (u64, u64),
    ) -> Result<Layout, LayoutError> {
        if !matches!(sector_size, 512 | 4096) {
            return Err(LayoutError::SectorSize { found: sector_size });
        }
        let refused = |reason| LayoutError::KeptStorage {
            start,
            size,
            reason,
        };
        let end = start.checked_add(size);
        let end = end.filter(|end| *end <= disk_size.saturating_sub(TABLE_ROOM));
        let end = end.ok_or(refused("it reaches into the end of the disk"))?;
        if !start.is_multiple_of(ALIGNMENT) || !size.is_multiple_of(u64::from(sector_size)) {
            return Err(refused("it does not begin at a multiple of 1 MiB"));
        }
        if size == 0 {
            return Err(refused("it is empty"));
        }
        let state = start.saturating_sub(TABLE_ROOM + ESP_SIZE + BIOS_SIZE + 2 * SLOT_SIZE);
        if state < MIN_STATE_SIZE {
            return Err(refused(
                "there is too little room in front of it for boot files, two slots and state",
            ));
        }
        if let Some(wanted) = state_size
            && wanted.checked_next_multiple_of(ALIGNMENT) != Some(state)
        {
            return Err(LayoutError::KeptState {
                wanted,
                gets: state,
            });
        }
        Ok(Self::with_state(disk_size, sector_size, state, end))
    }

    /// All partitions one behind the other, the last one up to `end`.
    fn with_state(disk_size: u64, sector_size: u32, state: u64, end: u64) -> Layout {
        let mut start = TABLE_ROOM;
        let partitions = PartitionKind::ALL.map(|kind| {
            let size = match kind {
                PartitionKind::Esp => ESP_SIZE,
                PartitionKind::Bios => BIOS_SIZE,
                PartitionKind::SlotA | PartitionKind::SlotB => SLOT_SIZE,
                PartitionKind::State => state,
                PartitionKind::Storage => end - start,
            };
            let partition = Partition { kind, start, size };
            start = partition.end();
            partition
        });
        Layout {
            disk_size,
            sector_size,
            partitions: partitions.to_vec(),
        }
    }

    /// The layout of a disk that is a storage repository and nothing else.
    pub fn plan_storage(disk_size: u64, sector_size: u32) -> Result<Layout, LayoutError> {
        if !matches!(sector_size, 512 | 4096) {
            return Err(LayoutError::SectorSize { found: sector_size });
        }
        if disk_size < 2 * TABLE_ROOM + MIN_STORAGE_SIZE {
            return Err(LayoutError::TooSmallForStorage { size: disk_size });
        }
        let end = (disk_size - TABLE_ROOM) / ALIGNMENT * ALIGNMENT;
        Ok(Layout {
            disk_size,
            sector_size,
            partitions: vec![Partition {
                kind: PartitionKind::Storage,
                start: TABLE_ROOM,
                size: end - TABLE_ROOM,
            }],
        })
    }

    /// The partition of that kind. A planned layout has all of them; one that was read from a file may not.
    pub fn get(&self, kind: PartitionKind) -> Option<&Partition> {
        self.partitions.iter().find(|p| p.kind == kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_smallest_disk_and_one_byte_less() {
        let layout = Layout::plan(MIN_DISK_SIZE, 512).unwrap();
        assert_eq!(
            layout.get(PartitionKind::Storage).unwrap().size,
            MIN_STORAGE_SIZE
        );
        assert_eq!(
            layout.get(PartitionKind::State).unwrap().size,
            MIN_STATE_SIZE
        );
        assert_eq!(
            Layout::plan(MIN_DISK_SIZE - 1, 512),
            Err(LayoutError::TooSmall {
                size: MIN_DISK_SIZE - 1
            })
        );
        // 18 GiB and the tables: every disk sold as 20 GB (20 * 10^9 bytes) is large enough.
        assert!(Layout::plan(20_000_000_000, 4096).is_ok());
    }

    #[test]
    fn state_grows_with_the_disk_up_to_its_limit() {
        let state = |gib: u64| {
            Layout::plan(gib * GIB, 512)
                .unwrap()
                .get(PartitionKind::State)
                .unwrap()
                .size
                / GIB
        };
        assert_eq!([20, 128, 256, 1024, 100_000].map(state), [8, 8, 16, 64, 64]);
    }

    #[test]
    fn a_wish_for_the_state_is_met_exactly_or_refused() {
        let size = 100 * GIB;
        let plan = |wanted| Layout::plan_with(size, 512, Some(wanted));
        let state = |layout: Layout| layout.get(PartitionKind::State).unwrap().size;
        assert_eq!(state(plan(20 * GIB + 1).unwrap()), 20 * GIB + MIB);
        // The disk, less tables, boot, slots and the smallest storage repository.
        let most = size - 2 * MIB - GIB - MIB - 8 * GIB - GIB;
        assert_eq!(state(plan(most).unwrap()), most);
        assert_eq!(
            plan(most)
                .unwrap()
                .get(PartitionKind::Storage)
                .unwrap()
                .size,
            MIN_STORAGE_SIZE
        );
        assert_eq!(
            plan(most + 1),
            Err(LayoutError::StateTooLarge {
                wanted: most + 1,
                most
            })
        );
    }

    #[test]
    fn a_storage_partition_that_stays_is_met_at_its_very_place() {
        let size = 100 * GIB;
        let old = Layout::plan_with(size, 512, Some(20 * GIB)).unwrap();
        let storage = old.get(PartitionKind::Storage).unwrap();
        let kept = (storage.start, storage.size);
        let keep = |disk, state, kept| Layout::plan_keeping(disk, 512, state, kept);
        assert_eq!(keep(size, None, kept), Ok(old.clone()));
        assert_eq!(keep(size, Some(20 * GIB), kept), Ok(old.clone()));
        // A virtual disk that has grown since, and a partition that ends early: it is neither moved nor made larger.
        assert_eq!(keep(2 * size, None, kept), Ok(old.on_disk(2 * size)));
        let short = keep(size, None, (kept.0, GIB)).unwrap();
        assert_eq!(short.get(PartitionKind::Storage).unwrap().size, GIB);

        assert_eq!(
            keep(size, Some(21 * GIB), kept),
            Err(LayoutError::KeptState {
                wanted: 21 * GIB,
                gets: 20 * GIB
            })
        );
        let least = 2 * MIB + GIB + 8 * GIB + MIN_STATE_SIZE;
        assert!(keep(size, None, (least, GIB)).is_ok());
        for (kept, expected) in [
            ((least - MIB, GIB), "too little room"),
            ((0, GIB), "too little room"),
            ((kept.0 + 512, GIB), "multiple of 1 MiB"),
            ((kept.0, 1000), "multiple of 1 MiB"),
            ((kept.0, 0), "empty"),
            ((kept.0, size - kept.0), "end of the disk"),
            ((u64::MAX - 511, 512), "end of the disk"),
            ((MIB, u64::MAX), "end of the disk"),
        ] {
            let error = keep(size, None, kept).unwrap_err().to_string();
            assert!(error.contains(expected), "{kept:?}: {error}");
        }
    }

    #[test]
    fn a_storage_disk_is_one_partition() {
        let layout = Layout::plan_storage(10 * GIB + 5, 4096).unwrap();
        let [part] = layout.partitions.as_slice() else {
            panic!("{layout:?}")
        };
        assert_eq!((part.start, part.end()), (MIB, 10 * GIB - MIB));
        let least = GIB + 2 * MIB;
        assert!(Layout::plan_storage(least, 512).is_ok());
        assert_eq!(
            Layout::plan_storage(least - 1, 512),
            Err(LayoutError::TooSmallForStorage { size: least - 1 })
        );
    }

    #[test]
    fn other_sector_sizes_are_refused() {
        for found in [0, 1, 520, 2048, 8192] {
            assert_eq!(
                Layout::plan(MIN_DISK_SIZE, found),
                Err(LayoutError::SectorSize { found })
            );
        }
    }

    #[test]
    fn numbers_and_names_are_what_the_initrd_looks_for() {
        let all: Vec<_> = PartitionKind::ALL
            .iter()
            .map(|k| (k.number(), k.name()))
            .collect();
        let expected = [
            (1, "bedplate-esp"),
            (2, "bedplate-bios"),
            (3, "bedplate-a"),
            (4, "bedplate-b"),
            (5, "bedplate-state"),
            (6, "bedplate-sr"),
        ];
        assert_eq!(all, expected);
    }

    proptest! {
        #[test]
        fn aligned_in_order_disjoint_and_within_the_disk(
            size in prop_oneof![MIN_DISK_SIZE..MIN_DISK_SIZE + 64 * MIB, MIN_DISK_SIZE..=u64::MAX],
            sector_size in prop_oneof![Just(512u32), Just(4096)],
        ) {
            let layout = Layout::plan(size, sector_size).unwrap();
            let kinds: Vec<_> = layout.partitions.iter().map(|p| p.kind).collect();
            prop_assert_eq!(kinds, PartitionKind::ALL.to_vec());
            let sectors = size / u64::from(sector_size);
            let entries = (128 * 128) / u64::from(sector_size);
            let mut free = (2 + entries) * u64::from(sector_size);
            for p in &layout.partitions {
                prop_assert_eq!((p.start % ALIGNMENT, p.size % ALIGNMENT), (0, 0));
                prop_assert!(p.start >= free && p.size >= MIB);
                free = p.end();
            }
            prop_assert!(free <= (sectors - 1 - entries) * u64::from(sector_size));
            // Nothing of note is wasted: at most 3 MiB behind the last partition.
            prop_assert!(size - free < 3 * MIB);
        }
    }
}
