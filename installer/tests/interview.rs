//! The plain interview, with a script of answers.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::machine::{DISK, disk, facts, used_disk};
use common::{HASH, KEY, verdict, zones};
use hcl_checker::facts::{Disk, FirmwareKind};
use hcl_checker::verdict::Level;
use installer::choices::{AddressChoice, Choices};
use installer::interview::{Asked, Prompt, PromptError, ask};
use installer::plan::{Input, build};
use release::Manifest;
use std::collections::VecDeque;
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
    level: Level,
    answers: &[&'static str],
) -> (Result<Asked, PromptError>, Script, RecordingSystem) {
    let facts = facts(found, FirmwareKind::Uefi);
    let manifest: Manifest = serde_json::from_value(serde_json::json!({
        "schema": 1, "name": "bedplate", "version": "0.1.0", "kernel": "6.12", "xen": "4.20", "artifacts": {}, "epoch": 0,
        "root": {
            "version": "0.1.0", "image_name": "x", "image_size": 1, "image_sha256": "ab",
            "verity": { "data_blocks": 1, "salt": "00", "root_hash": "00" },
        },
    }))
    .unwrap();
    let build = |choices: &Choices| {
        build(&Input {
            release: &manifest,
            facts: &facts,
            judge: &|_| verdict(level),
            choices,
            medium: None,
            command_line: "",
        })
    };
    let system = RecordingSystem::new().prints("openssl passwd -6 -stdin", &format!("{HASH}\n"));
    let mut script = Script {
        answers: answers.iter().copied().collect(),
        shown: String::new(),
        hidden: vec![],
    };
    let result = ask(&mut script, &facts, &zones(), &system, &build);
    (result, script, system)
}

const TO_PLAN: [&str; 7] = ["1", "xen1", "", "correct horse", "correct horse", KEY, "1"];

#[test]
fn an_empty_disk_needs_no_wipe() {
    let answers = [&TO_PLAN[..], &["yes"]].concat();
    let (asked, script, system) = interview(disk(), Level::Compatible, &answers);
    let Ok(Asked::Install(plan)) = asked else {
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
    let (asked, script, _) = interview(used_disk(), Level::Compatible, &answers);
    let Ok(Asked::Install(plan)) = asked else {
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
        let (asked, ..) = interview(used_disk(), Level::Compatible, &answers);
        assert!(
            matches!(asked, Ok(Asked::Declined)),
            "{other:?} was taken for consent"
        );
    }
}

#[test]
fn wrong_answers_are_asked_again() {
    let answers = [
        "0",
        "2",
        "x",
        "1",
        "xen_1",
        "xen1",
        "Mars",
        "Europe/Berlin",
        "short",
        "correct horse",
        "other horse",
        "correct horse",
        "correct horse",
        "nonsense",
        "",
        "3",
        "2",
        "192.0.2.10",
        "192.0.2.10/24",
        "10.0.0.1",
        "192.0.2.1",
        "x",
        "192.0.2.1 2001:db8::1",
        "yes",
    ];
    let (asked, script, _) = interview(disk(), Level::Compatible, &answers);
    let Ok(Asked::Install(plan)) = asked else {
        panic!("no plan: {}", script.shown)
    };
    let bridge = &plan.network.bridges[0];
    assert!(
        matches!(bridge.address, AddressChoice::Static(_)),
        "{plan:?}"
    );
    assert_eq!(bridge.dns.len(), 2);
    assert!(script.answers.is_empty());
}

#[test]
fn a_refused_machine_needs_a_reason() {
    let answers = [&TO_PLAN[..], &["test lab", "yes"]].concat();
    let (asked, script, _) = interview(disk(), Level::Unsupported, &answers);
    let Ok(Asked::Install(plan)) = asked else {
        panic!("no plan: {}", script.shown)
    };
    assert!(plan.hcl.overridden);
    assert!(
        plan.warnings
            .iter()
            .any(|warning| warning.contains("test lab")),
        "{:?}",
        plan.warnings
    );
}

#[test]
fn a_console_that_goes_away_ends_it() {
    for count in 0..TO_PLAN.len() {
        let (asked, ..) = interview(disk(), Level::Compatible, &TO_PLAN[..count]);
        assert!(matches!(asked, Err(PromptError::Ended)));
    }
}
