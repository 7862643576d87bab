use super::*;
use slots::boot_state::{BootState, GOOD_ENV, STATE_ENV};
use slots::env_block::EnvBlock;
use slots::names::WATCHDOG;
use slots::{BootRecord, RootIdentity, Verity};
use std::fs;
use steps::RecordingSystem;
use tempfile::TempDir;

const RUNNING: &str = "aaaaaaaaaaaaaaaa";
const OTHER: &str = "bbbbbbbbbbbbbbbb";

fn record(mode: Mode) -> String {
    let root = RootIdentity {
        version: "0.1.0".into(),
        image_name: "x.root.img".into(),
        image_size: 8192,
        image_sha256: "a".repeat(64),
        verity: Verity {
            data_blocks: 1,
            salt: String::new(),
            root_hash: "a".repeat(64),
        },
    };
    let record = BootRecord {
        mode,
        root,
        root_device: "/dev/sda3".into(),
        medium: None,
        state_device: Some("/dev/sda5".into()),
        mirror: None,
        root_opened_ms: 900,
        warnings: vec![],
    };
    serde_json::to_string(&record).unwrap()
}

const UP: &str = r#"[{"addr_info":[{"family":"inet","local":"10.0.2.15","scope":"global"}]}]"#;

/// A host on which everything is as it should be.
fn good_host() -> RecordingSystem {
    RecordingSystem::new()
        .strict()
        .file("/run/bedplate/boot.json", record(Mode::Host))
        .file("/proc/xen/capabilities", "control_d\n")
        .file("/proc/uptime", "31.42 60.00\n")
        .file(
            "/proc/self/mounts",
            "/dev/dm-0 / squashfs ro 0 0\noverlay /etc overlay rw,relatime,lowerdir=/x 0 0\n",
        )
        .file("/sys/class/net/xenbr0/operstate", "up\n")
        .prints(
            "xl list",
            "Name ID Mem VCPUs State Time(s)\nDomain-0 0 1024 1 r----- 9.0\n",
        )
        .prints("virsh -c xen:///system list", "")
        .prints("virsh -q -c xen:///system list", "")
        .prints("ip -json address show dev xenbr0", UP)
        .prints("vgs", crate::storage::lvm::VGS)
}

const MORE_GROUPS: &str = r#"{"report":[{"vg":[
    {"vg_name":"bedplate-fast","vg_uuid":"f","vg_attr":"wz--n-","vg_size":"4294967296","vg_free":"3221225472","lv_count":"1"},
    {"vg_name":"bedplate-archive","vg_uuid":"a","vg_attr":"wz--n-","vg_size":"8589934592","vg_free":"0","lv_count":"1"},
    {"vg_name":"bedplate","vg_uuid":"l","vg_attr":"wz--n-","vg_size":"2147483648","vg_free":"1073741824","lv_count":"1"}]}]}"#;

/// The same with storage repositories on two more disks.
fn more_storage() -> RecordingSystem {
    good_host()
        .file("/etc/lvm/lvmlocal.conf", crate::storage::groups::LVMLOCAL)
        .file(
            "/etc/fstab",
            "/dev/bedplate-archive/files /srv/storage/archive ext4 nofail 0 2\n\
             UUID=1 /srv/xen/cccccccc-1111-4111-8111-111111111111 ext4 nofail 0 2\n",
        )
        .prints("vgs", MORE_GROUPS)
        .prints(
            "df",
            "Mounted on 1B-blocks Used\n/srv/storage/archive 8589934592 4294967296\n",
        )
}

#[test]
fn all_storage_that_was_installed_is_looked_at_and_shown() {
    let (system, esp) = (more_storage(), esp(&state(None, Some(RUNNING), 0)));
    let report = check_once(&system, &esp);
    assert!(report.passed, "{report}");
    let free = "local: 1.0 GiB of 2.0 GiB free, fast: 3.0 GiB of 4.0 GiB free, archive: 4.0 GiB of 8.0 GiB free";
    let check = report.checks.iter().find(|check| check.name == "storage");
    assert_eq!(check.unwrap().reason, free);
    assert!(issue_text(&system).contains(free));
    // On an ordinary boot a disk that died is told, and no reason to call the release bad.
    let missing = more_storage().prints("vgs", crate::storage::lvm::VGS);
    let report = check_once(&missing, &esp);
    assert!(report.passed, "{report}");
    assert!(
        report.to_string().contains(
            "there is no volume group bedplate-fast: bring its disk back, or take the repository out by xe sr-forget"
        ),
        "{report}"
    );
    let shown = issue_text(&missing);
    assert!(shown.contains("good, but look at: storage"), "{shown}");
}

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

