//! What `xe patch-list` and `xe host-param-list` show about updates.

use super::state::{Offered, UpdateState};
use crate::clock;
use crate::hotfix::Places;
use crate::record::{Record, Value};
use release::Guidance;
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

/// What is known about updates, by name; what is not known is not in it.
pub fn known(system: &dyn System, places: &Places) -> Vec<(&'static str, String)> {
    let state = UpdateState::read(system, &places.update_state());
    let mut known = Vec::new();
    let mut put = |name: &'static str, value: Option<String>| {
        known.extend(
            value
                .filter(|value| !value.is_empty())
                .map(|value| (name, value)),
        );
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
    known
}

/// The value of [`UPDATES`].
pub fn update_map(system: &dyn System) -> Value {
    let known = known(system, &Places::default());
    Value::Map(
        known
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
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
            let own = record.text("reason").unwrap_or_default();
            let told = state.told.text;
            let reason = match record.text("state").as_deref() {
                // Why it waits; nothing else happened to it.
                Some("uploaded") if !told.is_empty() => told,
                // What happened to it since can be newer than what the last run of the timer said.
                Some("applying" | "restart-needed") => [own, told]
                    .into_iter()
                    .filter(|text| !text.is_empty())
                    .collect::<Vec<_>>()
                    .join("; "),
                _ => own,
            };
            *record = std::mem::take(record).with("reason", reason);
        }
        None => records.push(
            Record::new()
                .with("uuid", offered.uuid.clone())
                .with("name-label", format!("bedplate-{}", offered.version))
                .with("name-description", offered.notes.replace('\n', " "))
                .with("size", offered.bytes)
                .with("hosts", Value::Set(Vec::new()))
                .with("after-apply-guidance", Guidance::RestartHost.name())
                .with("state", AVAILABLE)
                .with("reason", state.told.text)
                .with("version", offered.version.clone())
                .with("kind", kind(offered))
                .with("cves", Value::Set(offered.cves.clone()))
                .with("changed", clock::shown(offered.first_seen)),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps::RecordingSystem;

    #[test]
    fn what_the_timer_said_hides_nothing_that_happened_to_a_hotfix() {
        let json = r#"{"schema":1,"offered":{"version":"1.0.1","uuid":"u","kind":"security","notes":"","cves":[],"bytes":1,
            "first_seen":1},"told":{"status":"waiting","text":"waits for the window","shown":true,"at":1}}"#;
        let system = RecordingSystem::new().file(Places::default().update_state(), json);
        for (state, own, shown) in [
            ("uploaded", "", "waits for the window"),
            ("uploaded", "1.0.2 was applied", "waits for the window"),
            ("applying", "", "waits for the window"),
            ("restart-needed", "written", "written; waits for the window"),
            ("failed", "network: down", "network: down"),
            ("applied", "", ""),
        ] {
            let mut records = vec![
                Record::new()
                    .with("uuid", "u")
                    .with("state", state)
                    .with("reason", own),
            ];
            add_to_patches(&system, &mut records);
            assert_eq!(records.len(), 1);
            assert_eq!(
                records[0].text("reason").unwrap_or_default(),
                shown,
                "{state}"
            );
        }
    }
}
