//! cpio archives in the newc format that the kernel unpacks, packed from a staged folder with fixed times and owners.

use crate::paths::Paths;
use crate::tool::Tool;
use anyhow::Result;
use std::path::Path;

/// Packs everything below `dir` into `out`.
///
/// # Errors
/// When cpio fails.
pub fn pack(paths: &Paths, dir: &Path, epoch: u64, out: &Path) -> Result<()> {
    // -depth is wrong here: the kernel needs a folder before its content.
    let script = r#"
        cd "$1"
        find . -mindepth 1 -exec touch -h -d "@$2" {} +
        find . -mindepth 1 -printf '%P\n' | LC_ALL=C sort | cpio --quiet -o -H newc --reproducible --owner=0:0 -O "$3"
    "#;
    Tool::locked(paths, "sh")
        .args(["-eu", "-c", script, "pack"])
        .arg(dir)
        .arg(epoch.to_string())
        .arg(out)
        .quiet()
        .run()?;
    Ok(())
}
