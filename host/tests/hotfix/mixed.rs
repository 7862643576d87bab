//! A system that is partly real.

use std::path::{Path, PathBuf};
use steps::system::{FileError, Held, Hold, LockError, Mount, MountError};
use steps::{Command, Output, RealSystem, RecordingSystem, RunError, System};

const XL: &str = "\
Name ID Mem VCPUs State Time(s) UUID Reason-Code Security Label
Domain-0   0 1024 4 r----- 52.9 00000000-0000-0000-0000-000000000000 - -
";

/// Folders that belong to the machine that runs the test.
const SCRIPTED: [&str; 5] = [
    "/etc",
    "/proc",
    "/run",
    "/usr/share/bedplate",
    "/var/lib/bedplate",
];

/// Real files and a real `curl`; hypervisor, libvirt and systemd are scripted, and what belongs to the machine that runs the test
/// is left alone.
pub struct Mixed {
    real: RealSystem,
    pub scripted: RecordingSystem,
}

impl Mixed {
    pub fn new(guests: &str) -> Mixed {
        Mixed {
            real: RealSystem::silent(),
            scripted: RecordingSystem::new()
                .prints("xl list -v", &format!("{XL}{guests}"))
                .file("/etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
        }
    }

    fn of(&self, path: &Path) -> &dyn System {
        match SCRIPTED.iter().any(|folder| path.starts_with(folder)) {
            true => &self.scripted,
            false => &self.real,
        }
    }

    pub fn restarted(&self) -> bool {
        let lines = self.scripted.command_lines();
        lines.iter().any(|line| line == "systemctl reboot")
    }
}

impl System for Mixed {
    fn run(&self, command: &Command) -> Result<Output, RunError> {
        match command.program().to_str() {
            Some("curl" | "rm") => self.real.run(command),
            _ => self.scripted.run(command),
        }
    }
    fn mount(&self, mount: &Mount) -> Result<(), MountError> {
        self.scripted.mount(mount)
    }
    fn unmount(&self, target: &Path) -> Result<(), MountError> {
        self.scripted.unmount(target)
    }
    fn write_file(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
        self.of(path).write_file(path, bytes, mode)
    }
    fn write_stream(
        &self,
        path: &Path,
        source: &mut dyn std::io::Read,
        mode: u32,
    ) -> Result<u64, FileError> {
        self.of(path).write_stream(path, source, mode)
    }
    fn read_file(&self, path: &Path) -> Result<Vec<u8>, FileError> {
        self.of(path).read_file(path)
    }
    fn copy_file(&self, from: &Path, to: &Path, mode: u32) -> Result<u64, FileError> {
        self.of(to).copy_file(from, to, mode)
    }
    fn create_dir_all(&self, path: &Path) -> Result<(), FileError> {
        self.of(path).create_dir_all(path)
    }
    fn symlink(&self, target: &Path, link: &Path) -> Result<(), FileError> {
        self.of(link).symlink(target, link)
    }
    fn remove_file(&self, path: &Path) -> Result<(), FileError> {
        self.of(path).remove_file(path)
    }
    fn set_mode(&self, path: &Path, mode: u32) -> Result<(), FileError> {
        self.of(path).set_mode(path, mode)
    }
    fn list_dir(&self, path: &Path) -> Result<Vec<String>, FileError> {
        self.of(path).list_dir(path)
    }
    fn move_file(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        self.of(to).move_file(from, to)
    }
    fn file_size(&self, path: &Path) -> Option<u64> {
        self.of(path).file_size(path)
    }
    fn real_path(&self, path: &Path) -> PathBuf {
        self.of(path).real_path(path)
    }
    fn exists(&self, path: &Path) -> bool {
        self.of(path).exists(path)
    }
    fn lock(&self, path: &Path, hold: Hold, what: &str) -> Result<Held, LockError> {
        self.of(path).lock(path, hold, what)
    }
    fn sync(&self, path: &Path) -> Result<(), FileError> {
        self.of(path).sync(path)
    }
}
