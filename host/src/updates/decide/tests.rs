use super::super::state::{Attempts, Offered};
use super::super::wave::Wave;
use super::super::window::Window;
use super::*;
use release::{Guidance, HotfixInfo, HotfixKind};
use slots::{RootIdentity, Verity};

/// Saturday, 28 November 2026, 02:00 UTC.
const NIGHT: u64 = 1_795_831_200;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
/// The same day at noon.
const NOON: u64 = NIGHT + 10 * HOUR;

/// A host on which everything says yes: licensed, its turn, its window.
struct Host {
    now: u64,
    policy: UpdatePolicy,
    automation: Automation,
    state: UpdateState,
    records: Vec<PatchRecord>,
    next_try: Option<String>,
    busy: Option<String>,
}

fn record(version: &str, state: PatchState) -> PatchRecord {
    PatchRecord {
        schema: 1,
        uuid: format!("uuid-{version}"),
        root: RootIdentity {
            version: version.into(),
            image_name: String::new(),
            image_size: 0,
            image_sha256: String::new(),
            verity: Verity {
                data_blocks: 1,
                salt: String::new(),
                root_hash: format!("{version:0<20}"),
            },
        },
        info: HotfixInfo {
            kind: HotfixKind::Feature,
            notes: String::new(),
            cves: vec![],
            guidance: Guidance::RestartHost,
        },
        size: 1,
        folder: Some("files".into()),
        state,
        reason: "it did not come up".into(),
        changed: 7,
    }
}

impl Host {
    /// Release 1.0.0 runs, and 1.0.1 was first seen long ago.
    fn new() -> Host {
        let policy = UpdatePolicy {
            windows: vec![Window::parse("sat 01:00-05:00").unwrap()],
            ..UpdatePolicy::default()
        };
        let state = UpdateState {
            offered: Some(Offered {
                version: "1.0.1".into(),
                uuid: "uuid-1.0.1".into(),
                kind: HotfixKind::Feature,
                notes: String::new(),
                cves: vec![],
                bytes: None,
                first_seen: NIGHT - 30 * DAY,
                urgent: false,
            }),
            ..UpdateState::default()
        };
        Host {
            now: NIGHT,
            policy,
            automation: Automation {
                allowed: true,
                reason: "licensed".into(),
            },
            state,
            records: vec![],
            next_try: None,
            busy: None,
        }
    }

    /// 1.0.1 is written by the automation and waits for a restart.
    fn written() -> Host {
        let mut host = Host::new();
        let record = record("1.0.1", PatchState::RestartNeeded);
        host.next_try = Some(record.root.id().to_owned());
        host.state.written = Some(record.uuid.clone());
        host.records.push(record);
        host
    }

    fn decide(&self) -> Decision {
        self.decide_in(&TimeZone::UTC)
    }

    fn decide_in(&self, zone: &TimeZone) -> Decision {
        decide(&Situation {
            now: self.now,
            zone,
            policy: &self.policy,
            automation: &self.automation,
            state: &self.state,
            running: "1.0.0",
            next_try: self.next_try.as_deref(),
            records: &self.records,
            seed: "host",
            busy: self.busy.as_deref(),
        })
    }

