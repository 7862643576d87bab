//! A device that goes wrong on purpose, for tests of what a power cut or a bad disk leaves behind.

use super::{BlockDevice, check_write};
use std::io;

/// One thing that goes wrong. Writes are counted from 0 over the life of the [`FaultyDevice`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The power is cut before write `at`: it and everything after it fail, reads too.
    PowerCut {
        /// Number of the first write that does not happen.
        at: u64,
    },
    /// The power is cut within write `at`: only its first `bytes` bytes reach the disk.
    TornWrite {
        /// Number of the write that is torn.
        at: u64,
        /// Bytes of it that are written (all of them if it is shorter).
        bytes: usize,
    },
    /// Write `at` fails with an I/O error and changes nothing; everything else works.
    WriteError {
        /// Number of the failing write.
        at: u64,
    },
    /// Write `at` reports success but changes nothing.
    LostWrite {
        /// Number of the lost write.
        at: u64,
    },
    /// One bit of write `at` is stored flipped; the disk reports success.
    FlippedWrite {
        /// Number of the write.
        at: u64,
        /// Which bit, modulo the length of the write.
        bit: usize,
    },
    /// Reads that touch this byte of the device fail with an I/O error.
    ReadError {
        /// Offset of the unreadable byte.
        offset: u64,
    },
    /// Flush number `at` (counted from 0) fails.
    FlushError {
        /// Number of the failing flush.
        at: u64,
    },
    /// The power is cut before write `at`, and what was not flushed before that is lost, too.
    LostCache {
        /// Number of the first write that does not happen.
        at: u64,
    },
    /// Flush number `at` (counted from 0) reports success and keeps nothing: what waited for it is read from the cache until
    /// that is dropped, and then it is gone.
    LyingFlush {
        /// Number of the flush.
        at: u64,
    },
    /// There is no room from write `at` on: a thin volume whose pool is full. Everything else works.
    NoSpace {
        /// Number of the first write that finds no room.
        at: u64,
    },
}

/// What a write in the cache becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is on the disk with the next flush.
    Waits,
    /// It is on the disk.
    Kept,
    /// It never will be, although the disk said so.
    Lost,
}

/// A write that the cache still knows.
#[derive(Debug)]
struct Cached {
    offset: u64,
    data: Vec<u8>,
    fate: Fate,
}

/// A device with one [`Fault`].
#[derive(Debug)]
pub struct FaultyDevice<D> {
    inner: D,
    fault: Option<Fault>,
    writes: u64,
    flushes: u64,
    off: bool,
    /// The latest last. Used by the faults that lose what was not flushed.
    cache: Vec<Cached>,
}

impl<D: BlockDevice> FaultyDevice<D> {
    /// `inner` with `fault`; with `None` it only counts.
    pub fn new(inner: D, fault: Option<Fault>) -> Self {
        FaultyDevice {
            inner,
            fault,
            writes: 0,
            flushes: 0,
            off: false,
            cache: Vec::new(),
        }
    }

    fn has_cache(&self) -> bool {
        matches!(
            self.fault,
            Some(Fault::LostCache { .. } | Fault::LyingFlush { .. })
        )
    }

    /// Writes asked for so far, failed ones included.
    pub fn writes(&self) -> u64 {
        self.writes
    }

    /// Flushes asked for so far, failed ones included.
    pub fn flushes(&self) -> u64 {
        self.flushes
    }

    /// The device below: what is done to it counts as nothing and meets no fault.
    pub fn inner_mut(&mut self) -> &mut D {
        &mut self.inner
    }

    /// The disk as it is found after the power came back.
    pub fn into_inner(self) -> D {
        self.inner
    }

    fn power(&self) -> io::Result<()> {
        match self.off {
            true => Err(io::Error::other("injected fault: the power is cut")),
            false => Ok(()),
        }
    }
}

