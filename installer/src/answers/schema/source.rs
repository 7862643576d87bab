//! `[source]` as it is written.

use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt;

/// Where the release is fetched from, in place of that of the medium.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The folder that holds `metadata` and `targets` of the release: `https://releases.example.org/bedplate`.
    pub url: Option<String>,
    /// SHA-256 of the server's public key, `sha256//...=`: trusted in place of a certificate authority.
    pub pin: Option<String>,
}

/// The URL may hold a secret.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source(hidden)")
    }
}
