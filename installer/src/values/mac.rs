//! MAC addresses and interface names.

use super::ValueError;
use serde::{Serialize, Serializer};
use std::fmt;

/// A MAC address of one interface, shown as `aa:bb:cc:dd:ee:ff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mac([u8; 6]);

impl Mac {
    /// Reads `aa:bb:cc:dd:ee:ff` or `aa-bb-cc-dd-ee-ff`; group addresses and all zeros are refused.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let wrong = |message: &str| {
            ValueError::new(
                message,
                "write six pairs of hexadecimal digits, for example `52:54:00:12:34:56`",
            )
        };
        let separator = if text.contains('-') { '-' } else { ':' };
        let parts: Vec<&str> = text.split(separator).collect();
        let mut bytes = [0u8; 6];
        if parts.len() != 6 {
            return Err(wrong("is not a MAC address"));
        }
        for (byte, part) in bytes.iter_mut().zip(parts) {
            let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
            *byte = match u8::from_str_radix(part, 16) {
                Ok(value) if digits => value,
                _ => return Err(wrong("is not a MAC address")),
            };
        }
        if bytes[0] & 1 == 1 {
            return Err(wrong("is a group address, which no interface has"));
        }
        if bytes == [0; 6] {
            return Err(wrong("is all zeros"));
        }
        Ok(Mac(bytes))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Checks that `text` can be the name of a network interface (Linux `dev_valid_name`: 15 bytes, no slash, colon or
/// space).
pub fn check_interface_name(text: &str) -> Result<(), ValueError> {
    let bad = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control() || c == '%';
    if text.is_empty() || text.len() > 15 || text == "." || text == ".." || text.contains(bad) {
        return Err(ValueError::new(
            "is neither the name of an interface nor a MAC address",
            "write a name such as `eno1` or a MAC address such as `52:54:00:12:34:56`",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_separators() {
        assert_eq!(
            Mac::parse("52-54-00-AB-cd-01").unwrap().to_string(),
            "52:54:00:ab:cd:01"
        );
    }

    #[test]
    fn refuses_what_no_interface_has() {
        for bad in [
            "",
            "52:54:00:ab:cd",
            "52:54:00:ab:cd:1",
            "52:54:00:ab:cd:+1",
            "ff:ff:ff:ff:ff:ff",
            "00:00:00:00:00:00",
        ] {
            assert!(Mac::parse(bad).is_err(), "{bad:?} was taken");
        }
    }
}
