//! By which of its entries the firmware started this boot, and asking it for another one.
//!
//! Source: UEFI 2.10, sections 3.1.3 (load options), 3.3 (BootCurrent, BootNext), 10.3.5 (device paths of disks and files); Linux
//! `Documentation/filesystems/efivarfs.rst` (four bytes of attributes in front).

use super::plan::Way;
use slots::PartitionKind;
use slots::names::{EFI_LABEL, EFI_VENDOR_PATH};
use std::path::{Path, PathBuf};
use steps::{Command, System};
use uuid::Uuid;

/// There on a machine that was started by UEFI.
pub(super) const FIRMWARE: &str = "/sys/firmware/efi";
/// Its variables.
pub(super) const VARIABLES: &str = "/sys/firmware/efi/efivars";
/// Those that the specification defines.
pub(super) const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Bytes of attributes in front of a value.
const ATTRIBUTES: usize = 4;

/// What an entry starts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LoadOption {
    /// The partition, as its table names it.
    partition: Option<Uuid>,
    /// The file on it; none where the firmware is to fall back.
    path: Option<String>,
}

/// How this boot came, where the ESP `esp` is the one of the disk that it should have come from.
pub(super) fn way(system: &dyn System, esp: &Path) -> Way {
    if !system.exists(Path::new(FIRMWARE)) {
        return Way::Bios;
    }
    let Some(current) = variable(system, "BootCurrent") else {
        return Way::Unknown(format!(
            "{VARIABLES} does not say which entry was started (BootCurrent)"
        ));
    };
    let Some(number) = current
        .first_chunk()
        .map(|bytes| u16::from_le_bytes(*bytes))
    else {
        return Way::Unknown("BootCurrent holds no number".to_owned());
    };
    let name = format!("Boot{number:04X}");
    let Some(option) = variable(system, &name).and_then(|value| parse(&value)) else {
        return Way::Unknown(format!(
            "the entry {name}, which was started, cannot be read"
        ));
    };
    if option.is_vendor(system, esp) {
        return Way::Vendor;
    }
    match &option.path {
        Some(path) if path.eq_ignore_ascii_case(EFI_VENDOR_PATH) => Way::Unknown(format!(
            "the entry {name}, which was started, leads to another disk than {}",
            esp.display()
        )),
        _ => Way::Fallback,
    }
}

/// Has the firmware start the loader in Bedplate's own place on the disk `disk` at the next start, once. Where that does not
/// start, or the machine is reset, the firmware goes on as ever.
///
/// # Errors
/// In words.
pub(super) fn ask(system: &dyn System, disk: &Path, esp: &Path) -> Result<(), String> {
    let run = |command: Command| {
        system.run(&command).map(drop).map_err(|error| {
            format!(
                "the firmware cannot be asked to start the entry {EFI_LABEL}: {error}; choose it once in its boot menu"
            )
        })
    };
    let number = match entry(system, esp) {
        Some(number) => number,
        None => {
            let part = PartitionKind::Esp.number().to_string();
            // Without a place in the order: what the firmware does by itself stays.
            let create = Command::new("efibootmgr")
                .args(["--quiet", "--create-only", "--disk"])
                .arg(disk)
                .args(["--part", &part, "--label", EFI_LABEL, "--loader"])
                .arg(EFI_VENDOR_PATH);
            run(create)?;
            entry(system, esp).ok_or_else(|| {
                format!("the firmware did not keep the entry {EFI_LABEL}; choose {EFI_VENDOR_PATH} once in its boot menu")
            })?
        }
    };
    run(Command::new("efibootmgr").args(["--quiet", "--bootnext", &number]))
}

/// The number of an entry for the loader on that ESP.
fn entry(system: &dyn System, esp: &Path) -> Option<String> {
    let names = system.list_dir(Path::new(VARIABLES)).ok()?;
    names.iter().find_map(|name| {
        let number = name
            .strip_prefix("Boot")?
            .strip_suffix(&format!("-{GLOBAL}"))?;
        let valid = number.len() == 4 && number.bytes().all(|b| b.is_ascii_hexdigit());
        let option = parse(&variable(system, &format!("Boot{number}"))?)?;
        (valid && option.is_vendor(system, esp)).then(|| number.to_owned())
    })
}

/// The value of a variable, without its attributes.
fn variable(system: &dyn System, name: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(format!("{VARIABLES}/{name}-{GLOBAL}"));
    let mut bytes = system.read_file(&path).ok()?;
    (bytes.len() >= ATTRIBUTES).then(|| bytes.split_off(ATTRIBUTES))
}

