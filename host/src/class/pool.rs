//! The pool, which is this host.

use super::{Class, Wanted};
use crate::XeError;
use crate::labels::{NAME_DESCRIPTION, NAME_LABEL, OTHER_CONFIG, TAGS};
use crate::local::{derived_uuid, host_uuid};
use crate::record::{Field, Record};
use crate::storage;
use steps::System;

pub(super) const CLASS: Class = Class {
    name: "pool",
    plural: "pools",
    fields: &[
        Field::listed("uuid"),
        NAME_LABEL,
        NAME_DESCRIPTION,
        Field::listed("master"),
        Field::listed("default-SR"),
        OTHER_CONFIG,
        TAGS,
    ],
    labeled: true,
    single: true,
    read,
    write: None,
};

fn read(system: &dyn System, _: &Wanted<'_>) -> Result<Vec<Record>, XeError> {
    let host = host_uuid(system);
    let sr = storage::default_repository(system)
        .map(|repository| repository.uuid)
        .unwrap_or_default();
    Ok(vec![
        Record::new()
            .with("uuid", derived_uuid(host, "pool", "pool").to_string())
            .with("name-label", "")
            .with("name-description", "This host alone")
            .with("master", host.map(|uuid| uuid.to_string()))
            .with("default-SR", sr),
    ])
}
