//! Writing a table over another one, so that a partition of it stays.

use super::{
    Copy, ENTRY_SIZE, GptError, Guids, failed, new_table, read_back, read_back_at, read_copy,
    sound_header, write,
};
use crate::block::BlockDevice;
use crate::layout::{ALIGNMENT, Layout};
use std::io;

/// Writes `layout` over the table that is on `device`, and reads it back: for a disk on which a partition stays. The first
/// sector is not written; see [`forget_boot_code`].
///
/// At every point at which the power may be cut the kernel finds a whole table, the old one or the new one. It looks at the
/// backup copy only when it is told to (`find_valid_gpt` in Linux block/partitions/efi.c), so the primary copy is never half
/// written. Order: the whole backup; the entries into a place that nothing points to; the primary header, one sector, which
/// points there; the entries to their usual place; the header again, which points to that. Disks write a sector as a whole or
/// not at all; one that tears it leaves the backup.
///
/// # Errors
/// The disk fails, the layout is for another one, or its primary table is not valid.
pub fn replace_table(
    device: &mut dyn BlockDevice,
    layout: &Layout,
    guids: &Guids,
) -> Result<(), GptError> {
    let sector = u64::from(device.sector_size());
    let (gpt, mut ends) = new_table(device, layout, guids)?;
    let mut first = vec![0; 2 * sector as usize];
    device.read_at(0, &mut first).map_err(failed("read"))?;
    let (mbr, old) = first.split_at(sector as usize);
    ends.head[..sector as usize].copy_from_slice(mbr);
    let old = sound_header(old, 1, device.size() / sector, sector);
    let whole = read_copy(device, Copy::Primary, 1)?;
    let old = old.filter(|_| whole.is_some());
    let old = old.ok_or(GptError::NoPrimary)?;

    let header = |area: &[u8]| area[sector as usize..2 * sector as usize].to_vec();
    let usual = 2 * sector as usize;
    let entries = ends.head[usual..].to_vec();
    let end = ends.head.len() as u64;
    write(device, ends.tail_start(), &ends.tail)?;
    // An earlier try may have been stopped while the header pointed to the other place.
    if old.partition_entry_lba * sector < end {
        let place = ALIGNMENT - ENTRIES_BYTES;
        let mut aside = io::Cursor::new(vec![0; ALIGNMENT as usize]);
        let mut moved = gpt.header.clone();
        moved.partition_entry_lba = place / sector;
        moved.first_usable_lba = ALIGNMENT / sector;
        let list: Vec<_> = gpt.iter().map(|(_, entry)| entry.clone()).collect();
        let made = moved.write_into(&mut aside, sector, &list);
        made.map_err(GptError::Table)?;
        let aside = aside.into_inner();
        write(device, place, &aside[place as usize..])?;
        write(device, sector, &header(&aside))?;
    }
    write(device, usual as u64, &entries)?;
    write(device, sector, &header(&ends.head))?;
    read_back(device, &ends)
}

/// Bytes of the entries of a table that is written.
const ENTRIES_BYTES: u64 = 128 * ENTRY_SIZE as u64;

/// Zeroes the boot code of the MBR, and nothing of the table behind it, and reads it back: BIOS does not start the disk any
/// more.
pub fn forget_boot_code(device: &mut dyn BlockDevice) -> Result<(), GptError> {
    let mut first = vec![0; device.sector_size() as usize];
    device.read_at(0, &mut first).map_err(failed("read"))?;
    first[..BOOT_CODE].fill(0);
    write(device, 0, &first)?;
    read_back_at(device, 0, &first)
}

/// Bytes of boot code and disk signature in front of the table of an MBR.
const BOOT_CODE: usize = 446;

#[cfg(test)]
mod tests {
    use super::super::tests::{guids, written};
    use super::super::{Table, read_copies, read_table, write_table};
    use super::*;
    use crate::block::{Fault, FaultyDevice, MemoryDevice};
    use crate::layout::{GIB, MIB, MIN_DISK_SIZE, PartitionKind};

    /// A disk with an older table, and the layout and identities that keep its storage partition.
    fn to_keep(size: u64, sector: u32) -> (MemoryDevice, Layout, Guids) {
        let (device, old) = written(size, sector);
        let storage = old.get(PartitionKind::Storage).unwrap();
        let place = (storage.start, storage.size);
        let layout = Layout::plan_keeping(size, sector, None, place).unwrap();
        let mut new = Guids::random();
        new.partitions[PartitionKind::Storage as usize] = guids().of(PartitionKind::Storage);
        (device, layout, new)
    }

