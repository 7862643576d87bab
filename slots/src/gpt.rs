//! The partition table on a disk: writing a [`Layout`], reading what is there, and erasing it.
//!
//! The format is `gptman`'s business. What it does not do is done here: bounds on the numbers of a header before
//! anything is allocated or computed from them (a header of a hostile or broken disk can have a right checksum and
//! still ask for 4 billion entries), and an order of writes in which a power cut leaves either no table or a whole one;
//! where a partition stays, a whole one in any case.

mod replace;

pub use replace::{forget_boot_code, replace_table};

use crate::block::{BlockDevice, Cursor};
use crate::layout::{ALIGNMENT, Layout, Partition, PartitionKind, SLOT_TYPE};
use gptman::{GPT, GPTHeader, GPTPartitionEntry};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Seek, SeekFrom, Write};
use uuid::Uuid;

/// Entries of a table that is read are limited to this; every tool writes 128.
const MAX_ENTRIES: u32 = 1024;
/// Bytes of one entry; the specification allows more, and no known tool writes more.
const ENTRY_SIZE: u32 = 128;

/// The unique identifiers of a new table. Given by the caller so that writing one is a function of its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guids {
    /// Of the disk.
    pub disk: Uuid,
    /// Of each partition (PARTUUID), in the order of [`PartitionKind::ALL`].
    pub partitions: [Uuid; PartitionKind::ALL.len()],
}

impl Guids {
    /// New random identifiers.
    pub fn random() -> Self {
        Guids {
            disk: Uuid::new_v4(),
            partitions: PartitionKind::ALL.map(|_| Uuid::new_v4()),
        }
    }

    /// PARTUUID of one partition.
    pub fn of(&self, kind: PartitionKind) -> Uuid {
        self.partitions[kind as usize]
    }
}

/// Why a partition table could not be written, read or erased.
#[derive(Debug, thiserror::Error)]
pub enum GptError {
    /// The disk failed.
    #[error("cannot {action} the partition table")]
    Io {
        /// `read`, `write` or `erase`.
        action: &'static str,
        /// What the device said.
        source: io::Error,
    },
    /// The table could not be made.
    #[error("the partition table is not valid")]
    Table(#[source] gptman::Error),
    /// The layout was planned for another disk.
    #[error(
        "the layout is for a disk of {planned} bytes with {planned_sector}-byte sectors, but this one has {size} bytes \
         with {sector}-byte sectors; nothing was written"
    )]
    OtherDisk {
        /// Bytes in the layout.
        planned: u64,
        /// Sector size in the layout.
        planned_sector: u32,
        /// Bytes of the disk.
        size: u64,
        /// Sector size of the disk.
        sector: u32,
    },
    /// There is no such partition.
    #[error("the partition table has no partition {number}")]
    NoPartition {
        /// Its number.
        number: u32,
    },
    /// There is no table that could be written over.
    #[error(
        "the disk has no valid partition table at its start, so nothing on it can be kept; repair it (`sgdisk --verify` tells what is \
         wrong) or install without keeping anything"
    )]
    NoPrimary,
    /// What was read back differs from what was written.
    #[error(
        "the partition table reads back differently from what was written; the disk cannot be trusted"
    )]
    ReadBack,
}

fn failed(action: &'static str) -> impl FnOnce(io::Error) -> GptError {
    move |source| GptError::Io { action, source }
}

/// Which of the two copies of a table was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Copy {
    /// The one at the start of the disk.
    Primary,
    /// The one at its end, because the primary one is not valid.
    Backup,
}

/// One entry of a table that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Number from 1, as in `/dev/sda1`.
    pub number: u32,
    /// Name, shown only: any bytes that are no UTF-16 are replaced.
    pub name: String,
    /// Type.
    pub type_guid: Uuid,
    /// PARTUUID.
    pub guid: Uuid,
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
}

/// A table that was read: its checksums are right and every entry lies on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Which copy this is.
    pub copy: Copy,
    /// Identifier of the disk.
    pub disk_guid: Uuid,
    /// The entries that are in use.
    pub entries: Vec<Entry>,
}

