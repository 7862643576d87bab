//! The program as it is called: what it prints, and its exit codes.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::cases;
use common::medium::Medium;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn installer(args: &[&str]) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_installer"))
        .args(args)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn validate_says_what_is_wrong_and_ends_with_2() {
    let bad = cases().join("bad-answers/many-at-once.toml");
    let (code, _, stderr) = installer(&["validate", path(&bad)]);
    assert_eq!(code, 2);
    assert!(
        stderr.contains("many-at-once.toml:2:1: unknown key `on_succes`"),
        "{stderr}"
    );

    let good = cases().join("plans/smallest.toml");
    let (code, stdout, _) = installer(&["validate", path(&good)]);
    assert_eq!(code, 0);
    assert!(stdout.contains("is valid"), "{stdout}");

    // A file without an end is no answer file.
    let (code, _, stderr) = installer(&["validate", "/dev/zero"]);
    assert_eq!(code, 1);
    assert!(
        stderr.contains("/dev/zero is too large: an answer file has 1 MiB at most"),
        "{stderr}"
    );

    let (code, _, stderr) = installer(&["validate", "/does/not/exist.toml"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("/does/not/exist.toml"), "{stderr}");
    assert_eq!(installer(&["valdate"]).0, 2);
}

#[test]
fn validate_looks_for_the_files_of_hooks_of_every_host() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.toml");
    let hook = |name: &str| {
        format!("[[host.hook]]\nname = \"a\"\nwhen = \"first-boot\"\nfile = \"{name}\"\n")
    };
    let text = format!(
        "schema = 1\n[disk]\npath = \"/dev/sda\"\n[system]\nhostname = \"x\"\nssh_keys = [\"{}\"]\n\
         [[host]]\nmatch = {{ serial = \"A\" }}\n{}[[host]]\nmatch = {{ serial = \"B\" }}\n{}",
        common::KEY,
        hook("here.sh"),
        hook("there.sh"),
    );
    fs::write(&file, text).unwrap();
    fs::write(dir.path().join("here.sh"), "#!/bin/sh\n").unwrap();
    let (code, _, stderr) = installer(&["validate", path(&file)]);
    assert_eq!(code, 2);
    assert!(
        stderr.contains("a.toml:18:8: cannot read `there.sh`: ") && stderr.contains("No such file"),
        "{stderr}"
    );
    fs::write(dir.path().join("there.sh"), "#!/bin/sh\n").unwrap();
    assert_eq!(installer(&["validate", path(&file)]).0, 0);
}

#[test]
fn plan_and_validate_against_facts_of_another_machine() {
    let medium = Medium::new();
    let (root, trusted) = (medium.path(), medium.trusted_root());
    let medium_args = ["--medium", path(&root), "--trusted-root", path(&trusted)];
    let machine = cases().join("machines/one-disk-bios.json");
    let run = |verb: &str, answers: &Path, more: &[&str]| {
        let file: &[&str] = if verb == "plan" { &["--answers"] } else { &[] };
        installer(
            &[
                &[verb],
                file,
                &[path(answers), "--facts", path(&machine)],
                &medium_args,
                more,
            ]
            .concat(),
        )
    };
    // These facts say little about the processor, so the list does not approve, and says so with 3.
    let refused = cases().join("plans/smallest.toml");
    assert_eq!(run("plan", &refused, &[]).0, 3);
    assert_eq!(run("validate", &refused, &[]).0, 3);

    let good = cases().join("plans/override-warnings.toml");
    let (code, stdout, stderr) = run("plan", &good, &[]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains("Disk       /dev/sda, 480.1 GB") && stdout.contains("\nPlan "),
        "{stdout}"
    );
    let (code, json, _) = run("plan", &good, &["--json"]);
    assert_eq!(code, 0);
    let plan: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(plan["disk"]["identity"]["serial"], "S1");
    let (code, stdout, _) = run("validate", &good, &[]);
    assert!(code == 0 && !stdout.contains("license"), "{stdout}");
    let dir = tempfile::tempdir().unwrap();
    let licensed = dir.path().join("answers.toml");
    let text = fs::read_to_string(&good).unwrap();
    fs::write(
        &licensed,
        text + "\n[license]\ntoken = \"v4.public.nonsense\"\n",
    )
    .unwrap();
    let (code, stdout, stderr) = run("validate", &licensed, &[]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains("Not checked: `token` in [license]"),
        "{stdout}"
    );

    let other = cases().join("no-plan/no-match-lists-all.toml");
    let (code, _, stderr) = run("validate", &other, &[]);
    assert_eq!(code, 2);
    assert!(
        stderr.contains("its model is SAMSUNG MZ7L3480, not INTEL*"),
        "{stderr}"
    );
}

