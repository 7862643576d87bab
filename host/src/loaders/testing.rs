//! A machine in memory for tests: its files, its disks, and a power that can be cut within every write.

use super::firmware::{FIRMWARE, GLOBAL, VARIABLES};
use crate::hotfix::{Machine, Places};
use release::Artifact;
use slots::block::{Access, BlockDevice, MemoryDevice, OpenError};
use slots::env_block::{EnvBlock, EnvFileError};
use slots::grub_cfg::GRUB_CFG_FILE;
use slots::names::{BOOT_FILES_KEY, BOOT_LOADERS};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use steps::system::{FileError, Mount, MountError, Output};
use steps::{Command, RecordingSystem, RunError, System};
use uuid::Uuid;

/// What stands for the key of a release.
pub(super) const KEY: &[u8] = b"<the public key of this release>";
/// PARTUUID of the ESP that [`load_option`] names.
const PART_UUID: &str = "0a1b2c3d-0000-4000-8000-00000000000f";

/// A loader for UEFI.
pub(super) fn efi(which: &[u8]) -> Vec<u8> {
    [b"MZ program ", which, KEY].concat()
}

/// `boot.img`.
pub(super) fn boot_img(which: &[u8]) -> Vec<u8> {
    let mut image = vec![0x11; 512];
    image[200..200 + which.len()].copy_from_slice(which);
    image[0x66..0x68].copy_from_slice(&[0xeb, 0x05]);
    image[510..].copy_from_slice(&[0x55, 0xaa]);
    image
}

/// `core.img`.
pub(super) fn core_img(which: &[u8]) -> Vec<u8> {
    let mut image = vec![0x22; 3000];
    image[0x1e8..0x1f4].fill(0);
    image[0x1f4..0x200].copy_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0x08]);
    image[2000..2000 + which.len()].copy_from_slice(which);
    image
}

/// The loaders of a release in its root image.
pub(super) fn lay_down(system: RecordingSystem, which: &[u8]) -> RecordingSystem {
    let at = |name: &str| format!("{BOOT_LOADERS}/{name}");
    system
        .file(at(Artifact::GrubEfi.target_name()), efi(which))
        .file(at(Artifact::GrubBiosBoot.target_name()), boot_img(which))
        .file(at(Artifact::GrubBiosCore.target_name()), core_img(which))
        .file(at(GRUB_CFG_FILE), [b"# cfg ", which].concat())
        .file(BOOT_FILES_KEY, KEY)
}

/// A load option for that file of the partition, without attributes of a variable; none: for the disk.
pub(super) fn load_option(path: Option<&str>) -> Vec<u8> {
    let mut nodes = Vec::new();
    let mut node = |kind: [u8; 2], data: &[u8]| {
        nodes.extend(kind);
        nodes.extend((data.len() as u16 + 4).to_le_bytes());
        nodes.extend(data);
    };
    match path {
        Some(path) => {
            let uuid = Uuid::parse_str(PART_UUID).unwrap();
            let mut disk = vec![1, 0, 0, 0];
            disk.extend([0; 16]);
            disk.extend(uuid.to_bytes_le());
            disk.extend([2, 2]);
            node([4, 1], &disk);
            let text: Vec<u8> = path
                .encode_utf16()
                .chain([0])
                .flat_map(u16::to_le_bytes)
                .collect();
            node([4, 4], &text);
        }
        None => node([1, 1], &[0, 5]),
    }
    node([0x7f, 0xff], &[]);
    let mut value = vec![1, 0, 0, 0];
    value.extend((nodes.len() as u16).to_le_bytes());
    value.extend("Bedplate\0".encode_utf16().flat_map(u16::to_le_bytes));
    value.extend(nodes);
    value
}

/// The firmware started this boot by entry `number`, which is for that file; the partition that it names is `esp`.
pub(super) fn boots_by(
    system: RecordingSystem,
    number: u16,
    path: Option<&str>,
    esp: &str,
) -> RecordingSystem {
    let variable = |value: &[u8]| [&[6, 0, 0, 0], value].concat();
    system
        .file(format!("{FIRMWARE}/fw_platform_size"), "64\n")
        .file(
            format!("{VARIABLES}/BootCurrent-{GLOBAL}"),
            variable(&number.to_le_bytes()),
        )
        .file(
            format!("{VARIABLES}/Boot{number:04X}-{GLOBAL}"),
            variable(&load_option(path)),
        )
        .linked(format!("/dev/disk/by-partuuid/{PART_UUID}"), esp)
}

/// Writes until the power is cut; below zero it is off.
#[derive(Debug)]
pub(super) struct Power {
    pub left: AtomicI64,
    /// Whether the write that it is cut in is done by half.
    pub torn: bool,
}

enum Write {
    Whole,
    Half,
    Not,
}

impl Power {
    fn spend(&self) -> Write {
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            n if n > 0 => Write::Whole,
            0 if self.torn => Write::Half,
            _ => Write::Not,
        }
    }
}

fn cut() -> io::Error {
    io::Error::other("the power is cut")
}

/// A disk that sectors of 512 bytes are written to whole or not at all.
struct CutDisk {
    inner: Arc<Mutex<MemoryDevice>>,
    power: Arc<Power>,
}

