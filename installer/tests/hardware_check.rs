//! "Check this hardware": what is shown, and what is left on a stick.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

use hcl_checker::facts::Facts;
use installer::consoles::Consoles;
use installer::hardware_check::{Checked, show};
use std::time::Duration;
use steps::system::RecordingSystem;

const FOLDER: &str = "/run/bedplate/check-volume/bedplate-check/PowerEdge-R640-ABC1";

fn checked() -> Checked {
    let facts = r#"{"schema":1,"dmi":{"system_vendor":"Dell Inc.","product":"PowerEdge R640","serial":"ABC1"}}"#;
    Checked::of(Facts::from_json(facts.as_bytes()).unwrap()).unwrap()
}

/// What two consoles show.
fn shown(system: &RecordingSystem) -> String {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["one", "two"].map(|name| dir.path().join(name));
    paths
        .iter()
        .for_each(|path| std::fs::write(path, "").unwrap());
    let mut consoles = Consoles::open(paths.clone());
    show(&checked(), system, &mut consoles).unwrap();
    consoles.drain(Duration::from_secs(10));
    assert!(system.mounted().is_empty(), "a mount is left");
    let [one, two] = paths.map(|path| std::fs::read_to_string(path).unwrap());
    assert_eq!(one, two, "every console shows the same");
    one
}

fn stick() -> RecordingSystem {
    RecordingSystem::new()
        .prints("blkid --cache-file /dev/null", "/dev/sdb1\n")
        .prints(
            "blkid --probe --output value --match-tag TYPE /dev/sdb1",
            "vfat\n",
        )
}

#[test]
fn the_report_is_left_on_the_stick() {
    let system = stick();
    let text = shown(&system);
    assert!(text.contains("UNKNOWN  not to be installed"), "{text}");
    assert!(text.contains("Dell Inc. PowerEdge R640"), "{text}");
    assert!(
        text.contains("bedplate-check/PowerEdge-R640-ABC1 on /dev/sdb1"),
        "{text}"
    );
    assert!(!text.contains('\u{2588}'), "no code is needed: {text}");
    let file = |name: &str| system.content(format!("{FOLDER}/{name}")).expect("written");
    // What is on the stick gives the same verdict elsewhere.
    let facts = Facts::from_json(&file("facts.json")).unwrap();
    assert_eq!(facts.dmi.serial.value().map(String::as_str), Some("ABC1"));
    let verdict: serde_json::Value = serde_json::from_slice(&file("verdict.json")).unwrap();
    assert_eq!(verdict["level"], "unknown");
    assert_eq!(verdict["list"]["built_in"], true);
    assert_eq!(verdict["tool"]["version"], env!("CARGO_PKG_VERSION"));
    let report = String::from_utf8(file("report.txt")).unwrap();
    assert!(
        report.contains("UNKNOWN") && report.contains("Fine ("),
        "{report}"
    );
}

#[test]
fn without_a_stick_a_code_is_shown() {
    let system = RecordingSystem::new();
    let text = shown(&system);
    // The screen's usual font has no halves of a block: the code could not be read from it.
    assert!(
        system.command_lines().iter().any(|line| line
            == "setfont -C /dev/tty1 /usr/share/consolefonts/Vietnamese-Terminus16.psf.gz"),
        "{:?}",
        system.command_lines()
    );
    assert!(text.contains("no file system labelled BEDPLATE"), "{text}");
    assert!(text.contains('\u{2588}'), "{text}");
}

#[test]
fn a_stick_that_cannot_be_used_is_told_and_the_code_shown() {
    let several = RecordingSystem::new().prints("blkid --cache-file", "/dev/sdb1\n/dev/sdc1\n");
    let full = stick().breaks(format!("{FOLDER}/facts.json"));
    let bare = RecordingSystem::new().prints("blkid --cache-file", "/dev/sdb1\n");
    for (system, reason) in [
        (several, "2 volumes are labelled BEDPLATE"),
        (full, "could not be written to /dev/sdb1"),
        (bare, "holds no file system"),
    ] {
        let text = shown(&system);
        assert!(text.contains(reason) && text.contains('\u{2588}'), "{text}");
    }
}