/// What ran when the try of the running root was arranged, as the host kept it.
fn before(system: &RecordingSystem) -> Vec<u8> {
    let (baseline, unknown) = Baseline::now(system, RUNNING);
    assert_eq!(unknown, [""; 0]);
    baseline.save(system, &Places::default()).unwrap();
    system.content(BEFORE).unwrap()
}

const BEFORE: &str = "/var/lib/bedplate/hotfix/trial/before.json";

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

#[test]
fn storage_that_was_gone_before_makes_no_release_fall_back() {
    let trial = || esp(&state(Some(OTHER), Some(RUNNING), 0));
    let gone = || more_storage().prints("vgs", crate::storage::lvm::VGS);
    let lacks_driver = gone().file(BEFORE, before(&more_storage()));
    let report = check_once(&lacks_driver, &trial());
    assert!(!report.passed, "{report}");
    let died_before = gone().file(BEFORE, before(&gone()));
    let report = check_once(&died_before, &trial());
    assert!(report.passed, "{report}");
    assert!(report.to_string().contains("WARN     storage"), "{report}");
    // The disk of the host itself is no matter of before.
    let none = good_host().prints("vgs", r#"{"report":[{"vg":[]}]}"#);
    let report = check_once(&none.file(BEFORE, before(&gone())), &trial());
    assert!(!report.passed, "{report}");
}

fn esp(state: &BootState) -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("grub")).unwrap();
    fs::write(
        dir.path().join(STATE_ENV),
        state.to_env().unwrap().to_bytes().unwrap(),
    )
    .unwrap();
    fs::write(
        dir.path().join(GOOD_ENV),
        state.to_good_env().unwrap().to_bytes().unwrap(),
    )
    .unwrap();
    dir
}

fn state(good: Option<&str>, try_id: Option<&str>, tries: u8) -> BootState {
    BootState {
        good: good.map(Into::into),
        try_id: try_id.map(Into::into),
        tries,
        ..BootState::default()
    }
}

fn on(dir: &TempDir, file: &str) -> BootState {
    BootState::from_env(&EnvBlock::read(&dir.path().join(file)).unwrap())
}

fn check_once(system: &RecordingSystem, esp: &TempDir) -> HealthReport {
    check(system, esp.path(), &mut || false, &mut |_, _| true)
}

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

/// What was done to the watchdog, when it is there.
fn watchdog(system: RecordingSystem, state: &BootState) -> (HealthReport, usize) {
    let system = system.file(WATCHDOG, "").prints("sh", "");
    let report = check_once(&system, &esp(state));
    let stops = system
        .command_lines()
        .iter()
        .filter(|line| line.contains("printf V >/dev/watchdog0"))
        .count();
    (report, stops)
}

#[test]
fn the_watchdog_runs_on_only_while_there_is_a_way_back() {
    let broken = || good_host().fails("virsh -c", 1, "no socket");
    for (name, system, state, passed, stops) in [
        (
            "on trial and good",
            good_host(),
            state(Some(OTHER), Some(RUNNING), 0),
            true,
            1,
        ),
        (
            "on trial and not good",
            broken(),
            state(Some(OTHER), Some(RUNNING), 0),
            false,
            0,
        ),
        (
            "a new host, not good",
            broken(),
            state(None, Some(RUNNING), 2),
            false,
            1,
        ),
        (
            "good before, not now",
            broken(),
            state(Some(RUNNING), None, 0),
            false,
            1,
        ),
        (
            "another one is on trial",
            broken(),
            state(Some(RUNNING), Some(OTHER), 1),
            false,
            1,
        ),
    ] {
        let (report, stopped) = watchdog(system, &state);
        assert_eq!(
            (report.passed, stopped),
            (passed, stops),
            "{name}: {report}"
        );
    }
}

