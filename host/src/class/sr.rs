//! Storage repositories.

use super::{Class, Wanted};
use crate::XeError;
use crate::labels::{NAME_DESCRIPTION, NAME_LABEL, OTHER_CONFIG, TAGS};
use crate::local::host_uuid;
use crate::record::{Field, Record, Value};
use crate::storage::{self, Kind};
use steps::System;

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
        Field::more("location"),
        Field::more_set("VDIs"),
        OTHER_CONFIG,
        TAGS,
    ],
    labeled: true,
    single: false,
    read,
    write: None,
};

fn read(system: &dyn System, wanted: &Wanted<'_>) -> Result<Vec<Record>, XeError> {
    let repositories = storage::repositories(system)?;
    let disks = match wanted.any(&["VDIs"]) {
        true => storage::disks(system, &repositories)?,
        false => Vec::new(),
    };
    let host = host_uuid(system).map(|uuid| uuid.to_string());
    let record = |repository: &storage::Repository| {
        let place = &repository.place;
        let there = repository.size.is_some();
        let mut description = match repository.kind {
            Kind::Lvm if there => format!("LVM volume group {place}"),
            Kind::Lvm => format!("LVM volume group {place}, which is NOT there"),
            Kind::Ext if there => format!("ext4 at {place}"),
            Kind::Ext => format!("ext4, NOT mounted at {place}"),
            Kind::Iso => format!("Images in {place}"),
        };
        if repository.partial {
            description.push_str(", a disk is MISSING");
        }
        let own = disks
            .iter()
            .filter(|disk| disk.repository == repository.uuid);
        Record::new()
            .with("uuid", repository.uuid.clone())
            .with("name-label", repository.name())
            .with("name-description", description)
            .with("host", host.clone())
            .with("type", repository.kind.name())
            .with(
                "content-type",
                match repository.kind {
                    Kind::Iso => "iso",
                    Kind::Lvm | Kind::Ext => "user",
                },
            )
            .with("physical-size", repository.size)
            .with("physical-utilisation", repository.used)
            .with("location", repository.place.clone())
            .with(
                "VDIs",
                Value::Set(own.map(|disk| disk.uuid.clone()).collect()),
            )
    };
    Ok(repositories.iter().map(record).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::lvm::{LVS, VGS};
    use steps::RecordingSystem;

    #[test]
    fn a_group_that_is_gone_is_shown_as_such_and_no_lvm_is_a_failure() {
        let gone = RecordingSystem::new().prints("vgs", r#"{"report":[{"vg":[]}]}"#);
        let shown = read(&gone, &Wanted(&[])).unwrap();
        assert_eq!(
            shown[0].text("name-description").as_deref(),
            Some("LVM volume group bedplate, which is NOT there")
        );
        assert_eq!(*shown[0].get("physical-size"), Value::Unknown);
        let broken = RecordingSystem::new().fails("vgs", 5, "no locking");
        assert!(
            read(&broken, &Wanted(&[]))
                .unwrap_err()
                .message
                .contains("no locking")
        );
    }

    #[test]
    fn disks_are_only_looked_at_where_they_are_wanted() {
        let system = RecordingSystem::new().prints("vgs", VGS).prints("lvs", LVS);
        read(&system, &Wanted(&["uuid"])).unwrap();
        assert_eq!(system.command_lines().len(), 1, "sr-list asks vgs alone");
        let records = read(&system, &Wanted(&["VDIs"])).unwrap();
        let Value::Set(disks) = records[0].get("VDIs") else {
            panic!("no set")
        };
        assert_eq!(
            disks.len(),
            4,
            "with the volume of a repository that was forgotten"
        );
    }
}