impl Table {
    /// True when this disk holds, or once held, a Bedplate: any partition of the slot type. Rather too often than too
    /// rarely, because it guards against installing over a host.
    pub fn is_bedplate(&self) -> bool {
        self.entries.iter().any(|e| e.type_guid == SLOT_TYPE)
    }

    /// The entry with that type and name.
    pub fn find(&self, kind: PartitionKind) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|e| e.type_guid == kind.type_guid() && e.name == kind.name())
    }

    /// The layout, when all partitions of a Bedplate are there with the right types, names and numbers.
    pub fn layout(&self, disk_size: u64, sector_size: u32) -> Option<Layout> {
        let partitions = PartitionKind::ALL
            .iter()
            .map(|&kind| {
                let entry = self.find(kind).filter(|e| e.number == kind.number())?;
                Some(Partition {
                    kind,
                    start: entry.start,
                    size: entry.size,
                })
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Layout {
            disk_size,
            sector_size,
            partitions,
        })
    }
}

/// Writes `layout` to `device` and reads it back. The boot code of the MBR (bytes 0 to 445) is zeroed: boot code goes
/// in last, by [`crate::grub`].
///
/// Order: backup table, primary table, protective MBR, each made durable before the next. Firmware and kernel look at
/// the primary table only behind a protective MBR, so that until the last write the disk has no table.
/// Call [`erase_tables`] first: what an older table left in places that this one does not use is not touched here.
pub fn write_table(
    device: &mut dyn BlockDevice,
    layout: &Layout,
    guids: &Guids,
) -> Result<(), GptError> {
    let sector = device.sector_size();
    let (_, ends) = new_table(device, layout, guids)?;
    let (mbr, primary) = ends.head.split_at(sector as usize);
    write(device, ends.tail_start(), &ends.tail)?;
    write(device, sector.into(), primary)?;
    write(device, 0, mbr)?;
    read_back(device, &ends)
}

/// The table of `layout`, and the two ends of the disk as they then are.
fn new_table(
    device: &dyn BlockDevice,
    layout: &Layout,
    guids: &Guids,
) -> Result<(GPT, Ends), GptError> {
    let (size, sector) = (device.size(), device.sector_size());
    if (layout.disk_size, layout.sector_size) != (size, sector) {
        let (planned, planned_sector) = (layout.disk_size, layout.sector_size);
        return Err(GptError::OtherDisk {
            planned,
            planned_sector,
            size,
            sector,
        });
    }
    let mut ends = Ends::new(size);
    let mut gpt = GPT::new_from(&mut ends, sector.into(), guids.disk.to_bytes_le())
        .map_err(GptError::Table)?;
    for p in &layout.partitions {
        gpt[p.kind.number()] = GPTPartitionEntry {
            partition_type_guid: p.kind.type_guid().to_bytes_le(),
            unique_partition_guid: guids.of(p.kind).to_bytes_le(),
            starting_lba: p.start / u64::from(sector),
            ending_lba: p.end() / u64::from(sector) - 1,
            attribute_bits: 0,
            partition_name: p.kind.name().into(),
        };
    }
    gpt.write_into(&mut ends).map_err(GptError::Table)?;
    GPT::write_protective_mbr_into(&mut ends, sector.into()).map_err(GptError::Table)?;
    Ok((gpt, ends))
}

/// Writes, and makes it durable.
fn write(device: &mut dyn BlockDevice, offset: u64, data: &[u8]) -> Result<(), GptError> {
    let written = device.write_at(offset, data);
    written
        .and_then(|()| device.flush())
        .map_err(failed("write"))
}

/// Compares both ends of the disk with what they shall be.
fn read_back(device: &mut dyn BlockDevice, ends: &Ends) -> Result<(), GptError> {
    read_back_at(device, 0, &ends.head)?;
    read_back_at(device, ends.tail_start(), &ends.tail)
}

