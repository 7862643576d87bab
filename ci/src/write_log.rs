//! Everything that a machine wrote to a disk, in order, with its flushes: from that the disk as a power cut at any moment
//! leaves it.
//!
//! QEMU's block driver `blklogwrites` writes it in the format of Linux's dm-log-writes
//! (`Documentation/admin-guide/device-mapper/log-writes.rst`): a superblock of one sector, then for each entry a sector that
//! describes it, and the data behind it. All numbers are little endian.

use crate::seeded::Seeded;
use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes of a sector in a log: what QEMU is told (`log-sector-size`). Nothing smaller is ever written in one piece.
pub const SECTOR: u64 = 512;

/// Of the superblock: what the format calls `WRITE_LOG_MAGIC`.
const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;

/// What the machine asked of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// First byte on the disk.
    pub offset: u64,
    /// Bytes; none for a flush alone.
    pub size: u64,
    /// Everything that was written before is durable afterwards.
    pub flush: bool,
    /// It is durable itself when it is done (forced unit access).
    pub durable: bool,
    /// Its bytes are given up; they read as zeros.
    pub discard: bool,
    /// Where its bytes are in the log.
    data: u64,
}

impl Entry {
    /// True when it changes a byte of the part of the disk that begins at `start` and has `size` bytes.
    pub fn touches(&self, start: u64, size: u64) -> bool {
        self.offset < start + size && start < self.offset + self.size
    }
}

/// A log of writes.
#[derive(Debug)]
pub struct WriteLog {
    file: File,
    path: PathBuf,
    /// In the order in which the machine asked.
    pub entries: Vec<Entry>,
    /// For each entry: where it ends in the file.
    ends: Vec<u64>,
}

/// Bytes that a power cut left or took: what was there before stays where a write is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Which entry.
    pub entry: usize,
    /// How many of its bytes reached the disk, from its start.
    pub bytes: u64,
}

impl WriteLog {
    /// Opens the log that a machine left.
    ///
    /// # Errors
    /// When it cannot be read, or is no log.
    pub fn open(path: &Path) -> Result<WriteLog> {
        let file =
            File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let mut log = WriteLog {
            file,
            path: path.to_path_buf(),
            entries: Vec::new(),
            ends: Vec::new(),
        };
        log.read_entries()
            .with_context(|| format!("{} is no log of writes", path.display()))?;
        Ok(log)
    }

    fn read_entries(&mut self) -> Result<()> {
        let head = self.numbers(0)?;
        ensure!(head[0] == MAGIC && head[1] == VERSION, "its superblock");
        // Four bytes; what follows is zero.
        ensure!(head[3] == SECTOR, "its sectors have {} bytes", head[3]);
        let mut at = SECTOR;
        for number in 0..head[2] {
            let [sector, sectors, flags, _] = self
                .numbers(at)
                .with_context(|| format!("entry {number} at {at}"))?;
            let discard = flags & DISCARD != 0;
            let entry = Entry {
                offset: sector * SECTOR,
                size: sectors * SECTOR,
                flush: flags & FLUSH != 0,
                durable: flags & FUA != 0,
                discard,
                data: at + SECTOR,
            };
            at += SECTOR + if discard { 0 } else { entry.size };
            self.entries.push(entry);
            self.ends.push(at);
        }
        Ok(())
    }

