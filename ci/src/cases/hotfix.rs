//! Hotfixes on an installed host: uploaded and applied with `xe`, tried, good; one that is not good is gone back from by the
//! host itself, another one by hand.

use crate::case::Run;
use crate::cases::updates::Offer;
use crate::host::Host;
use crate::host_checks;
use crate::installation::{Entries, Hardware, Installation, ROOT_OPEN, Wishes, install};
use crate::next_release::{self, Defect, Next};
use crate::qemu::{Bus, Nic};
use crate::tiny_guest;
use anyhow::{Context, Result, ensure};
use slots::grub_cfg::{GRUB_CFG, GRUB_CFG_FILE};
use slots::names::{BOOT_LOADERS, EFI_FALLBACK, EFI_VENDOR};
use std::path::Path;
use std::time::Duration;

const HOSTNAME: &str = "bp-hotfix";
/// What DHCP gives in QEMU's network.
const DHCP_ADDRESS: &str = "10.0.2.15";
/// The next release.
pub(super) const NEXT: &str = "0.1.97";
/// The release that a licensed host takes by itself.
const LAST: &str = "0.1.99";
/// The tested release.
pub(super) const FIRST: &str = env!("CARGO_PKG_VERSION");
const GUEST: &str = "tiny";
/// Until the hypervisor restarts a host that hangs, from the initrd on (`slots::boot_options`).
const WATCHDOG: Duration = Duration::from_secs(900);

/// The life of a host: a good hotfix, with a guest that is back after it; one whose toolstack does not start; a license, and
/// the next good one comes by itself from a repository.
///
/// # Errors
/// What does not work.
pub fn run(run: &mut Run) -> Result<()> {
    let hotfixes = run.phase("make the next releases and their hotfixes", |run| {
        next_release::hotfixes(
            run,
            &[
                Next::good(NEXT).with_loaders(),
                Next::bad("0.1.98", Defect::Toolstack),
                Next::good(LAST),
            ],
        )
    })?;
    let [good, broken, last] = &hotfixes[..] else {
        anyhow::bail!("three hotfixes were to be made");
    };
    let offer = run.phase("publish the last release, issue a license", |run| {
        Offer::publish(run, std::slice::from_ref(last), LAST)
    })?;
    // By its entry: a boot through that is what the fallback path waits for.
    let mut host = first_boot(run, Entries::Kept)?;
    run.phase("start a guest that starts with the host", |run| {
        start_guest(run, &host)
    })?;
    let uuid = run.phase("upload, check and apply the hotfix", |run| {
        apply(run, &host, good)
    })?;
    host.restart(run, None, "the next release")?;
    run.phase("the next release is good, settings are kept", |run| {
        look(run, &host, NEXT, "next-release")?;
        expect_state(run, &host, &uuid, "applied")?;
        kept(run, &host)
    })?;
    run.phase("the guest was shut down and is back", |run| {
        host_checks::was_shut_down(run, &host.ssh, GUEST)?;
        guest_runs(run, &host)
    })?;
    run.phase(
        "the new loader is in one path, the old one in the other",
        |run| {
            loaders_are(
                run,
                &host,
                &[(EFI_VENDOR, true), (EFI_FALLBACK, false), (GRUB_CFG, false)],
            )
        },
    )?;
    let broken = run.phase("apply the hotfix that breaks the toolstack", |run| {
        apply(run, &host, broken)
    })?;
    fall_back(run, &mut host, Defect::Toolstack)?;
    run.phase("the host went back by itself and says why", |run| {
        look(run, &host, NEXT, "fallen-back")?;
        expect_state(run, &host, &uuid, "applied")?;
        expect_state(run, &host, &broken, "failed")?;
        let reason = field(run, &host, &broken, "reason")?;
        run.note(&reason);
        ensure!(
            reason.contains("toolstack"),
            "the reason does not name the toolstack: `{reason}`"
        );
        kept(run, &host)
    })?;
    run.phase("the guest is back again", |run| guest_runs(run, &host))?;
    run.phase(
        "the new loader, which started the host, is in both paths",
        |run| {
            loaders_are(
                run,
                &host,
                &[(EFI_VENDOR, true), (EFI_FALLBACK, true), (GRUB_CFG, false)],
            )
        },
    )?;
    // Whatever runs: the guests are shut down with the host, as at any restart.
    offer.taken_by_itself(run, &mut host, "always")?;
    run.phase("the last release came by itself and is good", |run| {
        look(run, &host, LAST, "by-itself")?;
        let states = host.ssh.run(
            "xe patch-list params=version,state --minimal",
            run.bench.limit(20),
        )?;
        run.note(states.trim());
        expect_state(run, &host, &uuid, "superseded")?;
        kept(run, &host)
    })?;
    run.phase("the guest is back once more", |run| {
        host_checks::was_shut_down(run, &host.ssh, GUEST)?;
        guest_runs(run, &host)
    })?;
    host.power_off(run)
}

