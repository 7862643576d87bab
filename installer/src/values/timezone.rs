//! Time zones.

use super::ValueError;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A time zone by its name in the tz database: `Europe/Berlin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Timezone(String);

/// The zone names that are known here; none when the database is not installed, and then only the shape is checked.
#[derive(Debug, Clone, Default)]
pub struct Zones(BTreeSet<String>);

impl Zones {
    /// Reads the names from `dir`, usually `/usr/share/zoneinfo`: lines `Z name ...` and `L target name` of
    /// `tzdata.zi`. No such file: no names.
    pub fn read(dir: &Path) -> Self {
        let text = fs::read_to_string(dir.join("tzdata.zi")).unwrap_or_default();
        Self::from_tzdata(&text)
    }

    /// The names in the text of a `tzdata.zi`.
    pub fn from_tzdata(text: &str) -> Self {
        let names = text.lines().filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("Z") => words.next(),
                Some("L") => words.nth(1),
                _ => None,
            }
        });
        Zones(names.map(str::to_owned).collect())
    }

    /// Known names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl Timezone {
    /// Coordinated universal time, which every installation has.
    pub fn utc() -> Self {
        Timezone("Etc/UTC".into())
    }

    /// Checks `text` against `zones`, or only its shape when no zones are known.
    pub fn parse(text: &str, zones: &Zones) -> Result<Self, ValueError> {
        // The name becomes the target of a symbolic link: it must not leave the database.
        let part_ok = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_+-".contains(&b))
        };
        let shaped = !text.is_empty() && text.split('/').all(part_ok);
        if shaped && (zones.0.is_empty() || zones.0.contains(text)) {
            return Ok(Timezone(text.to_owned()));
        }
        let near = zones.0.iter().map(|zone| {
            (
                strsim::jaro_winkler(&zone.to_lowercase(), &text.to_lowercase()),
                zone,
            )
        });
        let near = near
            .filter(|(score, _)| *score > 0.85)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let advice = match near {
            Some((_, zone)) => format!("did you mean `{zone}`?"),
            None => "write a name of the tz database, for example `Europe/Berlin` or `Etc/UTC`"
                .to_owned(),
        };
        Err(ValueError::new("is not a known time zone", advice))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TZDATA: &str = "# version 2026b\nR E 1 2 o - O 1 1 0 -\nZ Europe/Berlin 0:53:28 - LMT 1893 Ap\n1 c CE%sT 1945\nL Etc/UTC UTC\nZ Etc/UTC 0 - UTC\n";

    #[test]
    fn known_zones_and_links() {
        let zones = Zones::from_tzdata(TZDATA);
        assert_eq!(
            zones.names().collect::<Vec<_>>(),
            ["Etc/UTC", "Europe/Berlin", "UTC"]
        );
        assert!(Timezone::parse("UTC", &zones).is_ok());
        let error = Timezone::parse("Europe/Berlim", &zones).unwrap_err();
        assert_eq!(error.advice, "did you mean `Europe/Berlin`?");
    }

    #[test]
    fn without_a_database_the_shape_counts() {
        let none = Zones::default();
        assert!(Timezone::parse("America/Argentina/Ushuaia", &none).is_ok());
        for bad in [
            "",
            "/etc/passwd",
            "../../etc/passwd",
            "Europe/",
            "Europe/Ber lin",
            "./UTC",
        ] {
            assert!(Timezone::parse(bad, &none).is_err(), "{bad:?} was taken");
        }
    }
}
