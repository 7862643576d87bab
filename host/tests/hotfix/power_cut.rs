//! The power is cut before and within every write of an apply: the host starts a whole release, and applying again finishes.

use crate::site::Host;
use host::hotfix::{Machine, RealMachine, apply, upload};
use slots::block::{Access, BlockDevice, OpenError};
use slots::env_block::{EnvBlock, EnvFileError};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use steps::sink::FanOut;
use steps::system::{FileError, Mount, MountError, Output};
use steps::{Command, RealSystem, RecordingSystem, RunError, System};

/// Writes until the power is cut; below zero it is off.
#[derive(Debug)]
pub struct Power {
    left: AtomicI64,
    torn: bool,
}

#[derive(Debug, PartialEq)]
enum Write {
    Whole,
    Half,
    Not,
}

impl Power {
    /// Cut after so many writes; `torn`: within the next one.
    pub fn after(writes: i64, torn: bool) -> Arc<Power> {
        Arc::new(Power {
            left: AtomicI64::new(writes),
            torn,
        })
    }

    fn spend(&self) -> Write {
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            n if n > 0 => Write::Whole,
            0 if self.torn => Write::Half,
            _ => Write::Not,
        }
    }

    fn on(&self) -> io::Result<()> {
        match self.left.load(Ordering::SeqCst) >= 0 {
            true => Ok(()),
            false => Err(cut()),
        }
    }
}

fn cut() -> io::Error {
    io::Error::other("the power is cut")
}

struct CutDevice {
    inner: Box<dyn BlockDevice + Send>,
    power: Arc<Power>,
}

impl BlockDevice for CutDevice {
    fn size(&self) -> u64 {
        self.inner.size()
    }
    fn sector_size(&self) -> u32 {
        self.inner.sector_size()
    }
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.power.on()?;
        self.inner.read_at(offset, buf)
    }
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        match self.power.spend() {
            Write::Whole => self.inner.write_at(offset, data),
            Write::Half => {
                self.inner.write_at(offset, &data[..data.len() / 2])?;
                Err(cut())
            }
            Write::Not => Err(cut()),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        self.power.on()?;
        self.inner.flush()
    }
}

pub struct CutMachine(pub Arc<Power>);

impl Machine for CutMachine {
    fn open(&self, path: &Path, access: Access) -> Result<Box<dyn BlockDevice + Send>, OpenError> {
        Ok(Box::new(CutDevice {
            inner: RealMachine.open(path, access)?,
            power: self.0.clone(),
        }))
    }
    fn write_env(&self, path: &Path, block: &EnvBlock) -> Result<(), EnvFileError> {
        // One sector: whole or not at all. It counts as written where the power went right after it.
        if self.0.spend() != Write::Not {
            RealMachine.write_env(path, block)?;
        }
        self.0.on().map_err(|source| EnvFileError::Io {
            action: "write",
            path: path.to_owned(),
            source,
        })
    }
    fn free_space(&self, _: &Path) -> io::Result<u64> {
        Ok(1 << 40)
    }
}

pub struct CutSystem {
    real: RealSystem,
    power: Arc<Power>,
}

impl CutSystem {
    pub fn new(power: Arc<Power>) -> CutSystem {
        CutSystem {
            real: RealSystem::silent(),
            power,
        }
    }

    /// As the real system replaces a file: beside it first. A power cut within leaves that.
    fn write(
        &self,
        path: &Path,
        half: &[u8],
        write: impl FnOnce() -> Result<u64, FileError>,
    ) -> Result<u64, FileError> {
        let failed = |source| FileError {
            action: "write",
            path: path.to_owned(),
            source,
        };
        match self.power.spend() {
            Write::Whole => write(),
            Write::Half => {
                let name = path.file_name().unwrap().to_string_lossy();
                let _ = fs::write(path.with_file_name(format!(".{name}.new")), half);
                Err(failed(cut()))
            }
            Write::Not => Err(failed(cut())),
        }
    }
}

