//! Volume groups of the host: logical volumes as virtual disks.

use super::{Disk, Kind, Repository};
use crate::XeError;
use crate::local::{derived_uuid, host_uuid};
use serde::Deserialize;
use slots::names::STORAGE_VG;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use steps::{Command, System};

/// What stands before the UUID in the name of a volume that `xe` made.
pub const PREFIX: &str = "vdi-";
/// Volumes that hold a repository of another kind are no disks.
pub const REPOSITORY_PREFIX: &str = "sr-";

/// A volume group as `vgs` reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeGroup {
    /// Its name.
    pub name: String,
    /// LVM's own identifier.
    pub uuid: String,
    /// Bytes of the group.
    pub size: u64,
    /// Bytes that are free.
    pub free: u64,
    /// Logical volumes.
    pub volumes: u64,
    /// A physical volume is missing.
    pub partial: bool,
}

#[derive(Deserialize)]
pub(super) struct Report<T> {
    pub(super) report: Vec<T>,
}

#[derive(Deserialize)]
struct Groups {
    vg: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    vg_name: String,
    vg_uuid: String,
    vg_attr: String,
    vg_size: String,
    vg_free: String,
    lv_count: String,
}

#[derive(Deserialize)]
struct Volumes {
    lv: Vec<Volume>,
}

#[derive(Deserialize)]
struct Volume {
    lv_uuid: String,
    lv_name: String,
    lv_size: String,
    origin: String,
    origin_size: String,
    lv_path: String,
}

/// All volume groups that the host sees, also those that are no storage repositories.
pub fn volume_groups(system: &dyn System) -> Result<Vec<VolumeGroup>, XeError> {
    // The name of a group that is not there would be an error for vgs, so all are listed.
    let output = run(
        system,
        Command::new("vgs")
            .args(["--reportformat", "json", "--units", "b", "--nosuffix"])
            .args(["-o", "vg_name,vg_uuid,vg_attr,vg_size,vg_free,lv_count"])
            // A disk that hangs must not hold up the health of the host.
            .timeout(Duration::from_secs(60)),
    )?;
    let report: Report<Groups> = serde_json::from_slice(&output.stdout)
        .map_err(|e| XeError::failure("INTERNAL_ERROR", format!("`vgs` printed no report: {e}")))?;
    let groups = report.report.into_iter().flat_map(|groups| groups.vg);
    Ok(groups.filter_map(parse_group).collect())
}

fn parse_group(group: Group) -> Option<VolumeGroup> {
    Some(VolumeGroup {
        name: group.vg_name,
        uuid: group.vg_uuid,
        size: group.vg_size.parse().ok()?,
        free: group.vg_free.parse().ok()?,
        volumes: group.lv_count.parse().ok()?,
        // vgs(8): the fourth character of the attributes is `p` for a group with a missing physical volume.
        partial: group.vg_attr.chars().nth(3) == Some('p'),
    })
}

/// The volumes that are disks.
pub(super) fn disks(system: &dyn System, repository: &Repository) -> Result<Vec<Disk>, XeError> {
    // The name of a group that is not there would be an error.
    if repository.size.is_none() {
        return Ok(Vec::new());
    }
    let output = run(
        system,
        Command::new("lvs")
            .args(["--reportformat", "json", "--units", "b", "--nosuffix"])
            .args(["-o", "lv_uuid,lv_name,lv_size,origin,origin_size,lv_path"])
            .arg(&repository.place),
    )?;
    let host = host_uuid(system);
    let uuid_of = |volume: &Volume| identity(volume, host);
    let listed = super::ext::listed(system)?;
    // One that no repository is in any more (it was forgotten, or the power went while it was made) is a volume like others.
    let is_repository = |volume: &Volume| {
        volume
            .lv_name
            .strip_prefix(REPOSITORY_PREFIX)
            .is_some_and(|uuid| {
                let is_its = |(_, place): &(String, String)| place.rsplit('/').next() == Some(uuid);
                listed.iter().any(is_its)
            })
    };
    parse_volumes(&output.stdout, uuid_of, is_repository, repository)
}

