//! Putting an answer file into a finished ISO, and taking it out again.
//!
//! The area and the menu choice have fixed sizes and unmistakable beginnings, both at the start of a 2048-byte sector, so
//! an ISO is changed without any tool that understands ISO 9660, on any machine. Nothing of the signed release is touched.

mod check;
mod hooks;

pub use check::check;
pub use hooks::with_scripts;

use crate::iso::choice_block;
use crate::iso_reader::length;
use anyhow::{Context, Result, bail};
use slots::answer_area;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Sector of ISO 9660, bytes.
const SECTOR: usize = 2048;
/// How the menu choice begins, see [`choice_block`].
const CHOICE_START: &[u8] = b"# GRUB Environment Block\nbedplate_entry=";

/// Where the two places are in an ISO, byte offsets.
#[derive(Debug, PartialEq, Eq)]
struct Places {
    answers: u64,
    choice: u64,
}

/// Writes `answers` into the ISO at `iso` and makes the headless entry the default of its menu.
///
/// # Errors
/// When the file is not one of our ISOs, or the answers do not fit.
pub fn embed(iso: &Path, answers: &[u8]) -> Result<()> {
    write(
        iso,
        &answer_area::encode(answers)?,
        &choice_block("headless", 1)?,
    )
}

/// Makes the area of the ISO at `iso` pristine again.
///
/// # Errors
/// When the file is not one of our ISOs.
pub fn reset(iso: &Path) -> Result<()> {
    write(iso, &answer_area::pristine(), &choice_block("", 8)?)
}

/// Makes `output` a copy of `iso` with a `change`, whole or not at all: what stood there stays until the copy is finished.
///
/// # Errors
/// When `output` is the ISO itself, the copy cannot be written, or the change fails.
pub fn into_copy(
    iso: &Path,
    output: &Path,
    change: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let same = |path: &Path| path.canonicalize().ok();
    if let (Some(iso), Some(output)) = (same(iso), same(output))
        && iso == output
    {
        bail!(
            "{} is the ISO itself; leave --output out to change it in its place",
            output.display()
        );
    }
    let folder = match output.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let cannot = || format!("{} cannot be copied to {}", iso.display(), output.display());
    // Gone with its value, whatever fails.
    let part = tempfile::Builder::new()
        .prefix(".bedplate-")
        .tempfile_in(folder)
        .with_context(cannot)?;
    std::fs::copy(iso, part.path()).with_context(cannot)?;
    change(part.path())?;
    part.persist(output).with_context(cannot)?;
    Ok(())
}

/// The answers in the ISO at `iso`, if there are any.
///
/// # Errors
/// When the file is not one of our ISOs, or the area is damaged.
pub fn read(iso: &Path) -> Result<Option<Vec<u8>>> {
    let file = File::open(iso).with_context(|| format!("{} cannot be read", iso.display()))?;
    let places = find(&file, iso)?;
    let mut area = vec![0; answer_area::AREA_BYTES];
    file.read_exact_at(&mut area, places.answers)?;
    Ok(answer_area::decode(&area)?)
}

fn write(iso: &Path, area: &[u8], choice: &[u8]) -> Result<()> {
    let file = File::options()
        .read(true)
        .write(true)
        .open(iso)
        .with_context(|| format!("{} cannot be written", iso.display()))?;
    let places = find(&file, iso)?;
    file.write_all_at(area, places.answers)?;
    file.write_all_at(choice, places.choice)?;
    file.sync_all()
        .with_context(|| format!("{} could not be written to the end", iso.display()))
}

