//! GRUB for the ISO and for installed hosts, made by grub-mkimage with every module inside.
//!
//! The images are the same bytes on every machine: where they came from they learn when they run.

//!
//! The UEFI images are signed for db. They carry their configuration and the key that checks what they load in a memory disk:
//! see `docs/adr/0022-secure-boot-through-a-signed-grub.md`.

use crate::cpio;
use crate::paths::Paths;
use crate::secure_boot::{Signer, public_key, sign_program_file};
use crate::tool::{Tool, fresh_dir};
use anyhow::{Context, Result};
use slots::grub_cfg::{
    EARLY_CFG, MODULES, MODULES_BIOS, MODULES_EFI, MODULES_EFI_HOST, PE_LOADER, embedded_files,
    grub_cfg,
};
use std::path::PathBuf;

/// What the medium needs beyond what an installed host does ([`slots::grub_cfg::MODULES`]).
const MEDIUM: &[&str] = &["cat", "halt", "iso9660", "part_msdos", "search_fs_file"];
/// Folders of GRUB's modules.
const BIOS: &str = "i386-pc";
const EFI: &str = "x86_64-efi";
/// What signers of EFI programs say about themselves, for revocation by shim (SBAT): this GRUB is Debian's.
const SBAT: &str = "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n\
    grub,5,Free Software Foundation,grub,2.12,https://www.gnu.org/software/grub/\n\
    grub.debian,5,Debian,grub2,2.12,https://tracker.debian.org/pkg/grub2\n";

/// Who signs, and when (seconds since 1970).
#[derive(Clone, Copy)]
pub struct Signing<'a> {
    /// The key for db.
    pub signer: &'a Signer,
    /// The time that the signatures carry.
    pub epoch: u64,
}

/// The images of installed hosts.
#[derive(Debug)]
pub struct HostImages {
    /// `boot.img`, 512 bytes.
    pub bios_boot: PathBuf,
    /// Core image for BIOS machines.
    pub bios_core: PathBuf,
    /// Boot loader for UEFI machines.
    pub efi: PathBuf,
}

/// The images of a medium.
#[derive(Debug)]
pub struct MediumImages {
    /// El Torito image for BIOS.
    pub bios: PathBuf,
    /// MBR that makes the ISO boot from a USB stick on BIOS machines.
    pub hybrid: PathBuf,
    /// EFI program.
    pub efi: PathBuf,
    /// A font for graphical menus.
    pub font: PathBuf,
}

/// Where GRUB has its modules and images for `platform` in the tools root.
fn platform(paths: &Paths, platform: &str) -> PathBuf {
    paths.tools_root().join("usr/lib/grub").join(platform)
}

/// Makes those of installed hosts.
///
/// # Errors
/// When grub-mkimage fails.
pub fn host(paths: &Paths, signing: &Signing<'_>) -> Result<HostImages> {
    let out = fresh_dir(&paths.target.join("root/grub"))?;
    // A BIOS gives GRUB a disk, UEFI gives it a partition: the first one, which holds the ESP, has to be named for a BIOS.
    let bios_core = Image {
        platform: BIOS,
        format: BIOS,
        modules: &[MODULES, MODULES_BIOS],
        prefix: "(,gpt1)/grub",
        early: None,
        out: out.join("core.img"),
    };
    let efi = Image {
        platform: EFI,
        format: EFI,
        modules: &[MODULES, MODULES_EFI, MODULES_EFI_HOST],
        prefix: "/grub",
        early: Some(EARLY_CFG.to_owned()),
        out: out.join("grubx64.efi"),
    };
    Ok(HostImages {
        bios_boot: platform(paths, BIOS).join("boot.img"),
        bios_core: bios_core.make(paths, None)?,
        efi: efi.make_signed(paths, signing, &grub_cfg())?,
    })
}

