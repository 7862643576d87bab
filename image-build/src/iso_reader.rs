//! Reading folders out of an ISO 9660 image with Rock Ridge names, as xorriso writes them (ECMA-119, IEEE P1282): no program of others
//! and no mount is needed, so that anybody can look into an ISO anywhere.

use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const SECTOR: u64 = 2048;
/// The primary volume descriptor (ECMA-119, 8.4).
const DESCRIPTOR: u64 = 16 * SECTOR;
/// Where the record of the root folder is in it.
const ROOT: usize = 156;
/// A larger folder, or more of them below each other, is none of ours.
const LARGEST_FOLDER: u64 = 4 << 20;
const DEEPEST: usize = 8;
/// A repository has some twenty files.
const MOST_ENTRIES: usize = 10_000;
/// Areas in which one name may go on.
const AREAS: usize = 4;
/// Bytes that are copied at once.
const CHUNK: usize = 1 << 20;

/// An image that is open.
pub struct Iso {
    file: File,
    path: PathBuf,
    size: u64,
}

/// A file or a folder in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    name: String,
    start: u64,
    size: u64,
    folder: bool,
}

/// What may still come out of an image. Each file has bytes of its own in it, so all together are no longer than it is; one whose
/// entries point to the same bytes, or to folders above, could fill any disk.
struct Budget {
    bytes: u64,
    entries: usize,
}

impl Budget {
    fn take(&mut self, entry: &Entry) -> Option<()> {
        self.bytes = self.bytes.checked_sub(entry.size)?;
        self.entries = self.entries.checked_sub(1)?;
        Some(())
    }
}

impl Iso {
    /// Opens the image at `path`.
    ///
    /// # Errors
    /// When it cannot be read, or is no ISO 9660 image.
    pub fn open(path: &Path) -> Result<Iso> {
        let shown = path.display();
        let file = File::open(path).with_context(|| format!("{shown} cannot be read"))?;
        let size = length(&file).with_context(|| format!("{shown} has no size"))?;
        let iso = Iso {
            file,
            path: path.to_owned(),
            size,
        };
        let descriptor = iso.bytes(DESCRIPTOR, SECTOR);
        ensure!(
            descriptor.is_ok_and(|bytes| bytes[..6] == *b"\x01CD001"),
            "{shown} is no ISO image"
        );
        Ok(iso)
    }

    /// Copies the folder at `path` (`bedplate/repository`) with everything below it into the folder `to`, which is made. No more
    /// is written than the image has bytes.
    ///
    /// # Errors
    /// When it is not there, is damaged, holds more than it can, or `to` cannot be written.
    pub fn extract(&self, path: &str, to: &Path) -> Result<()> {
        let descriptor = self.bytes(DESCRIPTOR, SECTOR)?;
        let mut folder = self.entry(&descriptor[ROOT..ROOT + 34])?;
        for name in path.split('/') {
            let found = self.list(&folder)?.into_iter().find(|one| one.name == name);
            folder = found.filter(|one| one.folder).with_context(|| {
                format!(
                    "{} has no folder {path}: it is no medium of Bedplate",
                    self.path.display()
                )
            })?;
        }
        let mut budget = Budget {
            bytes: self.size,
            entries: MOST_ENTRIES,
        };
        self.copy(&folder, to, DEEPEST, &mut budget)
    }

    fn copy(&self, folder: &Entry, to: &Path, depth: usize, budget: &mut Budget) -> Result<()> {
        ensure!(depth > 0, "{} has folders without end", self.path.display());
        std::fs::create_dir_all(to).with_context(|| format!("{} cannot be made", to.display()))?;
        for entry in self.list(folder)? {
            ensure!(
                budget.take(&entry).is_some(),
                "{} holds more than has room in it: folders or files lie over each other, or there are more than {MOST_ENTRIES}",
                self.path.display()
            );
            let to = to.join(&entry.name);
            if entry.folder {
                self.copy(&entry, &to, depth - 1, budget)?;
                continue;
            }
            let written = self.copy_file(&entry, &to);
            written.with_context(|| format!("{} cannot be written", to.display()))?;
        }
        Ok(())
    }

