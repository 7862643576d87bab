//! A disk in memory, for tests and for building small tables before they are written.

use super::{BlockDevice, check_read, check_write};
use std::collections::BTreeMap;
use std::io;

/// Bytes of one page of a [`MemoryDevice`].
const PAGE: u64 = 4096;

/// A disk in memory. Sparse: only pages that were written take memory, so that disks of real sizes fit in a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryDevice {
    size: u64,
    sector_size: u32,
    pages: BTreeMap<u64, Box<[u8]>>,
    fill: u8,
}

impl MemoryDevice {
    /// A disk of `size` bytes of zeros with 512-byte sectors.
    pub fn new(size: u64) -> Self {
        MemoryDevice {
            size,
            sector_size: 512,
            pages: BTreeMap::new(),
            fill: 0,
        }
    }

    /// A disk with another sector size.
    pub fn with_sector_size(size: u64, sector_size: u32) -> Self {
        MemoryDevice {
            sector_size,
            ..MemoryDevice::new(size)
        }
    }

    /// Every byte that was never written reads as `fill`: an old disk full of something else.
    pub fn filled(mut self, fill: u8) -> Self {
        self.fill = fill;
        self
    }

    /// A disk that holds exactly `bytes`, with 512-byte sectors.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut device = MemoryDevice::new(bytes.len() as u64);
        device.put(0, bytes);
        device
    }

    /// A copy of `len` bytes at `offset`, for assertions. Bytes past the end are left out.
    pub fn bytes(&self, offset: u64, len: usize) -> Vec<u8> {
        let end = self.size.min(offset.saturating_add(len as u64));
        let mut out = vec![0; end.saturating_sub(offset) as usize];
        self.get(offset, &mut out);
        out
    }

    fn get(&self, mut offset: u64, mut buf: &mut [u8]) {
        while !buf.is_empty() {
            let within = (offset % PAGE) as usize;
            let n = buf.len().min(PAGE as usize - within);
            let (head, rest) = buf.split_at_mut(n);
            match self.pages.get(&(offset / PAGE)) {
                Some(page) => head.copy_from_slice(&page[within..within + n]),
                None => head.fill(self.fill),
            }
            buf = rest;
            offset += n as u64;
        }
    }

    fn put(&mut self, mut offset: u64, mut data: &[u8]) {
        while !data.is_empty() {
            let within = (offset % PAGE) as usize;
            let n = data.len().min(PAGE as usize - within);
            let fill = self.fill;
            let page = self
                .pages
                .entry(offset / PAGE)
                .or_insert_with(|| vec![fill; PAGE as usize].into_boxed_slice());
            page[within..within + n].copy_from_slice(&data[..n]);
            data = &data[n..];
            offset += n as u64;
        }
    }
}

impl BlockDevice for MemoryDevice {
    fn size(&self) -> u64 {
        self.size
    }
    fn sector_size(&self) -> u32 {
        self.sector_size
    }
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        check_read(self.size, offset, buf.len())?;
        self.get(offset, buf);
        Ok(())
    }
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        check_write(self.size, offset, data.len())?;
        self.put(offset, data);
        Ok(())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ends_are_errors_and_write_nothing() {
        let mut device = MemoryDevice::new(8192).filled(7);
        let err = device.read_at(8190, &mut [0; 3]).unwrap_err();
        assert_eq!(err.kind(), io::ErrorKind::UnexpectedEof);
        let err = device.write_at(8190, &[1, 2, 3]).unwrap_err();
        assert_eq!(err.kind(), io::ErrorKind::InvalidInput);
        assert!(device.write_at(u64::MAX, &[1]).is_err());
        assert_eq!(device.bytes(0, 9000), vec![7; 8192]);
    }

    proptest! {
        #[test]
        fn behaves_like_a_vector(writes in prop::collection::vec((0u64..20_000, prop::collection::vec(any::<u8>(), 0..6000)), 0..8)) {
            let mut device = MemoryDevice::new(20_000).filled(0xaa);
            let mut model = vec![0xaau8; 20_000];
            for (offset, data) in writes {
                let end = offset as usize + data.len();
                let result = device.write_at(offset, &data);
                prop_assert_eq!(result.is_ok(), end <= model.len());
                if result.is_ok() {
                    model[offset as usize..end].copy_from_slice(&data);
                }
            }
            prop_assert_eq!(device.bytes(0, 20_000), model);
        }
    }
}
