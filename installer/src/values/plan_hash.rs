//! Hashes of plans.

use super::ValueError;
use std::fmt;

/// The hash of a plan, as `installer plan` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanHash(String);

impl PlanHash {
    /// SHA-256 in hexadecimal.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(PlanHash(text.to_ascii_lowercase()));
        }
        Err(ValueError::new(
            "is no hash of a plan",
            "write the 64 characters that `installer plan` prints behind `Plan`",
        ))
    }

    /// In lowercase.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
