//! Copies the release from the medium into memory.
//!
//! A virtual medium is slow and may go away: read once, from start to end, then it is no longer needed. Nothing is
//! verified here: dm-verity checks the root as it is read, and the installer every artifact before it writes.

use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Least memory of a machine whose medium is copied, in bytes. 4 GiB less what firmware and kernel keep.
const LEAST_TOTAL: u64 = 3584 << 20;

/// Memory that must be left for the system behind the copy, in bytes.
const LEFT_FREE: u64 = 1 << 30;

/// Bytes that are read at a time: one request of a virtual medium is slow whatever its size.
const CHUNK: usize = 4 << 20;

/// Time between two progress lines.
const TELL_EVERY: Duration = Duration::from_secs(3);

/// Bytes of memory, from /proc/meminfo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All that the kernel has.
    pub total: u64,
    /// What can be had without swapping.
    pub available: u64,
}

impl Memory {
    /// Reads the text of /proc/meminfo; none if it does not say.
    pub fn parse(meminfo: &str) -> Option<Self> {
        let bytes = |key: &str| -> Option<u64> {
            let line = meminfo
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            line.trim()
                .strip_suffix("kB")?
                .trim()
                .parse::<u64>()
                .ok()?
                .checked_mul(1024)
        };
        Some(Self {
            total: bytes("MemTotal")?,
            available: bytes("MemAvailable")?,
        })
    }

    /// Whether `bytes` fit beside the system; the reason where they do not.
    pub fn refuses(self, bytes: u64) -> Option<String> {
        let mib = |bytes: u64| bytes >> 20;
        if self.total < LEAST_TOTAL {
            return Some(format!(
                "{} MiB of memory, at least {} needed",
                mib(self.total),
                mib(LEAST_TOTAL)
            ));
        }
        match bytes.checked_add(LEFT_FREE) {
            Some(needed) if needed <= self.available => None,
            _ => Some(format!(
                "{} MiB of memory are free, {} needed for the release and {} for the system",
                mib(self.available),
                mib(bytes),
                mib(LEFT_FREE)
            )),
        }
    }
}

/// A file to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Path below the folder.
    pub path: PathBuf,
    /// Bytes; none for a folder.
    pub size: Option<u64>,
}

/// Lists all below `folder`, each folder before what is in it, sorted by name. Links and special files are left out: a
/// repository has none.
///
/// # Errors
/// A folder cannot be read.
pub fn list(folder: &Path) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(below) = waiting.pop() {
        let path = folder.join(&below);
        let context = || format!("cannot read {}", path.display());
        let mut entries = fs::read_dir(&path)
            .with_context(context)?
            .collect::<Result<Vec<_>, _>>()
            .with_context(context)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let metadata = entry.metadata().with_context(context)?;
            let path = below.join(entry.file_name());
            if metadata.is_dir() {
                items.push(Item {
                    path: path.clone(),
                    size: None,
                });
                waiting.push(path);
            } else if metadata.is_file() {
                items.push(Item {
                    path,
                    size: Some(metadata.len()),
                });
            }
        }
    }
    Ok(items)
}

/// Bytes of all files.
pub fn total(items: &[Item]) -> u64 {
    items.iter().filter_map(|item| item.size).sum()
}

/// Copies the items from one folder to another, and gives a progress line to `tell` every few seconds. Returns the bytes
/// copied.
///
/// # Errors
/// The medium cannot be read, a file is shorter than it was, or the memory is full.
pub fn copy(items: &[Item], from: &Path, to: &Path, tell: &mut dyn FnMut(&str)) -> Result<u64> {
    let all = total(items);
    let started = Instant::now();
    let mut told = started;
    let mut done = 0;
    let mut buffer = vec![0; CHUNK];
    for item in items {
        let (source, target) = (from.join(&item.path), to.join(&item.path));
        let Some(size) = item.size else {
            fs::create_dir_all(&target)
                .with_context(|| format!("cannot make {}", target.display()))?;
            continue;
        };
        let mut input =
            File::open(&source).with_context(|| format!("cannot open {}", source.display()))?;
        let mut output =
            File::create(&target).with_context(|| format!("cannot make {}", target.display()))?;
        let mut copied = 0;
        loop {
            let read = input.read(&mut buffer).with_context(|| {
                format!(
                    "cannot read {} at byte {copied}: the medium is damaged or was removed",
                    source.display()
                )
            })?;
            if read == 0 {
                break;
            }
            output
                .write_all(&buffer[..read])
                .with_context(|| format!("cannot write {}", target.display()))?;
            copied += read as u64;
            done += read as u64;
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                tell(&progress(done, all, started.elapsed()));
            }
        }
        ensure!(
            copied == size,
            "{} has {size} bytes, but {copied} could be read",
            source.display()
        );
    }
    Ok(done)
}

