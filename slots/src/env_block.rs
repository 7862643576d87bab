//! The GRUB environment block: 1024 bytes in which the boot loader and the host tell each other what to boot.
//!
//! Format (GRUB manual, "Environment block", and `grub-core/lib/envblk.c`): a fixed first line, then `name=value`
//! lines in which `\` and the line end are escaped by `\`, then `#` up to the end. GRUB rewrites it in place, sector
//! by sector, without touching the file system.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes of a block. GRUB takes other sizes; `grub-editenv` and Bedplate write only this one.
pub const SIZE: usize = 1024;
/// What GRUB has to change must lie within this many bytes: a disk writes one sector whole or not at all, so that a
/// power cut never mixes old and new variables.
pub const ATOMIC: usize = 512;
/// The first line.
const HEADER: &[u8] = b"# GRUB Environment Block\n";

/// Why bytes are no environment block, or variables do not fit one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    /// Another size.
    #[error("an environment block has {SIZE} bytes, this has {found}")]
    Size {
        /// Bytes.
        found: usize,
    },
    /// The first line is missing.
    #[error("this is no environment block: its first line is not `# GRUB Environment Block`")]
    Header,
    /// A line without `=`, without an end, or not UTF-8.
    #[error("the environment block is damaged at byte {at}")]
    Damaged {
        /// Offset of the line.
        at: usize,
    },
    /// A name that GRUB could not use.
    #[error(
        "{name:?} is no name for a GRUB variable: letters, digits and _ only, not beginning with a digit"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// A value that GRUB would cut short.
    #[error("the value of the GRUB variable {name} has a NUL byte")]
    Value {
        /// The name.
        name: String,
    },
    /// Too much for the block.
    #[error("the variables take {need} bytes and the environment block has room for {room}")]
    Full {
        /// Bytes needed.
        need: usize,
        /// Bytes there are.
        room: usize,
    },
}

/// Why a block could not be written to its file.
#[derive(Debug, thiserror::Error)]
pub enum EnvFileError {
    /// The file failed.
    #[error("cannot {action} {path}")]
    Io {
        /// `open`, `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds no block, or the block is too large.
    #[error("{path}: the environment block cannot be used")]
    Block {
        /// The file.
        path: PathBuf,
        /// Why.
        source: EnvError,
    },
    /// The file reads back differently.
    #[error("{path} reads back differently from what was written; the disk cannot be trusted")]
    ReadBack {
        /// The file.
        path: PathBuf,
    },
}

/// Variables in their order. Values are any text without NUL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnvBlock {
    variables: Vec<(String, String)>,
}

