//! Patches: the release that runs, and the hotfixes that were uploaded.

use super::{Class, Wanted};
use crate::XeError;
use crate::hotfix::{PatchRecord, PatchState, Places, patch_uuid};
use crate::local::{boot_record, host_uuid};
use crate::record::{Field, Record, Value};
use crate::updates::add_to_patches;
use release::Guidance;
use slots::BootRecord;
use steps::System;

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
        Field::listed("state"),
        Field::listed("reason"),
        Field::more("version"),
        Field::more("kind"),
        Field::more_set("cves"),
        Field::more("changed"),
        Field::more("cleaned"),
        Field::more("root-id"),
        Field::more("root-hash"),
    ],
    labeled: false,
    single: false,
    read,
    write: None,
};

fn read(system: &dyn System, _: &Wanted<'_>) -> Result<Vec<Record>, XeError> {
    let boot = boot_record(system).map_err(|e| {
        XeError::failure(
            "INTERNAL_ERROR",
            format!("the running release is not known: {e}"),
        )
    })?;
    let hosts: Vec<String> = host_uuid(system)
        .map(|uuid| uuid.to_string())
        .into_iter()
        .collect();
    let kept = PatchRecord::all(system, &Places::default())?;
    let mut records = Vec::new();
    // The release of the installation was never uploaded, and is the first one all the same.
    if kept.iter().all(|record| record.root != boot.root) {
        records.push(running(&boot).with("hosts", Value::Set(hosts.clone())));
    }
    for record in &kept {
        let runs = record.root == boot.root;
        let on = if runs { hosts.clone() } else { Vec::new() };
        records.push(hotfix(record, runs).with("hosts", Value::Set(on)));
    }
    add_to_patches(system, &mut records);
    Ok(records)
}

/// The release that runs, where it came by no hotfix.
fn running(boot: &BootRecord) -> Record {
    let root = &boot.root;
    Record::new()
        .with("uuid", patch_uuid(&root.verity.root_hash))
        .with("name-label", format!("bedplate-{}", root.version))
        .with(
            "name-description",
            format!("Bedplate {}, running", root.version),
        )
        .with("size", root.image_size)
        .with("after-apply-guidance", Guidance::RestartHost.name())
        .with("state", PatchState::Applied.name())
        .with("reason", "")
        .with("root-id", root.id().to_owned())
        .with("root-hash", root.verity.root_hash.clone())
        .with("version", root.version.clone())
}

fn hotfix(record: &PatchRecord, runs: bool) -> Record {
    let root = &record.root;
    let kind = match record.info.kind {
        release::HotfixKind::Security => "security",
        release::HotfixKind::Feature => "feature",
    };
    // A try that is not decided yet runs, and is no more than that.
    let reason = match (runs, record.state) {
        (true, PatchState::RestartNeeded | PatchState::Applying) => {
            "it runs on trial; its health is being checked".to_owned()
        }
        _ => record.reason.clone(),
    };
    let changed = crate::clock::shown(record.changed);
    Record::new()
        .with("uuid", record.uuid.clone())
        .with("name-label", format!("bedplate-{}", root.version))
        // One line: the list has one for each field.
        .with("name-description", record.info.notes.replace('\n', " "))
        .with("size", record.size)
        .with("after-apply-guidance", record.info.guidance.name())
        .with("state", record.state.name())
        .with("reason", reason)
        .with("version", root.version.clone())
        .with("kind", kind)
        .with("cves", Value::Set(record.info.cves.clone()))
        .with("changed", changed)
        .with("cleaned", record.folder.is_none())
        .with("root-id", root.id().to_owned())
        .with("root-hash", root.verity.root_hash.clone())
}