/// One line of progress: megabytes, rate and the time that is left at this rate.
pub fn progress(done: u64, all: u64, elapsed: Duration) -> String {
    const MB: u64 = 1_000_000;
    let milliseconds = (elapsed.as_millis() as u64).max(1);
    let rate = done.saturating_mul(1000) / milliseconds;
    let left = match all.saturating_sub(done).checked_div(rate) {
        Some(seconds) if done < all => format!(", {seconds} s left"),
        _ => String::new(),
    };
    format!(
        "{} of {} MB, {}.{} MB/s{left}",
        done / MB,
        all / MB,
        rate / MB,
        rate % MB / (MB / 10)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn memory() {
        let text = "MemTotal:        4019600 kB\nMemFree:         3800000 kB\nMemAvailable:    3700000 kB\n";
        let memory = Memory::parse(text).expect("parses");
        assert_eq!(
            memory,
            Memory {
                total: 4_019_600 * 1024,
                available: 3_700_000 * 1024
            }
        );
        assert_eq!(Memory::parse("MemTotal: 1 kB\n"), None);
        assert_eq!(Memory::parse("MemTotal: x kB\nMemAvailable: 1 kB\n"), None);
    }

    #[test]
    fn copies_only_what_leaves_room() {
        let memory = Memory {
            total: 4 * GIB,
            available: 3 * GIB,
        };
        assert_eq!(memory.refuses(2 * GIB), None);
        assert!(
            memory
                .refuses(2 * GIB + 1)
                .expect("too large")
                .contains("2048 needed for the release")
        );
        assert!(memory.refuses(u64::MAX).is_some());
        let small = Memory {
            total: LEAST_TOTAL - 1,
            available: 3 * GIB,
        };
        assert!(
            small
                .refuses(1)
                .expect("too small")
                .contains("at least 3584")
        );
    }

    #[test]
    fn progress_lines() {
        assert_eq!(
            progress(250_000_000, 1_000_000_000, Duration::from_secs(10)),
            "250 of 1000 MB, 25.0 MB/s, 30 s left"
        );
        assert_eq!(
            progress(5_600_000, 5_600_000, Duration::from_millis(500)),
            "5 of 5 MB, 11.2 MB/s"
        );
        assert_eq!(progress(0, 10, Duration::ZERO), "0 of 0 MB, 0.0 MB/s");
    }

    #[test]
    fn copies_a_tree() {
        let (from, to) = (
            tempfile::tempdir().expect("dir"),
            tempfile::tempdir().expect("dir"),
        );
        fs::create_dir_all(from.path().join("repository/targets")).expect("folders");
        fs::create_dir_all(from.path().join("empty")).expect("folder");
        let large = vec![7; CHUNK + 5];
        fs::write(from.path().join("repository/targets/root.img"), &large).expect("file");
        fs::write(from.path().join("answers.bin"), b"").expect("file");
        std::os::unix::fs::symlink("/etc/passwd", from.path().join("link")).expect("link");
        let items = list(from.path()).expect("list");
        assert_eq!(total(&items), large.len() as u64);
        assert_eq!(
            copy(&items, from.path(), to.path(), &mut |_| ()).expect("copy"),
            large.len() as u64
        );
        assert_eq!(
            fs::read(to.path().join("repository/targets/root.img")).expect("copied"),
            large
        );
        assert_eq!(
            fs::read(to.path().join("answers.bin")).expect("copied"),
            b""
        );
        assert!(to.path().join("empty").is_dir() && !to.path().join("link").exists());
    }

    #[test]
    fn a_file_that_shrank_is_an_error() {
        let (from, to) = (
            tempfile::tempdir().expect("dir"),
            tempfile::tempdir().expect("dir"),
        );
        fs::write(from.path().join("a"), b"12").expect("file");
        let items = [Item {
            path: "a".into(),
            size: Some(3),
        }];
        let error = copy(&items, from.path(), to.path(), &mut |_| ()).expect_err("short");
        assert!(error.to_string().contains("3 bytes, but 2"), "{error}");
    }
}