/// Makes those of a medium with the menu `menu`. `marker` is a path that only this release's ISO has, so that GRUB finds the
/// medium it came from.
///
/// # Errors
/// When grub-mkimage fails.
pub fn medium(
    paths: &Paths,
    signing: &Signing<'_>,
    marker: &str,
    menu: &str,
) -> Result<MediumImages> {
    let out = fresh_dir(&paths.target.join("root/grub-medium"))?;
    let find =
        format!("search --no-floppy --set=root --file {marker}\nset prefix=($root)/boot/grub\n");
    let bios = Image {
        platform: BIOS,
        format: "i386-pc-eltorito",
        modules: &[MODULES, MODULES_BIOS, MEDIUM],
        prefix: "/boot/grub",
        early: Some(find.clone()),
        out: out.join("eltorito.img"),
    };
    let efi = Image {
        platform: EFI,
        format: EFI,
        modules: &[MODULES, MODULES_EFI, MEDIUM],
        prefix: "/boot/grub",
        early: Some(find + EARLY_CFG),
        out: out.join("grubx64.efi"),
    };
    Ok(MediumImages {
        bios: bios.make(paths, None)?,
        hybrid: platform(paths, BIOS).join("boot_hybrid.img"),
        efi: efi.make_signed(paths, signing, menu)?,
        font: paths.tools_root().join("usr/share/grub/unicode.pf2"),
    })
}

/// What grub-mkimage is to make.
struct Image<'a> {
    platform: &'a str,
    format: &'a str,
    modules: &'a [&'a [&'a str]],
    prefix: &'a str,
    early: Option<String>,
    out: PathBuf,
}

/// Files that a signed image carries.
struct Carried {
    memory_disk: PathBuf,
    public_key: PathBuf,
    sbat: PathBuf,
}

impl Image<'_> {
    /// A file beside the image.
    fn beside(&self, name: &str) -> PathBuf {
        self.out.with_extension(name)
    }

    fn make(&self, paths: &Paths, carried: Option<&Carried>) -> Result<PathBuf> {
        let mut tool = Tool::locked(paths, "grub-mkimage");
        if let Some(early) = &self.early {
            let path = self.beside("cfg");
            std::fs::write(&path, early)?;
            tool = tool.arg("-c").arg(path);
        }
        if let Some(carried) = carried {
            // The memory disk would become the prefix: it has to come before that is set.
            tool = tool
                .arg("-m")
                .arg(&carried.memory_disk)
                .arg("--pubkey")
                .arg(&carried.public_key)
                .arg("--sbat")
                .arg(&carried.sbat)
                // The verifier that asks shim would refuse everything where there is none; the public key is the verifier.
                .arg("--disable-shim-lock");
        }
        tool.args(["-O", self.format, "-p", self.prefix])
            .arg("-d")
            .arg(format!("/usr/lib/grub/{}", self.platform))
            .arg("-o")
            .arg(&self.out)
            .args(self.modules.iter().copied().flatten().copied())
            .quiet()
            .run()?;
        Ok(self.out.clone())
    }

    /// With `locked` as the configuration that counts under Secure Boot.
    fn make_signed(&self, paths: &Paths, signing: &Signing<'_>, locked: &str) -> Result<PathBuf> {
        let staged = fresh_dir(&self.beside("memdisk"))?;
        for (name, text) in embedded_files(locked) {
            std::fs::write(staged.join(name), text)?;
        }
        let module = format!("{PE_LOADER}.mod");
        let from = platform(paths, self.platform).join(&module);
        std::fs::copy(&from, staged.join(&module))
            .with_context(|| format!("{} cannot be copied", from.display()))?;
        let carried = Carried {
            memory_disk: self.beside("cpio"),
            public_key: self.beside("pgp"),
            sbat: self.beside("sbat"),
        };
        cpio::pack(paths, &staged, signing.epoch, &carried.memory_disk)?;
        std::fs::write(&carried.public_key, public_key(signing.signer))?;
        std::fs::write(&carried.sbat, SBAT)?;
        let image = self.make(paths, Some(&carried))?;
        sign_program_file(signing.signer, signing.epoch, &image)?;
        Ok(image)
    }
}
