//! Streams over a block device, for code that wants `Read`, `Write` and `Seek`.

use super::BlockDevice;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// A position on a device. Reads stop at the end of the device; writes past it are errors.
#[derive(Debug)]
pub struct Cursor<D> {
    device: D,
    position: u64,
}

impl<D: BlockDevice> Cursor<D> {
    /// A cursor at the start of `device`.
    pub fn new(device: D) -> Self {
        Cursor {
            device,
            position: 0,
        }
    }

    fn left(&self, want: usize) -> usize {
        let left = self.device.size().saturating_sub(self.position);
        want.min(usize::try_from(left).unwrap_or(usize::MAX))
    }
}

impl<D: BlockDevice> Read for Cursor<D> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.left(buf.len());
        if n == 0 {
            return Ok(0);
        }
        self.device.read_at(self.position, &mut buf[..n])?;
        self.position += n as u64;
        Ok(n)
    }
}

impl<D: BlockDevice> Write for Cursor<D> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let n = self.left(data.len());
        if n == 0 && !data.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::WriteZero,
                format!("the device ends at {} bytes", self.device.size()),
            ));
        }
        self.device.write_at(self.position, &data[..n])?;
        self.position += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.device.flush()
    }
}

impl<D: BlockDevice> Seek for Cursor<D> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(n) => Some(n),
            SeekFrom::End(n) => self.device.size().checked_add_signed(n),
            SeekFrom::Current(n) => self.position.checked_add_signed(n),
        };
        self.position = target.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "seek before the start of the device",
            )
        })?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryDevice;
    use super::*;

    #[test]
    fn reads_to_the_end_and_refuses_to_write_past_it() {
        let mut disk = MemoryDevice::new(10).filled(5);
        let mut cursor = Cursor::new(&mut disk);
        assert_eq!(cursor.seek(SeekFrom::End(-4)).unwrap(), 6);
        cursor.write_all(&[1, 2]).unwrap();
        assert!(cursor.write_all(&[3; 3]).is_err());
        cursor.seek(SeekFrom::Start(0)).unwrap();
        let mut all = Vec::new();
        cursor.read_to_end(&mut all).unwrap();
        assert_eq!(all, [5, 5, 5, 5, 5, 5, 1, 2, 3, 3]);
        assert!(cursor.seek(SeekFrom::Current(-11)).is_err());
        cursor.seek(SeekFrom::Start(50)).unwrap();
        assert_eq!(cursor.read(&mut [0; 4]).unwrap(), 0);
    }
}
