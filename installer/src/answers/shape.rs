//! What the JSON Schema asks for at a place, and which of its words was meant.

use super::document::join;
use serde_json::Value;

/// Longest word that another one is suggested for, in bytes.
const LONGEST_WORD: usize = 64;

/// What a part of the schema asks for.
pub(super) enum Shape<'s> {
    /// A section with these keys.
    Table(&'s serde_json::Map<String, Value>),
    /// A list of such values.
    List(&'s Value),
    /// One of these.
    Word(Vec<&'s str>),
    /// Any text.
    String,
    /// A number from 0.
    Integer,
    /// True or false.
    Boolean,
}

/// Follows references and the `null` that optional keys allow, to the shape that is asked for.
pub(super) fn shape<'s>(root: &'s Value, part: &'s Value) -> Option<Shape<'s>> {
    if let Some(reference) = part.get("$ref").and_then(Value::as_str) {
        return shape(root, root.pointer(reference.strip_prefix('#')?)?);
    }
    if let Some(choices) = part.get("anyOf").and_then(Value::as_array) {
        let real = choices
            .iter()
            .find(|choice| choice.get("type").and_then(Value::as_str) != Some("null"));
        return shape(root, real?);
    }
    if let Some(words) = words(part) {
        return Some(Shape::Word(words));
    }
    let kind = match part.get("type")? {
        Value::String(kind) => kind.as_str(),
        Value::Array(kinds) => kinds
            .iter()
            .filter_map(Value::as_str)
            .find(|kind| *kind != "null")?,
        _ => return None,
    };
    match kind {
        "object" => part
            .get("properties")
            .and_then(Value::as_object)
            .map(Shape::Table),
        "array" => part.get("items").map(Shape::List),
        "string" => Some(Shape::String),
        "integer" => Some(Shape::Integer),
        "boolean" => Some(Shape::Boolean),
        _ => None,
    }
}

/// The words of an enum: schemars writes them as `enum`, or as `oneOf` with `const` where they have descriptions.
fn words(part: &Value) -> Option<Vec<&str>> {
    if let Some(list) = part.get("enum").and_then(Value::as_array) {
        return Some(list.iter().filter_map(Value::as_str).collect());
    }
    let choices = part.get("oneOf").and_then(Value::as_array)?;
    choices
        .iter()
        .map(|choice| choice.get("const").and_then(Value::as_str))
        .collect()
}

/// The known word that was meant, where one is near.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST_WORD {
        return None;
    }
    let word = word.to_lowercase();
    known
        .map(|candidate| (strsim::damerau_levenshtein(&word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count() / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The path of a key with exactly this name anywhere in the schema.
pub(super) fn find_key(
    root: &Value,
    part: &Value,
    name: &str,
    path: &str,
    depth: usize,
) -> Option<String> {
    let Some(Shape::Table(properties)) = shape(root, part) else {
        return None;
    };
    if depth > 8 {
        return None;
    }
    if properties.contains_key(name) {
        return Some(join(path, name));
    }
    properties
        .iter()
        .find_map(|(key, inner)| find_key(root, inner, name, &join(path, key), depth + 1))
}

/// True where `key` at the top of the file is a section.
pub(super) fn is_table(root: &Value, key: &str) -> bool {
    let Some(Shape::Table(properties)) = shape(root, root) else {
        return false;
    };
    properties
        .get(key)
        .is_some_and(|part| matches!(shape(root, part), Some(Shape::Table(_))))
}
