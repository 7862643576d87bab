//! A host is installed anew on its own disk, and its storage repository stays with what a guest wrote.

use crate::case::Run;
use crate::disk::Image;
use crate::host::Host;
use crate::host_checks::{self, Check};
use crate::installation::{Hardware, Installation, Wishes, install, install_again};
use crate::qemu::{Boot, Bus, Nic, Spec};
use anyhow::Result;

const HARDWARE: Hardware = Hardware {
    uefi: false,
    secure_boot: false,
    bus: Bus::Virtio,
    nic: Nic::Virtio,
    serial: "BPREINST1",
};
/// The first installation.
const OLD: Wishes = Wishes {
    hostname: "bp-old",
    disk: "match = { serial = \"BPREINST1\" }",
    network: "dhcp = true\n",
    pull_medium: false,
};
/// The second one, on what the first one left.
const NEW: Wishes = Wishes {
    hostname: "bp-new",
    disk: "match = { serial = \"BPREINST1\" }\nwipe = true\nreinstall = true\nkeep_storage = true",
    network: "dhcp = true\n",
    pull_medium: false,
};
/// What is written to the virtual disk, and where besides its start: 40 MiB in.
const WORDS: &str = "a guest wrote this";
const FAR: &str = "bs=1M seek=40";

/// Runs the case.
///
/// # Errors
/// What does not work.
pub fn run(run: &mut Run) -> Result<()> {
    let installation = install(run, HARDWARE, OLD)?;
    let overlay = run.file("host.qcow2");
    let image = Image::overlay(&run.bench.tools, &overlay, &installation.disk)?;
    let mut host = boot(run, &installation, &image, "the old host")?;
    run.look("a disk with data", |run| {
        host_checks::run_all(run, &host.ssh, &made(), "made")
    })?;
    let known = host.ssh.run(KNOWN, run.bench.limit(30))?;
    host.power_off(run)?;

    install_again(run, &installation, NEW, &image)?;
    let mut host = boot(run, &installation, &image, "the new host")?;
    run.look("what stayed", |run| {
        host_checks::run_all(run, &host.ssh, &stayed(known.trim()), "stayed")
    })?;
    host.power_off(run)
}

/// The identities of repository and disk, the disk's size, and what is in it.
const KNOWN: &str = "xe sr-list name-label='Local storage' --minimal; vdi=$(xe vdi-list --minimal); echo $vdi; \
     xe vdi-list uuid=$vdi params=virtual-size --minimal; \
     sha256sum < $(xe vdi-list uuid=$vdi params=location --minimal)";

fn boot(run: &mut Run, installation: &Installation, image: &Image, name: &str) -> Result<Host> {
    let spec = Spec {
        boot: Boot::Disk,
        ..HARDWARE.spec(image, None)
    };
    let machine = run.start(&spec, &name.replace(' ', "-"))?;
    Host::come_up(run, machine, &installation.key, None, name)
}

fn made() -> Vec<Check> {
    vec![Check::is(
        "a virtual disk holds what is written to it",
        &format!(
            "sr=$(xe sr-list name-label='Local storage' --minimal); \
             vdi=$(xe vdi-create name-label=kept virtual-size=64MiB sr-uuid=$sr); \
             path=$(xe vdi-list uuid=$vdi params=location --minimal); \
             dd if=/dev/urandom of=$path bs=1M count=64 conv=fsync status=none; \
             echo '{WORDS}' | dd of=$path conv=notrunc,fsync status=none; \
             echo '{WORDS}' | dd of=$path {FAR} conv=notrunc,fsync status=none; \
             head -n 1 $path; echo lost > /root/settings; sync"
        ),
        WORDS,
    )]
}

fn stayed(known: &str) -> Vec<Check> {
    vec![
        Check::is("the host is the new one", "hostname", "bp-new"),
        Check::is(
            "repository, disk and every byte of it are what they were",
            KNOWN,
            known,
        ),
        Check::is(
            "the words are there",
            "path=$(xe vdi-list params=location --minimal); head -n 1 $path; \
             dd if=$path bs=1M skip=40 count=1 status=none | head -n 1",
            &format!("{WORDS}\n{WORDS}"),
        ),
        Check::is(
            "the volume group is whole and the only one",
            "vgs --noheadings -o vg_name,pv_count,vg_missing_pv_count | xargs",
            "bedplate 1 0",
        ),
        Check::is(
            "the rest of the old host is gone",
            "test -e /root/settings || echo gone",
            "gone",
        ),
        Check::is(
            "both copies of the partition table say the same",
            "sfdisk --verify /dev/disk/by-id/virtio-BPREINST1 2>&1 | grep -ci -E 'mismatch|corrupt|overlap|invalid'; true",
            "0",
        ),
        Check::is(
            "a new disk can be made beside the old one",
            "sr=$(xe sr-list name-label='Local storage' --minimal); \
             xe vdi-create name-label=more virtual-size=16MiB sr-uuid=$sr > /dev/null && xe vdi-list params=uuid --minimal | tr , '\\n' | wc -l",
            "2",
        ),
    ]
}
