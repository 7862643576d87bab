//! The cases that install: one for each kind of firmware, disk and network card, and what is shown on each.

use super::guests::{self, Kind};
use crate::case::Run;
use crate::disk::{Image, fingerprint};
use crate::host::Host;
use crate::host_checks::{self, Check};
use crate::installation::{DISK_MIB, Entries, Hardware, Installation, Wishes, install};
use crate::machine::Machine;
use crate::qemu::{Bus, Disk, Nic};
use anyhow::{Context, Result, ensure};
use slots::Layout;
use slots::block::{Access, BlockDevice, FileDevice};
use slots::gpt::{Guids, write_table};

/// What DHCP gives in QEMU's network.
const DHCP_ADDRESS: &str = "10.0.2.15";

/// BIOS with a virtio disk: the whole life of a host. Install, first boot, login at the console, guests, restart with
/// nothing lost, reset button, rescue entry.
///
/// # Errors
/// What does not work.
pub fn bios_virtio(run: &mut Run) -> Result<()> {
    let hardware = Hardware {
        uefi: false,
        secure_boot: false,
        bus: Bus::Virtio,
        nic: Nic::Virtio,
        serial: "BPVIRTIO01",
    };
    let disk = "match = { serial = \"BPVIRTIO01\" }";
    let wishes = Wishes {
        hostname: "bp-bios",
        disk,
        network: "dhcp = true",
        pull_medium: false,
    };
    let installation = install(run, hardware, wishes)?;
    let before = fingerprint(&installation.disk.path)?;

    let machine = installation.boot(run, Entries::Lost, "host")?;
    let mut host = Host::come_up(run, machine, &installation.key, None, "first boot")?;
    run.look("look at the host", |run| {
        host_checks::run_all(
            run,
            &host.ssh,
            &host_checks::under_xen("bp-bios", DHCP_ADDRESS),
            "first-boot",
        )?;
        host.ssh.get(
            "/state/bedplate/install/report.json",
            &run.file("report.json"),
            run.bench.limit(10),
        )
    })?;
    run.look("log in at the serial console", |run| {
        host.console_login(run, "bp-bios", crate::answers::PASSWORD)
    })?;
    run.look("a PV guest", |run| guests::start(run, &host, Kind::Pv))?;
    run.look("a PVH guest", |run| guests::start(run, &host, Kind::Pvh))?;

    host.ssh.run(
        "echo one > /root/kept && echo two > /etc/kept && echo three > /var/lib/kept && sync",
        run.bench.limit(10),
    )?;
    host.restart(run, None, "second boot")?;
    let kept = || {
        vec![
            Check::is(
                "files in /root, /etc and /var are kept",
                "cat /root/kept /etc/kept /var/lib/kept",
                "one\ntwo\nthree",
            ),
            Check::has(
                "the loader's state is readable",
                "cat /boot/efi/grub/state.env",
                &["# GRUB Environment Block\n"],
            ),
            Check::new(
                "the new root was on trial and is good now",
                "grep -E '^(good|try|tries)=' /boot/efi/grub/state.env; ls /boot/efi/bedplate",
                was_on_trial,
            ),
        ]
    };
    run.look("look at the host again", |run| {
        host_checks::run_all(run, &host.ssh, &kept(), "second-boot")
    })?;

    // Without a word to the system: what it was writing must be repaired by the next boot.
    host.reset(run, Some("rescue"), "rescue")?;
    run.look("look at the rescue system", |run| {
        let mut checks = host_checks::everywhere("bp-bios", DHCP_ADDRESS);
        checks.extend(kept());
        checks.push(host_checks::mode("rescue"));
        checks.push(Check::is(
            "the login prompt says what this is",
            "grep -c 'Mode .*rescue: bare Linux' /run/issue.d/50-bedplate.issue",
            "1",
        ));
        checks.push(Check::is(
            "there is no hypervisor below",
            "cat /sys/hypervisor/type 2>/dev/null || echo none",
            "none",
        ));
        host_checks::run_all(run, &host.ssh, &checks, "rescue")
    })?;
    host.power_off(run)?;
    drop(host);
    ensure!(
        fingerprint(&installation.disk.path)? == before,
        "the overlay let writes through to the installed disk"
    );
    Ok(())
}