/// A good hotfix, and back from it by hand, with the settings and the guest of the time between.
///
/// # Errors
/// What does not work.
pub fn by_hand(run: &mut Run) -> Result<()> {
    let hotfixes = run.phase("make the next release and its hotfix", |run| {
        next_release::hotfixes(run, &[Next::good(NEXT).with_loaders()])
    })?;
    let mut host = first_boot(run, Entries::Lost)?;
    let uuid = run.phase("upload, check and apply the hotfix", |run| {
        apply(run, &host, &hotfixes[0])
    })?;
    host.restart(run, None, "the next release")?;
    run.phase("the next release is good, settings are kept", |run| {
        look(run, &host, NEXT, "next-release")?;
        expect_state(run, &host, &uuid, "applied")?;
        kept(run, &host)
    })?;
    run.phase(
        "the new loader is in one path, and the firmware is to start it once",
        |run| {
            loaders_are(run, &host, &[(EFI_VENDOR, true), (EFI_FALLBACK, false)])?;
            let next = host
                .ssh
                .run("efibootmgr | grep BootNext", run.bench.limit(10))?;
            run.note(next.trim());
            Ok(())
        },
    )?;
    run.phase(
        "settings and guests that the first release never saw",
        |run| {
            host.ssh.run(
                "echo since > /etc/since && xe vm-install new-name-label=since template='Linux PVH' no-disk=true && sync",
                run.bench.limit(30),
            )?;
            start_guest(run, &host)
        },
    )?;
    run.phase("go back by hand", |run| {
        // It is asked before anything is left behind, and nobody can be asked.
        let asked = host.ssh.run(
            "xe host-rollback settings=old 2>&1 || true",
            run.bench.limit(20),
        )?;
        let lost = asked
            .lines()
            .find(|line| line.starts_with("Guests that"))
            .unwrap_or_default();
        ensure!(
            lost.contains("since") && lost.contains(GUEST) && asked.contains("force=true"),
            "it is not said what the old settings lose: `{asked}`"
        );
        let said = host.ssh.run("xe host-rollback", run.bench.limit(20))?;
        run.note(said.trim());
        Ok(())
    })?;
    host.restart(run, None, "back again")?;
    run.phase("the first release runs again", |run| {
        look(run, &host, FIRST, "back-again")?;
        expect_state(run, &host, &uuid, "rolled-back")?;
        let since = host.ssh.run(
            "cat /etc/since; xe vm-list name-label=since params=name-label --minimal",
            run.bench.limit(20),
        )?;
        ensure!(
            since == "since\nsince\n",
            "what was made since the hotfix is gone: `{since}`"
        );
        // The older release was started by the newer loader, and does not take it back.
        let shown = loaders_are(run, &host, &[(EFI_VENDOR, false), (EFI_FALLBACK, true)])?;
        ensure!(
            shown.contains(&format!("release: {NEXT}")),
            "the loaders are not known to be those of {NEXT}: `{shown}`"
        );
        kept(run, &host)?;
        // As it was before: with what was written before the update, without what came after it. The newer release has what it
        // left aside too, so that the one that runs is named.
        let old = host.ssh.run(
            "id=$(sed -n 's/.*\"root_id\": \"\\(.*\\)\".*/\\1/p' /run/bedplate/health.json) && \
             cd /state/etc/$id/upper.own && cat kept && { ls -d since 2> /dev/null || true; }",
            run.bench.limit(10),
        )?;
        ensure!(
            old == "kept\n",
            "the settings of before are not kept: `{old}`"
        );
        Ok(())
    })?;
    run.phase("the guest was shut down and is back", |run| {
        host_checks::was_shut_down(run, &host.ssh, GUEST)?;
        guest_runs(run, &host)
    })?;
    host.power_off(run)
}

