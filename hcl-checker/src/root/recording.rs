//! What was read from a machine, as a tree that replays elsewhere.

use super::{CAPTURE, FAILURES};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// ENODATA: a file that was seen in a folder and not read must not replay as an empty one.
const NOT_CAPTURED: i32 = 61;

/// One path of a recording. What tells more comes later in this order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Entry {
    /// Something that is no folder and no link, and was not read.
    Seen,
    /// A folder.
    Folder,
    /// It could not be read, with this error number.
    Failed(i32),
    /// A link and its target.
    Link(String),
    /// A file and its content.
    File(Vec<u8>),
}

impl Entry {
    /// What exists, links followed.
    pub(super) fn of(metadata: &Metadata) -> Self {
        if metadata.is_dir() {
            Self::Folder
        } else {
            Self::Seen
        }
    }

    /// What was found in a listed folder.
    pub(super) fn listed(path: &Path) -> Option<Self> {
        let metadata = fs::symlink_metadata(path).ok()?;
        if metadata.is_symlink() {
            let target = fs::read_link(path).ok()?;
            return Some(Self::Link(target.to_str()?.to_owned()));
        }
        Some(Self::of(&metadata))
    }
}

/// Everything that was read through a [`super::Root`]: exactly the files, links and folders that reading touched, and
/// which reads failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recording {
    entries: BTreeMap<String, Entry>,
}

/// Why a recording could not be written.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// There is something already.
    #[error("{path}: exists already; name a new folder, or one that is empty")]
    Exists {
        /// Where it should have gone.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// What was being written.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl RecordingError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

impl Recording {
    /// Adds what was seen at a path, unless more is known already.
    pub(super) fn put(&mut self, path: String, entry: Entry) {
        match self.entries.get_mut(&path) {
            Some(known) if *known < entry => *known = entry,
            Some(_) => {}
            None => {
                self.entries.insert(path, entry);
            }
        }
    }

    /// Number of files whose content is recorded.
    pub fn files(&self) -> usize {
        let is_file = |entry: &&Entry| matches!(entry, Entry::File(_));
        self.entries.values().filter(is_file).count()
    }

    /// What goes into the tree, by path without the leading slash, folders before what is in them.
    fn members(&self) -> BTreeMap<String, Entry> {
        let mut failures = String::new();
        let mut members = BTreeMap::new();
        // It is there even where nothing was asked: the sign that this tree was captured.
        let folder = CAPTURE.trim_start_matches('/').to_owned();
        members.insert(folder, Entry::Folder);
        for (path, entry) in &self.entries {
            let inside = path.trim_start_matches('/').to_owned();
            if inside.is_empty() {
                continue;
            }
            let number = match entry {
                Entry::Failed(number) => Some(*number),
                Entry::Seen => Some(NOT_CAPTURED),
                Entry::Folder | Entry::Link(_) | Entry::File(_) => None,
            };
            match number {
                Some(number) if !path.contains('\n') => {
                    // Writing to a String cannot fail.
                    let _ = writeln!(failures, "{number} {path}");
                    members.insert(inside, Entry::File(Vec::new()));
                }
                Some(_) => {}
                None => {
                    members.insert(inside, entry.clone());
                }
            }
        }
        let inside = FAILURES.trim_start_matches('/').to_owned();
        members.insert(inside, Entry::File(failures.into_bytes()));
        members
    }

    /// Writes the tree into a folder that is new or empty.
    ///
    /// # Errors
    /// See [`RecordingError`].
    pub fn write_folder(&self, folder: &Path) -> Result<(), RecordingError> {
        fs::create_dir_all(folder).map_err(RecordingError::io(folder))?;
        let mut inside = fs::read_dir(folder).map_err(RecordingError::io(folder))?;
        if inside.next().is_some() {
            return Err(RecordingError::Exists {
                path: folder.to_owned(),
            });
        }
        for (name, entry) in self.members() {
            let path = folder.join(&name);
            let parent = path.parent().unwrap_or(folder);
            fs::create_dir_all(parent).map_err(RecordingError::io(parent))?;
            let written = match &entry {
                Entry::Folder => fs::create_dir_all(&path),
                Entry::Link(target) => symlink(target, &path),
                Entry::File(content) => fs::write(&path, content),
                Entry::Seen | Entry::Failed(_) => Ok(()),
            };
            written.map_err(RecordingError::io(&path))?;
        }
        Ok(())
    }

    /// Writes the tree as a tar archive into a new file.
    ///
    /// # Errors
    /// See [`RecordingError`].
    pub fn write_tar(&self, path: &Path) -> Result<(), RecordingError> {
        let file = File::create_new(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => RecordingError::Exists {
                path: path.to_owned(),
            },
            _ => RecordingError::io(path)(error),
        })?;
        let result = self.tar_into(io::BufWriter::new(file));
        result.map_err(RecordingError::io(path))
    }

    fn tar_into(&self, out: impl Write) -> io::Result<()> {
        let mut archive = tar::Builder::new(out);
        for (name, entry) in self.members() {
            let mut header = tar::Header::new_gnu();
            header.set_mtime(0);
            header.set_mode(0o644);
            header.set_size(0);
            match entry {
                Entry::Folder => {
                    header.set_entry_type(tar::EntryType::Directory);
                    header.set_mode(0o755);
                    archive.append_data(&mut header, format!("{name}/"), io::empty())?;
                }
                Entry::Link(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    archive.append_link(&mut header, &name, target)?;
                }
                Entry::File(content) => {
                    header.set_size(content.len() as u64);
                    archive.append_data(&mut header, &name, content.as_slice())?;
                }
                Entry::Seen | Entry::Failed(_) => {}
            }
        }
        archive.into_inner()?.flush()
    }
}

/// Lines of `13 /sys/path`; what is something else is passed over.
pub(super) fn parse_failures(text: &str) -> BTreeMap<String, i32> {
    text.lines()
        .filter_map(|line| {
            let (number, path) = line.split_once(' ')?;
            let number = number
                .parse()
                .ok()
                .filter(|number| (1..4096).contains(number))?;
            Some((path.to_owned(), number))
        })
        .collect()
}
