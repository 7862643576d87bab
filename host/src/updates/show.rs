//! What `xe patch-list` and `xe host-param-list` show about updates.

use super::state::{Offered, UpdateState};
use crate::clock;
use crate::hotfix::Places;
use crate::record::{Record, Value};
use std::collections::BTreeMap;
use steps::System;

/// Field of hosts: what automatic updates came to last.
pub const UPDATES: &str = "updates";
/// State of a release that the repository gives, and that is not here.
pub const AVAILABLE: &str = "available";

fn kind(offered: &Offered) -> &'static str {
    match offered.kind {
        release::HotfixKind::Security => "security",
        release::HotfixKind::Feature => "feature",
    }
}

/// The value of [`UPDATES`].
pub fn update_map(system: &dyn System) -> Value {
    let state = UpdateState::read(system, &Places::default().update_state());
    let mut map = BTreeMap::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            map.insert(name.to_owned(), value);
        }
    };
    put("status", Some(state.told.status.clone()));
    put("reason", Some(state.told.text.clone()));
    put("looked", state.looked.and_then(clock::shown));
    put("look-error", Some(state.looks.error.clone()));
    put("install-error", Some(state.work.error.clone()));
    if let Some(offered) = &state.offered {
        put("available", Some(offered.version.clone()));
        put("available-uuid", Some(offered.uuid.clone()));
        put("available-kind", Some(kind(offered).to_owned()));
        put(
            "available-bytes",
            offered.bytes.map(|bytes| bytes.to_string()),
        );
        put("first-seen", clock::shown(offered.first_seen));
    }
    Value::Map(map)
}

/// Adds to the hotfixes of this host what is known about the release that is offered: a record of its own where there is none, and
/// else the reason why it waits.
pub fn add_to_patches(system: &dyn System, records: &mut Vec<Record>) {
    let state = UpdateState::read(system, &Places::default().update_state());
    let Some(offered) = &state.offered else {
        return;
    };
    let own = records
        .iter_mut()
        .find(|record| record.text("uuid").as_deref() == Some(offered.uuid.as_str()));
    match own {
        Some(record) => {
            let open = ["uploaded", "applying", "restart-needed"];
            if record
                .text("state")
                .is_some_and(|state| open.contains(&state.as_str()))
            {
                *record = std::mem::take(record).with("reason", state.told.text);
            }
        }
        None => records.push(
            Record::new()
                .with("uuid", offered.uuid.clone())
                .with("name-label", format!("bedplate-{}", offered.version))
                .with("name-description", offered.notes.replace('\n', " "))
                .with("size", offered.bytes)
                .with("hosts", Value::Set(Vec::new()))
                .with("after-apply-guidance", "restartHost")
                .with("state", AVAILABLE)
                .with("reason", state.told.text)
                .with("version", offered.version.clone())
                .with("kind", kind(offered))
                .with("cves", Value::Set(offered.cves.clone()))
                .with("changed", clock::shown(offered.first_seen)),
        ),
    }
}