/// UUID of a volume: in the name where `xe` made it, derived from LVM's own where somebody else did.
fn identity(volume: &Volume, host: Option<uuid::Uuid>) -> String {
    let own = volume.lv_name.strip_prefix(PREFIX);
    match own.filter(|text| uuid::Uuid::try_parse(text).is_ok()) {
        Some(uuid) => uuid.to_owned(),
        None => derived_uuid(host, "vdi", &volume.lv_uuid).to_string(),
    }
}

fn parse_volumes(
    json: &[u8],
    uuid_of: impl Fn(&Volume) -> String,
    is_repository: impl Fn(&Volume) -> bool,
    repository: &Repository,
) -> Result<Vec<Disk>, XeError> {
    let odd = |what: String| XeError::failure("INTERNAL_ERROR", format!("`lvs` printed {what}"));
    let report: Report<Volumes> =
        serde_json::from_slice(json).map_err(|e| odd(format!("no report: {e}")))?;
    let volumes: Vec<Volume> = report
        .report
        .into_iter()
        .flat_map(|volumes| volumes.lv)
        .filter(|volume| !is_repository(volume))
        .collect();
    let by_name: BTreeMap<&str, String> = volumes
        .iter()
        .map(|volume| (volume.lv_name.as_str(), uuid_of(volume)))
        .collect();
    let bytes = |text: &str| {
        text.parse::<u64>()
            .map_err(|_| odd(format!("a size that is none: {text:?}")))
    };
    volumes
        .iter()
        .map(|volume| {
            let used = bytes(&volume.lv_size)?;
            Ok(Disk {
                uuid: uuid_of(volume),
                name: volume.lv_name.clone(),
                repository: repository.uuid.clone(),
                kind: Kind::Lvm,
                path: PathBuf::from(&volume.lv_path),
                // A snapshot has room for every change, so it is larger than what it shows.
                size: match volume.origin.is_empty() {
                    true => used,
                    false => bytes(&volume.origin_size)?,
                },
                used,
                snapshot_of: by_name.get(volume.origin.as_str()).cloned(),
            })
        })
        .collect()
}

/// The command that makes a volume; what looked like a file system or the like in its place is wiped.
fn create_command(group: &str, name: &str, size: u64) -> Command {
    Command::new("lvcreate")
        .args(["--quiet", "--yes", "--wipesignatures", "y", "--zero", "y"])
        .args(["--size", &format!("{size}b"), "--name", name, group])
}

pub(super) fn create(
    system: &dyn System,
    group: &str,
    uuid: &str,
    size: u64,
) -> Result<PathBuf, XeError> {
    let name = format!("{PREFIX}{uuid}");
    run(system, create_command(group, &name, size))?;
    Ok(Path::new("/dev").join(group).join(name))
}

/// The device of the volume that holds the repository with this UUID.
pub(super) fn repository_volume(uuid: &str) -> PathBuf {
    Path::new("/dev")
        .join(STORAGE_VG)
        .join(format!("{REPOSITORY_PREFIX}{uuid}"))
}

/// Makes a volume that will hold a repository.
pub(super) fn create_repository_volume(
    system: &dyn System,
    uuid: &str,
    size: u64,
) -> Result<PathBuf, XeError> {
    run(
        system,
        create_command(STORAGE_VG, &format!("{REPOSITORY_PREFIX}{uuid}"), size),
    )?;
    Ok(repository_volume(uuid))
}

pub(super) fn remove(system: &dyn System, path: &Path) -> Result<(), XeError> {
    run(
        system,
        Command::new("lvremove")
            .args(["--quiet", "--yes"])
            .arg(path),
    )
    .map(drop)
}

/// Removes a volume by its device.
pub fn remove_volume(system: &dyn System, path: &Path) -> Result<(), XeError> {
    remove(system, path)
}

