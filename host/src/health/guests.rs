//! The guests that are set to start with the host.

use super::baseline::definition;
use super::checks::{Check, Trial, one_line};
use crate::XeError;
use crate::guest::libvirt;
use std::path::Path;
use std::time::Duration;
use steps::System;

const NAME: &str = "guests";
/// How long the start of a guest is waited for: the whole check ends before systemd's limit for it does
/// (`bedplate-health.service`).
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Each should run. On trial, one that ran before and is as it was then must: it is tried to start it once more, and what keeps
/// it from starting is the reason to go back. All others are told, and no fault of the release.
pub(super) fn check(system: &dyn System, trial: &Trial) -> Check {
    let look = || {
        let all = libvirt::named(system, &["--all", "--autostart"])?;
        let running = libvirt::named(system, &["--autostart"])?;
        Ok::<_, XeError>((all, running))
    };
    let (all, running) = match look() {
        Ok(found) => found,
        Err(e) => return Check::unknown(NAME, one_line(&e.message)),
    };
    let (mut faults, mut notes) = (Vec::new(), Vec::new());
    for (uuid, name) in all.iter().filter(|guest| !running.contains(guest)) {
        match judge(system, trial, uuid, name) {
            Judgment::Started => {}
            Judgment::Fault(why) => faults.push(format!(
                "{name} ran before this release and does not start: {why}"
            )),
            Judgment::Note(why) => notes.push(format!("{name}{why}")),
        }
    }
    if !faults.is_empty() {
        return Check::fail(NAME, faults.join("; "));
    }
    match (all.len(), notes.is_empty()) {
        (0, _) => Check::pass(NAME, "no guest is set to start with the host"),
        (1, true) => Check::pass(NAME, "the guest that starts with the host runs"),
        (count, true) => Check::pass(
            NAME,
            format!("all {count} guests that start with the host run"),
        ),
        (_, false) => Check::warn(
            NAME,
            format!(
                "set to start with the host and not running: {}",
                notes.join(", ")
            ),
        ),
    }
}

/// What it means that a guest does not run.
enum Judgment {
    /// It does now.
    Started,
    /// The release cannot run it.
    Fault(String),
    /// The release may not be at fault; why, behind its name.
    Note(String),
}

fn judge(system: &dyn System, trial: &Trial, uuid: &str, name: &str) -> Judgment {
    let before = trial.before.as_ref();
    let Some(before) = before.and_then(|before| before.guests.get(uuid)) else {
        return Judgment::Note(String::new());
    };
    if definition(system, name).as_ref() != Some(&before.definition) {
        return Judgment::Note(" (changed since the hotfix was applied)".to_owned());
    }
    if let Some(path) = missing_disk(system, uuid) {
        return Judgment::Note(format!(" ({path} is not there)"));
    }
    match libvirt::run_within(system, ["start", uuid], START_TIMEOUT) {
        Ok(_) => Judgment::Started,
        // libvirt was about to start it itself.
        Err(error) if error.message.contains("already running") => Judgment::Started,
        Err(error) => Judgment::Fault(one_line(&error.message)),
    }
}

/// A disk of a guest that is not there. Where its whole repository is not, that is judged as storage.
fn missing_disk(system: &dyn System, uuid: &str) -> Option<String> {
    let domain = libvirt::domain(system, uuid).ok()?;
    let mut sources = domain.disks().into_iter().filter_map(|disk| disk.source);
    sources.find(|source| !system.exists(Path::new(source)))
}
