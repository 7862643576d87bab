//! The one door to the file system: the running system, or a captured tree below a folder.
//!
//! What is read can be recorded, so that a machine replays elsewhere: see [`Recording`].

mod recording;
mod window;

pub use recording::{Recording, RecordingError};
pub(crate) use window::Window;

use recording::Entry;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;

/// Links that are followed for one path; the kernel's own limit.
const LINKS: usize = 40;
/// Entries of a folder that are read at most. The largest folders here list PCI functions (13,000 seen) and CPUs.
const ENTRIES: usize = 65_536;
/// Bytes of an ordinary file of /sys that are read at most: a page there, with room for captured trees.
const ATTRIBUTE: usize = 64 * 1024;
/// First buffer for a file: an attribute of /sys fits, so it comes with one call.
const FIRST_READ: usize = 4096;
/// What a captured tree keeps of this program, beside the machine's own files.
pub(crate) const CAPTURE: &str = "/run/hcl-checker";
/// Where a captured tree says which reads failed on the machine, and with what error number.
pub(crate) const FAILURES: &str = "/run/hcl-checker/failures";
/// 100,000 failed reads; a machine has some hundred.
const FAILURES_LIMIT: usize = 16 << 20;

/// What went wrong on reading one path. The path is as seen from the root.
#[derive(Debug, Error)]
pub enum ReadError {
    /// There is no such file.
    #[error("{path}: not there")]
    Missing {
        /// The path that was asked for.
        path: String,
    },
    /// It is longer than anything sane at this place; nothing of it was used.
    #[error("{path}: longer than {limit} bytes, so it is not what it should be")]
    TooLong {
        /// The path that was asked for.
        path: String,
        /// Bytes that were allowed.
        limit: usize,
    },
    /// It is a folder with more in it than anything sane at this place; nothing of it was used.
    #[error("{path}: more than {limit} entries, so it is not what it should be")]
    TooMany {
        /// The path that was asked for.
        path: String,
        /// Entries that were allowed.
        limit: usize,
    },
    /// A folder, a device node, a pipe: none of them is read.
    #[error("{path}: not a regular file")]
    NotAFile {
        /// The path that was asked for.
        path: String,
    },
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// The path that was asked for.
        path: String,
        /// The system's answer.
        source: io::Error,
    },
}

impl ReadError {
    /// There is no such file, as opposed to one that could not be read.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }

    /// The kernel has the attribute, and the device behind it does not: EINVAL or ENXIO, by the driver's taste.
    pub fn is_refused_by_device(&self) -> bool {
        const ENXIO: i32 = 6;
        const EINVAL: i32 = 22;
        match self {
            Self::Io { source, .. } => matches!(source.raw_os_error(), Some(ENXIO | EINVAL)),
            _ => false,
        }
    }

    /// The error number to record. What is missing is missing in the captured tree too.
    fn number(&self) -> Option<i32> {
        const EFBIG: i32 = 27;
        match self {
            Self::Io { source, .. } => source.raw_os_error(),
            Self::TooLong { .. } | Self::TooMany { .. } => Some(EFBIG),
            Self::Missing { .. } | Self::NotAFile { .. } => None,
        }
    }

    fn io(path: &str, source: io::Error) -> Self {
        match source.kind() {
            // ENOTDIR: a part of the path is a file in a captured tree.
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing {
                path: path.to_owned(),
            },
            _ => Self::Io {
                path: path.to_owned(),
                source,
            },
        }
    }
}

/// Where facts are read from.
///
/// Reading is passive and bounded: no device node or pipe is opened, no file is read past a limit, and in a captured
/// tree no link leads outside of it (an absolute link starts at the tree's top, and `..` ends there). A tree that is
/// changed while it is read may defeat the last point; captured trees are not.
#[derive(Debug, Clone)]
pub struct Root {
    top: Option<PathBuf>,
    record: Option<Arc<Mutex<Recording>>>,
    /// Error numbers of reads that failed on the captured machine, by path.
    failures: Arc<BTreeMap<String, i32>>,
}

