//! Values against a JSON Schema, by as much of the standard (draft 2020-12) as our published schemas use. A keyword that is
//! not known here fails the test, so nothing is passed over.

use serde_json::Value;

/// Panics with the places where `value` is not what the published schema `name` says.
pub fn assert_fits(name: &str, value: &Value) {
    let file = format!("{}/../docs/schema/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    let problems = problems(&schema, &schema, value, "");
    assert!(problems.is_empty(), "{name}: {problems:#?}\n{value:#}");
}

/// Whether `value` is what the published schema says.
pub fn fits(name: &str, value: &Value) -> bool {
    std::panic::catch_unwind(|| assert_fits(name, value)).is_ok()
}

fn problems(whole: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let schema = match schema {
        Value::Bool(true) => return Vec::new(),
        Value::Bool(false) => return vec![format!("{at}: nothing may be here")],
        Value::Object(schema) => schema,
        other => panic!("no schema: {other}"),
    };
    let fits = |schema: &Value| problems(whole, schema, value, at).is_empty();
    let mut found = Vec::new();
    let mut expect = |good: bool, what: &str| {
        if !good {
            found.push(format!("{at}: {what}"));
        }
    };
    let mut below = Vec::new();
    for (keyword, says) in schema {
        let alternatives = || says.as_array().expect("a list of schemas").iter();
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "format" => {}
            "$ref" => {
                let name = says.as_str().and_then(|path| path.strip_prefix('#'));
                let target = whole.pointer(name.expect("within the schema"));
                below.push((target.expect("a definition"), value, at.to_owned()));
            }
            "type" => {
                let one = |name: &Value| is_a(value, name.as_str().expect("a type"));
                let good = says
                    .as_array()
                    .map_or_else(|| one(says), |all| all.iter().any(one));
                expect(good, &format!("is no {says}"));
            }
            "const" => expect(says == value, &format!("is not {says}")),
            "enum" => expect(
                alternatives().any(|one| one == value),
                &format!("is none of {says}"),
            ),
            "anyOf" => expect(alternatives().any(fits), "fits none of the kinds"),
            "oneOf" => {
                let count = alternatives().filter(|schema| fits(schema)).count();
                expect(count == 1, &format!("fits {count} of the kinds"));
            }
            "allOf" => below.extend(alternatives().map(|one| (one, value, at.to_owned()))),
            // Each is about values of its type alone.
            "minimum" => expect(
                number(value).is_none_or(|is| is >= limit(says)),
                "is too small",
            ),
            "maximum" => expect(
                number(value).is_none_or(|is| is <= limit(says)),
                "is too big",
            ),
            "minItems" => expect(
                count(value).is_none_or(|is| is >= limit(says)),
                "has too few",
            ),
            "maxItems" => expect(
                count(value).is_none_or(|is| is <= limit(says)),
                "has too many",
            ),
            "uniqueItems" => {
                let all = value.as_array().map(Vec::as_slice).unwrap_or_default();
                let twice = |(n, one): (usize, &Value)| all[..n].contains(one);
                expect(!all.iter().enumerate().any(twice), "holds one twice");
            }
            "required" => {
                for name in alternatives().filter_map(Value::as_str) {
                    expect(value.get(name).is_some(), &format!("has no `{name}`"));
                }
            }
            "items" => {
                let first = schema.get("prefixItems").and_then(Value::as_array);
                let items = value.as_array().into_iter().flatten().enumerate();
                let items = items.skip(first.map_or(0, Vec::len));
                below.extend(items.map(|(n, item)| (says, item, format!("{at}/{n}"))));
            }
            "prefixItems" => {
                let items = value.as_array().into_iter().flatten().zip(alternatives());
                let items = items.enumerate();
                below.extend(items.map(|(n, (item, says))| (says, item, format!("{at}/{n}"))));
            }
            "properties" => {
                for (name, says) in says.as_object().expect("schemas by name") {
                    if let Some(value) = value.get(name) {
                        below.push((says, value, format!("{at}/{name}")));
                    }
                }
            }
            "additionalProperties" => {
                let known = schema.get("properties");
                for (name, value) in value.as_object().into_iter().flatten() {
                    if known.is_none_or(|known| known.get(name).is_none()) {
                        below.push((says, value, format!("{at}/{name}")));
                    }
                }
            }
            other => panic!("`{other}` is not known to this test"),
        }
    }
    let below = below.into_iter();
    found.extend(below.flat_map(|(says, value, at)| problems(whole, says, value, &at)));
    found
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64()
}

fn count(value: &Value) -> Option<f64> {
    value.as_array().map(|all| all.len() as f64)
}

fn limit(says: &Value) -> f64 {
    says.as_f64().expect("a limit is a number")
}

fn is_a(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type: {other}"),
    }
}
