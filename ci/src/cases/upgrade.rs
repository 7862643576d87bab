//! A host is upgraded from the medium of the next release: what it is stays, the old release is there for the way back, and is started
//! from the boot menu.

use super::hotfix::FIRST;
use crate::case::Run;
use crate::disk::Image;
use crate::host::Host;
use crate::host_checks::{self, Check};
use crate::installation::{Hardware, Installation, Wishes, install, upgrade};
use crate::next_release::{self, Next};
use crate::qemu::{Boot, Bus, Nic, Spec};
use anyhow::{Result, ensure};

const HARDWARE: Hardware = Hardware {
    uefi: true,
    secure_boot: false,
    bus: Bus::Virtio,
    nic: Nic::Virtio,
    serial: "BPUPGRADE1",
};
const HOSTNAME: &str = "bp-upgrade";
/// What DHCP gives in QEMU's network.
const DHCP_ADDRESS: &str = "10.0.2.15";
/// The release of the other medium.
const NEXT: &str = "0.1.97";
const INSTALL: Wishes = Wishes {
    hostname: HOSTNAME,
    disk: "match = { serial = \"BPUPGRADE1\" }",
    network: "dhcp = true\n",
    pull_medium: false,
};
/// The same file with other words for a new host: none of them must count.
const UPGRADE: Wishes = Wishes {
    hostname: "bp-other",
    disk: "match = { serial = \"BPUPGRADE1\" }\nwipe = true\nupgrade = true",
    network: "dhcp = true\n",
    pull_medium: false,
};
/// What is written to a virtual disk, 40 MiB in.
const WORDS: &str = "a guest wrote this";
const FAR: &str = "bs=1M seek=40";

/// Runs the case.
///
/// # Errors
/// What does not work.
pub fn run(run: &mut Run) -> Result<()> {
    let iso = run.phase("make the medium of the next release", |run| {
        next_release::medium(run, Next::good(NEXT))
    })?;
    let installation = install(run, HARDWARE, INSTALL)?;
    let overlay = run.file("host.qcow2");
    let image = Image::overlay(&run.bench.tools, &overlay, &installation.disk)?;
    let mut host = boot(run, &installation, &image, "the old release")?;
    run.phase("the host is good and has something to lose", |run| {
        look(run, &host, FIRST, "old")?;
        host_checks::run_all(run, &host.ssh, &made(), "made")
    })?;
    let limit = run.bench.limit(30);
    let known = host.ssh.run(KNOWN, limit)?;
    let old = host.ssh.run(BOOT_FOLDERS, limit)?.trim().to_owned();
    ensure!(old.len() == 16, "the ESP has not one root but `{old}`");
    host.power_off(run)?;

    upgrade(run, &installation, &iso, UPGRADE, &image)?;
    let mut host = boot(run, &installation, &image, "the new release")?;
    run.look(
        "the new release is good, everything else is what it was",
        |run| {
            look(run, &host, NEXT, "new")?;
            host_checks::run_all(run, &host.ssh, &stayed(known.trim(), &old), "stayed")
        },
    )?;
    run.phase("the report of the upgrade is on the host", |_| {
        let report = host.ssh.run(
            "grep -c '\"result\": \"ok\"' /state/bedplate/upgrade/report.json",
            limit,
        )?;
        ensure!(
            report.trim() != "0",
            "the report of the upgrade is not kept"
        );
        Ok(())
    })?;
    host.restart(run, Some(FIRST), "the old release from the menu")?;
    run.look("the old release runs with what it had", |run| {
        host_checks::run_all(
            run,
            &host.ssh,
            &[
                host_checks::runs_release(FIRST),
                Check::is("its settings", "cat /etc/kept /root/kept", "kept\nkept"),
            ],
            "old-again",
        )
    })?;
    host.power_off(run)
}

/// The roots that have boot files.
const BOOT_FOLDERS: &str = "ls /boot/efi/bedplate";
/// The identities of repository and disk, and what is in it.
const KNOWN: &str = "xe sr-list name-label='Local storage' --minimal; vdi=$(xe vdi-list --minimal); echo $vdi; \
     sha256sum < $(xe vdi-list uuid=$vdi params=location --minimal); cat /etc/machine-id; \
     ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub";

fn boot(run: &mut Run, installation: &Installation, image: &Image, name: &str) -> Result<Host> {
    let spec = Spec {
        boot: Boot::Disk,
        ..HARDWARE.spec(image, installation.variables.as_deref())
    };
    let machine = run.start(&spec, &name.replace(' ', "-"))?;
    Host::come_up(run, machine, &installation.key, None, name)
}

fn look(run: &Run, host: &Host, version: &'static str, name: &str) -> Result<()> {
    let mut checks = host_checks::under_xen(HOSTNAME, DHCP_ADDRESS);
    checks.push(host_checks::runs_release(version));
    host_checks::run_all(run, &host.ssh, &checks, name)
}

fn made() -> Vec<Check> {
    vec![
        Check::is(
            "settings and files",
            "echo kept > /etc/kept && echo kept > /root/kept && sync && cat /etc/kept",
            "kept",
        ),
        Check::is(
            "a virtual disk holds what is written to it",
            &format!(
                "sr=$(xe sr-list name-label='Local storage' --minimal); \
                 vdi=$(xe vdi-create name-label=kept virtual-size=64MiB sr-uuid=$sr); \
                 path=$(xe vdi-list uuid=$vdi params=location --minimal); \
                 dd if=/dev/urandom of=$path bs=1M count=64 conv=fsync status=none; \
                 echo '{WORDS}' | dd of=$path {FAR} conv=notrunc,fsync status=none; sync; \
                 dd if=$path bs=1M skip=40 count=1 status=none | head -n 1"
            ),
            WORDS,
        ),
    ]
}

fn stayed(known: &str, old: &str) -> Vec<Check> {
    vec![
        Check::is("the settings", "cat /etc/kept /root/kept", "kept\nkept"),
        Check::is(
            "repository, disk, every byte of it, and who the host is",
            KNOWN,
            known,
        ),
        Check::is(
            "the old release has its boot files beside the new one's",
            &format!("ls /boot/efi/bedplate | wc -l; ls -d /boot/efi/bedplate/{old}"),
            &format!("2\n/boot/efi/bedplate/{old}"),
        ),
        Check::is(
            "the boot loader knows the old release as the one before",
            &format!("grep -a -c previous={old} /boot/efi/grub/state.env"),
            "1",
        ),
    ]
}