/// Compares what is on the disk with `data`.
fn read_back_at(device: &mut dyn BlockDevice, offset: u64, data: &[u8]) -> Result<(), GptError> {
    device
        .drop_cache(offset, data.len() as u64)
        .map_err(failed("read"))?;
    let mut back = vec![0; data.len()];
    device.read_at(offset, &mut back).map_err(failed("read"))?;
    match back == data {
        true => Ok(()),
        false => Err(GptError::ReadBack),
    }
}

/// Gives partition `number` of the disk another name, in both copies of its table. Nothing else changes.
///
/// # Errors
/// The disk fails, or has no such partition.
pub fn rename_partition(
    device: &mut dyn BlockDevice,
    number: u32,
    name: &str,
) -> Result<(), GptError> {
    let mut cursor = Cursor::new(&mut *device);
    let mut gpt = GPT::find_from(&mut cursor).map_err(GptError::Table)?;
    if number == 0 || number > gpt.header.number_of_partition_entries || gpt[number].is_unused() {
        return Err(GptError::NoPartition { number });
    }
    gpt[number].partition_name = name.into();
    gpt.write_into(&mut cursor).map_err(GptError::Table)?;
    device.flush().map_err(failed("write"))
}

/// Reads the table of a disk: the primary copy, else the backup copy. None when neither is valid.
///
/// A backup copy counts only at the very end of the disk, where the kernel looks for it too.
pub fn read_table(device: &mut dyn BlockDevice) -> Result<Option<Table>, GptError> {
    let sectors = device.size() / u64::from(device.sector_size());
    if sectors < 3 {
        return Ok(None);
    }
    match read_copy(device, Copy::Primary, 1)? {
        Some(table) => Ok(Some(table)),
        None => read_copy(device, Copy::Backup, sectors - 1),
    }
}

/// Reads both copies of the table of a disk, the primary one first; none for one that is not valid.
pub fn read_copies(device: &mut dyn BlockDevice) -> Result<[Option<Table>; 2], GptError> {
    let sectors = device.size() / u64::from(device.sector_size());
    if sectors < 3 {
        return Ok([None, None]);
    }
    Ok([
        read_copy(device, Copy::Primary, 1)?,
        read_copy(device, Copy::Backup, sectors - 1)?,
    ])
}

/// Reads one copy, whose header is in sector `lba`; none where it is not valid.
fn read_copy(
    device: &mut dyn BlockDevice,
    copy: Copy,
    lba: u64,
) -> Result<Option<Table>, GptError> {
    let sector = u64::from(device.sector_size());
    let sectors = device.size() / sector;
    let mut raw = vec![0; sector as usize];
    device
        .read_at(lba * sector, &mut raw)
        .map_err(failed("read"))?;
    let Some(header) = sound_header(&raw, lba, sectors, sector) else {
        return Ok(None);
    };
    match header.read_partitions(&mut Cursor::new(&mut *device), sector) {
        Ok(entries) => Ok(Some(table(copy, &header, &entries, sector))),
        Err(gptman::Error::Io(source)) => Err(GptError::Io {
            action: "read",
            source,
        }),
        // The checksum over the entries is wrong: this copy is not valid.
        Err(_) => Ok(None),
    }
}

/// The header in `raw`, read from sector `lba`, when its checksum is right and every number in it is plausible.
fn sound_header(raw: &[u8], lba: u64, sectors: u64, sector: u64) -> Option<GPTHeader> {
    let header = GPTHeader::read_from(&mut io::Cursor::new(raw)).ok()?;
    let entries = header.number_of_partition_entries;
    let array_sectors = (u64::from(entries) * u64::from(ENTRY_SIZE)).div_ceil(sector);
    let sound = header.primary_lba == lba
        && (1..=MAX_ENTRIES).contains(&entries)
        && header.size_of_partition_entry == ENTRY_SIZE
        && header.partition_entry_lba >= 2
        && header
            .partition_entry_lba
            .checked_add(array_sectors)
            .is_some_and(|end| end <= sectors);
    sound.then_some(header)
}

