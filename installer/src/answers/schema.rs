//! The answer file as it is written. Every key is optional here: what must be there is checked afterwards, so that
//! one run reports everything that is missing or wrong.

mod boot;
mod hook;
mod network;
mod source;

pub use boot::{Boot, BootConsole};
pub use hook::{Hook, HookStage};
pub use network::{Bond, BondMode, Bridge, Ipv6, Name, Network, Static, Static6};
pub use source::Source;

use crate::choices::{After, StorageKind};
use schemars::JsonSchema;
use serde::Deserialize;

/// An answer file: everything an unattended installation needs to know.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerFile {
    /// Version of this format: 1.
    pub schema: Option<u64>,
    /// What follows a finished installation; `reboot` when absent.
    pub on_success: Option<After>,
    /// What follows a failed installation; `shell` when absent.
    pub on_failure: Option<After>,
    /// Which disk to install on.
    pub disk: Option<Disk>,
    /// Storage repositories on disks of their own, beside the one on the disk that is installed on.
    pub storage: Option<Vec<Storage>>,
    /// Name, logins and clock of the host.
    pub system: Option<System>,
    /// How the host is started.
    pub boot: Option<Boot>,
    /// The management network; DHCP on the first interface with a link when absent.
    pub network: Option<Network>,
    /// What to do about hardware that the compatibility list does not approve.
    pub hcl: Option<Hcl>,
    /// The hash of the only plan that may be carried out, from `installer plan`.
    pub expect_plan: Option<String>,
    /// Who hears how the installation goes.
    pub webhook: Option<Webhook>,
    /// The license; everything but automatic updates works without one.
    pub license: Option<License>,
    /// Where the release is fetched from, in place of that of the medium.
    pub source: Option<Source>,
    /// Programs of yours that run in the course of the installation.
    pub hook: Option<Vec<Hook>>,
    /// One file for many machines: what stands in the section that fits goes before what stands above.
    pub host: Option<Vec<Host>>,
}

/// Answers for one of many machines.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Which machine: all properties must fit.
    #[serde(rename = "match")]
    pub matching: Option<HostMatch>,
    /// What of the top of the file does not count for this machine: `["disk.match"]`.
    pub without: Option<Vec<String>>,
    /// What follows a finished installation.
    pub on_success: Option<After>,
    /// What follows a failed installation.
    pub on_failure: Option<After>,
    /// Which disk to install on.
    pub disk: Option<Disk>,
    /// Storage repositories on disks of their own.
    pub storage: Option<Vec<Storage>>,
    /// Name, logins and clock.
    pub system: Option<System>,
    /// How the host is started.
    pub boot: Option<Boot>,
    /// The networks.
    pub network: Option<Network>,
    /// What to do about hardware that the compatibility list does not approve.
    pub hcl: Option<Hcl>,
    /// The hash of the only plan that may be carried out.
    pub expect_plan: Option<String>,
    /// Who hears how the installation goes.
    pub webhook: Option<Webhook>,
    /// The license.
    pub license: Option<License>,
    /// Where the release is fetched from.
    pub source: Option<Source>,
    /// Programs of yours, in place of those at the top of the file.
    pub hook: Option<Vec<Hook>>,
}

/// Properties of a machine. One that a machine does not have does not fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostMatch {
    /// Serial number of the system, whole.
    pub serial: Option<String>,
    /// Hardware address of any of its interfaces.
    pub mac: Option<String>,
    /// UUID of the system.
    pub uuid: Option<String>,
    /// Asset tag of the chassis.
    pub asset_tag: Option<String>,
}

/// Which disk to install on: `path`, `match` or `any_of`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// The disk's device path, for example `/dev/nvme0n1` or a link below `/dev/disk/by-id`.
    pub path: Option<String>,
    /// Properties that the disk must have, all of them. Exactly one disk must match; exactly two with `mirror = true`.
    #[serde(rename = "match")]
    pub matching: Option<DiskMatch>,
    /// In place of `match`, several of it in order of preference: the first that any disk matches counts.
    pub any_of: Option<Vec<DiskMatch>>,
    /// Size of the state partition (settings, logs, hotfixes), for example `"32 GiB"`; a sixteenth of the disk when absent,
    /// 8 GiB at least and 64 GiB at most.
    pub state_size: Option<String>,
    /// How the storage repository on this disk keeps the disks of guests: `lvm` (when absent), each a logical volume; `ext`,
    /// files in an ext4 file system.
    pub storage: Option<StorageKind>,
    /// Install on two disks that hold the same, so that either may fail; `false` when absent. Both match `match`, or
    /// `match` means the first one and `second` the other.
    pub mirror: Option<bool>,
    /// Properties of the second disk of a mirror. Exactly one disk must match.
    pub second: Option<DiskMatch>,
    /// Consent to lose everything that is on the disk, or on both of a mirror; `false` when absent.
    pub wipe: Option<bool>,
    /// Consent to lose the Bedplate host that is on the disk, needed beside `wipe`; `false` when absent.
    pub reinstall: Option<bool>,
    /// A Bedplate host on the disk is upgraded: it gets the release beside the one that it runs, and keeps everything; `false` when
    /// absent. What a host is asked for in the other sections then counts for a disk without one, and may be left out.
    pub upgrade: Option<bool>,
    /// With `wipe` and `reinstall`, the storage repository of that host stays, with the disks of its guests, and only the rest
    /// of the disk is lost; `false` when absent. A disk without such a repository is refused.
    pub keep_storage: Option<bool>,
}

