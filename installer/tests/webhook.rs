//! What a webhook hears, how often it is tried, and that its token is nowhere else.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::{KEY, choices};
use installer::answers::{MachineIdentity, webhook_of};
use installer::webhook::Webhook;
use std::cell::RefCell;
use std::sync::Arc;
use steps::event::{EventKind, Outcome};
use steps::report::Heading;
use steps::sink::{Collect, FanOut};
use steps::system::RecordingSystem;
use steps::{Emitter, Report};

const TOKEN: &str = "s3cret-t0ken";

fn webhook(system: &Arc<RecordingSystem>, more: &str) -> Webhook {
    let text = format!(
        "schema = 1\n[disk]\npath = \"/dev/sda\"\n[system]\nhostname = \"xen1\"\nssh_keys = [\"{KEY}\"]\n\
         [webhook]\nurl = \"https://u:pa55@hook.example.org/r?key=qu3ry\"\ntoken = \"{TOKEN}\"\n{more}"
    );
    let machine = MachineIdentity {
        serial: Some("CZJ2340D1K".into()),
        ..MachineIdentity::default()
    };
    Webhook::new(&choices(&text).webhook.unwrap(), &machine, system.clone())
}

fn report(errors: &[&str]) -> Report {
    let errors = errors.iter().map(|&text| text.to_owned()).collect();
    Report::failed_early(Heading::default(), 0, errors)
}

/// The JSON that a call of curl sends, as curl reads its configuration.
fn sent(config: &str) -> serde_json::Value {
    let line = config
        .lines()
        .find_map(|line| line.strip_prefix("data-raw = \""))
        .unwrap();
    let mut text = String::new();
    let mut letters = line.strip_suffix('"').unwrap().chars();
    while let Some(letter) = letters.next() {
        text.push(if letter == '\\' {
            letters.next().unwrap()
        } else {
            letter
        });
    }
    serde_json::from_str(&text).unwrap()
}

fn configs(system: &RecordingSystem) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    system
        .commands()
        .iter()
        .map(|command| text(command.stdin_bytes()))
        .collect()
}

#[test]
fn it_hears_of_steps_and_gets_the_report() {
    let system = Arc::new(RecordingSystem::new());
    let webhook = webhook(&system, "");
    let mut emitter = Emitter::new(FanOut::new());
    webhook.listen(&mut emitter);
    emitter.emit(EventKind::Started {
        step: "slot-a".into(),
    });
    emitter.emit(EventKind::Progress {
        step: "slot-a".into(),
        bytes: 1,
        total: 2,
        rate: 1,
    });
    emitter.emit(EventKind::Failed {
        step: "slot-a".into(),
        errors: vec!["a \"quoted\\ word\nand a line".into()],
    });
    emitter.emit(EventKind::Finished {
        result: Outcome::Failed,
    });
    let mut report = report(&["broken"]);
    webhook.report(&mut report, &mut emitter, &|_| panic!("no pause is needed"));
    assert!(report.warnings.is_empty());

    let configs = configs(&system);
    assert_eq!(configs.len(), 3, "progress in bytes is not sent");
    for config in &configs {
        assert!(config.contains("header = \"Authorization: Bearer s3cret-t0ken\"\n"));
        assert!(!config.contains("location") && !config.contains("insecure"));
    }
    let first = sent(&configs[0]);
    assert_eq!(first["schema"], 1);
    assert_eq!(first["type"], "event");
    assert_eq!(first["machine"]["serial"], "CZJ2340D1K");
    assert_eq!(first["event"]["step"], "slot-a");
    assert_eq!(
        sent(&configs[1])["event"]["errors"][0],
        "a \"quoted\\ word\nand a line"
    );
    let last = sent(&configs[2]);
    assert_eq!(
        (&last["type"], &last["report"]["errors"][0]),
        (&"report".into(), &"broken".into())
    );
}