fn table(copy: Copy, header: &GPTHeader, entries: &[GPTPartitionEntry], sector: u64) -> Table {
    let entries = (1u32..)
        .zip(entries)
        .filter(|(_, e)| e.is_used())
        .filter_map(|(number, e)| {
            let start = e.starting_lba.checked_mul(sector)?;
            let end = e.ending_lba.checked_add(1)?.checked_mul(sector)?;
            Some(Entry {
                number,
                name: e.partition_name.as_str().to_owned(),
                type_guid: Uuid::from_bytes_le(e.partition_type_guid),
                guid: Uuid::from_bytes_le(e.unique_partition_guid),
                start,
                // An entry that ends before it starts is left out: nothing can be on it.
                size: end.checked_sub(start)?,
            })
        });
    Table {
        copy,
        disk_guid: Uuid::from_bytes_le(header.disk_guid),
        entries: entries.collect(),
    }
}

/// Overwrites the first and the last MiB of the disk with zeros and reads them back: MBR, both copies of a GPT with
/// either sector size, and the metadata that RAID controllers and md keep at the end.
///
/// The backup goes first: were the primary copy erased first and the power cut then, the backup would bring the old
/// table back to life over a disk that is half written.
pub fn erase_tables(device: &mut dyn BlockDevice) -> Result<(), GptError> {
    let size = device.size();
    let len = ALIGNMENT.min(size);
    let zeros = vec![0; len as usize];
    for offset in [size - len, 0] {
        device
            .write_at(offset, &zeros)
            .and_then(|()| device.flush())
            .map_err(failed("erase"))?;
    }
    for offset in [size - len, 0] {
        read_back_at(device, offset, &zeros)?;
    }
    Ok(())
}

/// The two ends of a disk in memory: what `gptman` writes into, so that the order on the real disk is ours.
struct Ends {
    size: u64,
    position: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Ends {
    fn new(size: u64) -> Self {
        // MBR, header and 128 entries: 34 sectors of 512 bytes, 6 of 4096. The tail has no MBR; it is as long for
        // simplicity and starts on a multiple of 4096 only if the disk does, which no one needs.
        let len = (6 * 4096).min(size) as usize;
        Ends {
            size,
            position: 0,
            head: vec![0; len],
            tail: vec![0; len],
        }
    }

    fn tail_start(&self) -> u64 {
        self.size - self.tail.len() as u64
    }
}

impl Write for Ends {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let tail_start = self.tail_start();
        let (area, start) = match self.position.checked_sub(tail_start) {
            Some(within) => (&mut self.tail, within),
            None => (&mut self.head, self.position),
        };
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let room = start
            .checked_add(data.len())
            .and_then(|end| area.get_mut(start..end));
        let room = room.ok_or_else(|| io::Error::other("the table reaches into the partitions"))?;
        room.copy_from_slice(data);
        self.position += data.len() as u64;
        Ok(data.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Ends {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("a new table is not read"))
    }
}

impl Seek for Ends {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = match to {
            SeekFrom::Start(n) => Some(n),
            SeekFrom::End(n) => self.size.checked_add_signed(n),
            SeekFrom::Current(n) => self.position.checked_add_signed(n),
        }
        .ok_or_else(|| io::Error::other("seek before the start"))?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::{Fault, FaultyDevice, MemoryDevice};
    use crate::layout::{GIB, MIB, MIN_DISK_SIZE};
    use proptest::prelude::*;

    pub(super) fn guids() -> Guids {
        let id = |n: u128| Uuid::from_u128(0x1111_2222_3333_4444_5555_6666_7777_0000 + n);
        Guids {
            disk: id(99),
            partitions: [0, 1, 2, 3, 4, 5].map(id),
        }
    }

    pub(super) fn written(size: u64, sector: u32) -> (MemoryDevice, Layout) {
        let mut device = MemoryDevice::with_sector_size(size, sector).filled(0xa5);
        let layout = Layout::plan(size, sector).unwrap();
        write_table(&mut device, &layout, &guids()).unwrap();
        (device, layout)
    }

