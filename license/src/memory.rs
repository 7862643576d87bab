//! What a host remembers about its license between two looks at it.

use crate::{Error, Fingerprint};
use serde::{Deserialize, Serialize};

/// Kept as JSON in a file of the host. It only matters to automatic updates, so who may write the file could also do
/// without them: it is not signed. Fields that a newer release adds are passed over, so that going back to an older one
/// forgets nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Memory {
    /// Schema of this document: 1.
    pub schema: u32,
    /// The latest time ever seen on this host, in seconds since 1970.
    pub high_water_mark: u64,
    /// Number of the license that the rest is about.
    pub license: Option<String>,
    /// Since when more sockets are populated than licensed, in seconds since 1970.
    pub over_used_since: Option<u64>,
    /// Since when the license is not confirmed for this machine, in seconds since 1970.
    pub unconfirmed_since: Option<u64>,
    /// The machine that the license was for when it was last sure.
    pub machine: Option<Fingerprint>,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory {
            schema: Memory::SCHEMA,
            high_water_mark: 0,
            license: None,
            over_used_since: None,
            unconfirmed_since: None,
            machine: None,
        }
    }
}

impl Memory {
    /// The schema that this code reads and writes.
    pub const SCHEMA: u32 = 1;

    /// Reads what [`Memory::to_json`] wrote.
    pub fn from_json(json: &[u8]) -> Result<Memory, Error> {
        let problem = |problem: String| Error::Claims {
            problem: format!("what the host remembers about it is damaged: {problem}"),
        };
        let memory: Memory = serde_json::from_slice(json).map_err(|e| problem(e.to_string()))?;
        if memory.schema != Memory::SCHEMA {
            return Err(problem(format!("schema {} is not known", memory.schema)));
        }
        Ok(memory)
    }

    /// As it is written to the file.
    pub fn to_json(&self) -> Result<String, Error> {
        serde_json::to_string_pretty(self)
            .map(|text| text + "\n")
            .map_err(|e| Error::Claims {
                problem: e.to_string(),
            })
    }
}
