//! The index of the shipped kernel's drivers that `hcl-checker` carries.

use crate::finish_tree::kernel_release;
use crate::paths::Paths;
use crate::tool::{Tool, remove_all};
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where the index lies in the workspace; compiled into `hcl-checker`.
pub fn committed(paths: &Paths) -> PathBuf {
    paths.workspace.join("hcl-checker/drivers.index")
}

/// Where the image has the index of its own kernel, for `hcl-checker` on the ISO's live system and on hosts.
pub const IN_IMAGE: &str = "usr/share/bedplate/drivers.index";

/// The index of the kernel in the finished tree. `xen` is the version of the hypervisor's package.
///
/// # Errors
/// When the tree has not been made, or modinfo fails.
pub fn make(paths: &Paths, xen: &str) -> Result<String> {
    let folder = paths
        .tree()
        .join("usr/lib/modules")
        .join(kernel_release(paths)?);
    let lacking = lacking(paths, &folder)?;
    hcl_checker::drivers::write_compact(&folder, xen, &lacking)
        .with_context(|| format!("the drivers of {} cannot be listed", folder.display()))
}

/// The index as [`make`] makes it, kept from build to build: it changes with the packages and with what is cut from them.
///
/// # Errors
/// See [`make`].
pub fn kept(paths: &Paths, xen: &str, tree: &str) -> Result<String> {
    let kept = paths.target.join("root/drivers.index");
    let stamp = kept.with_extension("stamp");
    let mut hash = Sha256::new();
    hash.update(format!("1 {xen} {tree}"));
    let key = hex::encode(hash.finalize());
    if std::fs::read_to_string(&stamp).is_ok_and(|s| s == key)
        && let Ok(text) = std::fs::read_to_string(&kept)
    {
        return Ok(text);
    }
    let made = make(paths, xen)?;
    remove_all(&stamp)?;
    std::fs::write(&kept, &made)
        .with_context(|| format!("{} cannot be written", kept.display()))?;
    std::fs::write(&stamp, key)?;
    Ok(made)
}

/// Whether the committed index is that of `made`; tells what to do where it is not.
///
/// # Errors
/// When the committed index cannot be read.
pub fn tell_drift(paths: &Paths, made: &str) -> Result<()> {
    let path = committed(paths);
    let has = std::fs::read_to_string(&path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    if has != made {
        eprintln!(
            "note: {} is of another kernel or hypervisor ({} -> {}); the image judges by its own modules, a checker that runs \
             elsewhere does not know them yet: run `image-build driver-index` and commit the file",
            path.display(),
            kernel_line(&has),
            kernel_line(made)
        );
    }
    Ok(())
}

fn kernel_line(index: &str) -> &str {
    index
        .lines()
        .find_map(|line| line.strip_prefix("kernel "))
        .unwrap_or("none")
}

/// Modules that name firmware of which the image has no file at all. Of several files most drivers need one, for the card
/// that is there.
fn lacking(paths: &Paths, folder: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    // Of the tools root's kmod; one run for all modules is a matter of seconds, one for each would be minutes.
    let listed = Tool::locked(paths, "sh")
        .args(["-c", "cd \"$0\" && find kernel -name '*.ko*' | sort | while read -r module; do echo \"@$module\"; modinfo -F firmware \"./$module\"; done"])
        .arg(folder)
        .quiet()
        .run()?;
    let firmware = paths.tree().join("usr/lib/firmware");
    let there = |name: &str| {
        ["", ".xz", ".zst"]
            .iter()
            .any(|ending| firmware.join(format!("{name}{ending}")).exists())
    };
    let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut module = String::new();
    for line in listed.lines().map(str::trim) {
        match line.strip_prefix('@') {
            Some(path) => module = hcl_checker::modalias::module_name(path),
            None if line.is_empty() => {}
            None => named
                .entry(module.clone())
                .or_default()
                .push(line.to_owned()),
        }
    }
    named.retain(|_, files| !files.iter().any(|file| there(file)));
    for files in named.values_mut() {
        files.sort_unstable();
        files.dedup();
        // The first ones say which; some drivers name hundreds.
        files.truncate(4);
    }
    Ok(named)
}