    #[test]
    fn a_partition_gets_another_name_and_nothing_else_changes() {
        for sector in [512, 4096] {
            let (mut device, _) = written(MIN_DISK_SIZE, sector);
            let mut before = read_table(&mut device).unwrap().unwrap();
            rename_partition(&mut device, 5, "bedplate-aside").unwrap();
            before.entries[4].name = "bedplate-aside".into();
            assert_eq!(read_table(&mut device).unwrap().unwrap(), before);
            // The backup copy says the same.
            device.write_at(u64::from(sector), &[0; 64]).unwrap();
            before.copy = Copy::Backup;
            assert_eq!(read_table(&mut device).unwrap().unwrap(), before);
        }
        let (mut device, _) = written(MIN_DISK_SIZE, 512);
        for number in [0, 7, 129] {
            assert!(rename_partition(&mut device, number, "x").is_err());
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for (size, sector) in [
            (MIN_DISK_SIZE, 512),
            (32 * GIB, 4096),
            (20_000_000_000, 512),
            (4000 * GIB + 77, 4096),
        ] {
            let (mut device, layout) = written(size, sector);
            let table = read_table(&mut device).unwrap().unwrap();
            assert_eq!((table.copy, table.disk_guid), (Copy::Primary, guids().disk));
            assert_eq!(table.layout(size, sector), Some(layout));
            assert!(table.is_bedplate());
            for kind in PartitionKind::ALL {
                assert_eq!(table.find(kind).unwrap().guid, guids().of(kind));
            }
        }
    }

    /// Bytes by the specification, not by the crate that writes them (UEFI 2.10, section 5.2.3 and 5.3).
    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let (device, layout) = written(32 * GIB, 4096);
        let mbr = device.bytes(0, 512);
        assert_eq!(mbr[..446], [0; 446]);
        assert_eq!(
            mbr[446..462],
            [
                0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 0xff, 0x7f, 0
            ]
        );
        assert_eq!(mbr[510..], [0x55, 0xaa]);
        let sectors = 32 * GIB / 4096;
        for (own, other, entries) in [(1, sectors - 1, 2), (sectors - 1, 1, sectors - 5)] {
            let header = device.bytes(own * 4096, 92);
            assert_eq!(&header[..8], b"EFI PART");
            let number = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().unwrap());
            assert_eq!((number(24), number(32), number(72)), (own, other, entries));
            let esp = device.bytes(entries * 4096, 128);
            assert_eq!(esp[..4], [0x28, 0x73, 0x2a, 0xc1]);
            assert_eq!(
                esp[32..40],
                (layout.partitions[0].start / 4096).to_le_bytes()
            );
            assert_eq!(
                esp[40..48],
                (layout.partitions[0].end() / 4096 - 1).to_le_bytes()
            );
            let name: Vec<u8> = "bedplate-esp"
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect();
            assert_eq!(esp[56..56 + name.len()], name);
        }
    }

    #[test]
    fn the_backup_stands_in_for_a_broken_primary() {
        for offset in [512, 512 + 60, 1024 + 200] {
            let (mut device, _) = written(MIN_DISK_SIZE, 512);
            device.write_at(offset, &[0x77]).unwrap();
            let table = read_table(&mut device).unwrap().unwrap();
            assert_eq!(
                (table.copy, table.entries.len()),
                (Copy::Backup, 6),
                "{offset}"
            );
        }
    }

    #[test]
    fn erasing_leaves_no_table_and_touches_nothing_else() {
        let (mut device, _) = written(MIN_DISK_SIZE, 512);
        erase_tables(&mut device).unwrap();
        assert_eq!(read_table(&mut device).unwrap(), None);
        assert_eq!(device.bytes(0, MIB as usize), vec![0; MIB as usize]);
        assert_eq!(
            device.bytes(MIN_DISK_SIZE - MIB, MIB as usize),
            vec![0; MIB as usize]
        );
        assert_eq!(device.bytes(MIB, 1), [0xa5]);
        assert_eq!(device.bytes(MIN_DISK_SIZE - MIB - 1, 1), [0xa5]);
        let mut tiny = MemoryDevice::new(1000).filled(1);
        erase_tables(&mut tiny).unwrap();
        assert_eq!(tiny.bytes(0, 1000), [0; 1000]);
    }

