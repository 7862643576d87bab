//! The files that make a root image this host: what lies over the image's /etc, and root's home.

mod hooks;
mod network;
mod settings;

pub use hooks::first_boot_files;
pub use network::network_files;
pub use settings::{UNITS, enable_files, settings_files};

use crate::choices::{AddressChoice, StorageKind};
use crate::plan::Plan;
use serde::Serialize;
use slots::gpt::Guids;
use slots::layout::PartitionKind;
use slots::names::{
    ESP_LINK, LOCAL_STORAGE, PART_STORAGE, STORAGE_FILES, STORAGE_FILES_LV, STORAGE_VG,
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Group `shadow` in Debian, a fixed number (base-passwd).
pub const SHADOW_GID: u32 = 42;

/// Where `host` looks for the license, below /etc.
const LICENSE: &str = "bedplate/license.token";

/// A file of the host.
#[derive(Clone, PartialEq, Eq)]
pub struct HostFile {
    /// Path below the folder that it goes into, for example `systemd/network/10-xenbr0.netdev`.
    pub path: String,
    /// What it is.
    pub content: Content,
}

/// What a [`HostFile`] is.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// A regular file, owned by root.
    File {
        /// Bytes.
        bytes: Vec<u8>,
        /// Permissions.
        mode: u32,
        /// Numeric group.
        group: u32,
    },
    /// A symbolic link.
    Link {
        /// Where it points.
        target: String,
    },
}

/// What the files say beyond the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostIdentity {
    /// PARTUUIDs of the disk, or of both of a mirror.
    pub members: Vec<Guids>,
    /// PARTUUIDs of the partitions of disks that are storage repositories.
    pub extra_storage: Vec<Uuid>,
    /// Volume groups that stayed, each with how it keeps the disks of guests.
    pub kept: BTreeMap<String, StorageKind>,
    /// Random identity of the host: machine-id(5).
    pub machine_id: Uuid,
    /// SHA-256 of the plan.
    pub plan_sha256: String,
    /// Seconds since 1970 at which the host is installed.
    pub installed_unix: u64,
}

impl HostIdentity {
    /// By which name the host knows its partition of that kind: the PARTUUID of the one that it has, or for a mirror the
    /// array, and of its ESPs the one that the initrd chose.
    fn partition(&self, kind: PartitionKind) -> String {
        match (self.members.as_slice(), kind) {
            ([one], _) => format!("/dev/disk/by-partuuid/{}", one.of(kind)),
            (_, PartitionKind::Esp) => ESP_LINK.to_owned(),
            _ => kind.array_device(),
        }
    }
}

/// Why the files could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostFileError {
    /// The image's shadow file has no root.
    #[error(
        "the root image's /etc/shadow has no line for root; the release is not usable, build it anew"
    )]
    NoRoot,
}

fn text(path: &str, content: impl Into<String>) -> HostFile {
    let bytes = content.into().into_bytes();
    HostFile {
        path: path.into(),
        content: Content::File {
            bytes,
            mode: 0o644,
            group: 0,
        },
    }
}

