//! Passwords, tokens and license keys are in no log, event, report, plan, message or command line, whatever goes wrong.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::machine::{DISK, FakeMachine, FakeSystem, disk, facts};
use common::medium::Medium;
use common::{HASH, KEY, cases, choices, verdict, zones};
use hcl_checker::facts::FirmwareKind;
use hcl_checker::verdict::Level;
use installer::answers::{self, MachineIdentity};
use installer::laydown::{self, Context};
use installer::plan::{Input, Plan, build};
use installer::webhook::Webhook;
use proptest::prelude::*;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use steps::event::Outcome;
use steps::report::Heading;
use steps::sink::{Console, FanOut, JsonLines};
use steps::system::RecordingSystem;
use steps::{Emitter, Report};

/// A part of each secret that nothing else has.
const SECRETS: [&str; 9] = [
    // Of the hash of the password.
    "TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN",
    "l1cense-t0ken",
    "b3arer-t0ken",
    "h00k-user",
    "h00k-passw0rd",
    "qu3ry-value",
    "scr1pt-secret",
    "s0urce-user",
    "s0urce-pass",
];

/// Answers with every secret that answers can hold. The hook prints what it should not.
fn text() -> String {
    format!(
        "schema = 1\n[disk]\npath = \"{DISK}\"\n[system]\nhostname = \"xen1\"\nroot_password_hash = \"{HASH}\"\n\
         ssh_keys = [\"{KEY}\"]\n[license]\ntoken = \"v4.public.l1cense-t0ken\"\n\
         [webhook]\nurl = \"https://h00k-user:h00k-passw0rd@hook.example.org/r?key=qu3ry-value\"\ntoken = \"b3arer-t0ken\"\n\
         [[hook]]\nname = \"look\"\nwhen = \"before-install\"\nscript = \"\"\"\n#!/bin/sh\n# scr1pt-secret\n\"\"\"\n\
         [[hook]]\nname = \"there\"\nwhen = \"first-boot\"\nmay_fail = true\nscript = \"\"\"\n#!/bin/sh\n# scr1pt-secret\n\"\"\"\n\
         [source]\nurl = \"https://s0urce-user:s0urce-pass@releases.example.org/b\"\n[hcl]\npolicy = \"warn\"\nreason = \"a machine in memory\"\n"
    )
}

fn holds_none(what: &str, shown: &str) {
    for secret in SECRETS {
        assert!(!shown.contains(secret), "{what} shows {secret}:\n{shown}");
    }
}

fn plan(medium: &Medium) -> Plan {
    build(&Input {
        release: &medium.manifest,
        facts: &facts(disk(), FirmwareKind::Uefi),
        judge: &|_| verdict(Level::Compatible),
        choices: &choices(&text()),
        medium: None,
        command_line: "",
    })
    .unwrap_or_else(|problems| panic!("{problems}"))
}

/// Keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Kept {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// An installation with everything that is shown of it, named. Call `fail_at` of those that change something fails.
fn install(
    medium: &Medium,
    plan: &Plan,
    fail_at: Option<usize>,
) -> (Report, usize, Vec<(&'static str, String)>) {
    let release = medium.open();
    let printed = format!(
        "{HASH}\nv4.public.l1cense-t0ken\nb3arer-t0ken h00k-user:h00k-passw0rd qu3ry-value h00k-passw0rd\n"
    );
    let mut system = FakeSystem::new(&release)
        .change(|system| system.prints("BEDPLATE_STAGE=before-install", &printed));
    if let Some(at) = fail_at {
        system = system.failing_at(at);
    }
    let machine = FakeMachine::new(disk(), None);
    let (events, console) = (Kept::default(), Kept::default());
    let sinks = FanOut::new()
        .with("events", JsonLines::new(events.clone()))
        .with("console", Console::new(console.clone()));
    let mut emitter = Emitter::new(sinks);
    // Its server is away, and its tool says more than it should.
    let curl = Arc::new(RecordingSystem::new().fails(
        "curl",
        6,
        "curl: (6) https://h00k-user:h00k-passw0rd@hook.example.org/r?key=qu3ry-value with b3arer-t0ken",
    ));
    let webhook = Webhook::new(
        &choices(&text()).webhook.unwrap(),
        &MachineIdentity::default(),
        curl.clone(),
    );
    webhook.listen(&mut emitter);
    let mut context = Context::new(
        plan,
        plan.hash().unwrap(),
        &release,
        &system,
        &machine,
        1_795_305_600,
    );
    let heading = Heading {
        facts: serde_json::to_value(plan).unwrap(),
        ..Heading::default()
    };
    let mut report = laydown::steps(plan).run(&mut context, &mut emitter, heading);
    webhook.report(&mut report, &mut emitter, &|_| {});
    let commands = |system: &RecordingSystem| {
        format!(
            "{}\n{:?}",
            system.command_lines().join("\n"),
            system.commands()
        )
    };
    let shown = vec![
        ("the event stream", events.text()),
        ("a console", console.text()),
        ("the report as JSON", report.to_json().unwrap()),
        ("the report as text", report.to_string()),
        ("a command line", commands(&system.inner)),
        ("a command line of the webhook", commands(&curl)),
        ("a list of calls", format!("{:?}", system.inner.calls())),
    ];
    (report, system.count(), shown)
}

#[test]
fn an_installation_shows_none_wherever_it_fails() {
    let medium = Medium::new();
    let plan = plan(&medium);
    let (report, calls, shown) = install(&medium, &plan, None);
    assert_eq!(report.result, Outcome::Ok, "{report}");
    assert!(calls > 60, "only {calls} calls");
    // What the hook printed is there, so the search looks at the right thing.
    let json = report.to_json().unwrap();
    assert!(json.contains("(secret)"), "{json}");
    for (what, text) in shown {
        assert!(!text.is_empty(), "{what} is empty");
        holds_none(what, &text);
    }
    for at in 0..calls {
        for (what, text) in install(&medium, &plan, Some(at)).2 {
            holds_none(&format!("{what} of a run whose call {at} fails"), &text);
        }
    }
}

#[test]
fn the_host_gets_them_in_files_that_only_root_reads() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan(&medium);
    let system = FakeSystem::new(&release);
    let machine = FakeMachine::new(disk(), None);
    let mut context = Context::new(&plan, plan.hash().unwrap(), &release, &system, &machine, 0);
    let mut emitter = Emitter::new(FanOut::new());
    laydown::steps(&plan).run(&mut context, &mut emitter, Heading::default());
    let mut found = Vec::new();
    for call in system.inner.calls() {
        let steps::system::Call::Write(path, mode) = call else {
            continue;
        };
        // The programs of hooks that ran are gone.
        let Some(content) = system.inner.content(&path) else {
            continue;
        };
        let content = String::from_utf8_lossy(&content).into_owned();
        if SECRETS.iter().any(|secret| content.contains(secret)) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            found.push((name, format!("{mode:o}")));
        }
    }
    found.sort();
    found.dedup();
    let expected = [
        ("license.token", "600"),
        ("shadow", "640"),
        ("there", "600"),
    ];
    assert_eq!(
        found,
        expected.map(|(name, mode)| (name.to_owned(), mode.to_owned()))
    );
}