/// Takes a group without volumes away, and what makes disks its members.
pub(super) fn remove_group(system: &dyn System, group: &str) -> Result<(), XeError> {
    let members = run(
        system,
        Command::new("pvs")
            .args(["--noheadings", "-o", "pv_name", "--select"])
            .arg(format!("vg_name={group}")),
    )?;
    // Without --yes, so that volumes that came in between keep the group.
    run(system, Command::new("vgremove").args(["--quiet", group]))?;
    run(
        system,
        Command::new("pvremove")
            .args(["--quiet", "--yes"])
            .args(members.text().split_whitespace()),
    )
    .map(drop)
}

/// Has nothing of the group in use any more.
pub(super) fn deactivate_group(system: &dyn System, group: &str) -> Result<(), XeError> {
    run(
        system,
        Command::new("vgchange").args(["--quiet", "--activate", "n", group]),
    )
    .map(drop)
}

pub(super) fn extend(system: &dyn System, path: &Path, size: u64) -> Result<(), XeError> {
    let command = Command::new("lvextend")
        .args(["--quiet", "--size", &format!("{size}b")])
        .arg(path);
    match run(system, command) {
        // Sizes are rounded up to extents: it may have this size already. The exit code is that of any failure.
        Err(error) if error.message.contains("matches existing size") => Ok(()),
        result => result.map(drop),
    }
}

/// Makes a snapshot of a volume with room for every change, so that it never becomes invalid. Returns its device.
pub fn snapshot(system: &dyn System, origin: &Path, uuid: &str) -> Result<PathBuf, XeError> {
    let name = format!("{PREFIX}{uuid}");
    run(
        system,
        Command::new("lvcreate")
            .args(["--quiet", "--yes", "--snapshot", "--extents", "100%ORIGIN"])
            .args(["--name", &name])
            .arg(origin),
    )?;
    Ok(origin.with_file_name(name))
}

pub(super) fn run(system: &dyn System, command: Command) -> Result<steps::Output, XeError> {
    system.run(&command).map_err(|e| {
        let error = XeError::system(&e);
        match error.message.contains("insufficient free space")
            || error.message.contains("Insufficient free space")
        {
            true => XeError::failure(
                "SR_FULL",
                "The storage repository has too little free space; remove disks or snapshots.",
            ),
            false => XeError::failure("SR_BACKEND_FAILURE", error.message),
        }
    })
}

#[cfg(test)]
pub(crate) const VGS: &str = r#"{"report":[{"vg":[{"vg_name":"bedplate","vg_uuid":"k3xQ2a-1111-2222-3333-4444-5555-abcdef",
    "vg_attr":"wz--n-","vg_size":"21470642176","vg_free":"21470642176","lv_count":"0"}]}],"log":[]}"#;

/// From a host with LVM 2.03.31.
#[cfg(test)]
pub(crate) const LVS: &str = r#"{"report":[{"lv":[
    {"lv_uuid":"OfiE3P-iugL-XfsA-qqAq-U4vc-ZFEU-PHvNAD", "lv_name":"byhand", "lv_size":"33554432",
     "origin":"", "origin_size":"", "lv_path":"/dev/bedplate/byhand"},
    {"lv_uuid":"lLMC2o-9PMj-sTA4-Bd8Q-8vp0-0t7O-He5aey", "lv_name":"vdi-11111111-1111-4111-8111-111111111111",
     "lv_size":"67108864", "origin":"", "origin_size":"67108864",
     "lv_path":"/dev/bedplate/vdi-11111111-1111-4111-8111-111111111111"},
    {"lv_uuid":"7En51z-WOq6-1fwY-0uVW-AJzw-sKQc-yEVcdt", "lv_name":"vdi-22222222-2222-4222-8222-222222222222",
     "lv_size":"71303168", "origin":"vdi-11111111-1111-4111-8111-111111111111", "origin_size":"67108864",
     "lv_path":"/dev/bedplate/vdi-22222222-2222-4222-8222-222222222222"},
    {"lv_uuid":"8En51z-WOq6-1fwY-0uVW-AJzw-sKQc-yEVcdt", "lv_name":"sr-33333333-2222-4222-8222-222222222222",
     "lv_size":"71303168", "origin":"", "origin_size":"", "lv_path":"/dev/bedplate/sr-33333333-2222-4222-8222-222222222222"}
    ]}],"log":[]}"#;

