//! Numbers that people know in hexadecimal, as `"0x8086"` in JSON.

use serde::de::{self, Visitor};
use serde::{Deserializer, Serializer};
use std::fmt::{self, LowerHex};
use std::marker::PhantomData;

/// Parses hexadecimal digits with or without `0x`; no sign, no more than 64 bits.
pub fn parse(text: &str) -> Option<u64> {
    let digits = match text.trim_ascii().as_bytes() {
        [b'0', b'x' | b'X', digits @ ..] => digits,
        digits => digits,
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &digit| {
        let digit = char::from(digit).to_digit(16)?;
        Some(number.checked_mul(16)? | u64::from(digit))
    })
}

/// The four digits of a number, as `{:04x}` writes them.
pub(crate) fn digits(number: u16) -> [u8; 4] {
    [12, 8, 4, 0].map(|shift| b"0123456789abcdef"[usize::from(number >> shift & 0xf)])
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
    deserializer.deserialize_str(Hex(PhantomData))
}

/// Reads a number from the text where it stands: a fleet has hundreds of these for each machine.
struct Hex<T>(PhantomData<T>);

impl<T: TryFrom<u64>> Visitor<'_> for Hex<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a hexadecimal number as text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        parse_as(text)
            .ok_or_else(|| E::custom(format!("`{text}` is no hexadecimal number that fits here")))
    }
}

/// The same for a number that may be missing (`null`).
pub mod option {
    use super::Hex;
    use serde::de::{self, Visitor};
    use serde::{Deserializer, Serializer};
    use std::fmt::{self, LowerHex};
    use std::marker::PhantomData;

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
        deserializer.deserialize_option(OptionalHex(PhantomData))
    }

    struct OptionalHex<T>(PhantomData<T>);

    impl<'de, T: TryFrom<u64>> Visitor<'de> for OptionalHex<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a hexadecimal number as text, or null")
        }

        fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(
            self,
            deserializer: D,
        ) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_str(Hex(PhantomData)).map(Some)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_forms() {
        #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
        struct Numbers {
            #[serde(with = "super")]
            id: u16,
            #[serde(with = "super")]
            class: u32,
            #[serde(with = "super::option", default)]
            card: Option<u16>,
        }
        let whole = Numbers {
            id: 0x8086,
            class: 0x01_0802,
            card: Some(1),
        };
        let json = r#"{"id":"0x8086","class":"0x010802","card":"0x0001"}"#;
        assert_eq!(serde_json::to_string(&whole).expect("JSON"), json);
        assert_eq!(
            serde_json::from_str::<Numbers>(json).expect("numbers"),
            whole
        );
        for none in [
            r#"{"id":"8086","class":"10802"}"#,
            r#"{"id":"8086","class":"10802","card":null}"#,
        ] {
            let read: Numbers = serde_json::from_str(none).expect("numbers");
            assert_eq!((read.id, read.class, read.card), (0x8086, 0x01_0802, None));
        }
        // An escaped digit is the same digit; it cannot be borrowed.
        let escaped = r#"{"id":"0x\u0038086","class":"0x1"}"#;
        assert_eq!(
            serde_json::from_str::<Numbers>(escaped)
                .expect("numbers")
                .id,
            0x8086
        );
        for wrong in [
            r#"{"id":"0x18086","class":"0x1"}"#,
            r#"{"id":32902,"class":"0x1"}"#,
            r#"{"id":"0x1","class":"0x1","card":"red"}"#,
            r#"{"id":"0x1","class":"0x1","card":1}"#,
        ] {
            assert!(serde_json::from_str::<Numbers>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn four_digits() {
        for number in [0, 9, 0x10d3, 0xabcd, u16::MAX] {
            assert_eq!(digits(number), format!("{number:04x}").as_bytes());
        }
    }

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