    fn both(device: &mut MemoryDevice) -> [Table; 2] {
        read_copies(device).unwrap().map(Option::unwrap)
    }

    #[test]
    fn a_table_is_written_over_another_one() {
        for (size, sector) in [(MIN_DISK_SIZE, 512), (32 * GIB, 4096)] {
            let (mut device, layout, new) = to_keep(size, sector);
            device.write_at(0, &[0x90; BOOT_CODE]).unwrap();
            replace_table(&mut device, &layout, &new).unwrap();
            assert_eq!(
                device.bytes(0, BOOT_CODE),
                [0x90; BOOT_CODE],
                "not a table's"
            );
            forget_boot_code(&mut device).unwrap();
            let [primary, backup] = both(&mut device);
            assert_eq!(primary.entries, backup.entries);
            assert_eq!(primary.disk_guid, new.disk);
            assert_eq!(primary.layout(size, sector), Some(layout.clone()));
            let storage = primary.find(PartitionKind::Storage).unwrap();
            assert_eq!(storage.guid, guids().of(PartitionKind::Storage));

            // The same bytes as a table that is written on an empty disk, where a table has its place.
            let mut fresh = MemoryDevice::with_sector_size(size, sector);
            write_table(&mut fresh, &layout, &new).unwrap();
            let usual = 2 * sector as usize + ENTRIES_BYTES as usize;
            assert_eq!(device.bytes(0, usual), fresh.bytes(0, usual));
            let tail = size - 6 * 4096;
            assert_eq!(device.bytes(tail, 6 * 4096), fresh.bytes(tail, 6 * 4096));
            // And nothing in the partitions.
            let inside = size as usize - 2 * MIB as usize;
            for at in [0, inside / 2, inside - 4096] {
                assert_eq!(device.bytes(MIB + at as u64, 4096), vec![0xa5; 4096]);
            }
        }
    }

    /// Cut before any write or within it, between two sectors: the kernel finds a whole table with the partition that stays,
    /// and another try ends as if nothing had happened.
    #[test]
    fn a_power_cut_never_leaves_a_disk_without_the_partition_that_stays() {
        for sector in [512u32, 4096] {
            let (old, layout, new) = to_keep(32 * GIB, sector);
            let mut counting = FaultyDevice::new(old.clone(), None);
            replace_table(&mut counting, &layout, &new).unwrap();
            assert_eq!(counting.writes(), 5);
            for at in 0..counting.writes() {
                for bytes in [0, 1, 3, 4].map(|sectors| sectors * sector as usize) {
                    let fault = Some(Fault::TornWrite { at, bytes });
                    let mut faulty = FaultyDevice::new(old.clone(), fault);
                    assert!(replace_table(&mut faulty, &layout, &new).is_err());
                    let mut disk = faulty.into_inner();
                    let [primary, _] = read_copies(&mut disk).unwrap();
                    let primary = primary.unwrap_or_else(|| panic!("write {at}, {bytes} bytes"));
                    let storage = primary.find(PartitionKind::Storage).unwrap();
                    assert_eq!(storage.guid, guids().of(PartitionKind::Storage));
                    assert_eq!(disk.bytes(510, 2), [0x55, 0xaa]);

                    replace_table(&mut disk, &layout, &new).unwrap();
                    let [primary, backup] = both(&mut disk);
                    assert_eq!(primary.layout(32 * GIB, sector), Some(layout.clone()));
                    assert_eq!(primary.entries, backup.entries);
                    assert_eq!(primary.disk_guid, new.disk);
                }
                // A disk that tears a sector leaves the other copy.
                let fault = Some(Fault::TornWrite { at, bytes: 100 });
                let mut faulty = FaultyDevice::new(old.clone(), fault);
                assert!(replace_table(&mut faulty, &layout, &new).is_err());
                let table = read_table(&mut faulty.into_inner()).unwrap().unwrap();
                let storage = table.find(PartitionKind::Storage).unwrap();
                assert_eq!(storage.guid, guids().of(PartitionKind::Storage));
            }
        }
    }

    #[test]
    fn without_a_whole_table_at_the_start_nothing_is_written_over() {
        let (old, layout, new) = to_keep(MIN_DISK_SIZE, 512);
        for offset in [512 + 60, 1024 + 200] {
            let mut device = old.clone();
            device.write_at(offset, &[0x77]).unwrap();
            let before = device.clone();
            let result = replace_table(&mut device, &layout, &new);
            assert!(matches!(result, Err(GptError::NoPrimary)));
            assert_eq!(device, before);
        }
    }
}
