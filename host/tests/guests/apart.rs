//! Commands that would spoil each other's work, several things at once, and a host that goes down under them.

use crate::bench::*;
use host::XeError;
use host::hotfix::{Machine, Places, lock};
use host::terminal::{Nobody, Terminal};
use slots::block::{Access, BlockDevice, MemoryDevice, OpenError};
use slots::env_block::{EnvBlock, EnvFileError};
use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Mutex;
use steps::RecordingSystem;

/// Runs other commands when the first disk is opened: in the middle of a copy.
struct Meanwhile<'a> {
    system: &'a RecordingSystem,
    lines: Mutex<Vec<String>>,
    results: Mutex<Vec<Result<String, XeError>>>,
}

impl Machine for Meanwhile<'_> {
    fn open(&self, _: &Path, _: Access) -> Result<Box<dyn BlockDevice + Send>, OpenError> {
        for line in std::mem::take(&mut *self.lines.lock().unwrap()) {
            let result = run(self.system, &line);
            self.results.lock().unwrap().push(result);
        }
        Ok(Box::new(MemoryDevice::new(64 << 20)))
    }
    fn write_env(&self, _: &Path, _: &EnvBlock) -> Result<(), EnvFileError> {
        unreachable!("no guest has to do with the boot loader")
    }
    fn free_space(&self, _: &Path) -> io::Result<u64> {
        unreachable!("not asked for")
    }
}

/// What becomes of `lines` while `first` copies.
fn meanwhile(
    system: &RecordingSystem,
    first: &str,
    lines: &[&str],
) -> Vec<Result<String, XeError>> {
    let machine = Meanwhile {
        system,
        lines: Mutex::new(lines.iter().map(|line| (*line).to_owned()).collect()),
        results: Mutex::default(),
    };
    run_on(system, first, &Nobody, &machine).unwrap();
    machine.results.into_inner().unwrap()
}

#[test]
fn what_would_tear_a_copy_is_refused_while_it_is_made() {
    for first in [
        "vm-export vm=web filename=/new",
        "vm-clone vm=web new-name-label=two",
    ] {
        let system = system();
        let lines = [
            "vm-start vm=web",
            &format!("vdi-import uuid={DISK} filename=/boot/vmlinuz"),
            &format!("vdi-resize uuid={DISK} disk-size=1GiB"),
            "vm-uninstall vm=web force=true",
            "vm-destroy vm=web",
            "vm-disk-remove vm=web device=0",
        ];
        for (result, line) in meanwhile(&system, first, &lines).iter().zip(lines) {
            let error = result.as_ref().unwrap_err();
            assert_eq!(error.code, "OTHER_OPERATION_IN_PROGRESS", "{line}: {error}");
            let text = error.to_string();
            assert!(text.contains("xe task-list"), "{text}");
            assert!(text.contains(VM) || text.contains(DISK), "{text}");
            let verb = first.split(' ').next().unwrap();
            assert!(text.contains(&format!("operation: {verb} of ")), "{text}");
        }
        let changed = changes(&system).join("\n");
        for never in [
            "virsh start",
            "undefine",
            "lvextend",
            "detach",
            "vdi-aaaaaaaa-1111-4111-8111-111111111111 --",
        ] {
            assert!(!changed.contains(never), "{never}: {changed}");
        }
        run(&system, "vm-start vm=web").unwrap();
    }
}

#[test]
fn copies_go_on_beside_each_other_and_beside_a_change_of_a_name() {
    let system = system();
    let lines = [
        "vm-clone vm=web new-name-label=three",
        "vm-param-set vm=web name-description=x",
        "vm-disk-add vm=web disk-size=1GiB device=5",
    ];
    // The clone opens real disks here, which are not there.
    let results = meanwhile(&system, "vm-export vm=web filename=/new", &lines);
    let error = results[0].as_ref().unwrap_err();
    assert!(error.to_string().contains("vdi-aaaaaaaa"), "{error}");
    assert_ne!(error.code, "OTHER_OPERATION_IN_PROGRESS", "{error}");
    assert!(results[1..].iter().all(Result::is_ok), "{results:?}");
}

