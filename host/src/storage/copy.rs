//! Bytes from one disk or file to another.

use super::Kind;
use crate::XeError;
use crate::hotfix::Machine;
use crate::interrupt;
use crate::task::Task;
use serde::Deserialize;
use slots::block::{Access, BlockDevice};
use std::path::Path;
use std::time::Duration;
use steps::{Command, System};

/// Bytes that are copied at once.
pub const CHUNK: usize = 1 << 20;

/// How a file holds the content of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As it is.
    Raw,
    /// In a format that `qemu-img` knows by this name.
    Other(&'static str),
}

/// Tells by the first bytes (and, for old VHD files, the last ones).
pub fn detect(start: &[u8], end: &[u8]) -> Format {
    for (magic, name) in [
        (&b"QFI\xfb"[..], "qcow2"),
        (b"KDMV", "vmdk"),
        (b"# Disk DescriptorFile", "vmdk"),
        (b"vhdxfile", "vhdx"),
        (b"conectix", "vpc"),
    ] {
        if start.starts_with(magic) {
            return Format::Other(name);
        }
    }
    match end.starts_with(b"conectix") {
        true => Format::Other("vpc"),
        false => Format::Raw,
    }
}

/// What a file holds and how many bytes the disk in it has.
pub fn look(
    system: &dyn System,
    machine: &dyn Machine,
    path: &Path,
) -> Result<(Format, u64), XeError> {
    let mut file = open(machine, path, Access::ReadOnly)?;
    let size = file.size();
    let mut read = |offset: u64, len: usize| {
        let mut bytes = vec![0; len];
        file.read_at(offset, &mut bytes)
            .map(|()| bytes)
            .map_err(|e| failed(path, &e))
    };
    let start = read(0, usize::try_from(size.min(64)).unwrap_or(64))?;
    let end = match size >= 512 {
        true => read(size - 512, 512)?,
        false => Vec::new(),
    };
    let format = detect(&start, &end);
    let size = match format {
        Format::Raw => size,
        Format::Other(name) => image_size(system, path, name)?,
    };
    match size {
        0 => Err(XeError::failure("VDI_IMPORT_FAILED", "The file is empty.")
            .with("file-name", path.display().to_string())),
        size => Ok((format, size)),
    }
}

/// What `qemu-img info` prints as JSON, as far as it matters (QEMU, qapi/block-core.json).
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Info {
    virtual_size: u64,
    backing_filename: Option<String>,
    format_specific: Option<Specific>,
}

