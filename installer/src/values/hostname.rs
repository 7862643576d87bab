//! Host names.

use super::ValueError;
use serde::Serialize;
use std::fmt;

/// A host name that Linux, DNS and every tool on the host accept.
///
/// RFC 1123 labels; 64 characters at most, which is Linux's limit (`HOST_NAME_MAX`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Hostname(String);

impl Hostname {
    /// Checks `text`; upper case is made lower case, as DNS does not tell them apart.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        const ADVICE: &str =
            "use letters, digits and hyphens, for example `xen1` or `xen1.example.org`";
        if text.is_empty() {
            return Err(ValueError::new("is empty", ADVICE));
        }
        if text.len() > 64 {
            return Err(ValueError::new(
                format!("has {} characters; Linux allows 64", text.len()),
                ADVICE,
            ));
        }
        for label in text.split('.') {
            if label.is_empty() {
                return Err(ValueError::new(
                    "has an empty part (a dot too many)",
                    ADVICE,
                ));
            }
            if label.len() > 63 {
                return Err(ValueError::new(
                    "has a part longer than 63 characters",
                    ADVICE,
                ));
            }
            if let Some(bad) = label
                .chars()
                .find(|c| !c.is_ascii_alphanumeric() && *c != '-')
            {
                return Err(ValueError::new(format!("contains {bad:?}"), ADVICE));
            }
            if label.starts_with('-') || label.ends_with('-') {
                return Err(ValueError::new(
                    "has a part that starts or ends with a hyphen",
                    ADVICE,
                ));
            }
        }
        let lower = text.to_ascii_lowercase();
        if lower == "localhost" || lower.starts_with("localhost.") {
            return Err(ValueError::new(
                "is a name that every machine has for itself",
                ADVICE,
            ));
        }
        if lower.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Err(ValueError::new(
                "would be taken for a number or an address",
                ADVICE,
            ));
        }
        Ok(Hostname(lower))
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first label.
    pub fn short(&self) -> &str {
        self.0.split('.').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_and_domains() {
        assert_eq!(
            Hostname::parse("Xen1.Example.org").unwrap().as_str(),
            "xen1.example.org"
        );
        assert_eq!(Hostname::parse("xen1.example.org").unwrap().short(), "xen1");
        assert_eq!(Hostname::parse(&"a".repeat(63)).unwrap().as_str().len(), 63);
    }

    #[test]
    fn refuses_what_breaks_hosts() {
        for bad in [
            "",
            "a b",
            "-a",
            "a-",
            "a..b",
            "a.",
            "localhost",
            "LOCALHOST.localdomain",
            "10.0.0.1",
            "42",
            "ä",
            "a\nb",
        ] {
            assert!(Hostname::parse(bad).is_err(), "{bad:?} was taken");
        }
        assert!(Hostname::parse(&"a".repeat(64)).is_err());
        assert!(Hostname::parse(&format!("{}.b.c", "a".repeat(62))).is_err());
    }
}