    fn copy_file(&self, entry: &Entry, to: &Path) -> io::Result<()> {
        let mut out = File::create(to)?;
        let mut buffer = vec![0; CHUNK];
        let mut done = 0;
        while done < entry.size {
            let part = usize::try_from(entry.size - done).map_or(CHUNK, |left| left.min(CHUNK));
            self.file
                .read_exact_at(&mut buffer[..part], entry.start + done)?;
            io::Write::write_all(&mut out, &buffer[..part])?;
            done += part as u64;
        }
        Ok(())
    }

    /// What is in a folder, without itself and the folder above.
    fn list(&self, folder: &Entry) -> Result<Vec<Entry>> {
        ensure!(
            folder.size <= LARGEST_FOLDER,
            "{} has a folder of {} bytes, which none has",
            self.path.display(),
            folder.size
        );
        let bytes = self.bytes(folder.start, folder.size)?;
        let mut entries = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let length = usize::from(bytes[at]);
            if length == 0 {
                // Records do not cross sectors; the rest of one is empty.
                at = (at / SECTOR as usize + 1) * SECTOR as usize;
                continue;
            }
            let Some(record) = bytes.get(at..at + length) else {
                bail!("{} has a folder that is cut off", self.path.display());
            };
            let entry = self.entry(record)?;
            if !entry.name.is_empty() {
                entries.push(entry);
            }
            at += length;
        }
        Ok(entries)
    }

    /// A record of a folder (ECMA-119, 9.1). The folder itself and the one above have no name here.
    fn entry(&self, record: &[u8]) -> Result<Entry> {
        let damaged = || format!("{} has a damaged folder", self.path.display());
        let name_length = usize::from(*record.get(32).with_context(damaged)?);
        let name = record.get(33..33 + name_length).with_context(damaged)?;
        let start = u64::from(number(record, 2).with_context(damaged)?) * SECTOR;
        let size = u64::from(number(record, 10).with_context(damaged)?);
        let flags = record[25];
        ensure!(
            start.checked_add(size).is_some_and(|end| end <= self.size),
            "{} is cut off: it has {} bytes, and a file in it ends behind that",
            self.path.display(),
            self.size
        );
        ensure!(
            flags & 0x80 == 0,
            "{} has a file in several parts, which no release has",
            self.path.display()
        );
        let own = matches!(name, [0 | 1]);
        // The name is followed by a byte where its length is even.
        let behind = 33 + name_length + usize::from(name_length.is_multiple_of(2));
        let name = match own {
            true => String::new(),
            false => {
                let long = self.long_name(record.get(behind..).unwrap_or_default())?;
                let name = long.unwrap_or_else(|| plain_name(name));
                let harmless = !name.contains(['/', '\0']) && name != "." && name != "..";
                ensure!(
                    harmless && !name.is_empty(),
                    "{} has a file without a name",
                    self.path.display()
                );
                name
            }
        };
        Ok(Entry {
            name,
            start,
            size,
            folder: flags & 2 != 0,
        })
    }

    /// The Rock Ridge name in a system use area (`NM`), which may go on elsewhere (`CE`).
    fn long_name(&self, area: &[u8]) -> Result<Option<String>> {
        let mut name: Option<Vec<u8>> = None;
        let mut area = area.to_vec();
        for _ in 0..AREAS {
            let mut next = None;
            let mut rest = area.as_slice();
            while let [first, second, length, _, ..] = *rest {
                let length = usize::from(length);
                let Some(field) = rest.get(..length).filter(|_| length >= 4) else {
                    break;
                };
                match [first, second] {
                    [b'N', b'M'] if length > 5 => {
                        name.get_or_insert_default().extend(&field[5..]);
                    }
                    [b'C', b'E'] => {
                        let block = number(field, 4).map(u64::from);
                        let offset = number(field, 12).map(u64::from);
                        let size = number(field, 20).map(u64::from);
                        next = block.zip(offset).zip(size);
                    }
                    _ => {}
                }
                rest = &rest[length..];
            }
            let Some(((block, offset), size)) = next else {
                break;
            };
            area = self.bytes(block * SECTOR + offset, size.min(SECTOR))?;
        }
        name.map(String::from_utf8)
            .transpose()
            .context("a name in the image is no text")
    }

    fn bytes(&self, start: u64, size: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(size)?];
        self.file
            .read_exact_at(&mut bytes, start)
            .with_context(|| format!("{} cannot be read at byte {start}", self.path.display()))?;
        Ok(bytes)
    }
}

