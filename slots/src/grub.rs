//! Putting GRUB on a disk for BIOS machines, as `grub-bios-setup` does it.
//!
//! The boot sector loads one sector, the first of the core image, from a fixed place; that sector loads the rest by a
//! list of blocks in itself. Both places are patched in here. Facts from GRUB 2.12: `include/grub/i386/pc/boot.h` (the
//! offsets), `grub-core/boot/i386/pc/diskboot.S` (the block list), `util/setup.c` (what is patched).
//!
//! All sector numbers here are of 512 bytes: a BIOS knows no other, and does not boot from disks with 4096-byte
//! sectors.

use crate::block::BlockDevice;
use crate::gpt::GptError;
use crate::layout::Partition;

/// Bytes of a sector, for the BIOS.
pub const BIOS_SECTOR: u64 = 512;
/// Bytes of the boot sector that are code. Disk signature and partition records follow.
pub const BOOT_CODE: usize = 440;
/// The largest core image: GRUB loads it at 0x8000, its kernel at 0x8200 is copied to 0x9000, and it must end below
/// 0x78000 (`util/setup.c`).
pub const CORE_MAX: usize = 0x78000 - 0x9000;

/// Offset of the number of the sector to load, 8 bytes.
const KERNEL_SECTOR: usize = 0x5c;
/// Offset of the drive to load it from; 0xff: the one that the BIOS booted.
const BOOT_DRIVE: usize = 0x64;
/// Offset of the jump that skips the check of the drive number.
const DRIVE_CHECK: usize = 0x66;
/// That jump as it is in the image (`jmp` over 5 bytes), and its replacement, which lets the check happen: some BIOSes
/// pass 0x00 or 0x01 for a hard disk.
const DRIVE_CHECK_JUMP: [u8; 2] = [0xeb, 0x05];
const NOPS: [u8; 2] = [0x90, 0x90];
/// Offset of the first entry of the block list in the first sector of the core image: start (8 bytes), length in
/// sectors (2), segment to load to (2). The list grows downwards, and an entry of length 0 ends it.
const BLOCK_LIST: usize = 0x1f4;
/// Bytes of an entry.
const BLOCK_LIST_ENTRY: usize = 12;
/// Where the second sector of the core image goes: 0x8200 as a segment.
const SECOND_SECTOR_SEGMENT: u16 = 0x0820;

/// What to write where, to boot by BIOS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BiosBoot {
    /// For the first bytes of the disk.
    pub boot_code: [u8; BOOT_CODE],
    /// For the start of the BIOS boot partition, whole sectors.
    pub core: Vec<u8>,
}

/// Why GRUB's images cannot be embedded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrubError {
    /// The boot sector is not GRUB's.
    #[error("GRUB's boot image is not usable: {why}; the release was built wrongly")]
    BootImage {
        /// What is wrong with it.
        why: String,
    },
    /// The core image is not GRUB's.
    #[error("GRUB's core image is not usable: {why}; the release was built wrongly")]
    CoreImage {
        /// What is wrong with it.
        why: String,
    },
    /// No room for the core image.
    #[error("GRUB's core image has {size} bytes and the BIOS boot partition {room}")]
    NoRoom {
        /// Bytes of the image.
        size: usize,
        /// Bytes of the partition.
        room: u64,
    },
    /// The partition is not where a BIOS can read it.
    #[error(
        "the BIOS boot partition starts at byte {start}, which is not a multiple of {BIOS_SECTOR}"
    )]
    Unaligned {
        /// First byte of the partition.
        start: u64,
    },
    /// The disk has other sectors.
    #[error(
        "the disk has sectors of {found} bytes, and a BIOS boots only from disks with 512; boot this machine by UEFI"
    )]
    SectorSize {
        /// What the disk says.
        found: u32,
    },
}

/// Patches GRUB's images (`boot.img`, `core.img`) for a BIOS boot partition at `partition_start`, both in bytes.
pub fn grub_bios_embed(
    boot_img: &[u8],
    core_img: &[u8],
    partition_start: u64,
    partition_size: u64,
) -> Result<BiosBoot, GrubError> {
    if !partition_start.is_multiple_of(BIOS_SECTOR) {
        return Err(GrubError::Unaligned {
            start: partition_start,
        });
    }
    let first = partition_start / BIOS_SECTOR;
    Ok(BiosBoot {
        boot_code: patch_boot(boot_img, first)?,
        core: patch_core(core_img, first, partition_size)?,
    })
}

/// The two places of a BIOS boot partition that a core image goes to in turns: a new one is written beside the one that starts the
/// disk, and becomes that one by the boot sector. A partition of 1 MiB has room for any ([`CORE_MAX`]) in each half. An install
/// takes the first.
pub fn core_places(partition: &Partition) -> [Partition; 2] {
    let half = partition.size / 2 / BIOS_SECTOR * BIOS_SECTOR;
    [0, half].map(|offset| Partition {
        kind: partition.kind,
        start: partition.start.saturating_add(offset),
        size: half,
    })
}

