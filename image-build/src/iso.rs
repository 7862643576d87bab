//! The ISO: a bootable medium around the TUF repository of one release.
//!
//! Hybrid: El Torito for BIOS and UEFI from optical media, GPT with an EFI system partition and a BIOS boot sector
//! from a USB stick. The boot files of the medium are the artifacts themselves: nothing lies there twice.

use crate::build::marker;
use crate::finish_tree;
use crate::grub_images::{self, MediumImages};
use crate::limits;
use crate::paths::{Paths, file_size};
use crate::secure_boot::BootKeys;
use crate::tool::{Tool, fresh_dir, remove_all};
use anyhow::{Context, Result, bail};
use release::{Artifact, MANIFEST, Manifest, SIGNED_FOR_GRUB};
use slots::grub_cfg::{LOAD_PE_LOADER, XEN_SCREEN};
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The menu choice that `image-build embed` can change, from the root of the medium: a GRUB environment block.
pub const CHOICE: &str = "bedplate/choice.env";

/// Days after which the metadata of a medium is told to be old. It still installs: expiry is enforced for what comes over
/// the network only.
const VALID_DAYS: u64 = 365;

/// Reads the manifest that `image-build root` left.
///
/// # Errors
/// When no release has been built.
pub fn manifest(paths: &Paths) -> Result<Manifest> {
    let path = paths.release_files().join(MANIFEST);
    let text = std::fs::read(&path).with_context(|| {
        format!(
            "{} cannot be read: run `image-build root` first",
            path.display()
        )
    })?;
    serde_json::from_slice(&text).with_context(|| {
        format!(
            "{} is not a manifest of this version: run `image-build root` again",
            path.display()
        )
    })
}

/// Makes the ISO and returns its path.
///
/// # Errors
/// When there is no release, no keys, or a tool fails.
pub fn make(paths: &Paths, keys: &Path) -> Result<PathBuf> {
    let manifest = manifest(paths)?;
    let signing = grub_images::Signing {
        signer: &BootKeys::read(keys)?.database,
        epoch: manifest.epoch,
    };
    let stage = fresh_dir(&paths.target.join("iso"))?;
    let repository = stage.join(slots::names::ISO_REPOSITORY);
    let artifacts: BTreeMap<Artifact, PathBuf> = Artifact::ALL
        .iter()
        .map(|a| (*a, paths.release_files().join(a.target_name())))
        .collect();
    let expires = manifest.epoch + VALID_DAYS * 86_400;
    let stamp = release::Stamp {
        // Later releases have later dates, and so higher versions.
        version: NonZeroU64::new(manifest.epoch).unwrap_or(NonZeroU64::MIN),
        targets_expires: expires,
        snapshot_expires: expires,
        timestamp_expires: expires,
    };
    let published = release::publish(keys, &repository, &manifest, &artifacts, stamp)?;
    let name = |artifact: Artifact| -> Result<&String> {
        published
            .artifacts
            .get(&artifact)
            .with_context(|| format!("{} was not published", artifact.target_name()))
    };
    let marker = marker(&manifest.root);
    std::fs::write(
        stage.join(marker.trim_start_matches('/')),
        format!("{}\n", manifest.version),
    )?;
    std::fs::write(
        stage.join(slots::names::ISO_ANSWERS),
        slots::answer_area::pristine(),
    )?;
    std::fs::write(stage.join(CHOICE), choice_block("", 8)?)?;
    // The very file of the root image, for whoever puts the medium into another Linux: it runs from there.
    let (checker, place) = finish_tree::CHECKER;
    let from = paths.tree().join(place);
    std::fs::copy(&from, stage.join(checker)).with_context(|| {
        format!(
            "{} cannot be copied: run `image-build root` first",
            from.display()
        )
    })?;
    let grub_dir = stage.join("boot/grub");
    std::fs::create_dir_all(&grub_dir)?;
    let text = menu(&manifest.version);
    let grub = grub_images::medium(paths, &signing, &marker, &text)?;
    std::fs::copy(&grub.font, grub_dir.join("unicode.pf2"))?;
    std::fs::copy(&grub.bios, grub_dir.join("eltorito.img"))?;
    std::fs::write(grub_dir.join("grub.cfg"), text)?;
    // GRUB looks for a signature beside the file, under the name that it was told: links give the files of the repository
    // names that do not change.
    let boot_files = stage.join(BOOT_FILES.trim_start_matches('/'));
    std::fs::create_dir_all(&boot_files)?;
    let targets = Path::new("/")
        .join(slots::names::ISO_REPOSITORY)
        .join(release::TARGETS_DIR);
    for (artifact, signature) in SIGNED_FOR_GRUB {
        symlink(
            targets.join(name(artifact)?),
            boot_files.join(artifact.target_name()),
        )?;
        std::fs::copy(
            paths.release_files().join(signature.target_name()),
            boot_files.join(signature.target_name()),
        )?;
    }
    let efi = efi_partition(paths, &grub, manifest.epoch)?;
    let out = paths.iso(&manifest.version);
    std::fs::create_dir_all(paths.images())?;
    remove_all(&out)?;
    Tool::locked(paths, "xorriso")
        .env("SOURCE_DATE_EPOCH", manifest.epoch.to_string())
        .args([
            "-as",
            "mkisofs",
            "-quiet",
            "-R",
            "-V",
            &label(&manifest.version),
        ])
        .args([
            "-c",
            "boot/grub/boot.cat",
            "-b",
            "boot/grub/eltorito.img",
            "-no-emul-boot",
            "-boot-load-size",
            "4",
        ])
        .args(["-boot-info-table", "--grub2-boot-info", "--grub2-mbr"])
        .arg(Path::new("/").join(grub.hybrid.strip_prefix(paths.tools_root())?))
        .args(["-append_partition", "2", "0xef"])
        .arg(&efi)
        .args([
            "-appended_part_as_gpt",
            "-eltorito-alt-boot",
            "-e",
            "--interval:appended_partition_2:all::",
            "-no-emul-boot",
        ])
        .arg("-o")
        .arg(&out)
        .arg(&stage)
        // SOURCE_DATE_EPOCH alone leaves folders with the times of the disk.
        .args(["--", "-volume_date", "all_file_dates"])
        .arg(format!("={}", manifest.epoch))
        .run()?;
    let quick = limits::not_for_shipping(paths).exists();
    let limit = if quick { u64::MAX } else { limits::ISO };
    let size = limits::check("the ISO", &out, limit)?;
    eprintln!(
        "{} has {:.1} MB{}",
        out.display(),
        size as f64 / 1e6,
        if quick {
            ": compressed quickly, not for shipping"
        } else {
            ""
        }
    );
    Ok(out)
}

