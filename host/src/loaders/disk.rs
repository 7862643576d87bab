//! The boot loaders on one disk: what is there, and putting something in its place.

use super::bios::{self, Bios};
use super::plan::{Found, Place, Seen};
use super::replace::replace;
use super::shipped::Shipped;
use crate::error::chain;
use crate::hotfix::Site;
use crate::mirror::partition_of;
use slots::PartitionKind;
use slots::grub_cfg::GRUB_CFG;
use slots::names::{EFI_FALLBACK, EFI_VENDOR};
use std::path::{Path, PathBuf};

/// A disk of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disk {
    /// Its kernel name.
    pub name: String,
    /// Where its ESP is mounted.
    pub esp: PathBuf,
}

impl Disk {
    /// Its node.
    pub fn node(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }

    /// The node of its ESP.
    pub fn esp_node(&self) -> PathBuf {
        partition_of(&self.name, PartitionKind::Esp)
    }

    /// Looks at it. What cannot be read is refused: it is not known what would be replaced.
    pub fn look(&self, site: &Site<'_>, shipped: &Shipped) -> Seen {
        let efi = |file: &str| {
            let path = self.esp.join(file);
            self.file(site, &path, &shipped.efi, |there| {
                shipped.is_signed_alike(there).then_some(()).ok_or_else(|| {
                    format!(
                        "{file} of {} is not signed by the key of this release, and stays: what takes its place might not be accepted. \
                         With new keys, install the host anew (docs/secure-boot.md)",
                        self.name
                    )
                })
            })
        };
        Seen {
            vendor: efi(EFI_VENDOR),
            fallback: efi(EFI_FALLBACK),
            bios: match bios::look(site, self, shipped) {
                Ok(Bios::Absent) => Found::Absent,
                Ok(Bios::Current) => Found::Current,
                Ok(Bios::Old { .. }) => Found::Old,
                Err(reason) => Found::Refused(reason),
            },
            config: self.file(site, &self.esp.join(GRUB_CFG), &shipped.config, |_| Ok(())),
        }
    }

    fn file(
        &self,
        site: &Site<'_>,
        path: &Path,
        shipped: &[u8],
        may: impl FnOnce(&[u8]) -> Result<(), String>,
    ) -> Found {
        if !site.system.exists(path) {
            // Somebody removed it, or the disk failed: it belongs there.
            return Found::Old;
        }
        match site.system.read_file(path) {
            Ok(there) if there == shipped => Found::Current,
            Ok(there) => may(&there).map_or_else(Found::Refused, |()| Found::Old),
            Err(error) => Found::Refused(format!(
                "{} of {} stays: {}",
                path.display(),
                self.name,
                chain(&error)
            )),
        }
    }

    /// Puts the loader of the release in that place.
    ///
    /// # Errors
    /// In words. What was there before is there still, and starts the host.
    pub fn put(&self, site: &Site<'_>, place: Place, shipped: &Shipped) -> Result<(), String> {
        match place {
            Place::Vendor => replace(site, &self.esp, EFI_VENDOR, &shipped.efi),
            Place::Fallback => replace(site, &self.esp, EFI_FALLBACK, &shipped.efi),
            Place::Config => replace(site, &self.esp, GRUB_CFG, &shipped.config),
            Place::Bios => bios::put(site, self, shipped),
        }
    }
}
