//! Hooks: when they run, with what, what a failure does, and where their files come from.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::laydown::{Run, failed_step, looks_bootable, plan_with, run};
use common::machine::{DISK, FakeMachine, FakeSystem, disk};
use common::medium::Medium;
use common::{HASH, KEY, choices};
use hcl_checker::facts::FirmwareKind;
use installer::answer_source::{Finder, Found, Request, Trust, beside_file};
use installer::answers::{self, Beside};
use installer::laydown::HOST_TREE;
use std::path::Path;
use steps::event::Outcome;
use steps::report::StepResult;
use steps::step::error_chain;
use steps::system::{Call, RealSystem, RecordingSystem};

const WAITING: &str = "/run/bedplate/target/bedplate-state/bedplate/first-boot";

/// Answers with one hook, whose script holds a secret of its own.
fn hook(name: &str, when: &str, more: &str) -> String {
    format!(
        "[[hook]]\nname = \"{name}\"\nwhen = \"{when}\"\nscript = \"#!/bin/sh\\n# t0ken-in-script\\n\"\n{more}\n"
    )
}

fn command(name: &str, when: &str) -> String {
    let target = match when {
        "before-first-boot" => format!(" BEDPLATE_TARGET={HOST_TREE}"),
        _ => String::new(),
    };
    format!(
        "BEDPLATE_STAGE={when} BEDPLATE_DISK={DISK} BEDPLATE_HOSTNAME=xen1.example.org \
         BEDPLATE_PLAN=/run/bedplate/hooks/plan.json{target} /run/bedplate/hooks/{name}"
    )
}

fn install(
    answers: &str,
    change: impl FnOnce(RecordingSystem) -> RecordingSystem,
) -> (Run, Medium) {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_with(&medium, &disk(), FirmwareKind::Bios, "", answers);
    let system = FakeSystem::new(&release).change(change);
    let run = run(&release, &plan, system, FakeMachine::new(disk(), None));
    assert!(run.system.inner.mounted().is_empty(), "a mount is left");
    (run, medium)
}

#[test]
fn they_run_at_their_time_in_their_order() {
    let answers = hook("late", "before-first-boot", "")
        + &hook("b", "before-install", "")
        + &hook("a", "before-install", "")
        + &hook("there", "first-boot", "time_limit = 7\nmay_fail = true");
    let (run, _) = install(&answers, |system| system);
    assert_eq!(run.report.result, Outcome::Ok, "{}", run.report);
    let steps: Vec<&str> = run
        .report
        .steps
        .iter()
        .map(|step| step.id.as_str())
        .collect();
    assert_eq!(
        steps,
        [
            "verify-release",
            "hook-b",
            "hook-a",
            "identify-disk",
            "erase-disk",
            "partition-disk",
            "slot-a",
            "state",
            "storage",
            "boot-files",
            "hook-late",
            "boot-loaders"
        ]
    );
    let lines = run.system.inner.command_lines();
    let hooks: Vec<&String> = lines
        .iter()
        .filter(|line| line.contains("/hooks/"))
        .collect();
    assert_eq!(
        hooks,
        [
            &command("b", "before-install"),
            &command("a", "before-install"),
            &command("late", "before-first-boot"),
        ]
    );
    // The programs are run with their own limit, and are gone afterwards; the plan that they may read is the plan.
    assert!(run.system.inner.content("/run/bedplate/hooks/b").is_none());
    let plan = run
        .system
        .inner
        .content("/run/bedplate/hooks/plan.json")
        .unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&plan).unwrap();
    assert_eq!(plan["system"]["hostname"], "xen1.example.org");

    let list = run
        .system
        .inner
        .content(format!("{WAITING}/hooks.json"))
        .unwrap();
    let list: serde_json::Value = serde_json::from_slice(&list).unwrap();
    assert_eq!(
        (
            &list[0]["name"],
            &list[0]["time_limit_s"],
            &list[0]["may_fail"]
        ),
        (&"there".into(), &7.into(), &true.into())
    );
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(
        run.system
            .inner
            .content(format!("{WAITING}/there"))
            .unwrap(),
        b"#!/bin/sh\n# t0ken-in-script\n"
    );
    let private = |path: &str| Call::Write(Path::new(WAITING).join(path), 0o600);
    for path in ["hooks.json", "there"] {
        assert!(
            run.system.inner.calls().contains(&private(path)),
            "{path} can be read by all"
        );
    }
}

