//! A machine in memory: disks with their partitions, and a system whose commands know what was written.

use hcl_checker::Known;
use hcl_checker::facts::{Content, Disk, DiskKind, Facts, FirmwareKind, Nic, NicKind, Transport};
use installer::laydown::Machine;
use release::{Artifact, OpenRelease};
use sha2::{Digest, Sha256};
use slots::block::{Access, BlockDevice, Fault, FaultyDevice, MemoryDevice, OpenError, Window};
use slots::gpt::read_table;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use steps::system::{
    Command, FileError, Mount, MountError, Output, RecordingSystem, RunError, System,
};

pub const DISK: &str = "/dev/sda";
pub const SIZE: u64 = 40 << 30;

/// An empty disk.
pub fn disk() -> Disk {
    Disk {
        name: "sda".into(),
        path: DISK.into(),
        kind: DiskKind::Disk,
        model: Known::Value("TESTDISK".into()),
        serial: Known::Value("SERIAL1".into()),
        wwn: Known::Value("naa.5000c500a1b2c3d4".into()),
        size_bytes: Known::Value(SIZE),
        logical_sector: Known::Value(512),
        physical_sector: Known::Value(4096),
        rotational: Known::Value(false),
        transport: Known::Value(Transport::Sata),
        removable: Known::Value(false),
        read_only: Known::Value(false),
        content: Known::Absent,
        ..Disk::default()
    }
}

/// Another disk of the same machine: `/dev/sdb` is number 2.
pub fn disk_number(number: u8) -> Disk {
    let name = format!("sd{}", char::from(b'a' + number - 1));
    Disk {
        path: format!("/dev/{name}"),
        name,
        serial: Known::Value(format!("SERIAL{number}")),
        wwn: Known::Value(format!("naa.5000c500a1b2c3d{number}")),
        ..disk()
    }
}

/// A disk with a partition table.
pub fn used_disk() -> Disk {
    Disk {
        content: Known::Value(Content {
            table: Some("dos".into()),
            ..Content::default()
        }),
        ..disk()
    }
}

pub fn facts(disk: Disk, firmware: FirmwareKind) -> Facts {
    facts_of(vec![disk], firmware)
}

/// The same of a machine with several disks.
pub fn facts_of(disks: Vec<Disk>, firmware: FirmwareKind) -> Facts {
    let mut facts = Facts {
        schema: 1,
        disks: Known::Value(disks),
        ..Facts::default()
    };
    facts.firmware.kind = Known::Value(firmware);
    facts.firmware.setup_mode = Known::Value(firmware == FirmwareKind::Uefi);
    facts.nics = Known::Value(vec![Nic {
        name: "eno1".into(),
        kind: Known::Value(NicKind::Ethernet),
        mac: Known::Value("52:54:00:12:34:56".into()),
        permanent_mac: Known::Value("52:54:00:12:34:56".into()),
        carrier: Known::Value(true),
        ..Nic::default()
    }]);
    facts
}

type Shared = Arc<Mutex<FaultyDevice<MemoryDevice>>>;

/// A disk of the machine.
struct FakeDisk {
    path: String,
    device: Shared,
    /// First byte and bytes of every write that was asked for.
    written: Arc<Mutex<Vec<(u64, u64)>>>,
}

impl FakeDisk {
    fn new(found: &Disk, device: Option<MemoryDevice>, fault: Option<Fault>) -> Self {
        let device = device.unwrap_or_else(|| {
            let sector = *found.logical_sector.value().unwrap();
            MemoryDevice::with_sector_size(*found.size_bytes.value().unwrap(), sector)
        });
        FakeDisk {
            path: found.path.clone(),
            device: Arc::new(Mutex::new(FaultyDevice::new(device, fault))),
            written: Arc::default(),
        }
    }

    /// Where the partition at `path` lies by the table that is on the disk.
    fn entry(&self, path: &Path) -> Option<(u64, u64)> {
        let number: u32 = path
            .to_str()?
            .strip_prefix(&self.path)?
            .trim_start_matches('p')
            .parse()
            .ok()?;
        let table = read_table(&mut self.device.clone()).ok()??;
        table
            .entries
            .iter()
            .find(|entry| entry.number == number)
            .map(|entry| (entry.start, entry.size))
    }

    fn into_device(self) -> MemoryDevice {
        Arc::into_inner(self.device)
            .expect("a device is still open")
            .into_inner()
            .unwrap()
            .into_inner()
    }
}

/// Something that happens once.
type Once = Mutex<Option<Box<dyn FnOnce() + Send>>>;

pub struct FakeMachine {
    /// The first is where the host goes.
    disks: Vec<FakeDisk>,
    pub facts: Mutex<Option<Disk>>,
    more_facts: Vec<Disk>,
    /// What happens when a disk is identified again: after the release was verified, and before it is laid down.
    pub meanwhile: Once,
}

impl FakeMachine {
    pub fn new(found: Disk, fault: Option<Fault>) -> Self {
        FakeMachine {
            disks: vec![FakeDisk::new(&found, None, fault)],
            facts: Mutex::new(Some(found)),
            more_facts: Vec::new(),
            meanwhile: Mutex::default(),
        }
    }

