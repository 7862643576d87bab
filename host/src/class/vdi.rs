//! Virtual disks, and the images of media.

use super::{Class, Wanted};
use crate::XeError;
use crate::guest::libvirt;
use crate::labels::{NAME_DESCRIPTION, NAME_LABEL, OTHER_CONFIG, TAGS};
use crate::record::{Field, Record, Value};
use crate::storage::{self, Kind};
use steps::System;

pub(super) const VDI: Class = Class {
    name: "vdi",
    plural: "virtual disks",
    fields: &[
        Field::listed("uuid"),
        NAME_LABEL,
        NAME_DESCRIPTION,
        Field::listed("sr-uuid"),
        Field::listed("virtual-size"),
        Field::listed("sharable"),
        Field::listed("read-only"),
        Field::more("sr-name-label"),
        Field::more("physical-utilisation"),
        Field::more("type"),
        Field::more("location"),
        Field::more("is-a-snapshot"),
        Field::more("snapshot-of"),
        Field::more_set("snapshots"),
        Field::more_set("vbd-uuids"),
        Field::more_set("vm-name-labels"),
        OTHER_CONFIG,
        TAGS,
    ],
    labeled: true,
    single: false,
    read: |system, wanted| read(system, wanted, |_| true),
    write: None,
};

pub(super) const CD: Class = Class {
    name: "cd",
    plural: "images of media",
    fields: &[
        Field::listed("uuid"),
        NAME_LABEL,
        Field::listed("virtual-size"),
        Field::more("sr-uuid"),
        Field::more("location"),
        Field::more_set("vm-name-labels"),
    ],
    labeled: true,
    single: false,
    read: |system, wanted| read(system, wanted, |kind| kind == Kind::Iso),
    write: None,
};

fn read(
    system: &dyn System,
    wanted: &Wanted<'_>,
    which: fn(Kind) -> bool,
) -> Result<Vec<Record>, XeError> {
    let repositories = storage::repositories(system)?;
    let disks = storage::disks(system, &repositories)?;
    let domains = match wanted.any(&["vbd-uuids", "vm-name-labels"]) {
        true => libvirt::domains(system)?,
        false => Vec::new(),
    };
    let record = |disk: &storage::Disk| {
        let path = disk.path.to_string_lossy();
        let users: Vec<_> = domains
            .iter()
            .flat_map(|domain| domain.disks().into_iter().map(move |used| (domain, used)))
            .filter(|(_, used)| used.is_on(system, &disk.path))
            .collect();
        let snapshots = disks
            .iter()
            .filter(|other| other.snapshot_of.as_ref() == Some(&disk.uuid))
            .map(|other| other.uuid.clone());
        let media = disk.kind == Kind::Iso;
        Record::new()
            .with("uuid", disk.uuid.clone())
            .with("name-label", disk.name.clone())
            .with("name-description", "")
            .with("sr-uuid", disk.repository.clone())
            .with(
                "sr-name-label",
                repositories
                    .iter()
                    .find(|repository| repository.uuid == disk.repository)
                    .map(|repository| repository.place.clone()),
            )
            .with("virtual-size", disk.size)
            .with("physical-utilisation", disk.used)
            .with("sharable", false)
            .with("read-only", media)
            .with("type", if media { "ISO" } else { "user" })
            .with("location", path.to_string())
            .with("is-a-snapshot", disk.snapshot_of.is_some())
            .with("snapshot-of", disk.snapshot_of.clone().unwrap_or_default())
            .with("snapshots", Value::Set(snapshots.collect()))
            .with(
                "vbd-uuids",
                Value::Set(
                    users
                        .iter()
                        .map(|(domain, used)| used.uuid(&domain.uuid()))
                        .collect(),
                ),
            )
            .with(
                "vm-name-labels",
                Value::Set(users.iter().map(|(domain, _)| domain.name()).collect()),
            )
    };
    Ok(disks
        .iter()
        .filter(|disk| which(disk.kind))
        .map(record)
        .collect())
}