#[test]
fn without_progress_only_the_report_is_sent_and_a_pin_replaces_authorities() {
    let system = Arc::new(RecordingSystem::new());
    let pin = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let webhook = webhook(&system, &format!("progress = false\npin = \"{pin}\"\n"));
    let mut emitter = Emitter::new(FanOut::new());
    webhook.listen(&mut emitter);
    emitter.emit(EventKind::Started {
        step: "slot-a".into(),
    });
    assert!(configs(&system).is_empty());
    webhook.report(&mut report(&[]), &mut emitter, &|_| {});
    assert!(configs(&system)[0].contains(&format!("insecure\npinnedpubkey = \"{pin}\"\n")));
}

#[test]
fn a_server_that_is_away_gets_five_tries_for_the_report_and_two_for_steps() {
    let said =
        format!("curl: (7) Failed for https://u:pa55@hook.example.org/r?key=qu3ry with {TOKEN}");
    let system = Arc::new(RecordingSystem::new().fails("curl", 7, &said));
    let webhook = webhook(&system, "");
    let collect = Collect::new();
    let mut emitter = Emitter::new(FanOut::new().with("test", collect.clone()));
    webhook.listen(&mut emitter);
    for step in ["a", "b", "c", "d"] {
        emitter.emit(EventKind::Started { step: step.into() });
    }
    assert_eq!(system.commands().len(), 2);
    assert_eq!(emitter.sink_failures(), [("webhook".to_owned(), 4)]);

    let pauses = RefCell::new(Vec::new());
    let mut report = report(&["broken"]);
    webhook.report(&mut report, &mut emitter, &|pause| {
        pauses.borrow_mut().push(pause.as_secs())
    });
    assert_eq!(pauses.into_inner(), [2, 4, 8, 16]);
    assert_eq!(
        report.warnings,
        [
            "the report could not be sent to https://hook.example.org/r: curl: (7) Failed for https://hook.example.org/r with (token) (5 attempts)"
        ]
    );
    let mut shown = vec![
        report.to_json().unwrap(),
        report.to_string(),
        system.command_lines().join("\n"),
    ];
    shown.extend(
        collect
            .events()
            .iter()
            .map(|event| event.to_line().unwrap()),
    );
    shown.push(format!("{:?}", system.commands()));
    for text in shown {
        for secret in [TOKEN, "pa55", "qu3ry"] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
}

/// Answers that cannot be used still say who waits for the machine: of the section that fits, else of the top of the file.
#[test]
fn the_webhook_of_answers_that_cannot_be_used_is_found() {
    let machine = MachineIdentity {
        serial: Some("A".into()),
        ..MachineIdentity::default()
    };
    let top = "schema = 1\n[webhook]\nurl = \"https://top.example.org/r\"\n";
    let url = |text: &str| {
        let choice = webhook_of(text.as_bytes(), &machine)?;
        Some(choice.url.expose().to_owned())
    };
    let other =
        "[[host]]\nmatch = { serial = \"B\" }\n[host.webhook]\nurl = \"https://b.example.org/r\"\n";
    let own =
        "[[host]]\nmatch = { serial = \"A\" }\n[host.webhook]\nurl = \"https://a.example.org/r\"\n";
    let without = "[[host]]\nmatch = { serial = \"A\" }\nwithout = [\"webhook\"]\n";
    let at_top = Some("https://top.example.org/r".to_owned());
    // No disk, no system: none of these can be used.
    assert_eq!(url(top), at_top);
    assert_eq!(url(&format!("{top}{other}")), at_top, "no section fits");
    assert_eq!(
        url(&format!("{top}{other}{own}")),
        Some("https://a.example.org/r".to_owned())
    );
    assert_eq!(
        url(&format!("{top}{without}")),
        None,
        "the machine is not to call"
    );
    assert_eq!(url("schema = 1\n[webhook]\nurl = \"gopher://x\"\n"), None);
    assert_eq!(url("[webhook\n"), None);
}

#[test]
fn what_the_server_does_not_want_is_not_sent_again() {
    let system = Arc::new(RecordingSystem::new().fails(
        "curl",
        22,
        "curl: (22) The requested URL returned error: 401",
    ));
    let webhook = webhook(&system, "");
    let mut report = report(&[]);
    webhook.report(&mut report, &mut Emitter::new(FanOut::new()), &|_| {
        panic!("no other try")
    });
    assert_eq!(report.warnings.len(), 1);
}
