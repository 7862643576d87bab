//! `docs/answers.md` says what the program does: its examples are valid, and it names every key.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::zones;
use installer::answers::{self, schema::json_schema};
use serde_json::Value;
use std::fs;
use std::path::Path;

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/answers.md")).unwrap()
}

#[test]
fn the_examples_are_valid() {
    let page = page();
    let examples: Vec<&str> = page
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert_eq!(examples.len(), 8);
    for example in examples {
        answers::read(example, "docs/answers.md", &zones(), None)
            .unwrap_or_else(|problems| panic!("{problems}\n{example}"));
    }
}

#[test]
fn every_key_and_word_is_explained() {
    fn keys(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::Object(properties)) = map.get("properties") {
                    found.extend(properties.keys().cloned());
                }
                if let Some(word) = map.get("const").and_then(Value::as_str) {
                    found.push(format!("\"{word}\""));
                }
                map.values().for_each(|value| keys(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| keys(value, found)),
            _ => {}
        }
    }
    let page = page();
    let mut found = Vec::new();
    keys(&json_schema(), &mut found);
    assert!(found.len() > 25, "{found:?}");
    found.extend(installer::selector::TRANSPORTS.map(|transport| format!("\"{transport}\"")));
    let missing: Vec<&String> = found
        .iter()
        .filter(|key| {
            !page.contains(&format!("`{key}`"))
                && !page.contains(&format!("[{key}]"))
                && !page.contains(&format!(".{key}]"))
        })
        .collect();
    assert!(
        missing.is_empty(),
        "docs/answers.md does not explain {missing:?}"
    );
}

/// What `installer schema` and `installer schema --reference` print, as it is committed. `BEDPLATE_BLESS=1` writes both.
#[test]
fn schema_and_reference_are_those_of_the_program() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let made = [
        ("answers.schema.json", format!("{:#}\n", json_schema())),
        ("answers-reference.md", answers::reference_page()),
    ];
    for (name, text) in made {
        let path = docs.join(name);
        if std::env::var_os("BEDPLATE_BLESS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == text,
            "docs/{name} is not what the program prints; write it anew with BEDPLATE_BLESS=1"
        );
    }
}

#[test]
fn the_reference_has_every_section_and_key() {
    let page = answers::reference_page();
    for section in [
        "[disk.match]",
        "[[host]]",
        "[boot]",
        "[[network.bridge]]",
        "[network.bond]",
        "[webhook]",
    ] {
        assert_eq!(
            page.matches(&format!("\n## `{section}`\n")).count(),
            1,
            "{section}"
        );
    }
    assert!(
        page.contains("| `mode` | `\"active-backup\"`, `\"lacp\"` |"),
        "{page}"
    );
    assert!(
        page.contains("| `vlan` | whole number |")
            && page.contains("| `ssh_keys` | list of strings |")
    );
    assert!(page.contains("## `[host.disk]`\n\nThe same keys as `[disk]`."));
}