    /// The same with a disk that an earlier run left.
    pub fn with_disk(found: Disk, device: MemoryDevice, fault: Option<Fault>) -> Self {
        FakeMachine {
            disks: vec![FakeDisk::new(&found, Some(device), fault)],
            ..FakeMachine::new(found, None)
        }
    }

    /// The same with one more disk; `device` is what is on it.
    pub fn and(mut self, found: Disk, device: Option<MemoryDevice>, fault: Option<Fault>) -> Self {
        self.disks.push(FakeDisk::new(&found, device, fault));
        self.more_facts.push(found);
        self
    }

    fn of(&self, disk: &str) -> &FakeDisk {
        self.disks.iter().find(|other| other.path == disk).unwrap()
    }

    /// Places of the first disk that were written, or that somebody tried to write.
    pub fn written(&self) -> Vec<(u64, u64)> {
        self.written_on(DISK)
    }

    /// The same of any disk.
    pub fn written_on(&self, disk: &str) -> Vec<(u64, u64)> {
        self.of(disk).written.lock().unwrap().clone()
    }

    /// What is on the disk before the installer comes; counts as no write.
    pub fn put(&self, offset: u64, data: &[u8]) {
        let mut disk = self.disks[0].device.lock().unwrap();
        disk.inner_mut()
            .write_at(offset, data)
            .expect("within the disk");
    }

    pub fn writes(&self) -> u64 {
        self.writes_to(DISK)
    }

    pub fn writes_to(&self, disk: &str) -> u64 {
        self.of(disk).device.lock().unwrap().writes()
    }

    pub fn flushes(&self) -> u64 {
        self.disks[0].device.lock().unwrap().flushes()
    }

    /// The first disk as it is found after the power came back.
    pub fn into_disk(self) -> MemoryDevice {
        self.into_disks().swap_remove(0)
    }

    /// All of them.
    pub fn into_disks(self) -> Vec<MemoryDevice> {
        let disks = self.disks.into_iter();
        disks.map(FakeDisk::into_device).collect()
    }

    fn partition(&self, path: &Path) -> Option<(&FakeDisk, (u64, u64))> {
        self.disks
            .iter()
            .find_map(|disk| Some((disk, disk.entry(path)?)))
    }
}

impl Machine for FakeMachine {
    fn disk(&self, path: &str) -> Option<Disk> {
        if let Some(happens) = self.meanwhile.lock().unwrap().take() {
            happens();
        }
        let first = self.facts.lock().unwrap().clone();
        first
            .iter()
            .chain(&self.more_facts)
            .find(|disk| disk.path == path)
            .cloned()
    }

    fn open(&self, path: &Path, _: Access) -> Result<Box<dyn BlockDevice>, OpenError> {
        let watched = |disk: &FakeDisk| Watched {
            disk: disk.device.clone(),
            written: disk.written.clone(),
        };
        let whole = |disk: &&FakeDisk| path == Path::new(&disk.path);
        if let Some(disk) = self.disks.iter().find(whole) {
            return Ok(Box::new(watched(disk)));
        }
        let missing = OpenError::Io {
            path: path.to_owned(),
            source: io::ErrorKind::NotFound.into(),
        };
        let (disk, (start, size)) = self.partition(path).ok_or(missing)?;
        Ok(Box::new(Window::new(watched(disk), start, size).unwrap()))
    }

    fn has_device(&self, path: &Path) -> bool {
        let whole = |disk: &FakeDisk| path == Path::new(&disk.path);
        self.disks.iter().any(whole) || self.partition(path).is_some()
    }
}

/// Notes where it is written.
struct Watched {
    disk: Shared,
    written: Arc<Mutex<Vec<(u64, u64)>>>,
}

impl BlockDevice for Watched {
    fn size(&self) -> u64 {
        self.disk.size()
    }
    fn sector_size(&self) -> u32 {
        self.disk.sector_size()
    }
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.disk.read_at(offset, buf)
    }
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let place = (offset, data.len() as u64);
        self.written.lock().unwrap().push(place);
        self.disk.write_at(offset, data)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.disk.flush()
    }
    fn drop_cache(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.disk.drop_cache(offset, len)
    }
}

/// Runs nothing; knows the files that were copied, and can fail at one call.
pub struct FakeSystem {
    pub inner: RecordingSystem,
    calls: AtomicUsize,
    fail_at: Option<usize>,
    /// A program, and what it prints from its second call on.
    then: Option<(&'static str, &'static str)>,
    /// The command that was made to fail, empty as long as none was.
    pub failed: Mutex<String>,
}