/// Releases that lose the network, panic and hang: the host is back in the one before each, by itself.
///
/// # Errors
/// What does not work.
pub fn falls_back(run: &mut Run) -> Result<()> {
    const RELEASES: [Next; 3] = [
        Next::bad("0.1.96", Defect::Network),
        Next::bad("0.1.97", Defect::Panic),
        Next::bad("0.1.98", Defect::Hang),
    ];
    let hotfixes = run.phase("make the releases and their hotfixes", |run| {
        next_release::hotfixes(run, &RELEASES)
    })?;
    let mut host = first_boot(run, Entries::Lost)?;
    for (release, hotfix) in RELEASES.iter().zip(&hotfixes) {
        let Some(defect) = release.defect else {
            continue;
        };
        let name = format!("{defect:?}").to_lowercase();
        let uuid = run.phase(&format!("{name}: apply the hotfix"), |run| {
            apply(run, &host, hotfix)
        })?;
        fall_back(run, &mut host, defect)?;
        run.phase(&format!("{name}: the host says why"), |run| {
            look(run, &host, FIRST, &name)?;
            expect_state(run, &host, &uuid, "failed")?;
            let reason = field(run, &host, &uuid, "reason")?;
            run.note(&reason);
            ensure!(!reason.is_empty(), "there is no reason");
            ensure!(
                defect != Defect::Network || reason.contains("network"),
                "the reason does not name the network: `{reason}`"
            );
            kept(run, &host)
        })?;
    }
    host.power_off(run)
}

/// Installs the tested release.
pub(super) fn installed(run: &mut Run, uefi: bool) -> Result<Installation> {
    let hardware = Hardware {
        uefi,
        secure_boot: false,
        bus: Bus::Virtio,
        nic: Nic::Virtio,
        serial: "BPHOTFIX01",
    };
    let wishes = Wishes {
        hostname: HOSTNAME,
        disk: "match = { serial = \"BPHOTFIX01\" }",
        network: "dhcp = true",
        pull_medium: false,
    };
    install(run, hardware, wishes)
}

/// Installs the tested release and waits until it is good.
fn first_boot(run: &mut Run, entries: Entries) -> Result<Host> {
    let installation = installed(run, true)?;
    let machine = installation.boot(run, entries, "host")?;
    let host = Host::come_up(run, machine, &installation.key, None, "first boot")?;
    run.phase("the host is good and runs the tested release", |run| {
        look(run, &host, FIRST, "first-boot")
    })?;
    Ok(host)
}

/// Everything that a host must show, and the release that it runs.
pub(super) fn look(run: &Run, host: &Host, version: &'static str, name: &str) -> Result<()> {
    let mut checks = host_checks::under_xen(HOSTNAME, DHCP_ADDRESS);
    checks.push(host_checks::runs_release(version));
    host_checks::run_all(run, &host.ssh, &checks, name)
}

/// Applies a hotfix and returns its UUID.
fn apply(run: &Run, host: &Host, hotfix: &Path) -> Result<String> {
    let limit = run.bench.limit(30);
    let ssh = &host.ssh;
    ssh.run(
        "echo kept > /etc/kept && echo kept > /root/kept && sync",
        limit,
    )?;
    ssh.put(hotfix, "/root/next.hotfix", limit)?;
    let uuid = ssh.run("xe patch-upload file-name=/root/next.hotfix", limit)?;
    let uuid = uuid.trim();
    ensure!(uuid.len() == 36, "`xe patch-upload` printed `{uuid}`");
    let advice = ssh.run(&format!("xe patch-precheck uuid={uuid} --minimal"), limit)?;
    ensure!(
        advice.trim() == "restartHost",
        "`xe patch-precheck` printed `{advice}`"
    );
    ssh.run(&format!("xe patch-apply uuid={uuid}"), limit * 3)?;
    expect_state(run, host, uuid, "restart-needed")?;
    std::fs::write(
        run.file("patch-list.txt"),
        ssh.run("xe patch-list params=all", limit)?,
    )
    .context("patch-list.txt cannot be written")?;
    Ok(uuid.to_owned())
}

/// A field of a hotfix.
pub(super) fn field(run: &Run, host: &Host, uuid: &str, field: &str) -> Result<String> {
    let line = format!("xe patch-param-get uuid={uuid} param-name={field}");
    let value = host.ssh.run(&line, run.bench.limit(10))?;
    Ok(value.trim().to_owned())
}

pub(super) fn expect_state(run: &Run, host: &Host, uuid: &str, wanted: &str) -> Result<()> {
    let state = field(run, host, uuid, "state")?;
    ensure!(
        state == wanted,
        "the hotfix is `{state}` and should be `{wanted}`: {}",
        field(run, host, uuid, "reason")?
    );
    Ok(())
}