#[test]
fn before_the_first_boot_the_host_is_put_together() {
    let (run, _) = install(&hook("late", "before-first-boot", ""), |system| system);
    let calls = run.system.inner.calls();
    let at = calls
        .iter()
        .position(|call| *call == Call::Run(command("late", "before-first-boot")))
        .unwrap();
    let mounts: Vec<String> = calls[..at]
        .iter()
        .filter_map(|call| match call {
            Call::Mount(mount) => Some(
                mount
                    .target
                    .strip_prefix(HOST_TREE)
                    .ok()?
                    .display()
                    .to_string(),
            ),
            _ => None,
        })
        .collect();
    assert_eq!(
        mounts,
        [
            "",
            "state",
            "etc",
            "var",
            "root",
            "home",
            "opt",
            "srv",
            "usr/local",
            "dev",
            "proc",
            "sys",
            "run",
            "tmp"
        ]
    );
    let tree = HOST_TREE;
    let filled = Call::Run(format!(
        "cp --archive --update=none --no-target-directory {tree}/usr/share/factory/var {tree}/state/var"
    ));
    assert!(calls[..at].contains(&filled), "{calls:?}");
    let overlay = calls.iter().find_map(|call| match call {
        Call::Mount(mount) if mount.target == Path::new(HOST_TREE).join("etc") => {
            Some(mount.options.clone())
        }
        _ => None,
    });
    let id = run.report.facts["release"]["root"]["verity"]["root_hash"]
        .as_str()
        .unwrap();
    assert!(
        overlay.unwrap().starts_with(&format!(
            "lowerdir={HOST_TREE}/etc,upperdir={HOST_TREE}/state/etc/{}/upper,workdir=",
            &id[..16]
        )),
        "not the folder that the initrd takes"
    );
}

#[test]
fn a_failure_before_the_install_leaves_the_disk_as_it_was() {
    let (run, _) = install(&hook("b", "before-install", ""), |system| {
        system.fails(
            &command("b", "before-install"),
            9,
            "controller is in RAID mode",
        )
    });
    assert_eq!(run.report.result, Outcome::Failed);
    let step = run.report.failed_step().unwrap();
    assert_eq!(step.id, "hook-b");
    assert_eq!(
        step.errors,
        ["the hook b ended with exit code 9. Its last line: controller is in RAID mode"]
    );
    assert_eq!(step.output, ["controller is in RAID mode"]);
    assert_eq!(run.machine.writes(), 0, "something was written");
}

#[test]
fn a_failure_before_the_first_boot_leaves_a_disk_that_does_not_start() {
    let (run, medium) = install(&hook("late", "before-first-boot", ""), |system| {
        system.fails(&command("late", "before-first-boot"), 1, "")
    });
    assert_eq!(failed_step(&run), "hook-late");
    let Run {
        system, machine, ..
    } = run;
    assert!(!looks_bootable(&machine.into_disk(), &system, &medium));
}

#[test]
fn one_that_may_fail_is_a_warning() {
    for (when, name) in [("before-install", "b"), ("before-first-boot", "late")] {
        let (run, _) = install(&hook(name, when, "may_fail = true"), |system| {
            system.fails(&command(name, when), 2, "no answer")
        });
        assert_eq!(run.report.result, Outcome::Ok, "{}", run.report);
        assert_eq!(
            run.report.warnings,
            [format!(
                "the hook {name} ended with exit code 2. Its last line: no answer"
            )]
        );
        let step = run
            .report
            .steps
            .iter()
            .find(|step| step.id == format!("hook-{name}"))
            .unwrap();
        assert_eq!(
            (step.result, step.output.as_slice()),
            (StepResult::Done, &["no answer".to_owned()][..])
        );
    }
}

