//! What benchmarks of writing a slot share: a disk, cold caches, medians, memory.
//! Needs root for the loop device.

use sha2::{Digest, Sha256};
use slots::writer::Expected;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Room around the image for a partition table, or for the unpacked tree.
const DISK_BYTES: u64 = 4 << 30;

/// A loop device over a sparse file, gone with the value.
pub struct Loop {
    pub device: PathBuf,
    pub folder: PathBuf,
}

impl Loop {
    pub fn new(folder: &Path) -> Loop {
        fs::create_dir_all(folder).expect("folder");
        let file = folder.join("disk");
        File::create(&file)
            .and_then(|file| file.set_len(DISK_BYTES))
            .expect("sparse file");
        let path = file.to_str().expect("UTF-8");
        let device = said("losetup", &["--find", "--show", "--direct-io=on", path]);
        Loop {
            device: device.trim().into(),
            folder: folder.to_owned(),
        }
    }

    pub fn path(&self) -> &str {
        self.device.to_str().expect("UTF-8")
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        run("losetup", &["--detach", self.path()]);
        fs::remove_dir_all(&self.folder).expect("folder");
    }
}

pub fn hash(image: &str, size: u64) -> Expected {
    let mut hasher = Sha256::new();
    let mut writer = Hashing(&mut hasher);
    io::copy(&mut File::open(image).expect("image"), &mut writer).expect("read");
    Expected {
        size,
        sha256: hasher.finalize().into(),
    }
}

struct Hashing<'a>(&'a mut Sha256);

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sorts them.
pub fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// KiB of this process, which has done nothing large but ours (proc_pid_status(5)).
pub fn peak_memory() -> String {
    let status = fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap_or("?")
        .trim()
        .trim_end_matches(" kB")
        .to_owned()
}

pub fn drop_caches() {
    run("sync", &[]);
    fs::write("/proc/sys/vm/drop_caches", "3").expect("root drops caches");
}

pub fn run(program: &str, args: &[&str]) {
    said(program, args);
}

pub fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
