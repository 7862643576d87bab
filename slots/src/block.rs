//! The block device seam: every byte that an install or an update writes to a disk goes through it.

mod cursor;
mod faulty;
mod file;
mod memory;
mod window;

pub use cursor::Cursor;
pub use faulty::{Fault, FaultyDevice};
pub use file::{Access, FileDevice, OpenError};
pub use memory::MemoryDevice;
pub use window::Window;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A disk or partition that is read and written at byte offsets.
///
/// Offsets and lengths need not be aligned to sectors unless an implementation says so.
pub trait BlockDevice {
    /// Bytes of the whole device.
    fn size(&self) -> u64;
    /// Logical sector size in bytes: 512 or 4096.
    fn sector_size(&self) -> u32;
    /// Fills `buf` from `offset`. Reading past the end is an error (`UnexpectedEof`).
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
    /// Writes all of `data` at `offset`. Writing past the end is an error, and nothing is written.
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()>;
    /// Makes everything written so far durable.
    fn flush(&mut self) -> io::Result<()>;
    /// Forgets what the operating system caches of `len` bytes at `offset`, so that the next read comes from the disk
    /// itself. Call [`flush`](Self::flush) first: unwritten data stays cached. Does nothing where there is no cache.
    fn drop_cache(&mut self, offset: u64, len: u64) -> io::Result<()> {
        let _ = (offset, len);
        Ok(())
    }
}

impl<T: BlockDevice + ?Sized> BlockDevice for &mut T {
    fn size(&self) -> u64 {
        (**self).size()
    }
    fn sector_size(&self) -> u32 {
        (**self).sector_size()
    }
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buf)
    }
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        (**self).write_at(offset, data)
    }
    fn flush(&mut self) -> io::Result<()> {
        (**self).flush()
    }
    fn drop_cache(&mut self, offset: u64, len: u64) -> io::Result<()> {
        (**self).drop_cache(offset, len)
    }
}

impl<T: BlockDevice + ?Sized> BlockDevice for Box<T> {
    fn size(&self) -> u64 {
        (**self).size()
    }
    fn sector_size(&self) -> u32 {
        (**self).sector_size()
    }
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buf)
    }
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        (**self).write_at(offset, data)
    }
    fn flush(&mut self) -> io::Result<()> {
        (**self).flush()
    }
    fn drop_cache(&mut self, offset: u64, len: u64) -> io::Result<()> {
        (**self).drop_cache(offset, len)
    }
}

/// A device that several hold, one at a time: for tests that look into it after they gave it away. A holder that panicked
/// leaves it as it is.
impl<T: BlockDevice> BlockDevice for Arc<Mutex<T>> {
    fn size(&self) -> u64 {
        held(self).size()
    }
    fn sector_size(&self) -> u32 {
        held(self).sector_size()
    }
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        held(self).read_at(offset, buf)
    }
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        held(self).write_at(offset, data)
    }
    fn flush(&mut self) -> io::Result<()> {
        held(self).flush()
    }
    fn drop_cache(&mut self, offset: u64, len: u64) -> io::Result<()> {
        held(self).drop_cache(offset, len)
    }
}

fn held<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The one range check that all devices share: `offset + len` must lie within `size`.
fn check_range(size: u64, offset: u64, len: usize, kind: io::ErrorKind) -> io::Result<()> {
    match offset.checked_add(len as u64) {
        Some(end) if end <= size => Ok(()),
        _ => Err(io::Error::new(
            kind,
            format!(
                "{len} bytes at offset {offset} reach past the end of the device ({size} bytes)"
            ),
        )),
    }
}

/// Range check of a read.
fn check_read(size: u64, offset: u64, len: usize) -> io::Result<()> {
    check_range(size, offset, len, io::ErrorKind::UnexpectedEof)
}

/// Range check of a write.
fn check_write(size: u64, offset: u64, len: usize) -> io::Result<()> {
    check_range(size, offset, len, io::ErrorKind::InvalidInput)
}
