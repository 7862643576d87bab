//! Whether two builds made the same bytes, and where they differ.

use crate::paths::{Paths, file_size};
use crate::squash::sha256;
use crate::tool::{Tool, fresh_dir, remove_all};
use crate::tools_root;
use anyhow::{Context, Result, bail};
use release::Artifact;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Files of an image that are listed one by one; of more, the number is told.
const LISTED: usize = 40;

/// One of two builds.
#[derive(Debug)]
struct Build {
    /// Name that both builds give a file, to its place.
    files: BTreeMap<String, PathBuf>,
}

impl Build {
    /// The files of a checkout that has built, of a folder of artifacts, or a single file.
    fn open(path: &Path) -> Result<Build> {
        let mut files = BTreeMap::new();
        if path.is_file() {
            files.insert("the file".to_owned(), path.to_owned());
            return Ok(Build { files });
        }
        let paths = Paths::at(path);
        let folders = if paths.release_files().is_dir() {
            vec![paths.release_files(), paths.images()]
        } else {
            vec![path.to_owned()]
        };
        for folder in folders {
            let entries = std::fs::read_dir(&folder)
                .with_context(|| format!("{} cannot be read", folder.display()))?;
            for entry in entries {
                let entry = entry?;
                if entry.file_type()?.is_file() {
                    files.insert(
                        entry.file_name().to_string_lossy().into_owned(),
                        entry.path(),
                    );
                }
            }
        }
        if files.is_empty() {
            bail!("{} holds no files to compare", path.display());
        }
        Ok(Build { files })
    }
}

/// What came of a comparison.
#[derive(Debug)]
pub struct Outcome {
    /// To be printed.
    pub text: String,
    /// Every file is there twice with the same bytes.
    pub same: bool,
}

/// Compares checkouts that have built, folders of artifacts, or two files.
///
/// # Errors
/// When a file cannot be read, or there is none.
pub fn compare(paths: &Paths, a: &Path, b: &Path) -> Result<Outcome> {
    let (first, second) = (Build::open(a)?, Build::open(b)?);
    let names: BTreeSet<&String> = first.files.keys().chain(second.files.keys()).collect();
    let mut outcome = Outcome {
        text: String::new(),
        same: true,
    };
    for name in names {
        let (Some(x), Some(y)) = (first.files.get(name), second.files.get(name)) else {
            let where_not = if first.files.contains_key(name) { b } else { a };
            writeln!(outcome.text, "{name:<34} is not in {}", where_not.display())?;
            outcome.same = false;
            continue;
        };
        match difference(x, y)? {
            None => writeln!(outcome.text, "{name:<34} same  {}", sha256(x)?)?,
            Some(difference) => {
                writeln!(outcome.text, "{name:<34} DIFFERS: {difference}")?;
                outcome.same = false;
                if name == Artifact::Root.target_name() {
                    outcome.text.push_str(&in_root_images(paths, x, y)?);
                }
            }
        }
    }
    Ok(outcome)
}

/// How two files differ; none when they do not.
fn difference(a: &Path, b: &Path) -> Result<Option<String>> {
    let (size_a, size_b) = (file_size(a)?, file_size(b)?);
    let open = |path: &Path| {
        File::open(path).with_context(|| format!("{} cannot be read", path.display()))
    };
    let (mut a, mut b) = (open(a)?, open(b)?);
    let (mut x, mut y) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let (mut offset, mut first, mut count) = (0_u64, None, 0_u64);
    loop {
        let (n, m) = (fill(&mut a, &mut x)?, fill(&mut b, &mut y)?);
        let both = n.min(m);
        for (index, _) in x[..both]
            .iter()
            .zip(&y[..both])
            .enumerate()
            .filter(|(_, (p, q))| p != q)
        {
            first = first.or(Some(offset + index as u64));
            count += 1;
        }
        offset += both as u64;
        if both < x.len() {
            break;
        }
    }
    Ok(match (first, size_a == size_b) {
        (None, true) => None,
        (None, false) => Some(format!(
            "{size_a} and {size_b} bytes, the same up to the end of the shorter"
        )),
        (Some(at), true) => Some(format!("{count} of {size_a} bytes, the first at {at}")),
        (Some(at), false) => Some(format!("{size_a} and {size_b} bytes, from byte {at} on")),
    })
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

/// The files in which two root images differ.
fn in_root_images(paths: &Paths, a: &Path, b: &Path) -> Result<String> {
    tools_root::ensure(paths)?;
    let work = fresh_dir(&paths.target.join("compare"))?;
    let mut trees = Vec::new();
    for (name, image) in [("a", a), ("b", b)] {
        // Where the tools root sees it.
        let seen = work.join(format!("{name}.img"));
        std::fs::copy(image, &seen)
            .with_context(|| format!("{} cannot be copied", image.display()))?;
        Tool::locked(paths, "unsquashfs")
            .args(["-quiet", "-no-progress", "-dest"])
            .arg(work.join(name))
            .arg(&seen)
            .quiet()
            .run()?;
        let mut entries = BTreeMap::new();
        walk(&work.join(name), &work.join(name), &mut entries)?;
        trees.push(entries);
    }
    remove_all(&work)?;
    let lines = tree_differences(&trees[0], &trees[1]);
    let mut text: String = lines
        .iter()
        .take(LISTED)
        .map(|line| format!("    {line}\n"))
        .collect();
    if lines.len() > LISTED {
        writeln!(text, "    and {} more", lines.len() - LISTED)?;
    }
    if lines.is_empty() {
        text.push_str("    no file in it differs: order, times or compression do\n");
    }
    Ok(text)
}

/// What is compared of a file of a tree: type and mode, owner, group, and content (hash, link target or device).
type Entry = (u32, u32, u32, String);

fn walk(top: &Path, dir: &Path, entries: &mut BTreeMap<String, Entry>) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("{}", dir.display()))? {
        let entry = entry?;
        let (path, meta) = (entry.path(), entry.metadata()?);
        let content = content(&path, &meta)?;
        let place = path.strip_prefix(top)?.to_string_lossy().into_owned();
        entries.insert(
            place,
            (meta.permissions().mode(), meta.uid(), meta.gid(), content),
        );
        if meta.is_dir() {
            walk(top, &path, entries)?;
        }
    }
    Ok(())
}

