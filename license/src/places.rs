//! Files of the verified root image that `image-build` writes, and installer and host read.

/// The public keys that licenses are accepted from, as [`crate::PublicKeys::from_json`] reads them.
pub const KEYS_FILE: &str = "/usr/share/bedplate/license-keys.json";

/// The time that the release is dated with, in seconds since 1970, decimal, on one line. It lies in the signed root image,
/// so no clock of a host that runs it can be right and earlier.
pub const RELEASED_FILE: &str = "/usr/share/bedplate/released";
