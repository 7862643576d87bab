//! License tokens.

use super::ValueError;
use std::fmt;

const ADVICE: &str = "put the whole token here, one line that starts with `v4.public.`";
/// License, and activation records of a site with a thousand hosts.
const LONGEST: usize = license::MAX_FILE;

/// A license token as it was issued. Its signature is checked where the keys are. A secret: it is never serialized, and
/// `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct LicenseToken(String);

impl LicenseToken {
    /// Checks the form. Blanks and line breaks in the text, as mail programs put them there, are left out.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let token: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        // base64url and dots: PASETO, version 4, section "message format".
        let is_fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if !token.starts_with("v4.public.") || !token.chars().all(is_fine) {
            return Err(ValueError::new("is no license token", ADVICE));
        }
        if token.len() > LONGEST {
            return Err(ValueError::new("is longer than any license token", ADVICE));
        }
        Ok(LicenseToken(token))
    }

    /// The token, for the host's file and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LicenseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LicenseToken(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_form_of_a_token_is_taken_and_debug_hides_it() {
        let token = LicenseToken::parse(" v4.public.ab-_\r\n.cd ").unwrap();
        assert_eq!(token.expose(), "v4.public.ab-_.cd");
        assert!(!format!("{token:?}").contains("ab"));
        for bad in ["", "v4.local.abc", "v4.public.a:b", "v4.public.\u{e9}"] {
            let error = LicenseToken::parse(bad).unwrap_err();
            assert!(error.advice.contains("v4.public."), "{bad}");
        }
        assert!(LicenseToken::parse(&format!("v4.public.{}", "a".repeat(LONGEST))).is_err());
    }
}
