//! What others do while an update goes on, or between two runs of it: the administrator changes the policy, uploads or applies by hand, the
//! host runs another release by now.

use crate::commands::xe;
use crate::maker;
use crate::server::{Fault, Server};
use crate::site::{Host, NOW};
use crate::updates::{Site, licensed};
use crate::updates_faults::{comes_up, cuts_the_root, served_of_root};
use host::hotfix::{Machine, PatchRecord, PatchState, RealMachine, lock, patch_uuid, upload};
use host::updates::Updater;
use host::verbs::DISABLED;
use slots::block::{Access, BlockDevice, OpenError};
use slots::boot_state::{BootState, Choice};
use slots::env_block::{EnvBlock, EnvFileError};
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use steps::System;

/// Does something once, when it is asked for the room on the disk: before anything is downloaded.
struct Meanwhile<F: Fn() + Send + Sync> {
    act: F,
    done: AtomicBool,
}

impl<F: Fn() + Send + Sync> Meanwhile<F> {
    fn new(act: F) -> Self {
        let done = AtomicBool::new(false);
        Meanwhile { act, done }
    }
}

impl<F: Fn() + Send + Sync> Machine for Meanwhile<F> {
    fn open(&self, path: &Path, access: Access) -> Result<Box<dyn BlockDevice + Send>, OpenError> {
        RealMachine.open(path, access)
    }
    fn write_env(&self, path: &Path, block: &EnvBlock) -> Result<(), EnvFileError> {
        RealMachine.write_env(path, block)
    }
    fn free_space(&self, path: &Path) -> io::Result<u64> {
        if !self.done.swap(true, Ordering::SeqCst) {
            (self.act)();
        }
        RealMachine.free_space(path)
    }
}

#[test]
fn what_is_decided_during_a_download_counts_when_it_ends() {
    for (line, status) in [
        ("hold = \"yes\"\n", "on-hold"),
        ("automatic = false\n", "available"),
        ("restart = \"sometimes\"\n", "failing"),
    ] {
        let site = Site::new(false);
        let policy = site.host.places.update_policy.clone();
        let machine = Meanwhile::new(|| {
            let text = fs::read_to_string(&policy).unwrap() + line;
            fs::write(&policy, text).unwrap();
        });
        let told = site.with(&machine, |updater| updater.run(&licensed()).unwrap());
        assert_eq!(told.status, status, "{line}: {told:?}");
        assert_eq!(site.state().told, told, "{line}");
        assert_eq!(site.record().unwrap().state, PatchState::Uploaded, "{line}");
        assert_eq!(site.host.next_start(), "1.0.0", "{line}");
        assert!(!site.system.restarted(), "{line}");
    }
}

#[test]
fn a_download_that_the_host_goes_down_in_goes_on_after_its_start() {
    const GOES: &str = "the host goes down";
    let site = Site::new(true);
    let size = cuts_the_root(&site);
    site.xe("host-disable").unwrap();
    // Between two attempts. Nobody can be asked here, and nothing else keeps the host from it.
    let goes_down = |_: Duration| {
        let error = site.xe("host-reboot").unwrap_err();
        assert_eq!(error.code, "WRONG_USE", "{error}");
        std::panic::panic_any(GOES);
    };
    let ended = catch_unwind(AssertUnwindSafe(|| {
        site.with(&RealMachine, |updater| {
            let updater = Updater {
                pause: &goes_down,
                ..*updater
            };
            updater.run(&licensed())
        })
    }));
    let why = ended.unwrap_err();
    assert_eq!(why.downcast_ref::<&str>(), Some(&GOES));
    assert_eq!(served_of_root(&site), size / 5);
    site.server.heals();
    site.system.remove_file(Path::new(DISABLED)).unwrap();
    comes_up(&site.host, &site.host.old, "sda3");
    // When the timer comes first.
    site.now.set(NOW + 12 * 60);
    assert_eq!(site.run().status, "restarting");
    assert_eq!(
        served_of_root(&site),
        size - size / 5,
        "nothing is fetched twice"
    );
    assert_eq!(site.host.next_start(), "1.0.1");
}

#[test]
fn another_repository_is_looked_at_at_once() {
    let site = Site::new(false);
    site.server.breaks("", Fault::Status(503));
    for _ in 0..5 {
        site.run_later();
    }
    assert_eq!(site.run().status, "failing");
    assert_eq!(site.server.served().len(), 15, "three attempts in each run");
    let healthy = Server::new(&site.server.folder);
    site.set("repository", &healthy.url);
    assert_eq!(site.run().status, "restarting");
}

