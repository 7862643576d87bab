//! Starting the arrays of a mirror, by what the kernel offers in /sys: no program is needed for it.
//!
//! Source: Linux `Documentation/admin-guide/md.rst`, and `add_named_array`, `metadata_store`, `new_dev_store` and
//! `array_state_store` in `drivers/md/md.c`.

use crate::mirror::Array;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The module that has arrays of level 1; brings `md_mod`.
pub const MODULE: &str = "raid1";

/// Writing a name here makes an empty array.
const NEW_ARRAY: &str = "/sys/module/md_mod/parameters/new_array";

/// Starts an array with the members that were chosen, whole or not, and returns its node.
///
/// # Errors
/// The kernel refuses a member or the array.
pub fn start(array: &Array) -> Result<PathBuf> {
    let name = array.kind.array_name();
    let write = |path: &Path, text: &str| {
        std::fs::write(path, text)
            .with_context(|| format!("the kernel does not take `{text}` in {}", path.display()))
    };
    let folder = Path::new("/sys/block").join(&name).join("md");
    if !folder.exists() {
        write(Path::new(NEW_ARRAY), &name)?;
    }
    write(&folder.join("metadata_version"), "1.2")?;
    for member in &array.members {
        write(&folder.join("new_dev"), &member.number)
            .with_context(|| format!("{} cannot be a member of {name}", member.name))?;
    }
    write(&folder.join("array_state"), "active")
        .with_context(|| format!("the array {name} does not start"))?;
    Ok(array.kind.array_device().into())
}