/// Everything that goes over the image's /etc. `image_shadow` is the image's own /etc/shadow.
pub fn etc_files(
    plan: &Plan,
    identity: &HostIdentity,
    image_shadow: &str,
) -> Result<Vec<HostFile>, HostFileError> {
    let system = &plan.system;
    let days = identity.installed_unix / 86_400;
    let hash = plan
        .root_password
        .as_ref()
        .map_or("*", |hash| hash.expose());
    let shadow = shadow_with_root(image_shadow, hash, days).ok_or(HostFileError::NoRoot)?;
    let zone = system.timezone.as_str();
    let mut files = vec![
        text("hostname", format!("{}\n", system.hostname)),
        text("hosts", hosts(plan)),
        HostFile {
            path: "shadow".into(),
            content: Content::File {
                bytes: shadow.into_bytes(),
                mode: 0o640,
                group: SHADOW_GID,
            },
        },
        HostFile {
            path: "localtime".into(),
            content: Content::Link {
                target: format!("/usr/share/zoneinfo/{zone}"),
            },
        },
        text("timezone", format!("{zone}\n")),
        HostFile {
            path: "machine-id".into(),
            content: Content::File {
                bytes: format!("{}\n", identity.machine_id.simple()).into_bytes(),
                mode: 0o444,
                group: 0,
            },
        },
        text(
            "fstab",
            fstab(&identity.partition(PartitionKind::Esp)) + &storage_mounts(plan, identity),
        ),
        text("lvm/lvmlocal.conf", lvm(plan, identity)),
        text("bedplate/install.json", install_json(plan, identity)),
    ];
    if let Some(token) = &plan.license {
        files.push(HostFile {
            path: LICENSE.into(),
            content: Content::File {
                bytes: format!("{}\n", token.expose()).into_bytes(),
                mode: 0o600,
                group: 0,
            },
        });
    }
    files.extend(settings_files(system));
    files.extend(network_files(&plan.network));
    Ok(files)
}

/// What root's `authorized_keys` holds; none when there are no keys.
pub fn authorized_keys(plan: &Plan) -> Option<HostFile> {
    if plan.system.ssh_keys.is_empty() {
        return None;
    }
    let mut lines = String::new();
    for key in &plan.system.ssh_keys {
        lines.push_str(key.as_str());
        lines.push('\n');
    }
    let content = Content::File {
        bytes: lines.into_bytes(),
        mode: 0o600,
        group: 0,
    };
    Some(HostFile {
        path: "authorized_keys".into(),
        content,
    })
}