#[test]
fn a_proxy_or_password_that_was_mended_by_command_is_tried_at_once() {
    let site = Site::new(false);
    site.server.breaks("", Fault::Status(407));
    assert_eq!(site.run().status, "failing");
    site.server.heals();
    site.xe("host-update-policy-set rate-limit=0").unwrap();
    assert_eq!(site.run().status, "failing", "the pause goes on");
    site.xe("host-update-policy-set proxy=").unwrap();
    assert_eq!(site.run().status, "restarting");
}

#[test]
fn a_proxy_that_is_mended_while_a_run_fails_is_tried_at_once() {
    let site = Site::new(false);
    let (host, server) = (&site.host, &site.server);
    let machine = Meanwhile::new(|| {
        xe(host, "host-update-policy-set proxy=").unwrap();
        server.breaks(".delta", Fault::Status(407));
    });
    let told = site.with(&machine, |updater| updater.run(&licensed()).unwrap());
    assert_eq!(told.status, "failing", "{told:?}");
    assert_eq!(site.state().work.failures, 1);
    site.server.heals();
    assert_eq!(site.run().status, "restarting");
    // Once: the next failure is waited for.
    assert!(!site.system.exists(&site.host.places.update_at_once()));
}

#[test]
fn without_a_repository_nothing_is_offered_any_more() {
    let site = Site::new(false);
    site.set("hold", "yes");
    site.run();
    assert!(site.state().offered.is_some());
    site.set("repository", "");
    site.run();
    assert_eq!(site.state().offered, None);
}

#[test]
fn pauses_are_kept_also_where_a_download_is_due() {
    let site = Site::new(false);
    site.set("hold", "yes");
    site.run();
    site.set("hold", "no");
    site.server.breaks("", Fault::Status(503));
    site.server.served();
    site.now.set(NOW + 4 * 3600);
    let told = site.run();
    assert_eq!(told.status, "failing");
    assert!(told.text.contains("1.0.1 (security)"), "{}", told.text);
    assert_eq!(site.server.served().len(), 3, "one look");
    site.now.set(NOW + 4 * 3600 + 300);
    site.run();
    assert_eq!(site.server.served(), []);
}

#[test]
fn an_upload_during_the_download_is_taken() {
    let site = Site::new(false);
    let (host, file) = (&site.host, site.host.hotfix("by-hand", true));
    let machine = Meanwhile::new(|| {
        upload(&host.site(), &file).unwrap();
    });
    let told = site.with(&machine, |updater| updater.run(&licensed()).unwrap());
    assert_eq!(told.status, "restarting", "{told:?}");
    assert_eq!(host.next_start(), "1.0.1");
    let folders: Vec<PathBuf> = fs::read_dir(&host.places.store)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    let network = |path: &PathBuf| path.to_string_lossy().contains("network-");
    assert!(!folders.iter().any(network), "{folders:?}");
}

/// The host runs another build of 1.0.0 now.
fn other_release(host: &Host) -> maker::Release {
    let other = maker::release(&host.at("other"), "1.0.0", 7);
    let slot = host.slot("sda3");
    let mut bytes = fs::read(&slot).unwrap();
    let image = fs::read(other.path(release::Artifact::Root)).unwrap();
    bytes[..image.len()].copy_from_slice(&image);
    fs::write(&slot, bytes).unwrap();
    let folder = host.places.boot_files(other.id());
    fs::create_dir_all(&folder).unwrap();
    for (artifact, name) in release::BOOT_FILES {
        fs::copy(other.path(artifact), folder.join(name)).unwrap();
    }
    fs::create_dir_all(host.places.etc.join(other.id()).join("upper")).unwrap();
    host.boot(&other.manifest.root, "sda3");
    host.set_state(&BootState {
        good: Some(other.id().to_owned()),
        ..BootState::default()
    });
    other
}

#[test]
fn deltas_from_a_release_that_runs_no_more_are_fetched_anew() {
    for by_hand in [false, true] {
        let site = Site::new(true);
        // NOW is a Friday, 08:00 UTC.
        site.set("window", "sat 01:00-05:00");
        assert_eq!(site.run().status, "waiting");
        assert!(site.targets().iter().all(|name| name.ends_with(".delta")));
        other_release(&site.host);
        site.now.set(NOW + 17 * 3600 + 60);
        match by_hand {
            false => assert_eq!(site.run().status, "restarting"),
            true => drop(site.xe("host-update-now").unwrap()),
        }
        assert_eq!(site.host.next_start(), "1.0.1");
        let whole = |name: &String| name.ends_with(".root.img");
        assert!(site.targets().iter().any(whole), "{by_hand}");
    }
}