impl Root {
    /// The running system.
    pub fn system() -> Self {
        Self {
            top: None,
            record: None,
            failures: Arc::default(),
        }
    }

    /// The tree below `folder`; `/` is the running system.
    ///
    /// # Errors
    /// `folder` is no folder or cannot be reached.
    pub fn at(folder: &Path) -> io::Result<Self> {
        let top = folder.canonicalize()?;
        if !top.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        let mut root = Self::system();
        if top != Path::new("/") {
            root.top = Some(top);
            // Trees that this program did not capture have none.
            let failures = root.text(FAILURES, FAILURES_LIMIT).unwrap_or_default();
            root.failures = Arc::new(recording::parse_failures(&failures));
        }
        Ok(root)
    }

    /// The same root, which from now on records what is read. Copies of it record into the same [`Recording`].
    #[must_use]
    pub fn recorded(mut self) -> Self {
        self.record = Some(Arc::default());
        self
    }

    /// What was read so far; `None` where nothing is recorded.
    pub fn recording(&self) -> Option<Recording> {
        self.record().map(|record| record.clone())
    }

    /// Whether what is read is recorded.
    pub(crate) fn records(&self) -> bool {
        self.record.is_some()
    }

    /// Adds a file that the machine does not have to the recording, if there is one: what a program or the CPU
    /// answered.
    pub(crate) fn keep(&self, path: &str, content: &str) {
        if let Some(mut record) = self.record() {
            record.put(path.to_owned(), Entry::File(content.as_bytes().to_vec()));
        }
    }

    /// Whether this is the running system, so that the CPU may be asked as well.
    pub fn is_system(&self) -> bool {
        self.top.is_none()
    }

    /// Reads a file whole.
    ///
    /// # Errors
    /// See [`ReadError`]; a file of more than `limit` bytes is one.
    pub fn bytes(&self, path: &str, limit: usize) -> Result<Vec<u8>, ReadError> {
        let real = self.resolve(path)?;
        // The kernel gives an attribute of /sys whole where there is room for it.
        let at_once = self.is_system() && path.starts_with("/sys/");
        let result = self
            .open_file(&real, path)
            .and_then(|file| read_to_limit(file, path, limit, at_once));
        self.note(&real, || match &result {
            Ok(bytes) => Some(Entry::File(bytes.clone())),
            Err(error) => error.number().map(Entry::Failed),
        });
        result
    }

    /// Opens a regular file.
    fn open_file(&self, real: &Path, path: &str) -> Result<File, ReadError> {
        if !self.failures.is_empty()
            && let Some(number) = self.failures.get(&self.seen(real))
        {
            return Err(ReadError::io(path, io::Error::from_raw_os_error(*number)));
        }
        // On the running system these two hold no pipes and no device nodes, which must not even be opened.
        let harmless =
            self.is_system() && (path.starts_with("/sys/") || path.starts_with("/proc/"));
        if !harmless {
            let kind = fs::metadata(real).map_err(|error| ReadError::io(path, error))?;
            if !kind.is_file() {
                return Err(ReadError::NotAFile {
                    path: path.to_owned(),
                });
            }
        }
        File::open(real).map_err(|error| ReadError::io(path, error))
    }

