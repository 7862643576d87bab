//! A virtual machine in one file: a tar archive with its definition, its disks in chunks, and a checksum of everything.
//!
//! `xe-export.json` comes first, then `disk/N/INDEX-SHA256` for every chunk that is not all zeros, and `end.json` with a
//! checksum of all names and contents: what is cut off, changed, or put together from two files is seen. Compressed by
//! zstd where that was asked for.

use crate::XeError;
use crate::storage::copy::{CHUNK, is_zero};
use crate::task::Task;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use slots::block::BlockDevice;
use std::io::{self, Read};

/// Name of the first entry.
pub const MANIFEST: &str = "xe-export.json";
/// Name of the last entry.
const END: &str = "end.json";
/// The only format there is.
const FORMAT: u32 = 1;
/// No definition is larger.
const MANIFEST_LIMIT: u64 = 4 << 20;

/// What the file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest {
    /// The format of the file.
    pub format: u32,
    /// When it was made, in seconds since 1970.
    pub made: u64,
    /// The definition, as libvirt has it.
    pub domain: String,
    /// The disks whose content follows, in this order.
    pub disks: Vec<ManifestDisk>,
}

/// A disk in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ManifestDisk {
    /// What stands in the definition as its source.
    pub source: String,
    /// Its name.
    pub name_label: String,
    /// Bytes.
    pub size: u64,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    entries: u64,
    sha256: String,
}

/// The checksum of all entries so far.
#[derive(Default)]
struct Sum {
    entries: u64,
    hash: Sha256,
}

impl Sum {
    fn add(&mut self, name: &str, digest: &[u8]) {
        self.entries += 1;
        self.hash.update(name.as_bytes());
        self.hash.update([0]);
        self.hash.update(digest);
    }

    fn end(self) -> End {
        End {
            entries: self.entries,
            sha256: hex::encode(self.hash.finalize()),
        }
    }
}

impl Manifest {
    /// Of this definition and disks.
    pub fn new(made: u64, domain: String, disks: Vec<ManifestDisk>) -> Manifest {
        Manifest {
            format: FORMAT,
            made,
            domain,
            disks,
        }
    }
}

/// The file, made while it is read.
pub struct Writer<'a> {
    disks: Vec<(Box<dyn BlockDevice + Send + 'a>, u64)>,
    /// Which disk, and which chunk of it, comes next.
    next: (usize, u64),
    sum: Option<Sum>,
    buffer: Vec<u8>,
    at: usize,
    task: &'a Task<'a>,
}

impl<'a> Writer<'a> {
    /// Begins with the manifest; the disks are in its order, with their sizes.
    pub fn new(
        manifest: &Manifest,
        disks: Vec<(Box<dyn BlockDevice + Send + 'a>, u64)>,
        task: &'a Task<'a>,
    ) -> io::Result<Writer<'a>> {
        let mut writer = Writer {
            disks,
            next: (0, 0),
            sum: Some(Sum::default()),
            buffer: Vec::new(),
            at: 0,
            task,
        };
        let text = serde_json::to_vec_pretty(manifest)?;
        let digest = Sha256::digest(&text);
        writer.entry(MANIFEST, &text)?;
        if let Some(sum) = &mut writer.sum {
            sum.add(MANIFEST, &digest);
        }
        Ok(writer)
    }

    /// Puts an entry into the buffer.
    fn entry(&mut self, name: &str, data: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_path(name)?;
        header.set_size(data.len() as u64);
        header.set_mode(0o600);
        header.set_cksum();
        self.buffer.extend_from_slice(header.as_bytes());
        self.buffer.extend_from_slice(data);
        self.buffer
            .resize(self.buffer.len().next_multiple_of(512), 0);
        Ok(())
    }

