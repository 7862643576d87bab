//! Numbers that people know in hexadecimal, as `"0x8086"` in JSON.

use serde::{Deserialize, Deserializer, Serializer};
use std::fmt::LowerHex;

/// Parses hexadecimal digits with or without `0x`; no sign, no more than 64 bits.
pub fn parse(text: &str) -> Option<u64> {
    let digits = text.trim();
    let digits = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
        .unwrap_or(digits);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

/// Parses as [`parse`] does, into a smaller number.
pub fn parse_as<T: TryFrom<u64>>(text: &str) -> Option<T> {
    T::try_from(parse(text)?).ok()
}

/// Writes `0x` and four digits, or six for what has more than 16 bits: a PCI class has 24.
pub fn serialize<T: LowerHex, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    let width = if size_of::<T>() > 2 { 8 } else { 6 };
    serializer.collect_str(&format_args!("{value:#0width$x}"))
}

/// Reads what [`serialize`] writes.
pub fn deserialize<'de, T: TryFrom<u64>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
    parse_as(&text).ok_or_else(|| {
        serde::de::Error::custom(format!("`{text}` is no hexadecimal number that fits here"))
    })
}

/// The same for a number that may be missing (`null`).
pub mod option {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::fmt::LowerHex;

    /// Writes `null` or what [`super::serialize`] writes.
    pub fn serialize<T: LowerHex, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads what [`serialize`] writes.
    pub fn deserialize<'de, T: TryFrom<u64>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(None);
        };
        let number = super::parse_as(&text);
        number.map(Some).ok_or_else(|| {
            serde::de::Error::custom(format!("`{text}` is no hexadecimal number that fits"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_strictly() {
        assert_eq!(parse("0x8086\n"), Some(0x8086));
        assert_eq!(parse("fF"), Some(0xff));
        assert_eq!(parse("+1"), None);
        assert_eq!(parse("0x"), None);
        assert_eq!(parse("10000000000000000"), None);
        assert_eq!(parse_as::<u16>("0x10000"), None);
    }
}
