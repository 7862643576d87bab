//! What somebody who helps from afar needs to see of a host, in one file, without secrets.

use crate::XeError;
use crate::redact::redact;
use std::path::Path;
use std::time::Duration;
use steps::{Command, System};

/// Commands whose output is in it. One that fails is in it with its error.
const COMMANDS: [&[&str]; 32] = [
    &["uname", "-a"],
    &["uptime"],
    &["xl", "info"],
    &["xl", "list", "-v"],
    &["xl", "dmesg"],
    &["dmesg"],
    &["journalctl", "--boot", "--no-pager", "--lines=20000"],
    &["journalctl", "--list-boots", "--no-pager"],
    &["systemctl", "--failed", "--no-pager"],
    &["systemctl", "list-timers", "--no-pager"],
    &["virsh", "-c", "xen:///system", "version"],
    &["virsh", "-c", "xen:///system", "list", "--all"],
    &["vgs", "-a", "-o", "+tags"],
    &["lvs", "-a", "-o", "+tags"],
    &["pvs", "-a"],
    &[
        "lsblk",
        "-o",
        "NAME,TYPE,SIZE,MODEL,SERIAL,FSTYPE,MOUNTPOINT",
    ],
    &["findmnt"],
    &["df"],
    &["free", "-m"],
    &["ip", "-details", "address"],
    &["ip", "route"],
    &["bridge", "link"],
    &["networkctl", "--no-pager"],
    &["resolvectl", "--no-pager"],
    &["efibootmgr", "-v"],
    &["lspci", "-nnk"],
    &["dmidecode"],
    &["lscpu"],
    &["hcl-checker", "check"],
    &["cat", "/proc/mdstat"],
    // The ends of the hypervisor's console at each crash.
    &[
        "find",
        "/var/crash",
        "-name",
        "xen.log",
        "-exec",
        "tail",
        "--verbose",
        "--bytes=65536",
        "{}",
        "+",
    ],
    // Shows no passwords, which its file may hold.
    &["xe", "host-update-policy-get"],
];

/// Files that are in it.
const FILES: [&str; 8] = [
    "/etc/os-release",
    "/etc/fstab",
    "/proc/cmdline",
    "/run/bedplate/boot.json",
    "/run/bedplate/health.json",
    "/state/bedplate/install/report.json",
    "/state/bedplate/loaders.json",
    "/boot/efi/grub/state.env",
];

/// Folders whose files are in it, with how their names end.
const FOLDERS: [(&str, &str); 8] = [
    ("/etc/systemd/network", ""),
    ("/etc/libvirt/libxl", ".xml"),
    ("/var/lib/bedplate/hotfix", ".json"),
    ("/var/lib/bedplate/updates", ".json"),
    ("/var/lib/bedplate/xe/labels", ".json"),
    ("/var/lib/bedplate/xe/snapshots", ".xml"),
    ("/var/log/xen", ".log"),
    ("/var/log/libvirt/libxl", ".log"),
];

/// Of longer texts the end is kept: the newest lines of a log.
const LONGEST: usize = 4 << 20;
/// No command may keep the others waiting.
const TIMEOUT: Duration = Duration::from_secs(60);

/// One part: its name in the archive and its text, without secrets.
type Part = (String, String);

/// Everything that can be had.
pub fn collect(system: &dyn System) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut add = |name: String, text: &str| {
        // Before anything is cut off: what says that a line is a secret may be in front of it.
        let text = redact(text);
        let mut start = text.len().saturating_sub(LONGEST);
        while !text.is_char_boundary(start) {
            start += 1;
        }
        parts.push((name, text[start..].to_owned()));
    };
    for words in COMMANDS {
        let command = Command::new(words[0])
            .args(words[1..].iter().copied())
            .timeout(TIMEOUT)
            // What the checker finds is no failure of this.
            .also_good(&[1, 3, 4]);
        let name: String = words
            .join("-")
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '-' {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        match system.run(&command) {
            Ok(output) => add(
                format!("commands/{name}.txt"),
                &String::from_utf8_lossy(&output.stdout),
            ),
            Err(error) => add(format!("commands/{name}.failed.txt"), &error.to_string()),
        }
    }
    for file in FILES {
        if let Ok(bytes) = system.read_file(Path::new(file)) {
            add(format!("files{file}"), &String::from_utf8_lossy(&bytes));
        }
    }
    for (folder, end) in FOLDERS {
        for name in system.list_dir(Path::new(folder)).unwrap_or_default() {
            let path = Path::new(folder).join(&name);
            if name.ends_with(end)
                && let Ok(bytes) = system.read_file(&path)
            {
                add(
                    format!("files{}", path.display()),
                    &String::from_utf8_lossy(&bytes),
                );
            }
        }
    }
    parts
}

/// The archive: tar, compressed by zstd.
pub fn bundle(parts: &[Part], now: u64) -> Result<Vec<u8>, XeError> {
    let failed = |e: std::io::Error| {
        XeError::failure("INTERNAL_ERROR", format!("the archive cannot be made: {e}"))
    };
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in parts {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(now);
        archive
            .append_data(
                &mut header,
                format!("bedplate-status/{name}"),
                text.as_bytes(),
            )
            .map_err(failed)?;
    }
    let bytes = archive.into_inner().map_err(failed)?;
    zstd::encode_all(bytes.as_slice(), 3).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use steps::RecordingSystem;

    #[test]
    fn everything_is_in_it_but_secrets() {
        let system = RecordingSystem::new()
            .prints("xl info", "xen_version : 4.20\n")
            .prints("journalctl --boot", "webhook token=hunter2\n")
            .fails("vgs", 5, "no locking")
            .file("/etc/systemd/network/30-xenbr0.network", "[Match]\n")
            .file(
                "/etc/libvirt/libxl/web.xml",
                "<graphics passwd='hunter2'/>\n",
            )
            .file("/etc/shadow", "root:$y$hunter2\n");
        let bytes = bundle(&collect(&system), 7).unwrap();
        let tar = zstd::decode_all(bytes.as_slice()).unwrap();
        let mut texts = std::collections::BTreeMap::new();
        for entry in tar::Archive::new(tar.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let name = entry.path().unwrap().display().to_string();
            texts.insert(name.replace("bedplate-status/", ""), text);
        }
        assert_eq!(texts["commands/xl-info.txt"], "xen_version : 4.20\n");
        assert!(
            texts
                .keys()
                .any(|name| name.starts_with("commands/vgs") && name.ends_with("failed.txt"))
        );
        assert!(texts.contains_key("files/etc/systemd/network/30-xenbr0.network"));
        assert!(texts.contains_key("files/etc/libvirt/libxl/web.xml"));
        assert!(!texts.keys().any(|name| name.contains("shadow")));
        let all: String = texts.into_values().collect();
        assert!(!all.contains("hunter2"), "{all}");
    }

    #[test]
    fn of_a_long_log_the_end_is_kept() {
        let long = "é".repeat(LONGEST) + "newest";
        let system = RecordingSystem::new().file("/etc/os-release", long);
        let parts = collect(&system);
        let (_, text) = parts
            .iter()
            .find(|(name, _)| name == "files/etc/os-release")
            .unwrap();
        assert!(text.ends_with("newest") && text.len() <= LONGEST);
    }
}