/// Volume identifier of a version's ISO: at most 32 of A-Z, 0-9 and `_`.
fn label(version: &str) -> String {
    let version: String = version
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect();
    let mut label = format!("{}{version}", slots::names::ISO_LABEL_PREFIX);
    label.truncate(32);
    label
}

/// The environment block that says which menu entry is taken (empty: the first) and after how many seconds.
///
/// # Errors
/// When the values do not fit.
pub fn choice_block(entry: &str, timeout: u32) -> Result<Vec<u8>> {
    let mut text =
        format!("# GRUB Environment Block\nbedplate_entry={entry}\nbedplate_timeout={timeout}\n");
    if text.len() > 1024 {
        bail!("the menu entry `{entry}` is too long for GRUB's environment block");
    }
    text.extend(std::iter::repeat_n('#', 1024 - text.len()));
    Ok(text.into_bytes())
}

/// Links to the boot files of the medium and their signatures.
const BOOT_FILES: &str = "/boot/grub/files";

/// Kernel arguments of every live entry.
const LIVE: &str =
    "bedplate.mode=live systemd.gpt_auto=no systemd.import_credentials=no panic=30 loglevel=4";
/// The installer owns the consoles: the service manager stays quiet on them.
const INSTALL: &str = "systemd.unit=bedplate-live.target systemd.show_status=no";
const RESCUE: &str = "systemd.unit=bedplate-rescue.target";