impl BlockDevice for CutDisk {
    fn size(&self) -> u64 {
        self.inner.size()
    }
    fn sector_size(&self) -> u32 {
        512
    }
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.inner.read_at(offset, buf)
    }
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let half = data.len() / 2 / 512 * 512;
        match self.power.spend() {
            Write::Whole => self.inner.write_at(offset, data),
            Write::Half => {
                self.inner.write_at(offset, &data[..half])?;
                Err(cut())
            }
            Write::Not => Err(cut()),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The machine.
pub(super) struct Bench {
    pub files: RecordingSystem,
    pub disks: BTreeMap<PathBuf, Arc<Mutex<MemoryDevice>>>,
    pub power: Arc<Power>,
    pub places: Places,
    pub free: u64,
    _run: tempfile::TempDir,
}

impl Bench {
    pub fn new(files: RecordingSystem) -> Bench {
        let run = tempfile::tempdir().unwrap();
        Bench {
            files,
            disks: BTreeMap::new(),
            power: Arc::new(Power {
                left: AtomicI64::new(i64::MAX),
                torn: false,
            }),
            places: Places {
                lock: run.path().join("lock"),
                ..Places::default()
            },
            free: 1 << 30,
            _run: run,
        }
    }

    /// The power is cut within the write after so many.
    pub fn cut_after(&mut self, writes: i64, torn: bool) {
        self.power = Arc::new(Power {
            left: AtomicI64::new(writes),
            torn,
        });
    }

    fn change<T>(
        &self,
        path: &Path,
        half: impl FnOnce(),
        whole: impl FnOnce() -> Result<T, FileError>,
    ) -> Result<T, FileError> {
        match self.power.spend() {
            Write::Whole => return whole(),
            Write::Half => half(),
            Write::Not => {}
        }
        Err(FileError {
            action: "write",
            path: path.to_owned(),
            source: cut(),
        })
    }
}

impl Machine for Bench {
    fn open(&self, path: &Path, _: Access) -> Result<Box<dyn BlockDevice + Send>, OpenError> {
        if let Some(disk) = self.disks.get(path) {
            return Ok(Box::new(CutDisk {
                inner: disk.clone(),
                power: self.power.clone(),
            }));
        }
        let bytes = self.files.content(path).ok_or_else(|| OpenError::Io {
            path: path.to_owned(),
            source: io::ErrorKind::NotFound.into(),
        })?;
        let mut device = MemoryDevice::new(bytes.len() as u64);
        device.write_at(0, &bytes).unwrap();
        Ok(Box::new(device))
    }
    fn write_env(&self, path: &Path, _: &EnvBlock) -> Result<(), EnvFileError> {
        panic!("{} is not for this", path.display())
    }
    fn free_space(&self, _: &Path) -> io::Result<u64> {
        Ok(self.free)
    }
}

impl System for Bench {
    fn run(&self, command: &Command) -> Result<Output, RunError> {
        self.files.run(command)
    }
    fn mount(&self, mount: &Mount) -> Result<(), MountError> {
        self.files.mount(mount)
    }
    fn unmount(&self, target: &Path) -> Result<(), MountError> {
        self.files.unmount(target)
    }
    fn write_file(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
        self.change(path, || {}, || self.files.write_file(path, bytes, mode))
    }
    fn write_new(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
        let half = || {
            self.files
                .write_file(path, &bytes[..bytes.len() / 2], mode)
                .unwrap();
        };
        self.change(path, half, || self.files.write_file(path, bytes, mode))
    }
    fn read_file(&self, path: &Path) -> Result<Vec<u8>, FileError> {
        self.files.read_file(path)
    }
    fn copy_file(&self, from: &Path, to: &Path, mode: u32) -> Result<u64, FileError> {
        self.change(to, || {}, || self.files.copy_file(from, to, mode))
    }
    fn create_dir_all(&self, path: &Path) -> Result<(), FileError> {
        self.change(path, || {}, || self.files.create_dir_all(path))
    }
    fn symlink(&self, target: &Path, link: &Path) -> Result<(), FileError> {
        self.change(link, || {}, || self.files.symlink(target, link))
    }
    fn remove_file(&self, path: &Path) -> Result<(), FileError> {
        self.change(path, || {}, || self.files.remove_file(path))
    }
    fn move_file(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        // The entry of the new name is there still, for the same clusters.
        let half = || {
            self.files.copy_file(from, to, 0o600).unwrap();
        };
        self.change(to, half, || self.files.move_file(from, to))
    }
    fn set_mode(&self, path: &Path, mode: u32) -> Result<(), FileError> {
        self.files.set_mode(path, mode)
    }
    fn list_dir(&self, path: &Path) -> Result<Vec<String>, FileError> {
        self.files.list_dir(path)
    }
    fn exists(&self, path: &Path) -> bool {
        self.files.exists(path)
    }
    fn file_size(&self, path: &Path) -> Option<u64> {
        self.files.file_size(path)
    }
    fn real_path(&self, path: &Path) -> PathBuf {
        self.files.real_path(path)
    }
    fn sync(&self, path: &Path) -> Result<(), FileError> {
        self.files.sync(path)
    }
}
