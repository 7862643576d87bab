//! The plain interview, with a script of answers.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::installed::installed;
use common::machine::{DISK, disk, disk_number, facts_of, used_disk};
use common::{HASH, KEY, zones};
use hcl_checker::Known;
use hcl_checker::facts::{BedplateHost, Disk, FirmwareKind};
use installer::choices::{AddressChoice, Ipv6Choice};
use installer::interview::{Asked, Prompt, PromptError, ask};
use installer::plan::{Plan, Planned};
use installer::tui::simulation::Simulation;
use std::collections::VecDeque;
use std::time::Duration;
use steps::system::RecordingSystem;

struct Script {
    answers: VecDeque<&'static str>,
    shown: String,
    hidden: Vec<&'static str>,
}

impl Prompt for Script {
    fn say(&mut self, text: &str) -> Result<(), PromptError> {
        self.shown.push_str(text);
        self.shown.push('\n');
        Ok(())
    }
    fn line(&mut self, question: &str) -> Result<String, PromptError> {
        let answer = self.answers.pop_front().ok_or(PromptError::Ended)?;
        self.shown.push_str(&format!("{question} {answer}\n"));
        Ok(answer.to_owned())
    }
    fn secret(&mut self, question: &str) -> Result<String, PromptError> {
        let answer = self.answers.pop_front().ok_or(PromptError::Ended)?;
        self.hidden.push(answer);
        self.shown.push_str(&format!("{question}\n"));
        Ok(answer.to_owned())
    }
}

