//! Disks in memory.

use host::hotfix::Machine;
use slots::block::{Access, BlockDevice, MemoryDevice, OpenError};
use slots::env_block::{EnvBlock, EnvFileError};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Disks in memory, by their path. One that is opened for the first time holds what another guest left there.
#[derive(Default)]
pub struct Disks(Mutex<BTreeMap<PathBuf, Disk>>);

pub type Disk = Arc<Mutex<MemoryDevice>>;

pub const SIZE: usize = 64 << 20;

impl Disks {
    /// The disk with this path.
    pub fn at(&self, path: &Path) -> Disk {
        let mut all = self.0.lock().unwrap();
        let leftovers = || Arc::new(Mutex::new(MemoryDevice::new(SIZE as u64).filled(0xaa)));
        all.entry(path.to_owned()).or_insert_with(leftovers).clone()
    }
}

impl Machine for Disks {
    fn open(&self, path: &Path, _: Access) -> Result<Box<dyn BlockDevice + Send>, OpenError> {
        Ok(Box::new(self.at(path)))
    }
    fn write_env(&self, _: &Path, _: &EnvBlock) -> Result<(), EnvFileError> {
        unreachable!("no guest has to do with the boot loader")
    }
    fn free_space(&self, _: &Path) -> io::Result<u64> {
        unreachable!("not asked for")
    }
}

/// The disk of the guest of the bench, with something in it.
pub fn filled(disks: &Disks) -> Vec<u8> {
    let disk = disks.at(Path::new(
        "/dev/bedplate/vdi-aaaaaaaa-1111-4111-8111-111111111111",
    ));
    let mut disk = disk.lock().unwrap();
    let mut content = vec![0; SIZE];
    content[12_345_678] = 1;
    content[SIZE - 1] = 2;
    disk.write_at(0, &content).unwrap();
    content
}

/// A disk with this on it.
pub fn holding(bytes: &[u8]) -> MemoryDevice {
    let mut device = MemoryDevice::new(bytes.len() as u64);
    device.write_at(0, bytes).unwrap();
    device
}
