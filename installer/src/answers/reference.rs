//! The reference page of the answer file, generated from its JSON Schema: every section, key, kind of value and word.

use super::schema::json_schema;
use serde_json::{Map, Value};
use std::fmt::Write;

/// The page, as Markdown. `docs/answers.md` explains with examples; this page is complete by construction.
pub fn reference_page() -> String {
    let schema = json_schema();
    let mut page = String::from(
        "# Every key of the answer file\n\n\
         Made by `installer schema --reference` from the types that read the file; do not edit. What the keys mean together, \
         with examples, is in [answers.md](answers.md); the same for editors is in \
         [answers.schema.json](answers.schema.json).\n",
    );
    let mut seen = Vec::new();
    // Strings take any error away: writing to one cannot fail.
    let _ = section(&mut page, &schema, &schema, "", &mut seen);
    page
}

/// One section and those inside of it. A kind of section that stands in several places is listed once.
fn section(
    page: &mut String,
    root: &Value,
    part: &Value,
    path: &str,
    seen: &mut Vec<(String, String)>,
) -> std::fmt::Result {
    let Some(keys) = part.get("properties").and_then(Value::as_object) else {
        return Ok(());
    };
    match path {
        "" => writeln!(page, "\n## Top of the file\n")?,
        _ => writeln!(page, "\n## `{path}`\n")?,
    }
    if let Some(text) = part.get("description").and_then(Value::as_str) {
        writeln!(page, "{}\n", line(text))?;
    }
    writeln!(page, "| Key | Value | Meaning |\n|---|---|---|")?;
    let mut inner: Vec<(String, String, &Value)> = Vec::new();
    for (key, value) in keys {
        let kind = kind(root, value);
        if let Kind::Section(name, at) | Kind::Sections(name, at) = &kind {
            let name = match name.is_empty() {
                true => format!("{path}.{key}"),
                false => name.clone(),
            };
            inner.push((
                below(path, key, matches!(kind, Kind::Sections(..))),
                name,
                at,
            ));
        }
        let text = value
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default();
        writeln!(page, "| `{key}` | {} | {} |", kind.words(), line(text))?;
    }
    // The same sections stand in it, and are better known by their own names.
    inner.sort_by_key(|(place, ..)| place == "[[host]]");
    for (place, name, at) in inner {
        match seen.iter().find(|(known, _)| *known == name) {
            Some((_, first)) => {
                writeln!(page, "\n## `{place}`\n\nThe same keys as `{first}`.")?;
            }
            None => {
                seen.push((name, place.clone()));
                section(page, root, at, &place, seen)?;
            }
        }
    }
    Ok(())
}

/// The header of a section as it is written: `[a.b]`, `[[a.b]]`.
fn below(path: &str, key: &str, list: bool) -> String {
    let path = path.trim_matches(['[', ']']);
    let path = if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    };
    if list {
        format!("[[{path}]]")
    } else {
        format!("[{path}]")
    }
}

enum Kind<'s> {
    Section(String, &'s Value),
    Sections(String, &'s Value),
    Words(Vec<String>),
    Plain(&'static str),
}

impl Kind<'_> {
    fn words(&self) -> String {
        match self {
            Kind::Section(..) => "section".to_owned(),
            Kind::Sections(..) => "sections".to_owned(),
            Kind::Words(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
                words.join(", ")
            }
            Kind::Plain(text) => (*text).to_owned(),
        }
    }
}

fn kind<'s>(root: &'s Value, value: &'s Value) -> Kind<'s> {
    let (name, value) = resolve(root, value);
    let object = |value: &Value| value.get("properties").is_some_and(Value::is_object);
    if object(value) {
        return Kind::Section(name, value);
    }
    let words: Vec<String> = words_of(value);
    if !words.is_empty() {
        return Kind::Words(words);
    }
    match type_of(value) {
        "array" => {
            let (name, item) = resolve(root, value.get("items").unwrap_or(&Value::Null));
            if object(item) {
                Kind::Sections(name, item)
            } else {
                Kind::Plain("list of strings")
            }
        }
        "integer" => Kind::Plain("whole number"),
        "boolean" => Kind::Plain("`true` or `false`"),
        _ => Kind::Plain("string"),
    }
}

/// Follows references, and the `null` that every optional key allows.
fn resolve<'s>(root: &'s Value, value: &'s Value) -> (String, &'s Value) {
    if let Some(reference) = value.get("$ref").and_then(Value::as_str)
        && let Some(target) = reference.strip_prefix('#').and_then(|at| root.pointer(at))
    {
        let name = reference.rsplit('/').next().unwrap_or_default().to_owned();
        return (name, resolve(root, target).1);
    }
    let real = |choices: &'s Vec<Value>| choices.iter().find(|choice| type_of(choice) != "null");
    match value.get("anyOf").and_then(Value::as_array).and_then(real) {
        Some(choice) => resolve(root, choice),
        None => (String::new(), value),
    }
}

fn type_of(value: &Value) -> &str {
    match value.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => kinds
            .iter()
            .filter_map(Value::as_str)
            .find(|kind| *kind != "null")
            .unwrap_or_default(),
        _ => "",
    }
}

fn words_of(value: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(words) = value.get("enum").and_then(Value::as_array) {
        return words.iter().filter_map(text).collect();
    }
    let choices = value.get("oneOf").and_then(Value::as_array);
    let word = |choice: &Value| {
        let choice: &Map<String, Value> = choice.as_object()?;
        text(choice.get("const")?)
    };
    choices.map_or(Vec::new(), |choices| {
        choices.iter().filter_map(word).collect()
    })
}

/// Doc comments are broken into lines; cells of a table are not.
fn line(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}
