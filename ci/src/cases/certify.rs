//! A certification from its first command to its report: `hcl-checker certify` typed at the console of an installed host,
//! stopped with Ctrl-C and gone on with, over a restart and a crash, with a peer beside it; then the report in the hands of
//! somebody else.
//!
//! Two runs. In the first everything passes that was asked for, and the report says what a certified machine misses. Then a
//! card with virtual functions is plugged in, with a second host at its other end: an emulated 82576 says that it carries 1000 Mbit/s, and no
//! emulated processor can show that, so this run must say so.

mod report;

use crate::accelerator::Accelerator;
use crate::boot_menu;
use crate::case::Run;
use crate::disk::Image;
use crate::host::Host;
use crate::installation::{Hardware, Installation, Wishes, install};
use crate::qemu::{Boot, Bus, Disk, Nic, Spec};
use crate::ssh::Ssh;
use anyhow::{Context, Result, bail, ensure};
use report::{Test, fetch, other_hands, report, signed, told};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const HOSTNAME: &str = "bp-certify";
/// Serial number of the disk that may be erased.
const ERASED: &str = "BPERASE01";
/// Words in the ids of the tests that the first run does not ask for.
const NOT_ASKED_FOR: [&str; 3] = ["jumbo", "vlan", "crash"];
/// Words in the ids of the tests that the first run passes, and asks less of than a certification takes.
const SHORT: [&str; 5] = ["cpu.load", "memory", "disk.", ".throughput", ".loss"];
/// Hardware address of the card that is plugged in.
const CARD: &str = "52:54:00:be:d0:02";
/// Interfaces, addresses, guests, virtual functions, units and mounts of a host, as the tests could have left them. Numbers
/// of interfaces change with a restart, and whether a cable is noticed yet is no change of ours.
const STATE_OF_MACHINE: &str = "(ip -o link; ip -o -4 address) | cut -d' ' -f2- | sed 's/,LOWER_UP//;s/ qdisc .*link/ link/;s/ valid_lft.*//' | \
     sort; xl list | awk '{print $1,$2}'; \
     cat /sys/bus/pci/devices/*/sriov_numvfs 2>/dev/null; ls /etc/systemd/system | grep hcl-checker; findmnt -rno TARGET | sort";

/// Runs the case.
///
/// # Errors
/// What does not work.
pub fn run(run: &mut Run) -> Result<()> {
    let hardware = Hardware {
        uefi: false,
        secure_boot: false,
        bus: Bus::Virtio,
        nic: Nic::Virtio,
        serial: "BPVIRTIO01",
    };
    let wishes = Wishes {
        hostname: HOSTNAME,
        disk: "match = { serial = \"BPVIRTIO01\" }",
        network: "dhcp = true",
        pull_medium: false,
    };
    let installation = install(run, hardware, wishes)?;
    let wire = tempfile::Builder::new()
        .prefix("bedplate-wire-")
        .tempdir_in("/tmp")?;
    let wire = wire.path().join("wire");
    let machine = run.start(&host_spec(run, &installation, &wire)?, "host")?;
    let mut host = Host::come_up(run, machine, &installation.key, None, "first boot")?;
    run.phase("the host is good", |run| good(run, &host.ssh))?;

    let peer = Peer::start(run)?;
    passes(run, &mut host, &peer)?;
    drop(peer);
    run.look("the report in other hands", |run| other_hands(run, "first"))?;

    let mut other = neighbor(run, &installation, &wire)?;
    plug_in(run, &mut host)?;
    card(run, &mut host)?;
    run.look("the second report in other hands", |run| {
        signed(run, "second").map(drop)
    })?;
    other.power_off(run)?;
    host.power_off(run)
}

/// The host with a disk to erase, a place for the last words of its kernel, and a port to plug a card into.
fn host_spec(run: &Run, installation: &Installation, wire: &Path) -> Result<Spec> {
    let image = Image::overlay(
        &run.bench.tools,
        &run.file("host.qcow2"),
        &installation.disk,
    )?;
    let mut spec = Spec {
        boot: Boot::Disk,
        ..installation.hardware.spec(&image, None)
    };
    spec.disks.push(Disk {
        image: Image::blank(&run.file("erased.raw"), 1024)?,
        bus: Bus::Virtio,
        serial: ERASED.into(),
    });
    let words = run.file("erst.raw");
    spec.further = [
        "-device".to_owned(),
        "pcie-root-port,id=port0,chassis=1".to_owned(),
        "-netdev".to_owned(),
        format!(
            "stream,id=wire,server=on,addr.type=unix,addr.path={}",
            wire.display()
        ),
        // What firmware has for this on servers: an ACPI table ERST before a little memory that survives restarts.
        "-object".to_owned(),
        format!(
            "memory-backend-file,id=words,mem-path={},size=64K,share=on",
            words.display()
        ),
        "-device".to_owned(),
        "acpi-erst,memdev=words".to_owned(),
    ]
    .to_vec();
    Ok(spec)
}

