//! Storage repositories.

use super::{Class, Wanted};
use crate::XeError;
use crate::labels::{NAME_DESCRIPTION, NAME_LABEL, OTHER_CONFIG, TAGS};
use crate::local::host_uuid;
use crate::record::{Field, Record};
use serde::Deserialize;
use slots::names::STORAGE_VG;
use steps::{Command, System};

pub(super) const CLASS: Class = Class {
    name: "sr",
    plural: "storage repositories",
    fields: &[
        Field::listed("uuid"),
        NAME_LABEL,
        NAME_DESCRIPTION,
        Field::listed("host"),
        Field::listed("type"),
        Field::listed("content-type"),
        Field::more("physical-size"),
        Field::more("physical-utilisation"),
        Field::more("vdi-count"),
        OTHER_CONFIG,
        TAGS,
    ],
    labeled: true,
    single: false,
    read,
    write: None,
};

/// A volume group as `vgs` reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeGroup {
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
struct Report {
    report: Vec<Groups>,
}

#[derive(Deserialize)]
struct Groups {
    vg: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    vg_uuid: String,
    vg_attr: String,
    vg_size: String,
    vg_free: String,
    lv_count: String,
}

/// The local storage repository's volume group; none where there is none.
pub fn volume_group(system: &dyn System) -> Result<Option<VolumeGroup>, steps::RunError> {
    // A selection that matches nothing is no error for vgs; the name of a group that is not there would be.
    let output = system.run(
        &Command::new("vgs")
            .args(["--reportformat", "json", "--units", "b", "--nosuffix"])
            .args(["-o", "vg_uuid,vg_attr,vg_size,vg_free,lv_count"])
            .args(["--select", &format!("vg_name={STORAGE_VG}")]),
    )?;
    Ok(parse(&output.stdout))
}

fn parse(json: &[u8]) -> Option<VolumeGroup> {
    let report: Report = serde_json::from_slice(json).ok()?;
    let group = report
        .report
        .into_iter()
        .flat_map(|groups| groups.vg)
        .next()?;
    Some(VolumeGroup {
        uuid: group.vg_uuid,
        size: group.vg_size.parse().ok()?,
        free: group.vg_free.parse().ok()?,
        volumes: group.lv_count.parse().ok()?,
        // vgs(8): the fourth character of the attributes is `p` for a group with a missing physical volume.
        partial: group.vg_attr.chars().nth(3) == Some('p'),
    })
}

fn read(system: &dyn System, _: &Wanted<'_>) -> Result<Vec<Record>, XeError> {
    let Some(group) = volume_group(system).map_err(|e| XeError::system(&e))? else {
        return Ok(Vec::new());
    };
    Ok(vec![
        Record::new()
            .with("uuid", group.uuid)
            .with("name-label", "Local storage")
            .with("name-description", format!("LVM volume group {STORAGE_VG}"))
            .with("host", host_uuid(system).map(|uuid| uuid.to_string()))
            .with("type", "lvm")
            .with("content-type", "user")
            .with("physical-size", group.size)
            .with(
                "physical-utilisation",
                group.size.saturating_sub(group.free),
            )
            .with("vdi-count", group.volumes),
    ])
}

#[cfg(test)]
pub(crate) const VGS: &str = r#"{"report":[{"vg":[{"vg_uuid":"k3xQ2a-1111-2222-3333-4444-5555-abcdef",
    "vg_attr":"wz--n-","vg_size":"21470642176","vg_free":"21470642176","lv_count":"0"}]}],"log":[]}"#;

#[cfg(test)]
mod tests {
    use super::*;
    use steps::RecordingSystem;

    #[test]
    fn sizes_are_bytes_and_a_missing_disk_shows() {
        let group = volume_group(&RecordingSystem::new().prints("vgs", VGS))
            .unwrap()
            .unwrap();
        assert_eq!(
            (group.size, group.free, group.partial),
            (21_470_642_176, 21_470_642_176, false)
        );
        let partial = VGS.replace("wz--n-", "wz-pn-");
        assert!(
            volume_group(&RecordingSystem::new().prints("vgs", &partial))
                .unwrap()
                .unwrap()
                .partial
        );
    }

    #[test]
    fn no_group_is_an_empty_list_and_no_lvm_is_a_failure() {
        let empty = RecordingSystem::new().prints("vgs", r#"{"report":[{"vg":[]}]}"#);
        assert_eq!(read(&empty, &Wanted(&[])).unwrap(), []);
        let broken = RecordingSystem::new().fails("vgs", 5, "no locking");
        assert!(
            read(&broken, &Wanted(&[]))
                .unwrap_err()
                .message
                .contains("no locking")
        );
    }
}