#[test]
fn a_disk_that_is_being_filled_says_so_and_is_left_alone() {
    let system = system();
    let line = format!("vdi-copy uuid={DISK}");
    let made = meanwhile(&system, &line, &["vdi-list params=uuid --minimal"]);
    assert!(made[0].is_ok());
    let names: Vec<_> = system
        .calls()
        .iter()
        .filter(|call| matches!(call, steps::system::Call::Write(path, _) if path.starts_with(host::labels::FOLDER)))
        .cloned()
        .collect();
    assert_eq!(names.len(), 2, "before it is filled, and afterwards");
    // What the copy is called while it is filled.
    struct Looks<'a>(&'a RecordingSystem);
    impl Machine for Looks<'_> {
        fn open(
            &self,
            path: &Path,
            access: Access,
        ) -> Result<Box<dyn BlockDevice + Send>, OpenError> {
            if access == Access::Write {
                let uuid = path.to_str().unwrap().rsplit_once("vdi-").unwrap().1;
                let labels = host::labels::read(self.0).unwrap();
                let name = labels[uuid].name_label.clone().unwrap();
                assert!(name.ends_with("(incomplete)"), "{name}");
                assert!(host::locks::new_disk(self.0, path).is_err(), "it is held");
            }
            Ok(Box::new(MemoryDevice::new(64 << 20)))
        }
        fn write_env(&self, _: &Path, _: &EnvBlock) -> Result<(), EnvFileError> {
            unreachable!("no guest has to do with the boot loader")
        }
        fn free_space(&self, _: &Path) -> io::Result<u64> {
            unreachable!("not asked for")
        }
    }
    let uuid = run_on(&system, &line, &Nobody, &Looks(&system)).unwrap();
    let labels = host::labels::read(&system).unwrap();
    let name = labels[uuid.trim()].name_label.clone().unwrap();
    assert!(!name.contains("incomplete"), "{name}");
}

#[test]
fn a_state_is_read_again_when_the_lock_is_had() {
    // One that was started meanwhile is neither started again nor undefined to get another name.
    for line in ["vm-start vm=web", "vm-param-set vm=web name-label=db"] {
        let system = system();
        run(&system, line).unwrap();
        let asked = |line: &&String| line.starts_with("xl list");
        let lines = system.command_lines();
        assert_eq!(lines.iter().filter(asked).count(), 2, "{lines:?}");
    }
}

#[test]
fn several_are_all_acted_on_and_failures_name_what_they_are_about() {
    let other = "bbbbbbbb-1111-4111-8111-111111111111";
    // The first disk belongs to a guest, so only the second one can be destroyed.
    let system = system();
    let error = run(&system, "vdi-destroy read-only=false --multiple").unwrap_err();
    assert_eq!((error.code, error.exit_code()), ("VDI_IN_USE", 1));
    assert!(
        error.to_string().contains(&format!("of: {DISK}")),
        "{error}"
    );
    assert!(
        changes(&system)
            .iter()
            .any(|line| line.contains("lvremove") && line.contains(other))
    );
    // Both fail, and both are told.
    let system = self::system().fails("lvextend", 5, "no room");
    let error = run(
        &system,
        "vdi-resize disk-size=1GiB read-only=false --multiple",
    )
    .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&format!("of: {DISK}")) && text.contains(&format!("of: {other}")),
        "{text}"
    );
    // What was made is printed although the other one failed.
    let system = self::system().fails("lvcreate", 5, "no room");
    let error = run(&system, "vdi-copy read-only=false --multiple").unwrap_err();
    assert_eq!((error.printed.as_str(), error.others.len()), ("", 1));
}

#[test]
fn what_was_made_before_a_failure_is_printed() {
    // The second disk is in use by a guest that runs.
    let second = DEFINITION.replace("vdi-aaaaaaaa", "vdi-bbbbbbbb");
    let system = running()
        .prints(&format!("{V} dumpxml {VM}"), &second)
        .prints(&format!("{V} 'dumpxml {VM}"), &second);
    let machine = Meanwhile {
        system: &system,
        lines: Mutex::default(),
        results: Mutex::default(),
    };
    let error = run_on(
        &system,
        "vdi-copy read-only=false --multiple",
        &Nobody,
        &machine,
    )
    .unwrap_err();
    assert_eq!(error.code, "VDI_IN_USE", "{error}");
    assert!(error.to_string().contains("of: bbbbbbbb"), "{error}");
    assert_eq!(error.printed.trim().len(), 36, "{:?}", error.printed);
}

#[test]
fn the_host_does_not_go_down_under_a_command() {
    let own = format!("/proc/{}/stat", std::process::id());
    let system = system().file(own, "");
    run(&system, "host-disable").unwrap();
    let task = host::task::Task::begin(&system, "vm-snapshot", 7);
    let error = run(&system, "host-reboot").unwrap_err();
    assert_eq!(error.code, "OTHER_OPERATION_IN_PROGRESS", "{error}");
    assert!(error.to_string().contains("vm-snapshot"), "{error}");
    let error = run(&system, "task-cancel name-label=vm-snapshot").unwrap_err();
    assert_eq!(error.code, "OPERATION_NOT_ALLOWED", "{error}");
    drop(task);
    let held = lock(&system, &Places::default(), "patch-apply").unwrap();
    for line in ["host-reboot", "host-shutdown"] {
        let error = run(&system, line).unwrap_err();
        assert_eq!(error.code, "OTHER_OPERATION_IN_PROGRESS", "{error}");
        for words in ["patch-apply", "force=true"] {
            assert!(error.to_string().contains(words), "{error}");
        }
    }
    drop(held);
    let error = run(&system, "host-reboot").unwrap_err();
    assert_eq!(error.code, "WRONG_USE", "nobody can be asked: {error}");
}

