//! Where the hash tree of a root image lies, and whether a partition holds that image.
//!
//! The layout is dm-verity's, format 1, without a superblock: levels follow each other, the top one first, and each is
//! padded to whole blocks. Sources: Linux `Documentation/admin-guide/device-mapper/verity.rst` and `verity_ctr` in
//! `drivers/md/dm-verity-target.c`.

use crate::Verity;
use crate::block::BlockDevice;
use sha2::{Digest, Sha256};
use std::io;

/// Bytes of a data block and of a hash block.
pub const BLOCK: u64 = 4096;
/// Bytes of one SHA-256.
const DIGEST: usize = 32;
/// Hashes in a hash block, as a power of two: 4096 / 32 = 2^7.
const HASHES_BITS: u32 = (BLOCK as usize / DIGEST).trailing_zeros();

/// The blocks that hold the first hash of each level, top level first. Empty when there is one data block: its hash is
/// the root hash. None when the numbers do not fit 64 bits.
pub fn levels(data_blocks: u64) -> Option<Vec<u64>> {
    let last = data_blocks.checked_sub(1)?;
    let blocks_of = |level: u32| -> u64 {
        let shift = HASHES_BITS * (level + 1);
        // Blocks of this level: data blocks by hashes a block, rounded up.
        last.checked_shr(shift).unwrap_or(0) + 1
    };
    let count = (0..)
        .take_while(|&level| last.checked_shr(HASHES_BITS * level).unwrap_or(0) > 0)
        .count() as u32;
    let mut position = data_blocks;
    let mut starts = Vec::with_capacity(count as usize);
    for level in (0..count).rev() {
        starts.push(position);
        position = position.checked_add(blocks_of(level))?;
    }
    Some(starts)
}

/// Bytes of data and hash tree. None when that does not fit 64 bits.
pub fn image_size(data_blocks: u64) -> Option<u64> {
    let mut end = data_blocks;
    if let Some(bottom) = levels(data_blocks)?.last() {
        end = bottom
            .checked_add((data_blocks - 1) >> HASHES_BITS)?
            .checked_add(1)?;
    }
    end.checked_mul(BLOCK)
}

/// True when the hash of `block` with `salt` before it is `expected`.
pub fn block_fits(salt: &[u8], block: &[u8], expected: &[u8; 32]) -> bool {
    salted(salt, block) == *expected
}

/// True when `device` (a slot partition, from its first byte) holds the image of `verity`, as far as a few blocks tell:
/// the top hash block fits the root hash, and so does every block on the way down to the first data block, and that
/// block itself.
///
/// The way down matters: the verified writer ([`crate::writer`]) keeps the first data block zeroed until everything
/// else was read back, so that a slot whose write was interrupted is told from a whole one here.
/// All other blocks are checked by dm-verity when they are read.
pub fn root_fits(device: &mut dyn BlockDevice, verity: &Verity) -> io::Result<bool> {
    let invalid = |what: &str| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the root identity is wrong: {what}"),
        )
    };
    let salt = hex::decode(&verity.salt).map_err(|_| invalid("its salt is not hexadecimal"))?;
    let mut expected = [0; DIGEST];
    hex::decode_to_slice(&verity.root_hash, &mut expected)
        .map_err(|_| invalid("its root hash is not 64 hexadecimal characters"))?;
    let starts = levels(verity.data_blocks)
        .ok_or_else(|| invalid("its number of data blocks is not possible"))?;
    match image_size(verity.data_blocks) {
        Some(size) if size <= device.size() => {}
        _ => return Ok(false),
    }
    let mut block = [0; BLOCK as usize];
    for start in starts.into_iter().chain([0]) {
        device.read_at(start * BLOCK, &mut block)?;
        if !block_fits(&salt, &block, &expected) {
            return Ok(false);
        }
        expected.copy_from_slice(&block[..DIGEST]);
    }
    Ok(true)
}

