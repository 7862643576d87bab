//! `initrd.img`: our init with the root's identity, and every storage driver with the firmware it names.
//!
//! Two archives, one behind the other: a small plain one that changes with every release (init, identity), and a
//! compressed one that changes with the kernel only. The kernel unpacks both (Linux
//! `Documentation/driver-api/early-userspace/buffer-format.rst`).

use crate::cpio;
use crate::finish_tree::kernel_release;
use crate::paths::{Paths, file_size};
use crate::tool::{Tool, fresh_dir};
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use slots::RootIdentity;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Most bytes an initrd may have: what a slow loader reads, and what lies on the ESP once for each release.
pub const LIMIT: u64 = 30 * 1024 * 1024;

/// Folders below `kernel/` whose modules are taken, with what they depend on.
const FOLDERS: &[&str] = &[
    "drivers/ata",
    "drivers/block",
    "drivers/nvme/host",
    "drivers/scsi",
    "drivers/md",
    "drivers/message/fusion",
    "drivers/mmc",
    "drivers/usb/storage",
    "drivers/usb/host",
    "drivers/virtio",
    "drivers/cdrom",
    "drivers/nvdimm",
    "drivers/pci/controller",
    "drivers/hv",
    "drivers/ufs",
    "fs/squashfs",
    "fs/overlayfs",
    "fs/ext4",
    "fs/isofs",
    "fs/fat",
    "fs/nls",
];

/// Modules of those folders that no root is on: network disks (their network is not up yet), tests, tapes, memory.
const LEFT_OUT: &[&str] = &[
    "aoe",
    "drbd",
    "rbd",
    "nbd",
    "null_blk",
    "zram",
    "brd",
    "ublk_drv",
    "floppy",
    "scsi_debug",
    "iscsi_tcp",
    "libiscsi_tcp",
    "ch",
    "st",
    "osst",
    "xen-blkback",
    "nvme-tcp",
    "nvme-rdma",
    "nvme-fc",
    "nvme-fabrics",
    "bnx2fc",
    "bnx2i",
    "be2iscsi",
    "cxgb3i",
    "cxgb4i",
    "libcxgbi",
    "qedf",
    "qedi",
    "fcoe",
    "csiostor",
    "dm-vdo",
    "dm-writecache",
    "dm-zoned",
    "dm-clone",
    "bcache",
    "pcmcia",
    "drbd_transport_tcp",
    "tcm_qla2xxx",
    "ib_srp",
    "dm-pcache",
];

/// Modules that are loaded whatever hardware there is: quicker checksums than the built-in ones. What each mode needs beyond
/// its hardware, init asks for by itself.
pub const ALWAYS: &[&str] = &["crc32c-intel", "sha256-ssse3"];

/// Further modules that are taken, with what they depend on: what init asks for outside of [`FOLDERS`], virtual buses, EFI
/// variables (they name the disk), and keyboards for Ctrl-Alt-Del at a stop.
const FURTHER: &[&str] = &[
    "crc32c_generic",
    "hv_vmbus",
    "vmd",
    "uas",
    "loop",
    "dm-mod",
    "dm-verity",
    "xen_wdt",
    "efivarfs",
    "usbhid",
    "hid-generic",
];

/// Packs the initrd and returns its size.
///
/// # Errors
/// When a module is missing, a tool fails, or the result is larger than [`LIMIT`].
pub fn pack(
    paths: &Paths,
    init: &Path,
    identity: &RootIdentity,
    epoch: u64,
    out: &Path,
) -> Result<u64> {
    let base = drivers(paths, epoch)?;
    let stage = fresh_dir(&paths.target.join("root/initrd-head"))?;
    for dir in ["bedplate", "dev", "proc", "sys", "run", "sysroot", "tmp"] {
        std::fs::create_dir(stage.join(dir))?;
    }
    std::fs::copy(init, stage.join("init")).with_context(|| {
        format!(
            "{} is not built: run `./ci/setup` and build it statically",
            init.display()
        )
    })?;
    std::fs::write(
        stage.join(slots::names::INITRD_IDENTITY.trim_start_matches('/')),
        serde_json::to_vec_pretty(identity)?,
    )?;
    std::fs::write(
        stage.join("bedplate/modules-load"),
        ALWAYS.join("\n") + "\n",
    )?;
    cpio::pack(paths, &stage, epoch, out)?;
    let mut joined = std::fs::read(out)?;
    joined.extend(std::fs::read(base)?);
    std::fs::write(out, joined)?;
    let size = file_size(out)?;
    if size > LIMIT {
        bail!(
            "the initrd has {size} bytes, more than the {LIMIT} it may have: leave out modules in image-build/src/initrd.rs"
        );
    }
    Ok(size)
}