    fn waits_for_restart(&self) -> WaitForRestart {
        match self.decide() {
            Decision::WaitForRestart { version, why } => {
                assert_eq!(version, "1.0.1");
                why
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn fetched_written_and_restarted() {
    let mut host = Host::new();
    assert_eq!(host.decide(), Decision::Fetch);
    host.records = vec![record("1.0.1", PatchState::Uploaded)];
    assert_eq!(host.decide(), Decision::Write);
    // The power went while it was written.
    host.records = vec![record("1.0.1", PatchState::Applying)];
    assert_eq!(host.decide(), Decision::Write);
    let version = "1.0.1".to_owned();
    assert_eq!(Host::written().decide(), Decision::Restart { version });
}

#[test]
fn nothing_newer_is_nothing_to_do() {
    let mut host = Host::new();
    for version in ["1.0.0", "0.9.9", "1.0.0-rc.1"] {
        host.state.offered.as_mut().unwrap().version = version.into();
        assert_eq!(host.decide(), Decision::UpToDate, "{version}");
    }
    host.state.offered = None;
    assert_eq!(host.decide(), Decision::UpToDate);
}

#[test]
fn outside_of_the_window_only_files_are_fetched() {
    let until = Some(NIGHT + 7 * DAY - HOUR);
    let mut host = Host::new();
    host.now = NOON;
    assert_eq!(host.decide(), Decision::Fetch);
    host.records = vec![record("1.0.1", PatchState::Uploaded)];
    assert_eq!(host.decide(), Decision::Wait(Wait::Window { until }));
    let mut host = Host::written();
    host.now = NOON;
    assert_eq!(
        host.waits_for_restart(),
        WaitForRestart::Wait(Wait::Window { until })
    );
    // At noon in Greenwich it is two in the morning ten hours behind it.
    let hawaii = TimeZone::posix("HST10").unwrap();
    assert!(matches!(host.decide_in(&hawaii), Decision::Restart { .. }));
}

#[test]
fn a_license_that_does_not_count_stops_the_automation_alone() {
    let wait = Wait::License("the license ended".into());
    let mut host = Host::new();
    host.automation = Automation {
        allowed: false,
        reason: "the license ended".into(),
    };
    assert_eq!(host.decide(), Decision::Wait(wait.clone()));
    host.records = vec![record("1.0.1", PatchState::Uploaded)];
    assert_eq!(host.decide(), Decision::Wait(wait.clone()));
    let mut written = Host::written();
    written.automation = host.automation;
    assert_eq!(written.waits_for_restart(), WaitForRestart::Wait(wait));
}

#[test]
fn switched_off_and_held() {
    let day = |text: &str| Hold::Until(text.parse().unwrap());
    for (hold, held) in [
        (Hold::Yes, true),
        (Hold::No, false),
        (day("2026-11-29"), true),
        (day("2026-11-28"), false),
        (day("2020-01-01"), false),
    ] {
        let mut host = Host::new();
        host.policy.hold = hold;
        let expected = match held {
            true => Decision::Wait(Wait::Hold(hold)),
            false => Decision::Fetch,
        };
        assert_eq!(host.decide(), expected, "{hold}");
        let mut written = Host::written();
        written.policy.hold = hold;
        assert_eq!(matches!(written.decide(), Decision::Restart { .. }), !held);
    }
    // The day begins by the clock on the wall: it is the 28th in UTC, and the 27th in Hawaii.
    let mut host = Host::new();
    host.policy.hold = day("2026-11-28");
    let hawaii = TimeZone::posix("HST10").unwrap();
    assert_eq!(
        host.decide_in(&hawaii),
        Decision::Wait(Wait::Hold(host.policy.hold))
    );
    let mut off = Host::new();
    off.policy.automatic = false;
    assert_eq!(off.decide(), Decision::Wait(Wait::Off));
}

#[test]
fn the_wave_counts_from_the_first_sight() {
    let mut host = Host::new();
    let place = wave::position("host", "uuid-1.0.1");
    let delay = wave::delay(Wave::Auto, HotfixKind::Feature, place);
    assert!(delay > HOUR, "the test needs a host that waits: {delay}");
    host.state.offered.as_mut().unwrap().first_seen = NIGHT;
    let until = NIGHT + delay;
    assert_eq!(host.decide(), Decision::Wait(Wait::Wave { until }));
    host.now = until - 1;
    assert_eq!(host.decide(), Decision::Wait(Wait::Wave { until }));
    host.now = until;
    assert_eq!(host.decide(), Decision::Fetch);
    // Seen by a clock that ran ahead: it waits from now on, not until then.
    host.now = NIGHT;
    host.state.offered.as_mut().unwrap().first_seen = NIGHT + 1000 * DAY;
    assert_eq!(host.decide(), Decision::Wait(Wait::Wave { until }));
    host.policy.wave = Wave::First;
    assert_eq!(host.decide(), Decision::Fetch);
}

#[test]
fn one_that_holds_what_closes_holes_waits_no_longer_than_that() {
    let mut host = Host::new();
    host.policy.wave = Wave::Last;
    let offered = host.state.offered.as_mut().unwrap();
    offered.first_seen = NIGHT;
    offered.urgent = true;
    let until = NIGHT + DAY;
    assert_eq!(host.decide(), Decision::Wait(Wait::Wave { until }));
    host.now = until;
    assert_eq!(host.decide(), Decision::Fetch);
}

#[test]
fn what_failed_here_is_held_until_it_is_cleared_or_a_newer_one_comes() {
    for state in [PatchState::Failed, PatchState::RolledBack] {
        let mut host = Host::new();
        host.records = vec![record("1.0.1", state)];
        let reason = "it did not come up".to_owned();
        let held = Decision::Wait(Wait::FailedHere { reason });
        assert_eq!(host.decide(), held);
        let cleared = |failed| {
            Some(Cleared {
                uuid: "uuid-1.0.1".into(),
                failed,
            })
        };
        host.state.cleared = cleared(7);
        assert_eq!(host.decide(), Decision::Write);
        // It failed again since.
        host.state.cleared = cleared(6);
        assert_eq!(host.decide(), held);
        let offered = host.state.offered.as_mut().unwrap();
        (offered.version, offered.uuid) = ("1.0.2".into(), "uuid-1.0.2".into());
        assert_eq!(host.decide(), Decision::Fetch);
    }
}

#[test]
fn after_a_failure_it_pauses() {
    let mut host = Host::new();
    host.state.work = Attempts::default();
    host.state.work.tried(NIGHT - 60, Some("no room"));
    let (until, error) = (NIGHT - 60 + 900, "no room".to_owned());
    assert_eq!(host.decide(), Decision::Wait(Wait::Again { until, error }));
    host.now = until;
    assert_eq!(host.decide(), Decision::Fetch);
    // The clock went back behind the failure.
    host.now = NIGHT - DAY;
    assert_eq!(host.decide(), Decision::Fetch);
}

#[test]
fn it_restarts_only_as_the_policy_says() {
    let mut host = Host::written();
    host.policy.restart = Restart::Never;
    assert_eq!(host.waits_for_restart(), WaitForRestart::Never);
    let mut host = Host::written();
    host.busy = Some("a guest runs".into());
    assert_eq!(
        host.waits_for_restart(),
        WaitForRestart::Busy("a guest runs".into())
    );
    // What somebody wrote by hand is restarted by hand.
    let mut host = Host::written();
    host.state.written = None;
    assert_eq!(host.waits_for_restart(), WaitForRestart::ByHand);
}

#[test]
fn a_try_that_was_taken_is_no_reason_to_restart() {
    let mut host = Host::written();
    host.next_try = None;
    assert_eq!(host.decide(), Decision::Write);
    host.next_try = Some("another".into());
    assert_eq!(host.decide(), Decision::Write);
}

#[test]
fn a_newer_one_takes_the_place_of_the_one_that_waits_when_its_turn_has_come() {
    let mut host = Host::written();
    let offered = host.state.offered.as_mut().unwrap();
    (offered.version, offered.uuid) = ("1.0.2".into(), "uuid-1.0.2".into());
    assert_eq!(host.decide(), Decision::Fetch);
    // Until then the one that waits is not held up.
    host.state.offered.as_mut().unwrap().first_seen = NIGHT;
    assert!(matches!(host.decide(), Decision::Restart { version } if version == "1.0.1"));
}
