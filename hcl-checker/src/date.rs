//! Days of the calendar: when an entry was made and until when it holds.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::SystemTime;

/// A day, written `2026-11-22`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// Reads `YYYY-MM-DD`; a day that does not exist is none.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |part: &str, width: usize| -> Option<u16> {
            let digits = part.len() == width && part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse().ok().filter(|_| digits)
        };
        let mut parts = text.split('-');
        let year = number(parts.next()?, 4)?;
        let month = u8::try_from(number(parts.next()?, 2)?).ok()?;
        let day = u8::try_from(number(parts.next()?, 2)?).ok()?;
        let exists = parts.next().is_none() && (1..=days_of(year, month)).contains(&day);
        exists.then_some(Self { year, month, day })
    }

    /// Today, in UTC.
    pub fn today() -> Self {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Self::from_days(since.as_secs() / 86_400)
    }

    /// Days since 1970-01-01. Past the year 9999 it stays there.
    pub(crate) fn from_days(mut days: u64) -> Self {
        for year in 1970..=9999 {
            for month in 1..=12 {
                let length = u64::from(days_of(year, month));
                if days < length {
                    return Self {
                        year,
                        month,
                        day: days as u8 + 1,
                    };
                }
                days -= length;
            }
        }
        Self {
            year: 9999,
            month: 12,
            day: 31,
        }
    }
}

/// Days of a month, 0 where there is no such month.
fn days_of(year: u16, month: u8) -> u8 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl TryFrom<String> for Date {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("`{text}` is no day like \"2026-11-22\""))
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_days_that_exist() {
        assert_eq!(
            Date::parse("2024-02-29")
                .map(|date| date.to_string())
                .as_deref(),
            Some("2024-02-29")
        );
        for wrong in [
            "2023-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-1-01",
            "2026-01-01-",
            "+026-01-01",
            "",
        ] {
            assert_eq!(Date::parse(wrong), None, "{wrong}");
        }
        assert!(Date::parse("2026-11-22") > Date::parse("2026-09-30"));
    }

    #[test]
    fn counts_days() {
        assert_eq!(Date::from_days(0).to_string(), "1970-01-01");
        assert_eq!(Date::from_days(19_782).to_string(), "2024-02-29");
        assert_eq!(Date::from_days(u64::MAX).to_string(), "9999-12-31");
    }

    proptest! {
        #[test]
        fn never_panics(text in "[0-9\\-]{0,12}|\\PC{0,12}") {
            if let Some(date) = Date::parse(&text) {
                prop_assert_eq!(date.to_string(), text);
            }
        }
    }
}
