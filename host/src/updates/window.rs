//! Maintenance windows: days of the week and hours, in the time zone of the host.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use std::fmt;

/// The days of a week as they are written, in their order.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// One window. The days are those on which it begins; one whose end is not behind its beginning ends on the next day.
///
/// Hours are those of the clock on the wall. Where that clock is put forward over a window, the window is shorter, or is none on
/// that day; where it is put back within one, it is longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    days: [bool; 7],
    from: Time,
    to: Time,
}

/// A text that is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no maintenance window; write days and hours, as `sat,sun 02:00-05:00`, `mon-fri 22:00-04:00` or `daily 01:00-04:00`"
)]
pub struct WindowError(pub String);

impl Window {
    /// Understands `sat,sun 02:00-05:00`. Without days it is every day.
    pub fn parse(text: &str) -> Result<Window, WindowError> {
        let wrong = || WindowError(text.to_owned());
        let words: Vec<&str> = text.split_whitespace().collect();
        let (days, hours) = match words[..] {
            [hours] => ([true; 7], hours),
            [days, hours] => (parse_days(days).ok_or_else(wrong)?, hours),
            _ => return Err(wrong()),
        };
        let (from, to) = hours.split_once('-').ok_or_else(wrong)?;
        Ok(Window {
            days,
            from: parse_time(from).ok_or_else(wrong)?,
            to: parse_time(to).ok_or_else(wrong)?,
        })
    }

    /// The window that begins on this day, as the moments of its beginning and of its end; none where none does.
    fn on(&self, date: Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let day = usize::try_from(date.weekday().to_monday_zero_offset()).ok()?;
        if !self.days[day] {
            return None;
        }
        let end_date = match self.to > self.from {
            true => date,
            false => date.tomorrow().ok()?,
        };
        // "Compatible" (RFC 5545): the first of two equal hours, and in a gap the time that was meant, one hour later.
        let moment = |date: Date, time: Time| {
            let time = date.to_datetime(time);
            Some(zone.to_zoned(time).ok()?.timestamp())
        };
        let (from, to) = (moment(date, self.from)?, moment(end_date, self.to)?);
        (from < to).then_some((from, to))
    }
}

fn parse_days(text: &str) -> Option<[bool; 7]> {
    if text.eq_ignore_ascii_case("daily") {
        return Some([true; 7]);
    }
    let position = |name: &str| {
        DAYS.iter()
            .position(|known| known.eq_ignore_ascii_case(name))
    };
    let mut days = [false; 7];
    for part in text.split(',') {
        match part.split_once('-') {
            None => days[position(part)?] = true,
            Some((first, last)) => {
                let (mut day, last) = (position(first)?, position(last)?);
                days[day] = true;
                // `fri-mon` goes over the end of the week.
                while day != last {
                    day = (day + 1) % 7;
                    days[day] = true;
                }
            }
        }
    }
    Some(days)
}

/// `HH:MM`; `24:00` is midnight, as the end of a day.
fn parse_time(text: &str) -> Option<Time> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| -> Option<i8> {
        let digits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().ok())?
    };
    match (number(hours)?, number(minutes)?) {
        (24, 0) => Some(Time::midnight()),
        (hours, minutes) => Time::new(hours, minutes, 0, 0).ok(),
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = DAYS
            .iter()
            .zip(self.days)
            .filter_map(|(name, on)| on.then_some(*name))
            .collect();
        let days = match names.len() {
            7 => "daily".to_owned(),
            _ => names.join(","),
        };
        let hours = |time: Time| format!("{:02}:{:02}", time.hour(), time.minute());
        write!(f, "{days} {}-{}", hours(self.from), hours(self.to))
    }
}

/// Where a moment is, seen from the windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// In one; it closes at this moment, in seconds since 1970.
    Open {
        /// The end of the window that ends last.
        until: u64,
    },
    /// In none; the next one begins at this moment. None where none begins within two weeks.
    Closed {
        /// The beginning of the next window.
        until: Option<u64>,
    },
}

