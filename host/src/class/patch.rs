//! Patches. A release is one image, so what is applied is the release that runs.

use super::{Class, Wanted};
use crate::XeError;
use crate::local::{boot_record, host_uuid};
use crate::record::{Field, Record, Value};
use steps::System;
use uuid::Uuid;

pub(super) const CLASS: Class = Class {
    name: "patch",
    plural: "patches",
    fields: &[
        Field::listed("uuid"),
        Field::listed("name-label"),
        Field::listed("name-description"),
        Field::listed("size"),
        Field::listed_set("hosts"),
        Field::listed("after-apply-guidance"),
        Field::more("version"),
        Field::more("root-id"),
        Field::more("root-hash"),
    ],
    read,
};

fn read(system: &dyn System, _: &Wanted<'_>) -> Result<Vec<Record>, XeError> {
    let boot = boot_record(system).map_err(|e| {
        XeError::failure(
            "INTERNAL_ERROR",
            format!("the running release is not known: {e}"),
        )
    })?;
    let root = boot.root;
    let hosts = host_uuid(system)
        .map(|uuid| uuid.to_string())
        .into_iter()
        .collect();
    Ok(vec![
        Record::new()
            .with(
                "uuid",
                Uuid::new_v5(&Uuid::NAMESPACE_OID, root.verity.root_hash.as_bytes()).to_string(),
            )
            .with("name-label", format!("bedplate-{}", root.version))
            .with(
                "name-description",
                format!("Bedplate {}, running", root.version),
            )
            .with("size", root.image_size)
            .with("hosts", Value::Set(hosts))
            .with("after-apply-guidance", "restartHost")
            .with("root-id", root.id().to_owned())
            .with("root-hash", root.verity.root_hash.clone())
            .with("version", root.version),
    ])
}
