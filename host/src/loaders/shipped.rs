//! The boot loaders that the running release brings: files of its root image, which is read through dm-verity.

use crate::error::chain;
use release::Artifact;
use slots::grub_cfg::GRUB_CFG_FILE;
use slots::names::{BOOT_FILES_KEY, BOOT_LOADERS};
use std::path::Path;
use steps::System;

/// What a release brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipped {
    /// GRUB for UEFI, signed.
    pub efi: Vec<u8>,
    /// GRUB's boot sector for BIOS.
    pub bios_boot: Vec<u8>,
    /// GRUB's core image for BIOS.
    pub bios_core: Vec<u8>,
    /// `grub.cfg`.
    pub config: Vec<u8>,
    /// The public key that signed `efi` for the firmware, and that it checks boot files by; DER, PKCS #1.
    key: Vec<u8>,
}

impl Shipped {
    /// Reads them. None where the release brings none, as those before this did.
    ///
    /// # Errors
    /// In words: they are not those of the root image, cannot be read, or are not signed by its key.
    pub fn read(system: &dyn System) -> Result<Option<Shipped>, String> {
        let folder = Path::new(BOOT_LOADERS);
        if !system.exists(folder) {
            return Ok(None);
        }
        uncovered(system, folder)?;
        let read = |path: &Path| system.read_file(path).map_err(|e| chain(&e));
        let shipped = Shipped {
            efi: read(&folder.join(Artifact::GrubEfi.target_name()))?,
            bios_boot: read(&folder.join(Artifact::GrubBiosBoot.target_name()))?,
            bios_core: read(&folder.join(Artifact::GrubBiosCore.target_name()))?,
            config: read(&folder.join(GRUB_CFG_FILE))?,
            key: read(Path::new(BOOT_FILES_KEY))?,
        };
        if !shipped.is_signed_alike(&shipped.efi) {
            return Err(format!(
                "{} of this release is not signed by the key of its boot files ({BOOT_FILES_KEY}): the release was built wrongly",
                Artifact::GrubEfi.target_name()
            ));
        }
        Ok(Some(shipped))
    }

    /// Whether an EFI program carries the certificate of the key that signed this release's loader.
    ///
    /// What a loader of the same key takes the place of was accepted by the same certificate in the firmware's db, and checks boot
    /// files by the same key: those of the release before stay good for going back. A certificate holds the key as it is in
    /// [`BOOT_FILES_KEY`] (RFC 5280, `SubjectPublicKeyInfo`; RFC 8017, `RSAPublicKey`), so that looking for its bytes is enough to
    /// tell keys apart. It is no check of a signature: that is the firmware's, and the new file is the root image's.
    pub fn is_signed_alike(&self, program: &[u8]) -> bool {
        !self.key.is_empty()
            && program
                .windows(self.key.len())
                .any(|window| window == self.key)
    }
}

/// What lies in `folder` must be the root image's: an extension or a mount over it is not verified.
fn uncovered(system: &dyn System, folder: &Path) -> Result<(), String> {
    let mounts = system
        .read_file(Path::new("/proc/self/mounts"))
        .map_err(|e| chain(&e))?;
    let text = String::from_utf8_lossy(&mounts).into_owned();
    let over = text
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .find(|point| *point != "/" && folder.starts_with(point));
    match over {
        None => Ok(()),
        Some(point) => Err(format!(
            "{point} is covered by another file system, so that {BOOT_LOADERS} is not the verified root image's; take what covers it \
             away (`systemd-sysext unmerge`, `umount`)"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loaders::testing::{KEY, lay_down};
    use steps::RecordingSystem;

    const MOUNTS: &str = "/dev/dm-0 / squashfs ro 0 0\noverlay /etc overlay rw 0 0\n/dev/sda1 /boot/efi vfat rw 0 0\n";

    fn system() -> RecordingSystem {
        lay_down(RecordingSystem::new(), b"new").file("/proc/self/mounts", MOUNTS)
    }

    #[test]
    fn only_what_the_root_image_holds_and_its_key_signed() {
        assert_eq!(Shipped::read(&RecordingSystem::new()), Ok(None));
        let shipped = Shipped::read(&system()).unwrap().unwrap();
        assert!(shipped.is_signed_alike(&[b"old ", KEY, b"!"].concat()));
        assert!(!shipped.is_signed_alike(b"of another one"));
        for point in ["/usr", "/usr/lib/bedplate/boot"] {
            let covered = system().file(
                "/proc/self/mounts",
                format!("{MOUNTS}overlay {point} overlay ro 0 0\n"),
            );
            let error = Shipped::read(&covered).unwrap_err();
            assert!(error.contains(point), "{error}");
        }
        let other = system().file(BOOT_FILES_KEY, "another key");
        assert!(Shipped::read(&other).unwrap_err().contains("built wrongly"));
        let none = system().file(BOOT_FILES_KEY, "");
        assert!(Shipped::read(&none).is_err());
    }
}