#[test]
fn neither_plan_nor_choices_nor_their_debug_form_shows_one() {
    let medium = Medium::new();
    let plan = plan(&medium);
    holds_none("the plan as JSON", &plan.to_json().unwrap());
    holds_none("the plan for people", &plan.describe().to_string());
    holds_none("the debug form of the plan", &format!("{plan:#?}"));
    holds_none(
        "the debug form of choices",
        &format!("{:#?}", choices(&text())),
    );
    let written: answers::schema::AnswerFile = toml::from_str(&text()).unwrap();
    let shown = format!(
        "{:?} {:?} {:?}",
        written.hook, written.license, written.webhook
    );
    holds_none("the debug form of the answers", &shown);
}

#[test]
fn no_command_shows_one() {
    let medium = Medium::new();
    let (root, trusted) = (medium.path(), medium.trusted_root());
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good.toml");
    fs::write(&good, text().replace(DISK, "/dev/sda")).unwrap();
    let bad = dir.path().join("bad.toml");
    fs::write(
        &bad,
        text()
            .replace("[disk]", "[disks]")
            .replace("policy", "polcy"),
    )
    .unwrap();
    let machine = cases().join("machines/one-disk-bios.json");
    let path = |path: &Path| path.display().to_string();
    let facts = ["--facts".to_owned(), path(&machine)];
    let from = [
        "--medium".to_owned(),
        path(&root),
        "--trusted-root".to_owned(),
        path(&trusted),
    ];
    let mut codes = Vec::new();
    for file in [&good, &bad] {
        let file = path(file);
        let key = path(&dir.path().join("key.pem"));
        let with = |words: &[&str], more: &[&[String]]| -> Vec<String> {
            let words = words.iter().map(|&word| word.to_owned());
            words.chain(more.concat()).collect()
        };
        for words in [
            with(&["validate", &file], &[]),
            with(&["validate", &file], &[&facts, &from]),
            with(&["plan", "--answers", &file], &[&facts, &from]),
            with(&["plan", "--json", "--answers", &file], &[&facts, &from]),
            with(
                &["plan", "--expect-plan", "abc", "--answers", &file],
                &[&facts, &from],
            ),
            with(&["match", &file], &[&facts]),
            with(&["sign-answers", &file, "--key", &key], &[]),
        ] {
            let output = Command::new(env!("CARGO_BIN_EXE_installer"))
                .args(&words)
                .output()
                .unwrap();
            let shown = [output.stdout, output.stderr].concat();
            assert!(!shown.is_empty(), "{words:?} says nothing");
            holds_none(&words.join(" "), &String::from_utf8_lossy(&shown));
            codes.push(output.status.code().unwrap());
        }
    }
    assert_eq!(codes, [0, 0, 0, 0, 1, 0, 0, 2, 2, 2, 2, 2, 2, 2]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Letters lost, added and changed, and lines lost, doubled and moved, as by hands and editors.
    #[test]
    fn no_message_about_damaged_answers_shows_one(
        letters in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(vec!["", "\"", "=", "[", "]", "\n", "x", "#", "'", "\u{0}"])), 0..4),
        lines in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..3),
    ) {
        let whole = text();
        let mut list: Vec<&str> = whole.lines().collect();
        for (from, to) in &lines {
            let line = list[from.index(list.len())];
            list.insert(to.index(list.len()), line);
        }
        let mut damaged: String = list.join("\n");
        for (at, letter) in &letters {
            let places: Vec<usize> = damaged.char_indices().map(|(at, _)| at).collect();
            let at = places[at.index(places.len())];
            let length = damaged[at..].chars().next().map_or(0, char::len_utf8);
            damaged.replace_range(at..at + length, letter);
        }
        if let Err(problems) = answers::read(&damaged, "answers.toml", &zones(), None) {
            let shown = format!("{problems}\n{}\n{problems:?}", problems.lines().join("\n"));
            for secret in SECRETS {
                // Half a secret is a secret.
                let half = &secret[..secret.len() / 2];
                prop_assert!(!shown.contains(half), "{} is in:\n{}\n{}", half, shown, damaged);
            }
        }
    }
}
