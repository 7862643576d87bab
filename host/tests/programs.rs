//! One file is `xe` and every service of the host, by the name that it is called by.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

const XE: &str = env!("CARGO_BIN_EXE_xe");

/// Exit status, standard output and standard error. Under another first word than the path, where one is given.
fn run(program: &Path, called: Option<&str>, words: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(program);
    if let Some(called) = called {
        command.arg0(called);
    }
    let output = command.args(words).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_owned()).unwrap();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn a_link_is_the_program_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    symlink(XE, folder.path().join("xe")).unwrap();
    for (name, words, about) in [
        (
            "bedplate-crash-kernel",
            "",
            "Loads the crash kernel into the hypervisor",
        ),
        (
            "bedplate-health",
            " <COMMAND>",
            "Checks whether this boot is good",
        ),
        (
            "bedplate-license",
            " <COMMAND>",
            "Looks after the license of this host",
        ),
        (
            "bedplate-mirror",
            " [EVENT] [ARRAY] [MEMBER]",
            "Looks after the mirror",
        ),
        (
            "bedplate-update",
            " <COMMAND>",
            "Looks after the updates of this host",
        ),
    ] {
        let link = folder.path().join(name);
        symlink("xe", &link).unwrap();
        let (code, out, err) = run(&link, None, &["--help"]);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{name}");
        assert!(out.starts_with(about), "{name}: {out}");
        assert!(
            out.contains(&format!("\nUsage: {name}{words}\n")),
            "{name}: {out}"
        );
        let (code, out, err) = run(&link, None, &["--nonsense"]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{name}");
        assert!(
            err.contains("--nonsense") && err.contains(&format!("Usage: {name}")),
            "{name}: {err}"
        );
    }
}

#[test]
fn an_error_of_a_service_is_told_with_its_cause() {
    let nowhere = tempfile::tempdir().unwrap();
    let esp = format!("--esp={}", nowhere.path().display());
    let words = ["deadline", "--minutes=1", &esp];
    let (code, out, err) = run(Path::new(XE), Some("/sbin/bedplate-health"), &words);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(
        err.starts_with("Error: nothing is decided\n\nCaused by:\n"),
        "{err}"
    );
}

#[test]
fn under_any_other_name_it_is_xe() {
    for called in ["xe", "/usr/bin/xe", "something", "bedplate-", ""] {
        let (code, out, err) = run(Path::new(XE), Some(called), &["--version"]);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{called}");
        assert!(
            out.starts_with("xe ") && out.ends_with(" (Bedplate)\n"),
            "{called}: {out}"
        );
    }
}

#[test]
fn no_argument_of_xe_leads_to_a_service() {
    for name in slots::names::XE_LINKS {
        let (code, out, err) = run(Path::new(XE), None, &[name, "--help"]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{name}");
        assert!(err.starts_with("WRONG_USE: "), "{name}: {err}");
    }
}