impl<D: BlockDevice> BlockDevice for FaultyDevice<D> {
    fn size(&self) -> u64 {
        self.inner.size()
    }
    fn sector_size(&self) -> u32 {
        self.inner.sector_size()
    }
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.power()?;
        if let Some(Fault::ReadError { offset: bad }) = self.fault
            && (offset..offset.saturating_add(buf.len() as u64)).contains(&bad)
        {
            return Err(io::Error::other(format!(
                "injected fault: byte {bad} cannot be read"
            )));
        }
        self.inner.read_at(offset, buf)?;
        for write in &self.cache {
            let end = (write.offset + write.data.len() as u64).min(offset + buf.len() as u64);
            let start = write.offset.max(offset);
            if start < end {
                let range = |from: u64| (start - from) as usize..(end - from) as usize;
                buf[range(offset)].copy_from_slice(&write.data[range(write.offset)]);
            }
        }
        Ok(())
    }
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let n = self.writes;
        self.writes += 1;
        match self.fault {
            Some(Fault::PowerCut { at } | Fault::LostCache { at }) if n >= at => self.off = true,
            Some(Fault::NoSpace { at }) if n >= at => {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Some(Fault::TornWrite { at, bytes }) if n == at => {
                self.inner
                    .write_at(offset, &data[..bytes.min(data.len())])?;
                self.off = true;
            }
            Some(Fault::WriteError { at }) if n == at => {
                return Err(io::Error::other(format!(
                    "injected fault: write {n} failed"
                )));
            }
            Some(Fault::LostWrite { at }) if n == at => return Ok(()),
            Some(Fault::FlippedWrite { at, bit }) if n == at && !data.is_empty() => {
                let mut wrong = data.to_vec();
                let bit = bit % (data.len() * 8);
                wrong[bit / 8] ^= 1 << (bit % 8);
                return self.inner.write_at(offset, &wrong);
            }
            _ => {}
        }
        self.power()?;
        if self.has_cache() {
            check_write(self.size(), offset, data.len())?;
            self.cache.push(Cached {
                offset,
                data: data.to_vec(),
                fate: Fate::Waits,
            });
            return Ok(());
        }
        self.inner.write_at(offset, data)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.power()?;
        let n = self.flushes;
        self.flushes += 1;
        if self.fault == Some(Fault::FlushError { at: n }) {
            return Err(io::Error::other(format!(
                "injected fault: flush {n} failed"
            )));
        }
        let lies = self.fault == Some(Fault::LyingFlush { at: n });
        let waiting = self
            .cache
            .iter_mut()
            .filter(|write| write.fate == Fate::Waits);
        for write in waiting {
            if lies {
                write.fate = Fate::Lost;
            } else {
                self.inner.write_at(write.offset, &write.data)?;
                write.fate = Fate::Kept;
            }
        }
        self.inner.flush()
    }
    fn drop_cache(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.power()?;
        // The kernel may drop more than it is asked to, and never what was not written.
        self.cache.retain(|write| write.fate == Fate::Waits);
        self.inner.drop_cache(offset, len)
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryDevice;
    use super::*;

    fn run(fault: Fault) -> (Vec<bool>, Vec<u8>) {
        let mut device = FaultyDevice::new(MemoryDevice::new(6), Some(fault));
        let results = (0..3u8)
            .map(|i| device.write_at(u64::from(i) * 2, &[i + 1; 2]).is_ok())
            .collect();
        (results, device.into_inner().bytes(0, 6))
    }

    #[test]
    fn each_fault_does_what_it_says() {
        assert_eq!(
            run(Fault::PowerCut { at: 1 }),
            (vec![true, false, false], vec![1, 1, 0, 0, 0, 0])
        );
        assert_eq!(
            run(Fault::TornWrite { at: 1, bytes: 1 }),
            (vec![true, false, false], vec![1, 1, 2, 0, 0, 0])
        );
        assert_eq!(
            run(Fault::WriteError { at: 1 }),
            (vec![true, false, true], vec![1, 1, 0, 0, 3, 3])
        );
        assert_eq!(
            run(Fault::LostWrite { at: 1 }),
            (vec![true, true, true], vec![1, 1, 0, 0, 3, 3])
        );
        assert_eq!(
            run(Fault::FlippedWrite { at: 1, bit: 8 }),
            (vec![true, true, true], vec![1, 1, 2, 3, 3, 3])
        );
    }

    #[test]
    fn what_was_not_flushed_is_lost_with_the_power() {
        let mut device = FaultyDevice::new(MemoryDevice::new(6), Some(Fault::LostCache { at: 2 }));
        device.write_at(0, &[1; 3]).unwrap();
        device.flush().unwrap();
        device.write_at(2, &[2; 3]).unwrap();
        let mut seen = [9; 6];
        device.read_at(0, &mut seen).unwrap();
        assert_eq!(seen, [1, 1, 2, 2, 2, 0]);
        let mut seen = [9; 2];
        device.read_at(1, &mut seen).unwrap();
        assert_eq!(seen, [1, 2]);
        // Only what is on the disk may be dropped.
        device.drop_cache(0, 6).unwrap();
        device.read_at(1, &mut seen).unwrap();
        assert_eq!(seen, [1, 2]);
        assert!(device.write_at(5, &[3]).is_err());
        assert_eq!(device.into_inner().bytes(0, 6), [1, 1, 1, 0, 0, 0]);
        assert!(
            FaultyDevice::new(MemoryDevice::new(6), Some(Fault::LostCache { at: 9 }))
                .write_at(5, &[0; 2])
                .is_err()
        );
    }

    #[test]
    fn a_flush_that_lies_shows_when_the_cache_is_dropped() {
        let mut device = FaultyDevice::new(MemoryDevice::new(4), Some(Fault::LyingFlush { at: 1 }));
        device.write_at(0, &[1; 4]).unwrap();
        device.flush().unwrap();
        device.write_at(1, &[2; 2]).unwrap();
        device.flush().unwrap();
        device.write_at(2, &[3; 2]).unwrap();
        device.flush().unwrap();
        let mut seen = [9; 4];
        device.read_at(0, &mut seen).unwrap();
        assert_eq!(seen, [1, 2, 3, 3]);
        device.drop_cache(0, 4).unwrap();
        device.read_at(0, &mut seen).unwrap();
        assert_eq!(seen, [1, 1, 3, 3]);
    }

    #[test]
    fn a_full_device_still_reads() {
        let mut device = FaultyDevice::new(MemoryDevice::new(4), Some(Fault::NoSpace { at: 1 }));
        device.write_at(0, &[1]).unwrap();
        let error = device.write_at(1, &[1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(device.write_at(0, &[2]).is_err());
        assert!(device.read_at(0, &mut [0; 4]).is_ok() && device.flush().is_ok());
        assert_eq!(device.into_inner().bytes(0, 2), [1, 0]);
    }

    #[test]
    fn a_cut_device_reads_nothing() {
        let mut device = FaultyDevice::new(MemoryDevice::new(6), Some(Fault::PowerCut { at: 0 }));
        assert!(device.read_at(0, &mut [0; 1]).is_ok());
        assert!(device.write_at(0, &[1]).is_err());
        assert!(device.read_at(0, &mut [0; 1]).is_err());
        assert!(device.flush().is_err());
    }

    #[test]
    fn an_unreadable_byte_fails_only_reads_that_touch_it() {
        let mut device =
            FaultyDevice::new(MemoryDevice::new(6), Some(Fault::ReadError { offset: 3 }));
        assert!(device.read_at(0, &mut [0; 3]).is_ok());
        assert!(device.read_at(4, &mut [0; 2]).is_ok());
        assert!(device.read_at(0, &mut [0; 4]).is_err());
    }
}
