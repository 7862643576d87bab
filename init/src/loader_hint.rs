//! Which ESP the firmware's loader came from, when the kernel command line does not say.
//!
//! On UEFI the hypervisor, its command lines, kernel and initrd are one signed file that is the same on every host, so
//! nothing in it can name a disk. GRUB's `bli` module leaves the PARTUUID of the partition that GRUB was loaded from in a
//! volatile EFI variable, as the Boot Loader Interface (systemd.io/BOOT_LOADER_INTERFACE) says, and dom0 can read it.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::path::Path;

/// Where EFI variables are mounted; exists on machines that were started by UEFI only.
const EFIVARS: &str = "/sys/firmware/efi/efivars";

/// The variable, with the vendor UUID of the Boot Loader Interface.
const VARIABLE: &str = "LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

/// Whether this machine was started by UEFI, so that [`read`] may find something.
pub fn is_possible() -> bool {
    Path::new(EFIVARS).exists()
}

/// The PARTUUID, lowercase. Needs `efivarfs`. None without UEFI, or where the loader does not tell.
pub fn read() -> Option<String> {
    if !is_possible() {
        return None;
    }
    let folder = Path::new(EFIVARS);
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(
        Some("efivarfs"),
        folder,
        Some("efivarfs"),
        flags,
        None::<&str>,
    )
    .ok()?;
    let bytes = std::fs::read(folder.join(VARIABLE));
    // The system mounts it again, as it wants it.
    let _ = umount2(folder, MntFlags::empty());
    part_uuid(&bytes.ok()?)
}

/// The UUID in the variable's file: four bytes of attributes, then UTF-16 with a zero behind it. None if it is no UUID.
fn part_uuid(file: &[u8]) -> Option<String> {
    let units: Vec<u16> = file
        .get(4..)?
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    let text = String::from_utf16(&units).ok()?;
    let text = text.trim_end_matches('\0').to_ascii_lowercase();
    let is_uuid = text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    is_uuid.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::part_uuid;

    fn file(text: &str) -> Vec<u8> {
        [6, 0, 0, 0]
            .into_iter()
            .chain(text.encode_utf16().flat_map(u16::to_le_bytes))
            .collect()
    }

    #[test]
    fn reads_a_uuid_and_nothing_else() {
        let uuid = "0A1B2C3D-0000-4000-8000-00000000000f";
        assert_eq!(
            part_uuid(&file(&format!("{uuid}\0"))),
            Some(uuid.to_ascii_lowercase())
        );
        assert_eq!(part_uuid(&file(uuid)), Some(uuid.to_ascii_lowercase()));
        assert_eq!(
            part_uuid(&file("0A1B2C3D-0000-4000-8000-00000000000")),
            None
        );
        assert_eq!(
            part_uuid(&file("0A1B2C3D+0000-4000-8000-00000000000f")),
            None
        );
        assert_eq!(part_uuid(&file("")), None);
        assert_eq!(part_uuid(&[6, 0]), None);
    }
}
