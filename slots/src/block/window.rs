//! A part of a device seen as a device: a partition without the kernel's partition nodes.

use super::{BlockDevice, check_read, check_write};
use std::io;

/// `len` bytes of `inner` from `start` on. Nothing outside can be read or written through it.
#[derive(Debug)]
pub struct Window<D> {
    inner: D,
    start: u64,
    len: u64,
}

impl<D: BlockDevice> Window<D> {
    /// The window; an error when it does not lie within `inner`.
    pub fn new(inner: D, start: u64, len: u64) -> io::Result<Self> {
        match start.checked_add(len) {
            Some(end) if end <= inner.size() => Ok(Window { inner, start, len }),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "a window of {len} bytes at {start} does not fit a device of {} bytes",
                    inner.size()
                ),
            )),
        }
    }

    /// The device behind the window.
    pub fn into_inner(self) -> D {
        self.inner
    }
}

impl<D: BlockDevice> BlockDevice for Window<D> {
    fn size(&self) -> u64 {
        self.len
    }
    fn sector_size(&self) -> u32 {
        self.inner.sector_size()
    }
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        check_read(self.len, offset, buf.len())?;
        self.inner.read_at(self.start + offset, buf)
    }
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        check_write(self.len, offset, data.len())?;
        self.inner.write_at(self.start + offset, data)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
    fn drop_cache(&mut self, offset: u64, len: u64) -> io::Result<()> {
        let offset = offset.min(self.len);
        self.inner
            .drop_cache(self.start + offset, len.min(self.len - offset))
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryDevice;
    use super::*;

    #[test]
    fn reaches_nothing_outside() {
        let mut disk = MemoryDevice::new(100).filled(9);
        let mut window = Window::new(&mut disk, 10, 20).unwrap();
        window.write_at(0, &[1; 20]).unwrap();
        assert!(window.write_at(1, &[1; 20]).is_err());
        assert!(window.write_at(20, &[1]).is_err());
        assert!(window.read_at(0, &mut [0; 21]).is_err());
        let mut expected = vec![9; 100];
        expected[10..30].fill(1);
        assert_eq!(disk.bytes(0, 100), expected);
        assert!(Window::new(&mut disk, 90, 11).is_err());
        assert!(Window::new(&mut disk, u64::MAX, 2).is_err());
    }
}
