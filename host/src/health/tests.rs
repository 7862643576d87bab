use super::testing::*;
use super::*;
use slots::boot_state::{BootState, GOOD_ENV, STATE_ENV};
use steps::RecordingSystem;
use tempfile::TempDir;

#[test]
fn a_good_boot_is_recorded_and_the_boot_loader_told() {
    let (system, esp) = (good_host(), esp(&state(Some(OTHER), Some(RUNNING), 0)));
    let report = check_once(&system, &esp);
    assert!(report.passed, "{report}");
    assert_eq!(report.uptime_ms, Some(31_420));
    let names: Vec<_> = report
        .checks
        .iter()
        .map(|check| check.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "boot-record",
            "xen",
            "toolstack",
            "libvirt",
            "network",
            "storage",
            "guests",
            "etc",
            "state",
            "boot-state"
        ]
    );
    let expected = BootState {
        previous: Some(OTHER.into()),
        ..state(Some(RUNNING), None, 0)
    };
    assert_eq!(on(&esp, STATE_ENV), expected);
    assert_eq!(on(&esp, GOOD_ENV).good.as_deref(), Some(RUNNING));
    for path in [RUN_REPORT.into(), kept_report()] {
        let read: HealthReport = serde_json::from_slice(&system.content(&path).unwrap()).unwrap();
        assert_eq!(read, report);
    }
    assert!(
        system.content("/etc/.bedplate-health-probe").is_none(),
        "the probe is removed"
    );
}

#[test]
fn one_thing_amiss_and_the_root_is_not_marked() {
    let down = good_host().file("/sys/class/net/xenbr0/operstate", "down\n");
    let cases: Vec<(&str, Outcome, RecordingSystem)> = vec![
        (
            "boot-record",
            Outcome::Fail,
            good_host().file("/run/bedplate/boot.json", record(Mode::Rescue)),
        ),
        (
            "boot-record",
            Outcome::Unknown,
            good_host().file("/run/bedplate/boot.json", "{"),
        ),
        (
            "xen",
            Outcome::Fail,
            good_host().file("/proc/xen/capabilities", "\n"),
        ),
        (
            "toolstack",
            Outcome::Fail,
            good_host().fails("xl list", 1, "cannot open xenstore"),
        ),
        ("toolstack", Outcome::Unknown, good_host().misses("xl list")),
        (
            "libvirt",
            Outcome::Fail,
            good_host().fails("virsh -c", 1, "no socket"),
        ),
        ("network", Outcome::Fail, down),
        ("network", Outcome::Fail, good_host().prints("ip", "[]")),
        (
            "storage",
            Outcome::Fail,
            good_host().prints("vgs", r#"{"report":[{"vg":[]}]}"#),
        ),
        ("storage", Outcome::Unknown, good_host().misses("vgs")),
        (
            "storage",
            Outcome::Fail,
            more_storage().prints("vgs", crate::storage::lvm::VGS),
        ),
        (
            "storage",
            Outcome::Fail,
            more_storage().prints("vgs", &MORE_GROUPS.replacen("wz--n-", "wz-pn-", 1)),
        ),
        (
            "storage",
            Outcome::Fail,
            more_storage().prints("df", "Mounted on 1B-blocks Used\n/ 1000 10\n"),
        ),
        (
            "etc",
            Outcome::Fail,
            good_host().file("/proc/self/mounts", "overlay /etc overlay ro 0 0\n"),
        ),
        (
            "etc",
            Outcome::Fail,
            good_host().file("/proc/self/mounts", "/dev/dm-0 / squashfs ro 0 0\n"),
        ),
        (
            "etc",
            Outcome::Fail,
            good_host().breaks("/etc/.bedplate-health-probe"),
        ),
        (
            "state",
            Outcome::Fail,
            good_host().breaks("/state/bedplate/.bedplate-health-probe"),
        ),
    ];
    for (name, outcome, system) in cases {
        let esp = esp(&state(Some(OTHER), Some(RUNNING), 1));
        let report = check_once(&system, &esp);
        assert!(!report.passed);
        let problems: Vec<_> = report
            .problems()
            .map(|check| (check.name.as_str(), check.outcome))
            .collect();
        assert_eq!(problems, [(name, outcome)], "{report}");
        assert_eq!(
            on(&esp, STATE_ENV),
            state(Some(OTHER), Some(RUNNING), 1),
            "{name}"
        );
        assert!(
            system.content(RUN_REPORT).is_some(),
            "{name}: the failure is recorded"
        );
    }
}

#[test]
fn what_is_late_is_waited_for_and_what_never_comes_is_not() {
    let late = good_host().fails("xl list", 1, "not yet");
    let mut rounds = 0;
    let report = check(
        &late,
        esp(&state(Some(RUNNING), None, 0)).path(),
        &mut || {
            rounds += 1;
            rounds < 4
        },
        &mut |_, _| true,
    );
    assert!(!report.passed);
    assert_eq!(rounds, 4);
    let asked = |what: &str| {
        late.command_lines()
            .iter()
            .filter(|line| line.starts_with(what))
            .count()
    };
    assert_eq!(
        (asked("xl list"), asked("virsh -c")),
        (4, 1),
        "what passed is not asked again"
    );
}

#[test]
fn an_esp_that_cannot_be_written_is_told() {
    let empty = TempDir::new().unwrap();
    let report = check_once(&good_host(), &empty);
    assert!(!report.passed);
    assert_eq!(
        report
            .problems()
            .map(|check| check.name.as_str())
            .collect::<Vec<_>>(),
        ["boot-state"]
    );
}

#[test]
fn a_report_that_cannot_be_written_does_not_undo_what_the_boot_loader_was_told() {
    let system = good_host().breaks(RUN_REPORT);
    let report = check_once(&system, &esp(&state(Some(OTHER), Some(RUNNING), 0)));
    assert!(report.passed, "{report}");
    assert_eq!(
        report
            .problems()
            .map(|check| check.name.as_str())
            .collect::<Vec<_>>(),
        ["report"]
    );
}