/// Somebody who takes a while to answer.
struct Slow<'a> {
    meanwhile: &'a (dyn Fn() + Send + Sync),
    answer: &'static str,
}

impl Terminal for Slow<'_> {
    fn ask(&self, _: &str) -> io::Result<Option<String>> {
        (self.meanwhile)();
        Ok(Some(self.answer.to_owned()))
    }
    fn hand_over(&self, _: &str, _: &[String]) -> io::Result<ExitStatus> {
        unreachable!("no console")
    }
}

/// A host with a snapshot of its guest, and the UUID of that.
fn with_snapshot() -> (RecordingSystem, String) {
    snapshot_of(system())
}

/// The same with somebody whose tasks are seen, and who asks for what needs an answer.
fn asking() -> (RecordingSystem, [String; 3]) {
    let (system, snapshot) = with_snapshot();
    let own = format!("/proc/{}/stat", std::process::id());
    let lines = [
        format!("snapshot-revert uuid={snapshot}"),
        format!("snapshot-uninstall uuid={snapshot}"),
        "vm-uninstall vm=web".to_owned(),
    ];
    (owned(system).file(own, ""), lines)
}

#[test]
fn nothing_is_held_while_somebody_is_asked() {
    for at in 0..3 {
        let (system, lines) = asking();
        let line = &lines[at];
        let meanwhile = || {
            let tasks = run(&system, "task-list params=name-label --minimal").unwrap();
            assert_eq!(tasks.trim(), "", "{line}");
            for other in [
                "vm-param-set vm=web name-description=x".to_owned(),
                lines[0].replace("revert", "param-set") + " name-description=x",
                format!("vdi-resize uuid={DISK} disk-size=1GiB"),
                "vm-start vm=web".to_owned(),
            ] {
                // Whatever else keeps it from its work.
                if let Err(error) = run(&system, &other) {
                    let code = error.code;
                    assert_eq!(code, "VDI_HAS_SNAPSHOTS", "{line}: {other}: {error}");
                }
            }
        };
        let terminal = Slow {
            meanwhile: &meanwhile,
            answer: "no",
        };
        let error = run_with(&system, line, &terminal).unwrap_err();
        assert_eq!(error.code, "CANCELED", "{line}: {error}");
    }
}

#[test]
fn what_changes_while_somebody_is_asked_is_not_done() {
    let lost = |system: &RecordingSystem| {
        let mut all = changes(system);
        all.retain(|line| {
            ["lvconvert", "lvremove", "virsh undefine", "systemctl"]
                .iter()
                .any(|program| line.starts_with(program))
        });
        all
    };
    for at in 0..3 {
        for changes in [true, false] {
            let (system, lines) = asking();
            let line = &lines[at];
            let other = match at {
                2 => "vm-snapshot vm=web new-name-label=late".to_owned(),
                _ => lines[0].replace("revert", "param-set") + " name-label=other",
            };
            let meanwhile = || {
                if changes {
                    run(&system, &other).unwrap();
                }
            };
            let terminal = Slow {
                meanwhile: &meanwhile,
                answer: "yes",
            };
            let result = run_with(&system, line, &terminal);
            match changes {
                true => {
                    let error = result.unwrap_err();
                    assert_eq!(error.code, "CHANGED_MEANWHILE", "{line}: {error}");
                    assert_eq!(lost(&system), [""; 0], "{line}");
                }
                false => {
                    result.unwrap();
                    assert_ne!(lost(&system), [""; 0], "{line}");
                }
            }
        }
    }
    // A command that began meanwhile would be cut off.
    let (system, _) = asking();
    run(&system, "host-disable").unwrap();
    let meanwhile = || std::mem::forget(host::task::Task::begin(&system, "vm-snapshot", 7));
    let terminal = Slow {
        meanwhile: &meanwhile,
        answer: "yes",
    };
    let error = run_with(&system, "host-reboot", &terminal).unwrap_err();
    assert_eq!(error.code, "OTHER_OPERATION_IN_PROGRESS", "{error}");
    assert_eq!(lost(&system), [""; 0]);
}

