//! A PCI class, as far as an entry tells it.

use serde::{Deserialize, Serialize};

/// `"01"` (storage), `"0108"` (non-volatile memory) or `"010802"` (NVMe).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClassCode {
    /// The digits that are given, as a number.
    value: u32,
    /// How many: 2, 4 or 6.
    digits: u8,
}

impl ClassCode {
    /// Reads two, four or six hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits =
            matches!(text.len(), 2 | 4 | 6) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = u32::from_str_radix(text, 16).ok().filter(|_| digits)?;
        Some(Self {
            value,
            digits: text.len() as u8,
        })
    }

    /// Whether a function's class (24 bits) is of this one.
    pub fn contains(self, class: u32) -> bool {
        class >> (4 * (6 - u32::from(self.digits))) == self.value
    }

    /// The first class of it: what is not given is 0.
    pub fn lowest(self) -> u32 {
        self.value << (4 * (6 - u32::from(self.digits)))
    }

    /// How many digits are given; more are more specific.
    pub fn digits(self) -> u8 {
        self.digits
    }
}

impl TryFrom<String> for ClassCode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
            .ok_or_else(|| format!("`{text}` is no PCI class like \"01\", \"0108\" or \"010802\""))
    }
}

impl From<ClassCode> for String {
    fn from(code: ClassCode) -> Self {
        format!("{:0width$x}", code.value, width = usize::from(code.digits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contains_its_classes() {
        let contains = |text: &str, class: u32| ClassCode::parse(text).expect(text).contains(class);
        assert!(
            contains("01", 0x01_0802)
                && contains("0108", 0x01_0802)
                && contains("010802", 0x01_0802)
        );
        assert!(
            !contains("02", 0x01_0802)
                && !contains("010801", 0x01_0802)
                && !contains("00", 0x01_0802)
        );
        assert!(
            ClassCode::parse("1").is_none()
                && ClassCode::parse("+1").is_none()
                && ClassCode::parse("").is_none()
        );
        assert_eq!(
            String::from(ClassCode::parse("0108").expect("class")),
            "0108"
        );
    }
}