/// UEFI with an NVMe disk of 4096-byte sectors, an Intel network card and a static address: booted by the host's own boot
/// entry, and by the fallback path as on a new main board. The demo shows 512-byte sectors.
///
/// # Errors
/// What does not work.
pub fn uefi_nvme(run: &mut Run) -> Result<()> {
    let hardware = Hardware {
        uefi: true,
        secure_boot: false,
        bus: Bus::Nvme4k,
        nic: Nic::E1000e,
        serial: "BPNVME4K",
    };
    let disk = "match = { transport = \"nvme\", size_min = \"20 GiB\" }";
    // QEMU forwards to .15 only.
    let network = "[network.static]\naddress = \"10.0.2.15/24\"\ngateway = \"10.0.2.2\"\ndns = [\"10.0.2.3\"]";
    let wishes = Wishes {
        hostname: "bp-nvme",
        disk,
        network,
        pull_medium: true,
    };
    let more = vec![
        Check::new(
            "the firmware booted the host's own entry",
            "efibootmgr",
            own_entry,
        ),
        Check::has(
            "the address is the fixed one",
            "networkctl status xenbr0",
            &["10.0.2.15", "10.0.2.3"],
        ),
        Check::is(
            "the disk has 4096-byte sectors",
            "cat /sys/block/nvme0n1/queue/logical_block_size",
            "4096",
        ),
    ];
    let installation = install(run, hardware, wishes)?;
    let machine = installation.boot(run, Entries::Kept, "host")?;
    comes_up(run, machine, &installation, wishes, more)?;

    let machine = installation.boot(run, Entries::Lost, "new-board")?;
    let host = Host::come_up(run, machine, &installation.key, None, "on a new board")?;
    run.look("the fallback path started it", |run| {
        let checks = [Check::new(
            "the firmware booted an entry of its own making",
            "efibootmgr",
            firmware_entry,
        )];
        host_checks::run_all(run, &host.ssh, &checks, "new-board")
    })
}

/// BIOS with a SATA disk, taken by its path; later with the disk of another Bedplate beside it.
///
/// # Errors
/// What does not work.
pub fn bios_ahci(run: &mut Run) -> Result<()> {
    let hardware = Hardware {
        uefi: false,
        secure_boot: false,
        bus: Bus::Ahci,
        nic: Nic::E1000e,
        serial: "BPSATA01",
    };
    let wishes = Wishes {
        hostname: "bp-sata",
        disk: "path = \"/dev/sda\"",
        network: "dhcp = true",
        pull_medium: false,
    };
    let more = vec![
        Check::is(
            "the disk is the SATA one",
            "lsblk -dno SERIAL,TRAN /dev/disk/by-id/ata-QEMU_HARDDISK_BPSATA01 | tr -s ' '",
            "BPSATA01 sata",
        ),
        Check::is(
            "the other disk gets a volume group of the same name",
            MAKE_OTHER_STORAGE,
            "2",
        ),
        Check::is(
            "of two storage repositories the host sees its own",
            "vgs --noheadings -o vg_name,pv_count bedplate | tr -s ' '; xe sr-list --minimal | tr ',' '\n' | wc -l",
            "bedplate 1\n1",
        ),
    ];
    let installation = install(run, hardware, wishes)?;
    let other = other_bedplate(run)?;
    let machine = installation.boot_beside(run, Entries::Lost, "host", vec![other])?;
    comes_up(run, machine, &installation, wishes, more)
}

