//! Storage repositories on disks of their own: made by the answers, known by the host, and used.

use crate::case::Run;
use crate::disk::Image;
use crate::host::Host;
use crate::host_checks::{self, Check};
use crate::installation::{Hardware, Installation, Wishes, install_beside};
use crate::qemu::{Boot, Bus, Disk, Nic, Spec};
use anyhow::Result;

const HARDWARE: Hardware = Hardware {
    uefi: false,
    secure_boot: false,
    bus: Bus::Virtio,
    nic: Nic::Virtio,
    serial: "BPSTORE01",
};
/// Serial numbers of the disks for storage, and names of their files.
const MORE: [(&str, &str); 2] = [("BPSTORE02", "second.raw"), ("BPSTORE03", "third.raw")];
/// Mebibytes of such a disk.
const MORE_MIB: u64 = 4 * 1024;
/// The network of the answers, with the storage behind it.
const ANSWERS: &str = r#"dhcp = true

[[storage]]
name = "fast"
match = { serial = "BPSTORE02" }

[[storage]]
name = "archive"
type = "ext"
match = { serial = "BPSTORE03" }
"#;

/// Makes a virtual disk of 64 MiB in the repository of that name, writes a line to its start, and reads the line back as `xe`
/// exports it.
const USE: &str = "use() { \
     sr=$(xe sr-list name-label=\"$1\" --minimal) && \
     vdi=$(xe vdi-create name-label=\"on $1\" virtual-size=64MiB sr-uuid=$sr) && \
     path=$(xe vdi-list uuid=$vdi params=location --minimal) && \
     echo \"written to $1\" | dd of=$path conv=notrunc,fsync status=none && \
     xe vdi-export uuid=$vdi filename=/root/out.raw && head -n 1 /root/out.raw && rm /root/out.raw; }; ";

/// Runs the case.
///
/// # Errors
/// What does not work.
pub fn run(run: &mut Run) -> Result<()> {
    let wishes = Wishes {
        hostname: "bp-storage",
        disk: "match = { serial = \"BPSTORE01\" }",
        network: ANSWERS,
        pull_medium: false,
    };
    let more = more_disks(run)?;
    let installation = install_beside(run, HARDWARE, wishes, &more)?;
    let mut host = boot(run, &installation, &more, "first boot")?;
    run.look("storage on three disks", |run| {
        host_checks::run_all(run, &host.ssh, &made(), "storage")
    })?;
    run.look("a repository goes", |run| {
        host_checks::run_all(run, &host.ssh, &destroyed(), "destroyed")
    })?;
    host.power_off(run)
}

/// The disks for storage: empty, or those of an earlier run where its install is taken.
fn more_disks(run: &Run) -> Result<Vec<Disk>> {
    let disk = |(serial, file): (&str, &str)| {
        let path = run.file(file);
        let image = match run.bench.reuse_install && path.is_file() {
            true => Image::raw(&path),
            false => Image::blank(&path, MORE_MIB)?,
        };
        Ok(Disk {
            image,
            bus: Bus::Virtio,
            serial: serial.into(),
        })
    };
    MORE.into_iter().map(disk).collect()
}

/// Starts the host from overlays of its disks.
fn boot(run: &mut Run, installation: &Installation, more: &[Disk], name: &str) -> Result<Host> {
    let overlay = |base: &Image| {
        let file = base.path.with_extension("qcow2");
        Image::overlay(&run.bench.tools, &file, base)
    };
    let mut spec = Spec {
        boot: Boot::Disk,
        ..HARDWARE.spec(&overlay(&installation.disk)?, None)
    };
    for disk in more {
        spec.disks.push(Disk {
            image: overlay(&disk.image)?,
            ..disk.clone()
        });
    }
    let machine = run.start(&spec, &name.replace(' ', "-"))?;
    Host::come_up(run, machine, &installation.key, None, name)
}

/// What the host must show of its storage.
fn made() -> Vec<Check> {
    vec![
        Check::is(
            "each repository is listed with its kind, the local one first",
            "xe sr-list params=name-label --minimal; xe sr-list params=type --minimal; xe sr-list params=location --minimal",
            "Local storage,fast,archive\nlvm,lvm,ext\nbedplate,bedplate-fast,/srv/storage/archive",
        ),
        Check::is(
            "each volume group is on the disk that was named",
            "for group in bedplate bedplate-fast bedplate-archive; do \
             lsblk -dno SERIAL $(lsblk -no PKNAME -dp $(vgs --noheadings -o pv_name $group)); done",
            "BPSTORE01\nBPSTORE02\nBPSTORE03",
        ),
        Check::has(
            "the files are on ext4 of the whole disk",
            "findmnt -no FSTYPE,SOURCE /srv/storage/archive; test $(df --output=size -B1M /srv/storage/archive | tail -1) -gt 3800 && echo whole",
            &["ext4", "/dev/mapper/bedplate--archive-files", "whole"],
        ),
        Check::is(
            "a virtual disk on each holds what is written to it",
            &format!("{USE} use 'Local storage' && use fast && use archive"),
            "written to Local storage\nwritten to fast\nwritten to archive",
        ),
        Check::is(
            "they are volumes and files",
            "lvs --noheadings -o vg_name --select 'lv_name=~^vdi-' | sort | xargs; ls /srv/storage/archive | grep -c '[.]raw$'",
            "bedplate bedplate-fast\n1",
        ),
        Check::has(
            "the host is good and tells the room in each",
            "for i in $(seq 200); do test -s /run/bedplate/health.json && break; sleep 1; done; \
             grep -o '\"passed\": *true' /run/bedplate/health.json; grep Storage /run/issue.d/50-bedplate.issue",
            &["true", "local: ", "fast: ", "archive: ", "GiB free"],
        ),
    ]
}

/// What comes of taking repositories away.
fn destroyed() -> Vec<Check> {
    vec![
        Check::has(
            "one with a disk in it stays, and so does the local one",
            "for name in fast 'Local storage'; do xe sr-destroy uuid=$(xe sr-list name-label=\"$name\" --minimal) 2>&1; done; true",
            &["SR_NOT_EMPTY", "SR_OPERATION_NOT_SUPPORTED"],
        ),
        Check::is(
            "empty ones go with their volume groups",
            "for name in fast archive; do xe vdi-destroy uuid=$(xe vdi-list name-label=\"on $name\" --minimal) && \
             xe sr-destroy uuid=$(xe sr-list name-label=$name --minimal) || echo failed; done; \
             xe sr-list params=name-label --minimal; vgs --noheadings -o vg_name | xargs; \
             grep -c srv/storage /etc/fstab; wipefs --noheadings /dev/vdb6 /dev/vdc6",
            "Local storage\nbedplate\n0",
        ),
    ]
}