#[test]
fn a_root_whose_watchdog_runs_on_is_not_good() {
    for before in [
        state(Some(RUNNING), None, 0),
        state(Some(OTHER), Some(RUNNING), 0),
    ] {
        let stuck = good_host().file(WATCHDOG, "").fails("sh", 1, "busy");
        let folder = esp(&before);
        let report = check_once(&stuck, &folder);
        assert!(!report.passed, "{report}");
        let problems: Vec<_> = report.problems().map(|check| &check.name).collect();
        assert_eq!(problems, ["watchdog"]);
        assert_eq!(
            on(&folder, STATE_ENV),
            before,
            "the boot loader is told nothing"
        );
    }
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

#[test]
fn the_state_after_a_good_boot() {
    // The root under trial came up.
    let (after, failed) = after_good_boot(&state(Some(OTHER), Some(RUNNING), 1), RUNNING);
    assert_eq!(
        (after, failed),
        (
            BootState {
                previous: Some(OTHER.into()),
                ..state(Some(RUNNING), None, 0)
            },
            None
        )
    );
    // The last good root runs again after the tries of another one were used up.
    let (after, failed) = after_good_boot(&state(Some(RUNNING), Some(OTHER), 0), RUNNING);
    assert_eq!(
        (after, failed),
        (state(Some(RUNNING), None, 0), Some(OTHER.to_owned()))
    );
    // A root is set up for the next boot: its try stays.
    let pending = state(Some(RUNNING), Some(OTHER), 1);
    assert_eq!(after_good_boot(&pending, RUNNING), (pending.clone(), None));
    // Nothing changes on an ordinary boot.
    let ordinary = BootState {
        previous: Some(OTHER.into()),
        ..state(Some(RUNNING), None, 0)
    };
    assert_eq!(
        after_good_boot(&ordinary, RUNNING),
        (ordinary.clone(), None)
    );
}

#[test]
fn damaged_blocks_are_written_anew_and_good_ones_left_alone() {
    let dir = esp(&state(Some(RUNNING), None, 0));
    let path = dir.path().join(STATE_ENV);
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(mark_good(dir.path(), RUNNING, &mut |_| true).unwrap(), None);
    assert_eq!(
        fs::metadata(&path).unwrap().modified().unwrap(),
        before,
        "nothing to write"
    );
    fs::write(&path, [0; 1024]).unwrap();
    mark_good(dir.path(), RUNNING, &mut |_| true).unwrap();
    assert_eq!(on(&dir, STATE_ENV), state(Some(RUNNING), None, 0));
}

#[test]
fn a_failed_try_is_recorded_before_the_loader_forgets_it() {
    let used_up = state(Some(RUNNING), Some(OTHER), 0);
    let dir = esp(&used_up);
    let mut seen = Vec::new();
    mark_good(dir.path(), RUNNING, &mut |failed| {
        seen.push((failed.to_owned(), on(&dir, STATE_ENV)));
        true
    })
    .unwrap();
    assert_eq!(seen, [(OTHER.to_owned(), used_up.clone())]);
    assert_eq!(on(&dir, STATE_ENV), state(Some(RUNNING), None, 0));
    // What could not be recorded is known at the next boot, too, and is not tried again meanwhile.
    let dir = esp(&used_up);
    for _ in 0..2 {
        let failed = mark_good(dir.path(), RUNNING, &mut |_| false).unwrap();
        assert_eq!(failed.as_deref(), Some(OTHER));
        assert_eq!(on(&dir, STATE_ENV), used_up);
    }
}

#[test]
fn the_login_prompt_shows_what_an_administrator_needs() {
    let system = good_host()
        .file(
            "/etc/ssh/ssh_host_ed25519_key.pub",
            "ssh-ed25519 AAAA root@x\n",
        )
        .prints(
            "ssh-keygen -l -f",
            "256 SHA256:abc/def root@x y (ED25519)\n",
        )
        .prints("agetty", "");
    write_issue(&system).unwrap();
    let text = String::from_utf8(system.content(ISSUE_FILE).unwrap()).unwrap();
    assert_eq!(
        text,
        "  Release     0.1.0 (aaaaaaaaaaaaaaaa)\n  \
         Management  xenbr0 \\4{xenbr0} \\6{xenbr0}\n  \
         SSH key     SHA256:abc/def (ED25519)\n  \
         Storage     19.9 GiB of 19.9 GiB free\n  \
         Health      not checked\n\n"
    );
    let failed = good_host().fails("virsh -c", 1, "no");
    check_once(&failed, &esp(&state(None, None, 0)));
    assert!(issue_text(&failed).contains("NOT GOOD: libvirt (see /run/bedplate/health.json)"));
    // The rescue system says what it is, and nothing of what it cannot know.
    let rescue = failed.file("/run/bedplate/boot.json", record(Mode::Rescue));
    let text = issue_text(&rescue);
    assert!(text.contains("  Mode        rescue: bare Linux"), "{text}");
    assert!(!text.contains("Health"), "{text}");
}
