//! A run as a whole: the report, where it is kept, and runs that end early.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::machine::{DISK, FakeMachine, FakeSystem, disk, facts};
use common::medium::Medium;
use common::{HASH, KEY, choices};
use hcl_checker::facts::FirmwareKind;
use installer::answers::MachineIdentity;
use installer::plan::Planned;
use installer::run_dir::RunDir;
use installer::session::{AnswersFrom, Prepared, Session, failed_early};
use installer::webhook::Webhook;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use steps::event::Outcome;
use steps::sink::{Collect, FanOut, JsonLines};
use steps::system::RecordingSystem;
use steps::{Emitter, Report};

const ON_HOST: &str = "/run/bedplate/report-target/bedplate/install";

fn planned<'a>(
    medium: &Medium,
    system: &'a FakeSystem,
    machine: &'a FakeMachine,
) -> (Session<'a>, Prepared<'a>, Planned) {
    let session = Session {
        system,
        machine,
        medium: medium.path(),
        trusted_root: medium.trusted_root(),
        boot: None,
        command_line: String::new(),
    };
    let text = format!(
        "schema = 1\n[disk]\npath = \"{DISK}\"\n[system]\nhostname = \"xen1\"\nroot_password_hash = \"{HASH}\"\n\
         ssh_keys = [\"{KEY}\"]\n[hcl]\npolicy = \"warn\"\nreason = \"a machine in memory\"\n"
    );
    let prepared: Prepared<'_> = session.prepare(facts(disk(), FirmwareKind::Bios)).unwrap();
    let plan = session
        .plan(&prepared, &choices(&text))
        .unwrap_or_else(|problems| panic!("{problems}"));
    (session, prepared, plan)
}

fn install(
    medium: &Medium,
    system: &FakeSystem,
    machine: &FakeMachine,
    folder: &Path,
) -> (Report, Collect) {
    let (session, prepared, plan) = planned(medium, system, machine);
    let dir = RunDir::create(folder).unwrap();
    dir.file("install.log").unwrap();
    let collect = Collect::new();
    let sinks = FanOut::new()
        .with("events", JsonLines::new(dir.file("events.jsonl").unwrap()))
        .with("test", collect.clone());
    let answers = AnswersFrom {
        place: "a test".into(),
        sha256: Some("00".into()),
    };
    let report = session
        .install(
            &prepared,
            &plan,
            &answers,
            Some(&dir),
            &mut Emitter::new(sinks),
        )
        .unwrap();
    (report, collect)
}

fn system(medium: &Medium) -> FakeSystem {
    let root = fs::read(medium.trusted_root()).unwrap();
    FakeSystem::new(&medium.open()).change(|system| system.file(medium.trusted_root(), root))
}

#[test]
fn the_report_is_kept_here_and_on_the_host() {
    let medium = Medium::new();
    let (system, machine) = (system(&medium), FakeMachine::new(disk(), None));
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("install");
    let (report, _) = install(&medium, &system, &machine, &folder);
    assert_eq!(report.result, Outcome::Ok, "{report}");
    assert!(system.inner.mounted().is_empty());
    for name in RunDir::FILES {
        let here = fs::read(folder.join(name)).unwrap();
        assert_eq!(
            system.inner.content(Path::new(ON_HOST).join(name)).unwrap(),
            here,
            "{name}"
        );
        assert!(
            !String::from_utf8_lossy(&here).contains("TVLlQcb"),
            "{name} holds a secret"
        );
    }
    let kept = Report::parse(&fs::read_to_string(folder.join("report.json")).unwrap()).unwrap();
    assert_eq!(kept, report);
    assert_eq!(kept.facts["answers"]["place"], "a test");
    assert_eq!(kept.facts["plan"]["disk"]["identity"]["serial"], "SERIAL1");
    assert_eq!(kept.plan_sha256.len(), 64);
    assert!(
        kept.warnings
            .iter()
            .any(|warning| warning.contains("a machine in memory")),
        "{:?}",
        kept.warnings
    );
}

