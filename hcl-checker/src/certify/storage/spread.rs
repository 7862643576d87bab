//! Which blocks of a disk are tested, and what they hold.

use crate::certify::memory::mix;

/// Bytes written at once.
pub(super) const BLOCK: usize = 1 << 20;
/// Bytes of a random read.
pub(super) const READ: usize = 4096;

/// Blocks spread evenly over a disk, its first and its last among them.
#[derive(Debug, Clone)]
pub(super) struct Spread {
    /// Blocks of the whole disk.
    all: u64,
    /// Blocks that are tested.
    tested: u64,
    seed: u64,
}

impl Spread {
    /// Of a disk of `size` bytes at most `limit` bytes.
    pub(super) fn new(size: u64, limit: u64, seed: u64) -> Self {
        let all = size / BLOCK as u64;
        Self {
            all,
            tested: all.min((limit / BLOCK as u64).max(1)),
            seed,
        }
    }

    /// How many blocks are tested.
    pub(super) fn blocks(&self) -> u64 {
        self.tested
    }

    /// Where block `number` is, bytes. The order jumps over the whole disk, so that a test that ends early has seen its
    /// ends and its middle.
    pub(super) fn offset(&self, number: u64) -> u64 {
        let number = self.scattered(number);
        let place = match self.tested {
            0 | 1 => 0,
            tested => u128::from(number) * u128::from(self.all - 1) / u128::from(tested - 1),
        };
        u64::try_from(place).unwrap_or(u64::MAX) * BLOCK as u64
    }

    /// Counts from both ends to the middle: 0, last, 1, last but one, ...
    fn scattered(&self, number: u64) -> u64 {
        if number.is_multiple_of(2) {
            number / 2
        } else {
            self.tested - 1 - number / 2
        }
    }

    /// A place for random read `number` of reader `reader`, within the first `blocks` blocks.
    pub(super) fn random(&self, reader: u64, number: u64, blocks: u64) -> u64 {
        let noise = mix(mix(self.seed ^ reader) ^ number);
        let pages = (BLOCK / READ) as u64;
        self.offset(noise % blocks) + noise.rotate_left(32) % pages * READ as u64
    }

    /// What is written at `offset`: noise that every place has for itself, so that data at the wrong place is seen.
    pub(super) fn fill(&self, offset: u64, data: &mut [u8]) {
        let first = offset / 8;
        for (number, word) in (first..).zip(data.chunks_exact_mut(8)) {
            word.copy_from_slice(&mix(number ^ self.seed).to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn blocks_are_different_and_within_the_disk(blocks in 1_u64..5000, limit in 1_u64..5000, rest in 0_u64..(1 << 20)) {
            let size = blocks * BLOCK as u64 + rest;
            let spread = Spread::new(size, limit * BLOCK as u64, 7);
            prop_assert_eq!(spread.blocks(), blocks.min(limit));
            let offsets: BTreeSet<u64> = (0..spread.blocks()).map(|number| spread.offset(number)).collect();
            prop_assert_eq!(offsets.len() as u64, spread.blocks());
            prop_assert!(offsets.iter().all(|offset| offset + BLOCK as u64 <= size));
            prop_assert!(offsets.contains(&0));
            prop_assert!(spread.blocks() == 1 || offsets.contains(&((blocks - 1) * BLOCK as u64)));
            for number in 0..50 {
                let offset = spread.random(1, number, spread.blocks());
                prop_assert!(offset.is_multiple_of(READ as u64) && offset + READ as u64 <= size);
            }
        }
    }

    #[test]
    fn a_small_read_is_a_part_of_the_block() {
        let spread = Spread::new(1 << 30, 1 << 30, 42);
        let (mut block, mut part) = (vec![0; BLOCK], vec![0; READ]);
        spread.fill(5 << 20, &mut block);
        spread.fill((5 << 20) + 8192, &mut part);
        assert_eq!(part, block[8192..8192 + READ]);
        let other = Spread::new(1 << 30, 1 << 30, 43);
        let mut again = vec![0; READ];
        other.fill((5 << 20) + 8192, &mut again);
        assert_ne!(part, again, "another run writes other data");
    }
}