impl System for CutSystem {
    fn run(&self, command: &Command) -> Result<Output, RunError> {
        if command.program() == "du" {
            return self.real.run(command);
        }
        if command.program() != "rm" {
            // What looks at guests and storage writes nothing, and this machine is no host.
            return RecordingSystem::new().strict().run(command);
        }
        match self.power.spend() {
            Write::Whole => self.real.run(command),
            // Removing a folder ends in the middle.
            Write::Half => {
                let args = command.args_text();
                if let Some(entry) = fs::read_dir(args.last().unwrap())
                    .ok()
                    .and_then(|mut entries| entries.next())
                {
                    let _ = fs::remove_file(entry.unwrap().path());
                }
                self.real.run(&Command::new("false"))
            }
            Write::Not => self.real.run(&Command::new("false")),
        }
    }
    fn mount(&self, mount: &Mount) -> Result<(), MountError> {
        self.real.mount(mount)
    }
    fn unmount(&self, target: &Path) -> Result<(), MountError> {
        self.real.unmount(target)
    }
    fn write_file(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
        let half = &bytes[..bytes.len() / 2];
        self.write(path, half, || {
            self.real
                .write_file(path, bytes, mode)
                .map(|()| bytes.len() as u64)
        })
        .map(drop)
    }
    fn write_stream(
        &self,
        path: &Path,
        source: &mut dyn Read,
        mode: u32,
    ) -> Result<u64, FileError> {
        self.write(path, b"half", || self.real.write_stream(path, source, mode))
    }
    fn read_file(&self, path: &Path) -> Result<Vec<u8>, FileError> {
        self.real.read_file(path)
    }
    fn copy_file(&self, from: &Path, to: &Path, mode: u32) -> Result<u64, FileError> {
        self.write(to, b"half", || self.real.copy_file(from, to, mode))
    }
    fn create_dir_all(&self, path: &Path) -> Result<(), FileError> {
        self.write(path, b"", || self.real.create_dir_all(path).map(|()| 0))
            .map(drop)
    }
    fn symlink(&self, target: &Path, link: &Path) -> Result<(), FileError> {
        self.write(link, b"", || self.real.symlink(target, link).map(|()| 0))
            .map(drop)
    }
    fn remove_file(&self, path: &Path) -> Result<(), FileError> {
        self.write(path, b"", || self.real.remove_file(path).map(|()| 0))
            .map(drop)
    }
    fn set_mode(&self, path: &Path, mode: u32) -> Result<(), FileError> {
        self.real.set_mode(path, mode)
    }
    fn list_dir(&self, path: &Path) -> Result<Vec<String>, FileError> {
        self.real.list_dir(path)
    }
    fn move_file(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        self.write(to, b"", || self.real.move_file(from, to).map(|()| 0))
            .map(drop)
    }
    fn file_size(&self, path: &Path) -> Option<u64> {
        self.real.file_size(path)
    }
    fn real_path(&self, path: &Path) -> PathBuf {
        self.real.real_path(path)
    }
    fn exists(&self, path: &Path) -> bool {
        self.real.exists(path)
    }
    fn sync(&self, path: &Path) -> Result<(), FileError> {
        self.real.sync(path)
    }
}

/// Puts a snapshot back: what came since goes, what changed is as it was.
pub fn restore(host: &Host, snapshot: &std::collections::BTreeMap<PathBuf, Vec<u8>>) {
    let now = host.snapshot();
    for path in now.keys().filter(|path| !snapshot.contains_key(*path)) {
        fs::remove_file(path).unwrap();
    }
    for (path, bytes) in snapshot {
        if now.get(path) != Some(bytes) {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
}

fn cut_everywhere(full: bool, torn: bool) {
    let host = Host::new();
    let record = upload(&host.site(), &host.hotfix("hotfix", full)).unwrap();
    let start = host.snapshot();
    let mut after_the_try = 0;
    for writes in 0.. {
        restore(&host, &start);
        let power = Power::after(writes, torn);
        let system = CutSystem::new(power.clone());
        let machine = CutMachine(power.clone());
        let result = apply(
            &host.site_with(&system, &machine),
            &record.uuid,
            FanOut::new(),
        );
        // A write may have been the last one, and only cleaned up after: then the power was never missed.
        let finished = result.is_ok();
        if let Ok(applied) = &result {
            // The first one that ends well lacks its last write: the record of what the boot loader was told before.
            let said = applied.warnings.join("; ");
            assert!(said.contains("does not say so"), "{said}");
        }
        // Whatever it starts is whole: next_start looks at every byte of it.
        let starts = host.next_start();
        match starts.as_str() {
            "1.0.0" => assert_eq!(after_the_try, 0, "no way back after {writes} writes"),
            _ => after_the_try += 1,
        }
        assert!(host.starts(&host.old, "sda3"), "after {writes} writes");
        if finished {
            assert!(writes > 20, "so few writes: {writes}");
            assert!(after_the_try > 0);
            return;
        }
        apply(&host.site(), &record.uuid, FanOut::new())
            .unwrap_or_else(|e| panic!("after {writes} writes: {e}"));
        assert_eq!(host.next_start(), "1.0.1", "after {writes} writes");
    }
}

#[test]
fn before_every_write_with_deltas() {
    cut_everywhere(false, false);
}

#[test]
fn within_every_write_with_deltas() {
    cut_everywhere(false, true);
}

#[test]
fn before_every_write_with_the_full_image() {
    cut_everywhere(true, false);
}

#[test]
fn within_every_write_with_the_full_image() {
    cut_everywhere(true, true);
}