    /// Opens a file to read parts of it: of a file of the running system nothing else is read then.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub(crate) fn window(&self, path: &str, limit: usize) -> Result<Window, ReadError> {
        if self.is_system() && self.record.is_none() {
            return Ok(Window::File(self.open_file(Path::new(path), path)?));
        }
        Ok(Window::Whole(self.bytes(path, limit)?))
    }

    /// Reads a file as text by the rule of [`clean`].
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn text(&self, path: &str, limit: usize) -> Result<String, ReadError> {
        Ok(clean(&self.bytes(path, limit)?, true))
    }

    /// Reads an attribute of /sys or /proc: one short line, by the rule of [`clean`].
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn attribute(&self, path: &str) -> Result<String, ReadError> {
        Ok(clean(&self.bytes(path, ATTRIBUTE)?, false))
    }

    /// Names in a folder, sorted; names that are not UTF-8 are passed over, the kernel makes none.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn list(&self, path: &str) -> Result<Vec<String>, ReadError> {
        self.list_to_limit(path, ENTRIES)
    }

    fn list_to_limit(&self, path: &str, limit: usize) -> Result<Vec<String>, ReadError> {
        let real = self.resolve(path)?;
        let mut names = Vec::new();
        for entry in fs::read_dir(&real).map_err(|error| ReadError::io(path, error))? {
            let entry = entry.map_err(|error| ReadError::io(path, error))?;
            if names.len() == limit {
                return Err(ReadError::TooMany {
                    path: path.to_owned(),
                    limit,
                });
            }
            names.extend(entry.file_name().into_string());
        }
        names.sort_unstable();
        if self.record.is_some() {
            self.note(&real, || Some(Entry::Folder));
            for name in &names {
                let entry = real.join(name);
                self.note(&entry, || Entry::listed(&entry));
            }
        }
        Ok(names)
    }

    /// Whether there is anything at `path`, links followed.
    pub fn exists(&self, path: &str) -> bool {
        self.resolve(path).is_ok_and(|real| {
            let metadata = fs::metadata(&real);
            self.note(&real, || metadata.as_ref().ok().map(Entry::of));
            metadata.is_ok()
        })
    }

    /// Where the link at `path` points, as it is written there. The link is not followed.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn link_target(&self, path: &str) -> Result<PathBuf, ReadError> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let real = self.resolve(parent)?.join(name);
        let target = fs::read_link(&real).map_err(|error| ReadError::io(path, error))?;
        self.note(&real, || {
            target.to_str().map(|target| Entry::Link(target.to_owned()))
        });
        Ok(target)
    }

    /// The last part of where the link at `path` points: how /sys names a bound driver or a group. The link is not
    /// followed.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn link_name(&self, path: &str) -> Result<String, ReadError> {
        let target = self.link_target(path)?;
        let name = target
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        name.ok_or_else(|| ReadError::NotAFile {
            path: path.to_owned(),
        })
    }

    /// Where `path` leads in the end, as seen from the root. The parts of such a path in /sys tell through what a
    /// device is connected.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn real_path(&self, path: &str) -> Result<String, ReadError> {
        if self.is_system() && self.record.is_none() {
            let real = fs::canonicalize(path).map_err(|error| ReadError::io(path, error))?;
            return Ok(real.to_string_lossy().into_owned());
        }
        let real = self.resolve(path)?;
        let metadata = fs::symlink_metadata(&real).map_err(|error| ReadError::io(path, error))?;
        self.note(&real, || Some(Entry::of(&metadata)));
        Ok(self.seen(&real))
    }

    /// A real path as seen from the root.
    fn seen(&self, real: &Path) -> String {
        let below = match &self.top {
            Some(top) => real.strip_prefix(top).unwrap_or(real),
            None => real,
        };
        Path::new("/").join(below).to_string_lossy().into_owned()
    }

    /// The recording, if there is one. A reader that panicked left nothing half done in it.
    fn record(&self) -> Option<MutexGuard<'_, Recording>> {
        let record = self.record.as_ref()?;
        Some(record.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, real: &Path, entry: impl FnOnce() -> Option<Entry>) {
        if let Some(mut record) = self.record()
            && let Some(entry) = entry()
        {
            record.put(self.seen(real), entry);
        }
    }

    /// The path to hand to the system. In a captured tree every link on the way is followed here, inside of the tree;
    /// so it is where links are recorded.
    fn resolve(&self, path: &str) -> Result<PathBuf, ReadError> {
        let top = match &self.top {
            Some(top) => top,
            None if self.record.is_some() => Path::new("/"),
            None => return Ok(PathBuf::from(path)),
        };
        let mut real = top.to_path_buf();
        let mut depth = 0;
        let mut links = 0;
        // Parts still to walk, the next one last.
        let mut left: Vec<String> = parts(path).collect();
        while let Some(part) = left.pop() {
            if part == ".." {
                if depth > 0 {
                    real.pop();
                    depth -= 1;
                }
                continue;
            }
            real.push(&part);
            depth += 1;
            let Ok(target) = fs::read_link(&real) else {
                continue;
            };
            links += 1;
            if links > LINKS {
                let source = io::Error::other("too many links, they may lead in a circle");
                return Err(ReadError::Io {
                    path: path.to_owned(),
                    source,
                });
            }
            let Some(target) = target.to_str() else {
                return Err(ReadError::Missing {
                    path: path.to_owned(),
                });
            };
            self.note(&real, || Some(Entry::Link(target.to_owned())));
            if target.starts_with('/') {
                real = top.to_path_buf();
                depth = 0;
            } else {
                real.pop();
                depth -= 1;
            }
            left.extend(parts(target));
        }
        Ok(real)
    }
}