    #[test]
    fn a_layout_for_another_disk_writes_nothing() {
        let layout = Layout::plan(MIN_DISK_SIZE, 512).unwrap();
        for mut device in [
            MemoryDevice::new(MIN_DISK_SIZE + 512),
            MemoryDevice::with_sector_size(MIN_DISK_SIZE, 4096),
        ] {
            let before = device.clone();
            assert!(matches!(
                write_table(&mut device, &layout, &guids()),
                Err(GptError::OtherDisk { .. })
            ));
            assert_eq!(device, before);
        }
    }

    /// At every point at which the power may be cut there is either no protective MBR, and so no table for firmware and
    /// kernel, or the whole table.
    #[test]
    fn a_power_cut_leaves_nothing_or_everything() {
        let layout = Layout::plan(MIN_DISK_SIZE, 512).unwrap();
        for at in 0..3 {
            for torn in [0, 1, 511, 600, 3000] {
                let mut disk = MemoryDevice::new(MIN_DISK_SIZE);
                let fault = Some(Fault::TornWrite { at, bytes: torn });
                let mut faulty = FaultyDevice::new(&mut disk, fault);
                assert!(write_table(&mut faulty, &layout, &guids()).is_err());
                let protected = disk.bytes(510, 2) == [0x55, 0xaa];
                let whole = read_table(&mut disk)
                    .unwrap()
                    .is_some_and(|t| t.layout(MIN_DISK_SIZE, 512).is_some());
                assert!(!protected || whole, "write {at}, {torn} bytes");
            }
        }
        let mut counting = FaultyDevice::new(MemoryDevice::new(MIN_DISK_SIZE), None);
        write_table(&mut counting, &layout, &guids()).unwrap();
        assert_eq!(
            counting.writes(),
            3,
            "the loop above must cover every write"
        );
    }

    #[test]
    fn a_disk_that_lies_is_found_out() {
        let layout = Layout::plan(MIN_DISK_SIZE, 512).unwrap();
        for fault in [
            Fault::LostWrite { at: 1 },
            Fault::FlippedWrite { at: 0, bit: 12_345 },
        ] {
            let mut faulty = FaultyDevice::new(MemoryDevice::new(MIN_DISK_SIZE), Some(fault));
            assert!(
                matches!(
                    write_table(&mut faulty, &layout, &guids()),
                    Err(GptError::ReadBack)
                ),
                "{fault:?}"
            );
        }
        let fault = Some(Fault::LostWrite { at: 1 });
        let mut faulty = FaultyDevice::new(MemoryDevice::new(4 * MIB).filled(9), fault);
        assert!(matches!(erase_tables(&mut faulty), Err(GptError::ReadBack)));
        for at in 0..3 {
            let fault = Some(Fault::LyingFlush { at });
            let mut faulty = FaultyDevice::new(MemoryDevice::new(MIN_DISK_SIZE), fault);
            let good = write_table(&mut faulty, &layout, &guids()).is_ok();
            let copies = read_copies(&mut faulty.into_inner()).unwrap();
            assert!(!good || copies.iter().all(Option::is_some), "lie {at}");
            let mut faulty = FaultyDevice::new(MemoryDevice::new(4 * MIB).filled(9), fault);
            let good = erase_tables(&mut faulty).is_ok();
            assert_eq!(good, at > 1, "lie {at}");
        }
    }

