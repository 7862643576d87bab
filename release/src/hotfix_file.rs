//! A hotfix as one file: the repository of its release in a plain tar archive, which `tar tvf` lists.
//!
//! The signed metadata comes first, then the manifest, then what they list. So that whoever unpacks it knows the size and
//! hash of everything before it comes, and writes nothing to the disk that nobody signed, but for the metadata itself, which
//! is bounded.

use crate::{
    Error, MANIFEST, MAX_METADATA, METADATA_DIR, OpenRelease, Policy, Repository, Source,
    TARGETS_DIR,
};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use tar::{Archive, Entry, Header};

/// Most metadata files: four, and one more for each change of keys.
const MAX_METADATA_FILES: usize = 64;
/// Bytes copied at once.
const CHUNK: usize = 1024 * 1024;

/// Writes the repository in `dir` to `out` as one file. The same repository makes the same bytes.
///
/// # Errors
/// When something cannot be read or written, or a name does not fit a hotfix.
pub fn pack_hotfix(dir: &Path, out: &mut dyn Write) -> Result<(), Error> {
    let mut archive = tar::Builder::new(out);
    for folder in [METADATA_DIR, TARGETS_DIR] {
        let path = dir.join(folder);
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).map_err(Error::io("read", &path))? {
            let entry = entry.map_err(Error::io("read", &path))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        // The manifest first, then by name.
        names.sort_by_key(|name| (!is_manifest(name), name.clone()));
        for name in names {
            let path = path.join(&name);
            let inside = format!("{folder}/{name}");
            if Place::of(inside.as_bytes()).is_none() {
                return Err(Error::ExtraFile { path });
            }
            let mut file = File::open(&path).map_err(Error::io("read", &path))?;
            let size = file.metadata().map_err(Error::io("read", &path))?.len();
            let mut header = Header::new_ustar();
            header.set_size(size);
            header.set_mode(0o644);
            header.set_mtime(0);
            archive
                .append_data(&mut header, &inside, &mut file)
                .map_err(Error::io("pack", &path))?;
        }
    }
    archive
        .into_inner()
        .and_then(|out| out.flush())
        .map_err(Error::io("write", "the hotfix file"))
}

/// Unpacks a hotfix file into the new or empty folder `dir`, verifying everything as it comes, and returns the release.
///
/// Not everything that the release lists has to be in the file: a hotfix may come without the full image. What is in it is
/// as it was signed. After an error, what is in `dir` is worth nothing.
///
/// # Errors
/// When the file is no hotfix, is damaged, or is not signed by the keys that this system trusts; when it is older than
/// what the policy's datastore has seen; when the disk is full.
pub fn unpack_hotfix(
    source: &mut dyn Read,
    dir: &Path,
    trusted_root_json: &[u8],
    policy: &Policy,
) -> Result<OpenRelease, Error> {
    for folder in [METADATA_DIR, TARGETS_DIR] {
        let path = dir.join(folder);
        fs::create_dir_all(&path).map_err(Error::io("create", path))?;
    }
    let open = || {
        Repository::open(
            trusted_root_json,
            &Source::Directory(dir.to_owned()),
            policy,
        )
    };
    let mut archive = Archive::new(source);
    let entries = archive.entries().map_err(not_readable)?;
    let mut metadata_files = 0;
    let mut manifest = false;
    let mut release: Option<OpenRelease> = None;
    // Raw: extensions for long names and the like are not interpreted but refused, because they have no place here.
    for entry in entries.raw(true) {
        let mut entry = entry.map_err(not_readable)?;
        let name = entry.path_bytes().into_owned();
        let place = Place::of(&name).filter(|_| entry.header().entry_type().is_file());
        let Some(place) = place else {
            return Err(Error::HotfixFile {
                problem: format!(
                    "it holds {:?}, which has no place in it",
                    String::from_utf8_lossy(&name)
                ),
            });
        };
        let out_of_order = || Error::HotfixFile {
            problem: format!("{} comes at the wrong place in it", place.path.display()),
        };
        let path = dir.join(&place.path);
        if !place.target {
            metadata_files += 1;
            if manifest || metadata_files > MAX_METADATA_FILES {
                return Err(out_of_order());
            }
            write_small(&mut entry, &path)?;
            continue;
        }
        if is_manifest(&place.name) {
            if manifest {
                return Err(out_of_order());
            }
            manifest = true;
            write_small(&mut entry, &path)?;
            release = Some(open()?);
            continue;
        }
        let release = release.as_ref().ok_or_else(out_of_order)?;
        let Some((target, info)) = release.listed(&place.name) else {
            return Err(Error::ExtraFile { path });
        };
        if entry.size() != info.size {
            return Err(Error::TargetSize {
                name: target,
                path,
                expected: info.size,
                found: entry.size(),
            });
        }
        let found = write_target(&mut entry, &path, info.size)?;
        if found != info.sha256 {
            return Err(Error::TargetHash {
                name: target,
                path,
                expected: info.sha256,
                found,
            });
        }
    }
    let release = release.ok_or_else(|| Error::HotfixFile {
        problem: format!("it has no {MANIFEST}: it is cut off, or something else"),
    })?;
    release.check_extra_files()?;
    Ok(release)
}

fn not_readable(source: io::Error) -> Error {
    Error::HotfixFile {
        problem: format!("it cannot be read as an archive ({source})"),
    }
}

/// Where something lies in the file.
struct Place {
    path: PathBuf,
    name: String,
    target: bool,
}

impl Place {
    /// `metadata/<name>` or `targets/<sha256>.<name>` with plain names; nothing else has a place.
    fn of(path: &[u8]) -> Option<Place> {
        let text = std::str::from_utf8(path).ok()?;
        let (folder, name) = text.split_once('/')?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) {
            return None;
        }
        let target = match folder {
            METADATA_DIR => false,
            TARGETS_DIR => true,
            _ => return None,
        };
        let hashed = name
            .split_once('.')
            .is_some_and(|(hash, _)| hash.len() == 64);
        (hashed == target).then(|| Place {
            path: Path::new(folder).join(name),
            name: name.to_owned(),
            target,
        })
    }
}

fn is_manifest(name: &str) -> bool {
    name.split_once('.')
        .is_some_and(|(_, name)| name == MANIFEST)
}

fn create(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(Error::io("create", path))
}

/// A file that is not verified yet, and so must be small.
fn write_small<R: Read>(entry: &mut Entry<'_, R>, path: &Path) -> Result<(), Error> {
    if entry.size() > MAX_METADATA {
        return Err(Error::HotfixFile {
            problem: format!(
                "{} has {} bytes in it, and {MAX_METADATA} is the most",
                path.file_name().unwrap_or_default().display(),
                entry.size()
            ),
        });
    }
    let size = entry.size();
    write_target(entry, path, size).map(drop)
}

/// Writes exactly `size` bytes, makes them durable, and returns their SHA-256.
fn write_target(entry: &mut dyn Read, path: &Path, size: u64) -> Result<String, Error> {
    let mut file = create(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut left = size;
    while left > 0 {
        let want = left.min(CHUNK as u64) as usize;
        let n = match entry.read(&mut buffer[..want]) {
            Ok(0) => {
                return Err(Error::HotfixFile {
                    problem: "it is cut off".to_owned(),
                });
            }
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(not_readable(e)),
        };
        hasher.update(&buffer[..n]);
        file.write_all(&buffer[..n])
            .map_err(Error::io("write", path))?;
        left -= n as u64;
    }
    file.sync_all().map_err(Error::io("write", path))?;
    Ok(hex::encode(hasher.finalize()))
}