/// Properties of a disk. A property that a disk does not have does not match.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskMatch {
    /// Device path.
    pub path: Option<String>,
    /// Serial number, whole.
    pub serial: Option<String>,
    /// World wide name, whole, for example `eui.0025385971b0a4e3`.
    pub wwn: Option<String>,
    /// Model, with `*` and `?` as wildcards.
    pub model: Option<String>,
    /// How it is connected: `nvme`, `sata`, `sas`, `virtio` and so on.
    pub transport: Option<String>,
    /// Smallest size, for example `"400 GB"` or `"400 GiB"`.
    pub size_min: Option<String>,
    /// Largest size.
    pub size_max: Option<String>,
    /// True for disks that turn, false for solid state.
    pub rotational: Option<bool>,
    /// How many disks must match: 1, or 2 in `match` with `mirror = true`; in `[[storage]]` as many as it shall have.
    pub count: Option<u64>,
}

/// A storage repository on disks of its own.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// What it is called: lowercase letters, digits and hyphens.
    pub name: Option<String>,
    /// How it keeps the disks of guests: `lvm` (when absent) or `ext`.
    #[serde(rename = "type")]
    pub kind: Option<StorageKind>,
    /// Properties that its disks must have, all of them. Exactly `count` disks must match, which is 1 when absent.
    #[serde(rename = "match")]
    pub matching: Option<DiskMatch>,
    /// Consent to lose everything that is on these disks; `false` when absent.
    pub wipe: Option<bool>,
    /// These disks are a storage repository of this name, of a host that was installed before, and stay as they are; `false` when
    /// absent.
    pub keep: Option<bool>,
}

/// Name, logins and clock of the host.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct System {
    /// Name of the host, with or without a domain.
    pub hostname: Option<String>,
    /// Hash of root's password as `mkpasswd` or `openssl passwd -6` prints it. Plain text is refused.
    pub root_password_hash: Option<String>,
    /// Public keys that may log in as root by ssh, one line each.
    pub ssh_keys: Option<Vec<String>>,
    /// Time zone, for example `Europe/Berlin`; `Etc/UTC` when absent.
    pub timezone: Option<String>,
    /// Keyboard layout of the consoles, by its XKB name: `de`, `ch-fr`; `us` when absent.
    pub keymap: Option<String>,
    /// Locale of the system, for example `C.UTF-8`; the release's own when absent.
    pub locale: Option<String>,
    /// Services that are switched on or off.
    pub services: Option<Services>,
}

/// Services that are switched on or off.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Services {
    /// Units that start with the host although the release does not start them: `multipathd.service`.
    pub enable: Option<Vec<String>>,
    /// Units that never start.
    pub disable: Option<Vec<String>>,
}

/// What to do about hardware that the compatibility list does not approve.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hcl {
    /// `refuse` (when absent), `warn` or `allow`.
    pub policy: Option<Policy>,
    /// Why `warn` or `allow` is right here; kept in the report.
    pub reason: Option<String>,
}

/// A server that hears how the installation goes: the report, on success and on failure, and each step before it.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where everything is posted to as JSON: `https://install.example.org/report`.
    pub url: Option<String>,
    /// Sent as `Authorization: Bearer`. A secret, only sent by `https`.
    pub token: Option<String>,
    /// SHA-256 of the server's public key, `sha256//...=`: trusted in place of a certificate authority.
    pub pin: Option<String>,
    /// Also tell when each step starts and ends; `true` when absent.
    pub progress: Option<bool>,
}

/// The token is a secret, and the URL may hold one.
impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Webhook(hidden)")
    }
}

/// The license of the host.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct License {
    /// The token as it was issued, in one line.
    pub token: Option<String>,
}

/// The token is a secret.
impl std::fmt::Debug for License {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("License(hidden)")
    }
}

/// What to do about hardware that the compatibility list does not approve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Do not install.
    Refuse,
    /// Install; every finding is a warning, and the reason is kept in the report.
    Warn,
    /// Install; the findings are known, and only the reason is kept in the report.
    Allow,
}

/// The JSON Schema of the answer file, generated from the types above. It also drives the check of shapes, so that
/// there is one list of keys.
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(AnswerFile).to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_closed_everywhere() {
        fn walk(value: &serde_json::Value) -> usize {
            let here = match value.get("properties") {
                Some(_) => {
                    assert_eq!(value["additionalProperties"], false, "open table: {value}");
                    1
                }
                None => 0,
            };
            match value {
                serde_json::Value::Object(map) => here + map.values().map(walk).sum::<usize>(),
                serde_json::Value::Array(list) => list.iter().map(walk).sum(),
                _ => 0,
            }
        }
        assert_eq!(
            walk(&json_schema()),
            20,
            "a table is missing from the schema"
        );
    }
}
