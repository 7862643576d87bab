//! Hotfixes by command, with any license: a good one is verified and written, and the host gets back; a forged one is refused.

use crate::licenses::{NOW, licenses, machine};
use crate::maker;
use crate::mixed::Mixed;
use crate::site::Host;
use host::XeError;
use host::cmdline::Invocation;
use host::commands::{Surroundings, execute};
use host::hotfix::RealMachine;
use std::collections::BTreeMap;
use std::path::PathBuf;
use steps::RecordingSystem;

/// Slots and boot files, by their paths below the folder of the host.
fn disks(host: &Host) -> BTreeMap<PathBuf, Vec<u8>> {
    let all = host.snapshot().into_iter();
    all.filter_map(|(path, bytes)| {
        let path = path.strip_prefix(host.dir.path()).unwrap().to_owned();
        (path.starts_with("dev") || path.starts_with("esp")).then_some((path, bytes))
    })
    .collect()
}

/// What a host says and has on its disks in the end.
#[derive(PartialEq)]
struct Seen {
    said: Vec<String>,
    disks: BTreeMap<PathBuf, Vec<u8>>,
}

fn seen(license: &str, on: impl Fn(RecordingSystem) -> RecordingSystem) -> Seen {
    let host = Host::new();
    let mut system = Mixed::new("");
    system.scripted = on(system.scripted);
    let mut said = Vec::new();
    let mut xe = |line: String| -> Result<String, XeError> {
        let result = execute(
            &Invocation::parse(line.split(' ').map(str::to_owned)).unwrap(),
            &Surroundings {
                system: &system,
                now: NOW,
                hardware: &machine,
                machine: &RealMachine,
                places: &host.places,
                sinks: &steps::sink::FanOut::new,
                terminal: &host::terminal::Nobody,
            },
        );
        let text = match &result {
            Ok(text) => text.clone(),
            Err(error) => error.to_string(),
        };
        said.push(text.replace(&host.dir.path().display().to_string(), ""));
        result
    };

    let strangers = maker::keys(&host.at("strangers"));
    let stamp = maker::stamp(host.new.manifest.epoch);
    let forged = maker::repository(
        &strangers,
        Some(&host.old),
        &host.new,
        true,
        stamp,
        &host.at("forged"),
    );
    let before = disks(&host);
    let file = maker::pack(&forged);
    let error = xe(format!("patch-upload file-name={}", file.display())).unwrap_err();
    assert_eq!(error.code, "INVALID_PATCH", "{license}");
    assert!(
        error.message.contains("not signed by the keys"),
        "{license}: {error}"
    );
    assert!(disks(&host) == before, "{license}: a forged one wrote");

    let file = host.hotfix("hotfix", true);
    let uuid = xe(format!("patch-upload file-name={}", file.display())).unwrap();
    let uuid = uuid.trim();
    xe(format!("patch-precheck uuid={uuid}")).unwrap();
    let applied = xe(format!("patch-apply uuid={uuid}")).unwrap();
    assert!(
        applied.contains("1.0.1 is written and verified"),
        "{license}: {applied}"
    );
    assert!(host.starts(&host.new, "sda4"), "{license}: not in the slot");
    assert_eq!(host.next_start(), "1.0.1", "{license}");
    let disks = disks(&host);
    xe("host-rollback".to_owned()).unwrap();
    assert_eq!(host.next_start(), "1.0.0", "{license}");
    xe(format!("patch-clean uuid={uuid}")).unwrap();
    xe(format!("patch-destroy uuid={uuid}")).unwrap();
    Seen { said, disks }
}

#[test]
fn a_good_hotfix_is_applied_and_a_forged_one_is_refused() {
    let licenses = licenses();
    let expected = seen("licensed", |system| licenses["licensed"].on(system));
    for (license, files) in &licenses {
        let found = seen(license, |system| files.on(system));
        assert_eq!(found.said, expected.said, "{license}");
        assert!(found == expected, "{license}: other bytes on the disks");
    }
}
