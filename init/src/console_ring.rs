//! The hypervisor's console ring in a dump: what Xen said last, and with `console_to_ring` what dom0 said through it.
//!
//! Source: Xen `xen/drivers/char/console.c`. `conring` points to the ring, `conring_size` is its size in bytes (a power of two),
//! and `conringp` counts every byte that was ever written. Debian's Xen tells where they are in `/proc/xen/xensyms`.

use crate::vmcore::Vmcore;
use anyhow::{Context, Result, ensure};
use std::io::{Read, Seek};
use std::str::FromStr;

/// Largest ring that is believed, in bytes: Xen's own bound is the number's, and a host has 128 KiB.
const LARGEST: u32 = 16 << 20;

/// Virtual addresses of the three variables: in the order of the value of [`slots::names::CMDLINE_CONSOLE_RING`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsoleRing {
    ring: u64,
    size: u64,
    written: u64,
}

impl FromStr for ConsoleRing {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers: Option<Vec<u64>> = text
            .split(',')
            .map(|word| u64::from_str_radix(word, 16).ok())
            .collect();
        let Some([ring, size, written]) = numbers.as_deref() else {
            anyhow::bail!("`{text}` is not three hexadecimal addresses");
        };
        Ok(Self {
            ring: *ring,
            size: *size,
            written: *written,
        })
    }
}

impl ConsoleRing {
    /// What the ring holds, oldest first.
    ///
    /// # Errors
    /// The variables cannot be read, or hold what no ring has.
    pub fn read<F: Read + Seek>(self, dump: &mut Vmcore<F>) -> Result<Vec<u8>> {
        let mut pointer = [0; 8];
        dump.read_virtual(self.ring, &mut pointer)
            .context("conring")?;
        let mut word = |name, address| -> Result<u32> {
            let mut bytes = [0; 4];
            dump.read_virtual(address, &mut bytes).context(name)?;
            Ok(u32::from_le_bytes(bytes))
        };
        let size = word("conring_size", self.size)?;
        let written = word("conringp", self.written)?;
        ensure!(
            size.is_power_of_two() && size <= LARGEST,
            "conring_size is {size}, which is no size of a ring"
        );
        let mut ring = vec![0; size as usize];
        dump.read_virtual(u64::from_le_bytes(pointer), &mut ring)
            .context("the ring")?;
        // What is behind the written part of a ring that was never filled is whatever the memory held before: Xen does not clear
        // it, and it is nobody's business. Once the counter has run over, after 4 GiB, the oldest part of a full ring is left out for
        // as long as it is below the size again.
        if written < size {
            ring.truncate(written as usize);
        } else {
            ring.rotate_left((written & (size - 1)) as usize);
        }
        Ok(ring)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmcore::made;

    /// Variables at the beginning of the small page, the ring in the large one.
    fn read(size: u32, written: u32, ring: &[u8]) -> Result<Vec<u8>> {
        let mut dump = made::dump(&made::notes(made::CR3), |memory| {
            memory[0x6000..0x6008].copy_from_slice(&(made::LARGE_PAGE + 0x10).to_le_bytes());
            memory[0x6010..0x6014].copy_from_slice(&size.to_le_bytes());
            memory[0x6020..0x6024].copy_from_slice(&written.to_le_bytes());
            // Memory that nobody cleared.
            memory[0x20_0000..0x20_0100].fill(b'#');
            memory[0x20_0010..0x20_0010 + ring.len()].copy_from_slice(ring);
        });
        let at = |offset| made::SMALL + offset;
        let text = format!("{:x},{:x},{:x}", at(0), at(0x10), at(0x20));
        text.parse::<ConsoleRing>()?.read(&mut dump)
    }

    #[test]
    fn a_ring_that_was_not_filled_is_read_from_its_start() {
        assert_eq!(read(16, 5, b"hello").unwrap(), b"hello");
        assert_eq!(read(16, 0, b"").unwrap(), b"");
    }

    #[test]
    fn a_ring_that_ran_over_begins_with_the_oldest() {
        assert_eq!(read(8, 11, b"ijkdefgh").unwrap(), b"defghijk");
        assert_eq!(read(8, 8, b"abcdefgh").unwrap(), b"abcdefgh");
    }

    #[test]
    fn what_no_ring_has_is_refused() {
        assert!(read(0, 0, b"").is_err());
        assert!(read(12, 0, b"").is_err());
        assert!(read(1 << 31, 0, b"").is_err());
        for text in ["", "1,2", "1,2,3,4", "x,1,2", "1,2,"] {
            assert!(text.parse::<ConsoleRing>().is_err(), "{text}");
        }
    }
}