#[test]
fn what_hooks_print_is_in_the_report_and_secrets_are_not() {
    let answers = "[license]\ntoken = \"v4.public.s3cret-license\"\n\
                   [webhook]\nurl = \"https://u:pa55word@hook.example.org/r?key=qu3ry-value\"\ntoken = \"b3arer-token\"\n"
        .to_owned()
        + &hook("b", "before-install", "");
    let said = format!(
        "registered\n{HASH}\nv4.public.s3cret-license\nAuthorization: b3arer-token\nuser pa55word at qu3ry-value\n"
    );
    let (run, _) = install(&answers, |system| {
        system.prints(&command("b", "before-install"), &said)
    });
    assert_eq!(run.report.result, Outcome::Ok, "{}", run.report);
    let step = run
        .report
        .steps
        .iter()
        .find(|step| step.id == "hook-b")
        .unwrap();
    assert_eq!(
        step.output,
        [
            "registered",
            "(secret)",
            "(secret)",
            "Authorization: (secret)",
            "user (secret) at (secret)"
        ]
    );
    let mut shown = vec![run.report.to_json().unwrap(), run.report.to_string()];
    shown.extend(run.events.iter().map(|event| event.to_line().unwrap()));
    shown.extend(run.system.inner.command_lines());
    for text in shown {
        for secret in [
            "TVLlQ",
            "s3cret",
            "b3arer",
            "pa55word",
            "qu3ry",
            "t0ken-in-script",
        ] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
}

#[test]
fn a_file_is_taken_only_where_it_is_the_one_that_was_meant() {
    let script = b"#!/bin/sh\n";
    // printf '#!/bin/sh\n' | sha256sum
    let hash = "a8076d3d28d21e02012b20eaf7dbf75409a6277134439025f282e368e3305abf";
    let load = |more: &str, signed: bool, bytes: &[u8]| {
        let text = format!(
            "schema = 1\n[disk]\npath = \"{DISK}\"\n[system]\nhostname = \"xen1\"\nssh_keys = [\"{KEY}\"]\n\
             [[hook]]\nname = \"a\"\nwhen = \"first-boot\"\nfile = \"h/a.sh\"\n{more}"
        );
        let mut choices = choices(&text);
        let mut beside = Beside {
            signed,
            read: &mut |file| {
                assert_eq!(file, "h/a.sh");
                Ok(bytes.to_vec())
            },
        };
        let result = answers::load_hooks(&mut choices, text.as_bytes(), "x", None, &mut beside);
        let content = choices.hooks[0]
            .script()
            .map(|script| script.expose().to_vec());
        result
            .map(|()| content.unwrap())
            .map_err(|problems| problems.to_string())
    };
    let named = format!("sha256 = \"{}\"\n", hash.to_uppercase());
    assert_eq!(load("", false, script).unwrap(), script);
    assert_eq!(load(&named, true, script).unwrap(), script);
    assert_eq!(
        load("", true, script).unwrap_err(),
        "x:10:8: the answers are signed, and `h/a.sh` is not\n    add its `sha256` to the hook and sign the answers again, or write \
         the script into the answers\n1 problem in the answer file"
    );
    assert_eq!(
        load(&named, false, b"#!/bin/sh\nrm -r /\n").unwrap_err(),
        "x:10:8: `h/a.sh` has the SHA-256 df339393b77c9e03586b6441e01e3c9b977fb3123455d230f62d95a09f053379, and the hook wants another \
         one\n    put the right file there, or correct `sha256`\n1 problem in the answer file"
    );
    assert_eq!(
        load("", false, b"<html>").unwrap_err(),
        "x:10:8: `h/a.sh` does not say what runs it\n    start it with a line such as `#!/bin/sh`\n1 problem in the answer file"
    );
}

/// Each with its place, beside what is wrong elsewhere in the file.
#[test]
fn all_that_is_wrong_with_hooks_is_told_at_once() {
    let text = "schema = 1\n[disk]\npath = \"/dev/sda\"\n[system]\nhostname = \"-\"\n\
                [[hook]]\nname = \"a\"\nwhen = \"first-boot\"\nfile = \"missing.sh\"\ntime_limit = 0\n\
                [[hook]]\nname = \"b\"\nwhen = \"first-boot\"\nfile = \"page.html\"\n\
                [[hook]]\nname = \"c\"\nfile = \"good.sh\"\n";
    let mut beside = Beside {
        signed: false,
        read: &mut |file| match file {
            "missing.sh" => Err(std::io::Error::other("No such file").into()),
            "page.html" => Ok(b"<html>".to_vec()),
            _ => Ok(b"#!/bin/sh\n".to_vec()),
        },
    };
    let problems =
        answers::read_with_files(text.as_bytes(), "x", &common::zones(), None, &mut beside)
            .unwrap_err();
    let told: Vec<String> = problems
        .list
        .iter()
        .map(|one| format!("{}:{} {}", one.place.line, one.place.column, one.message))
        .collect();
    let starts = [
        "4:2 [system] gives no way to log in",
        "5:12 `system.hostname`",
        "9:8 cannot read `missing.sh`: No such file",
        "10:14 `hook.0.time_limit` is not from 1 to",
        "14:8 `page.html` does not say what runs it",
        "15:1 a [[hook]] does not say when it runs",
    ];
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    for (told, start) in told.iter().zip(starts) {
        assert!(told.starts_with(start), "{told} is not {start}");
    }
}

fn beside(system: &RecordingSystem, request: &str) -> Result<Vec<u8>, String> {
    let machine = FakeMachine::new(disk(), None);
    let finder = Finder {
        system,
        machine: &machine,
        pause: &|_| {},
        trust: &Trust::default(),
        live: false,
    };
    let read = |request: &Request| -> Result<Found, String> {
        finder
            .read(request, Path::new("/medium"), &mut |_| {})
            .map_err(|error| error_chain(&error).join(": "))
    };
    let found = read(&Request::parse(request).unwrap_or_else(|_| Request::argument(request)))?;
    let content = finder.beside(&found, "h/a.sh", &mut |_| {});
    assert!(system.mounted().is_empty(), "a mount is left");
    content.map_err(|error| error_chain(error.as_ref()).join(": "))
}

#[test]
fn files_are_read_from_beside_the_answers_wherever_those_are() {
    let volume = "/run/bedplate/answer-volume";
    let stick = RecordingSystem::new()
        .prints("blkid --probe", "vfat\n")
        .file(format!("{volume}/x/a.toml"), "schema = 1\n")
        .file(format!("{volume}/x/h/a.sh"), "on the stick");
    assert_eq!(
        beside(&stick, "/dev/sda:/x/a.toml").unwrap(),
        b"on the stick"
    );

    let local = RecordingSystem::new()
        .file("/a/answers.toml", "schema = 1\n")
        .file("/a/h/a.sh", "local");
    assert_eq!(beside(&local, "/a/answers.toml").unwrap(), b"local");

    let server = RecordingSystem::new().prints("curl", "served");
    assert_eq!(
        beside(&server, "https://u:p@h/s/answers.toml?t=1").unwrap(),
        b"served"
    );
    let asked: Vec<String> = server
        .commands()
        .iter()
        .map(|command| {
            String::from_utf8_lossy(command.stdin_bytes())
                .lines()
                .next()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(
        asked,
        [
            "url = \"https://u:p@h/s/answers.toml?t=1\"",
            "url = \"https://u:p@h/s/h/a.sh?t=1\""
        ]
    );

    let error = beside(&RecordingSystem::new(), "/dev/sda").unwrap_err();
    assert_eq!(
        error,
        "/dev/sda holds the answers alone; write the script into them, or put both on a file system or behind a URL"
    );
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let answers = folder.path().join("answers.toml");
    let error = beside_file(&RealSystem::silent(), &answers, "pipe").unwrap_err();
    assert!(error.to_string().ends_with("pipe is no file"), "{error}");
    let missing = RecordingSystem::new().file("/a/answers.toml", "schema = 1\n");
    let error = beside(&missing, "/a/answers.toml").unwrap_err();
    assert!(error.starts_with("cannot read /a/h/a.sh"), "{error}");
}
