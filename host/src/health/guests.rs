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

#[cfg(test)]
mod tests {
    use crate::health::testing::*;
    use crate::health::{HealthReport, Outcome};
    use std::time::Duration;
    use steps::{Command, RecordingSystem};

    const WEB: &str = "33333333-3333-4333-8333-333333333333";
    const DB: &str = "44444444-3333-4333-8333-333333333333";
    const V: &str = "virsh -q -c xen:///system";

    /// The same host with two guests that start with it, of which these run.
    fn with_guests(running: &[&str]) -> RecordingSystem {
        let line = |uuid: &&str| format!("{uuid} {}\n", if *uuid == WEB { "web" } else { "db 1" });
        let lines = |uuids: &[&str]| uuids.iter().map(line).collect::<String>();
        let disk = "/dev/bedplate/vdi-d5a35e3c-4a0e-4d1e-9f2d-0e6a0c1c2b3a";
        let definition = format!(
            "<domain type='xen'><name>web</name><uuid>{WEB}</uuid><devices>\
             <disk type='block' device='disk'><source dev='{disk}'/><target dev='xvda'/></disk></devices></domain>"
        );
        good_host()
            .prints(
                &format!("{V} list --uuid --name --all --autostart"),
                &lines(&[WEB, DB]),
            )
            .prints(
                &format!("{V} list --uuid --name --autostart"),
                &lines(running),
            )
            .prints(&format!("{V} dumpxml"), &definition)
            .file("/etc/libvirt/libxl/web.xml", "web, as it is")
            .file("/etc/libvirt/libxl/db 1.xml", "db, as it is")
            .file(disk, "")
    }

    fn guests_of(report: &HealthReport) -> (Outcome, String) {
        let check = report.checks.iter().find(|check| check.name == "guests");
        check
            .map(|check| (check.outcome, check.reason.clone()))
            .unwrap()
    }

    #[test]
    fn a_release_that_cannot_start_the_guests_of_the_host_goes_back() {
        let kept = before(&with_guests(&[WEB]));
        let on_trial = esp(&state(Some(OTHER), Some(RUNNING), 0));
        let cannot = with_guests(&[])
            .fails(
                &format!("{V} start"),
                1,
                "error: libxenlight failed\nno such hypercall",
            )
            .file(BEFORE, kept.clone());
        let report = check_once(&cannot, &on_trial);
        assert!(!report.passed, "{report}");
        let (outcome, reason) = guests_of(&report);
        assert_eq!(outcome, Outcome::Fail);
        assert!(
            reason.starts_with("web ran before this release and does not start: ")
                && reason.contains("no such hypercall"),
            "{reason}"
        );
        assert!(!reason.contains("db"), "it did not run before: {reason}");
        // It only has to be asked once more.
        let late = with_guests(&[DB])
            .prints(&format!("{V} start {WEB}"), "")
            .file(BEFORE, kept);
        let report = check_once(&late, &on_trial);
        assert!(report.passed, "{report}");
        assert_eq!(guests_of(&report).0, Outcome::Pass);
    }

    /// Where all of them hang, the verdict must still come before `bedplate-health.service` is ended after nine minutes: six of
    /// them are for waiting.
    #[test]
    fn no_command_of_the_check_may_hang_for_long() {
        let kept = before(&with_guests(&[WEB]));
        let system = with_guests(&[])
            .prints(&format!("{V} start"), "")
            .file(BEFORE, kept);
        check_once(&system, &esp(&state(Some(OTHER), Some(RUNNING), 0)));
        let commands = system.commands();
        let longest: Duration = commands.iter().map(Command::limit).sum();
        assert!(
            commands
                .iter()
                .any(|command| command.to_string().contains("start"))
        );
        assert!(
            longest <= Duration::from_secs(5 * 60),
            "{longest:?}: {commands:?}"
        );
    }

    #[test]
    fn a_guest_that_its_administrator_broke_makes_no_release_fall_back() {
        let kept = before(&with_guests(&[WEB]));
        let trial = state(Some(OTHER), Some(RUNNING), 0);
        let cannot = || with_guests(&[DB]).fails(&format!("{V} start"), 1, "error: no");
        let other_root = String::from_utf8(kept.clone())
            .unwrap()
            .replace(RUNNING, OTHER);
        let no_disk = String::from_utf8(kept.clone()).unwrap();
        for (name, system, state, words) in [
            ("nothing is known about before", cannot(), trial.clone(), "running: web"),
            ("what is known is about another try", cannot().file(BEFORE, other_root), trial.clone(), "running: web"),
            (
                "it was changed meanwhile",
                cannot().file(BEFORE, kept.clone()).file("/etc/libvirt/libxl/web.xml", "web, changed"),
                trial.clone(),
                "web (changed since the hotfix was applied)",
            ),
            (
                "its disk is gone",
                cannot().file(BEFORE, no_disk).prints(
                    &format!("{V} dumpxml"),
                    "<domain type='xen'><name>web</name><uuid>3</uuid><devices><disk type='file' device='disk'>\
                     <source file='/srv/gone.raw'/><target dev='xvda'/></disk></devices></domain>",
                ),
                trial,
                "web (/srv/gone.raw is not there)",
            ),
            (
                "nothing is on trial",
                cannot().file(BEFORE, kept),
                state(Some(RUNNING), None, 0),
                "running: web",
            ),
        ] {
            let report = check_once(&system, &esp(&state));
            assert!(report.passed, "{name}: {report}");
            let (outcome, reason) = guests_of(&report);
            assert_eq!(outcome, Outcome::Warn, "{name}: {report}");
            assert!(reason.contains(words), "{name}: {reason}");
            let started = system.command_lines().iter().any(|line| line.contains(" start "));
            assert!(!started, "{name}: nobody asked for it to be started");
        }
        let all = check_once(
            &with_guests(&[WEB, DB]),
            &esp(&state(Some(RUNNING), None, 0)),
        );
        assert_eq!(
            guests_of(&all),
            (
                Outcome::Pass,
                "all 2 guests that start with the host run".to_owned()
            )
        );
    }
}
