//! Times for people and reports.

use crate::date::Date;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970 by the machine's clock; 0 where it is set to a time before that.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// `2026-11-25T21:08:27Z` (RFC 3339), from seconds since 1970.
pub fn stamp(unix: u64) -> String {
    let date = Date::from_days(unix / 86_400);
    let second = unix % 86_400;
    format!(
        "{date}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// `2 min 05 s`, `1 h 03 min`.
pub(super) fn spoken(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_and_machines_write_them() {
        assert_eq!(stamp(0), "1970-01-01T00:00:00Z");
        // `date -u -d 2024-02-29T23:59:59Z +%s`
        assert_eq!(stamp(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(
            [spoken(59), spoken(125), spoken(3780)],
            ["59 s", "2 min 05 s", "1 h 03 min"]
        );
    }
}
