//! Every file `cases/bad-answers/NAME.toml` must be refused with exactly the messages in `NAME.txt`.
//! `BEDPLATE_BLESS=1` writes the messages anew; read the difference before you keep it.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

use installer::answers::{self, MachineIdentity, on_failure_of};
use installer::choices::After;
use installer::values::Zones;
use std::fs;
use std::path::Path;

#[test]
fn bad_answers_are_refused_with_exact_messages() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let zones = Zones::read(&cases.join("zoneinfo"));
    assert!(zones.names().count() > 4);
    let bless = std::env::var_os("BEDPLATE_BLESS").is_some();
    let mut seen = 0;
    let mut wrong = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(cases.join("bad-answers"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries.iter().filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    }) {
        seen += 1;
        let name = path.file_name().unwrap().to_string_lossy();
        let found = match answers::read_bytes(&fs::read(path).unwrap(), &name, &zones, None) {
            Ok(_) => "accepted\n".to_owned(),
            Err(problems) => format!("{problems}\n"),
        };
        let expected = path.with_extension("txt");
        if bless {
            fs::write(&expected, &found).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != found {
            wrong.push(format!("--- {name}\n{found}"));
        }
        assert_ne!(found, "accepted\n", "{name} must be refused");
        for secret in ["correct horse", "TVLlQ", "b3BlbnN", "nonsense"] {
            assert!(
                !found.contains(secret),
                "{name}: a value travels in the message: {found}"
            );
        }
    }
    assert!(seen >= 60, "only {seen} cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Answers that cannot be used still say what follows, where there is no doubt about it: none is a shell.
#[test]
fn what_follows_answers_that_cannot_be_used() {
    let machine = MachineIdentity {
        serial: Some("A".into()),
        ..MachineIdentity::default()
    };
    let top = "schema = 1\non_failure = \"reboot\"\n[disk]\npaht = \"/dev/sda\"\n";
    let own = "[[host]]\nmatch = { serial = \"A\" }\n";
    let other = "[[host]]\nmatch = { serial = \"B\" }\n";
    for (text, expected) in [
        // No disk, no system: none of these can be used.
        (top.to_owned(), Some(After::Reboot)),
        (top.replace("reboot", "poweroff"), Some(After::Poweroff)),
        (top.replace("reboot", "halt"), Some(After::Halt)),
        (top.replace("reboot", "shell"), Some(After::Shell)),
        ("schema = 1\n".to_owned(), None),
        (top.replace("reboot", "rebot"), None),
        (top.replace("on_failure", "on_failur"), None),
        (
            top.replace("on_failure = \"reboot\"", "on_failure = 1"),
            None,
        ),
        // It is in the wrong section.
        (
            format!(
                "{}on_failure = \"reboot\"\n",
                top.replace("on_failure", "on_success")
            ),
            None,
        ),
        // No TOML.
        (format!("{top}[disk\n"), None),
        (format!("{top}on_failure\n"), None),
        // What stands above for all counts for the machine that a section is for, unless that says otherwise.
        (format!("{top}{own}"), Some(After::Reboot)),
        (
            format!("{top}{own}on_failure = \"halt\"\n"),
            Some(After::Halt),
        ),
        (format!("{top}{own}on_failure = \"hald\"\n"), None),
        (format!("{top}{own}without = [\"on_failure\"]\n"), None),
        (
            format!(
                "{}{own}on_failure = \"halt\"\n",
                top.replace("reboot", "rebot")
            ),
            Some(After::Halt),
        ),
        (
            format!("{top}{other}on_failure = \"halt\"\n{own}"),
            Some(After::Reboot),
        ),
        // No section fits, or two do.
        (format!("{top}{other}"), Some(After::Reboot)),
        (format!("{top}{other}on_failure = \"shell\"\n"), None),
        (format!("{top}{own}{own}on_failure = \"shell\"\n"), None),
        (format!("{top}{own}{own}"), Some(After::Reboot)),
        (format!("host = 3\n{top}"), None),
        (
            format!(
                "{top}{}on_failure = \"halt\"\n",
                own.replace("host", "hosts")
            ),
            None,
        ),
    ] {
        assert_eq!(on_failure_of(text.as_bytes(), &machine), expected, "{text}");
    }
    assert_eq!(on_failure_of(b"\xff", &machine), None);
}