    #[test]
    fn entries_of_others_are_shown_and_not_taken_for_bedplate() {
        let mut device = MemoryDevice::new(64 * MIB);
        let mut gpt = GPT::new_from(&mut Cursor::new(&mut device), 512, [1; 16]).unwrap();
        gpt[7] = GPTPartitionEntry {
            partition_type_guid: PartitionKind::State.type_guid().to_bytes_le(),
            unique_partition_guid: [2; 16],
            starting_lba: 2048,
            ending_lba: 4095,
            attribute_bits: 0,
            partition_name: "bedplate-a".into(),
        };
        gpt.write_into(&mut Cursor::new(&mut device)).unwrap();
        let table = read_table(&mut device).unwrap().unwrap();
        assert_eq!(
            (
                table.entries[0].number,
                table.entries[0].start,
                table.entries[0].size
            ),
            (7, MIB, MIB)
        );
        assert!(!table.is_bedplate() && table.layout(64 * MIB, 512).is_none());
    }

    /// A header with any numbers in it and a right checksum.
    fn header(
        number_of_entries: u32,
        entry_size: u32,
        entries_lba: u64,
        own_lba: u64,
    ) -> GPTHeader {
        let mut header =
            GPTHeader::new_from(&mut Cursor::new(MemoryDevice::new(MIB)), 512, [3; 16]).unwrap();
        header.number_of_partition_entries = number_of_entries;
        header.size_of_partition_entry = entry_size;
        header.partition_entry_lba = entries_lba;
        header.primary_lba = own_lba;
        header.update_crc32_checksum();
        header
    }

    proptest! {
        #[test]
        fn hostile_headers_never_panic_or_fill_the_memory(
            entries in prop_oneof![Just(128), any::<u32>()],
            size in prop_oneof![Just(128), any::<u32>()],
            lba in prop_oneof![Just(2), any::<u64>()],
            own in prop_oneof![Just(1), any::<u64>()],
            noise in prop::collection::vec(any::<u8>(), 0..2048),
        ) {
            let header = header(entries, size, lba, own);
            let mut device = MemoryDevice::new(MIB);
            device.write_at(1024, &noise).unwrap();
            // Laid out as on the disk; the crate's own writer would need the entries.
            let mut raw = b"EFI PART\x00\x00\x01\x00\x5c\x00\x00\x00".to_vec();
            raw.extend(header.crc32_checksum.to_le_bytes());
            raw.extend([0; 4]);
            for n in [header.primary_lba, header.backup_lba, header.first_usable_lba, header.last_usable_lba] {
                raw.extend(n.to_le_bytes());
            }
            raw.extend(header.disk_guid);
            raw.extend(header.partition_entry_lba.to_le_bytes());
            raw.extend(entries.to_le_bytes());
            raw.extend(size.to_le_bytes());
            raw.extend(header.partition_entry_array_crc32.to_le_bytes());
            raw.resize(512, 0);
            prop_assert!(GPTHeader::read_from(&mut io::Cursor::new(&raw)).is_ok());
            device.write_at(512, &raw).unwrap();
            let _ = read_table(&mut device).unwrap();
        }

        #[test]
        fn hostile_entries_never_panic(first in any::<u64>(), last in any::<u64>(), sector in prop_oneof![Just(512u64), Just(4096)]) {
            let entry = GPTPartitionEntry {
                partition_type_guid: [1; 16],
                starting_lba: first,
                ending_lba: last,
                ..GPTPartitionEntry::empty()
            };
            let table = table(Copy::Primary, &header(128, 128, 2, 1), &[entry], sector);
            for e in table.entries {
                prop_assert_eq!(u128::from(e.start), u128::from(first) * u128::from(sector));
                prop_assert_eq!(u128::from(e.size), (u128::from(last) + 1 - u128::from(first)) * u128::from(sector));
            }
        }

        #[test]
        fn noise_is_no_table(noise in prop::collection::vec(any::<u8>(), 4096), size in 0u64..4096) {
            prop_assert_eq!(read_table(&mut MemoryDevice::from_bytes(&noise)).unwrap(), None);
            prop_assert_eq!(read_table(&mut MemoryDevice::new(size)).unwrap(), None);
        }
    }
}
