//! A release is written beside the one that a host runs: what `xe patch-apply` does on the host, and an upgrade from a medium on
//! its disk. Both do it in this order, which makes every power cut harmless:
//!
//! 1. The boot loader forgets the other slot ([`slots::BootState::forgetting_other`]).
//! 2. The root image goes into the other slot and is read back ([`slots::writer::write_counted`]).
//! 3. Boot files of other roots go ([`other_roots`], [`discard_root`]); the new ones are written beside those of the root that
//!    runs, and read back.
//! 4. The new root shall start with the settings of the old one ([`inherit_etc`]).
//! 5. The boot loader learns of it, for one try ([`slots::BootState::trying_once`]).

use crate::{BOOT_FILES, OpenRelease};
use slots::boot_state::{RELEASE_ENV, is_id, release_env};
use slots::names::{BOOT_FOLDER, ETC_FROM};
use std::path::{Path, PathBuf};
use steps::system::{Command, FileError, System};
use steps::{RunError, StepError};

/// Bytes that stay free on the ESP: loaders are replaced by new files beside the old ones.
const ESP_RESERVE: u64 = 8 * 1024 * 1024;

/// The folder of the boot files of the root `id` on the ESP that is mounted at `esp`.
pub fn boot_files(esp: &Path, id: &str) -> PathBuf {
    esp.join(BOOT_FOLDER).join(id)
}

/// Short names of the roots that have boot files on the ESP at `esp`, apart from `keep`.
///
/// # Errors
/// When the folder cannot be read.
pub fn other_roots(system: &dyn System, esp: &Path, keep: &str) -> Result<Vec<String>, FileError> {
    let mut names = system.list_dir(&esp.join(BOOT_FOLDER))?;
    names.retain(|name| is_id(name) && name != keep);
    Ok(names)
}

/// Removes the boot files of the root `id`, whose slot was overwritten, from the ESP at `esp`, and what was changed in /etc under
/// it from the folder of overlays at `etc`: nothing can start with these settings any more.
///
/// # Errors
/// When `rm` fails.
pub fn discard_root(system: &dyn System, esp: &Path, etc: &Path, id: &str) -> Result<(), RunError> {
    if !is_id(id) {
        return Ok(());
    }
    remove_folder(system, &boot_files(esp, id))?;
    remove_folder(system, &etc.join(id))
}

/// Bytes that must be free on the ESP before the boot files of `release` are written.
pub fn esp_room(release: &OpenRelease) -> u64 {
    BOOT_FILES.iter().fold(ESP_RESERVE, |sum, (artifact, _)| {
        sum.saturating_add(release.info(*artifact).size)
    })
}

/// Writes what GRUB shows as the version of the root whose boot files are in `folder`.
///
/// # Errors
/// When the version fits no block, or the file cannot be written.
pub fn write_release_env(
    system: &dyn System,
    folder: &Path,
    version: &str,
) -> Result<(), StepError> {
    let block = release_env(version)?;
    Ok(system.write_file(&folder.join(RELEASE_ENV), &block, 0o600)?)
}

/// Has the /etc of root `new` start as that of root `from` is at that moment. `etc` is the folder of overlays. The initrd makes the
/// copy at the first start, so that a try which is broken off begins anew.
///
/// # Errors
/// When `new` names no root, or something cannot be written.
pub fn inherit_etc(
    system: &dyn System,
    etc: &Path,
    new: &str,
    from: &str,
) -> Result<(), StepError> {
    if !is_id(new) {
        return Err(format!("{new:?} names no root").into());
    }
    let dir = etc.join(new);
    remove_folder(system, &dir)?;
    system.create_dir_all(&dir)?;
    Ok(name_source(system, &dir, from)?)
}

/// Notes in `dir`, the folder of overlays of a root, whose /etc the initrd copies where the root has none.
///
/// # Errors
/// When it cannot be written.
pub fn name_source(system: &dyn System, dir: &Path, from: &str) -> Result<(), FileError> {
    system.write_file(&dir.join(ETC_FROM), format!("{from}\n").as_bytes(), 0o644)
}

/// Removes a folder with all that is in it; one that is not there is no error.
///
/// # Errors
/// When `rm` fails.
pub fn remove_folder(system: &dyn System, dir: &Path) -> Result<(), RunError> {
    let command = Command::new("rm").args(["-r", "-f", "--one-file-system", "--"]);
    system.run(&command.arg(dir)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps::RecordingSystem;

    const OLD: &str = "0123456789abcdef";
    const NEW: &str = "fedcba9876543210";

    #[test]
    fn only_folders_of_other_roots_are_found() {
        let system = RecordingSystem::new()
            .file(format!("/esp/bedplate/{OLD}/vmlinuz"), "")
            .file(format!("/esp/bedplate/{NEW}/vmlinuz"), "")
            .file("/esp/bedplate/notes/x", "");
        let others = other_roots(&system, Path::new("/esp"), OLD).unwrap();
        assert_eq!(others, [NEW]);
    }

    #[test]
    fn settings_are_named_after_what_was_there_is_gone() {
        let system = RecordingSystem::new();
        inherit_etc(&system, Path::new("/state/etc"), NEW, OLD).unwrap();
        assert_eq!(
            system.command_lines(),
            [format!("rm -r -f --one-file-system -- /state/etc/{NEW}")]
        );
        let from = system.content(format!("/state/etc/{NEW}/from")).unwrap();
        assert_eq!(from, format!("{OLD}\n").as_bytes());
        assert!(inherit_etc(&system, Path::new("/state/etc"), "../x", OLD).is_err());
    }

    #[test]
    fn nothing_is_removed_that_is_no_root() {
        let system = RecordingSystem::new();
        discard_root(&system, Path::new("/esp"), Path::new("/etc"), "..").unwrap();
        assert_eq!(system.command_lines(), Vec::<String>::new());
        discard_root(&system, Path::new("/esp"), Path::new("/state/etc"), NEW).unwrap();
        assert_eq!(
            system.command_lines(),
            [
                format!("rm -r -f --one-file-system -- /esp/bedplate/{NEW}"),
                format!("rm -r -f --one-file-system -- /state/etc/{NEW}"),
            ]
        );
    }
}
