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
    assert_eq!(examples.len(), 4);
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
