//! What a signed release is; making one, and opening and verifying one.
//!
//! A release is a repository of The Update Framework (TUF): signed metadata under `metadata/`, the artifacts under
//! `targets/` as `<sha256>.<name>`, and among them `release.json`, the [`Manifest`]. The ISO carries such a repository,
//! a hotfix is the next one, an update server serves one: there is one way of verifying for all of them.
//!
//! [`generate`] makes the keys, [`publish()`] the repository, [`Repository::open`] verifies the metadata and
//! [`OpenRelease::verify_all`] the artifacts. Everything here is synchronous. Do not call it from inside an async
//! runtime: it runs one of its own.

mod artifact_file;
pub mod beside;
mod boot_signature;
pub mod delta;
mod directory_transport;
mod error;
mod fetch_metadata;
#[cfg(test)]
mod hostile_tests;
mod hotfix_file;
mod hotfix_info;
mod keys;
mod manifest;
mod metadata;
mod open;
mod policy;
mod publish;
mod verified_reader;
mod version;

pub use boot_signature::verify_boot_file;
pub use error::Error;
pub use fetch_metadata::{MAX_ALL_METADATA, MAX_METADATA, MetadataError, fetch_metadata};
pub use hotfix_file::{pack_hotfix, unpack_hotfix};
pub use hotfix_info::{DELTA_ARTIFACTS, DeltaInfo, Guidance, HotfixInfo, HotfixKind, data_size};
pub use keys::{KeyDates, generate, trusted_root_path};
pub use manifest::{Artifact, ArtifactInfo, BOOT_FILES, MANIFEST, Manifest, SIGNED_FOR_GRUB};
pub use metadata::Stamp;
pub use open::{Delta, OpenRelease, Repository, Source, Versions};
pub use policy::{Expiry, ExtraFiles, Policy};
pub use publish::{DeltaFile, Published, hash_file, publish, publish_hotfix, refresh_timestamp};
pub use verified_reader::VerifiedReader;
pub use version::is_older;

/// Folder of the signed metadata in a repository.
pub const METADATA_DIR: &str = "metadata";
/// Folder of the artifacts in a repository.
pub const TARGETS_DIR: &str = "targets";
