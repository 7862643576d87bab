//! GRUB for the ISO and for installed hosts, made by grub-mkimage with every module inside.
//!
//! The images are the same bytes on every machine: where they came from they learn when they run.

use crate::paths::Paths;
use crate::tool::{Tool, fresh_dir};
use anyhow::Result;
use slots::grub_cfg::{MODULES, MODULES_BIOS, MODULES_EFI, MODULES_EFI_HOST};
use std::path::{Path, PathBuf};

/// What the medium needs beyond what an installed host does ([`slots::grub_cfg::MODULES`]).
const MEDIUM: &[&str] = &["cat", "halt", "iso9660", "part_msdos", "search_fs_file"];

/// The images of one build.
#[derive(Debug)]
pub struct GrubImages {
    /// `boot.img` of installed hosts, 512 bytes.
    pub bios_boot: PathBuf,
    /// Core image of installed hosts on BIOS machines.
    pub bios_core: PathBuf,
    /// Boot loader of installed hosts on UEFI machines.
    pub efi: PathBuf,
    /// El Torito image of the ISO for BIOS.
    pub iso_bios: PathBuf,
    /// MBR that makes the ISO boot from a USB stick on BIOS machines.
    pub iso_hybrid: PathBuf,
    /// EFI program of the ISO.
    pub iso_efi: PathBuf,
    /// A font for graphical menus.
    pub font: PathBuf,
}

/// Makes all images. `marker` is a path that only this release's ISO has, so that GRUB finds the medium it came from.
///
/// # Errors
/// When grub-mkimage fails.
pub fn make(paths: &Paths, marker: &str) -> Result<GrubImages> {
    let out = fresh_dir(&paths.target.join("root/grub"))?;
    let platform = |name: &str| paths.tools_root().join("usr/lib/grub").join(name);
    let medium = out.join("medium.cfg");
    std::fs::write(
        &medium,
        format!("search --no-floppy --set=root --file {marker}\nset prefix=($root)/boot/grub\n"),
    )?;
    // A BIOS gives GRUB a disk, UEFI gives it a partition: the first one, which holds the ESP, has to be named for a BIOS.
    let bios_core = mkimage(
        paths,
        "i386-pc",
        "i386-pc",
        &[MODULES, MODULES_BIOS],
        "(,gpt1)/grub",
        None,
        &out.join("core.img"),
    )?;
    let efi = mkimage(
        paths,
        "x86_64-efi",
        "x86_64-efi",
        &[MODULES, MODULES_EFI, MODULES_EFI_HOST],
        "/grub",
        None,
        &out.join("grubx64.efi"),
    )?;
    let iso_bios = mkimage(
        paths,
        "i386-pc",
        "i386-pc-eltorito",
        &[MODULES, MODULES_BIOS, MEDIUM],
        "/boot/grub",
        Some(&medium),
        &out.join("eltorito.img"),
    )?;
    let iso_efi = mkimage(
        paths,
        "x86_64-efi",
        "x86_64-efi",
        &[MODULES, MODULES_EFI, MEDIUM],
        "/boot/grub",
        Some(&medium),
        &out.join("iso-grubx64.efi"),
    )?;
    Ok(GrubImages {
        bios_boot: platform("i386-pc").join("boot.img"),
        bios_core,
        efi,
        iso_bios,
        iso_hybrid: platform("i386-pc").join("boot_hybrid.img"),
        iso_efi,
        font: paths.tools_root().join("usr/share/grub/unicode.pf2"),
    })
}

fn mkimage(
    paths: &Paths,
    platform: &str,
    format: &str,
    modules: &[&[&str]],
    prefix: &str,
    config: Option<&Path>,
    out: &Path,
) -> Result<PathBuf> {
    let mut tool = Tool::locked(paths, "grub-mkimage");
    if let Some(config) = config {
        tool = tool.arg("-c").arg(config);
    }
    tool.args(["-O", format, "-p", prefix])
        .arg("-d")
        .arg(format!("/usr/lib/grub/{platform}"))
        .arg("-o")
        .arg(out)
        .args(modules.iter().copied().flatten().copied())
        .quiet()
        .run()?;
    Ok(out.to_path_buf())
}