impl EnvBlock {
    /// Without variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// Sets a variable, in its place or at the end. Nothing is written to a disk.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), EnvError> {
        let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
        let good =
            name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit());
        if !good {
            return Err(EnvError::Name {
                name: name.to_owned(),
            });
        }
        if value.contains('\0') {
            return Err(EnvError::Value {
                name: name.to_owned(),
            });
        }
        match self.variables.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.variables.push((name.to_owned(), value.to_owned())),
        }
        Ok(())
    }

    /// The variables in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// Reads a block. As GRUB does: of several lines with one name the last counts; lines that start with `#` are
    /// comments. Other than GRUB, which silently stops there, damage is an error.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvError> {
        if bytes.len() != SIZE {
            return Err(EnvError::Size { found: bytes.len() });
        }
        let mut rest = bytes.strip_prefix(HEADER).ok_or(EnvError::Header)?;
        let mut block = EnvBlock::new();
        while let Some(&first) = rest.first() {
            let damaged = EnvError::Damaged {
                at: bytes.len() - rest.len(),
            };
            let line = take_line(&mut rest);
            if first == b'#' {
                continue;
            }
            let line = line
                .and_then(|l| String::from_utf8(l).ok())
                .ok_or_else(|| damaged.clone())?;
            let (name, value) = line.split_once('=').ok_or_else(|| damaged.clone())?;
            block.set(name, value).map_err(|_| damaged)?;
        }
        Ok(block)
    }

    /// The block with its variables, [`SIZE`] bytes.
    pub fn to_bytes(&self) -> Result<[u8; SIZE], EnvError> {
        self.to_bytes_within(SIZE)
    }

    /// The block, with all variables within the first `room` bytes.
    pub fn to_bytes_within(&self, room: usize) -> Result<[u8; SIZE], EnvError> {
        let mut text = HEADER.to_vec();
        for (name, value) in self.iter() {
            text.extend(name.bytes());
            text.push(b'=');
            for byte in value.bytes() {
                if matches!(byte, b'\\' | b'\n') {
                    text.push(b'\\');
                }
                text.push(byte);
            }
            text.push(b'\n');
        }
        let room = room.min(SIZE);
        if text.len() > room {
            return Err(EnvError::Full {
                need: text.len(),
                room,
            });
        }
        let mut bytes = [b'#'; SIZE];
        bytes[..text.len()].copy_from_slice(&text);
        Ok(bytes)
    }

    /// Reads the block in a file.
    pub fn read(path: &Path) -> Result<Self, EnvFileError> {
        let failed = |source| EnvFileError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        };
        let file = OpenOptions::new().read(true).open(path).map_err(failed)?;
        // One byte more than a block has, so that a longer file is seen and a huge one not read.
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(&file, SIZE as u64 + 1), &mut bytes)
            .map_err(failed)?;
        Self::parse(&bytes).map_err(|source| EnvFileError::Block {
            path: path.to_owned(),
            source,
        })
    }

    /// Writes the block over the one in an existing file, in place, and makes it durable.
    ///
    /// Never by truncating (as `grub-editenv` does: a power cut then leaves an empty file) and never by a new file that
    /// is renamed (FAT has no atomic rename, and its directory and allocation table would be at risk each time). The
    /// 1024 bytes are one write; what matters in them is within the first [`ATOMIC`] bytes.
    pub fn write_in_place(&self, path: &Path) -> Result<(), EnvFileError> {
        let failed = |action| {
            move |source| EnvFileError::Io {
                action,
                path: path.to_owned(),
                source,
            }
        };
        let block = |source| EnvFileError::Block {
            path: path.to_owned(),
            source,
        };
        let bytes = self.to_bytes_within(ATOMIC).map_err(block)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(failed("open"))?;
        let found = file.metadata().map_err(failed("open"))?.len();
        if found != SIZE as u64 {
            // Writing here would change the size of the file, and with it the directory.
            return Err(block(EnvError::Size {
                found: usize::try_from(found).unwrap_or(usize::MAX),
            }));
        }
        file.write_all_at(&bytes, 0).map_err(failed("write"))?;
        file.sync_data().map_err(failed("write"))?;
        let mut back = [0; SIZE];
        file.read_exact_at(&mut back, 0).map_err(failed("read"))?;
        match back == bytes {
            true => Ok(()),
            false => Err(EnvFileError::ReadBack {
                path: path.to_owned(),
            }),
        }
    }
}

