//! Host names with facts in them.

use super::{Hostname, ValueError};
use std::fmt;

/// What a pattern may hold.
const FACTS: [&str; 4] = ["serial", "mac", "asset_tag", "uuid"];

/// A host name that may hold facts in braces: `xen-{serial}.example.org`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostnamePattern(String);

impl HostnamePattern {
    /// Checks everything that can be checked without the machine.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let pattern = HostnamePattern(text.to_owned());
        let mut unknown = false;
        let sample = pattern.fill(|name| {
            unknown |= !FACTS.contains(&name);
            Some("x".to_owned())
        });
        if unknown || sample.as_ref().is_ok_and(|name| name.contains(['{', '}'])) {
            return Err(ValueError::new(
                "has something in braces that is no fact",
                format!(
                    "possible are {}",
                    FACTS.map(|name| format!("`{{{name}}}`")).join(", ")
                ),
            ));
        }
        Hostname::parse(&sample.unwrap_or_default())?;
        Ok(pattern)
    }

    /// The name on a machine. `fact` gives the value of a fact, or none where the machine has none.
    ///
    /// # Errors
    /// The machine lacks a fact, or the name that comes out is none; the text says which.
    pub fn resolve(&self, fact: impl FnMut(&str) -> Option<String>) -> Result<Hostname, String> {
        let text = self.fill(fact).map_err(|missing| {
            format!("the host name needs the {missing}, which this machine does not tell")
        })?;
        Hostname::parse(&text).map_err(|error| {
            format!(
                "the host name comes out as `{text}`, which {}",
                error.message
            )
        })
    }

    /// The text with facts in place of their names; what no host name may hold becomes a hyphen.
    fn fill(&self, mut fact: impl FnMut(&str) -> Option<String>) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = self.0.as_str();
        while let Some((before, behind)) = rest.split_once('{') {
            let Some((name, tail)) = behind.split_once('}') else {
                break;
            };
            out.push_str(before);
            let value = fact(name).ok_or_else(|| name.replace('_', " "))?;
            let clean: String = value
                .trim()
                .chars()
                .filter(|c| *c != ':')
                .map(|c| {
                    if c.is_ascii_alphanumeric() {
                        c.to_ascii_lowercase()
                    } else {
                        '-'
                    }
                })
                .collect();
            out.push_str(clean.trim_matches('-'));
            rest = tail;
        }
        out.push_str(rest);
        Ok(out)
    }
}

impl From<Hostname> for HostnamePattern {
    fn from(name: Hostname) -> Self {
        HostnamePattern(name.to_string())
    }
}

impl fmt::Display for HostnamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(name: &str) -> Option<String> {
        match name {
            "serial" => Some("CZ 2D/41 ".into()),
            "mac" => Some("52:54:00:aB:cd:01".into()),
            _ => None,
        }
    }

    #[test]
    fn facts_become_parts_of_a_name() {
        let name = |text: &str| HostnamePattern::parse(text).unwrap().resolve(facts);
        assert_eq!(
            name("Xen1.example.org").unwrap().as_str(),
            "xen1.example.org"
        );
        assert_eq!(
            name("xen-{serial}.example.org").unwrap().as_str(),
            "xen-cz-2d-41.example.org"
        );
        assert_eq!(name("x{mac}").unwrap().as_str(), "x525400abcd01");
        assert!(name("x-{asset_tag}").unwrap_err().contains("asset tag"));
    }

    #[test]
    fn bad_patterns_are_refused_without_a_machine() {
        for bad in [
            "{seriel}",
            "x{}",
            "x{serial",
            "serial}",
            "a b{serial}",
            "",
            "{{serial}}",
        ] {
            assert!(HostnamePattern::parse(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_fact_that_makes_no_name_is_told() {
        let long = HostnamePattern::parse("xen-{serial}")
            .unwrap()
            .resolve(|_| Some("9".repeat(80)));
        assert!(long.unwrap_err().contains("64"));
        let only = HostnamePattern::parse("{serial}")
            .unwrap()
            .resolve(|_| Some("..".into()));
        assert!(only.is_err());
    }
}
