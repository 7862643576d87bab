//! Snapshots of virtual machines.

use super::vm::{apply, defined};
use super::{Class, Wanted};
use crate::XeError;
use crate::change::Change;
use crate::commands::Surroundings;
use crate::guest::{Domain, snapshots};
use crate::labels::{NAME_DESCRIPTION, NAME_LABEL, OTHER_CONFIG, TAGS};
use crate::record::{Field, Record};
use steps::System;

pub(super) const CLASS: Class = Class {
    name: "snapshot",
    plural: "snapshots of virtual machines",
    fields: &[
        Field::listed("uuid"),
        NAME_LABEL,
        NAME_DESCRIPTION,
        Field::listed("snapshot-of"),
        Field::listed("snapshot-time"),
        Field::more("domain-type"),
        Field::more("memory-static-max"),
        Field::more("VCPUs-max"),
        Field::more_set("VBDs"),
        OTHER_CONFIG,
        TAGS,
    ],
    labeled: false,
    single: false,
    read,
    write: Some(write),
};

fn read(system: &dyn System, _: &Wanted<'_>) -> Result<Vec<Record>, XeError> {
    Ok(snapshots::all(system)?.iter().map(record).collect())
}

fn record(snapshot: &Domain) -> Record {
    let time = crate::clock::shown(snapshots::time(snapshot));
    let record = Record::new()
        .with("uuid", snapshot.uuid())
        .with("name-label", snapshot.name())
        .with("snapshot-of", snapshot.own(snapshots::OF))
        .with("snapshot-time", time);
    defined(record, snapshot)
}

fn write(around: &Surroundings<'_>, record: &Record, changes: &[Change]) -> Result<(), XeError> {
    let uuid = record.text("uuid").unwrap_or_default();
    let mut snapshot = snapshots::one(around.system, &uuid)?;
    for change in changes {
        apply(&mut snapshot, change)?;
    }
    snapshots::keep(around.system, &snapshot)
}