    fn numbers(&self, at: u64) -> Result<[u64; 4]> {
        let mut bytes = [0; 32];
        self.file.read_exact_at(&mut bytes, at)?;
        let mut numbers = [0; 4];
        for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks().0) {
            *number = u64::from_le_bytes(*bytes);
        }
        Ok(numbers)
    }

    /// How many entries the log had when its file had `length` bytes.
    pub fn entries_at(&self, length: u64) -> usize {
        self.ends.partition_point(|end| *end <= length)
    }

    /// How many entries are durable for sure when the power goes after `count` of them: all before the last flush.
    pub fn durable(&self, count: usize) -> usize {
        let flush = self.entries[..count].iter().rposition(|entry| entry.flush);
        flush.map_or(0, |flush| flush + 1)
    }

    /// What is left of the entries behind the last flush when the power goes after `count` of them. The cache of the disk
    /// wrote some of them, in any order, and the last one may have been cut in the middle of it.
    pub fn survivors(&self, count: usize, random: &mut Seeded) -> Vec<Kept> {
        let first = self.durable(count);
        let mut kept = Vec::new();
        for entry in first..count {
            let size = self.entries[entry].size;
            let whole = self.entries[entry].durable && entry + 1 < count;
            let bytes = match random.below(4) {
                _ if whole => size,
                0 => 0,
                1 if entry + 1 == count => random.below(size / SECTOR + 1) * SECTOR,
                1 => 0,
                _ => size,
            };
            if bytes > 0 {
                kept.push(Kept { entry, bytes });
            }
        }
        kept
    }

    /// Writes what is left of an entry to an image of the disk, whose byte 0 is byte `start` of the disk. What lies outside is
    /// left out.
    ///
    /// # Errors
    /// When the log cannot be read or the image not be written.
    pub fn apply(&self, kept: Kept, image: &File, start: u64, size: u64) -> Result<()> {
        let entry = self.entries[kept.entry];
        let from = entry.offset.max(start);
        let to = (entry.offset + kept.bytes).min(start + size);
        const PIECE: u64 = 1 << 20;
        let mut at = from;
        while at < to {
            let length = PIECE.min(to - at);
            let mut bytes = vec![0; usize::try_from(length)?];
            if !entry.discard {
                self.file
                    .read_exact_at(&mut bytes, entry.data + (at - entry.offset))
                    .with_context(|| format!("{} cannot be read", self.path.display()))?;
            }
            image
                .write_all_at(&bytes, at - start)
                .context("the image of the disk cannot be written")?;
            at += length;
        }
        Ok(())
    }

    /// The whole of an entry.
    pub fn whole(&self, entry: usize) -> Kept {
        Kept {
            entry,
            bytes: self.entries[entry].size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Superblock and entries `(sector, sectors, flags, fill)`.
    fn log(entries: &[(u64, u64, u64, u8)]) -> (tempfile::TempDir, WriteLog) {
        let mut bytes = Vec::new();
        let sector = |numbers: [u64; 4]| {
            let mut sector: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
            sector.resize(512, 0);
            sector
        };
        bytes.extend(sector([MAGIC, 1, entries.len() as u64, SECTOR]));
        for (at, sectors, flags, fill) in entries {
            bytes.extend(sector([*at, *sectors, *flags, 0]));
            if flags & DISCARD == 0 {
                bytes.extend(vec![*fill; usize::try_from(sectors * 512).unwrap()]);
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, bytes).unwrap();
        let log = WriteLog::open(&path).unwrap();
        (dir, log)
    }

    #[test]
    fn entries_are_found_behind_data_and_discards() {
        let (_dir, log) = log(&[
            (8, 2, 0, 1),
            (0, 0, FLUSH, 0),
            (100, 64, DISCARD, 0),
            (9, 1, FUA, 2),
        ]);
        let offsets: Vec<_> = log.entries.iter().map(|e| (e.offset, e.size)).collect();
        assert_eq!(
            offsets,
            [(4096, 1024), (0, 0), (51_200, 32_768), (4608, 512)]
        );
        assert!(log.entries[1].flush && log.entries[2].discard && log.entries[3].durable);
        assert!(log.entries[0].touches(5000, 1) && !log.entries[0].touches(5120, 1));
        assert!(
            !log.entries[1].touches(0, 1 << 30),
            "a flush changes nothing"
        );
        // Superblock, entry and two sectors of data.
        assert_eq!((log.entries_at(2047), log.entries_at(2048)), (0, 1));
        assert_eq!((log.durable(1), log.durable(2), log.durable(4)), (0, 2, 2));
    }

    #[test]
    fn what_was_flushed_is_never_lost_and_the_rest_may_be() {
        let (dir, log) = log(&[
            (0, 4, 0, 1),
            (0, 0, FLUSH, 0),
            (0, 1, 0, 2),
            (1, 1, FUA, 3),
            (2, 2, 0, 4),
        ]);
        let path = dir.path().join("disk");
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let image = File::options()
                .create(true)
                .truncate(true)
                .read(true)
                .write(true)
                .open(&path)
                .unwrap();
            image.set_len(2048).unwrap();
            for entry in 0..log.durable(5) {
                log.apply(log.whole(entry), &image, 0, 2048).unwrap();
            }
            for kept in log.survivors(5, &mut Seeded::new(seed)) {
                log.apply(kept, &image, 0, 2048).unwrap();
            }
            let mut disk = [0; 2048];
            image.read_exact_at(&mut disk, 0).unwrap();
            let sectors: Vec<u8> = disk.chunks(512).map(|sector| sector[0]).collect();
            assert_eq!(sectors[1], 3, "it was durable by itself");
            seen.insert(sectors);
        }
        let all: Vec<Vec<u8>> = [1, 2]
            .iter()
            .flat_map(|first| [[1, 1], [4, 1], [4, 4]].map(|last| (*first, last)))
            .map(|(first, last)| vec![first, 3, last[0], last[1]])
            .collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), all);
    }

    #[test]
    fn an_image_of_a_part_gets_that_part() {
        let (dir, log) = log(&[(2, 4, 0, 7), (4, 1, DISCARD, 0)]);
        let path = dir.path().join("part");
        std::fs::write(&path, [9; 1024]).unwrap();
        let image = File::options().read(true).write(true).open(&path).unwrap();
        // Sectors 4 and 5 of the disk.
        log.apply(log.whole(0), &image, 2048, 1024).unwrap();
        log.apply(log.whole(1), &image, 2048, 1024).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(
            (bytes[0], bytes[511], bytes[512], bytes[1023]),
            (0, 0, 7, 7)
        );
        assert_eq!(bytes.len(), 1024);
    }

    #[test]
    fn other_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, [1; 4096]).unwrap();
        assert!(WriteLog::open(&path).is_err());
    }
}