#[test]
fn a_report_that_cannot_be_kept_on_the_host_is_a_warning() {
    let medium = Medium::new();
    let machine = FakeMachine::new(disk(), None);
    let system =
        system(&medium).change(|system| system.breaks(Path::new(ON_HOST).join("report.json")));
    let temp = tempfile::tempdir().unwrap();
    let (report, _) = install(&medium, &system, &machine, &temp.path().join("install"));
    assert_eq!(report.result, Outcome::Ok);
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("could not be kept")),
        "{:?}",
        report.warnings
    );
    assert!(system.inner.mounted().is_empty());
}

/// Whoever reads the host's own report sees that nobody else heard of it.
#[test]
fn a_webhook_that_does_not_answer_is_in_the_report_on_the_host() {
    let medium = Medium::new();
    let hook = |answers: RecordingSystem| {
        let text = format!(
            "schema = 1\n[disk]\npath = \"{DISK}\"\n[system]\nhostname = \"x\"\nssh_keys = [\"{KEY}\"]\n\
             [webhook]\nurl = \"https://u:pa55@hook.example.org/r\"\n"
        );
        let choice = choices(&text).webhook.unwrap();
        Webhook::new(&choice, &MachineIdentity::default(), Arc::new(answers))
    };
    let run = |answers: RecordingSystem| {
        let (system, machine) = (system(&medium), FakeMachine::new(disk(), None));
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("install");
        let (session, _, plan) = planned(&medium, &system, &machine);
        let (mut report, _) = install(&medium, &system, &machine, &folder);
        let dir = RunDir::create(&folder).unwrap();
        let mut emitter = Emitter::new(FanOut::new());
        let hook = hook(answers);
        session
            .tell(&hook, &plan, &mut report, &dir, &mut emitter, &|_| {})
            .unwrap();
        let on_host = system.inner.content(Path::new(ON_HOST).join("report.txt"));
        let on_host = String::from_utf8(on_host.unwrap()).unwrap();
        assert_eq!(
            on_host,
            fs::read_to_string(folder.join("report.txt")).unwrap()
        );
        assert!(system.inner.mounted().is_empty());
        on_host
    };
    let told = "the report could not be sent to https://hook.example.org/r: curl: (7) no route";
    let kept = run(RecordingSystem::new().fails("curl", 7, "curl: (7) no route"));
    assert!(kept.contains(told) && !kept.contains("pa55"), "{kept}");
    let kept = run(RecordingSystem::new());
    assert!(!kept.contains("could not be sent"), "{kept}");
}

#[test]
fn a_failed_run_has_a_report_too() {
    let medium = Medium::new();
    let machine = FakeMachine::new(disk(), None);
    let system = system(&medium).change(|system| system.fails("mkfs.ext4", 1, "no space"));
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("install");
    let (report, collect) = install(&medium, &system, &machine, &folder);
    assert_eq!(report.failed_step().unwrap().id, "state");
    assert!(
        fs::read_to_string(folder.join("report.txt"))
            .unwrap()
            .contains("no space")
    );
    assert!(
        system
            .inner
            .content(Path::new(ON_HOST).join("report.json"))
            .is_none()
    );
    assert!(
        collect
            .events()
            .last()
            .unwrap()
            .to_line()
            .unwrap()
            .contains("\"failed\"")
    );
}

#[test]
fn a_run_without_answers_ends_with_a_report_and_an_event() {
    let collect = Collect::new();
    let mut emitter = Emitter::new(FanOut::new().with("test", collect.clone()));
    let report = failed_early(
        "answers",
        "0.1.0",
        vec!["there are no answers".into()],
        &mut emitter,
    );
    assert_eq!(report.result, Outcome::Failed);
    assert!(report.to_string().contains("there are no answers"));
    assert_eq!(collect.events().len(), 2);
}