/// Takes a line off `rest`, without its end and with its escapes resolved. None, and nothing left, when it has no end.
fn take_line(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let mut bytes = rest.iter().enumerate();
    while let Some((i, &byte)) = bytes.next() {
        match byte {
            b'\n' => {
                *rest = &rest[i + 1..];
                return Some(line);
            }
            b'\\' => line.extend(bytes.next().map(|(_, &escaped)| escaped)),
            _ => line.push(byte),
        }
    }
    *rest = &[];
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn block(variables: &[(&str, &str)]) -> EnvBlock {
        let mut block = EnvBlock::new();
        variables.iter().for_each(|(n, v)| block.set(n, v).unwrap());
        block
    }

    fn raw(text: &str) -> Vec<u8> {
        let mut bytes = [HEADER, text.as_bytes()].concat();
        bytes.resize(SIZE, b'#');
        bytes
    }

    #[test]
    fn the_bytes_are_what_grub_expects() {
        let bytes = block(&[("good", "ab12"), ("note", "a\\b\nc"), ("try", "")])
            .to_bytes()
            .unwrap();
        assert_eq!(bytes.to_vec(), raw("good=ab12\nnote=a\\\\b\\\nc\ntry=\n"));
        assert_eq!(EnvBlock::new().to_bytes().unwrap().to_vec(), raw(""));
    }

    #[test]
    fn comments_repeated_names_and_values_with_equals_signs() {
        let parsed = EnvBlock::parse(&raw("# note\na=1\nb=x=y\na=2\n")).unwrap();
        assert_eq!(parsed, block(&[("a", "2"), ("b", "x=y")]));
    }

    #[test]
    fn damage_is_an_error() {
        assert_eq!(EnvBlock::parse(&[]), Err(EnvError::Size { found: 0 }));
        assert_eq!(EnvBlock::parse(&[0; SIZE]), Err(EnvError::Header));
        for text in ["good=ab12", "good\n", "=x\n", "a b=c\n", "a=\0\n", "\n"] {
            let result = EnvBlock::parse(&raw(text));
            assert_eq!(
                result,
                Err(EnvError::Damaged { at: HEADER.len() }),
                "{text:?}"
            );
        }
        let mut bytes = raw("a=x\n");
        bytes[HEADER.len() + 2] = 0xff;
        assert!(EnvBlock::parse(&bytes).is_err());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut block = block(&[("a", &"x".repeat(SIZE - HEADER.len() - 3))]);
        assert!(block.to_bytes().is_ok());
        assert!(matches!(
            block.to_bytes_within(ATOMIC),
            Err(EnvError::Full {
                need: SIZE,
                room: ATOMIC
            })
        ));
        block
            .set("a", &"x".repeat(SIZE - HEADER.len() - 2))
            .unwrap();
        assert!(block.to_bytes().is_err());
        assert!(
            block.set("a-b", "").is_err()
                && block.set("1a", "").is_err()
                && block.set("", "").is_err()
        );
    }

    #[test]
    fn files_are_changed_in_place_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.env");
        let one = block(&[("good", "1")]);
        assert!(matches!(
            one.write_in_place(&path),
            Err(EnvFileError::Io { action: "open", .. })
        ));
        fs::write(&path, [0; SIZE - 1]).unwrap();
        assert!(matches!(
            one.write_in_place(&path),
            Err(EnvFileError::Block { .. })
        ));
        assert_eq!(fs::read(&path).unwrap(), [0; SIZE - 1]);

        fs::write(&path, [0; SIZE]).unwrap();
        let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
        let before = inode(&path);
        one.write_in_place(&path).unwrap();
        assert_eq!(
            (EnvBlock::read(&path).unwrap(), inode(&path)),
            (one, before)
        );
        fs::write(&path, [b'#'; SIZE + 1]).unwrap();
        assert!(EnvBlock::read(&path).is_err());
    }

    proptest! {
        #[test]
        fn every_block_parses_back(variables in prop::collection::btree_map("[a-z_][a-z0-9_]{0,8}", "[^\0]{0,20}", 0..8)) {
            let mut block = EnvBlock::new();
            variables.iter().for_each(|(n, v)| block.set(n, v).unwrap());
            prop_assert_eq!(EnvBlock::parse(&block.to_bytes().unwrap()).unwrap(), block);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), SIZE - HEADER.len())) {
            let _ = EnvBlock::parse(&[HEADER, &bytes].concat());
        }

        #[test]
        fn hostile_lines_never_panic(text in "[a=\\\\\n#]{0,60}") {
            if let Ok(block) = EnvBlock::parse(&raw(&text)) {
                prop_assert_eq!(EnvBlock::parse(&block.to_bytes().unwrap()).unwrap(), block);
            }
        }
    }
}
