//! `ucode.img`: microcode of Intel and AMD as an early cpio archive.
//!
//! Source: Linux `Documentation/arch/x86/microcode.rst`; Xen reads the same archive with `ucode=scan`.

use crate::cpio;
use crate::paths::Paths;
use crate::tool::fresh_dir;
use anyhow::{Context, Result, bail};
use std::io::Write;
use std::path::Path;

/// Folder of the packages, name in the archive, and which files count.
const VENDORS: [(&str, &str); 2] = [
    ("intel-ucode", "GenuineIntel.bin"),
    ("amd-ucode", "AuthenticAMD.bin"),
];

/// Writes the archive.
///
/// # Errors
/// When a vendor's microcode is missing.
pub fn pack(paths: &Paths, epoch: u64, out: &Path) -> Result<()> {
    let stage = fresh_dir(&paths.target.join("root/ucode"))?;
    let folder = stage.join("kernel/x86/microcode");
    std::fs::create_dir_all(&folder)?;
    for (vendor, name) in VENDORS {
        let from = paths.boot_parts().join(vendor);
        let mut files: Vec<_> = std::fs::read_dir(&from)
            .with_context(|| format!("{} cannot be read", from.display()))?
            .filter_map(|e| e.ok().map(|e| e.path()))
            .filter(|p| {
                p.is_file()
                    && !p
                        .extension()
                        .is_some_and(|e| e == "asc" || e == "initramfs")
            })
            .collect();
        files.sort();
        if files.is_empty() {
            bail!("{} holds no microcode", from.display());
        }
        let mut joined = std::fs::File::create(folder.join(name))?;
        for file in files {
            joined.write_all(&std::fs::read(file)?)?;
        }
    }
    cpio::pack(paths, &stage, epoch, out)
}