/// Bytes of an image in a file or on a device; metadata tells no size of a device, a stick for one.
pub(crate) fn length(mut file: &File) -> io::Result<u64> {
    file.seek(SeekFrom::End(0))
}

/// A number that is written in both orders of bytes (ECMA-119, 7.3.3): the first half is the little end first.
fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

/// A name without Rock Ridge: `RELEASE.JSO;1`.
fn plain_name(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let name = name.split(';').next().unwrap_or_default();
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.root.img";

    fn both(value: u32) -> Vec<u8> {
        [value.to_le_bytes(), value.to_be_bytes()].concat()
    }

    fn record(name: &[u8], sector: u32, size: u32, folder: bool, system: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0];
        bytes.extend(both(sector));
        bytes.extend(both(size));
        bytes.extend([0; 7]);
        bytes.extend([if folder { 2 } else { 0 }, 0, 0, 1, 0, 0, 1]);
        bytes.push(name.len() as u8);
        bytes.extend(name);
        if name.len().is_multiple_of(2) {
            bytes.push(0);
        }
        bytes.extend(system);
        bytes.resize(bytes.len() + bytes.len() % 2, 0);
        bytes[0] = bytes.len() as u8;
        bytes
    }

    fn nm(name: &[u8], goes_on: bool) -> Vec<u8> {
        let mut field = vec![b'N', b'M', 5 + name.len() as u8, 1, u8::from(goes_on)];
        field.extend(name);
        field
    }

    fn ce(sector: u32, offset: u32, size: u32) -> Vec<u8> {
        [
            b"CE\x1c\x01".to_vec(),
            both(sector),
            both(offset),
            both(size),
        ]
        .concat()
    }

    /// Root at 18 with `bedplate` at 19 with `repository` at 20, which holds a file at 22 whose name goes on in 21.
    fn image(change: impl FnOnce(&mut Vec<u8>)) -> (tempfile::TempDir, PathBuf) {
        let mut bytes = vec![0; 23 * 2048];
        let mut put = |sector: usize, offset: usize, part: &[u8]| {
            let at = sector * 2048 + offset;
            bytes[at..at + part.len()].copy_from_slice(part);
        };
        put(16, 0, b"\x01CD001\x01");
        put(16, 156, &record(&[0], 18, 2048, true, b""));
        let own = |sector| {
            [
                record(&[0], sector, 2048, true, b""),
                record(&[1], 18, 2048, true, b""),
            ]
            .concat()
        };
        let folder = |name: &[u8], sector| {
            record(
                &name.to_ascii_uppercase(),
                sector,
                2048,
                true,
                &nm(name, false),
            )
        };
        put(18, 0, &[own(18), folder(b"bedplate", 19)].concat());
        // Without Rock Ridge, names are in capitals.
        put(
            19,
            0,
            &[own(19), record(b"REPOSITORY", 20, 2048, true, b"")].concat(),
        );
        let (head, tail) = LONG.as_bytes().split_at(40);
        let rest = nm(tail, false);
        let system = [nm(head, true), ce(21, 100, rest.len() as u32)].concat();
        put(21, 100, &rest);
        put(
            20,
            0,
            &[own(20), record(b"0123.IMG;1", 22, 5, false, &system)].concat(),
        );
        put(22, 0, b"hello");
        change(&mut bytes);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.iso");
        std::fs::write(&path, bytes).unwrap();
        (dir, path)
    }

    fn extract(change: impl FnOnce(&mut Vec<u8>)) -> Result<Vec<(String, Vec<u8>)>> {
        let (dir, path) = image(change);
        let to = dir.path().join("out");
        Iso::open(&path)?.extract("bedplate/repository", &to)?;
        let files = std::fs::read_dir(to)?.map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        });
        Ok(files.collect())
    }

    #[test]
    fn a_folder_comes_out_with_its_long_names() {
        let files = extract(|_| ()).unwrap();
        assert_eq!(files, [(LONG.to_owned(), b"hello".to_vec())]);
    }

    #[test]
    fn what_is_no_medium_says_so() {
        let error = |change: fn(&mut Vec<u8>)| extract(change).unwrap_err().to_string();
        assert!(error(|bytes| bytes[16 * 2048 + 1] = b'X').ends_with("is no ISO image"));
        assert!(error(|bytes| bytes.truncate(100)).ends_with("is no ISO image"));
        let gone = error(|bytes| bytes[19 * 2048..20 * 2048].fill(0));
        assert!(gone.contains("no folder bedplate/repository"), "{gone}");
        // One byte is missing at the end of the file.
        let cut = error(|bytes| bytes.truncate(22 * 2048 + 4));
        assert!(cut.contains("is cut off"), "{cut}");
    }

    /// The folder at 20 with these records in the place of its file.
    fn filled(records: &[Vec<u8>]) -> Result<Vec<(String, Vec<u8>)>> {
        extract(|bytes| {
            let own = 20 * 2048 + 34 + 34;
            bytes[own..21 * 2048].fill(0);
            let records = records.concat();
            bytes[own..own + records.len()].copy_from_slice(&records);
        })
    }

    #[test]
    fn no_more_comes_out_than_is_in_it() {
        let file =
            |name: &[u8], start: u32, sectors: u32| record(name, start, sectors * 2048, false, b"");
        // Each is in the image, and both together are longer than it is.
        assert!(filled(&[file(b"A", 0, 12)]).is_ok());
        let over_each_other = filled(&[file(b"A", 0, 12), file(b"B", 0, 12)]);
        let error = over_each_other.unwrap_err().to_string();
        assert!(error.contains("more than has room in it"), "{error}");
        // Ten names for one folder that has ten names for another one: a few more levels of that, and no disk holds it.
        let ten = |sector| -> Vec<u8> {
            let names = b'A'..=b'J';
            names
                .flat_map(|name| record(&[name], sector, 2048, true, b""))
                .collect()
        };
        let fans_out = extract(|bytes| {
            for (sector, below) in [(20, 21), (21, 22)] {
                let at = sector * 2048;
                let records = ten(below);
                bytes[at..at + 2048].fill(0);
                bytes[at..at + records.len()].copy_from_slice(&records);
            }
            bytes[22 * 2048..].fill(0);
        });
        let error = fans_out.unwrap_err().to_string();
        assert!(error.contains("more than has room in it"), "{error}");
        // Entries without bytes count, too.
        let mut budget = Budget {
            bytes: 0,
            entries: 1,
        };
        let empty = Entry {
            name: "a".into(),
            start: 0,
            size: 0,
            folder: false,
        };
        assert!(budget.take(&empty).is_some() && budget.take(&empty).is_none());
    }

    /// Neither a name that leaves the folder, nor a folder in itself, nor any single changed byte does harm.
    #[test]
    fn damage_is_an_error_or_nothing() {
        let climbs = filled(&[record(b"..", 22, 5, false, b"")]);
        assert!(climbs.unwrap_err().to_string().contains("without a name"));
        let endless = filled(&[record(b"A", 20, 2048, true, b"")]);
        assert!(endless.unwrap_err().to_string().contains("without end"));
        for at in (16 * 2048..16 * 2048 + 200)
            .chain(20 * 2048..20 * 2048 + 200)
            .chain(21 * 2048 + 90..21 * 2048 + 140)
        {
            let mut image = Vec::new();
            let extracted = extract(|bytes| {
                bytes[at] ^= 0xff;
                image.clone_from(bytes);
            });
            for (name, content) in extracted.unwrap_or_default() {
                let mut parts = image.windows(content.len().max(1));
                assert!(
                    content.is_empty() || parts.any(|part| part == content),
                    "byte {at}: {name} has {} bytes that are not in the image",
                    content.len()
                );
            }
        }
    }
}