/// The first byte of the disk that boot code as [`grub_bios_embed`] patches it loads the core image from; none where it is something
/// else's.
pub fn core_start(boot_code: &[u8; BOOT_CODE]) -> Option<u64> {
    let patched =
        boot_code[DRIVE_CHECK..DRIVE_CHECK + NOPS.len()] == NOPS && boot_code[BOOT_DRIVE] == 0xff;
    let mut sector = [0; 8];
    sector.copy_from_slice(&boot_code[KERNEL_SECTOR..KERNEL_SECTOR + 8]);
    u64::from_le_bytes(sector)
        .checked_mul(BIOS_SECTOR)
        .filter(|_| patched)
}

/// Bytes of the core image with this first sector, as its block list says.
pub fn core_size(first_sector: &[u8; BIOS_SECTOR as usize]) -> u64 {
    let at = BLOCK_LIST + 8;
    let rest = u16::from_le_bytes([first_sector[at], first_sector[at + 1]]);
    (u64::from(rest) + 1) * BIOS_SECTOR
}

fn patch_boot(image: &[u8], first: u64) -> Result<[u8; BOOT_CODE], GrubError> {
    let wrong = |why: String| GrubError::BootImage { why };
    if image.len() != BIOS_SECTOR as usize || image[510..] != [0x55, 0xaa] {
        return Err(wrong(format!(
            "it has {} bytes or lacks the boot signature",
            image.len()
        )));
    }
    let mut code = [0; BOOT_CODE];
    code.copy_from_slice(&image[..BOOT_CODE]);
    let check = &mut code[DRIVE_CHECK..DRIVE_CHECK + NOPS.len()];
    if *check != DRIVE_CHECK_JUMP {
        // Another version of GRUB: its offsets may have moved, and patching would break it.
        return Err(wrong(format!(
            "bytes 0x66 and 0x67 are {check:02x?} and not a jump"
        )));
    }
    check.copy_from_slice(&NOPS);
    code[BOOT_DRIVE] = 0xff;
    code[KERNEL_SECTOR..KERNEL_SECTOR + 8].copy_from_slice(&first.to_le_bytes());
    Ok(code)
}

fn patch_core(image: &[u8], first: u64, room: u64) -> Result<Vec<u8>, GrubError> {
    let sector = BIOS_SECTOR as usize;
    let wrong = |why: String| GrubError::CoreImage { why };
    if image.len() <= sector || image.len() > CORE_MAX {
        return Err(wrong(format!(
            "it has {} bytes and may have {} to {CORE_MAX}",
            image.len(),
            sector + 1
        )));
    }
    let mut core = image.to_vec();
    core.resize(image.len().next_multiple_of(sector), 0);
    if core.len() as u64 > room {
        return Err(GrubError::NoRoom {
            size: image.len(),
            room,
        });
    }
    let entry = &core[BLOCK_LIST..sector];
    let segment = u16::from_le_bytes([entry[10], entry[11]]);
    if segment != SECOND_SECTOR_SEGMENT {
        return Err(wrong(format!(
            "its block list loads to segment {segment:#x} and not {SECOND_SECTOR_SEGMENT:#x}"
        )));
    }
    let terminator = BLOCK_LIST - BLOCK_LIST_ENTRY;
    if core[terminator + 8..terminator + 10] != [0, 0] {
        return Err(wrong("its block list has more than one entry".to_owned()));
    }
    core[terminator..BLOCK_LIST].fill(0);
    // At most CORE_MAX / 512 sectors: fits 16 bits.
    let rest = (core.len() / sector - 1) as u16;
    let start = first
        .checked_add(1)
        .ok_or_else(|| wrong("its place is behind the end of any disk".to_owned()))?;
    core[BLOCK_LIST..BLOCK_LIST + 8].copy_from_slice(&start.to_le_bytes());
    core[BLOCK_LIST + 8..BLOCK_LIST + 10].copy_from_slice(&rest.to_le_bytes());
    Ok(core)
}

impl BiosBoot {
    /// Writes the core image, reads it back, and only then makes the disk bootable by writing the boot code. Disk
    /// signature and partition records in the first sector are kept.
    ///
    /// The boot code is within the first sector, and a disk writes a sector whole or not at all: where `partition` is the one of
    /// [`core_places`] that the disk does not start from, a power cut leaves a disk that starts the old core image or the new one.
    ///
    /// # Errors
    /// When the disk cannot be written or read, or does not hold what was written; its boot code is the old one then, unless it was
    /// that which could not be read back.
    pub fn write(
        &self,
        device: &mut dyn BlockDevice,
        partition: &Partition,
    ) -> Result<(), GptError> {
        let io = |action| move |source| GptError::Io { action, source };
        let mut place = |offset: u64, data: &[u8]| {
            device
                .write_at(offset, data)
                .and_then(|()| device.flush())
                .map_err(io("write the boot code behind"))?;
            let mut back = vec![0; data.len()];
            device
                .drop_cache(offset, data.len() as u64)
                .and_then(|()| device.read_at(offset, &mut back))
                .map_err(io("read the boot code behind"))?;
            if back == data {
                Ok(())
            } else {
                Err(GptError::ReadBack)
            }
        };
        place(partition.start, &self.core)?;
        place(0, &self.boot_code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::{Fault, FaultyDevice, MemoryDevice};
    use crate::layout::{MIB, PartitionKind};

    fn boot_img() -> Vec<u8> {
        let mut image = vec![0x11; 512];
        image[0x66..0x68].copy_from_slice(&[0xeb, 0x05]);
        image[510..].copy_from_slice(&[0x55, 0xaa]);
        image
    }

    fn core_img(len: usize) -> Vec<u8> {
        let mut image = vec![0x22; len];
        image[0x1e8..0x1f4].fill(0);
        // As in diskboot.S: start 2, length 0, segment 0x820.
        image[0x1f4..0x200].copy_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0x08]);
        image
    }

