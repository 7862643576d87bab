//! The host that this runs on: its name, identity and running release.

use crate::XeError;
use crate::error::chain;
use slots::{BootRecord, names};
use std::path::Path;
use steps::System;
use uuid::Uuid;

/// The bridge that management and guests use.
pub const MANAGEMENT_BRIDGE: &str = "xenbr0";

/// A number that the kernel makes at each start. Source: Linux `Documentation/admin-guide/sysctl/kernel.rst`.
pub(crate) const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A short file as text without the line end; none where it cannot be read.
pub fn short_text(system: &dyn System, path: impl AsRef<Path>) -> Option<String> {
    let bytes = system.read_file(path.as_ref()).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim().to_owned()).filter(|text| !text.is_empty())
}

/// The files of a folder whose names end in `suffix`, without it. A folder that is not there has none; a file that is being
/// written has a dot in front of its name, and is none yet.
///
/// # Errors
/// The folder cannot be read.
pub fn names_in(system: &dyn System, folder: &str, suffix: &str) -> Result<Vec<String>, XeError> {
    let folder = Path::new(folder);
    if !system.exists(folder) {
        return Ok(Vec::new());
    }
    let names = system.list_dir(folder).map_err(|e| XeError::system(&e))?;
    Ok(names
        .iter()
        .filter(|name| !name.starts_with('.'))
        .filter_map(|name| name.strip_suffix(suffix))
        .map(str::to_owned)
        .collect())
}

/// What the initrd recorded about this boot.
pub fn boot_record(system: &dyn System) -> Result<BootRecord, String> {
    boot_record_at(system, Path::new(names::BOOT_RECORD))
}

/// The same, from another place.
pub fn boot_record_at(system: &dyn System, path: &Path) -> Result<BootRecord, String> {
    let bytes = system.read_file(path).map_err(|e| chain(&e))?;
    serde_json::from_slice(&bytes)
        .map_err(|e| format!("{} cannot be understood: {e}", path.display()))
}

/// What the initrd records of an ordinary boot of the release `version` from the root `device`.
#[cfg(test)]
pub(crate) fn boot_of(version: &str, device: &str) -> BootRecord {
    BootRecord {
        mode: slots::Mode::Host,
        root: slots::RootIdentity {
            version: version.into(),
            image_name: "x.root.img".into(),
            image_size: 8192,
            image_sha256: "a".repeat(64),
            verity: slots::Verity {
                data_blocks: 1,
                salt: String::new(),
                root_hash: "a".repeat(64),
            },
        },
        root_device: device.into(),
        medium: None,
        state_device: None,
        mirror: None,
        root_opened_ms: 900,
        warnings: Vec::new(),
    }
}

/// The identity of this installation: systemd's machine id, written as a UUID.
pub fn host_uuid(system: &dyn System) -> Option<Uuid> {
    Uuid::parse_str(&short_text(system, "/etc/machine-id")?).ok()
}

/// A UUID for something that has none of its own; always the same one on the same host.
pub fn derived_uuid(host: Option<Uuid>, kind: &str, name: &str) -> Uuid {
    Uuid::new_v5(
        &host.unwrap_or_default(),
        format!("{kind}/{name}").as_bytes(),
    )
}

/// The UUID that the firmware gives this machine, lowercase. Readable by root only.
pub fn hardware_uuid(system: &dyn System) -> Option<String> {
    short_text(system, "/sys/class/dmi/id/product_uuid").map(|uuid| uuid.to_lowercase())
}

/// Addresses of an interface, IPv4 first, without those that are only valid on the link.
pub fn addresses(system: &dyn System, interface: &str) -> Vec<String> {
    let command = steps::Command::new("ip")
        .args(["-json", "address", "show", "dev", interface])
        .timeout(std::time::Duration::from_secs(20));
    system
        .run(&command)
        .map(|output| parse_addresses(&output.stdout))
        .unwrap_or_default()
}

fn parse_addresses(json: &[u8]) -> Vec<String> {
    let links: Vec<serde_json::Value> = serde_json::from_slice(json).unwrap_or_default();
    let mut found: Vec<(String, String)> = links
        .iter()
        .filter_map(|link| link["addr_info"].as_array())
        .flatten()
        .filter(|address| address["scope"] == "global")
        .filter_map(|a| {
            Some((
                a["family"].as_str()?.to_owned(),
                a["local"].as_str()?.to_owned(),
            ))
        })
        .collect();
    // "inet" sorts before "inet6".
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.into_iter().map(|(_, address)| address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_link_alone_are_left_out() {
        let json = br#"[{"ifname":"xenbr0","addr_info":[
            {"family":"inet6","local":"fec0::1","prefixlen":64,"scope":"global"},
            {"family":"inet","local":"10.0.2.15","prefixlen":24,"scope":"global"},
            {"family":"inet6","local":"fe80::1","prefixlen":64,"scope":"link"}]}]"#;
        assert_eq!(parse_addresses(json), ["10.0.2.15", "fec0::1"]);
        assert!(parse_addresses(b"").is_empty());
    }

    #[test]
    fn derived_uuids_stay_and_differ() {
        let host = Uuid::parse_str("0123456789abcdef0123456789abcdef").ok();
        assert_eq!(
            derived_uuid(host, "pif", "eth0"),
            derived_uuid(host, "pif", "eth0")
        );
        assert_ne!(
            derived_uuid(host, "pif", "eth0"),
            derived_uuid(host, "pif", "eth1")
        );
        assert_ne!(
            derived_uuid(host, "pif", "eth0"),
            derived_uuid(None, "pif", "eth0")
        );
    }
}
