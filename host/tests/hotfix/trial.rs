//! What comes of a try.

use crate::going_back::rollback;
use crate::site::Host;
use host::health::{Check, HealthReport, after_good_boot, mark_good};
use host::hotfix::{
    PatchRecord, PatchState, RolledBack, Settings, Verdict, after_boot, apply, deadline,
    try_failed, upload,
};
use slots::boot_state::BootState;
use std::fs;
use std::path::{Path, PathBuf};
use steps::sink::FanOut;

pub fn report(passed: bool, failed_try: Option<&str>) -> HealthReport {
    let mut checks = vec![Check::pass("xen", "it runs")];
    if !passed {
        checks.push(Check::fail("network", "xenbr0 is down"));
    }
    HealthReport {
        schema: 1,
        version: None,
        root_id: None,
        passed,
        failed_try: failed_try.map(Into::into),
        uptime_ms: None,
        checks,
    }
}

/// Uploaded and applied; the boot loader took the try.
pub fn tried() -> (Host, String) {
    let host = Host::new();
    let record = upload(&host.site(), &host.hotfix("hotfix", false)).unwrap();
    apply(&host.site(), &record.uuid, FanOut::new()).unwrap();
    let state = host.state();
    host.set_state(&BootState { tries: 0, ..state });
    (host, record.uuid)
}

pub fn record(host: &Host, uuid: &str) -> PatchRecord {
    PatchRecord::find(&host.system, &host.places, uuid).unwrap()
}

/// The health check of a boot of the new or old root.
pub fn health(host: &Host, new: bool, passed: bool) -> Verdict {
    let (root, device) = match new {
        true => (&host.new.manifest.root, "sda4"),
        false => (&host.old.manifest.root, "sda3"),
    };
    host.boot(root, device);
    let before = host.state();
    let failed = match passed {
        true => mark_good(&host.places.esp, root.id(), &mut |failed| {
            try_failed(&host.site(), root.id(), failed).unwrap();
            true
        })
        .unwrap(),
        false => None,
    };
    let report = report(passed, failed.as_deref());
    after_boot(&host.site(), &host.record(), &before, &report).unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &to),
            false => drop(fs::copy(&path, &to).unwrap()),
        }
    }
}

/// As the initrd does at the first start of a release.
pub fn settings(host: &Host, id: &str) -> PathBuf {
    let folder = host.places.etc.join(id);
    if !folder.join("upper").exists() {
        let from = fs::read_to_string(folder.join("from")).unwrap();
        let from = host.places.etc.join(from.trim()).join("upper");
        copy(&from, &folder.join("upper"));
    }
    folder.join("upper")
}

/// The host name in the settings that a release had itself, or that a try left.
fn kept(host: &Host, id: &str, what: &str) -> String {
    let folder = host.places.etc.join(id);
    fs::read_to_string(folder.join(what).join("hostname")).unwrap()
}

/// Both releases were good, and the new one runs.
pub fn both_were_good() -> (Host, String) {
    let (host, uuid) = tried();
    host.boot(&host.old.manifest.root, "sda3");
    let before = host.state();
    after_boot(&host.site(), &host.record(), &before, &report(true, None)).unwrap();
    health(&host, true, true);
    (host, uuid)
}

#[test]
fn a_good_one_is_applied_and_the_old_one_stays_to_go_back_to() {
    let (host, uuid) = tried();
    assert_eq!(health(&host, true, true), Verdict::Stay);
    assert_eq!(record(&host, &uuid).state, PatchState::Applied);
    let state = host.state();
    assert_eq!(state.good.as_deref(), Some(host.new.id()));
    assert_eq!(state.previous.as_deref(), Some(host.old.id()));
    assert!(
        host.places
            .etc
            .join(host.old.id())
            .join("upper/hostname")
            .exists()
    );
}

#[test]
fn one_that_is_not_healthy_goes_back_and_says_why() {
    let (host, uuid) = tried();
    let upper = settings(&host, host.new.id());
    fs::write(upper.join("hostname"), "changed by the hotfix").unwrap();
    let verdict = health(&host, true, false);
    let Verdict::GoBack { to, reason } = verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!(to, host.old.id());
    assert!(reason.contains("network: xenbr0 is down"), "{reason}");
    let failed = record(&host, &uuid);
    assert_eq!(
        (failed.state, failed.reason.as_str()),
        (PatchState::Failed, reason.as_str())
    );
    // The boot loader starts the old one, which finds the try used up.
    assert_eq!(host.next_start(), "1.0.0");
    assert_eq!(health(&host, false, true), Verdict::Stay);
    let still = record(&host, &uuid);
    assert_eq!((still.state, still.reason), (PatchState::Failed, reason));
    assert_eq!(
        kept(&host, host.new.id(), "upper.tried"),
        "changed by the hotfix",
        "to see why"
    );
    assert_eq!(
        fs::read_to_string(settings(&host, host.new.id()).join("hostname")).unwrap(),
        "node-1",
        "nothing of it comes back should the release be started by hand"
    );
    assert_eq!(
        fs::read_to_string(host.places.etc.join(host.old.id()).join("upper/hostname")).unwrap(),
        "node-1"
    );
    // And nothing keeps it from being tried again.
    apply(&host.site(), &uuid, FanOut::new()).unwrap();
    assert_eq!(host.next_start(), "1.0.1");
}