fn content(path: &Path, meta: &Metadata) -> Result<String> {
    Ok(if meta.is_symlink() {
        std::fs::read_link(path)?.to_string_lossy().into_owned()
    } else if meta.is_file() {
        sha256(path)?
    } else if meta.is_dir() {
        String::new()
    } else {
        format!("device {:#x}", meta.rdev())
    })
}

fn tree_differences(a: &BTreeMap<String, Entry>, b: &BTreeMap<String, Entry>) -> Vec<String> {
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| match (a.get(name), b.get(name)) {
            (Some(_), None) => Some(format!("{name}: only in the first")),
            (None, Some(_)) => Some(format!("{name}: only in the second")),
            (Some(x), Some(y)) if x.3 != y.3 => Some(format!("{name}: content")),
            (Some(x), Some(y)) if x != y => Some(format!(
                "{name}: mode {:o} of {}:{}, and {:o} of {}:{}",
                x.0, x.1, x.2, y.0, y.1, y.2
            )),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        dir
    }

    fn run(a: &[(&str, &[u8])], b: &[(&str, &[u8])]) -> Outcome {
        let (a, b) = (folder(a), folder(b));
        compare(&Paths::at(a.path()), a.path(), b.path()).unwrap()
    }

    #[test]
    fn the_same_bytes_are_the_same() {
        let outcome = run(&[("x", b"abc"), ("y", b"")], &[("y", b""), ("x", b"abc")]);
        assert!(outcome.same, "{}", outcome.text);
        assert_eq!(outcome.text.matches(" same ").count(), 2);
    }

    #[test]
    fn a_difference_is_told_with_its_place() {
        let mut long = vec![7; 3 << 20];
        let before = long.clone();
        long[(2 << 20) + 5] = 8;
        for (a, b, told) in [
            (
                b"abcd".as_slice(),
                b"axcx".as_slice(),
                "2 of 4 bytes, the first at 1",
            ),
            (
                b"abc",
                b"abcd",
                "3 and 4 bytes, the same up to the end of the shorter",
            ),
            (b"abc", b"xb", "3 and 2 bytes, from byte 0 on"),
            (&before, &long, "1 of 3145728 bytes, the first at 2097157"),
        ] {
            let outcome = run(&[("x", a)], &[("x", b)]);
            assert!(!outcome.same);
            assert!(outcome.text.contains(told), "{}", outcome.text);
        }
    }

    #[test]
    fn a_file_that_one_build_lacks_is_a_difference() {
        let outcome = run(&[("x", b"a")], &[("x", b"a"), ("y", b"b")]);
        assert!(
            !outcome.same && outcome.text.contains("y "),
            "{}",
            outcome.text
        );
        let empty = tempfile::tempdir().unwrap();
        assert!(compare(&Paths::at(empty.path()), empty.path(), empty.path()).is_err());
    }

    #[test]
    fn trees_differ_in_content_mode_and_owner() {
        let (a, b) = (
            folder(&[
                ("same", b"1"),
                ("gone", b"1"),
                ("mode", b"1"),
                ("text", b"1"),
            ]),
            folder(&[("same", b"1"), ("mode", b"1"), ("text", b"2")]),
        );
        std::fs::set_permissions(b.path().join("mode"), PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::set_permissions(a.path().join("mode"), PermissionsExt::from_mode(0o644)).unwrap();
        let listed = |dir: &Path| {
            let mut entries = BTreeMap::new();
            walk(dir, dir, &mut entries).unwrap();
            entries
        };
        let lines = tree_differences(&listed(a.path()), &listed(b.path()));
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines[0], "gone: only in the first");
        assert!(
            lines[1].starts_with("mode: mode 100644 of "),
            "{}",
            lines[1]
        );
        assert_eq!(lines[2], "text: content");
    }
}
