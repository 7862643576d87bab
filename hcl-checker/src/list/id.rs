//! Which list: a digest that anybody can compare.

use super::List;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListId {
    /// SHA-256 of its bundle.
    pub sha256: String,
    /// Entries and requirements in it.
    pub rules: u64,
}

impl ListId {
    /// Of a list.
    pub fn of(list: &List) -> Self {
        Self {
            sha256: hex::encode(Sha256::digest(list.to_bundle())),
            rules: (list.entries().len() + list.requirements().len()) as u64,
        }
    }
}