/// Builds the hash tree over data that comes as a stream, in pieces of any length.
///
/// Keeps 32 bytes for each block of 4096: 8 MiB for 1 GiB of data.
#[derive(Debug, Clone)]
pub struct TreeBuilder {
    salt: Vec<u8>,
    block: Vec<u8>,
    hashes: Vec<u8>,
}

impl TreeBuilder {
    /// With the salt of the image; none when it is not hexadecimal.
    pub fn new(verity: &Verity) -> Option<Self> {
        Some(TreeBuilder {
            salt: hex::decode(&verity.salt).ok()?,
            block: Vec::with_capacity(BLOCK as usize),
            hashes: Vec::new(),
        })
    }

    /// The next piece of the data.
    pub fn update(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let n = data.len().min(BLOCK as usize - self.block.len());
            self.block.extend_from_slice(&data[..n]);
            data = &data[n..];
            if self.block.len() == BLOCK as usize {
                self.hash_block();
            }
        }
    }

    fn hash_block(&mut self) {
        let hash = salted(&self.salt, &self.block);
        self.hashes.extend_from_slice(&hash);
        self.block.clear();
    }

    /// The tree as it follows the data, top level first. Empty where there is one block: its hash is the root hash. A last
    /// block that is not full counts as if zeros followed.
    pub fn finish(mut self) -> Vec<u8> {
        if !self.block.is_empty() {
            self.block.resize(BLOCK as usize, 0);
            self.hash_block();
        }
        let mut levels = Vec::new();
        let mut hashes = self.hashes;
        while hashes.len() > DIGEST {
            hashes.resize(hashes.len().next_multiple_of(BLOCK as usize), 0);
            let above = hashes
                .chunks(BLOCK as usize)
                .flat_map(|block| salted(&self.salt, block))
                .collect();
            levels.push(std::mem::replace(&mut hashes, above));
        }
        levels.reverse();
        levels.concat()
    }
}