#[test]
fn nobody_copies_what_goes_back_or_is_uninstalled_and_nothing_goes_back_under_a_copy() {
    let undefine = format!("{V} undefine");
    for (line, command) in [
        ("snapshot-revert uuid=SNAPSHOT force=true", "lvconvert"),
        ("vm-uninstall vm=web force=true", undefine.as_str()),
    ] {
        let (system, snapshot) = with_snapshot();
        let copies = [
            "vm-export vm=web filename=/new".to_owned(),
            "vm-clone vm=web new-name-label=two".to_owned(),
            format!("vdi-export uuid={DISK} filename=/new"),
            format!("snapshot-export uuid={snapshot} filename=/new"),
            format!("snapshot-copy uuid={snapshot} new-name-label=two"),
            "vm-start vm=web".to_owned(),
            "vm-snapshot vm=web new-name-label=after".to_owned(),
            "vm-param-set vm=web name-description=x".to_owned(),
            format!("snapshot-param-set uuid={snapshot} name-label=other"),
            format!("snapshot-uninstall uuid={snapshot} force=true"),
        ];
        let (system, results) = while_it_runs(system, command, &copies);
        run(&system, &line.replace("SNAPSHOT", &snapshot)).unwrap();
        let results = results.lock().unwrap();
        assert_eq!(results.len(), copies.len());
        for (result, copy) in results.iter().zip(&copies) {
            let error = result.as_ref().unwrap_err();
            assert_eq!(error.code, "OTHER_OPERATION_IN_PROGRESS", "{copy}: {error}");
            let verb = line.split(' ').next().unwrap();
            let by = format!("operation: {verb} of ");
            assert!(error.to_string().contains(&by), "{copy}: {error}");
        }
    }
    let (_, snapshot) = with_snapshot();
    let revert = format!("snapshot-revert uuid={snapshot} force=true");
    let remove = format!("snapshot-uninstall uuid={snapshot} force=true");
    let export = format!("snapshot-export uuid={snapshot} filename=/new");
    let rename = format!("snapshot-param-set uuid={snapshot} name-label=other");
    for (copy, refused) in [
        (
            "vm-export vm=web filename=/new",
            [&*revert, "vm-uninstall vm=web force=true"],
        ),
        (
            export.as_str(),
            [&*remove, "vm-uninstall vm=web force=true"],
        ),
        (export.as_str(), [&*revert, &*remove]),
    ] {
        let (system, other) = with_snapshot();
        let now = |line: &str| line.replace(&snapshot, &other);
        let lines = [now(refused[0]), now(refused[1]), now(&rename)];
        let results = meanwhile(
            &system,
            &now(copy),
            &lines.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        for (result, line) in results[..2].iter().zip(&lines) {
            let error = result.as_ref().unwrap_err();
            assert_eq!(error.code, "OTHER_OPERATION_IN_PROGRESS", "{line}: {error}");
        }
        results[2].as_ref().unwrap();
        run(&system, &now(&revert)).unwrap();
    }
}

#[test]
fn what_goes_back_is_kept_from_a_guest_that_has_the_disk_now() {
    // The disk was given to another guest after the snapshot was taken.
    let (system, snapshot) = with_snapshot();
    let disk = format!("/dev/bedplate/vdi-{DISK}");
    let held = host::locks::new_disk(&system, Path::new(&disk)).unwrap();
    let without = DEFINITION.replace("vdi-aaaaaaaa", "vdi-bbbbbbbb");
    let system = system
        .prints(&format!("{V} 'dumpxml"), &without)
        .prints(&format!("{V} dumpxml"), &without);
    let line = format!("snapshot-revert uuid={snapshot} force=true");
    let error = run(&system, &line).unwrap_err();
    assert_eq!(error.code, "OTHER_OPERATION_IN_PROGRESS", "{error}");
    assert!(error.to_string().contains(&disk), "{error}");
    drop(held);
    run(&system, &line).unwrap();
}

#[test]
fn a_guest_that_crashed_can_be_ended_whatever_goes_on() {
    let (system, snapshot) = with_snapshot();
    let export = format!("snapshot-export uuid={snapshot} filename=/new");
    let crashed = RUNNING.replace("-b----", "----c-");
    let system = system
        .prints("xl list -v", &format!("{XL}{crashed}"))
        .prints(&format!("{V} list --uuid"), &format!("{VM}\n"));
    let lines = ["vm-reset-powerstate vm=web force=true"];
    let results = meanwhile(&system, &export, &lines);
    results[0].as_ref().unwrap();
    let ended = format!("virsh destroy {VM}");
    assert!(changes(&system).contains(&ended));
}