    /// The next chunk that is not all zeros, or the end.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.clear();
        self.at = 0;
        let all: u64 = self.disks.iter().map(|(_, size)| size).sum();
        let before: u64 = self.disks[..self.next.0.min(self.disks.len())]
            .iter()
            .map(|(_, size)| size)
            .sum();
        self.task
            .progress(before + self.next.1 * CHUNK as u64, all)
            .map_err(io::Error::other)?;
        while let Some((device, size)) = self.disks.get_mut(self.next.0) {
            let offset = self.next.1 * CHUNK as u64;
            if offset >= *size {
                self.next = (self.next.0 + 1, 0);
                continue;
            }
            let len = usize::try_from((*size - offset).min(CHUNK as u64)).unwrap_or(CHUNK);
            let mut chunk = vec![0; len];
            device.read_at(offset, &mut chunk)?;
            let (disk, index) = self.next;
            self.next.1 += 1;
            if is_zero(&chunk) {
                continue;
            }
            let digest = Sha256::digest(&chunk);
            let name = format!("disk/{disk}/{index:08}-{}", hex::encode(digest));
            if let Some(sum) = &mut self.sum {
                sum.add(&name, &digest);
            }
            return self.entry(&name, &chunk);
        }
        if let Some(sum) = self.sum.take() {
            let end = serde_json::to_vec(&sum.end())?;
            self.entry(END, &end)?;
            // Two empty blocks end an archive.
            self.buffer.resize(self.buffer.len() + 1024, 0);
        }
        Ok(())
    }
}

impl Read for Writer<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at == self.buffer.len() {
            self.fill()?;
        }
        let rest = &self.buffer[self.at..];
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        Ok(len)
    }
}

fn corrupt(why: impl Into<String>) -> XeError {
    XeError::failure(
        "IMPORT_ERROR_CORRUPT",
        format!("The file cannot be used: {}.", why.into()),
    )
}

fn unreadable(error: &io::Error) -> XeError {
    let eof = error.kind() == io::ErrorKind::UnexpectedEof;
    corrupt(match eof {
        true => "it ends too early".to_owned(),
        false => error.to_string(),
    })
}

/// Reads such a file. `begin` gets the manifest and returns the disks to fill, which hold nothing in particular; `zeroed` tells
/// which of them are zero already.
pub fn read(
    file: impl Read,
    task: &Task<'_>,
    begin: impl FnOnce(&Manifest) -> Result<Vec<(Box<dyn BlockDevice + Send>, bool)>, XeError>,
) -> Result<Manifest, XeError> {
    let mut archive = tar::Archive::new(file);
    // Names are short and files whole: what tar has for others would be read into memory, whatever its size.
    let mut entries = archive.entries().map_err(|e| unreadable(&e))?.raw(true);
    let mut sum = Sum::default();
    let mut next = || -> Result<(String, Vec<u8>), XeError> {
        let mut entry = entries
            .next()
            .ok_or_else(|| corrupt("it ends too early"))?
            .map_err(|e| unreadable(&e))?;
        let name = entry
            .path()
            .map_err(|e| unreadable(&e))?
            .to_string_lossy()
            .into_owned();
        if entry.size() > MANIFEST_LIMIT {
            return Err(corrupt(format!("{name} is too large")));
        }
        let mut data = Vec::new();
        entry.read_to_end(&mut data).map_err(|e| unreadable(&e))?;
        if data.len() as u64 != entry.size() {
            return Err(corrupt("it ends too early"));
        }
        Ok((name, data))
    };
    let (name, data) = next()?;
    if name != MANIFEST {
        return Err(corrupt("it was not made by vm-export"));
    }
    sum.add(MANIFEST, &Sha256::digest(&data));
    let manifest: Manifest =
        serde_json::from_slice(&data).map_err(|e| corrupt(format!("{MANIFEST}: {e}")))?;
    if manifest.format != FORMAT {
        return Err(corrupt(format!(
            "its format is {}, and {FORMAT} is known here",
            manifest.format
        )));
    }
    let mut disks: Vec<Filling> = begin(&manifest)?
        .into_iter()
        .zip(&manifest.disks)
        .map(|((device, zeroed), disk)| Filling {
            device,
            zeroed,
            size: disk.size,
            done: 0,
        })
        .collect();
    let all = manifest
        .disks
        .iter()
        .fold(0_u64, |sum, disk| sum.saturating_add(disk.size));
    loop {
        let (name, data) = next()?;
        if name == END {
            let end: End = serde_json::from_slice(&data).map_err(|e| corrupt(e.to_string()))?;
            if end != sum.end() {
                return Err(corrupt("its checksum does not fit"));
            }
            break;
        }
        let digest = Sha256::digest(&data);
        let (disk, index) = parse_name(&name, &digest)?;
        let before = manifest
            .disks
            .iter()
            .take(disk)
            .fold(0_u64, |sum, disk| sum.saturating_add(disk.size));
        task.progress(
            before.saturating_add(index.saturating_mul(CHUNK as u64)),
            all,
        )?;
        sum.add(&name, &digest);
        disks
            .get_mut(disk)
            .ok_or_else(|| corrupt(format!("{name} is of no disk")))?
            .chunk(index, &data)?;
    }
    for disk in &mut disks {
        disk.finish()?;
    }
    Ok(manifest)
}