impl LoadOption {
    fn is_vendor(&self, system: &dyn System, esp: &Path) -> bool {
        let by_uuid = |uuid: Uuid| PathBuf::from(format!("/dev/disk/by-partuuid/{uuid}"));
        self.path
            .as_deref()
            .is_some_and(|path| path.eq_ignore_ascii_case(EFI_VENDOR_PATH))
            && self
                .partition
                .is_some_and(|uuid| system.real_path(&by_uuid(uuid)) == esp)
    }
}

/// `EFI_LOAD_OPTION`: attributes (4), bytes of the path list (2), description (UTF-16, zero behind it), path list.
fn parse(value: &[u8]) -> Option<LoadOption> {
    let length = usize::from(u16_at(value, 4)?);
    let mut at = 6;
    while u16_at(value, at)? != 0 {
        at += 2;
    }
    let mut rest = value.get(at + 2..at + 2 + length)?;
    let mut option = LoadOption {
        partition: None,
        path: None,
    };
    // Nodes: type, subtype, length of all of it (2), data.
    while let (Some(kind), Some(length)) = (rest.get(..2), u16_at(rest, 2)) {
        let node = rest.get(4..usize::from(length))?;
        match kind {
            // A partition: number (4), start (8), size (8), signature (16), format (1), type of the signature (1): 2 is a GUID.
            [4, 1] if node.get(37) == Some(&2) => {
                let guid: [u8; 16] = node.get(20..36)?.try_into().ok()?;
                option.partition = Some(Uuid::from_bytes_le(guid));
            }
            // A file.
            [4, 4] => {
                let units: Vec<u16> = (0..node.len() / 2)
                    .filter_map(|n| u16_at(node, n * 2))
                    .collect();
                let text = String::from_utf16_lossy(&units);
                option.path = Some(text.trim_end_matches('\0').to_owned());
            }
            // The end.
            [0x7f, _] => break,
            _ => {}
        }
        rest = rest.get(usize::from(length).max(4)..)?;
    }
    Some(option)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes([pair[0], pair[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loaders::testing::{boots_by, load_option};
    use steps::RecordingSystem;

    const ESP: &str = "/dev/sda1";

    fn came(system: &RecordingSystem) -> Way {
        way(system, Path::new(ESP))
    }

    #[test]
    fn the_entry_that_was_started_says_which_way_the_boot_came() {
        assert_eq!(came(&RecordingSystem::new()), Way::Bios);
        let by = |path: Option<&str>| came(&boots_by(RecordingSystem::new(), 3, path, ESP));
        assert_eq!(by(Some(EFI_VENDOR_PATH)), Way::Vendor);
        assert_eq!(by(Some(r"\efi\BEDPLATE\grubx64.efi")), Way::Vendor);
        assert_eq!(by(Some(r"\EFI\BOOT\BOOTX64.EFI")), Way::Fallback);
        assert_eq!(by(None), Way::Fallback);
        let other = boots_by(
            RecordingSystem::new(),
            0x1f,
            Some(EFI_VENDOR_PATH),
            "/dev/sdb1",
        );
        assert!(matches!(came(&other), Way::Unknown(r) if r.contains("Boot001F")));
        let none = RecordingSystem::new().file(format!("{FIRMWARE}/config_table"), "");
        assert!(matches!(came(&none), Way::Unknown(r) if r.contains("BootCurrent")));
    }

    #[test]
    fn no_bytes_of_the_firmware_are_too_strange() {
        let whole = load_option(Some(EFI_VENDOR_PATH));
        assert!(parse(&whole).is_some());
        for end in 0..whole.len() {
            // Whatever it gives, it ends.
            let _ = parse(&whole[..end]);
        }
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] = 0;
            let _ = parse(&bad);
            bad[at] = 0xff;
            let _ = parse(&bad);
        }
    }

    #[test]
    fn an_entry_is_made_where_there_is_none_and_started_once() {
        let system = boots_by(RecordingSystem::new(), 7, Some(EFI_VENDOR_PATH), ESP);
        ask(&system, Path::new("/dev/sda"), Path::new(ESP)).unwrap();
        assert_eq!(
            system.command_lines(),
            ["efibootmgr --quiet --bootnext 0007"]
        );
        let lost = boots_by(RecordingSystem::new(), 7, None, ESP);
        let error = ask(&lost, Path::new("/dev/sda"), Path::new(ESP)).unwrap_err();
        assert!(error.contains("did not keep"), "{error}");
        let lines = lost.command_lines();
        assert!(
            lines[0].starts_with(
                "efibootmgr --quiet --create-only --disk /dev/sda --part 1 --label Bedplate"
            ),
            "{lines:?}"
        );
    }
}
