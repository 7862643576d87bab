//! The root image: a squashfs with its dm-verity tree directly behind it.

use crate::paths::{Paths, file_size};
use crate::tool::{Tool, remove_all};
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use slots::{RootIdentity, Verity};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// dm-verity block size for data and hashes, bytes.
const BLOCK: u64 = 4096;

/// How hard the root image is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// zstd level 15, as shipped.
    Shipped,
    /// zstd level 1, for a quick turn while developing.
    Quick,
}

/// Packs the tree into `out` and computes its verity tree.
///
/// # Errors
/// When a tool fails or its output is not understood.
pub fn root_image(
    paths: &Paths,
    version: &str,
    effort: Effort,
    epoch: u64,
    out: &Path,
) -> Result<RootIdentity> {
    remove_all(out)?;
    let level = match effort {
        Effort::Shipped => "15",
        Effort::Quick => "1",
    };
    Tool::locked(paths, "mksquashfs")
        .arg(paths.tree())
        .arg(out)
        .args([
            "-noappend",
            "-no-progress",
            "-comp",
            "zstd",
            "-Xcompression-level",
            level,
            "-b",
            "131072",
            "-xattrs",
        ])
        .args([
            "-mkfs-time",
            &epoch.to_string(),
            "-all-time",
            &epoch.to_string(),
        ])
        .args([
            "-wildcards",
            "-e",
            "dev/*",
            "proc/*",
            "sys/*",
            "run/*",
            "tmp/*",
        ])
        .run()?;
    let squashed = file_size(out)?;
    let data_blocks = squashed.div_ceil(BLOCK);
    File::options()
        .write(true)
        .open(out)?
        .set_len(data_blocks * BLOCK)?;
    // The salt follows from the content: the same tree gives the same image, and no two images share a salt.
    let salt = sha256(out)?;
    let printed = Tool::locked(paths, "veritysetup")
        .args([
            "format",
            "--no-superblock",
            "--hash=sha256",
            "--data-block-size=4096",
            "--hash-block-size=4096",
        ])
        .arg(format!("--salt={salt}"))
        .arg(format!("--data-blocks={data_blocks}"))
        .arg(format!("--hash-offset={}", data_blocks * BLOCK))
        .args([out, out])
        .run()?;
    let root_hash = root_hash(&printed)
        .with_context(|| format!("veritysetup printed no root hash:\n{printed}"))?;
    let sha = sha256(out)?;
    Ok(RootIdentity {
        version: version.to_string(),
        image_name: format!("{sha}.root.img"),
        image_size: file_size(out)?,
        image_sha256: sha,
        verity: Verity {
            data_blocks,
            salt,
            root_hash,
        },
    })
}

/// The line `Root hash: <64 hexadecimal characters>` of `veritysetup format`.
fn root_hash(printed: &str) -> Option<String> {
    let value = printed
        .lines()
        .find_map(|l| l.strip_prefix("Root hash:"))?
        .trim();
    (value.len() == 64 && value.bytes().all(|b| b.is_ascii_hexdigit())).then(|| value.to_string())
}

/// SHA-256 of a file, lowercase hexadecimal.
///
/// # Errors
/// When the file cannot be read.
pub fn sha256(path: &Path) -> Result<String> {
    let mut file =
        File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(hex::encode(hash.finalize()));
        }
        hash.update(&buffer[..n]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_hash_is_taken_whole_or_not_at_all() {
        let hash = "a".repeat(64);
        assert_eq!(
            root_hash(&format!("UUID: \nRoot hash:      \t{hash}\n")),
            Some(hash.clone())
        );
        assert_eq!(root_hash(&format!("Root hash: {}\n", &hash[1..])), None);
        assert_eq!(root_hash("Salt: 00\n"), None);
    }
}
