//! A host on two disks: either disk alone starts it, a half that was away is made whole, a disk is replaced, of two
//! histories one is kept and the other set aside, and a crash leaves a dump on both disks and on one.

use crate::case::Run;
use crate::disk::Image;
use crate::host::Host;
use crate::installation::{DISK_MIB, Hardware, Installation, Wishes, install_beside};
use crate::qemu::{Boot, Bus, Disk, Nic, Spec};
use anyhow::{Result, bail, ensure};
use std::time::{Duration, Instant};

const HARDWARE: Hardware = Hardware {
    uefi: false,
    secure_boot: false,
    bus: Bus::Virtio,
    nic: Nic::Virtio,
    serial: "BPMIRROR01",
};
const SECOND: &str = "BPMIRROR02";

fn disk(image: &Image, serial: &str) -> Disk {
    Disk {
        image: image.clone(),
        bus: Bus::Virtio,
        serial: serial.into(),
    }
}

/// The two disks, as overlays that keep what is written to them from start to start.
struct Pair {
    installation: Installation,
    first: Disk,
    second: Disk,
}

impl Pair {
    fn new(run: &Run, installation: &Installation, name: &str) -> Result<Pair> {
        let overlay = |base: &Image, which: &str| {
            let path = run.file(&format!("{name}-{which}.qcow2"));
            Image::overlay(&run.bench.tools, &path, base)
        };
        let second = Image::raw(&run.file("second.raw"));
        Ok(Pair {
            installation: installation.clone(),
            first: disk(&overlay(&installation.disk, "first")?, HARDWARE.serial),
            second: disk(&overlay(&second, "second")?, SECOND),
        })
    }

    /// Starts the host from the first of `disks`.
    fn boot(&self, run: &mut Run, disks: &[&Disk], name: &str) -> Result<Host> {
        let [first, more @ ..] = disks else {
            bail!("a machine without disks");
        };
        let mut spec = Spec {
            boot: Boot::Disk,
            ..HARDWARE.spec(&first.image, None)
        };
        spec.disks[0].serial.clone_from(&first.serial);
        spec.disks.extend(more.iter().map(|disk| (*disk).clone()));
        let machine = run.start(&spec, &name.replace(' ', "-"))?;
        Host::come_up(run, machine, &self.installation.key, None, name)
    }
}

/// Runs the case.
///
/// # Errors
/// What does not work.
pub fn run(run: &mut Run) -> Result<()> {
    let second = run.file("second.raw");
    if !run.bench.reuse_install || !second.is_file() {
        Image::blank(&second, DISK_MIB)?;
    }
    let wishes = Wishes {
        hostname: "bp-mirror",
        disk: "mirror = true\nmatch = { serial = \"BPMIRROR01\" }\nsecond = { serial = \"BPMIRROR02\" }",
        network: "dhcp = true",
        pull_medium: false,
    };
    let more = [disk(&Image::raw(&second), SECOND)];
    let installation = install_beside(run, HARDWARE, wishes, &more)?;
    one_at_a_time(run, &installation)?;
    two_histories(run, &installation)
}

/// Both disks; the second one is away and comes back; the first one is away.
fn one_at_a_time(run: &mut Run, installation: &Installation) -> Result<()> {
    let pair = Pair::new(run, installation, "pair")?;
    let (first, second) = (&pair.first, &pair.second);

    let mut host = pair.boot(run, &[first, second], "both disks")?;
    run.phase("both disks: the mirror is whole and the host good", |run| {
        whole(run, &host)?;
        good(run, &host)?;
        write(run, &host, "written-by-both")
    })?;
    host.crash_hypervisor(run, "both disks: after a crash")?;
    run.phase("both disks: whole again after the crash", |run| {
        whole(run, &host)
    })?;
    host.power_off(run)?;

    let mut host = pair.boot(run, &[first], "the first disk alone")?;
    run.phase("the first disk alone: degraded, and told", |run| {
        read(run, &host, "written-by-both")?;
        degraded(run, &host)?;
        good(run, &host)?;
        write(run, &host, "written-by-the-first")
    })?;
    host.crash_hypervisor(run, "the first disk alone: after a crash")?;
    run.phase(
        "the first disk alone: still degraded after the crash",
        |run| degraded(run, &host),
    )?;
    host.power_off(run)?;

    let mut host = pair.boot(run, &[first, second], "the second disk is back")?;
    run.phase("the second disk is back: whole again by itself", |run| {
        whole(run, &host)?;
        good(run, &host)
    })?;
    host.power_off(run)?;

    let mut host = pair.boot(run, &[second], "the second disk alone")?;
    run.phase(
        "the second disk alone: with what the first one wrote",
        |run| {
            read(run, &host, "written-by-the-first")?;
            degraded(run, &host)?;
            good(run, &host)
        },
    )?;
    let blank = Image::blank(&run.file("new.raw"), DISK_MIB)?;
    host.power_off(run)?;

    let new = disk(&blank, "BPMIRROR03");
    let mut host = pair.boot(run, &[second, &new], "a new disk")?;
    run.phase("a new disk: one command makes the mirror whole", |run| {
        let said = host
            .ssh
            .run("xe host-disk-replace device=/dev/vdb", run.bench.limit(60))?;
        run.note(said.trim());
        whole(run, &host)
    })?;
    host.power_off(run)?;

    let mut host = pair.boot(run, &[&new], "the new disk alone")?;
    run.phase("the new disk alone starts the host", |run| {
        read(run, &host, "written-by-the-first")?;
        good(run, &host)
    })?;
    host.power_off(run)
}

