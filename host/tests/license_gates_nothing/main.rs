//! Whatever the license is worth, every command of `xe` does the same. What counts most (guests, hotfixes, logins) is done here to
//! its end, and what came of it is looked at; of all other commands it is compared what they say and ask of the system.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

#[path = "../guests/bench.rs"]
#[allow(dead_code)]
mod bench;
#[path = "../guests/disks.rs"]
mod disks;
mod guests;
mod hotfixes;
mod licenses;
mod logins;
#[path = "../hotfix/maker.rs"]
#[allow(dead_code)]
mod maker;
#[path = "../hotfix/mixed.rs"]
#[allow(dead_code)]
mod mixed;
#[path = "../hotfix/site.rs"]
#[allow(dead_code)]
mod site;

use host::cmdline::Invocation;
use host::commands::{Surroundings, execute};
use host::hotfix::{Places, RealMachine};
use licenses::{NOW, licenses, machine};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use steps::RecordingSystem;
use tempfile::TempDir;

const GUEST: &str = "11111111-2222-3333-4444-555555555555";

const XL: &str = "\
Name ID Mem VCPUs State Time(s) UUID Reason-Code Security Label
Domain-0   0 1024 4 r----- 52.9 00000000-0000-0000-0000-000000000000 - -
guest      3  256 1 -b----  1.2 11111111-2222-3333-4444-555555555555 - -
";
const BOOT: &str = r#"{"mode":"host","root":{"version":"0.1.0","image_name":"x","image_size":4096,"image_sha256":"x",
    "verity":{"data_blocks":1,"salt":"","root_hash":"aabbccddeeff00112233"}},"root_device":"/dev/sda3",
    "medium":null,"state_device":null,"root_opened_ms":1,"warnings":[]}"#;

/// A host with a guest. What else it is asked fails, and must fail in the same way with every license.
fn system() -> RecordingSystem {
    RecordingSystem::new()
        .strict()
        .file("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        .file("/proc/sys/kernel/hostname", "node-1\n")
        .file("/run/bedplate/boot.json", BOOT)
        .file("/sys/class/net/eth0/address", "02:00:00:00:00:01\n")
        .prints("xl list -v", XL)
        .prints("virsh", "")
        .prints("xl ", "nr_cpus : 8\nxen_version : 4.20.2\n")
        .prints("vgs", r#"{"report":[{"vg":[]}]}"#)
        .prints("ip ", "[]")
}

/// Systems that differ in the license alone, by what it is.
fn systems() -> BTreeMap<&'static str, RecordingSystem> {
    let all = licenses().into_iter();
    all.map(|(name, files)| (name, files.on(system())))
        .collect()
}

/// Folders of this test's own: no command here may reach the disks or the loader of the machine that runs the test.
fn places() -> &'static Places {
    static PLACES: OnceLock<(TempDir, Places)> = OnceLock::new();
    let (_, places) = PLACES.get_or_init(|| {
        let dir = TempDir::new().unwrap();
        let below = |name: &str| dir.path().join(name);
        let places = Places {
            store: below("store"),
            esp: below("esp"),
            etc: below("etc"),
            trusted_root: below("root.json"),
            sys_block: below("block"),
            lock: below("lock"),
            ..Places::default()
        };
        std::fs::write(below("hotfix"), "no hotfix").unwrap();
        (dir, places)
    });
    places
}

/// What a command gives, and every command that it ran on the system.
fn outcome(system: &RecordingSystem, line: &str) -> (Result<String, (String, u8)>, Vec<String>) {
    let before = system.command_lines().len();
    let invocation = Invocation::parse(line.split_whitespace().map(str::to_owned)).unwrap();
    let result = execute(
        &invocation,
        &Surroundings {
            system,
            now: NOW,
            hardware: &machine,
            machine: &RealMachine,
            places: places(),
            sinks: &steps::sink::FanOut::new,
            terminal: &host::terminal::Nobody,
        },
    );
    let told = |text: String| -> String {
        let about_license = |line: &&str| {
            !["license-params", "edition"]
                .iter()
                .any(|field| line.trim_start().starts_with(field))
        };
        text.lines()
            .filter(about_license)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let result = result
        .map(told)
        .map_err(|error| (error.to_string(), error.exit_code()));
    (result, system.command_lines().split_off(before))
}

/// Arguments that make a command do its work, where it has to be told on what.
fn arguments(command: &str) -> Vec<String> {
    let (class, verb) = command.split_once('-').unwrap_or((command, ""));
    let object = match class {
        "vm" | "snapshot" | "template" => format!("uuid={GUEST}"),
        // Of the release that runs.
        "patch" => {
            let (running, _) = outcome(&system(), "patch-list --minimal");
            format!("uuid={}", running.unwrap())
        }
        _ => String::new(),
    };
    match verb {
        "list" => vec![String::new(), "params=all".into()],
        "param-list" => vec![object, "--multiple".into()],
        "param-get" => vec![
            format!("{object} param-name=uuid"),
            "param-name=uuid --multiple".into(),
        ],
        _ => vec![
            String::new(),
            object.clone(),
            format!("{object} --force"),
            format!(
                "file-name={}",
                places().lock.with_file_name("hotfix").display()
            ),
            format!("{object} filename=/root/file file-name=/root/file new-name-label=new"),
            "uuid=aabbccdd-0000-0000-0000-000000000000".into(),
        ],
    }
}

#[test]
fn every_command_does_the_same_with_any_license_and_with_none() {
    let commands = outcome(&system(), "help --minimal").0.unwrap();
    let commands: Vec<&str> = commands.trim().split(',').collect();
    assert!(commands.contains(&"vm-list") && commands.contains(&"patch-list"));
    let mut worked = 0;
    for command in commands {
        // Those that are about the license itself.
        if command.starts_with("host-license-") {
            continue;
        }
        for arguments in arguments(command) {
            let line = format!("{command} {arguments}");
            let expected = outcome(&systems()["licensed"], &line);
            worked += usize::from(expected.0.is_ok());
            for (license, system) in systems() {
                assert_eq!(outcome(&system, &line), expected, "{line}, {license}");
            }
        }
    }
    assert!(worked > 15, "only {worked} command lines did their work");
}

#[test]
fn the_commands_about_the_license_work_with_any_license() {
    for (license, system) in systems() {
        for line in [
            "host-license-view",
            "host-license-request",
            "host-param-list",
            "host-license-remove",
            "host-license-view",
        ] {
            let (result, _) = outcome(&system, line);
            assert!(result.is_ok(), "{license}, {line}: {result:?}");
        }
        let (view, _) = outcome(&system, "host-license-view");
        assert!(view.unwrap().contains("unlicensed"), "{license}");
    }
}