#[test]
fn one_that_never_came_so_far_has_failed_too() {
    let (host, uuid) = tried();
    settings(&host, host.new.id());
    // A panic or a hang: the next thing that runs is the old one. The power goes before the boot loader forgets the try.
    try_failed(&host.site(), host.old.id(), host.new.id()).unwrap();
    let once = record(&host, &uuid);
    assert_eq!(health(&host, false, true), Verdict::Stay);
    let failed = record(&host, &uuid);
    assert_eq!(failed, once, "it is recorded again and says the same");
    assert_eq!(failed.state, PatchState::Failed);
    assert!(
        failed.reason.contains("did not come up"),
        "{}",
        failed.reason
    );
    assert_eq!(kept(&host, host.new.id(), "upper.tried"), "node-1");
    assert_eq!(host.state().try_id, None);
}

#[test]
fn one_that_hangs_meets_its_deadline_and_a_good_host_does_not() {
    let (host, uuid) = tried();
    host.boot(&host.new.manifest.root, "sda4");
    let decide = || deadline(&host.site(), &host.record(), &host.state(), 10);
    assert!(matches!(decide(), Verdict::GoBack { .. }));
    assert!(record(&host, &uuid).reason.contains("10 minutes"));
    let (host, _) = tried();
    health(&host, true, true);
    let decide = || deadline(&host.site(), &host.record(), &host.state(), 10);
    assert_eq!(decide(), Verdict::Stay);
    // The old one with a hotfix that waits: nothing of that is on trial now.
    let host = Host::new();
    let record = upload(&host.site(), &host.hotfix("hotfix", false)).unwrap();
    apply(&host.site(), &record.uuid, FanOut::new()).unwrap();
    let verdict = deadline(&host.site(), &host.record(), &host.state(), 10);
    assert_eq!(verdict, Verdict::Stay);
}

#[test]
fn a_host_with_nothing_to_go_back_to_stays_up() {
    let host = Host::new();
    // Freshly installed: on trial itself, and no root is good.
    let fresh = BootState {
        good: None,
        try_id: Some(host.old.id().into()),
        tries: 2,
        ..BootState::default()
    };
    let verdict = after_boot(&host.site(), &host.record(), &fresh, &report(false, None)).unwrap();
    assert_eq!(verdict, Verdict::Stay);
    // And a good host that is ill does not restart for ever.
    let verdict = after_boot(
        &host.site(),
        &host.record(),
        &host.state(),
        &report(false, None),
    )
    .unwrap();
    assert_eq!(verdict, Verdict::Stay);
}

#[test]
fn back_by_hand_and_forth_again() {
    let (host, uuid) = both_were_good();
    // The old root is remembered from when it was good.
    let (old, _) = after_good_boot(&BootState::default(), host.old.id());
    assert_eq!(old.good.as_deref(), Some(host.old.id()));
    fs::write(settings(&host, host.new.id()).join("hostname"), "node-2").unwrap();

    let arranged = rollback(&host, Settings::Running).unwrap();
    assert_eq!(
        arranged,
        RolledBack::Arranged {
            version: "1.0.0".into(),
            settings: Settings::Running,
            warning: None,
        }
    );
    assert_eq!(host.next_start(), "1.0.0");
    // What was set since comes along, and what the old release had itself is kept.
    assert_eq!(
        fs::read_to_string(settings(&host, host.old.id()).join("hostname")).unwrap(),
        "node-2"
    );
    assert_eq!(kept(&host, host.old.id(), "upper.own"), "node-1");
    let state = host.state();
    assert_eq!(
        state.good.as_deref(),
        Some(host.new.id()),
        "should the old one not come up"
    );
    host.set_state(&BootState { tries: 0, ..state });
    assert_eq!(health(&host, false, true), Verdict::Stay);
    let back = record(&host, &uuid);
    assert_eq!(back.state, PatchState::RolledBack);
    assert!(back.reason.contains("1.0.0"), "{}", back.reason);
    assert_eq!(kept(&host, host.new.id(), "upper.own"), "node-2");

    fs::write(settings(&host, host.old.id()).join("hostname"), "node-3").unwrap();
    rollback(&host, Settings::Running).unwrap();
    assert_eq!(host.next_start(), "1.0.1");
    let upper = settings(&host, host.new.id());
    assert_eq!(
        fs::read_to_string(upper.join("hostname")).unwrap(),
        "node-3"
    );
    let state = host.state();
    host.set_state(&BootState { tries: 0, ..state });
    assert_eq!(health(&host, true, true), Verdict::Stay);
    assert_eq!(record(&host, &uuid).state, PatchState::Applied);
}

