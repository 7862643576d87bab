//! What names a root image: its dm-verity parameters and root hash.

use serde::{Deserialize, Serialize};

/// dm-verity parameters of a root image; block size is 4096 bytes for data and hashes, algorithm sha256, format 1.
/// The hash tree follows the data without a superblock.
///
/// Source: Linux `Documentation/admin-guide/device-mapper/verity.rst`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verity {
    /// Number of 4096-byte data blocks; the hash tree starts at this block.
    pub data_blocks: u64,
    /// Salt, lowercase hexadecimal.
    pub salt: String,
    /// Root hash, lowercase hexadecimal (64 characters).
    pub root_hash: String,
}

/// Identity of the one root image that belongs to an initrd. Baked into the initrd as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootIdentity {
    /// Version of the release, for example `0.1.0`.
    pub version: String,
    /// File name of the root image in the repository's `targets` folder (`<sha256>.root.img`).
    pub image_name: String,
    /// Bytes of the root image: data and hash tree.
    pub image_size: u64,
    /// SHA-256 of the root image, lowercase hexadecimal.
    pub image_sha256: String,
    /// Its dm-verity parameters.
    pub verity: Verity,
}

impl RootIdentity {
    /// Short name of the root: the first 16 hexadecimal characters of the root hash. Names the folder of the boot
    /// files on the ESP (`/bedplate/<id>/`) and the /etc overlay on state (`/etc/<id>/`).
    pub fn id(&self) -> &str {
        let hash = &self.verity.root_hash;
        &hash[..hash.len().min(16)]
    }
}