impl FakeSystem {
    pub fn new(release: &OpenRelease) -> Self {
        let mut inner = RecordingSystem::new()
            .file("/etc/shadow", "root:*:20779:0:99999:7:::\ndaemon:*:20779:0:99999:7:::\n")
            .prints(
                "vgs",
                r#"{"report":[{"vg":[{"vg_name":"bedplate","pv_count":"1","vg_missing_pv_count":"0"}]}]}"#,
            );
        for artifact in Artifact::ALL {
            let path = release.path(artifact);
            let bytes = std::fs::read(&path).unwrap_or_default();
            inner = inner.file(path, bytes);
        }
        FakeSystem {
            inner,
            calls: AtomicUsize::new(0),
            fail_at: None,
            then: None,
            failed: Mutex::default(),
        }
    }

    pub fn change(mut self, change: impl FnOnce(RecordingSystem) -> RecordingSystem) -> Self {
        self.inner = change(self.inner);
        self
    }

    /// `program` prints something else from its second call on.
    pub fn then_prints(mut self, program: &'static str, stdout: &'static str) -> Self {
        self.then = Some((program, stdout));
        self
    }

    /// Call number `at` of those that change something fails.
    pub fn failing_at(mut self, at: usize) -> Self {
        self.fail_at = Some(at);
        self
    }

    /// Calls so far that change something, and commands.
    pub fn count(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn fails_now(&self) -> bool {
        Some(self.calls.fetch_add(1, Ordering::SeqCst)) == self.fail_at
    }

    fn file_error(&self, path: &Path) -> FileError {
        FileError {
            action: "write",
            path: path.to_owned(),
            source: io::Error::other("scripted failure"),
        }
    }
}

impl System for FakeSystem {
    fn run(&self, command: &Command) -> Result<Output, RunError> {
        if self.fails_now() {
            *self.failed.lock().unwrap() = command.to_string();
            return Err(RunError::Failed {
                command: command.to_string(),
                status: "exit code 1".into(),
                code: Some(1),
                stderr: vec!["scripted failure".into()],
            });
        }
        let output = self.inner.run(command)?;
        if let Some((program, stdout)) = self.then
            && command.program() == program
        {
            let lines = self.inner.command_lines();
            let calls = lines.iter().filter(|line| line.starts_with(program));
            if calls.count() > 1 {
                let stdout = stdout.as_bytes().to_vec();
                return Ok(Output { stdout, ..output });
            }
        }
        if command.program() == "sha256sum" {
            let path = PathBuf::from(command.args_text().pop().unwrap());
            let bytes = self.inner.content(&path).unwrap_or_default();
            let stdout = format!(
                "{} *{}\n",
                hex::encode(Sha256::digest(bytes)),
                path.display()
            )
            .into_bytes();
            return Ok(Output { stdout, ..output });
        }
        Ok(output)
    }
    fn mount(&self, mount: &Mount) -> Result<(), MountError> {
        if self.fails_now() {
            return Err(MountError::Mount {
                mount_source: mount.source.clone(),
                target: mount.target.clone(),
                kind: "x".into(),
                source: io::Error::other("scripted failure"),
            });
        }
        self.inner.mount(mount)
    }
    fn unmount(&self, target: &Path) -> Result<(), MountError> {
        self.inner.unmount(target)
    }
    fn write_file(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
        if self.fails_now() {
            Err(self.file_error(path))
        } else {
            self.inner.write_file(path, bytes, mode)
        }
    }
    fn read_file(&self, path: &Path) -> Result<Vec<u8>, FileError> {
        self.inner.read_file(path)
    }
    fn copy_file(&self, from: &Path, to: &Path, mode: u32) -> Result<u64, FileError> {
        if self.fails_now() {
            Err(self.file_error(to))
        } else {
            self.inner.copy_file(from, to, mode)
        }
    }
    fn create_dir_all(&self, path: &Path) -> Result<(), FileError> {
        if self.fails_now() {
            Err(self.file_error(path))
        } else {
            self.inner.create_dir_all(path)
        }
    }
    fn symlink(&self, target: &Path, link: &Path) -> Result<(), FileError> {
        if self.fails_now() {
            Err(self.file_error(link))
        } else {
            self.inner.symlink(target, link)
        }
    }
    fn remove_file(&self, path: &Path) -> Result<(), FileError> {
        self.inner.remove_file(path)
    }
    fn set_mode(&self, path: &Path, mode: u32) -> Result<(), FileError> {
        if self.fails_now() {
            Err(self.file_error(path))
        } else {
            self.inner.set_mode(path, mode)
        }
    }
    fn list_dir(&self, path: &Path) -> Result<Vec<String>, FileError> {
        self.inner.list_dir(path)
    }
    fn move_file(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        if self.fails_now() {
            Err(self.file_error(to))
        } else {
            self.inner.move_file(from, to)
        }
    }
    fn file_size(&self, path: &Path) -> Option<u64> {
        self.inner.file_size(path)
    }
    fn real_path(&self, path: &Path) -> PathBuf {
        self.inner.real_path(path)
    }
    fn exists(&self, path: &Path) -> bool {
        self.inner.exists(path)
    }
    fn sync(&self, path: &Path) -> Result<(), FileError> {
        if self.fails_now() {
            Err(self.file_error(path))
        } else {
            self.inner.sync(path)
        }
    }
}