/// Makes a volume group `bedplate` on the other disk, past the host's filter, and counts those that are there without it.
const MAKE_OTHER_STORAGE: &str = "part=$(readlink -f /dev/disk/by-id/ata-QEMU_HARDDISK_BPOTHER-part6) && \
     all='devices{global_filter=[\"a|.*|\"]}' && \
     pvcreate -qq --yes --config \"$all\" --devices $part $part && \
     vgcreate -qq --yes --config \"$all\" --devices $part bedplate $part && \
     pvs --noheadings --config \"$all\" -o vg_name | grep -c bedplate";

/// A disk that runs another Bedplate, as far as its partition table tells.
fn other_bedplate(run: &Run) -> Result<Disk> {
    let image = Image::blank(&run.file("other.raw"), DISK_MIB)?;
    let mut device = FileDevice::open(&image.path, Access::Exclusive)?;
    let layout = Layout::plan(device.size(), device.sector_size())?;
    write_table(&mut device, &layout, &Guids::random())?;
    Ok(Disk {
        image,
        bus: Bus::Ahci,
        serial: "BPOTHER".into(),
    })
}

/// Waits for the first boot, looks, switches off.
fn comes_up(
    run: &mut Run,
    machine: Machine,
    installation: &Installation,
    wishes: Wishes,
    more: Vec<Check>,
) -> Result<()> {
    let mut host = Host::come_up(run, machine, &installation.key, None, "first boot")?;
    run.look("look at the host", |run| {
        let mut checks = host_checks::under_xen(wishes.hostname, DHCP_ADDRESS);
        checks.extend(more);
        host_checks::run_all(run, &host.ssh, &checks, "first-boot")?;
        host.ssh.get(
            "/state/bedplate/install/report.json",
            &run.file("report.json"),
            run.bench.limit(10),
        )
    })?;
    host.power_off(run)
}

/// The lines `good=ID`, `try=` and `tries=0`, and the folder of the one root.
fn was_on_trial(output: &str) -> Result<()> {
    let lines: Vec<&str> = output.lines().collect();
    let [good, "try=", "tries=0", id] = lines[..] else {
        anyhow::bail!("the loader's state is another one")
    };
    ensure!(good == format!("good={id}"), "{id} is not the good one");
    Ok(())
}

/// The line of the entry that was booted: `efibootmgr` prints `BootCurrent: 0003` and `Boot0003* Bedplate ...`.
fn booted_entry(output: &str) -> Result<&str> {
    let current = output
        .lines()
        .find_map(|line| line.strip_prefix("BootCurrent: "));
    let Some(current) = current else {
        anyhow::bail!("it names no current entry")
    };
    let start = format!("Boot{}", current.trim());
    output
        .lines()
        .find(|line| line.starts_with(&start))
        .with_context(|| format!("there is no entry {}", current.trim()))
}

fn own_entry(output: &str) -> Result<()> {
    let entry = booted_entry(output)?;
    ensure!(entry.contains("Bedplate"), "the current entry is `{entry}`");
    Ok(())
}

fn firmware_entry(output: &str) -> Result<()> {
    let entry = booted_entry(output)?;
    ensure!(
        !entry.contains("Bedplate"),
        "the host's own entry `{entry}` should be lost"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_entry_is_found() {
        let output = "BootCurrent: 0003\nTimeout: 0 seconds\nBootOrder: 0003,0001\nBoot0001* UEFI QEMU NVMe\nBoot0003* Bedplate\tHD(1)\n";
        own_entry(output).unwrap();
        assert!(firmware_entry(output).is_err());
        let other = output.replace("BootCurrent: 0003", "BootCurrent: 0001");
        assert!(own_entry(&other).is_err());
        firmware_entry(&other).unwrap();
        for unclear in [
            "Boot0003* Bedplate",
            "BootCurrent: 0004\nBoot0003* Bedplate",
        ] {
            assert!(own_entry(unclear).is_err() && firmware_entry(unclear).is_err());
        }
    }
}
