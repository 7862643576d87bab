//! The superblock of a member of a Linux md array, metadata version 1.2, and what two of them say about each other.
//!
//! Source: Linux `include/uapi/linux/raid/md_p.h` (`struct mdp_superblock_1`), `drivers/md/md.c` (`super_1_load`,
//! `super_1_sync`, `calc_sb_1_csum`).

use crate::block::BlockDevice;
use std::io;
use uuid::Uuid;

/// Where version 1.2 has its superblock, in bytes from the start of the member.
const OFFSET: u64 = 4096;
/// Bytes that the kernel reads: the fixed part and the roles of up to 384 devices.
const LEN: usize = 1024;
/// Bytes of the fixed part; the roles follow.
const FIXED: usize = 256;
const MAGIC: u32 = 0xa92b_4efc;
/// The unit of sizes in a superblock.
const SECTOR: u64 = 512;
/// Bit of `feature_map`: this member is being filled and is not whole yet (`MD_FEATURE_RECOVERY_OFFSET`).
const RECOVERING: u32 = 2;
/// Roles from here on are none: journal, faulty, spare (`MD_DISK_ROLE_MAX`).
const ROLE_MAX: u16 = 0xff00;

/// What a member says about its array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MdSuperblock {
    /// Identity of the array.
    pub array: Uuid,
    /// Identity of the member.
    pub device: Uuid,
    /// RAID level.
    pub level: u32,
    /// Members of a whole array.
    pub raid_disks: u32,
    /// Where the data begins on the member, in bytes.
    pub data_offset: u64,
    /// Bytes of data on the member.
    pub data_size: u64,
    /// Number of this member; index of its role.
    pub number: u32,
    /// Changes of the array's state that this member saw.
    pub events: u64,
    /// True while the member is being filled from another one.
    pub recovering: bool,
    /// By number of the member: which part of the array it is, or none.
    roles: Vec<u16>,
}

/// How two members of one mirror stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halves {
    /// Both saw the same.
    Same,
    /// The first one went on without the second.
    FirstNewer,
    /// The second one went on without the first.
    SecondNewer,
    /// Each went on without the other: they hold two histories, and neither is a newer state of the other.
    Apart,
}

impl MdSuperblock {
    /// Reads the superblock of a member. None where there is none, or a damaged one.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn read(device: &mut dyn BlockDevice) -> io::Result<Option<Self>> {
        if device.size() < OFFSET + LEN as u64 {
            return Ok(None);
        }
        let mut bytes = [0; LEN];
        device.read_at(OFFSET, &mut bytes)?;
        Ok(Self::parse(&bytes))
    }

    /// The superblock in these bytes; none where its magic number, version or checksum is not right.
    pub fn parse(bytes: &[u8; LEN]) -> Option<Self> {
        let u32_at = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| bytes[at + i]));
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let uuid_at = |at: usize| Uuid::from_slice(&bytes[at..at + 16]).ok();
        let count = u32_at(220) as usize;
        let len = count.checked_mul(2)?.checked_add(FIXED)?;
        if (u32_at(0), u32_at(4)) != (MAGIC, 1)
            || u64_at(144) != OFFSET / SECTOR
            || len > LEN
            || u32_at(216) != checksum(&bytes[..len])
        {
            return None;
        }
        let roles = bytes[FIXED..len].chunks_exact(2);
        Some(MdSuperblock {
            array: uuid_at(16)?,
            device: uuid_at(168)?,
            level: u32_at(72),
            raid_disks: u32_at(92),
            data_offset: u64_at(128).checked_mul(SECTOR)?,
            data_size: u64_at(80).checked_mul(SECTOR)?,
            number: u32_at(160),
            events: u64_at(200),
            recovering: u32_at(8) & RECOVERING != 0,
            roles: roles
                .map(|two| u16::from_le_bytes([two[0], two[1]]))
                .collect(),
        })
    }

    /// True when the member with that number is a part of the array, by what this member knows.
    pub fn has(&self, number: u32) -> bool {
        let role = self.roles.get(number as usize);
        role.is_some_and(|role| *role < ROLE_MAX)
    }

    /// How this member and another one of the same array stand to each other.
    ///
    /// An array that runs without a member writes that into the superblocks of those that it has, before its first write
    /// to the data. So a member that does not know the other one as a part of the array went on without it; where both
    /// say so, each ran alone. Event counters tell only the rest: two histories may count the same number.
    pub fn compare(&self, other: &MdSuperblock) -> Halves {
        // A power cut between the two disks leaves a difference of one, and the data of both is as good.
        let ahead = |a: &MdSuperblock, b: &MdSuperblock| a.events > b.events.saturating_add(1);
        match (self.has(other.number), other.has(self.number)) {
            (false, false) => Halves::Apart,
            (false, true) => Halves::FirstNewer,
            (true, false) => Halves::SecondNewer,
            // A half-filled member has what was copied so far, whatever it counted.
            (true, true) if other.recovering || ahead(self, other) => Halves::FirstNewer,
            (true, true) if self.recovering || ahead(other, self) => Halves::SecondNewer,
            (true, true) => Halves::Same,
        }
    }
}

/// `calc_sb_1_csum`: the sum of all words, without the field of the sum itself.
fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = 0u64;
    for (i, word) in bytes.chunks(4).enumerate() {
        if i != 216 / 4 {
            let mut four = [0; 4];
            four[..word.len()].copy_from_slice(word);
            sum += u64::from(u32::from_le_bytes(four));
        }
    }
    (sum as u32).wrapping_add((sum >> 32) as u32)
}

