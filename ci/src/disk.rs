//! Disk images: making them, and proving that nothing was written to one.

use crate::process;
use crate::tools_root::ToolsRoot;
use anyhow::{Context, Result};
use nix::unistd::{Whence, lseek};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How the bytes of an image are kept in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The disk's bytes as they are; parts that were never written take no space.
    Raw,
    /// QEMU's format, which can stand on top of another image.
    Qcow2,
}

impl Format {
    /// QEMU's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Raw => "raw",
            Format::Qcow2 => "qcow2",
        }
    }
}

/// A disk image.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its file.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// Where everything that a machine writes to it is kept in order, if it is: see [`crate::write_log`].
    pub write_log: Option<PathBuf>,
}

impl Image {
    /// An empty raw image of `mib` mebibytes, whatever was at `path`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn blank(path: &Path, mib: u64) -> Result<Image> {
        let file =
            File::create(path).with_context(|| format!("{} cannot be made", path.display()))?;
        file.set_len(mib << 20)
            .with_context(|| format!("{} cannot have {mib} MiB", path.display()))?;
        Ok(Image {
            path: path.to_path_buf(),
            format: Format::Raw,
            write_log: None,
        })
    }

    /// The raw image at `path`, as it is.
    pub fn raw(path: &Path) -> Image {
        Image {
            path: path.to_path_buf(),
            format: Format::Raw,
            write_log: None,
        }
    }

    /// An image that starts with the bytes of `base` and keeps only what is changed; `base` stays as it is.
    ///
    /// # Errors
    /// When `qemu-img` fails.
    pub fn overlay(tools: &ToolsRoot, path: &Path, base: &Image) -> Result<Image> {
        let mut command = tools.command("qemu-img");
        command
            .args([
                "create",
                "-q",
                "-f",
                "qcow2",
                "-F",
                base.format.name(),
                "-b",
            ])
            .arg(&base.path)
            .arg(path);
        process::run(&mut command, b"", Duration::from_secs(60))?;
        Ok(Image {
            path: path.to_path_buf(),
            format: Format::Qcow2,
            write_log: None,
        })
    }

    /// An empty qcow2 image of `mib` mebibytes, to keep saved machines in.
    ///
    /// # Errors
    /// When `qemu-img` fails.
    pub fn store(tools: &ToolsRoot, path: &Path, mib: u64) -> Result<Image> {
        let mut command = tools.command("qemu-img");
        command
            .args(["create", "-q", "-f", "qcow2"])
            .arg(path)
            .arg(format!("{mib}M"));
        process::run(&mut command, b"", Duration::from_secs(60))?;
        Ok(Image {
            path: path.to_path_buf(),
            format: Format::Qcow2,
            write_log: None,
        })
    }

    /// The same image, and everything that is written to it is kept in `log`.
    pub fn logged_to(self, log: &Path) -> Image {
        Image {
            write_log: Some(log.to_path_buf()),
            ..self
        }
    }

    /// What `image` holds, as a raw image at `path`; parts that were never written take no space.
    ///
    /// # Errors
    /// When `qemu-img` fails.
    pub fn flatten(tools: &ToolsRoot, path: &Path, image: &Image) -> Result<Image> {
        let mut command = tools.command("qemu-img");
        command
            .args(["convert", "-q", "-f", image.format.name(), "-O", "raw"])
            .arg(&image.path)
            .arg(path);
        process::run(&mut command, b"", Duration::from_secs(1800))?;
        Ok(Image::raw(path))
    }

    /// Writes `bytes` at `offset` of a raw image.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let file = File::options().write(true).open(&self.path);
        let written = file.and_then(|file| file.write_all_at(bytes, offset));
        written.with_context(|| format!("{} cannot be written", self.path.display()))
    }
}

/// SHA-256 over a file's length and all of its bytes that are not zero, with their places.
///
/// Two files of equal bytes have equal fingerprints, however their holes are kept; a 20 GiB disk with little on it
/// takes a moment.
///
/// # Errors
/// When the file cannot be read.
pub fn fingerprint(path: &Path) -> Result<String> {
    const BLOCK: usize = 64 * 1024;
    let read = || -> std::io::Result<String> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut hash = Sha256::new();
        hash.update(length.to_le_bytes());
        let mut buffer = vec![0; BLOCK];
        let mut at = 0;
        while at < length {
            let data = match lseek(
                &file,
                i64::try_from(at).map_err(std::io::Error::other)?,
                Whence::SeekData,
            ) {
                Ok(data) => data.unsigned_abs(),
                // No data behind `at`.
                Err(nix::errno::Errno::ENXIO) => break,
                Err(error) => return Err(error.into()),
            };
            // Blocks are aligned, so that a hole within one changes nothing.
            at = data / BLOCK as u64 * BLOCK as u64;
            let size = BLOCK.min(usize::try_from(length - at).unwrap_or(BLOCK));
            file.read_exact_at(&mut buffer[..size], at)?;
            if buffer[..size].iter().any(|byte| *byte != 0) {
                hash.update(at.to_le_bytes());
                hash.update(&buffer[..size]);
            }
            at += size as u64;
        }
        Ok(hex::encode(hash.finalize()))
    };
    read().with_context(|| format!("{} cannot be read", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_sees_every_byte_and_no_hole() {
        let dir = tempfile::tempdir().unwrap();
        let image = Image::blank(&dir.path().join("a"), 8).unwrap();
        let empty = fingerprint(&image.path).unwrap();
        // Zeros that are written are still zeros.
        image.write_at(1 << 20, &[0; 4096]).unwrap();
        assert_eq!(fingerprint(&image.path).unwrap(), empty);
        image.write_at((8 << 20) - 1, &[1]).unwrap();
        let last = fingerprint(&image.path).unwrap();
        assert_ne!(last, empty);
        image.write_at((8 << 20) - 1, &[0]).unwrap();
        assert_eq!(fingerprint(&image.path).unwrap(), empty);
        image.write_at((8 << 20) - 2, &[1]).unwrap();
        assert_ne!(
            fingerprint(&image.path).unwrap(),
            last,
            "the same byte elsewhere"
        );
        let longer = Image::blank(&dir.path().join("b"), 9).unwrap();
        assert_ne!(fingerprint(&longer.path).unwrap(), empty, "another length");
    }

    #[test]
    fn an_odd_length_is_read_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("odd");
        std::fs::write(&path, [7; 100_001]).unwrap();
        let before = fingerprint(&path).unwrap();
        Image::raw(&path).write_at(100_000, &[8]).unwrap();
        assert_ne!(fingerprint(&path).unwrap(), before);
    }
}