/// `shadow` with `hash` as root's password, changed on day `days` since 1970. None without a line for root.
fn shadow_with_root(shadow: &str, hash: &str, days: u64) -> Option<String> {
    let mut found = false;
    let mut out = String::with_capacity(shadow.len() + hash.len());
    for line in shadow.lines() {
        match line.strip_prefix("root:") {
            Some(rest) if !found => {
                found = true;
                let mut fields: Vec<&str> = rest.split(':').collect();
                fields.resize(8, "");
                let days = days.to_string();
                fields[0] = hash;
                // 0 would mean that the password must be changed at the first login.
                fields[1] = if days == "0" { "" } else { &days };
                out.push_str("root:");
                out.push_str(&fields.join(":"));
            }
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    found.then_some(out)
}

fn hosts(plan: &Plan) -> String {
    let name = &plan.system.hostname;
    let names = if name.short() == name.as_str() {
        name.to_string()
    } else {
        format!("{name} {}", name.short())
    };
    let address = match plan.network.management().map(|bridge| &bridge.address) {
        Some(AddressChoice::Static(fixed)) => fixed.address.address.to_string(),
        _ => "127.0.1.1".to_owned(),
    };
    format!(
        "127.0.0.1\tlocalhost\n{address}\t{names}\n\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
    )
}

fn fstab(esp: &str) -> String {
    // A name that systemd and mount(8) know without udev.
    let esp = match esp.strip_prefix("/dev/disk/by-partuuid/") {
        Some(uuid) => format!("PARTUUID={uuid}"),
        None => esp.to_owned(),
    };
    format!(
        "# The root, /etc, /var and the other places of the host are mounted by the initrd.\n\
         # nofail: a host whose ESP is damaged must come up all the same.\n\
         {esp}\t/boot/efi\tvfat\tumask=0077,nofail,x-systemd.device-timeout=300s\t0\t2\n"
    )
}

/// The name, volume group and kind of each storage repository of the host.
fn storage_of<'p>(plan: &'p Plan, identity: &HostIdentity) -> Vec<(&'p str, String, StorageKind)> {
    let local = (
        LOCAL_STORAGE,
        STORAGE_VG.to_owned(),
        Some(plan.disk.storage),
    );
    let extra = plan
        .storage
        .iter()
        .map(|storage| (storage.name.as_str(), storage.name.group(), storage.kind));
    std::iter::once(local)
        .chain(extra)
        .map(|(name, group, kind)| {
            let kept = identity.kept.get(&group).copied();
            (name, group, kept.or(kind).unwrap_or_default())
        })
        .collect()
}

/// The lines of fstab for storage repositories that keep files. systemd makes the folders.
fn storage_mounts(plan: &Plan, identity: &HostIdentity) -> String {
    storage_of(plan, identity)
        .iter()
        .filter(|(.., kind)| *kind == StorageKind::Ext)
        .map(|(name, group, _)| {
            format!(
                "/dev/{group}/{STORAGE_FILES_LV}\t{STORAGE_FILES}/{name}\text4\tnofail,x-systemd.device-timeout=300s\t0\t2\n"
            )
        })
        .collect()
}

/// Another disk with a Bedplate (one half of an old mirror, the disk of another host) has a volume group of the same name,
/// and LVM refuses to work with two. lvm.conf(5): a device is taken where any of its names is accepted, and left out where
/// any is refused and none accepted; one that no pattern fits is taken.
fn lvm(plan: &Plan, identity: &HostIdentity) -> String {
    let quoted = |list: Vec<String>| list.join(", ");
    let groups = storage_of(plan, identity)
        .into_iter()
        .map(|(_, group, _)| format!("\"{group}\""));
    let groups = quoted(groups.collect());
    let extra = identity
        .extra_storage
        .iter()
        .map(|uuid| format!("/dev/disk/by-partuuid/{uuid}"));
    let own = std::iter::once(identity.partition(PartitionKind::Storage)).chain(extra);
    let own = quoted(own.map(|device| format!("\"a|^{device}$|\"")).collect());
    format!(
        "# dom0 activates its own storage repositories and nothing of its guests.\n\
         activation {{\n\tauto_activation_volume_list = [ {groups} ]\n}}\n\
         # The storage partitions of this host, and no other disk's that is called the same.\n\
         devices {{\n\tglobal_filter = [ {own}, \
         \"r|^/dev/disk/by-partlabel/{PART_STORAGE}$|\" ]\n}}\n"
    )
}

/// What the host knows about its installation.
#[derive(Serialize)]
struct InstallRecord<'a> {
    schema: u32,
    version: &'a str,
    root_id: &'a str,
    plan_sha256: &'a str,
    installed_unix: u64,
    disk: &'a crate::plan::DiskIdentity,
    #[serde(skip_serializing_if = "Option::is_none")]
    mirror: Option<&'a crate::plan::DiskIdentity>,
    esp_partuuid: Option<Uuid>,
}

fn install_json(plan: &Plan, identity: &HostIdentity) -> String {
    let record = InstallRecord {
        schema: 1,
        version: &plan.release.version,
        root_id: plan.release.root.id(),
        plan_sha256: &identity.plan_sha256,
        installed_unix: identity.installed_unix,
        disk: &plan.disk.identity,
        mirror: plan.disk.mirror.as_ref().map(|half| &half.identity),
        esp_partuuid: identity
            .members
            .first()
            .map(|first| first.of(PartitionKind::Esp)),
    };
    // Plain fields only: serializing them cannot fail, and an empty record would be told by its reader.
    serde_json::to_string_pretty(&record).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_roots_line_of_shadow_changes() {
        let shadow =
            "daemon:*:20779:0:99999:7:::\nroot:!*:1:0:99999:7:::\nrootless:*:1:0:99999:7:::\n";
        let changed = shadow_with_root(shadow, "$6$s$h", 20780).unwrap();
        assert_eq!(
            changed,
            "daemon:*:20779:0:99999:7:::\nroot:$6$s$h:20780:0:99999:7:::\nrootless:*:1:0:99999:7:::\n"
        );
        assert_eq!(shadow_with_root("daemon:*:1::::::\n", "x", 1), None);
        assert_eq!(
            shadow_with_root("root:*:1::::::", "*", 0).unwrap(),
            "root:*:::::::\n"
        );
    }
}