#[cfg(test)]
mod tests {
    use super::*;
    use steps::RecordingSystem;

    fn repository() -> Repository {
        Repository {
            uuid: "sr".into(),
            kind: Kind::Lvm,
            place: STORAGE_VG.into(),
            size: Some(1 << 30),
            used: None,
            device: None,
            partial: false,
        }
    }

    #[test]
    fn sizes_are_bytes_and_a_missing_disk_shows() {
        let group = volume_groups(&RecordingSystem::new().prints("vgs", VGS))
            .unwrap()
            .remove(0);
        assert_eq!(
            (group.size, group.free, group.partial),
            (21_470_642_176, 21_470_642_176, false)
        );
        let partial = VGS.replace("wz--n-", "wz-pn-");
        assert!(
            volume_groups(&RecordingSystem::new().prints("vgs", &partial))
                .unwrap()
                .remove(0)
                .partial
        );
        assert!(volume_groups(&RecordingSystem::new().prints("vgs", "")).is_err());
    }

    #[test]
    fn volumes_are_disks_and_snapshots_know_their_origin() {
        let fstab = "UUID=1 /srv/xen/33333333-2222-4222-8222-222222222222 ext4 nofail 0 2\n";
        let system = RecordingSystem::new()
            .prints("lvs", LVS)
            .file("/etc/fstab", fstab);
        let forgotten = RecordingSystem::new().prints("lvs", LVS);
        let names = |disks: Vec<Disk>| disks.into_iter().map(|disk| disk.name).collect::<Vec<_>>();
        assert!(
            names(disks(&forgotten, &repository()).unwrap())
                .contains(&"sr-33333333-2222-4222-8222-222222222222".to_owned()),
            "what a forgotten repository was in can be found and removed"
        );
        let disks = disks(&system, &repository()).unwrap();
        assert_eq!(disks.len(), 3, "a repository in a volume is no disk");
        assert_eq!(disks[0].name, "byhand");
        assert!(
            uuid::Uuid::try_parse(&disks[0].uuid).is_ok(),
            "what somebody made by hand has a UUID as well"
        );
        assert_eq!(disks[1].uuid, "11111111-1111-4111-8111-111111111111");
        assert_eq!(
            disks[2].snapshot_of.as_deref(),
            Some(disks[1].uuid.as_str())
        );
        assert_eq!(
            (disks[2].size, disks[2].used),
            (67_108_864, 71_303_168),
            "a guest sees the size of the origin"
        );
        let broken = RecordingSystem::new().prints("lvs", "");
        assert!(super::disks(&broken, &repository()).is_err());
    }

    #[test]
    fn a_volume_that_does_not_grow_is_told_unless_it_has_the_size() {
        let fails = |why: &str| {
            let system = RecordingSystem::new().fails("lvextend", 5, why);
            extend(&system, Path::new("/dev/bedplate/a"), 1 << 30)
        };
        fails("  New size (16 extents) matches existing size (16 extents).").unwrap();
        let full = fails("  Insufficient free space: 240 extents needed, but only 3 available");
        assert_eq!(full.unwrap_err().code, "SR_FULL");
        let other = fails("  Logical volume a is being converted.");
        assert_eq!(other.unwrap_err().code, "SR_BACKEND_FAILURE");
    }

    #[test]
    fn a_full_group_has_a_code_of_its_own() {
        let full = RecordingSystem::new().fails(
            "lvcreate",
            5,
            "  Volume group \"bedplate\" has insufficient free space (3 extents): 16 required.",
        );
        assert_eq!(
            create(&full, "bedplate", "1", 1).unwrap_err().code,
            "SR_FULL"
        );
        let other = RecordingSystem::new().fails("lvcreate", 5, "no locking");
        let error = create(&other, "bedplate", "1", 1).unwrap_err();
        assert_eq!(error.code, "SR_BACKEND_FAILURE");
        assert!(error.message.contains("no locking"));
    }
}
