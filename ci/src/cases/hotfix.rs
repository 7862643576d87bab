//! A hotfix on an installed host: uploaded and applied with `xe`, tried, good, and gone back from by hand.

use crate::case::Run;
use crate::host::Host;
use crate::host_checks::{self, Check};
use crate::installation::{Entries, Hardware, Wishes, install};
use crate::next_release;
use crate::qemu::{Bus, Nic};
use anyhow::{Context, Result, ensure};

const HOSTNAME: &str = "bp-hotfix";
/// What DHCP gives in QEMU's network.
const DHCP_ADDRESS: &str = "10.0.2.15";
/// The tested release.
const FIRST: &str = env!("CARGO_PKG_VERSION");

/// Runs the case.
///
/// # Errors
/// What does not work.
pub fn run(run: &mut Run) -> Result<()> {
    let hotfix = run.phase("make the next release and its hotfix", |run| {
        next_release::hotfix(run)
    })?;
    let hardware = Hardware {
        uefi: true,
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
    let installation = install(run, hardware, wishes)?;
    let machine = installation.boot(run, Entries::Lost, "host")?;
    let mut host = Host::come_up(run, machine, &installation.key, None, "first boot")?;
    run.phase("the host is good and runs the tested release", |run| {
        look(run, &host, FIRST, "first-boot")
    })?;
    run.phase("upload, check and apply the hotfix", |run| {
        apply(run, &host, &hotfix)
    })?;
    host.restart(run, None, "the next release")?;
    run.phase("the next release is good, settings are kept", |run| {
        look(run, &host, next_release::VERSION, "next-release")?;
        let states = patch_states(run, &host)?;
        ensure!(states == "applied", "the hotfix is `{states}`");
        kept(run, &host)
    })?;
    run.phase("go back by hand", |run| {
        let said = host.ssh.run("xe host-rollback", run.bench.limit(20))?;
        run.note(said.trim());
        Ok(())
    })?;
    host.restart(run, None, "back again")?;
    run.phase("the first release runs again", |run| {
        look(run, &host, FIRST, "back-again")?;
        let states = patch_states(run, &host)?;
        ensure!(states == "rolled-back", "the hotfix is `{states}`");
        kept(run, &host)
    })?;
    host.power_off(run)
}

/// Everything that a host must show, and the release that it runs.
fn look(run: &Run, host: &Host, version: &'static str, name: &str) -> Result<()> {
    let mut checks = host_checks::under_xen(HOSTNAME, DHCP_ADDRESS);
    checks.push(Check::has(
        "the running release is the one that it should be",
        "cat /run/bedplate/boot.json",
        &[&format!("\"version\": \"{version}\"")],
    ));
    host_checks::run_all(run, &host.ssh, &checks, name)
}

fn apply(run: &Run, host: &Host, hotfix: &std::path::Path) -> Result<()> {
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
    let states = patch_states(run, host)?;
    ensure!(states == "restart-needed", "the hotfix is `{states}`");
    std::fs::write(
        run.file("patch-list.txt"),
        ssh.run("xe patch-list params=all", limit)?,
    )
    .context("patch-list.txt cannot be written")
}

/// The states of all hotfixes.
fn patch_states(run: &Run, host: &Host) -> Result<String> {
    let states = host
        .ssh
        .run("xe patch-list params=state --minimal", run.bench.limit(10))?;
    Ok(states.trim().to_owned())
}

fn kept(run: &Run, host: &Host) -> Result<()> {
    let kept = host
        .ssh
        .run("cat /etc/kept /root/kept", run.bench.limit(10))?;
    ensure!(kept == "kept\nkept\n", "settings are not kept: `{kept}`");
    Ok(())
}