fn interview(
    found: Disk,
    answers: &[&'static str],
) -> (Result<Asked, PromptError>, Script, RecordingSystem) {
    interview_at(found, false, answers)
}

fn interview_at(
    found: Disk,
    setup_mode: bool,
    answers: &[&'static str],
) -> (Result<Asked, PromptError>, Script, RecordingSystem) {
    interview_on(vec![found], setup_mode, answers)
}

fn interview_on(
    found: Vec<Disk>,
    setup_mode: bool,
    answers: &[&'static str],
) -> (Result<Asked, PromptError>, Script, RecordingSystem) {
    let system = RecordingSystem::new()
        .prints("openssl passwd -6 -stdin", &format!("{HASH}\n"))
        .file("/run/license", "v4.public.nonsense");
    let mut facts = facts_of(found, FirmwareKind::Uefi);
    facts.firmware.secure_boot = Known::Value(false);
    facts.firmware.setup_mode = Known::Value(setup_mode);
    let mut script = Script {
        answers: answers.iter().copied().collect(),
        shown: String::new(),
        hidden: vec![],
    };
    let effects = Simulation::new(&system, facts, zones(), Duration::ZERO).unwrap();
    let result = ask(&mut script, &effects);
    drop(effects);
    (result, script, system)
}

/// The plan of an installation that the operator agreed to.
fn installation(asked: Result<Asked, PromptError>) -> Option<Plan> {
    match asked {
        Ok(Asked::Install(plan)) => plan.install().cloned(),
        _ => None,
    }
}

/// Keyboard, disk, name, zone, password twice, key, no more keys, IPv4, IPv6, VLAN, MTU, DNS, search, NTP, no test, no
/// license, and the reason, because nothing is known about this machine.
const TO_PLAN: [&str; 19] = [
    "",
    "1",
    "xen1",
    "",
    "correct horse",
    "correct horse",
    KEY,
    "",
    "1",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "r",
    "test lab",
];

#[test]
fn an_empty_disk_needs_no_wipe() {
    let answers = [&TO_PLAN[..], &["yes"]].concat();
    let (asked, script, system) = interview(disk(), &answers);
    let Some(plan) = installation(asked) else {
        panic!("no plan: {}", script.shown)
    };
    assert_eq!(plan.disk.identity.path, DISK);
    assert!(!plan.disk.wipe);
    assert_eq!(plan.network.bridges[0].address, AddressChoice::Dhcp);
    assert_eq!(plan.root_password.unwrap().expose(), HASH);
    assert_eq!(plan.system.timezone.as_str(), "Etc/UTC");
    assert!(script.answers.is_empty());
    for secret in ["correct horse", HASH] {
        assert!(!script.shown.contains(secret), "{}", script.shown);
        assert!(!system.command_lines().concat().contains(secret));
    }
    assert_eq!(system.commands()[0].stdin_bytes(), b"correct horse\n");
}

#[test]
fn a_used_disk_needs_the_whole_word() {
    let answers = [&TO_PLAN[..], &["WIPE"]].concat();
    let (asked, script, _) = interview(used_disk(), &answers);
    let Some(plan) = installation(asked) else {
        panic!("no plan: {}", script.shown)
    };
    assert!(plan.disk.wipe);
    assert!(
        script
            .shown
            .contains("LOST       /dev/sda has a partition table (dos)"),
        "{}",
        script.shown
    );

    for other in ["yes", "wipe", "y", "", "WIPE!"] {
        let answers = [&TO_PLAN[..], &[other, "quit"]].concat();
        let (asked, ..) = interview(used_disk(), &answers);
        assert!(
            matches!(asked, Ok(Asked::Declined)),
            "{other:?} was taken for consent"
        );
    }
}

#[test]
fn the_storage_repository_of_a_host_is_asked_for() {
    // Before the disk it is asked what shall be done about the host, and behind it comes one question more.
    for (answer, kept) in [("", true), ("1", true), ("2", false)] {
        let answers = [
            &TO_PLAN[..1],
            &["1"],
            &TO_PLAN[1..2],
            &[answer],
            &TO_PLAN[2..],
            &["WIPE"],
        ]
        .concat();
        let (asked, script, _) = interview(installed(), &answers);
        let Some(plan) = installation(asked) else {
            panic!("no plan: {}", script.shown)
        };
        assert_eq!(plan.disk.keeps.is_some(), kept, "{answer:?}");
        let shown = &script.shown;
        assert_eq!(shown.contains("KEPT       /dev/sda6"), kept, "{shown}");
        let sentence = "Everything on /dev/sda (but its storage repository) will be lost";
        assert_eq!(shown.contains(sentence), kept, "{shown}");
    }
}

/// Behind the disk are asked the second one of a mirror, and those for storage.
#[test]
fn a_mirror_and_more_storage_are_asked_for() {
    let used = Disk {
        content: used_disk().content,
        ..disk_number(2)
    };
    let disks = || vec![disk(), used.clone(), disk_number(3), disk_number(4)];
    for (second, storage, mirror, repositories, consent) in [
        ("", "", None, vec![], "yes"),
        ("2", "", Some("/dev/sdb"), vec![], "WIPE"),
        ("3", "2", Some("/dev/sdc"), vec!["/dev/sdd"], "yes"),
        ("1", "3, 1", None, vec!["/dev/sdb", "/dev/sdd"], "WIPE"),
    ] {
        let answers = [&TO_PLAN[..2], &[second, storage], &TO_PLAN[2..], &[consent]].concat();
        let (asked, script, _) = interview_on(disks(), false, &answers);
        let Some(plan) = installation(asked) else {
            panic!("no plan: {}", script.shown)
        };
        let half = plan
            .disk
            .mirror
            .as_ref()
            .map(|half| half.identity.path.as_str());
        assert_eq!(half, mirror, "{}", script.shown);
        let taken: Vec<&str> = plan
            .storage
            .iter()
            .flat_map(|storage| storage.disks.iter().map(|disk| disk.identity.path.as_str()))
            .collect();
        assert_eq!(taken, repositories, "{}", script.shown);
        assert!(script.answers.is_empty());
        let lost = consent == "WIPE";
        assert_eq!(script.shown.contains("All of this would be lost:"), lost);
    }
}

#[test]
fn a_disk_with_other_sectors_is_offered_for_storage_only() {
    let other = Disk {
        logical_sector: Known::Value(4096),
        ..disk_number(2)
    };
    let answers = [&TO_PLAN[..2], &["x", "1"], &TO_PLAN[2..], &["yes"]].concat();
    let (asked, script, _) = interview_on(vec![disk(), other], false, &answers);
    let plan = installation(asked).unwrap_or_else(|| panic!("no plan: {}", script.shown));
    assert!(!script.shown.contains("A mirror?"), "{}", script.shown);
    assert!(
        script.shown.contains("Type numbers from 1 to 1"),
        "{}",
        script.shown
    );
    assert!(plan.disk.mirror.is_none() && plan.storage.len() == 1);
}

/// The disk of a host that runs an older release than the simulation's.
fn older_host() -> Disk {
    let mut disk = installed();
    disk.host = Known::Value(BedplateHost {
        hostname: Some("xen1".into()),
        version: "0.0.9".into(),
        root_hash: "0a".repeat(32),
        slot: "bedplate-a".into(),
        trial: None,
    });
    disk
}

#[test]
fn a_host_is_upgraded_without_further_questions() {
    // Keyboard, what to do, and the reason, because nothing is known about this machine.
    let answers = [
        "",
        "1",
        "r",
        "test lab",
        "d",
        "s",
        "/tmp/answers.toml",
        "yes",
    ];
    let (asked, script, system) = interview(older_host(), &answers);
    let Ok(Asked::Install(planned)) = asked else {
        panic!("no plan: {}", script.shown)
    };
    let Planned::Upgrade(plan) = *planned else {
        panic!("an installation")
    };
    assert_eq!(
        (plan.disk.path.as_str(), plan.writes.name()),
        (DISK, "bedplate-b")
    );
    let shown = &script.shown;
    assert!(
        shown.contains("1. Upgrade xen1 on /dev/sda from Bedplate 0.0.9 to 0.1.0"),
        "{shown}"
    );
    assert!(
        !shown.contains("Name of the host") && !shown.contains("lost"),
        "{shown}"
    );
    assert!(script.answers.is_empty());
    // What was saved does the same again.
    let saved = system.content("/tmp/answers.toml").unwrap();
    let saved = String::from_utf8(saved).unwrap();
    let read = installer::answers::read(&saved, "saved", &zones(), None).unwrap();
    assert!(read.disk.upgrade && read.system.is_none() && !read.disk.wipe);
}

#[test]
fn a_host_may_be_left_alone_or_installed_anew_all_the_same() {
    let (asked, script, _) = interview(older_host(), &["", "3"]);
    assert!(matches!(asked, Ok(Asked::Declined)), "{}", script.shown);
    // Upgrade, then the other way: disk, keep, and everything about a new host.
    let answers = [&["", "1", "u", "2", "1", ""][..], &TO_PLAN[2..], &["WIPE"]].concat();
    let (asked, script, _) = interview(older_host(), &answers);
    let Some(plan) = installation(asked) else {
        panic!("no plan: {}", script.shown)
    };
    assert!(plan.disk.wipe && plan.disk.keeps.is_some());
    // Where nothing is known about it, there is no upgrade, and it says why.
    let (asked, script, _) = interview(installed(), &["", "2"]);
    assert!(matches!(asked, Ok(Asked::Declined)), "{}", script.shown);
    let shown = &script.shown;
    assert!(
        shown.contains("No upgrade: what runs on /dev/sda is not known"),
        "{shown}"
    );
}

#[test]
fn wrong_answers_are_asked_again() {
    let answers = [
        "xx",
        "de",
        "0",
        "2",
        "x",
        "1", // keyboard and disk
        "xen_1",
        "Mars",
        "short",
        "correct horse",
        "other horse",
        "correct horse",
        "correct horse",
        "nonsense",
        "",
        "xen1",
        "Europe/Berlin",
        "",
        "", // name and zone again, the password is kept
        "4",
        "2",
        "192.0.2.10",
        "",
        "",
        "",
        "",
        "x",
        "",
        "", // an address without a prefix, a bad name server
        "",
        "192.0.2.10/24",
        "192.0.2.1",
        "4",
        "5000",
        "",
        "192.0.2.1 2001:db8::1",
        "",
        "", // a bad VLAN
        "",
        "",
        "",
        "",
        "-",
        "",
        "",
        "",
        "",
        "y",
        "", // a test
        "v4.public.abc",
        "/run/license",
        "/run/missing",
        "",    // three licenses that are none
        "yes", // without a reason there is no plan yet
        "r",
        "test lab",
        "s",
        "/run/answers.toml",
        "yes",
    ];
    let (asked, script, system) = interview(disk(), &answers);
    let Some(plan) = installation(asked) else {
        panic!("no plan: {}", script.shown)
    };
    let bridge = &plan.network.bridges[0];
    assert!(
        matches!(bridge.address, AddressChoice::Static(_)),
        "{plan:?}"
    );
    assert_eq!(bridge.ipv6, Ipv6Choice::None);
    assert_eq!((bridge.dns.len(), &bridge.vlan), (2, &None));
    assert!(plan.hcl.overridden);
    assert!(script.answers.is_empty(), "{:?}", script.answers);
    let saved = String::from_utf8(system.content("/run/answers.toml").unwrap()).unwrap();
    let read = installer::answers::read(&saved, "saved", &zones(), None).unwrap();
    assert_eq!(read.system.unwrap().hostname.to_string(), "xen1");
    assert_eq!(
        script
            .hidden
            .iter()
            .filter(|text| text.starts_with("v4."))
            .count(),
        1
    );
    assert!(!script.shown.contains("v4.public.abc"));
}

#[test]
fn everything_can_be_changed_at_the_plan() {
    let change = [
        "h", "xen2", "", "", "", // another name, all else kept
        "n", "3", "", "", "", "", "", "", "", // no IPv4
        "d", "1", "l", "", "yes",
    ];
    let answers = [&TO_PLAN[..], &change].concat();
    let (asked, script, _) = interview(disk(), &answers);
    let Some(plan) = installation(asked) else {
        panic!("no plan: {}", script.shown)
    };
    assert_eq!(plan.system.hostname.as_str(), "xen2");
    assert_eq!(plan.network.bridges[0].address, AddressChoice::None);
    assert_eq!(plan.root_password.unwrap().expose(), HASH);
    assert_eq!(plan.system.ssh_keys.len(), 1);
}

#[test]
fn keys_of_secure_boot_are_asked_for_where_the_firmware_takes_them() {
    // Behind the ssh keys.
    let with = |answer: &'static str, end: &[&'static str]| {
        let answers = [&TO_PLAN[..8], &[answer], &TO_PLAN[8..], end].concat();
        interview_at(disk(), true, &answers)
    };
    for (answer, end, wanted) in [
        ("", &["yes"][..], false),
        ("1", &["yes"], false),
        ("2", &["yes"], true),
        ("", &["b", "2", "yes"], true),
        // Nothing typed keeps what was said before.
        ("2", &["b", "", "yes"], true),
        ("2", &["b", "1", "yes"], false),
    ] {
        let (asked, script, _) = with(answer, end);
        let Some(plan) = installation(asked) else {
            panic!("no plan: {}", script.shown)
        };
        assert_eq!(plan.boot.enroll_keys, wanted, "{answer:?} {end:?}");
        assert!(script.answers.is_empty(), "{:?}", script.answers);
        let told = script.shown.contains("keys of Secure Boot are enrolled");
        assert!(told || !wanted, "{}", script.shown);
    }
    let (_, script, _) = interview(disk(), &TO_PLAN);
    assert!(!script.shown.contains("Secure Boot,"), "{}", script.shown);
    assert!(!script.shown.contains("setup mode"), "{}", script.shown);
}

#[test]
fn a_console_that_goes_away_ends_it() {
    for count in 0..TO_PLAN.len() {
        let (asked, ..) = interview(disk(), &TO_PLAN[..count]);
        assert!(matches!(asked, Err(PromptError::Ended)));
    }
}