/// Without a release most can be told, and the rest is named.
#[test]
fn validate_against_facts_needs_no_medium() {
    let machine = cases().join("machines/one-disk-bios.json");
    let dir = tempfile::tempdir().unwrap();
    let answers = dir.path().join("answers.toml");
    let validate = |text: &str| {
        fs::write(&answers, text).unwrap();
        installer(&["validate", path(&answers), "--facts", path(&machine)])
    };
    let good = fs::read_to_string(cases().join("plans/smallest.toml")).unwrap();
    let expecting = format!("expect_plan = \"{}\"\n{good}", "0".repeat(64));
    let (code, stdout, stderr) = validate(&expecting);
    assert_eq!(code, 0, "{stderr}");
    for part in [
        "fits the machine in",
        "as far as can be told without a release",
        "Not checked: what the compatibility list of the release says",
        "Not checked: `expect_plan`",
        "--medium",
    ] {
        assert!(stdout.contains(part), "{part} is not in {stdout}");
    }
    assert!(
        !stdout.contains("upgrade") && !stdout.contains("license"),
        "{stdout}"
    );
    assert!(!validate(&good).1.contains("expect_plan"));
    // What no medium tells, either.
    let licensed = format!("{good}\n[license]\ntoken = \"v4.public.nonsense\"\n");
    let (code, stdout, stderr) = validate(&licensed);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains("Not checked: `token` in [license]"),
        "{stdout}"
    );

    let other = fs::read_to_string(cases().join("no-plan/no-match-lists-all.toml")).unwrap();
    let (code, _, stderr) = validate(&other);
    assert_eq!(code, 2);
    assert!(
        stderr.contains("its model is SAMSUNG MZ7L3480, not INTEL*"),
        "{stderr}"
    );

    // A medium that is named must be one.
    let (code, _, stderr) = installer(&[
        "validate",
        path(&answers),
        "--facts",
        path(&machine),
        "--medium",
        "/does/not/exist",
    ]);
    assert_eq!(code, 1);
    assert!(stderr.contains("/does/not/exist"), "{stderr}");
}

/// Whether a host can be upgraded is told as far as the release does not decide it.
#[test]
fn validate_without_a_medium_knows_hosts() {
    let machine = cases().join("machines/hosts.json");
    let run = |case: &str| {
        let file = cases().join(case);
        installer(&["validate", path(&file), "--facts", path(&machine)])
    };
    let (code, stdout, stderr) = run("plans/upgrade.toml");
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("Not checked: `upgrade`"), "{stdout}");
    let (code, _, stderr) = run("no-plan/upgrade-of-half-a-mirror.toml");
    assert_eq!(code, 2);
    assert!(stderr.contains("one half of a mirror"), "{stderr}");
}

#[test]
fn another_plan_than_the_expected_one_is_refused() {
    let medium = Medium::new();
    let (root, trusted) = (medium.path(), medium.trusted_root());
    let machine = cases().join("machines/one-disk-bios.json");
    let good = fs::read_to_string(cases().join("plans/override-warnings.toml")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let answers = dir.path().join("answers.toml");
    fs::write(&answers, &good).unwrap();
    let plan = |more: &[&str]| {
        let all = [
            "plan",
            "--answers",
            path(&answers),
            "--facts",
            path(&machine),
            "--medium",
            path(&root),
            "--trusted-root",
            path(&trusted),
        ];
        installer(&[&all[..], more].concat())
    };
    let (code, stdout, _) = plan(&[]);
    assert_eq!(code, 0);
    let hash = stdout
        .lines()
        .last()
        .unwrap()
        .strip_prefix("Plan ")
        .unwrap()
        .to_owned();
    assert_eq!(plan(&["--expect-plan", &hash]).0, 0);
    let other = "0".repeat(64);
    let (code, _, stderr) = plan(&["--expect-plan", &other]);
    assert_eq!(code, 1);
    assert!(
        stderr.contains(&format!("its hash is {hash}, not {other}")),
        "{stderr}"
    );

    // The same in the file; it is no part of the plan, or nobody could write it down.
    fs::write(
        &answers,
        good.replace(
            "schema = 1",
            &format!("schema = 1\nexpect_plan = \"{hash}\""),
        ),
    )
    .unwrap();
    assert_eq!(plan(&[]).0, 0);
    fs::write(
        &answers,
        good.replace(
            "schema = 1",
            &format!("schema = 1\nexpect_plan = \"{other}\""),
        ),
    )
    .unwrap();
    assert_eq!(plan(&[]).0, 1);
}

#[test]
fn match_tells_why_each_disk_and_interface_fits_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let answers = dir.path().join("answers.toml");
    let machine = cases().join("machines/server-bonds.json");
    let write = |network: &str| {
        let text = format!(
            "schema = 1\n[disk.match]\ntransport = \"nvme\"\n[system]\nhostname = \"x\"\nssh_keys = [\"{}\"]\n[network]\ndhcp = true\n{network}",
            common::KEY
        );
        fs::write(&answers, text).unwrap();
        installer(&["match", path(&answers), "--facts", path(&machine)])
    };
    let (_, stdout, stderr) = write("interface = \"nope0\"\n");
    assert!(
        stdout.starts_with("The disk that [disk] asks for\n"),
        "{stdout}{stderr}"
    );
    assert!(
        stdout.contains("The interface below xenbr0: named nope0\n"),
        "{stdout}"
    );
    assert!(stdout.contains(", not nope0\n"), "{stdout}");
    assert!(
        stdout.contains("  => there is no wired network interface named nope0\n"),
        "{stdout}"
    );
    assert_eq!(write("interface = \"nope0\"\n").0, 1);
    assert_eq!(write("interface = nope0\n").0, 2);
}

#[test]
fn a_plan_needs_a_release_that_can_be_verified() {
    let answers = cases().join("plans/smallest.toml");
    let (code, _, stderr) = installer(&[
        "plan",
        "--answers",
        path(&answers),
        "--medium",
        "/does/not/exist",
    ]);
    assert_eq!(code, 1);
    assert!(stderr.contains("--medium"), "{stderr}");
}

#[test]
fn facts_and_schema_are_json() {
    for verb in ["facts", "schema"] {
        let (code, stdout, _) = installer(&[verb]);
        assert_eq!(code, 0);
        assert!(
            serde_json::from_str::<serde_json::Value>(&stdout)
                .unwrap()
                .is_object()
        );
    }
}