#[test]
fn another_release_that_is_offered_when_files_are_fetched_anew_is_taken() {
    let site = Site::new(true);
    // NOW is a Friday, 08:00 UTC.
    site.set("window", "fri 09:00-11:00");
    assert_eq!(site.run().status, "waiting");
    let other = other_release(&site.host);
    let newer = maker::release(&site.host.at("1.0.2"), "1.0.2", 9);
    let made = maker::repository(
        &site.host.keys,
        Some(&other),
        &newer,
        true,
        maker::stamp(newer.manifest.epoch),
        &site.host.at("newer"),
    );
    fs::remove_dir_all(&site.server.folder).unwrap();
    fs::rename(made, &site.server.folder).unwrap();
    // The repository was looked at less than four hours ago.
    site.now.set(NOW + 3600 + 60);
    let told = site.run();
    assert_eq!(told.status, "restarting", "{told:?}");
    assert!(site.host.starts(&newer, "sda4"));
    assert_eq!(site.host.state().choice(), Choice::Try(newer.id()));
    let state = site.state();
    assert_eq!(state.work.failures, 0);
    let uuid = patch_uuid(&newer.manifest.root.verity.root_hash);
    assert_eq!(state.written, Some(uuid));
}

#[test]
fn a_restart_cuts_no_command_about_hotfixes_off() {
    let site = Site::new(false);
    site.set("restart", "never");
    assert_eq!(site.run().status, "restart-needed");
    site.set("restart", "always");
    let held = lock(&site.system, &site.host.places, "patch-upload").unwrap();
    let told = site.run();
    assert_eq!(told.status, "restart-needed", "{told:?}");
    assert!(told.text.contains("Another command"), "{}", told.text);
    assert_eq!(site.state().told, told);
    assert!(!site.system.restarted());
    assert!(!site.system.exists(Path::new(DISABLED)));
    drop(held);
    assert_eq!(site.run().status, "restarting");
    assert!(site.system.restarted());
}

#[test]
fn what_the_host_wrote_and_somebody_wrote_again_is_restarted_by_hand() {
    let site = Site::new(false);
    site.set("restart", "never");
    site.run();
    let uuid = site.state().written.unwrap();
    site.set("restart", "always");
    site.xe("host-rollback").unwrap();
    // Taken back: that it was written by itself says nothing about the next time.
    assert_eq!(site.run().status, "failed-here");
    assert_eq!(site.state().written, None);
    site.xe("host-update-clear").unwrap();
    site.set("hold", "yes");
    site.xe("host-update-now").unwrap();
    site.set("hold", "no");
    let told = site.run();
    assert_eq!(told.status, "restart-needed", "{told:?}");
    assert!(told.text.contains("by hand"), "{}", told.text);
    assert!(!site.system.restarted());
    let record = PatchRecord::find(&site.system, &site.host.places, &uuid).unwrap();
    assert_eq!(record.state, PatchState::RestartNeeded);
}

#[test]
fn what_the_host_wrote_and_somebody_gave_up_for_another_is_restarted_by_hand() {
    let site = Site::new(false);
    site.set("restart", "never");
    site.run();
    assert!(site.state().written.is_some());
    // As it is left where somebody applies another one: there is one slot.
    let mut record = site.record().unwrap();
    record.state = PatchState::Uploaded;
    record.changed = NOW + 60;
    let json = serde_json::to_vec(&record).unwrap();
    fs::write(site.host.places.record(&record.uuid), json).unwrap();
    site.host.set_state(&BootState {
        good: Some(site.host.old.id().to_owned()),
        ..BootState::default()
    });
    site.set("hold", "yes");
    site.now.set(NOW + 120);
    assert_eq!(site.run().status, "on-hold");
    xe(&site.host, &format!("patch-apply uuid={}", record.uuid)).unwrap();
    site.set("hold", "no");
    site.set("restart", "always");
    let told = site.run();
    assert_eq!(told.status, "restart-needed", "{told:?}");
    assert!(told.text.contains("by hand"), "{}", told.text);
    assert!(!site.system.restarted());
}

#[test]
fn a_command_says_what_it_did_and_what_the_next_run_does() {
    let mut site = Site::new(false);
    site.stall = Duration::from_secs(5);
    let checked = site.with(&RealMachine, |updater| updater.check(&licensed()).unwrap());
    assert_eq!(checked.status, "waiting");
    for words in [
        "1.0.1 (security)",
        "is downloaded within",
        "host-update-now",
    ] {
        assert!(checked.text.contains(words), "{words}: {}", checked.text);
    }
    let before = site.xe("host-update-check").unwrap();
    assert!(
        before.contains("`xe host-update-now` installs it"),
        "{before}"
    );
    assert!(site.shown().is_some(), "it is not licensed");
    site.xe("host-update-now").unwrap();
    // Nobody is asked any more for what is done.
    assert_eq!(site.shown(), None);
    assert_eq!(site.state().told.status, "restart-needed");
}