/// Waits until each of the files on the ESP is the one that the running release brings, or is another one, and returns what `xe` says of the
/// loaders. They are looked at right after health, so that a host which is good may not be done with them.
fn loaders_are(run: &Run, host: &Host, files: &[(&str, bool)]) -> Result<String> {
    let shipped = |file: &str| match file {
        GRUB_CFG => GRUB_CFG_FILE,
        _ => "grubx64.efi",
    };
    let conditions: Vec<String> = files
        .iter()
        .map(|(file, same)| {
            let not = if *same { "" } else { "! " };
            format!(
                "{not}cmp -s /boot/efi/{file} {BOOT_LOADERS}/{}",
                shipped(file)
            )
        })
        .collect();
    let all = conditions.join(" && ");
    let shown = host.ssh.run(
        &format!(
            "for i in $(seq 60); do {{ grep -q boot-loaders /run/bedplate/health.json && {all}; }} && break; sleep 1; done; \
             xe host-list params=boot-loaders --minimal; {all}"
        ),
        run.bench.limit(60),
    )?;
    run.note(shown.trim());
    Ok(shown)
}

fn kept(run: &Run, host: &Host) -> Result<()> {
    let kept = host
        .ssh
        .run("cat /etc/kept /root/kept", run.bench.limit(10))?;
    ensure!(kept == "kept\nkept\n", "settings are not kept: `{kept}`");
    Ok(())
}

/// A PV guest with a kernel of its own, known to libvirt, that starts with the host.
fn start_guest(run: &Run, host: &Host) -> Result<()> {
    let limit = run.bench.limit(30);
    let ssh = &host.ssh;
    let initrd = tiny_guest::initrd(run)?;
    ssh.put(&initrd, "/var/lib/guest.cpio", limit)?;
    let domain = format!(
        "<domain type='xen'><name>{GUEST}</name><memory unit='MiB'>192</memory><vcpu>1</vcpu>\
         <os><type arch='x86_64' machine='xenpv'>linux</type><kernel>/var/lib/guest-vmlinuz</kernel>\
         <initrd>/var/lib/guest.cpio</initrd><cmdline>console=hvc0 quiet -- 100000</cmdline></os>\
         <devices><console type='pty'><target type='xen'/></console></devices></domain>\n"
    );
    ssh.feed("cat > /root/guest.xml", domain.as_bytes(), limit)?;
    ssh.run(
        &format!(
            "cp \"$(ls /boot/efi/bedplate/*/vmlinuz | head -n 1)\" /var/lib/guest-vmlinuz && \
             virsh -q -c xen:///system define /root/guest.xml && virsh -q -c xen:///system autostart {GUEST} && virsh -q -c xen:///system start {GUEST} && sync"
        ),
        limit,
    )?;
    guest_runs(run, host)
}

fn guest_runs(run: &Run, host: &Host) -> Result<()> {
    let states = host.ssh.run(
        &format!(
            "for i in $(seq 60); do virsh -q -c xen:///system domstate {GUEST} | grep -q running && break; sleep 1; done; \
             virsh -q -c xen:///system domstate {GUEST}; xl list {GUEST}"
        ),
        run.bench.limit(30),
    )?;
    ensure!(
        states.starts_with("running"),
        "the guest does not run:\n{states}"
    );
    Ok(())
}

/// Restarts into the release that is not good, and waits until the host is back in the one before it.
fn fall_back(run: &mut Run, host: &mut Host, defect: Defect) -> Result<()> {
    let phase = |what: &str| format!("{defect:?}: {what}").to_lowercase();
    host.go_down(run, &format!("{defect:?}").to_lowercase())?;
    run.phase(&phase("loader, hypervisor, initrd"), |run| {
        host.machine
            .serial
            .expect(&[ROOT_OPEN], run.bench.limit(90))?;
        Ok(())
    })?;
    run.phase(&phase("until it is given up"), |run| {
        let end = match defect {
            Defect::Toolstack | Defect::Network => "did not pass",
            Defect::Panic => "Kernel panic",
            // Xen says so (xen/common/sched/core.c, domain_watchdog_timeout).
            Defect::Hang => "Watchdog timer",
        };
        // Of the hypervisor's watchdog, which does not run slower in a slow machine.
        let limit = run.bench.limit(120) + WATCHDOG;
        host.machine.serial.expect(&[end], limit)?;
        Ok(())
    })?;
    host.wait_up(run, None, &phase("fallen back").replace(':', ""))
}