fn salted(salt: &[u8], block: &[u8]) -> [u8; DIGEST] {
    let mut hasher = Sha256::new();
    hasher.update(salt);
    hasher.update(block);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::{Fault, FaultyDevice, MemoryDevice};
    use proptest::prelude::*;

    /// Made by veritysetup 2.6.1 over the data of [`fixture`]; see `fixtures/README.md`.
    const TREE: &[u8] = include_bytes!("fixtures/verity-130.tree");
    const ROOT: &str = "fc1176c8255df16b89295183bee9b04368e8e30ee186ef496fe20a573462cae1";
    const SALT: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn fixture() -> (MemoryDevice, Verity) {
        let mut device = MemoryDevice::new(130 * BLOCK + TREE.len() as u64);
        for i in 0..130u8 {
            device
                .write_at(u64::from(i) * BLOCK, &[i + 1; BLOCK as usize])
                .unwrap();
        }
        device.write_at(130 * BLOCK, TREE).unwrap();
        (
            device,
            Verity {
                data_blocks: 130,
                salt: SALT.into(),
                root_hash: ROOT.into(),
            },
        )
    }

    /// Builds a tree over the data blocks of `device` by going through the levels from the bottom up.
    fn build(device: &mut MemoryDevice, data_blocks: u64, salt: &[u8]) -> String {
        let hash = |block: &[u8]| {
            Sha256::new()
                .chain_update(salt)
                .chain_update(block)
                .finalize()
                .to_vec()
        };
        let mut block = vec![0; BLOCK as usize];
        let mut hashes: Vec<Vec<u8>> = (0..data_blocks)
            .map(|i| {
                device.read_at(i * BLOCK, &mut block).unwrap();
                hash(&block)
            })
            .collect();
        let mut levels = Vec::new();
        while hashes.len() > 1 {
            let mut level = hashes.concat();
            level.resize(level.len().next_multiple_of(BLOCK as usize), 0);
            hashes = level.chunks(BLOCK as usize).map(hash).collect();
            levels.push(level);
        }
        let tree: Vec<u8> = levels.into_iter().rev().flatten().collect();
        device.write_at(data_blocks * BLOCK, &tree).unwrap();
        hex::encode(&hashes[0])
    }

    #[test]
    fn a_tree_of_veritysetup_fits() {
        let (mut device, verity) = fixture();
        assert_eq!(image_size(130), Some(device.size()));
        assert!(root_fits(&mut device, &verity).unwrap());
        // And the tree that the other tests build is the same.
        assert_eq!(build(&mut device, 130, &hex::decode(SALT).unwrap()), ROOT);
        assert_eq!(device.bytes(130 * BLOCK, TREE.len()), TREE);
    }

    #[test]
    fn a_tree_built_from_a_stream_is_that_of_veritysetup() {
        let (device, verity) = fixture();
        let data = device.bytes(0, 130 * BLOCK as usize);
        for piece in [1, 4096, 5000, 1 << 20] {
            let mut tree = TreeBuilder::new(&verity).unwrap();
            data.chunks(piece).for_each(|piece| tree.update(piece));
            assert_eq!(tree.finish(), TREE, "pieces of {piece} bytes");
        }
        let mut one = TreeBuilder::new(&verity).unwrap();
        one.update(&data[..4096]);
        assert!(one.finish().is_empty());
        let salt = "no".to_owned();
        assert!(TreeBuilder::new(&Verity { salt, ..verity }).is_none());
    }

    #[test]
    fn any_wrong_bit_on_the_way_down_is_seen() {
        // Top block, first block of the bottom level, first data block.
        for block in [130, 131, 0] {
            let (mut device, verity) = fixture();
            let byte = device.bytes(block * BLOCK + 77, 1)[0] ^ 4;
            device.write_at(block * BLOCK + 77, &[byte]).unwrap();
            assert!(!root_fits(&mut device, &verity).unwrap(), "block {block}");
        }
        let (mut device, mut verity) = fixture();
        verity.salt.replace_range(0..2, "01");
        assert!(!root_fits(&mut device, &verity).unwrap());
    }

    #[test]
    fn one_two_and_three_levels() {
        for data_blocks in [1, 2, 128, 129, 16_384, 16_385] {
            let size = image_size(data_blocks).unwrap();
            let mut device = MemoryDevice::new(size).filled(3);
            let root_hash = build(&mut device, data_blocks, b"salt");
            let verity = Verity {
                data_blocks,
                salt: hex::encode("salt"),
                root_hash,
            };
            assert!(root_fits(&mut device, &verity).unwrap(), "{data_blocks}");
            device.write_at(0, &[0; BLOCK as usize]).unwrap();
            assert!(!root_fits(&mut device, &verity).unwrap(), "{data_blocks}");
        }
    }

    #[test]
    fn small_and_broken_disks_and_identities() {
        let (device, verity) = fixture();
        let mut small = MemoryDevice::from_bytes(&device.bytes(0, (132 * BLOCK) as usize));
        assert!(!root_fits(&mut small, &verity).unwrap());
        let broken = Some(Fault::ReadError {
            offset: 131 * BLOCK,
        });
        assert!(root_fits(&mut FaultyDevice::new(device.clone(), broken), &verity).is_err());
        let mut device = device;
        for wrong in [
            Verity {
                data_blocks: 0,
                ..verity.clone()
            },
            Verity {
                salt: "xy".into(),
                ..verity.clone()
            },
            Verity {
                root_hash: "00".into(),
                ..verity.clone()
            },
        ] {
            assert!(root_fits(&mut device, &wrong).is_err(), "{wrong:?}");
        }
        assert!(
            !root_fits(
                &mut device,
                &Verity {
                    data_blocks: u64::MAX / BLOCK,
                    ..verity
                }
            )
            .unwrap()
        );
    }

    proptest! {
        #[test]
        fn positions_never_overflow_and_levels_shrink(data_blocks in any::<u64>()) {
            if let Some(starts) = levels(data_blocks) {
                prop_assert!(starts.is_sorted());
                prop_assert!(starts.first().is_none_or(|&top| top == data_blocks));
                // The top level is one block.
                prop_assert!(starts.get(1).is_none_or(|&second| second == data_blocks + 1));
                let _ = image_size(data_blocks);
            }
        }
    }
}
