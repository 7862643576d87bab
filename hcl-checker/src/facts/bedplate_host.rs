//! A Bedplate host on a disk.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Bedplate host on a disk, by its own files: the state of its boot loader, and the identity of the root that was good last.
///
/// Those are in file systems that nobody has mounted, so that this program does not know them: the installer does, in a live
/// system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BedplateHost {
    /// Its name, where it has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Version of the release that came up last with everything it needs.
    pub version: String,
    /// Root hash of that release, 64 lowercase hexadecimal characters.
    pub root_hash: String,
    /// Name of the partition that holds it: `bedplate-a` or `bedplate-b`.
    pub slot: String,
    /// Short name of another root that the next start would try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trial: Option<String>,
}
