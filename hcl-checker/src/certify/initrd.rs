//! The initrd of a test guest: this program, and the libraries that it is linked with, if any.

use cpio::newc::{Builder, ModeFileType, trailer};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The loader's path is part of every dynamic x86-64 program (System V ABI, AMD64 supplement, 5.2.1).
const LOADER: &str = "lib64/ld-linux-x86-64.so.2";

/// Packs the initrd.
///
/// # Errors
/// The program or a library of it cannot be read.
pub(super) fn build() -> io::Result<Vec<u8>> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let mut files = BTreeMap::new();
    files.insert("init".to_owned(), fs::read("/proc/self/exe")?);
    for library in libraries(&maps) {
        let content = fs::read(&library)?;
        let path = library.to_string_lossy().trim_start_matches('/').to_owned();
        if path.ends_with("/ld-linux-x86-64.so.2") {
            files.insert(LOADER.to_owned(), content.clone());
        }
        files.insert(path, content);
    }
    pack(&files)
}

/// Libraries in a table of mappings: a statically linked program has none. The last of six columns is the path.
fn libraries(maps: &str) -> BTreeSet<PathBuf> {
    let paths = maps.lines().filter_map(|line| line.splitn(6, ' ').nth(5));
    paths
        .map(str::trim)
        .filter(|path| path.starts_with('/') && path.contains(".so"))
        .map(PathBuf::from)
        .collect()
}

/// Folders first, then the files; all executable.
fn pack(files: &BTreeMap<String, Vec<u8>>) -> io::Result<Vec<u8>> {
    let above = |path: &String| -> Vec<PathBuf> {
        let above = Path::new(path).ancestors().skip(1);
        above
            .map(Path::to_owned)
            .filter(|folder| folder != Path::new(""))
            .collect()
    };
    let folders: BTreeSet<PathBuf> = files.keys().flat_map(above).collect();
    let mut archive = Vec::new();
    let node = |name: &str, number: u32, kind| {
        Builder::new(name)
            .ino(number)
            .mode(0o755)
            .set_mode_file_type(kind)
            .nlink(1)
    };
    let mut number = 0;
    for folder in folders {
        number += 1;
        let name = folder.to_string_lossy();
        node(&name, number, ModeFileType::Directory)
            .write(&mut archive, 0)
            .finish()?;
    }
    for (name, content) in files {
        number += 1;
        let length = u32::try_from(content.len()).map_err(io::Error::other)?;
        let mut writer = node(name, number, ModeFileType::Regular).write(&mut archive, length);
        io::Write::write_all(&mut writer, content)?;
        writer.finish()?;
    }
    trailer(&mut archive)?;
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_in_the_mappings() {
        let maps = "55d0-55d1 r--p 00000000 fe:01 12   /usr/bin/hcl-checker\n\
                    7f00-7f01 r-xp 00000000 fe:01 13   /usr/lib/x86_64-linux-gnu/libc.so.6\n\
                    7f01-7f02 r--p 00000000 fe:01 13   /usr/lib/x86_64-linux-gnu/libc.so.6\n\
                    7f02-7f03 rw-p 00000000 00:00 0\n\
                    7ffc-7ffd r-xp 00000000 00:00 0    [vdso]\n";
        let found: Vec<PathBuf> = libraries(maps).into_iter().collect();
        assert_eq!(
            found,
            [PathBuf::from("/usr/lib/x86_64-linux-gnu/libc.so.6")]
        );
        assert!(libraries("").is_empty());
    }

    /// Names and contents, as the kernel reads them (Documentation/driver-api/early-userspace/buffer-format.rst): a header of
    /// 110 bytes with hexadecimal fields, the name, the content, each padded to 4 bytes.
    fn unpack(archive: &[u8]) -> Vec<(String, u64, Vec<u8>)> {
        let (mut members, mut at) = (Vec::new(), 0);
        loop {
            assert_eq!(&archive[at..at + 6], b"070701", "header at {at}");
            let field = |number: usize| {
                let start = at + 6 + number * 8;
                let digits = std::str::from_utf8(&archive[start..start + 8]).expect("ASCII");
                usize::from_str_radix(digits, 16).expect("hexadecimal")
            };
            let (mode, length, name_length) = (field(1), field(6), field(11));
            let name = String::from_utf8_lossy(&archive[at + 110..at + 110 + name_length - 1]);
            let content = (at + 110 + name_length).next_multiple_of(4);
            if name == "TRAILER!!!" {
                return members;
            }
            members.push((
                name.into_owned(),
                mode as u64,
                archive[content..content + length].to_vec(),
            ));
            at = (content + length).next_multiple_of(4);
        }
    }

    #[test]
    fn the_archive_is_what_the_kernel_unpacks() {
        let files = BTreeMap::from([
            ("init".to_owned(), vec![1; 5001]),
            ("usr/lib/libc.so.6".to_owned(), vec![2; 3]),
        ]);
        let members = unpack(&pack(&files).expect("archive"));
        // S_IFDIR and S_IFREG of stat(2).
        let folder = |name: &str| (name.to_owned(), 0o040_755, vec![]);
        let expected = [
            folder("usr"),
            folder("usr/lib"),
            ("init".to_owned(), 0o100_755, vec![1; 5001]),
            ("usr/lib/libc.so.6".to_owned(), 0o100_755, vec![2; 3]),
        ];
        assert_eq!(members, expected);
    }

    #[test]
    fn this_program_with_its_libraries_becomes_an_initrd() {
        let members = unpack(&build().expect("initrd"));
        let has = |name: &str| {
            members
                .iter()
                .any(|(member, _, content)| member == name && !content.is_empty())
        };
        assert!(has("init"));
        let dynamic = members.iter().any(|(name, ..)| name.contains("libc.so"));
        assert_eq!(has(LOADER), dynamic, "a dynamic program needs its loader");
    }
}
