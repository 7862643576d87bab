//! Updates without a command: a host on disks in files, a repository behind a real HTTP server, the real `curl`.

use crate::maker;
use crate::mixed::Mixed;
use crate::server::Server;
use crate::site::{Host, NOW};
use host::XeError;
use host::cmdline::Invocation;
use host::commands::{Surroundings, execute};
use host::hotfix::{Machine, PatchRecord, PatchState, RealMachine};
use host::updates::{Automation, Told, UpdatePolicy, UpdateState, Updater};
use host::verbs::DISABLED;
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use steps::sink::FanOut;
use steps::{RealSystem, RecordingSystem, System};

const GUEST: &str = "web        3  256 1 -b----  1.2 11111111-2222-3333-4444-555555555555 - -\n";

/// A host that is set up for updates, and its server.
pub struct Site {
    pub host: Host,
    pub server: Server,
    pub system: Mixed,
    pub now: Cell<u64>,
    pub stall: Duration,
}

impl Site {
    /// The repository holds 1.0.1 with deltas from the release that runs; whole files, too, where `full`.
    pub fn new(full: bool) -> Site {
        let host = Host::new();
        let repository = repository(&host, "network", full, host.new.manifest.epoch);
        let server = Server::new(&repository);
        let site = Site {
            host,
            server,
            system: Mixed::new(""),
            now: Cell::new(NOW),
            stall: Duration::from_secs(20),
        };
        site.set("repository", &site.server.url);
        site.set("wave", "first");
        site.set("window", "always");
        site.set("rate-limit", "0");
        site
    }

    /// Changes the policy.
    pub fn set(&self, name: &str, value: &str) {
        let path = &self.host.places.update_policy;
        let mut policy = UpdatePolicy::read(&self.system, path).unwrap();
        policy.set(name, value).unwrap();
        policy.write(&self.system, path).unwrap();
    }