/// Waits until the root is good: before that, a restart is a failed try.
fn good(run: &Run, ssh: &Ssh) -> Result<()> {
    let wait = "for i in $(seq 200); do grep -q '^try=$' /boot/efi/grub/state.env && exit 0; sleep 2; done; exit 1";
    ssh.run(wait, run.bench.limit(70)).map(drop)
}

/// `hcl-checker peer` on the machine that tests, which the host reaches as 10.0.2.2.
struct Peer {
    child: Child,
    port: u16,
}

impl Peer {
    fn start(run: &Run) -> Result<Peer> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let log = std::fs::File::create(run.file("peer.log"))?;
        let child = Command::new(run.bench.workspace.program("hcl-checker")?)
            .args(["peer", "--listen", "127.0.0.1", "--port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("hcl-checker peer did not start")?;
        Ok(Peer { child, port })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself, and has said why in its log.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The wired interface that is a port of the bridge, by the host's own word.
fn management_port(run: &Run, ssh: &Ssh) -> Result<String> {
    let ports = ssh.run(
        "cd /sys/class/net/xenbr0/brif && for port in *; do test -e /sys/class/net/$port/device && echo $port; done; true",
        run.bench.limit(10),
    )?;
    let ports = ports.trim();
    ensure!(
        !ports.is_empty() && !ports.contains('\n'),
        "xenbr0 should have one port of hardware: `{ports}`"
    );
    Ok(ports.to_owned())
}

/// The first run: everything but what needs a peer that may be changed, and crashes. Started at the console, stopped there while a guest runs, gone on with, over
/// a restart, to its report.
fn passes(run: &mut Run, host: &mut Host, peer: &Peer) -> Result<()> {
    let port = management_port(run, &host.ssh)?;
    let options = format!(
        "--cpu-time 5 --memory-time 30 --memory-limit 128 --erase-disk /dev/disk/by-id/virtio-{ERASED} --disk-time 20 \
         --disk-limit 64 --peer {port}=10.0.2.2:{} --net-time 3 --restart",
        peer.port
    );
    let limit = run.bench.limit(20);
    host.ssh.feed(
        "cat > /root/first",
        format!("exec hcl-checker certify --out /root/cert-first {options} \"$@\"\n").as_bytes(),
        limit,
    )?;
    run.look("the plan", |run| {
        let plan = host.ssh.run("sh /root/first --dry-run", limit)?;
        std::fs::write(run.file("plan.txt"), &plan)?;
        run.note(&plan);
        Ok(())
    })?;
    let before = host.ssh.run(STATE_OF_MACHINE, limit)?;
    run.phase("start it at the console", |run| {
        host.console_shell(run, HOSTNAME, crate::answers::PASSWORD)?;
        host.machine.serial.send_line("sh /root/first")?;
        // The guest of the second kind is there, and its test waits for what it says.
        host.machine
            .serial
            .expect(&["kind PVH"], run.bench.limit(120))?;
        let there = "for i in $(seq 100); do xl list hcl-checker-pvh >/dev/null 2>&1 && exit 0; sleep 0.2; done; exit 1";
        host.ssh.run(there, run.bench.limit(30)).map(drop)
    })?;
    run.phase("Ctrl-C leaves the machine as it was", |run| {
        host.machine.serial.send("\x03")?;
        host.machine
            .serial
            .expect(&["the machine is as it was"], run.bench.limit(30))?;
        let after = host.ssh.run(STATE_OF_MACHINE, limit)?;
        std::fs::write(run.file("state-of-machine.txt"), &after)?;
        ensure!(after == before, "before:\n{before}\nafter Ctrl-C:\n{after}");
        let left = host.ssh.run("ls /root/cert-first", limit)?;
        ensure!(
            !left.contains("guest"),
            "files of a guest are left:\n{left}"
        );
        Ok(())
    })?;
    run.phase("go on, to the restart", |run| {
        host.machine.serial.skip();
        host.machine
            .serial
            .send_line("hcl-checker certify --resume --out /root/cert-first")?;
        host.machine
            .serial
            .expect(&["the machine goes down now"], run.bench.limit(300))?;
        host.machine
            .serial
            .expect(&["reboot: Restarting system"], run.bench.limit(40))?;
        Ok(())
    })?;
    run.phase("up again, to the report", |run| {
        boot_menu::wait(&mut host.machine, run.bench.limit(30))?;
        wait_report(run, &host.ssh, "/root/cert-first")
    })?;
    let tests = fetch(run, &host.ssh, "first")?;
    run.look("every test passed that was asked for", |run| {
        let report = report(run, "first")?;
        told(run, &report);
        for (id, test) in &tests {
            let asked_for = !NOT_ASKED_FOR.iter().any(|word| id.contains(word));
            ensure!(
                !asked_for || test.status == "passed",
                "{id}: {} ({})",
                test.status,
                test.reason
            );
        }
        incomplete(&report["certification"], &tests)
    })
}

/// What was not asked for is missing, and what was asked for in small; and a virtual machine is not certified whatever it passes.
fn incomplete(certification: &Value, tests: &BTreeMap<String, Test>) -> Result<()> {
    let not_asked_for = tests
        .iter()
        .filter(|(id, _)| NOT_ASKED_FOR.iter().any(|word| id.contains(word)));
    let mut expected: Vec<String> = not_asked_for
        .map(|(id, test)| format!("{id}: {}", test.reason))
        .collect();
    ensure!(
        expected.len() == 4,
        "one interface, the kernel and Xen: {expected:?}"
    );
    expected.push("Xen runs in a virtual machine here, which is never certified".to_owned());
    expected.sort_unstable();
    let missing = certification["missing"].as_array().into_iter().flatten();
    let (short, mut missing): (Vec<&str>, Vec<&str>) = missing
        .filter_map(Value::as_str)
        .partition(|reason| reason.contains(": tested for less than "));
    missing.sort_unstable();
    let mut short: Vec<&str> = short
        .iter()
        .filter_map(|reason| Some(reason.split_once(": ")?.0))
        .collect();
    short.sort_unstable();
    // The tests are in the order of their ids.
    let is_short = |id: &&str| SHORT.iter().any(|word| id.contains(word));
    let expected_short: Vec<&str> = tests.keys().map(String::as_str).filter(is_short).collect();
    ensure!(
        expected_short.len() == SHORT.len() && short == expected_short,
        "tested for less than a certification takes: {short:?} instead of {expected_short:?}"
    );
    ensure!(
        certification["result"] == "incomplete"
            && certification["failed"] == json!([])
            && missing == expected,
        "the certification is {certification}"
    );
    Ok(())
}

/// Waits until the run that goes on by itself has written its report.
fn wait_report(run: &Run, ssh: &Ssh, folder: &str) -> Result<()> {
    ssh.wait(run.bench.limit(150))?;
    let limit = run.bench.limit(150);
    let started = Instant::now();
    let asked = format!("test -s {folder}/report.html && test -s {folder}/report.json");
    while started.elapsed() < limit {
        // A host that goes down at this moment does not answer.
        let answer = ssh.output(&asked, b"", Duration::from_secs(120));
        if answer.is_ok_and(|output| output.status.success()) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_secs(3));
    }
    let said = "systemctl status --no-pager hcl-checker-resume; journalctl -b --no-pager -u hcl-checker-resume | tail -40";
    let said = ssh.output(said, b"", Duration::from_secs(120))?;
    bail!(
        "no report in {folder} after {} s:\n{}",
        limit.as_secs(),
        String::from_utf8_lossy(&said.stdout)
    )
}

/// A second host at the other end of the wire, on bare Linux: it answers as a peer that may be changed.
fn neighbor(run: &mut Run, installation: &Installation, wire: &Path) -> Result<Host> {
    let overlay = run.file("neighbor.qcow2");
    let image = Image::overlay(&run.bench.tools, &overlay, &installation.disk)?;
    let mut spec = Spec {
        boot: Boot::Disk,
        memory_mib: 2048,
        processors: 1,
        ..installation.hardware.spec(&image, None)
    };
    spec.further = [
        "-netdev".to_owned(),
        format!(
            "stream,id=wire,server=off,addr.type=unix,addr.path={}",
            wire.display()
        ),
        "-device".to_owned(),
        "virtio-net-pci,netdev=wire,mac=52:54:00:be:d0:03,romfile=".to_owned(),
    ]
    .to_vec();
    let machine = run.start(&spec, "neighbor")?;
    let host = Host::come_up(run, machine, &installation.key, Some("rescue"), "neighbor")?;
    run.phase("neighbor: be a peer", |run| {
        let start = "nic=$(grep -l 52:54:00:be:d0:03 /sys/class/net/*/address | cut -d/ -f5) && \
             ip link set $nic up && ip address add 192.0.2.2/24 dev $nic && \
             systemd-run --unit peer hcl-checker peer --interface $nic";
        host.ssh.run(start, run.bench.limit(20)).map(drop)
    })?;
    Ok(host)
}

/// Plugs the card into the running host.
fn plug_in(run: &mut Run, host: &mut Host) -> Result<()> {
    run.phase("plug in a card with virtual functions", |run| {
        let device = json!({
            "driver": "igb", "id": "card", "bus": "port0", "netdev": "wire", "mac": CARD, "romfile": "",
        });
        host.machine.qmp.call("device_add", device)?;
        let wait = format!(
            "for i in $(seq 60); do grep -l {CARD} /sys/class/net/*/address 2>/dev/null | cut -d/ -f5 | grep . && exit 0; \
             sleep 1; done; dmesg | tail -30; lspci; exit 1"
        );
        let name = host.ssh.run(&wait, run.bench.limit(20))?;
        run.note(&format!("it is {}", name.trim()));
        Ok(())
    })
}

/// The second run: the card, its virtual functions, and crashes of dom0's kernel and of Xen.
fn card(run: &mut Run, host: &mut Host) -> Result<()> {
    let limit = run.bench.limit(20);
    let find = format!("grep -l {CARD} /sys/class/net/*/address | cut -d/ -f5 | head -1");
    let nic = host.ssh.run(&find, limit)?.trim().to_owned();
    let before = host.ssh.run(STATE_OF_MACHINE, limit)?;
    run.phase("test the card, and crash", |run| {
        let start = format!(
            "systemd-run --unit second --property=Environment=HOME=/root hcl-checker certify --out /root/cert-second \
             --only nic.{nic} --only sriov --only log --only crash --peer {nic}=192.0.2.2 --address {nic}=192.0.2.1/24 \
             --net-time 3 --vlan 5 --sriov --crash kernel --crash xen"
        );
        host.machine.serial.skip();
        host.ssh.run(&start, limit)?;
        // Word by word: each of these alone ends every wait that is not for it.
        for word in ["Kernel panic", "not syncing:", "sysrq triggered crash"] {
            host.machine.serial.expect(&[word], run.bench.limit(200))?;
        }
        Ok(())
    })?;
    run.phase("up again after dom0's crash, and the hypervisor's", |run| {
        dumped(run, host)?;
        let limit = run.bench.limit(200);
        host.machine
            .serial
            .expect(&["triggering crashdump"], limit)?;
        Ok(())
    })?;
    run.phase("up again after that, to the report", |run| {
        dumped(run, host)?;
        wait_report(run, &host.ssh, "/root/cert-second")
    })?;
    let tests = fetch(run, &host.ssh, "second")?;
    run.look("the tests of the card", |run| {
        told(run, &report(run, "second")?);
        judge_card(run, &nic, &tests)
    })?;
    run.look("the machine is as it was", |run| {
        let after = host.ssh.run(STATE_OF_MACHINE, run.bench.limit(20))?;
        ensure!(after == before, "before:\n{before}\nafter:\n{after}");
        Ok(())
    })
}

/// The crash kernel writes the dump and restarts the machine.
fn dumped(run: &Run, host: &mut Host) -> Result<()> {
    host.dumped(run.bench.limit(60))?;
    boot_menu::wait(&mut host.machine, run.bench.limit(60))
}

fn judge_card(run: &Run, nic: &str, tests: &BTreeMap<String, Test>) -> Result<()> {
    let test = |id: &str| tests.get(id).with_context(|| format!("no test {id}"));
    let mut wrong = Vec::new();
    let links = ["link", "jumbo", "vlan"].map(|part| format!("nic.{nic}.{part}"));
    let sriov = tests.keys().filter(|id| id.starts_with("sriov")).cloned();
    let passed: Vec<String> = links.into_iter().chain(sriov).collect();
    ensure!(
        passed.len() == 4,
        "one card has virtual functions: {passed:?}"
    );
    for id in passed
        .iter()
        .map(String::as_str)
        .chain(["crash.kernel", "crash.xen"])
    {
        let test = test(id)?;
        if test.status != "passed" {
            wrong.push(format!("{id}: {} ({})", test.status, test.reason));
        }
    }
    for (id, word) in [
        ("crash.kernel", "sysrq triggered crash"),
        ("crash.xen", "triggering crashdump"),
    ] {
        let measurements = &test(id)?.measurements;
        if !measurements.contains(word) {
            wrong.push(format!(
                "the dump of {id} does not tell of it: {measurements}"
            ));
        }
    }
    // A thousand megabits are too much for an emulated processor, and nothing else may be the reason.
    let emulated = run.bench.accelerator == Accelerator::Emulation;
    for (part, word) in [
        ("throughput", "which is less than 800"),
        ("loss", "datagrams were lost"),
    ] {
        let test = test(&format!("nic.{nic}.{part}"))?;
        let slow = emulated && test.status == "failed" && test.reason.contains(word);
        if test.status != "passed" && !slow {
            wrong.push(format!("{part}: {} ({})", test.status, test.reason));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
