//! The commands of `xe` on a host.

use crate::going_back::updated;
use crate::site::{Host, NOW};
use host::XeError;
use host::cmdline::Invocation;
use host::commands::{Surroundings, execute};
use host::hotfix::RealMachine;
use steps::sink::FanOut;

pub fn xe(host: &Host, line: &str) -> Result<String, XeError> {
    let invocation = Invocation::parse(line.split_whitespace().map(str::to_owned))?;
    execute(
        &invocation,
        &Surroundings {
            system: &host.system,
            now: NOW,
            hardware: &license::Machine::default,
            machine: &RealMachine,
            places: &host.places,
            sinks: &FanOut::new,
            terminal: &host::terminal::Nobody,
        },
    )
}

#[test]
fn from_upload_to_restart() {
    let host = Host::new();
    let file = host.hotfix("hotfix", true);
    let uuid = xe(&host, &format!("patch-upload file-name={}", file.display())).unwrap();
    let uuid = uuid.trim();
    assert_eq!(uuid.len(), 36);
    let checked = xe(&host, &format!("patch-precheck uuid={uuid} --minimal")).unwrap();
    assert_eq!(checked, "restartHost\n");
    let applied = xe(&host, &format!("patch-pool-apply uuid={uuid}")).unwrap();
    assert!(
        applied.contains("1.0.1 is written and verified") && applied.contains("restartHost"),
        "{applied}"
    );
    assert_eq!(host.next_start(), "1.0.1");
    assert_eq!(xe(&host, &format!("patch-clean uuid={uuid}")).unwrap(), "");
    let back = xe(&host, "host-rollback").unwrap();
    assert!(back.contains("1.0.1 is taken back"), "{back}");
    assert_eq!(
        xe(&host, &format!("patch-destroy uuid={uuid}")).unwrap(),
        ""
    );
}

#[test]
fn wrong_use_and_failures() {
    let host = Host::new();
    for (line, code, exit) in [
        ("patch-upload", "WRONG_USE", 2),
        ("patch-upload file=x", "WRONG_USE", 2),
        ("patch-apply", "WRONG_USE", 2),
        ("patch-apply uuid=x color=red", "WRONG_USE", 2),
        ("patch-apply uuid=x --json", "CANNOT_FIND_PATCH", 1),
        ("host-rollback settings=new", "WRONG_USE", 2),
        ("host-rollback force=maybe", "WRONG_USE", 2),
        ("host-rollback uuid=x", "WRONG_USE", 2),
        ("host-rollback settings=old", "HOST_CANNOT_ROLL_BACK", 1),
        ("patch-apply uuid=x", "CANNOT_FIND_PATCH", 1),
        ("patch-destroy uuid=x", "CANNOT_FIND_PATCH", 1),
        ("patch-upload file-name=/nonexistent", "INVALID_PATCH", 1),
        ("patch-apply uuid=x host-uuid=another", "UUID_INVALID", 1),
        ("host-rollback", "HOST_CANNOT_ROLL_BACK", 1),
    ] {
        let error = xe(&host, line).unwrap_err();
        assert_eq!(
            (error.code, error.exit_code()),
            (code, exit),
            "{line}: {error}"
        );
    }
}

#[test]
fn the_old_settings_are_taken_by_who_knows_what_that_means() {
    let (host, _) = updated();
    let error = xe(&host, "host-rollback settings=old").unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let said = error.to_string();
    assert!(
        said.contains("will not know (their disks stay): web.") && said.contains("force=true"),
        "{said}"
    );
    assert_eq!(host.next_start(), "1.0.1");
    let said = xe(&host, "host-rollback settings=old --force").unwrap();
    assert!(
        said.contains("(their disks stay): web.") && said.contains("It gets its own settings back"),
        "{said}"
    );
    assert_eq!(host.next_start(), "1.0.0");
    let said = xe(&host, "host-rollback").unwrap();
    assert!(said.contains("1.0.0 is taken back"), "{said}");
    let said = xe(&host, "host-rollback").unwrap();
    assert!(said.contains("the settings and guests of now"), "{said}");
}

/// The objects that a command prints with `--json`.
fn json(host: &Host, line: &str) -> serde_json::Value {
    serde_json::from_str(&xe(host, &format!("{line} --json")).unwrap()).unwrap()
}

#[test]
fn every_command_says_for_a_program_what_it_says() {
    let host = Host::new();
    let file = host.hotfix("hotfix", true);
    let uploaded = json(&host, &format!("patch-upload file-name={}", file.display()));
    let uuid = uploaded[0]["uuid"].as_str().unwrap();
    assert_eq!(uploaded, serde_json::json!([{ "uuid": uuid }]));
    let guidance = "restartHost";
    assert_eq!(
        json(&host, &format!("patch-precheck uuid={uuid}")),
        serde_json::json!([{
            "uuid": uuid, "version": "1.0.1", "running": "1.0.0", "after-apply-guidance": guidance
        }])
    );
    assert_eq!(
        json(&host, &format!("patch-apply uuid={uuid}"))[0]["after-apply-guidance"],
        guidance
    );
    assert_eq!(
        json(&host, "host-rollback"),
        serde_json::json!([{ "version": "1.0.1", "canceled": true, "settings": null, "warnings": [] }])
    );
    let applied = json(&host, &format!("patch-pool-apply uuid={uuid}"));
    assert_eq!(
        (&applied[0]["uuid"], &applied[0]["version"]),
        (&uuid.into(), &"1.0.1".into())
    );
    assert!(applied[0]["warnings"].is_array());
    xe(&host, "host-rollback").unwrap();
    for line in ["patch-clean", "patch-pool-clean", "patch-destroy"] {
        assert_eq!(
            json(&host, &format!("{line} uuid={uuid}")),
            serde_json::json!([{}]),
            "{line}"
        );
    }
    let (host, _) = updated();
    let back = json(&host, "host-rollback settings=old force=true");
    assert_eq!(
        (&back[0]["canceled"], &back[0]["settings"]),
        (&false.into(), &"old".into())
    );
}