/// Superblocks for tests, also of other rooms.
#[doc(hidden)]
pub mod fixtures {
    use super::*;

    /// The bytes of member `number` of the array whose identity begins with `array`. It counted `events` and knows these
    /// roles.
    pub fn bytes(
        array: [u8; 2],
        number: u32,
        events: u64,
        roles: &[u16],
        recovering: bool,
    ) -> [u8; LEN] {
        let mut b = [0; LEN];
        let mut put = |at: usize, bytes: &[u8]| b[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC.to_le_bytes());
        put(4, &1u32.to_le_bytes());
        put(8, &(if recovering { RECOVERING } else { 0 }).to_le_bytes());
        put(16, &array);
        put(72, &1u32.to_le_bytes());
        put(80, &8192u64.to_le_bytes());
        put(92, &2u32.to_le_bytes());
        put(128, &2048u64.to_le_bytes());
        put(144, &8u64.to_le_bytes());
        put(160, &number.to_le_bytes());
        put(168, &[number as u8 + 1; 16]);
        put(200, &events.to_le_bytes());
        put(220, &(roles.len() as u32).to_le_bytes());
        for (i, role) in roles.iter().enumerate() {
            put(FIXED + 2 * i, &role.to_le_bytes());
        }
        let sum = checksum(&b[..FIXED + 2 * roles.len()]);
        b[216..220].copy_from_slice(&sum.to_le_bytes());
        b
    }

    /// What that member says.
    ///
    /// # Panics
    /// When there are more roles than a superblock has room for.
    pub fn member(array: [u8; 2], number: u32, events: u64, roles: &[u16]) -> MdSuperblock {
        match MdSuperblock::parse(&bytes(array, number, events, roles, false)) {
            Some(member) => member,
            None => panic!("the fixture is no superblock"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::MemoryDevice;

    const SPARE: u16 = 0xffff;
    const FAULTY: u16 = 0xfffe;

    const ARRAY: [u8; 2] = [7, 1];

    fn bytes(number: u32, events: u64, roles: &[u16], recovering: bool) -> [u8; LEN] {
        fixtures::bytes(ARRAY, number, events, roles, recovering)
    }

    fn member(number: u32, events: u64, roles: &[u16]) -> MdSuperblock {
        fixtures::member(ARRAY, number, events, roles)
    }

    #[test]
    fn reads_what_a_member_says() {
        let mut device = MemoryDevice::new(1 << 20);
        assert_eq!(MdSuperblock::read(&mut device).unwrap(), None);
        device
            .write_at(OFFSET, &bytes(1, 42, &[0, 1, SPARE], true))
            .unwrap();
        let read = MdSuperblock::read(&mut device).unwrap().unwrap();
        assert_eq!(read.array.as_bytes()[..3], [7, 1, 0]);
        assert_eq!(read.device, Uuid::from_bytes([2; 16]));
        assert_eq!(
            (read.level, read.raid_disks, read.number, read.events),
            (1, 2, 1, 42)
        );
        assert_eq!((read.data_offset, read.data_size), (1 << 20, 4 << 20));
        assert!(read.recovering && read.has(0) && read.has(1));
        assert!(!read.has(2) && !read.has(3) && !read.has(u32::MAX));
    }

    #[test]
    fn damage_is_no_superblock() {
        let whole = bytes(0, 1, &[0, 1, SPARE], false);
        assert!(MdSuperblock::parse(&whole).is_some());
        for at in [0, 4, 16, 144, 200, 216, 220, 223, FIXED, FIXED + 5] {
            let mut damaged = whole;
            damaged[at] ^= 0x40;
            assert_eq!(MdSuperblock::parse(&damaged), None, "byte {at}");
        }
    }

    #[test]
    fn who_went_on_without_whom() {
        let both = [0, 1];
        assert_eq!(
            member(0, 10, &both).compare(&member(1, 10, &both)),
            Halves::Same
        );
        assert_eq!(
            member(0, 11, &both).compare(&member(1, 10, &both)),
            Halves::Same
        );
        assert_eq!(
            member(0, 12, &both).compare(&member(1, 10, &both)),
            Halves::FirstNewer
        );
        assert_eq!(
            member(0, 10, &both).compare(&member(1, 12, &both)),
            Halves::SecondNewer
        );
        for gone in [SPARE, FAULTY] {
            // It does not matter who counted further.
            for (first, second) in [(10, 20), (20, 10), (10, 10)] {
                let alone = member(0, first, &[0, gone]);
                assert_eq!(alone.compare(&member(1, second, &both)), Halves::FirstNewer);
                assert_eq!(
                    member(1, second, &both).compare(&alone),
                    Halves::SecondNewer
                );
                assert_eq!(alone.compare(&member(1, second, &[gone, 1])), Halves::Apart);
            }
        }
        // The table is too short to know the other one.
        assert_eq!(
            member(0, 10, &[0]).compare(&member(1, 10, &both)),
            Halves::FirstNewer
        );
    }

    #[test]
    fn a_member_that_is_being_filled_is_older() {
        let filled = MdSuperblock::parse(&bytes(1, 10, &[0, 1], true)).unwrap();
        assert_eq!(member(0, 10, &[0, 1]).compare(&filled), Halves::FirstNewer);
        assert_eq!(filled.compare(&member(0, 10, &[0, 1])), Halves::SecondNewer);
    }
}
