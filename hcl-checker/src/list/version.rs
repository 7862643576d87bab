//! Versions of drivers and firmware, as far as an entry tells which ones it is about.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;

/// Which versions are meant. All that is given must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// The oldest one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// The first one that is too new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<String>,
    /// These alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exact: Vec<String>,
}

impl Versions {
    /// Whether a version is meant; none where it cannot be compared with those that are named.
    pub fn hold(&self, is: &str) -> Option<bool> {
        if !self.exact.is_empty() {
            let is = number(is);
            return Some(self.exact.iter().any(|exact| number(exact) == is));
        }
        let old_enough = match &self.below {
            Some(below) => compare(is, below)? == Ordering::Less,
            None => true,
        };
        let new_enough = match &self.min {
            Some(min) => compare(is, min)? != Ordering::Less,
            None => true,
        };
        Some(old_enough && new_enough)
    }

    /// Why no version can fit, or all of them do.
    pub fn problem(&self) -> Option<&'static str> {
        let mut named = self.min.iter().chain(&self.below).chain(&self.exact);
        if named.any(|version| parts(version).is_empty()) {
            return Some("names a version without letters and digits");
        }
        match (&self.min, &self.below) {
            (None, None) if self.exact.is_empty() => Some("names no version"),
            (None, None) => None,
            _ if !self.exact.is_empty() => Some("names both single versions and a range"),
            (Some(min), Some(below)) if compare(min, below) != Some(Ordering::Less) => {
                Some("names an empty range of versions, or ends that cannot be compared")
            }
            _ => None,
        }
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.exact.is_empty() {
            return f.write_str(&self.exact.join(" or "));
        }
        match (&self.min, &self.below) {
            (Some(min), Some(below)) => write!(f, "{min} or newer, before {below}"),
            (Some(min), None) => write!(f, "{min} or newer"),
            (None, Some(below)) => write!(f, "older than {below}"),
            (None, None) => f.write_str("any"),
        }
    }
}

/// Compares as people do: numbers by value, and what comes first weighs most. Of `6.01 0x8000354e 1.1747.0` and
/// `218.0.219.0/pkg 21.80` the first word counts: drivers add the version of a package behind it. Letters are the name of a
/// series: versions of different series (`A.1` and `B.1`) cannot be compared. What follows in letters, a
/// build of that version (`6.12.1+deb13`), counts for nothing.
pub(super) fn compare(a: &str, b: &str) -> Option<Ordering> {
    let (a, b) = (parts(a), parts(b));
    if a.is_empty() || b.is_empty() {
        return None;
    }
    for (a, b) in a.iter().zip(&b) {
        match (a, b) {
            (Part::Number(a), Part::Number(b)) => match (a.len(), a).cmp(&(b.len(), b)) {
                Ordering::Equal => {}
                other => return Some(other),
            },
            (Part::Series(a), Part::Series(b)) if a.eq_ignore_ascii_case(b) => {}
            _ => return None,
        }
    }
    // The shorter one ends here; a longer one that goes on with numbers other than 0 is newer.
    let counts = |rest: &[Part<'_>]| {
        let numbers = rest
            .iter()
            .take_while(|part| matches!(part, Part::Number(_)));
        numbers.filter(|part| **part != Part::Number("")).count() > 0
    };
    let shorter = a.len().min(b.len());
    Some(counts(&a[shorter..]).cmp(&counts(&b[shorter..])))
}

/// A run of digits, without leading zeros, or of letters.
#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    Number(&'a str),
    Series(&'a str),
}

/// The first word.
fn number(text: &str) -> &str {
    let end = |c: char| c.is_whitespace() || matches!(c, '/' | '(' | ',');
    text.trim().split(end).next().unwrap_or_default()
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let mut rest = number(text);
    let mut parts = Vec::new();
    while let Some(first) = rest.chars().next() {
        let same: fn(char) -> bool = if first.is_ascii_digit() {
            |c| c.is_ascii_digit()
        } else if first.is_alphabetic() {
            |c| c.is_alphabetic()
        } else {
            |c| !c.is_alphabetic() && !c.is_ascii_digit()
        };
        let end = rest.find(|c| !same(c)).unwrap_or(rest.len());
        let (run, behind) = rest.split_at(end);
        if first.is_ascii_digit() {
            parts.push(Part::Number(run.trim_start_matches('0')));
        } else if first.is_alphabetic() {
            parts.push(Part::Series(run));
        }
        rest = behind;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_count_by_value() {
        use Ordering::{Equal, Greater, Less};
        for (a, b, expected) in [
            ("4.0", "3.102.517.703", Some(Greater)),
            ("2.9.0", "2.10.0", Some(Less)),
            ("6.01 0x8000354e 1.1747.0", "6.1", Some(Equal)),
            ("218.0.219.0/pkg 21.80.16.95", "218.0.220", Some(Less)),
            ("16.35.2000 (MT_0000000012)", "16.35.2000", Some(Equal)),
            ("6.12.118+deb13-amd64", "6.12.90", Some(Greater)),
            ("6.12.118+deb13-amd64", "6.12.118", Some(Equal)),
            ("1.2", "1.2.0", Some(Equal)),
            ("1.2", "1.2.1", Some(Less)),
            ("U30 v2.1", "U46", Some(Less)),
            ("A.1", "B.1", None),
            ("1.2", "v1.2", None),
            ("", "1", None),
            ("...", "1", None),
            // More digits than any integer has.
            (
                "123456789012345678901234567890",
                "123456789012345678901234567891",
                Some(Less),
            ),
        ] {
            assert_eq!(compare(a, b), expected, "{a} and {b}");
            assert_eq!(
                compare(b, a),
                expected.map(Ordering::reverse),
                "{b} and {a}"
            );
        }
    }

    fn versions(min: Option<&str>, below: Option<&str>, exact: &[&str]) -> Versions {
        Versions {
            min: min.map(str::to_owned),
            below: below.map(str::to_owned),
            exact: exact.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn ranges_and_single_ones() {
        let range = versions(Some("2.0"), Some("3"), &[]);
        let held = ["1.9", "2.0", "2.99", "3.0", "x"].map(|is| range.hold(is));
        assert_eq!(
            held,
            [Some(false), Some(true), Some(true), Some(false), None]
        );
        assert_eq!(range.to_string(), "2.0 or newer, before 3");
        let single = versions(None, None, &["HPD8", "HPD9"]);
        assert_eq!(
            ["HPD8", "HPD9 ", "HPD7"].map(|is| single.hold(is)),
            [Some(true), Some(true), Some(false)]
        );
        assert_eq!(single.to_string(), "HPD8 or HPD9");
        for sound in [&range, &single, &versions(Some("1"), None, &[])] {
            assert_eq!(sound.problem(), None, "{sound}");
        }
        for wrong in [
            versions(None, None, &[]),
            versions(Some("2"), Some("2"), &[]),
            versions(Some("A1"), Some("B2"), &[]),
            versions(Some("1"), None, &["2"]),
            versions(Some("-"), None, &[]),
            versions(None, None, &[""]),
        ] {
            assert!(wrong.problem().is_some(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_compared_or_not(a in "\\PC{0,20}", b in "[0-9a-z. ]{0,20}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).map(Ordering::reverse));
        }

        #[test]
        fn equal_to_itself(a in "[a-z]{0,2}[0-9]{1,3}(\\.[0-9]{1,3}){0,3}") {
            prop_assert_eq!(compare(&a, &a), Some(Ordering::Equal));
        }
    }
}
