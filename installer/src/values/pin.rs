//! Pins: which key a server must have.

use super::ValueError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// SHA-256 of the public key of a server, `sha256//BASE64=`, as curl's `--pinnedpubkey` takes it. Trust in place of a
/// certificate authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin(String);

impl Pin {
    /// Checks the form.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let hash = text
            .strip_prefix("sha256//")
            .and_then(|hash| STANDARD.decode(hash).ok());
        if hash.is_some_and(|hash| hash.len() == 32) {
            return Ok(Pin(text.to_owned()));
        }
        Err(ValueError::new(
            "is no pin",
            "write `sha256//` and 44 characters of base64; docs/answers.md has the command that prints it",
        ))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_hash_is_a_pin() {
        let good = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        assert_eq!(Pin::parse(good).unwrap().to_string(), good);
        for bad in [
            "",
            "sha256//",
            "sha256//AAAA",
            &good[8..],
            "sha256//\"x",
            &format!("{good};{good}"),
        ] {
            assert!(Pin::parse(bad).is_err(), "{bad}");
        }
    }
}