/// The compressed archive of drivers, made anew when the kernel or the choice of modules changed.
fn drivers(paths: &Paths, epoch: u64) -> Result<std::path::PathBuf> {
    let kernel = kernel_release(paths)?;
    let archive = paths.target.join("root/initrd-drivers.zst");
    let stamp = archive.with_extension("stamp");
    let key = {
        let mut hash = Sha256::new();
        hash.update(format!(
            "2 {kernel} {FOLDERS:?} {LEFT_OUT:?} {ALWAYS:?} {FURTHER:?}"
        ));
        hex::encode(hash.finalize())
    };
    if archive.is_file() && std::fs::read_to_string(&stamp).is_ok_and(|s| s == key) {
        return Ok(archive);
    }
    let from = paths.tree().join("usr/lib/modules").join(&kernel);
    let wanted = choose(
        &std::fs::read_to_string(from.join("modules.dep")).context("modules.dep of the tree")?,
    )?;
    let stage = fresh_dir(&paths.target.join("root/initrd-drivers"))?;
    let to = stage.join("usr/lib/modules").join(&kernel);
    for module in &wanted {
        let place = to.join(module);
        std::fs::create_dir_all(place.parent().context("a module lies in a folder")?)?;
        std::fs::copy(from.join(module), &place).with_context(|| format!("module {module}"))?;
    }
    for list in [
        "modules.builtin",
        "modules.builtin.modinfo",
        "modules.order",
    ] {
        std::fs::copy(from.join(list), to.join(list))?;
    }
    std::os::unix::fs::symlink("usr/lib", stage.join("lib"))?;
    // Unpacked modules: the archive as a whole compresses better than each alone, and the init stays simple.
    Tool::locked(paths, "sh")
        .args([
            "-eu",
            "-c",
            "find \"$1\" -name '*.ko.xz' -exec xz -d {} +",
            "unpack",
        ])
        .arg(&stage)
        .quiet()
        .run()?;
    Tool::locked(paths, "depmod")
        .arg("--basedir")
        .arg(&stage)
        .arg(&kernel)
        .quiet()
        .run()?;
    for unused in [
        "modules.alias.bin",
        "modules.builtin.alias.bin",
        "modules.builtin.bin",
        "modules.dep.bin",
        "modules.symbols",
        "modules.symbols.bin",
        "modules.devname",
    ] {
        crate::tool::remove_all(&to.join(unused))?;
    }
    copy_firmware(paths, &stage)?;
    let plain = archive.with_extension("cpio");
    cpio::pack(paths, &stage, epoch, &plain)?;
    Tool::locked(paths, "zstd")
        .args(["-19", "-T1", "-q", "-f", "--no-check"])
        .arg(&plain)
        .arg("-o")
        .arg(&archive)
        .run()?;
    std::fs::remove_file(&plain)?;
    std::fs::write(&stamp, key)?;
    Ok(archive)
}