/// Reads a file that must not be longer than `limit`. One that comes `at_once` is at its end where it has not filled the buffer.
fn read_to_limit(
    file: File,
    path: &str,
    limit: usize,
    at_once: bool,
) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::with_capacity(FIRST_READ);
    let mut file = file.take(limit as u64 + 1);
    let read = if at_once {
        first_read(&mut file, &mut bytes)
    } else {
        Ok(false)
    };
    let read = read.and_then(|is_all| {
        if is_all {
            return Ok(());
        }
        file.read_to_end(&mut bytes).map(drop)
    });
    read.map_err(|error| ReadError::io(path, error))?;
    if bytes.len() > limit {
        return Err(ReadError::TooLong {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(bytes)
}

/// Reads once, and says whether that was all.
fn first_read(file: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<bool> {
    bytes.resize(FIRST_READ, 0);
    let read = loop {
        match file.read(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    bytes.truncate(read);
    Ok(read < FIRST_READ)
}

/// Parts of a path from the last to the first, without the empty ones and `.`.
fn parts(path: &str) -> impl Iterator<Item = String> {
    path.rsplit('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .map(str::to_owned)
}

/// Whether a character does something to the text around it, or to a terminal, in place of being seen: control characters,
/// those that set the direction of writing (Unicode's Bidi_Control), and those of no width. A name in facts could look like
/// another one, or turn around what stands behind it.
pub fn steers(c: char) -> bool {
    let unseen = matches!(
        c,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    unseen || c.is_control()
}

/// Text of the kernel or of a device, made safe to show and to compare: what is not UTF-8 and characters that [`steers`]
/// become `\xNN`, byte by byte, so that texts that differ only there stay different. White space and NUL at both ends go. `lines` keeps line
/// ends and tabs.
pub fn clean(bytes: &[u8], lines: bool) -> String {
    // Nearly all text is of this kind, and /proc/cpuinfo of a big server is long.
    let plain = |&byte: &u8| (0x20..0x7f).contains(&byte) || (byte == b'\n' && lines);
    let trimmed = bytes.trim_ascii();
    if trimmed.iter().all(plain)
        && let Ok(text) = str::from_utf8(trimmed)
    {
        return text.to_owned();
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' | '\t' if lines => text.push(c),
                // Kept for the trimming below; inside of a text it is shown.
                '\0' | '\n' | '\r' | '\t' => text.push(c),
                c if steers(c) => text.extend(c.to_string().bytes().map(escape)),
                c => text.push(c),
            }
        }
        text.extend(chunk.invalid().iter().copied().map(escape));
    }
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    let trimmed = trimmed.replace('\0', "\\x00").replace('\r', "\\x0d");
    if lines {
        trimmed
    } else {
        trimmed.replace('\n', "\\x0a").replace('\t', " ")
    }
}

fn escape(byte: u8) -> String {
    format!("\\x{byte:02x}")
}

#[cfg(test)]
mod tests;