#[derive(Deserialize)]
struct Specific {
    data: Option<SpecificData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct SpecificData {
    data_file: Option<String>,
    #[serde(default)]
    extents: Vec<Extent>,
}

#[derive(Deserialize)]
struct Extent {
    filename: String,
}

/// The file that an image takes content from though it is not a part of it: any file of this host could be named there.
fn foreign_file(info: Info, image: &Path) -> Option<String> {
    let data = info.format_specific.and_then(|specific| specific.data);
    let (data_file, extents) = match data {
        Some(data) => (data.data_file, data.extents),
        None => (None, Vec::new()),
    };
    // The parts of a VMDK are beside it.
    let elsewhere = extents
        .into_iter()
        .map(|extent| extent.filename)
        .find(|file| Path::new(file).parent() != image.parent());
    info.backing_filename.or(data_file).or(elsewhere)
}

fn image_size(system: &dyn System, path: &Path, format: &str) -> Result<u64, XeError> {
    let command = Command::new("qemu-img")
        .args(["info", "--output=json", "-f", format])
        .arg(path);
    let output = system.run(&command).map_err(|e| XeError::system(&e))?;
    let info: Info = serde_json::from_slice(&output.stdout)
        .map_err(|e| XeError::failure("VDI_IMPORT_FAILED", format!("`qemu-img info`: {e}")))?;
    let size = info.virtual_size;
    match foreign_file(info, path) {
        Some(file) => Err(XeError::failure(
            "VDI_IMPORT_FAILED",
            "The image is not whole: it takes content from another file. Make a whole one by `qemu-img convert`, where that file \
             is meant to be in it.",
        )
        .with("file-name", path.display().to_string())
        .with("takes-from", file)),
        None => Ok(size),
    }
}

/// Opens a disk or file; what cannot be opened is told by its name.
pub fn open(
    machine: &dyn Machine,
    path: &Path,
    access: Access,
) -> Result<Box<dyn BlockDevice + Send>, XeError> {
    machine
        .open(path, access)
        .map_err(|e| XeError::system(&e).with("file-name", path.display().to_string()))
}

fn failed(path: &Path, error: &std::io::Error) -> XeError {
    XeError::failure(
        "VDI_IO_ERROR",
        format!("{} cannot be read or written: {error}", path.display()),
    )
}

/// Copies the disk in the file `from` to the disk `to`, which is at least as large. Where `to` is a new sparse file, zeros are
/// left out.
pub fn import(
    system: &dyn System,
    machine: &dyn Machine,
    from: (&Path, Format, u64),
    to: &Path,
    kind: Kind,
    task: &Task<'_>,
) -> Result<(), XeError> {
    let (path, format, size) = from;
    match format {
        Format::Raw => copy(machine, (path, to), size, kind == Kind::Ext, task),
        Format::Other(name) => system
            .run(
                &Command::new("qemu-img")
                    .args(["convert", "-n", "-f", name, "-O", "raw"])
                    .arg(path)
                    .arg(to)
                    .timeout(Duration::from_secs(24 * 3600))
                    .stops_when(interrupt::flag())
                    .dies_with_us(),
            )
            .map_err(|e| {
                let error = XeError::failure("VDI_IMPORT_FAILED", XeError::system(&e).message);
                ended_or(task, size, error)
            })
            // It leaves it to the kernel when that is on the disk (qemu-img(1), `-t unsafe`).
            .and_then(|_| settle(machine, to)),
    }
}

/// Has on the disk what programs wrote, before anybody is told that it is there.
fn settle(machine: &dyn Machine, path: &Path) -> Result<(), XeError> {
    open(machine, path, Access::Write)?
        .flush()
        .map_err(|e| failed(path, &e))
}

/// Why a program failed: where somebody ended the task, that is the reason.
fn ended_or(task: &Task<'_>, size: u64, error: XeError) -> XeError {
    task.progress(0, size).err().unwrap_or(error)
}

/// Copies `size` bytes from the first to the second.
pub fn copy(
    machine: &dyn Machine,
    (from, to): (&Path, &Path),
    size: u64,
    skip_zeros: bool,
    task: &Task<'_>,
) -> Result<(), XeError> {
    let mut source = open(machine, from, Access::ReadOnly)?;
    let mut target = open(machine, to, Access::Write)?;
    let mut buffer = vec![0; CHUNK];
    let mut offset = 0;
    while offset < size {
        let len = usize::try_from((size - offset).min(CHUNK as u64)).unwrap_or(CHUNK);
        let chunk = &mut buffer[..len];
        source
            .read_at(offset, chunk)
            .map_err(|e| failed(from, &e))?;
        if !(skip_zeros && is_zero(chunk)) {
            target.write_at(offset, chunk).map_err(|e| failed(to, &e))?;
        }
        offset += len as u64;
        task.progress(offset, size)?;
    }
    target.flush().map_err(|e| failed(to, &e))
}

/// Makes everything from `offset` on zero, to the end of the volume or file `path`: another guest left something there.
pub fn zero_rest(
    system: &dyn System,
    machine: &dyn Machine,
    (path, kind): (&Path, Kind),
    offset: u64,
    task: &Task<'_>,
) -> Result<(), XeError> {
    let mut target = open(machine, path, Access::Write)?;
    let size = target.size();
    // Programs want whole sectors.
    let aligned = offset.next_multiple_of(CHUNK as u64).min(size);
    if offset < aligned {
        let zeros = vec![0; usize::try_from(aligned - offset).unwrap_or(CHUNK)];
        target
            .write_at(offset, &zeros)
            .and_then(|()| target.flush())
            .map_err(|e| failed(path, &e))?;
    }
    drop(target);
    task.progress(size, size)?;
    if aligned >= size {
        return Ok(());
    }
    let command = match kind {
        // By force, as there is something on it: what was just written.
        Kind::Lvm => Command::new("blkdiscard").args([
            "--force",
            "--zeroout",
            "--offset",
            &aligned.to_string(),
        ]),
        Kind::Ext | Kind::Iso => Command::new("fallocate")
            .args(["--punch-hole", "--offset", &aligned.to_string()])
            .args(["--length", &(size - aligned).to_string()]),
    };
    // Devices that cannot make zeros by themselves are written to.
    system
        .run(
            &command
                .arg(path)
                .timeout(Duration::from_secs(24 * 3600))
                .stops_when(interrupt::flag())
                .dies_with_us(),
        )
        .map_err(|e| {
            ended_or(
                task,
                size,
                XeError::failure("VDI_IO_ERROR", XeError::system(&e).message),
            )
        })
        .and_then(|_| settle(machine, path))
}

/// Whether there is nothing in it.
pub fn is_zero(chunk: &[u8]) -> bool {
    chunk.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hotfix::RealMachine;
    use slots::block::{FaultyDevice, MemoryDevice, OpenError};
    use slots::env_block::{EnvBlock, EnvFileError};
    use std::io;
    use std::sync::{Arc, Mutex};
    use steps::{RealSystem, RecordingSystem};

    /// A machine with one disk.
    struct One(Arc<Mutex<FaultyDevice<MemoryDevice>>>);

    impl Machine for One {
        fn open(&self, _: &Path, _: Access) -> Result<Box<dyn BlockDevice + Send>, OpenError> {
            Ok(Box::new(self.0.clone()))
        }
        fn write_env(&self, _: &Path, _: &EnvBlock) -> Result<(), EnvFileError> {
            unreachable!("not of a boot loader")
        }
        fn free_space(&self, _: &Path) -> io::Result<u64> {
            unreachable!("not asked for")
        }
    }

    #[test]
    fn what_programs_wrote_is_on_the_disk_when_it_is_told() {
        let disk = FaultyDevice::new(MemoryDevice::new(4 * CHUNK as u64), None);
        let machine = One(Arc::new(Mutex::new(disk)));
        let flushes = || machine.0.lock().unwrap().flushes();
        let (system, path) = (RecordingSystem::new(), Path::new("/dev/x/y"));
        let task = Task::short(&system);
        let image = (
            Path::new("/image.qcow2"),
            Format::Other("qcow2"),
            CHUNK as u64,
        );
        import(&system, &machine, image, path, Kind::Ext, &task).unwrap();
        assert_eq!((flushes(), system.command_lines().len()), (1, 1));
        let disk = (path, Kind::Lvm);
        zero_rest(&system, &machine, disk, CHUNK as u64, &task).unwrap();
        assert_eq!((flushes(), system.command_lines().len()), (2, 2));
    }

    #[test]
    fn formats_are_told_by_their_bytes() {
        assert_eq!(detect(b"QFI\xfb\0\0\0\x03", b""), Format::Other("qcow2"));
        assert_eq!(detect(b"vhdxfile", b""), Format::Other("vhdx"));
        assert_eq!(detect(b"\0\0", b"conectix\0"), Format::Other("vpc"));
        assert_eq!(detect(b"\xeb\x63\x90", b"\0"), Format::Raw);
        assert_eq!(detect(b"", b""), Format::Raw);
    }

    #[test]
    fn an_image_that_takes_content_from_files_of_the_host_is_refused() {
        let look = |info: &str| {
            let system = RecordingSystem::new().prints("qemu-img info", info);
            image_size(&system, Path::new("/root/a.img"), "qcow2")
        };
        let data = |data: &str| {
            format!(r#"{{"virtual-size":9,"format-specific":{{"type":"x","data":{{{data}}}}}}}"#)
        };
        let whole = [
            r#"{"virtual-size":9}"#.to_owned(),
            data(r#""compat":"1.1""#),
            data(r#""extents":[{"filename":"/root/a-flat.vmdk","format":"FLAT"}]"#),
        ];
        for info in whole {
            assert_eq!(look(&info).unwrap(), 9, "{info}");
        }
        let parts = [
            r#"{"virtual-size":9,"backing-filename":"/etc/shadow"}"#.to_owned(),
            data(r#""data-file":"/etc/shadow""#),
            data(r#""extents":[{"filename":"/etc/shadow"}]"#),
        ];
        for info in parts {
            let error = look(&info).unwrap_err();
            assert_eq!(error.code, "VDI_IMPORT_FAILED", "{info}");
            assert!(error.to_string().contains("takes-from: /etc/shadow"));
        }
    }

    #[test]
    fn a_raw_image_is_copied_and_zeros_stay_holes() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        let mut bytes = vec![0_u8; 5 * CHUNK + 512];
        bytes[3 * CHUNK + 7] = 1;
        *bytes.last_mut().unwrap() = 2;
        std::fs::write(&from, &bytes).unwrap();
        std::fs::File::create(&to)
            .unwrap()
            .set_len(6 * CHUNK as u64)
            .unwrap();
        let (format, size) = look(&RealSystem::silent(), &RealMachine, &from).unwrap();
        assert_eq!((format, size), (Format::Raw, bytes.len() as u64));
        let source = (from.as_path(), format, size);
        let system = RealSystem::silent();
        let task = Task::short(&system);
        import(&system, &RealMachine, source, &to, Kind::Ext, &task).unwrap();
        let copied = std::fs::read(&to).unwrap();
        assert!(copied[..bytes.len()] == bytes, "the copy differs");
        use std::os::unix::fs::MetadataExt;
        assert!(std::fs::metadata(&to).unwrap().blocks() * 512 < 4 * CHUNK as u64);
        std::fs::write(&from, b"").unwrap();
        assert!(look(&RealSystem::silent(), &RealMachine, &from).is_err());
        let missing = look(&RealSystem::silent(), &RealMachine, Path::new("/none")).unwrap_err();
        assert!(missing.to_string().contains("/none"), "{missing}");
    }
}