/// Days that are looked ahead for the next window: a week, and another where a window falls into the gap of summer time.
const AHEAD: i64 = 15;

/// Whether one of the windows is open at `now`, in seconds since 1970. Without windows it is always open.
pub fn opening(windows: &[Window], zone: &TimeZone, now: u64) -> Opening {
    if windows.is_empty() {
        return Opening::Open { until: u64::MAX };
    }
    let closed = Opening::Closed { until: None };
    let Some(now) = crate::clock::moment(now) else {
        return closed;
    };
    let today = zone.to_datetime(now).date();
    let seconds = |at: Timestamp| u64::try_from(at.as_second()).unwrap_or(0);
    let mut open: Option<u64> = None;
    let mut next: Option<u64> = None;
    // From yesterday on: that one may end today.
    for day in -1..=AHEAD {
        let Ok(date) = today.checked_add(day.days()) else {
            continue;
        };
        for (from, to) in windows.iter().filter_map(|window| window.on(date, zone)) {
            if from <= now && now < to {
                open = open.max(Some(seconds(to)));
            } else if from > now {
                next = Some(next.map_or(seconds(from), |known| known.min(seconds(from))));
            }
        }
    }
    match open {
        Some(until) => Opening::Open { until },
        None => Opening::Closed { until: next },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Central Europe from its rule: forward on the last Sunday of March at 2:00, back on that of October at 3:00.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn at(text: &str) -> u64 {
        let at: Timestamp = text.parse().unwrap();
        at.as_second() as u64
    }

    fn windows(texts: &[&str]) -> Vec<Window> {
        texts
            .iter()
            .map(|text| Window::parse(text).unwrap())
            .collect()
    }

    fn is_open(texts: &[&str], zone: &TimeZone, now: &str) -> bool {
        matches!(
            opening(&windows(texts), zone, at(now)),
            Opening::Open { .. }
        )
    }

    fn next(texts: &[&str], zone: &TimeZone, now: &str) -> Option<u64> {
        match opening(&windows(texts), zone, at(now)) {
            Opening::Closed { until } => until,
            open => panic!("{open:?}"),
        }
    }

    #[test]
    fn windows_are_written_and_read() {
        for (text, shown) in [
            ("sat,sun 02:00-05:00", "sat,sun 02:00-05:00"),
            ("fri-mon 22:00-4:30", "mon,fri,sat,sun 22:00-04:30"),
            ("MON-Sun 1:00-2:00", "daily 01:00-02:00"),
            ("00:00-24:00", "daily 00:00-00:00"),
            ("  daily   01:00-04:00 ", "daily 01:00-04:00"),
        ] {
            let window = Window::parse(text).unwrap();
            assert_eq!(window.to_string(), shown);
            assert_eq!(Window::parse(shown).unwrap(), window);
        }
        for bad in [
            "",
            "sat",
            "sat 02:00",
            "sat 2-5",
            "sat 02:00-25:00",
            "sat 02:00-24:01",
            "sat 02:60-03:00",
            "sat 0x2:00-03:00",
            "sat 02:00:00-03:00",
            "caturday 02:00-03:00",
            "sat, 02:00-03:00",
            "sat sun 02:00-03:00",
            "sat 02:00-03:00 UTC",
            "sat -2:00-03:00",
        ] {
            assert!(Window::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn hours_are_those_of_the_host() {
        // A Saturday, in winter: one hour ahead of UTC.
        let window = ["sat 02:00-05:00"];
        for (now, open) in [
            ("2026-11-28T00:59:59Z", false),
            ("2026-11-28T01:00:00Z", true),
            ("2026-11-28T03:59:59Z", true),
            ("2026-11-28T04:00:00Z", false),
            ("2026-11-27T02:00:00Z", false),
        ] {
            assert_eq!(is_open(&window, &berlin(), now), open, "{now}");
        }
        assert!(is_open(&window, &TimeZone::UTC, "2026-11-28T04:30:00Z"));
        let monday = "2026-11-23T12:00:00Z";
        assert_eq!(
            next(&window, &berlin(), monday),
            Some(at("2026-11-28T01:00:00Z"))
        );
        assert_eq!(
            opening(&windows(&window), &berlin(), at("2026-11-28T02:00:00Z")),
            Opening::Open {
                until: at("2026-11-28T04:00:00Z")
            }
        );
    }

    #[test]
    fn over_midnight_the_day_is_that_of_the_beginning() {
        let window = ["fri 22:00-04:00"];
        for (now, open) in [
            ("2026-11-27T21:30:00Z", true),
            ("2026-11-28T02:30:00Z", true),
            ("2026-11-28T03:00:00Z", false),
            // Friday before dawn belongs to Thursday's, which there is none of.
            ("2026-11-27T01:00:00Z", false),
        ] {
            assert_eq!(is_open(&window, &berlin(), now), open, "{now}");
        }
        assert!(is_open(
            &["sat 00:00-24:00"],
            &berlin(),
            "2026-11-28T22:59:59Z"
        ));
        assert!(!is_open(
            &["sat 00:00-24:00"],
            &berlin(),
            "2026-11-28T23:00:00Z"
        ));
    }

    #[test]
    fn the_hour_that_is_skipped_in_spring() {
        // 2026-03-29, Sunday: at 01:00 UTC the clock goes from 02:00 to 03:00.
        let window = ["sun 01:00-04:00"];
        for (now, open) in [
            ("2026-03-28T23:59:59Z", false),
            ("2026-03-29T00:00:00Z", true),
            ("2026-03-29T01:59:59Z", true),
            ("2026-03-29T02:00:00Z", false),
        ] {
            assert_eq!(is_open(&window, &berlin(), now), open, "{now}");
        }
        // One that lies in that hour alone is none on this day, and there again a week later.
        let skipped = ["sun 02:00-03:00"];
        for hour in 0..5 {
            assert!(!is_open(
                &skipped,
                &berlin(),
                &format!("2026-03-29T0{hour}:00:00Z")
            ));
        }
        assert_eq!(
            next(&skipped, &berlin(), "2026-03-29T00:00:00Z"),
            Some(at("2026-04-05T00:00:00Z"))
        );
        // One that begins in it begins an hour later by the clock, which is the moment that was meant.
        assert!(!is_open(
            &["sun 02:30-04:00"],
            &berlin(),
            "2026-03-29T01:29:59Z"
        ));
        assert!(is_open(
            &["sun 02:30-04:00"],
            &berlin(),
            "2026-03-29T01:30:00Z"
        ));
        assert!(!is_open(
            &["sun 02:30-04:00"],
            &berlin(),
            "2026-03-29T02:00:00Z"
        ));
    }

    #[test]
    fn the_hour_that_comes_twice_in_autumn() {
        // 2026-10-25, Sunday: at 01:00 UTC the clock goes from 03:00 back to 02:00.
        let window = ["sun 02:00-03:00"];
        for (now, open) in [
            ("2026-10-24T23:59:59Z", false),
            ("2026-10-25T00:00:00Z", true),
            ("2026-10-25T01:30:00Z", true),
            ("2026-10-25T02:00:00Z", false),
        ] {
            assert_eq!(is_open(&window, &berlin(), now), open, "{now}");
        }
    }

    #[test]
    fn several_windows_and_none() {
        let both = ["sat 01:00-02:00", "sat 01:30-06:00"];
        assert_eq!(
            opening(&windows(&both), &TimeZone::UTC, at("2026-11-28T01:40:00Z")),
            Opening::Open {
                until: at("2026-11-28T06:00:00Z")
            }
        );
        assert_eq!(
            next(&both, &TimeZone::UTC, "2026-11-28T00:00:00Z"),
            Some(at("2026-11-28T01:00:00Z"))
        );
        assert_eq!(
            opening(&[], &TimeZone::UTC, 0),
            Opening::Open { until: u64::MAX }
        );
        // No year that a clock can show makes it panic.
        for now in [0, u64::MAX, at("9999-12-30T00:00:00Z")] {
            let _ = opening(&windows(&both), &berlin(), now);
        }
    }
}
