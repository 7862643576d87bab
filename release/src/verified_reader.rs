//! Reading a target while checking it.

use crate::artifact_file::{OpenFailure, open_regular};
use crate::{ArtifactInfo, Error};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Bytes read at once where this crate reads a whole target.
pub(crate) const CHUNK: usize = 1024 * 1024;

/// A stream of one target that checks size and SHA-256 on the way.
///
/// The bytes are handed out before the hash is known: **what was read is only good once `read` has returned 0.** A wrong
/// size is found when the stream is opened, a wrong hash at the end of the stream at the latest, in place of the 0. The
/// error is an [`io::Error`] of kind `InvalidData` around an [`Error`], and comes again on every later `read`.
#[derive(Debug)]
pub struct VerifiedReader {
    name: String,
    path: PathBuf,
    expected: ArtifactInfo,
    file: File,
    hasher: Sha256,
    read: u64,
    verdict: Option<Result<(), String>>,
}

impl VerifiedReader {
    /// Opens the file and compares its size.
    pub(crate) fn open(
        name: &str,
        path: &Path,
        expected: &ArtifactInfo,
    ) -> Result<VerifiedReader, Error> {
        let name = name.to_owned();
        let path = path.to_owned();
        let (file, size) = match open_regular(&path) {
            Ok(opened) => opened,
            Err(OpenFailure::Missing) => return Err(Error::TargetMissing { name, path }),
            Err(OpenFailure::NotRegular(found)) => {
                return Err(Error::TargetNotRegular { name, path, found });
            }
            Err(OpenFailure::Io(source)) => {
                return Err(Error::Io {
                    action: "read",
                    path,
                    source,
                });
            }
        };
        if size != expected.size {
            return Err(Error::TargetSize {
                name,
                path,
                expected: expected.size,
                found: size,
            });
        }
        Ok(VerifiedReader {
            name,
            path,
            expected: expected.clone(),
            file,
            hasher: Sha256::new(),
            read: 0,
            verdict: None,
        })
    }

    /// Bytes of the whole target.
    pub fn size(&self) -> u64 {
        self.expected.size
    }

    /// Reads to the end and throws the bytes away; `on_bytes` gets the length of every chunk.
    pub(crate) fn drain(
        mut self,
        buffer: &mut [u8],
        mut on_bytes: impl FnMut(u64),
    ) -> Result<(), Error> {
        loop {
            match self.read(buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => on_bytes(n as u64),
                Err(source) => return Err(self.unwrap_error(source)),
            }
        }
    }

    /// Reads all of it into memory; for targets whose size was bounded before.
    pub(crate) fn into_bytes(mut self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        match self.read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(source) => Err(self.unwrap_error(source)),
        }
    }

    fn unwrap_error(self, source: io::Error) -> Error {
        match source.downcast::<Error>() {
            Ok(error) => error,
            Err(source) => Error::Io {
                action: "read",
                path: self.path,
                source,
            },
        }
    }

    /// Of the same kind, so that a read that was interrupted is known for one.
    fn unreadable(&self, source: io::Error) -> io::Error {
        let kind = source.kind();
        let error = Error::TargetUnreadable {
            name: self.name.clone(),
            path: self.path.clone(),
            at: self.read,
            source,
        };
        io::Error::new(kind, error)
    }

    fn failure(&self, found: &str) -> Error {
        let (name, path) = (self.name.clone(), self.path.clone());
        if self.read == self.expected.size {
            Error::TargetHash {
                name,
                path,
                expected: self.expected.sha256.clone(),
                found: found.to_owned(),
            }
        } else {
            Error::TargetSize {
                name,
                path,
                expected: self.expected.size,
                found: self.read,
            }
        }
    }

    /// What the end of the stream says.
    fn finish(&mut self) -> io::Result<usize> {
        let verdict = self.verdict.get_or_insert_with(|| {
            let found = hex::encode(std::mem::take(&mut self.hasher).finalize());
            if self.read == self.expected.size && found == self.expected.sha256 {
                Ok(())
            } else {
                Err(found)
            }
        });
        match verdict {
            Ok(()) => Ok(0),
            Err(found) => {
                let found = found.clone();
                Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    self.failure(&found),
                ))
            }
        }
    }
}

impl Read for VerifiedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.verdict.is_some() {
            return self.finish();
        }
        let n = self
            .file
            .read(buffer)
            .map_err(|source| self.unreadable(source))?;
        if n == 0 {
            return self.finish();
        }
        self.hasher.update(&buffer[..n]);
        self.read += n as u64;
        // The file grew after it was opened: stop here, not at its end, which may never come.
        if self.read > self.expected.size {
            return self.finish();
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;

    #[test]
    fn what_cannot_be_read_is_named_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.root.img");
        std::fs::write(&path, [7; 10]).unwrap();
        let reader = || VerifiedReader {
            name: "root.img".into(),
            path: path.clone(),
            expected: ArtifactInfo {
                size: 10,
                sha256: "00".repeat(32),
            },
            // Reads of it fail, as those of a medium that is gone.
            file: OpenOptions::new().write(true).open(&path).unwrap(),
            hasher: Sha256::new(),
            read: 4,
            verdict: None,
        };
        let error = reader().read(&mut [0; 4]).unwrap_err();
        let said = error.to_string();
        for part in [
            "cannot read root.img at byte 4",
            "x.root.img",
            "Bad file descriptor",
            "put it in again",
        ] {
            assert!(said.contains(part), "{said}");
        }
        let error = reader().drain(&mut [0; 4], |_| {}).unwrap_err();
        assert!(
            matches!(error, Error::TargetUnreadable { at: 4, .. }),
            "{error}"
        );
    }
}
