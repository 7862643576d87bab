//! A fact that may not have been readable.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A value that was read, or the reason why there is none.
///
/// A fact that could not be read is never replaced by a default: rules must see that it is unknown, and an unknown
/// never passes. In JSON a value stands for itself, what is known not to exist is `null`, and what is unknown is
/// `{"unknown": "reason"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Known<T> {
    /// It could not be read, or makes no sense.
    // Tried first when reading JSON: a structure whose fields all have defaults would take this object as well.
    Unknown(Unknown),
    /// It is known that there is none: no driver is bound, the disk reports no serial number.
    Absent,
    /// What was read.
    Value(T),
}

/// Why a fact is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unknown {
    /// The reason, for a person: which file, and what went wrong.
    #[serde(rename = "unknown")]
    pub reason: String,
}

impl<T> Known<T> {
    /// A fact that could not be read, with the reason.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown(Unknown {
            reason: reason.into(),
        })
    }

    /// The value, where there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Unknown(_) => None,
        }
    }

    /// The reason, where the fact is unknown.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Unknown(unknown) => Some(&unknown.reason),
            Self::Absent | Self::Value(_) => None,
        }
    }

    /// Nothing is known, not even that there is none.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// The value put through `convert`.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Known<U> {
        match self {
            Self::Value(value) => Known::Value(convert(value)),
            Self::Absent => Known::Absent,
            Self::Unknown(unknown) => Known::Unknown(unknown),
        }
    }

    /// The value put through `convert`, which may find that it is none.
    pub fn and_then<U>(self, convert: impl FnOnce(T) -> Known<U>) -> Known<U> {
        match self {
            Self::Value(value) => convert(value),
            Self::Absent => Known::Absent,
            Self::Unknown(unknown) => Known::Unknown(unknown),
        }
    }

    /// This, or where it has no value the other, where that has one. The first reason is kept otherwise.
    pub fn or(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Value(_) => self,
            Self::Absent | Self::Unknown(_) => match other() {
                Self::Value(value) => Self::Value(value),
                Self::Absent | Self::Unknown(_) => self,
            },
        }
    }
}

impl<T> Default for Known<T> {
    /// What a facts file does not mention was not read.
    fn default() -> Self {
        Self::unknown("not in these facts")
    }
}

impl<T, E: fmt::Display> From<Result<T, E>> for Known<T> {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => Self::Value(value),
            Err(error) => Self::unknown(error.to_string()),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Known<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => value.fmt(f),
            Self::Absent => f.write_str("none"),
            Self::Unknown(unknown) => write!(f, "unknown ({})", unknown.reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(default)]
    struct Lenient {
        size: Known<u64>,
    }

    fn round_trip<T>(known: Known<T>, json: &str)
    where
        T: Serialize + for<'a> Deserialize<'a> + PartialEq + fmt::Debug,
    {
        assert_eq!(serde_json::to_string(&known).expect("serialize"), json);
        assert_eq!(
            serde_json::from_str::<Known<T>>(json).expect("deserialize"),
            known
        );
    }

    #[test]
    fn json_forms() {
        round_trip(Known::Value("x".to_owned()), "\"x\"");
        round_trip(Known::Value(u64::MAX), "18446744073709551615");
        round_trip(Known::<String>::Absent, "null");
        round_trip(Known::<String>::unknown("why"), "{\"unknown\":\"why\"}");
        round_trip(
            Known::Value(Lenient {
                size: Known::Value(1),
            }),
            "{\"size\":1}",
        );
        round_trip(Known::<Lenient>::unknown("why"), "{\"unknown\":\"why\"}");
    }

    #[test]
    fn what_is_not_mentioned_is_unknown() {
        let lenient: Lenient = serde_json::from_str("{}").expect("deserialize");
        assert!(lenient.size.is_unknown());
    }

    #[test]
    fn the_first_reason_is_kept() {
        let first = Known::<u8>::unknown("first");
        assert_eq!(
            first.clone().or(|| Known::unknown("second")).reason(),
            Some("first")
        );
        assert_eq!(first.clone().or(|| Known::Absent).reason(), Some("first"));
        assert_eq!(first.or(|| Known::Value(2)), Known::Value(2));
        assert_eq!(Known::Value(1).or(|| Known::Value(2)), Known::Value(1));
    }
}
