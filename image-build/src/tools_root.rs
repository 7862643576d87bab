//! The Debian 13 root that holds every tool whose output matters, so that Debian 12 and 13 build the same bytes.
//!
//! A tool runs by chroot inside a private mount namespace where the workspace, /dev, /proc and /sys stand at their
//! usual paths: arguments need no translation, and nothing stays mounted when the tool has ended, however it ended.

use crate::base_tree::{Bootstrap, bootstrap};
use crate::paths::Paths;
use anyhow::Result;
use std::path::Path;
use std::process::Command;

/// What the tools root holds. QEMU, the firmware of its machines and the software TPM are there for the end-to-end tests;
/// hwinfo, lshw and pciutils for the benchmark that compares `hcl-checker` with them.
pub const PACKAGES: [&str; 27] = [
    "binutils",
    "ca-certificates",
    "cpio",
    "cryptsetup-bin",
    "dosfstools",
    "e2fsprogs",
    "fdisk",
    "gdisk",
    "grub-common",
    "grub-efi-amd64-bin",
    "grub-pc-bin",
    "hwinfo",
    "ipxe-qemu",
    "kmod",
    "lshw",
    "mtools",
    "openssh-client",
    "ovmf",
    "pciutils",
    "qemu-system-x86",
    "qemu-utils",
    "seabios",
    "squashfs-tools",
    "swtpm",
    "xorriso",
    "xz-utils",
    "zstd",
];

/// Makes the tools root where it is missing or was made from another package list.
///
/// # Errors
/// When mmdebstrap fails.
pub fn ensure(paths: &Paths) -> Result<()> {
    bootstrap(paths, &order(paths))?;
    Ok(())
}

/// What the tools root is made of.
pub fn order(paths: &Paths) -> Bootstrap {
    Bootstrap {
        name: "tools",
        directory: paths.tools_root(),
        suite: "trixie".into(),
        components: vec!["main".into()],
        packages: PACKAGES.iter().map(ToString::to_string).collect(),
    }
}

/// Gets everything as arguments: nothing is pasted into shell text. `exec` all along: the process that the caller knows is
/// the program itself, and killing it leaves nothing behind.
const ENTER: &str = r#"
    set -e
    root=$1 work=$2 cwd=$3 program=$4; shift 4
    for dir in /dev /proc /sys /tmp "$work"; do
        mkdir -p "$root$dir"
        mount --rbind "$dir" "$root$dir"
    done
    exec chroot "$root" /usr/bin/env -C "$cwd" PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$program" "$@"
"#;

/// A command that runs `program` in the tools root `root` of the checkout `workspace`. Arguments are added to it as to any
/// command.
pub fn command(root: &Path, workspace: &Path, program: &str) -> Command {
    let cwd = std::env::current_dir()
        .ok()
        .filter(|directory| directory.starts_with(workspace))
        .unwrap_or(workspace.to_owned());
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "--"])
        .args(["sh", "-c", ENTER, "tools-root"])
        .args([root, workspace, &cwd])
        .arg(program);
    command
}
