//! Tokens by which a server knows who sends.

use super::ValueError;
use std::fmt;

/// A bearer token. A secret: never serialized, and `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(String);

impl BearerToken {
    /// Checks the form: `b64token` of RFC 6750, section 2.1.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let body = text.trim_end_matches('=');
        let fine = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
        if body.is_empty() || text.len() > 4096 || !body.chars().all(fine) {
            return Err(ValueError::new(
                "is no bearer token",
                "write the token alone, without `Bearer` before it: letters, digits and -._~+/=",
            ));
        }
        Ok(BearerToken(text.to_owned()))
    }

    /// The token, for the header and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tokens_are_taken_and_debug_hides_them() {
        let token = BearerToken::parse("ab-._~+/==").unwrap();
        assert!(!format!("{token:?}").contains("ab"));
        for bad in ["", "==", "a b", "Bearer x", "a\"b", "a\nb"] {
            assert!(BearerToken::parse(bad).is_err(), "{bad:?}");
        }
    }
}
