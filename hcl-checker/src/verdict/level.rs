//! The levels, one enumeration everywhere.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How well something is known to work. Ordered: the greater one is the worse.
///
/// `Unknown` stands before `Unsupported`, because what is known not to work decides whatever else is not known.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Tested, with a signed report, and everything as tested.
    Certified,
    /// Certified, with something not as it was tested.
    CertifiedWithDeviation,
    /// Listed as working, or made of certified parts.
    Compatible,
    /// Not listed, and the shipped kernel has a driver.
    UnlistedWithDriver,
    /// The shipped kernel has no driver.
    UnlistedWithoutDriver,
    /// It could not be found out. Never a pass.
    Unknown,
    /// Known not to work.
    Unsupported,
}

impl Level {
    /// Whether an install may go on.
    pub fn allows_install(self) -> bool {
        match self {
            Self::Certified
            | Self::CertifiedWithDeviation
            | Self::Compatible
            | Self::UnlistedWithDriver => true,
            Self::UnlistedWithoutDriver | Self::Unknown | Self::Unsupported => false,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certified => "certified",
            Self::CertifiedWithDeviation => "certified with deviation",
            Self::Compatible => "compatible",
            Self::UnlistedWithDriver => "unlisted (driver present)",
            Self::UnlistedWithoutDriver => "unlisted without driver",
            Self::Unknown => "unknown",
            Self::Unsupported => "unsupported",
        })
    }
}
