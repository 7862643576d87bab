//! Raw evidence: what programs printed, as files beside the report. The report holds their digests only, because they may
//! hold serial numbers and addresses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A file of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// Its name in the folder `evidence`.
    pub name: String,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
    /// Its bytes.
    pub bytes: u64,
}

impl Evidence {
    /// Describes content.
    pub fn of(name: impl Into<String>, content: &[u8]) -> Self {
        Self {
            name: name.into(),
            sha256: sha256(content),
            bytes: content.len() as u64,
        }
    }
}

/// SHA-256, hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
