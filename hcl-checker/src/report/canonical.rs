//! Canonical JSON by RFC 8785: one sequence of bytes for one content, so that it can be signed.

use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

/// Integers that every reader of JSON gets right: RFC 8785 writes numbers as IEEE 754 doubles (RFC 7493, 2.2).
const LARGEST: u64 = (1 << 53) - 1;

/// Something has no canonical form.
#[derive(Debug, Error)]
pub enum CanonicalError {
    /// It is no JSON.
    #[error("no JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A number would come out as another one.
    #[error(
        "{path}: {number} is no whole number up to 2^53 - 1, so not every reader would read the same"
    )]
    Number {
        /// Where it stands.
        path: String,
        /// The number.
        number: serde_json::Number,
    },
}

/// Canonical bytes of a value.
///
/// # Errors
/// It cannot be written as JSON, or has a number that is no whole one up to 2^53 - 1.
pub fn to_canonical(value: &impl Serialize) -> Result<Vec<u8>, CanonicalError> {
    let value = serde_json::to_value(value)?;
    check_numbers(&value, "")?;
    Ok(serde_json_canonicalizer::to_vec(&value)?)
}

/// Whether these bytes are the canonical ones of what they hold. Doubled keys and other spellings are not.
///
/// # Errors
/// They are no JSON, or have a number that canonical JSON of a report cannot have.
pub fn is_canonical(bytes: &[u8]) -> Result<bool, CanonicalError> {
    let value: Value = serde_json::from_slice(bytes)?;
    Ok(to_canonical(&value)? == bytes)
}

fn check_numbers(value: &Value, path: &str) -> Result<(), CanonicalError> {
    match value {
        Value::Number(number) => {
            let fits = match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => number <= LARGEST,
                (None, Some(number)) => number.unsigned_abs() <= LARGEST,
                (None, None) => false,
            };
            if fits {
                return Ok(());
            }
            Err(CanonicalError::Number {
                path: path.to_owned(),
                number: number.clone(),
            })
        }
        Value::Array(items) => items
            .iter()
            .zip(0..)
            .try_for_each(|(item, number)| check_numbers(item, &format!("{path}/{number}"))),
        Value::Object(fields) => fields
            .iter()
            .try_for_each(|(name, field)| check_numbers(field, &format!("{path}/{name}"))),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_rfc() {
        // RFC 8785, 3.2.3, without its numbers that are not whole.
        let text = r#"{ "\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh",
            "1": "One", "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis" }"#;
        let value: Value = serde_json::from_str(text).expect("JSON");
        let canonical = String::from_utf8(to_canonical(&value).expect("canonical")).expect("UTF-8");
        let order: Vec<&str> = [
            "Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew",
        ]
        .to_vec();
        let mut places: Vec<usize> = order
            .iter()
            .filter_map(|word| canonical.find(word))
            .collect();
        assert_eq!(places.len(), order.len());
        assert!(places.is_sorted(), "{canonical}");
        places.dedup();
        assert!(canonical.starts_with("{\"\\r\":\"Carriage Return\",\"1\":\"One\""));
    }

    #[test]
    fn numbers_that_readers_would_change_are_refused() {
        let at = |text: &str| to_canonical(&serde_json::from_str::<Value>(text).expect("JSON"));
        assert_eq!(
            at("{\"a\":9007199254740991}").expect("fits"),
            b"{\"a\":9007199254740991}"
        );
        let error = at("{\"a\":[1,9007199254740992]}")
            .expect_err("too large")
            .to_string();
        assert!(error.starts_with("/a/1: 9007199254740992"), "{error}");
        assert!(at("1.5").is_err() && at("-9007199254740992").is_err());
        assert_eq!(at("-9007199254740991").expect("fits"), b"-9007199254740991");
    }

    #[test]
    fn other_spellings_are_not_canonical() {
        for text in [
            "{\"a\": 1}",
            "{\"b\":1,\"a\":1}",
            "{\"a\":1,\"a\":1}",
            "{\"a\":\"\\u0041\"}",
            "1 ",
        ] {
            assert!(!is_canonical(text.as_bytes()).expect("JSON"), "{text}");
        }
        assert!(is_canonical(b"{\"a\":1,\"b\":[null,true,\"\\n\"]}").expect("JSON"));
        assert!(is_canonical(b"{").is_err());
    }

    proptest! {
        #[test]
        fn what_is_canonical_stays_so(keys in proptest::collection::btree_map("\\PC{0,8}", "\\PC{0,8}", 0..8)) {
            let bytes = to_canonical(&keys).expect("canonical");
            prop_assert!(is_canonical(&bytes).expect("JSON"));
            let again: std::collections::BTreeMap<String, String> = serde_json::from_slice(&bytes).expect("JSON");
            prop_assert_eq!(again, keys);
        }
    }
}