/// Each half ran alone; then both are there.
fn two_histories(run: &mut Run, installation: &Installation) -> Result<()> {
    let pair = Pair::new(run, installation, "apart")?;
    let (first, second) = (&pair.first, &pair.second);
    for (half, file) in [
        (first, "history-of-the-first"),
        (second, "history-of-the-second"),
    ] {
        let mut host = pair.boot(run, &[half], file)?;
        run.phase(&format!("{file}: runs alone"), |run| {
            write(run, &host, file)
        })?;
        host.power_off(run)?;
    }
    let mut host = pair.boot(run, &[second, first], "two histories")?;
    run.phase(
        "two histories: the booted one is kept, the other set aside",
        |run| {
            read(run, &host, "history-of-the-second")?;
            let limit = run.bench.limit(10);
            wait(run, "the first disk is set aside", || {
                let names = host.ssh.run("lsblk -rno NAME,PARTLABEL /dev/vdb", limit)?;
                Ok(names.contains("vdb5 bedplate-aside"))
            })?;
            host.ssh
                .run("! test -e /root/history-of-the-first", limit)?;
            degraded(run, &host)
        },
    )?;
    host.power_off(run)?;

    let mut host = pair.boot(run, &[first, second], "the half that was set aside")?;
    run.phase(
        "the half that was set aside does not come back by itself",
        |run| {
            read(run, &host, "history-of-the-second")?;
            degraded(run, &host)
        },
    )?;
    host.power_off(run)
}

/// Looks until `reached` says so.
fn wait(run: &Run, what: &str, mut reached: impl FnMut() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    while !reached()? {
        if started.elapsed() > run.bench.limit(30) {
            bail!("in vain waited for this: {what}");
        }
        std::thread::sleep(Duration::from_secs(3));
    }
    run.note(&format!(
        "{what}: after {:.0} s",
        started.elapsed().as_secs_f64()
    ));
    Ok(())
}

fn mdstat(run: &Run, host: &Host) -> Result<String> {
    host.ssh.run("cat /proc/mdstat", run.bench.limit(10))
}

/// All four arrays have both members.
fn whole(run: &Run, host: &Host) -> Result<()> {
    let mut last = String::new();
    let waited = wait(run, "the mirror is whole", || {
        last = mdstat(run, host)?;
        Ok(last.matches("[UU]").count() == 4)
    });
    run.note(&last);
    waited
}

/// The arrays run with one member, and the host says so where an administrator looks.
fn degraded(run: &Run, host: &Host) -> Result<()> {
    let stat = mdstat(run, host)?;
    ensure!(
        !stat.contains("[UU]"),
        "the mirror is not degraded:\n{stat}"
    );
    wait(run, "the console tells that the mirror is degraded", || {
        let issue = host
            .ssh
            .run("cat /run/issue.d/50-bedplate.issue", run.bench.limit(10));
        Ok(issue.is_ok_and(|issue| issue.contains("DEGRADED")))
    })
}

/// Health passed.
fn good(run: &Run, host: &Host) -> Result<()> {
    wait(run, "this boot is good", || {
        let report = host
            .ssh
            .run("cat /run/bedplate/health.json", run.bench.limit(10));
        Ok(report.is_ok_and(|report| report.contains("\"passed\": true")))
    })
}

fn write(run: &Run, host: &Host, file: &str) -> Result<()> {
    let command = format!("echo {file} > /root/{file} && sync");
    host.ssh.run(&command, run.bench.limit(10)).map(drop)
}

fn read(run: &Run, host: &Host, file: &str) -> Result<()> {
    let command = format!("cat /root/{file}");
    let text = host.ssh.run(&command, run.bench.limit(10))?;
    ensure!(text.trim() == file, "/root/{file} holds `{text}`");
    Ok(())
}
