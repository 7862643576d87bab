//! Seconds since 1970 as moments that a calendar knows.

use jiff::Timestamp;

/// The moment; none where it is past what a calendar holds.
pub fn moment(seconds: u64) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}

/// As `2027-11-22T00:00:00Z`; none as above.
pub fn shown(seconds: u64) -> Option<String> {
    moment(seconds).map(|at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_an_end() {
        // date --utc --date @1795305600 --iso-8601=seconds
        assert_eq!(
            shown(1_795_305_600).as_deref(),
            Some("2026-11-22T00:00:00Z")
        );
        assert_eq!(shown(0).as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(shown(u64::MAX), None);
        assert_eq!(moment(1 << 40), None);
    }
}
