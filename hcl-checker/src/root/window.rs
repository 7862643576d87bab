//! A file of which only parts are read.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// A file of the running system that is read where it is needed (reading all of a PCI configuration space costs a
/// thousand accesses to the device), or one that was read whole.
#[derive(Debug)]
pub(crate) enum Window {
    /// Read on demand.
    File(File),
    /// In memory.
    Whole(Vec<u8>),
}

impl Window {
    /// The bytes at `offset`; `None` where the file has not all of them, or does not give them.
    pub(crate) fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        match self {
            Self::File(file) => {
                let mut bytes = [0; N];
                file.read_exact_at(&mut bytes, offset as u64).ok()?;
                Some(bytes)
            }
            Self::Whole(bytes) => bytes.get(offset..)?.first_chunk().copied(),
        }
    }
}