/// The modules to take, as paths below the kernel's folder, with everything they depend on.
fn choose(modules_dep: &str) -> Result<BTreeSet<String>> {
    let mut dependencies: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut by_name: BTreeMap<String, &str> = BTreeMap::new();
    for line in modules_dep.lines() {
        let Some((module, needs)) = line.split_once(':') else {
            continue;
        };
        dependencies.insert(module, needs.split_whitespace().collect());
        by_name.insert(name_of(module), module);
    }
    let left_out: BTreeSet<String> = LEFT_OUT.iter().map(|m| m.replace('-', "_")).collect();
    let in_folder = |module: &str| {
        FOLDERS
            .iter()
            .any(|f| module.starts_with(&format!("kernel/{f}/")))
    };
    let mut wanted = BTreeSet::new();
    let mut queue: Vec<&str> = dependencies
        .keys()
        .copied()
        .filter(|m| in_folder(m) && !left_out.contains(&name_of(m)))
        .collect();
    for name in ALWAYS.iter().chain(FURTHER) {
        // What is built into this kernel has no module: nothing to take.
        queue.extend(by_name.get(&name.replace('-', "_")));
    }
    while let Some(module) = queue.pop() {
        if wanted.insert(module.to_string()) {
            queue.extend(
                dependencies.get(module).with_context(|| {
                    format!("modules.dep names {module} but has no line for it")
                })?,
            );
        }
    }
    for needed in [
        "dm_verity",
        "squashfs",
        "overlay",
        "ext4",
        "isofs",
        "nvme",
        "ahci",
        "virtio_blk",
        "sd_mod",
    ] {
        if !wanted.iter().any(|m| name_of(m) == needed) {
            bail!(
                "the kernel of the tree has no module {needed}, without which the initrd opens no root"
            );
        }
    }
    Ok(wanted)
}

/// Name of a module from its path, as the kernel spells it.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

/// Copies the firmware files that the staged modules name, where the tree has them.
fn copy_firmware(paths: &Paths, stage: &Path) -> Result<()> {
    let listed = Tool::locked(paths, "sh")
        .args([
            "-eu",
            "-c",
            "find \"$1\" -name '*.ko' -exec modinfo -F firmware {} + | LC_ALL=C sort -u",
            "firmware",
        ])
        .arg(stage)
        .quiet()
        .run()?;
    let tree = paths.tree().join("usr/lib/firmware");
    for name in listed.lines().filter(|n| !n.contains("..")) {
        let from = tree.join(name);
        if from.is_file() {
            let to = stage.join("usr/lib/firmware").join(name);
            std::fs::create_dir_all(to.parent().context("firmware lies in a folder")?)?;
            std::fs::copy(from, to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "kernel/drivers/nvme/host/nvme.ko.xz: kernel/drivers/nvme/host/nvme-core.ko.xz\n\
kernel/drivers/nvme/host/nvme-core.ko.xz: kernel/drivers/nvme/common/nvme-auth.ko.xz\n\
kernel/drivers/nvme/common/nvme-auth.ko.xz:\n\
kernel/drivers/nvme/host/nvme-tcp.ko.xz: kernel/drivers/nvme/host/nvme-core.ko.xz\n\
kernel/drivers/ata/ahci.ko.xz:\nkernel/drivers/block/virtio_blk.ko.xz:\nkernel/drivers/scsi/sd_mod.ko.xz:\n\
kernel/drivers/md/dm-verity.ko.xz:\nkernel/fs/squashfs/squashfs.ko.xz:\nkernel/fs/overlayfs/overlay.ko.xz:\n\
kernel/fs/ext4/ext4.ko.xz:\nkernel/fs/isofs/isofs.ko.xz:\nkernel/sound/snd.ko.xz:\n";

    #[test]
    fn drivers_come_with_what_they_need_and_without_the_rest() {
        let wanted = choose(DEP).unwrap();
        assert!(wanted.contains("kernel/drivers/nvme/common/nvme-auth.ko.xz"));
        assert!(!wanted.contains("kernel/drivers/nvme/host/nvme-tcp.ko.xz"));
        assert!(!wanted.contains("kernel/sound/snd.ko.xz"));
    }

    #[test]
    fn a_kernel_without_verity_is_refused() {
        let error = choose(&DEP.replace("dm-verity", "dm-other"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("no module dm_verity"), "{error}");
    }
}