/// Disk and index of a chunk, whose digest is in its name.
fn parse_name(name: &str, digest: &[u8]) -> Result<(usize, u64), XeError> {
    let parts = name
        .strip_prefix("disk/")
        .and_then(|rest| rest.split_once('/'))
        .and_then(|(disk, rest)| Some((disk.parse().ok()?, rest.split_once('-')?)));
    let Some((disk, (index, sha256))) = parts else {
        return Err(corrupt(format!("{name} is not known")));
    };
    if hex::encode(digest) != sha256 {
        return Err(corrupt(format!("the checksum of {name} does not fit")));
    }
    let index = index
        .parse()
        .map_err(|_| corrupt(format!("{name} is not known")))?;
    Ok((disk, index))
}

/// A disk that is being filled.
struct Filling {
    device: Box<dyn BlockDevice + Send>,
    zeroed: bool,
    size: u64,
    /// Bytes that have their content.
    done: u64,
}

impl Filling {
    fn chunk(&mut self, index: u64, data: &[u8]) -> Result<(), XeError> {
        let offset = index
            .checked_mul(CHUNK as u64)
            .filter(|offset| *offset >= self.done)
            .ok_or_else(|| corrupt("its chunks are out of order"))?;
        let end = offset + data.len() as u64;
        if end > self.size || data.len() > CHUNK {
            return Err(corrupt("a chunk lies behind the end of its disk"));
        }
        self.zero_until(offset)?;
        self.write(offset, data)?;
        self.done = end;
        Ok(())
    }

