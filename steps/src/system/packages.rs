//! Which Debian package has a program, for the error that says it is missing.

/// Package and its programs, Debian 12 and 13.
const PACKAGES: &[(&str, &[&str])] = &[
    ("apt", &["apt-get", "apt-cache"]),
    ("binutils", &["objcopy", "objdump", "strip"]),
    (
        "coreutils",
        &[
            "chroot",
            "cp",
            "dd",
            "install",
            "sha256sum",
            "sync",
            "truncate",
        ],
    ),
    ("cpio", &["cpio"]),
    ("cryptsetup-bin", &["cryptsetup", "veritysetup"]),
    ("curl", &["curl"]),
    ("dmsetup", &["dmsetup"]),
    ("dosfstools", &["fsck.vfat", "mkfs.fat", "mkfs.vfat"]),
    (
        "e2fsprogs",
        &[
            "e2fsck",
            "fsck.ext4",
            "mke2fs",
            "mkfs.ext4",
            "resize2fs",
            "tune2fs",
        ],
    ),
    ("efibootmgr", &["efibootmgr"]),
    ("ethtool", &["ethtool"]),
    ("gdisk", &["gdisk", "sgdisk"]),
    (
        "grub-common",
        &[
            "grub-editenv",
            "grub-mkimage",
            "grub-mkstandalone",
            "grub-script-check",
        ],
    ),
    ("iproute2", &["bridge", "ip"]),
    ("kmod", &["depmod", "modprobe"]),
    ("libvirt-clients", &["virsh"]),
    (
        "lvm2",
        &["lvs", "pvcreate", "pvs", "vgchange", "vgcreate", "vgs"],
    ),
    ("mdadm", &["mdadm"]),
    ("mmdebstrap", &["mmdebstrap"]),
    ("mount", &["losetup", "mount", "umount"]),
    ("mtools", &["mcopy", "mdir", "mmd"]),
    ("multipath-tools", &["multipath", "multipathd"]),
    ("open-iscsi", &["iscsiadm"]),
    ("openssh-client", &["ssh", "ssh-keygen"]),
    ("openssl", &["openssl"]),
    ("parted", &["parted", "partprobe"]),
    ("qemu-system-x86", &["qemu-system-x86_64"]),
    ("qemu-utils", &["qemu-img"]),
    ("sbsigntool", &["sbsign", "sbverify"]),
    ("smartmontools", &["smartctl"]),
    ("squashfs-tools", &["mksquashfs", "unsquashfs"]),
    (
        "systemd",
        &[
            "journalctl",
            "systemctl",
            "systemd-sysusers",
            "systemd-tmpfiles",
        ],
    ),
    ("udev", &["udevadm"]),
    (
        "util-linux",
        &[
            "blkdiscard",
            "blkid",
            "blockdev",
            "fallocate",
            "flock",
            "hwclock",
            "lsblk",
            "nsenter",
            "unshare",
            "wipefs",
        ],
    ),
    ("xen-utils-common", &["xl", "xenstore-ls"]),
    ("xorriso", &["xorriso"]),
    ("zstd", &["zstd"]),
];

/// The Debian package that has `program` (a name or a path), where known.
pub fn package_of(program: &str) -> Option<&'static str> {
    let name = program.rsplit('/').next().unwrap_or(program);
    PACKAGES
        .iter()
        .find(|(_, programs)| programs.contains(&name))
        .map(|(package, _)| *package)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_and_paths_are_found() {
        assert_eq!(package_of("mkfs.vfat"), Some("dosfstools"));
        assert_eq!(package_of("/usr/sbin/pvcreate"), Some("lvm2"));
        assert_eq!(package_of("mkfs"), None);
        assert_eq!(package_of(""), None);
    }

    #[test]
    fn a_program_has_one_package() {
        let all: Vec<_> = PACKAGES
            .iter()
            .flat_map(|(_, programs)| *programs)
            .collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }
}