/// The boot menu of the ISO. The console that is named last is the one that the installer talks on.
fn menu(version: &str) -> String {
    let [kernel, initrd, xen] = [Artifact::Kernel, Artifact::Initrd, Artifact::Xen]
        .map(|artifact| format!("{BOOT_FILES}/{}", artifact.target_name()));
    let screen = "console=ttyS0,115200n8 console=tty0";
    let com1 = "console=tty0 console=ttyS0,115200n8";
    let com2 = "console=tty0 console=ttyS1,115200n8";
    let linux = |id: &str, title: &str, key: &str, args: &str| {
        format!(
            "menuentry '{title}' --unrestricted --id {id} --hotkey={key} {{\n    echo 'Loading the kernel ...'\n    {LOAD_PE_LOADER}\n    linux {kernel} {LIVE} {args}\n    \
             echo 'Loading the drivers ...'\n    initrd {initrd}\n}}\n"
        )
    };
    let mut text = format!(
        "# Boot menu of the Bedplate {version} medium.\n\
         set default=install\nset timeout=8\n\
         load_env --skip-sig -f /{CHOICE} bedplate_entry bedplate_timeout\n\
         if [ -n \"$bedplate_entry\" ]; then set default=\"$bedplate_entry\"; fi\n\
         if [ -n \"$bedplate_timeout\" ]; then set timeout=\"$bedplate_timeout\"; fi\n\
         {serial}\
         set menu_color_normal=light-gray/black\nset menu_color_highlight=white/blue\n\n",
        serial = slots::grub_cfg::serial_terminal("0"),
    );
    text.push_str(&linux(
        "install",
        &format!("Install Bedplate {version}"),
        "i",
        &format!("{INSTALL} {screen}"),
    ));
    text.push_str(&linux(
        "install-com1",
        "Install over the serial line COM1",
        "1",
        &format!("{INSTALL} {com1}"),
    ));
    text.push_str(&linux(
        "install-com2",
        "Install over the serial line COM2",
        "2",
        &format!("{INSTALL} {com2}"),
    ));
    text.push_str(&linux(
        "plain",
        "Install with plain questions on the screen (braille)",
        "p",
        &format!("{INSTALL} bedplate.ui=plain {screen}"),
    ));
    text.push_str(&linux(
        "plain-com1",
        "Install with plain questions over the serial line COM1",
        "l",
        &format!("{INSTALL} bedplate.ui=plain {com1}"),
    ));
    text.push_str(&linux(
        "headless",
        "Install without questions, from an answer file",
        "h",
        &format!("{INSTALL} bedplate.headless {com1}"),
    ));
    text.push_str(&linux(
        "check",
        "Check this hardware, and install nothing",
        // `c` and `e` are GRUB's own.
        "k",
        &format!("{INSTALL} bedplate.check {screen}"),
    ));
    text.push_str(&format!(
        "menuentry 'Boot Xen from this medium, to test before installing' --unrestricted --id xen --hotkey=x {{\n    {XEN_SCREEN}\n    echo 'Loading the hypervisor ...'\n    \
         multiboot2 {xen} {xen_args}\n    module2 {kernel} {LIVE} {RESCUE} console=tty0 console=hvc0\n    \
         echo 'Loading the drivers ...'\n    module2 --nounzip {initrd}\n}}\n",
        xen_args = slots::boot_options::xen_options_of_medium(slots::Console::Com1),
    ));
    text.push_str(&linux(
        "rescue",
        "Rescue shell",
        "r",
        &format!("{RESCUE} {com1}"),
    ));
    text
}

/// The EFI system partition of the medium: a FAT image with GRUB as the fallback loader.
fn efi_partition(paths: &Paths, grub: &MediumImages, epoch: u64) -> Result<PathBuf> {
    let out = paths.target.join("root/efi.img");
    remove_all(&out)?;
    let size = (file_size(&grub.efi)? + 512 * 1024).next_multiple_of(1024 * 1024);
    std::fs::File::create(&out)?.set_len(size)?;
    Tool::locked(paths, "mkfs.vfat")
        .args([
            "-F",
            "12",
            "-i",
            "bed91a7e",
            "--invariant",
            "-n",
            "BP-MEDIUM",
        ])
        .arg(&out)
        .quiet()
        .run()?;
    Tool::locked(paths, "mmd")
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        .arg("-i")
        .arg(&out)
        .args(["::/EFI", "::/EFI/BOOT"])
        .quiet()
        .run()?;
    Tool::locked(paths, "mcopy")
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        .arg("-i")
        .arg(&out)
        .arg(&grub.efi)
        .arg("::/EFI/BOOT/BOOTX64.EFI")
        .quiet()
        .run()?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_valid_volume_identifiers() {
        assert_eq!(label("0.1.0"), "BEDPLATE_0_1_0");
        assert_eq!(label("1.0.0-rc.1+a"), "BEDPLATE_1_0_0_RC_1_A");
        assert!(label(&"9".repeat(60)).len() <= 32);
        assert_ne!(
            label("x"),
            slots::names::ANSWER_LABEL,
            "the answer volume's label means something else"
        );
    }

    #[test]
    fn the_choice_is_one_environment_block() {
        let block = choice_block("headless", 1).unwrap();
        assert_eq!(block.len(), 1024);
        assert!(block.starts_with(
            b"# GRUB Environment Block\nbedplate_entry=headless\nbedplate_timeout=1\n#"
        ));
        assert!(choice_block(&"x".repeat(1024), 1).is_err());
    }

    #[test]
    fn every_entry_of_the_menu_names_its_mode() {
        let text = menu("1");
        let ids = [
            "install",
            "install-com1",
            "install-com2",
            "plain",
            "plain-com1",
            "headless",
            "check",
            "xen",
            "rescue",
        ];
        for id in ids {
            assert_eq!(text.matches(&format!("--id {id} ")).count(), 1, "{id}");
        }
        assert_eq!(text.matches("menuentry ").count(), ids.len());
        assert_eq!(text.matches("bedplate.mode=live").count(), ids.len());
        // Under Secure Boot others ask for a password that nobody has.
        assert_eq!(text.matches(" --unrestricted ").count(), ids.len());
    }
}