    fn zero_until(&mut self, end: u64) -> Result<(), XeError> {
        let zeros = vec![0; CHUNK];
        while !self.zeroed && self.done < end {
            let len = usize::try_from((end - self.done).min(CHUNK as u64)).unwrap_or(CHUNK);
            self.write(self.done, &zeros[..len])?;
            self.done += len as u64;
        }
        Ok(())
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Result<(), XeError> {
        self.device
            .write_at(offset, data)
            .map_err(|e| XeError::failure("VDI_IO_ERROR", format!("a disk cannot be written: {e}")))
    }

    fn finish(&mut self) -> Result<(), XeError> {
        self.zero_until(self.size)?;
        self.device
            .flush()
            .map_err(|e| XeError::failure("VDI_IO_ERROR", format!("a disk cannot be written: {e}")))
    }
}

/// The content of a file that may be compressed.
pub fn uncompressed<'a>(mut file: impl Read + Send + 'a) -> Result<Box<dyn Read + 'a>, XeError> {
    const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let mut start = [0; 4];
    file.read_exact(&mut start).map_err(|e| unreadable(&e))?;
    let whole = io::Cursor::new(start).chain(file);
    match start == ZSTD {
        true => Ok(Box::new(
            zstd::stream::read::Decoder::new(whole).map_err(|e| unreadable(&e))?,
        )),
        false => Ok(Box::new(whole)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slots::block::MemoryDevice;
    use std::sync::{Arc, Mutex};
    use steps::RecordingSystem;

    const SIZE: u64 = 3 * CHUNK as u64 + 512;

    fn content() -> Vec<u8> {
        let mut bytes = vec![0; SIZE as usize];
        bytes[CHUNK + 3] = 1;
        bytes[SIZE as usize - 1] = 2;
        bytes
    }

    fn manifest(size: u64) -> Manifest {
        let disk = ManifestDisk {
            source: "/dev/bedplate/a".into(),
            name_label: "a".into(),
            size,
        };
        Manifest::new(1, "<domain/>".into(), vec![disk])
    }

    fn file() -> Vec<u8> {
        let mut disk = MemoryDevice::new(SIZE);
        disk.write_at(0, &content()).unwrap();
        let mut file = Vec::new();
        let system = RecordingSystem::new();
        let task = Task::short(&system);
        Writer::new(&manifest(SIZE), vec![(Box::new(disk), SIZE)], &task)
            .unwrap()
            .read_to_end(&mut file)
            .unwrap();
        file
    }

    fn import(file: &[u8], zeroed: bool) -> Result<Vec<u8>, XeError> {
        // What a volume held before is not what the disk holds.
        let fill = if zeroed { 0 } else { 0xaa };
        let disk = Arc::new(Mutex::new(MemoryDevice::new(SIZE).filled(fill)));
        let given = disk.clone();
        let system = RecordingSystem::new();
        let task = Task::short(&system);
        read(uncompressed(file)?, &task, |manifest| {
            assert_eq!(manifest.disks[0].size, SIZE);
            Ok(vec![(Box::new(given), zeroed)])
        })?;
        let bytes = disk.lock().unwrap().bytes(0, SIZE as usize);
        Ok(bytes)
    }

    #[test]
    fn what_goes_in_comes_out_onto_any_disk() {
        let file = file();
        assert!(file.len() < 2 * CHUNK, "zeros take no room");
        assert!(import(&file, true).unwrap() == content());
        assert!(import(&file, false).unwrap() == content());
        let compressed = zstd::encode_all(file.as_slice(), 3).unwrap();
        assert!(compressed.len() < 10_000);
        assert!(import(&compressed, false).unwrap() == content());
        // Any tar can look into it.
        let mut archive = tar::Archive::new(file.as_slice());
        assert_eq!(archive.entries().unwrap().count(), 4);
    }

    #[test]
    fn a_file_that_is_cut_or_changed_anywhere_is_refused() {
        let file = file();
        for end in [0, 3, 100, 600, 5000, file.len() / 2, file.len() - 1600] {
            let error = import(&file[..end], true).unwrap_err();
            assert_eq!(error.code, "IMPORT_ERROR_CORRUPT", "{end}: {error}");
        }
        // Somewhere in the manifest, the first chunk, the last chunk, the end.
        for at in [600, 3000, CHUNK, file.len() - 2100, file.len() - 1530] {
            let mut changed = file.clone();
            changed[at] ^= 1;
            let error = import(&changed, true).unwrap_err();
            assert_eq!(error.code, "IMPORT_ERROR_CORRUPT", "{at}: {error}");
        }
        // A chunk that is left out is missed by the checksum at the end.
        let chunk = 512 + CHUNK;
        let first = 512 + 512;
        let without = [&file[..first], &file[first + chunk..]].concat();
        let error = import(&without, true).unwrap_err();
        assert!(error.message.contains("checksum"), "{error}");
    }

    #[test]
    fn an_archive_has_no_long_names() {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_path("././@LongLink").unwrap();
        header.set_size(MANIFEST.len() as u64 + 1);
        header.set_cksum();
        let mut name = [MANIFEST.as_bytes(), &[0]].concat();
        name.resize(512, 0);
        let long = [header.as_bytes().as_slice(), &name, &file()].concat();
        let error = import(&long, true).unwrap_err();
        assert_eq!(error.code, "IMPORT_ERROR_CORRUPT", "{error}");
    }

    #[test]
    fn chunks_stay_inside_their_disk_and_in_order() {
        let mut disk = Filling {
            device: Box::new(MemoryDevice::new(SIZE)),
            zeroed: true,
            size: SIZE,
            done: 0,
        };
        disk.chunk(1, &[1; CHUNK]).unwrap();
        assert!(disk.chunk(0, &[1; CHUNK]).is_err());
        assert!(disk.chunk(1, &[1; CHUNK]).is_err());
        assert!(disk.chunk(3, &[1; CHUNK]).is_err());
        assert!(disk.chunk(u64::MAX, &[1]).is_err());
        disk.chunk(3, &[1; 512]).unwrap();
    }
}