    pub fn with<T>(&self, machine: &dyn Machine, act: impl FnOnce(&Updater<'_>) -> T) -> T {
        act(&Updater {
            system: &self.system,
            machine,
            places: &self.host.places,
            clock: &|| self.now.get(),
            pause: &|_| {},
            stall: self.stall,
            sinks: &FanOut::new,
        })
    }

    /// One run of the timer, on a licensed host.
    pub fn run(&self) -> Told {
        self.with(&RealMachine, |updater| updater.run(&licensed()).unwrap())
    }

    /// A run after all pauses.
    pub fn run_later(&self) -> Told {
        self.now.set(self.now.get() + 86_400);
        self.run()
    }

    pub fn state(&self) -> UpdateState {
        UpdateState::read(&self.system, &self.host.places.update_state())
    }

    pub fn record(&self) -> Option<PatchRecord> {
        let mut all = PatchRecord::all(&self.system, &self.host.places).unwrap();
        all.pop()
    }

    /// The files that were asked for since the last time, without metadata.
    pub fn targets(&self) -> Vec<String> {
        let all = self.server.served().into_iter();
        all.filter_map(|(path, _)| path.strip_prefix("/targets/").map(str::to_owned))
            .filter(|name| !name.ends_with("release.json"))
            .collect()
    }

    pub fn xe(&self, line: &str) -> Result<String, XeError> {
        let words = line.split(' ').map(str::to_owned);
        execute(
            &Invocation::parse(words)?,
            &Surroundings {
                system: &self.system,
                now: self.now.get(),
                hardware: &license::Machine::default,
                machine: &RealMachine,
                places: &self.host.places,
                sinks: &FanOut::new,
                terminal: &host::terminal::Nobody,
            },
        )
    }

    /// What the console and a login show.
    pub fn shown(&self) -> Option<String> {
        let read = |path: &PathBuf| fs::read_to_string(path).ok();
        let (issue, motd) = (
            read(&self.host.places.update_issue),
            read(&self.host.places.update_motd),
        );
        assert_eq!(
            issue.as_deref().map(str::trim),
            motd.as_deref().map(str::trim)
        );
        motd
    }
}

fn repository(host: &Host, name: &str, full: bool, version: u64) -> PathBuf {
    maker::repository(
        &host.keys,
        Some(&host.old),
        &host.new,
        full,
        maker::stamp(version),
        &host.at(name),
    )
}

pub fn licensed() -> Automation {
    Automation {
        allowed: true,
        reason: "2 of 2 sockets are used".into(),
    }
}

fn unlicensed() -> Automation {
    Automation {
        allowed: false,
        reason: "no license is installed".into(),
    }
}

#[test]
fn a_licensed_host_does_it_all_by_itself() {
    let site = Site::new(true);
    assert_eq!(site.host.next_start(), "1.0.0");
    let told = site.run();
    assert_eq!(told.status, "restarting", "{told:?}");
    assert_eq!(site.host.next_start(), "1.0.1");
    assert!(site.system.restarted());
    assert!(site.system.scripted.exists(Path::new(DISABLED)));
    // Deltas alone, although whole files are there; the microcode is what the host has.
    let targets = site.targets();
    assert_eq!(targets.len(), 4, "{targets:?}");
    assert!(
        targets.iter().all(|name| name.ends_with(".delta")),
        "{targets:?}"
    );
    let record = site.record().unwrap();
    assert_eq!(record.state, PatchState::RestartNeeded);
    assert_eq!(record.info, maker::info());
    assert_eq!(site.shown(), None);
    let offered = site.state().offered.unwrap();
    assert_eq!(offered.bytes, Some(record.size));
}

#[test]
fn after_the_restart_it_is_up_to_date_and_tidy() {
    let site = Site::new(false);
    site.run();
    let mut record = site.record().unwrap();
    let folder = site
        .host
        .places
        .store
        .join(record.folder.as_deref().unwrap());
    assert!(folder.is_dir());
    site.host.boot(&site.host.new.manifest.root, "sda4");
    record.state = PatchState::Applied;
    let json = serde_json::to_vec(&record).unwrap();
    fs::write(site.host.places.record(&record.uuid), json).unwrap();
    let told = site.run_later();
    assert_eq!(told.status, "up-to-date", "{told:?}");
    assert_eq!(site.state().offered, None);
    assert!(!folder.exists(), "nobody else would remove it");
    assert_eq!(site.record().unwrap().folder, None);
}

#[test]
fn an_unlicensed_host_is_told_and_downloads_nothing_but_metadata() {
    let site = Site::new(true);
    let before = site.host.snapshot();
    let run = || site.with(&RealMachine, |updater| updater.run(&unlicensed()).unwrap());
    let told = run();
    assert_eq!(told.status, "available");
    for words in [
        "1.0.1 (security)",
        "`xe host-update-now` installs it",
        "no license is installed",
    ] {
        assert!(told.text.contains(words), "{words}: {}", told.text);
    }
    assert!(site.shown().unwrap().contains("xe host-update-now"));
    assert_eq!(site.targets(), Vec::<String>::new());
    let new: Vec<_> = site
        .host
        .snapshot()
        .into_iter()
        .filter(|(path, bytes)| before.get(path) != Some(bytes))
        .map(|(path, _)| path)
        .collect();
    assert!(
        new.iter()
            .all(|path| path.starts_with(&site.host.places.updates)),
        "{new:?}"
    );
    // The command works all the same, and restarts nothing.
    let said = site.xe("host-update-now").unwrap();
    assert!(said.contains("1.0.1 is written and verified"), "{said}");
    assert_eq!(site.host.next_start(), "1.0.1");
    site.set("restart", "always");
    site.now.set(NOW + 86_400);
    let told = run();
    assert_eq!(told.status, "restart-needed");
    assert!(told.text.contains("by hand"), "{}", told.text);
    assert!(!site.system.restarted());
    assert_eq!(site.shown(), None, "the console says so already");
}

#[test]
fn outside_of_the_window_it_is_fetched_and_not_written() {
    let site = Site::new(false);
    // NOW is a Friday, 08:00 UTC.
    site.set("window", "sat 01:00-05:00");
    let told = site.run();
    assert_eq!(told.status, "waiting");
    assert!(told.text.contains("Sat 2027-01-16 01:00"), "{}", told.text);
    assert!(told.text.contains("`xe host-update-now`"), "{}", told.text);
    assert_eq!(site.record().unwrap().state, PatchState::Uploaded);
    assert_eq!(site.host.next_start(), "1.0.0");
    assert_eq!(site.targets().len(), 4);
    let in_window = NOW + 17 * 3600 + 60;
    site.now.set(in_window);
    // Without the server: everything is here.
    site.server.breaks("", crate::server::Fault::Status(503));
    assert_eq!(site.run().status, "restarting");
    assert_eq!(site.host.next_start(), "1.0.1");
    assert_eq!(site.targets(), Vec::<String>::new());
}

#[test]
fn guests_and_commands_keep_it_from_restarting() {
    let mut site = Site::new(false);
    site.system = Mixed::new(GUEST);
    let told = site.run();
    assert_eq!(told.status, "restart-needed");
    assert!(told.text.contains("the guest web runs"), "{}", told.text);
    assert!(!site.system.restarted() && !site.system.scripted.exists(Path::new(DISABLED)));
    site.set("restart", "never");
    assert!(site.run().text.contains("restart=never"));
    site.set("restart", "always");
    site.run();
    assert!(site.system.restarted());
    // Whether guests run must be known.
    site.system = Mixed::new("");
    site.system.scripted = RecordingSystem::new().fails("xl", 1, "no hypervisor");
    site.set("restart", "no-guests");
    let told = site.run();
    assert!(
        told.text.contains("not known") && !site.system.restarted(),
        "{}",
        told.text
    );
}

#[test]
fn what_failed_here_is_held_until_the_operator_clears_it() {
    let site = Site::new(false);
    site.set("restart", "never");
    site.run();
    let mut record = site.record().unwrap();
    let fail = |record: &mut PatchRecord, at: u64| {
        record.state = PatchState::Failed;
        record.reason = "not healthy: libvirt".into();
        record.changed = at;
        let json = serde_json::to_vec(record).unwrap();
        fs::write(site.host.places.record(&record.uuid), json).unwrap();
    };
    fail(&mut record, NOW + 60);
    site.server.served();
    let told = site.run_later();
    assert_eq!(told.status, "failed-here");
    assert!(
        told.text.contains("host-update-clear") && told.text.contains("libvirt"),
        "{}",
        told.text
    );
    assert!(site.shown().unwrap().contains("libvirt"));
    assert_eq!(site.targets(), Vec::<String>::new());
    let error = site.xe("host-update-now").unwrap_err();
    assert_eq!(error.code, "UPDATE_FAILED_BEFORE");
    assert_eq!(
        site.xe("host-update-clear").unwrap(),
        "1.0.1 is tried again.\n"
    );
    assert_eq!(
        site.xe("host-update-clear").unwrap(),
        "Nothing is held against the release that is offered.\n"
    );
    assert_eq!(site.run_later().status, "restart-needed");
    // Once more is another failure.
    let mut record = site.record().unwrap();
    fail(&mut record, NOW + 10 * 86_400);
    assert_eq!(site.run_later().status, "failed-here");
}

#[test]
fn waves_and_holds_hold_back() {
    let site = Site::new(false);
    site.set("wave", "last");
    assert_eq!(site.run().status, "waiting");
    assert_eq!(site.targets(), Vec::<String>::new());
    // A security hotfix is everywhere after a day.
    site.now.set(NOW + 86_400);
    site.set("hold", "yes");
    let told = site.run();
    assert_eq!(told.status, "on-hold");
    assert_eq!(site.targets(), Vec::<String>::new());
    site.set("hold", "2027-01-16");
    assert_eq!(site.run().status, "restarting");
}

#[test]
fn the_repository_is_looked_at_every_four_hours() {
    let site = Site::new(false);
    site.set("hold", "yes");
    site.run();
    let looks = |seconds: u64| {
        site.server.served();
        site.now.set(NOW + seconds);
        site.run();
        !site.server.served().is_empty()
    };
    assert!(!looks(900));
    assert!(!looks(4 * 3600 - 1));
    assert!(looks(4 * 3600));
    assert!(!looks(4 * 3600 + 60));
    // A clock that went back a year.
    site.now.set(NOW - 365 * 86_400);
    site.server.served();
    site.run();
    assert!(!site.server.served().is_empty());
}

#[test]
fn without_a_repository_nothing_is_looked_for() {
    let site = Site::new(false);
    site.set("repository", "");
    assert_eq!(site.run().status, "no-repository");
    assert_eq!(site.shown(), None);
    assert_eq!(site.server.served(), []);
    for line in ["host-update-check", "host-update-now", "host-update-clear"] {
        assert_eq!(
            site.xe(line).unwrap_err().code,
            "UPDATES_NOT_SET_UP",
            "{line}"
        );
    }
}

#[test]
fn a_policy_that_cannot_be_understood_installs_nothing() {
    let site = Site::new(false);
    fs::write(&site.host.places.update_policy, "window = 7").unwrap();
    let told = site.run();
    assert_eq!(told.status, "failing");
    assert!(told.text.contains("updates.toml"), "{}", told.text);
    assert!(site.shown().is_some());
    assert_eq!(site.server.served(), []);
    assert_eq!(site.host.next_start(), "1.0.0");
}

#[test]
fn two_runs_at_once() {
    let site = Site::new(false);
    let lock = host::hotfix::Places {
        lock: site.host.places.lock.with_file_name("updates.lock"),
        ..site.host.places.clone()
    };
    let held = host::hotfix::lock(&RealSystem::silent(), &lock, "host-update").unwrap();
    let error = site
        .with(&RealMachine, |updater| updater.run(&licensed()))
        .unwrap_err();
    assert_eq!(error.code, "OTHER_OPERATION_IN_PROGRESS");
    drop(held);
    site.run();
}

#[test]
fn the_policy_by_command() {
    let site = Site::new(false);
    site.xe("host-update-policy-set hold=yes restart=never rate-limit=1MiB")
        .unwrap();
    let said = site.xe("host-update-policy-get").unwrap();
    for line in [
        "hold: yes",
        "restart: never",
        "rate-limit: 1048576",
        "wave: first",
    ] {
        assert!(said.lines().any(|known| known == line), "{line}: {said}");
    }
    let one = site.xe("host-update-policy-get param-name=hold").unwrap();
    assert_eq!(one, "yes\n");
    for line in [
        "host-update-policy-set",
        "host-update-policy-set color=red",
        "host-update-policy-set restart=perhaps",
        "host-update-policy-set window=tonight",
        "host-update-policy-get param-name=color",
    ] {
        assert_eq!(site.xe(line).unwrap_err().exit_code(), 2, "{line}");
    }
    let json = |line: &str| -> serde_json::Value {
        serde_json::from_str(&site.xe(&format!("{line} --json")).unwrap()).unwrap()
    };
    assert_eq!(
        json("host-update-policy-get"),
        serde_json::json!([{
            "repository": site.server.url, "automatic": true, "window": [], "restart": "never", "wave": "first",
            "hold": "yes", "rate-limit": 1048576, "proxy": null
        }])
    );
    assert_eq!(
        json("host-update-policy-get param-name=automatic"),
        serde_json::json!([{ "automatic": true }])
    );
    // An empty value is the default, also where there are words to choose from.
    assert_eq!(
        json("host-update-policy-set hold=no rate-limit= restart= wave="),
        serde_json::json!([{}])
    );
    let policy = json("host-update-policy-get");
    assert_eq!(
        (&policy[0]["restart"], &policy[0]["wave"]),
        (&"no-guests".into(), &"auto".into())
    );
    let checked = json("host-update-check");
    assert_eq!(
        (&checked[0]["available"], &checked[0]["available-kind"]),
        (&"1.0.1".into(), &"security".into())
    );
    assert_eq!(checked[0]["status"], "available");
    let uuid = checked[0]["available-uuid"].as_str().unwrap();
    for line in ["patch-apply", "patch-destroy", "patch-clean"] {
        let error = site.xe(&format!("{line} uuid={uuid}")).unwrap_err();
        assert_eq!(error.code, "CANNOT_FIND_PATCH", "{line}");
        assert!(error.message.contains("`xe host-update-now`"), "{error}");
    }
    let said = site.xe("host-update-check").unwrap();
    assert!(said.contains("1.0.1 (security) is available"), "{said}");
    assert_eq!(site.targets(), Vec::<String>::new());
    let written = json("host-update-now");
    assert_eq!(
        (&written[0]["uuid"], &written[0]["version"]),
        (&uuid.into(), &"1.0.1".into())
    );
}