    #[test]
    fn exactly_the_documented_bytes_change() {
        let (boot, core) = (boot_img(), core_img(1300));
        let start = (1 << 41) + 1025 * MIB;
        let out = grub_bios_embed(&boot, &core, start, MIB).unwrap();
        let mut expected = boot[..440].to_vec();
        expected[0x5c..0x64].copy_from_slice(&(start / 512).to_le_bytes());
        expected[0x64] = 0xff;
        expected[0x66..0x68].fill(0x90);
        assert_eq!(out.boot_code.to_vec(), expected);

        let mut expected = core;
        expected.resize(3 * 512, 0);
        expected[0x1f4..0x1fc].copy_from_slice(&(start / 512 + 1).to_le_bytes());
        expected[0x1fc] = 2;
        assert_eq!(out.core, expected);
    }

    #[test]
    fn images_of_something_else_are_refused() {
        let embed = |boot: &[u8], core: &[u8]| grub_bios_embed(boot, core, MIB, MIB).unwrap_err();
        let boot = |error| matches!(error, GrubError::BootImage { .. });
        assert!(boot(embed(&boot_img()[..511], &core_img(1024))));
        assert!(boot(embed(&[0; 512], &core_img(1024))));
        let mut moved = boot_img();
        moved[0x66] = 0x74;
        assert!(boot(embed(&moved, &core_img(1024))));

        let core = |error| matches!(error, GrubError::CoreImage { .. });
        assert!(core(embed(&boot_img(), &core_img(512))));
        assert!(core(embed(&boot_img(), &core_img(CORE_MAX + 1))));
        assert!(core(embed(&boot_img(), &[0; 1024])));
        let mut two = core_img(1024);
        two[0x1f0] = 1;
        assert!(core(embed(&boot_img(), &two)));
        assert!(grub_bios_embed(&boot_img(), &core_img(CORE_MAX), MIB, MIB).is_ok());
        assert!(matches!(
            grub_bios_embed(&boot_img(), &core_img(1025), MIB, 1024),
            Err(GrubError::NoRoom { .. })
        ));
        assert!(matches!(
            grub_bios_embed(&boot_img(), &core_img(1024), 100, MIB),
            Err(GrubError::Unaligned { .. })
        ));
    }

    #[test]
    fn a_core_goes_to_either_half_and_the_boot_code_says_to_which() {
        let partition = Partition {
            kind: PartitionKind::Bios,
            start: 1025 * MIB,
            size: MIB,
        };
        let [first, second] = core_places(&partition);
        assert_eq!((first.start, first.end()), (partition.start, second.start));
        assert_eq!(second.end(), partition.end());
        assert!(CORE_MAX as u64 <= first.size);
        for place in [first, second] {
            let out =
                grub_bios_embed(&boot_img(), &core_img(1300), place.start, place.size).unwrap();
            assert_eq!(core_start(&out.boot_code), Some(place.start));
            let mut sector = [0; 512];
            sector.copy_from_slice(&out.core[..512]);
            assert_eq!(core_size(&sector), out.core.len() as u64);
        }
        assert_eq!(core_start(&[0; BOOT_CODE]), None);
    }

    #[test]
    fn the_partition_records_are_kept_and_the_boot_code_comes_last() {
        let partition = Partition {
            kind: PartitionKind::Bios,
            start: MIB,
            size: MIB,
        };
        let out = grub_bios_embed(&boot_img(), &core_img(1300), MIB, MIB).unwrap();
        let mut disk = MemoryDevice::new(4 * MIB).filled(7);
        out.write(&mut disk, &partition).unwrap();
        assert_eq!(disk.bytes(0, 440), out.boot_code);
        assert_eq!(disk.bytes(440, 72), [7; 72]);
        assert_eq!(disk.bytes(MIB, out.core.len()), out.core);

        let mut disk = FaultyDevice::new(
            MemoryDevice::new(4 * MIB),
            Some(Fault::FlippedWrite { at: 0, bit: 99 }),
        );
        assert!(matches!(
            out.write(&mut disk, &partition),
            Err(GptError::ReadBack)
        ));
        assert_eq!(disk.into_inner().bytes(0, 440), [0; 440]);
    }
}
