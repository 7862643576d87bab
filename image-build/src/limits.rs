//! How large parts of a release may be. A build that passes a limit fails: what grew is told by `image-build size`.

use crate::paths::{Paths, file_size};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// Bytes of the root image with its verity tree: it has to be copied into memory, and fits a slot many times.
pub const ROOT: u64 = 320_000_000;
/// Bytes of the initrd: what a slow loader reads, and what lies on the ESP once for each release.
pub const INITRD: u64 = 30_000_000;
/// Bytes of the ISO: what a management controller reads over the network at each install.
pub const ISO: u64 = 400_000_000;

/// There after `root --quick`: what was made compresses less, and the limits are not for it.
pub fn not_for_shipping(paths: &Paths) -> PathBuf {
    paths.target.join("root/not-for-shipping")
}

/// The size of the file at `path`.
///
/// # Errors
/// When the file cannot be read, or has more than `limit` bytes.
pub fn check(what: &str, path: &Path, limit: u64) -> Result<u64> {
    let size = file_size(path)?;
    if size > limit {
        bail!(
            "{what} has {:.1} MB, more than the {:.0} MB it may have: `image-build size` says what each group of packages costs, \
             trim.toml and packages.toml are where it is cut ({})",
            size as f64 / 1e6,
            limit as f64 / 1e6,
            path.display()
        );
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_is_allowed_and_one_byte_more_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.img");
        std::fs::write(&path, vec![0; 10]).unwrap();
        assert_eq!(check("the root image", &path, 10).unwrap(), 10);
        let error = check("the root image", &path, 9).unwrap_err().to_string();
        assert!(error.starts_with("the root image has "), "{error}");
        assert!(check("the ISO", &dir.path().join("none"), 10).is_err());
    }
}
