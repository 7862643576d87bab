//! What a delta is applied to.

use super::DeltaError;
use slots::block::BlockDevice;

/// One or several files or partitions, one behind the other, as if they were one.
///
/// Several, because the joined boot file holds kernel and initrd: made from the old one *and* from the new parts, which a
/// host has by then, its delta is next to nothing.
#[derive(Default)]
pub struct Base {
    parts: Vec<(Box<dyn BlockDevice + Send>, u64)>,
}

impl std::fmt::Debug for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sizes: Vec<_> = self.parts.iter().map(|(_, len)| len).collect();
        f.debug_struct("Base").field("parts", &sizes).finish()
    }
}

impl Base {
    /// Nothing yet.
    pub fn new() -> Base {
        Base::default()
    }

    /// Adds the whole of a device or file.
    pub fn with(self, device: Box<dyn BlockDevice + Send>) -> Base {
        let len = device.size();
        self.with_len(device, len)
    }

    /// Adds the first `len` bytes of a device: a slot is larger than the image in it. More than there is counts as all.
    pub fn with_len(mut self, device: Box<dyn BlockDevice + Send>, len: u64) -> Base {
        let len = len.min(device.size());
        self.parts.push((device, len));
        self
    }

    /// Bytes of all parts.
    pub fn size(&self) -> u64 {
        self.parts
            .iter()
            .fold(0, |sum, (_, len)| sum.saturating_add(*len))
    }

    /// Fills `buffer` from `offset` on.
    pub(super) fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), DeltaError> {
        let (mut at, mut rest) = (offset, buffer);
        for (device, len) in &mut self.parts {
            if at >= *len {
                at -= *len;
                continue;
            }
            let n = rest
                .len()
                .min(usize::try_from(*len - at).unwrap_or(usize::MAX));
            let (head, tail) = rest.split_at_mut(n);
            device
                .read_at(at, head)
                .map_err(DeltaError::io(format!("read the base at byte {offset}")))?;
            // It is read once; the cache is for those who read again.
            let _ = device.drop_cache(at, n as u64);
            rest = tail;
            at = 0;
            if rest.is_empty() {
                return Ok(());
            }
        }
        match rest.is_empty() {
            true => Ok(()),
            false => Err(DeltaError::damaged("it reads behind the end of its base")),
        }
    }
}
