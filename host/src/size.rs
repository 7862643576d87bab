//! Sizes as an administrator types them.

use crate::XeError;

const UNITS: [(&str, u32); 9] = [
    ("TiB", 40),
    ("GiB", 30),
    ("MiB", 20),
    ("KiB", 10),
    ("T", 40),
    ("G", 30),
    ("M", 20),
    ("K", 10),
    ("B", 0),
];

/// Bytes of `10GiB`, `512M` or `1048576`. As with XenServer, `G` and `GiB` both mean 2^30. Zero is no size.
pub fn parse(name: &str, text: &str) -> Result<u64, XeError> {
    let wrong = || {
        XeError::usage(format!(
            "{name}={text} is no size: give bytes, or a whole number with KiB, MiB, GiB or TiB"
        ))
    };
    let (digits, shift) = UNITS
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))
        .unwrap_or((text, 0));
    let number: u64 = digits.trim().parse().map_err(|_| wrong())?;
    number
        .checked_mul(1 << shift)
        .filter(|bytes| *bytes > 0 && i64::try_from(*bytes).is_ok())
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_two() {
        for (text, bytes) in [
            ("1", 1),
            ("1048576", 1 << 20),
            ("10GiB", 10 << 30),
            ("10G", 10 << 30),
            ("3 MiB", 3 << 20),
            ("2TiB", 2 << 40),
            ("5B", 5),
        ] {
            assert_eq!(parse("size", text).unwrap(), bytes, "{text}");
        }
        for text in ["", "0", "GiB", "-1", "1.5GiB", "10GB", "99999999TiB"] {
            assert!(parse("size", text).unwrap_err().usage, "{text}");
        }
    }
}