#[test]
fn the_old_settings_come_back_where_that_is_wanted() {
    let (host, _) = both_were_good();
    fs::write(settings(&host, host.new.id()).join("hostname"), "spoilt").unwrap();
    // First with the settings of now, which did not help; then with its own.
    rollback(&host, Settings::Running).unwrap();
    let state = host.state();
    host.set_state(&BootState {
        try_id: None,
        tries: 0,
        ..state
    });
    rollback(&host, Settings::Old).unwrap();
    assert_eq!(host.next_start(), "1.0.0");
    assert_eq!(
        fs::read_to_string(settings(&host, host.old.id()).join("hostname")).unwrap(),
        "node-1"
    );
    // Where it has none, it is not started without any.
    let state = host.state();
    host.set_state(&BootState {
        try_id: None,
        tries: 0,
        ..state
    });
    let old = host.places.etc.join(host.old.id());
    fs::remove_dir_all(old.join("upper")).unwrap();
    let error = rollback(&host, Settings::Old).unwrap_err();
    assert_eq!(error.code, "HOST_CANNOT_ROLL_BACK");
    assert!(error.message.contains("settings=old"), "{error}");
}

#[test]
fn the_old_settings_outlive_going_back_in_vain() {
    let (host, _) = both_were_good();
    fs::write(settings(&host, host.new.id()).join("hostname"), "spoilt").unwrap();
    rollback(&host, Settings::Running).unwrap();
    // The old release starts with what spoils it, and does not come up.
    settings(&host, host.old.id());
    let state = host.state();
    host.set_state(&BootState { tries: 0, ..state });
    assert_eq!(health(&host, true, true), Verdict::Stay);
    assert_eq!(kept(&host, host.old.id(), "upper.tried"), "spoilt");
    rollback(&host, Settings::Old).unwrap();
    assert_eq!(
        fs::read_to_string(settings(&host, host.old.id()).join("hostname")).unwrap(),
        "node-1"
    );
}

#[test]
fn a_failure_that_cannot_be_recorded_keeps_no_host() {
    let (host, _) = tried();
    fs::remove_dir_all(&host.places.store).unwrap();
    fs::write(&host.places.store, "no folder").unwrap();
    let verdict = health(&host, true, false);
    let Verdict::GoBack { to, reason } = verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!(to, host.old.id());
    assert!(
        reason.contains("xenbr0 is down") && reason.contains("not recorded"),
        "{reason}"
    );
}

#[test]
fn a_failure_whose_start_was_broken_off_is_recorded_at_the_next_one() {
    let (host, uuid) = tried();
    // The old release came up and told the boot loader so before it was recorded.
    mark_good(&host.places.esp, host.old.id(), &mut |_| true).unwrap();
    assert_eq!(record(&host, &uuid).state, PatchState::RestartNeeded);
    assert_eq!(health(&host, false, true), Verdict::Stay);
    let failed = record(&host, &uuid);
    assert_eq!(failed.state, PatchState::Failed);
    assert!(
        failed.reason.contains("did not come up"),
        "{}",
        failed.reason
    );
}

#[test]
fn what_was_applied_during_the_start_waits_on() {
    let host = Host::new();
    let uploaded = upload(&host.site(), &host.hotfix("hotfix", false)).unwrap();
    apply(&host.site(), &uploaded.uuid, FanOut::new()).unwrap();
    let before = BootState {
        try_id: None,
        tries: 0,
        ..host.state()
    };
    host.boot(&host.old.manifest.root, "sda3");
    after_boot(&host.site(), &host.record(), &before, &report(true, None)).unwrap();
    assert_eq!(
        record(&host, &uploaded.uuid).state,
        PatchState::RestartNeeded
    );
}

#[test]
fn what_waits_for_a_restart_is_taken_back() {
    let host = Host::new();
    let code = rollback(&host, Settings::Running).unwrap_err().code;
    assert_eq!(
        code, "HOST_CANNOT_ROLL_BACK",
        "there is nothing to go back to"
    );
    let uploaded = upload(&host.site(), &host.hotfix("hotfix", false)).unwrap();
    apply(&host.site(), &uploaded.uuid, FanOut::new()).unwrap();
    let canceled = rollback(&host, Settings::Running).unwrap();
    assert_eq!(
        canceled,
        RolledBack::Canceled {
            version: "1.0.1".into(),
            warning: None,
        }
    );
    assert_eq!(host.next_start(), "1.0.0");
    assert_eq!(record(&host, &uploaded.uuid).state, PatchState::RolledBack);
}

#[test]
fn an_old_slot_that_is_not_whole_is_not_gone_back_to() {
    let (host, _) = both_were_good();
    let kept = fs::read(host.slot("sda3")).unwrap();
    let mut broken = kept.clone();
    broken[..4096].fill(0);
    fs::write(host.slot("sda3"), broken).unwrap();
    let error = rollback(&host, Settings::Running).unwrap_err();
    assert!(error.to_string().contains("does not hold 1.0.0"), "{error}");
    fs::write(host.slot("sda3"), kept).unwrap();
    fs::remove_file(host.places.boot_files(host.old.id()).join("xen.gz")).unwrap();
    let error = rollback(&host, Settings::Running).unwrap_err();
    assert!(error.to_string().contains("xen.gz"), "{error}");
    assert_eq!(host.next_start(), "1.0.1");
}