/// Looks at the start of every sector. Each place must be there exactly once.
fn find(file: &File, iso: &Path) -> Result<Places> {
    let size = length(file)?;
    // The header is the magic line of a pristine area, up to where the length stands.
    let pristine = answer_area::pristine();
    let magic = pristine
        .split_inclusive(|b| *b == b'\n')
        .next()
        .unwrap_or_default()
        .to_vec();
    let (mut answers, mut choices) = (Vec::new(), Vec::new());
    let mut buffer = vec![0; SECTOR * 512];
    let mut offset = 0;
    while offset < size {
        let n = buffer.len().min((size - offset) as usize);
        file.read_exact_at(&mut buffer[..n], offset)?;
        for (index, sector) in buffer[..n].chunks(SECTOR).enumerate() {
            let at = offset + (index * SECTOR) as u64;
            if sector.starts_with(&magic) {
                answers.push(at);
            }
            if sector.starts_with(CHOICE_START) {
                choices.push(at);
            }
        }
        offset += n as u64;
    }
    match (answers.as_slice(), choices.as_slice()) {
        ([answers], [choice]) => Ok(Places {
            answers: *answers,
            choice: *choice,
        }),
        _ => bail!(
            "{} is not an ISO of Bedplate: {} answer areas and {} menu choices found, expected one of each",
            iso.display(),
            answers.len(),
            choices.len()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake_iso(dir: &Path, areas: usize) -> std::path::PathBuf {
        let path = dir.join("x.iso");
        let mut bytes = vec![7; SECTOR * 3];
        for _ in 0..areas {
            bytes.extend(answer_area::pristine());
        }
        bytes.extend(choice_block("", 8).unwrap());
        bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
        bytes.extend(vec![9; SECTOR * 600]);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn a_copy_is_whole_or_not_there_and_the_iso_stays() {
        let dir = tempfile::tempdir().unwrap();
        let iso = fake_iso(dir.path(), 1);
        let before = std::fs::read(&iso).unwrap();
        let output = dir.path().join("copy.iso");
        into_copy(&iso, &output, |copy| embed(copy, b"schema = 1\n")).unwrap();
        assert!(read(&output).unwrap().is_some());
        let link = dir.path().join("link.iso");
        std::os::unix::fs::symlink(&iso, &link).unwrap();
        for itself in [&iso, &link] {
            let error = into_copy(&iso, itself, |_| Ok(())).unwrap_err();
            assert!(error.to_string().contains("the ISO itself"), "{error:#}");
        }
        // What fails leaves neither a part nor a copy without answers.
        let other = dir.path().join("other.iso");
        into_copy(&iso, &other, |_| bail!("too long")).unwrap_err();
        assert!(!other.exists());
        let names = std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(names, 3, "the ISO, its link and the copy");
        assert!(std::fs::read(&iso).unwrap() == before);
    }

    #[test]
    fn answers_go_in_and_come_out_and_reset_restores_every_byte() {
        let dir = tempfile::tempdir().unwrap();
        let iso = fake_iso(dir.path(), 1);
        let before = std::fs::read(&iso).unwrap();
        assert_eq!(read(&iso).unwrap(), None);
        embed(&iso, b"schema = 1\n").unwrap();
        assert_eq!(
            read(&iso).unwrap().as_deref(),
            Some(b"schema = 1\n".as_slice())
        );
        assert!(
            String::from_utf8_lossy(&std::fs::read(&iso).unwrap())
                .contains("bedplate_entry=headless\nbedplate_timeout=1\n")
        );
        reset(&iso).unwrap();
        assert!(std::fs::read(&iso).unwrap() == before);
    }

    #[test]
    fn a_file_that_is_not_ours_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        for areas in [0, 2] {
            let iso = fake_iso(dir.path(), areas);
            let before = std::fs::read(&iso).unwrap();
            let error = embed(&iso, b"x").unwrap_err().to_string();
            assert!(error.contains("is not an ISO of Bedplate"), "{error}");
            assert!(std::fs::read(&iso).unwrap() == before);
        }
    }

    #[test]
    fn answers_that_do_not_fit_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let iso = fake_iso(dir.path(), 1);
        let before = std::fs::read(&iso).unwrap();
        assert!(embed(&iso, &vec![b'a'; answer_area::AREA_BYTES]).is_err());
        assert!(std::fs::read(&iso).unwrap() == before);
    }
}
