//! A fact that may not have been readable.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{
    self, DeserializeSeed, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// A value that was read, or the reason why there is none.
///
/// A fact that could not be read is never replaced by a default: rules must see that it is unknown, and an unknown
/// never passes. In JSON a value stands for itself, what is known not to exist is `null`, and what is unknown is
/// `{"unknown": "reason"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Known<T> {
    /// It could not be read, or makes no sense.
    Unknown(Unknown),
    /// It is known that there is none: no driver is bound, the disk reports no serial number.
    Absent,
    /// What was read.
    Value(T),
}

/// Why a fact is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unknown {
    /// The reason, for a person: which file, and what went wrong.
    // Borrowed for reasons that are always the same: what facts do not mention is the default of thousands of fields.
    #[serde(rename = "unknown")]
    pub reason: Cow<'static, str>,
}

impl<T> Known<T> {
    /// A fact that could not be read, with the reason.
    pub fn unknown(reason: impl Into<Cow<'static, str>>) -> Self {
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

/// A value, `null`, or the reason.
impl<T: JsonSchema> JsonSchema for Known<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Known_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        let unknown = generator.subschema_for::<Unknown>();
        json_schema!({ "anyOf": [value, { "type": "null" }, unknown] })
    }
}

/// Written out because serde's own reading of an untagged enumeration keeps a copy of everything first, and facts of a fleet
/// hold some thousand of these for each machine.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Known<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KnownVisitor(PhantomData))
    }
}

struct KnownVisitor<T>(PhantomData<T>);

/// Hands a simple value on to `T`.
macro_rules! hand_on {
    ($($visit:ident: $kind:ty),*) => {$(
        fn $visit<E: de::Error>(self, value: $kind) -> Result<Self::Value, E> {
            T::deserialize(value.into_deserializer()).map(Known::Value)
        }
    )*};
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for KnownVisitor<T> {
    type Value = Known<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, null, or an object with the key `unknown`")
    }

    hand_on!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str, visit_string: String);

    fn visit_borrowed_str<E: de::Error>(self, value: &'de str) -> Result<Self::Value, E> {
        T::deserialize(BorrowedStrDeserializer::new(value)).map(Known::Value)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Known::Absent)
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Known::Absent)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<Self::Value, A::Error> {
        T::deserialize(SeqAccessDeserializer::new(sequence)).map(Known::Value)
    }

    /// What begins with `unknown` is a reason: no structure of the facts has a field of that name.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let first: Option<Cow<'de, str>> = map.next_key::<Key<'de>>()?.map(|key| key.0);
        if first.as_deref() == Some("unknown") {
            let reason = map.next_value()?;
            return match map.next_key::<IgnoredAny>()? {
                Some(_) => Err(de::Error::custom(
                    "an unknown fact has a reason and nothing else",
                )),
                None => Ok(Known::Unknown(Unknown { reason })),
            };
        }
        T::deserialize(MapAccessDeserializer::new(Begun { first, map })).map(Known::Value)
    }
}

/// A key, borrowed where the input allows it.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E: de::Error>(self, key: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(key)))
            }
            fn visit_str<E: de::Error>(self, key: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// An object whose first key was read already.
struct Begun<'de, A> {
    first: Option<Cow<'de, str>>,
    map: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Begun<'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        match self.first.take() {
            Some(Cow::Borrowed(key)) => seed
                .deserialize(BorrowedStrDeserializer::new(key))
                .map(Some),
            Some(Cow::Owned(key)) => seed.deserialize(key.into_deserializer()).map(Some),
            None => self.map.next_key_seed(seed),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
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
