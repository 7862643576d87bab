//! Updates from a repository: an unlicensed host is told, a licensed one downloads, applies, restarts and is good by itself.

use crate::case::Run;
use crate::host::Host;
use crate::host_checks::{self, Check};
use crate::image_builder;
use crate::installation::{Entries, Hardware, Wishes, install};
use crate::next_release::{self, Next};
use crate::qemu::{Bus, Nic};
use crate::web_server::WebServer;
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;

const HOSTNAME: &str = "bp-updates";
/// What DHCP gives in QEMU's network.
const DHCP_ADDRESS: &str = "10.0.2.15";
/// The tested release.
const FIRST: &str = env!("CARGO_PKG_VERSION");
/// The release that the repository holds.
const NEXT: &str = "0.1.99";

/// Runs the case.
///
/// # Errors
/// What does not work.
pub fn run(run: &mut Run) -> Result<()> {
    let offer = run.phase("publish the next release, issue a license", |run| {
        let hotfixes = next_release::hotfixes(run, &[Next::good(NEXT)])?;
        Offer::publish(run, &hotfixes, NEXT)
    })?;
    let hardware = Hardware {
        uefi: false,
        secure_boot: false,
        bus: Bus::Virtio,
        nic: Nic::Virtio,
        serial: "BPUPDATES01",
    };
    let wishes = Wishes {
        hostname: HOSTNAME,
        disk: "match = { serial = \"BPUPDATES01\" }",
        network: "dhcp = true",
        pull_medium: false,
    };
    let installation = install(run, hardware, wishes)?;
    let machine = installation.boot(run, Entries::Lost, "host")?;
    let mut host = Host::come_up(run, machine, &installation.key, None, "first boot")?;
    run.phase("the host is good and runs the tested release", |run| {
        look(run, &host, FIRST, "first-boot")
    })?;
    offer.taken_by_itself(run, &mut host, "no-guests")?;
    run.phase(
        "the next release is good, and nothing more is to do",
        |run| {
            look(run, &host, NEXT, "next-release")?;
            let limit = run.bench.limit(20);
            let states = host
                .ssh
                .run("xe patch-list params=state --minimal", limit)?;
            ensure!(
                states.trim() == "applied",
                "the hotfix is `{}`",
                states.trim()
            );
            let status = update(run, &host)?;
            ensure!(status == "up-to-date", "the status is `{status}`");
            let journal = host
                .ssh
                .run("journalctl --no-pager -o cat -u bedplate-update", limit)?;
            std::fs::write(run.file("journal.txt"), journal)
                .context("journal.txt cannot be written")
        },
    )?;
    host.power_off(run)
}

/// A release in a repository, and a license that has a host take it by itself.
pub(super) struct Offer {
    server: WebServer,
    license: PathBuf,
    version: &'static str,
}

impl Offer {
    /// Serves a repository of the hotfixes, which lead to `version`.
    pub(super) fn publish(run: &Run, hotfixes: &[PathBuf], version: &'static str) -> Result<Offer> {
        // Not in the folder of the case, which holds files alone.
        let out = run.bench.workspace.target().join("update-repository");
        if out.exists() {
            std::fs::remove_dir_all(&out)
                .with_context(|| format!("{} cannot be removed", out.display()))?;
        }
        image_builder::run(run, |command| {
            command
                .arg("repository")
                .arg("--out")
                .arg(&out)
                .args(hotfixes)
        })?;
        Ok(Offer {
            server: WebServer::start(&out)?,
            license: license(run)?,
            version,
        })
    }

    /// Without a license the host is told; with one it downloads, writes and starts the release, restarting as the policy
    /// `restart` lets it.
    pub(super) fn taken_by_itself(
        &self,
        run: &mut Run,
        host: &mut Host,
        restart: &str,
    ) -> Result<()> {
        run.phase(
            "without a license it is told, and fetches metadata alone",
            |run| self.told(run, host, restart),
        )?;
        run.phase("with a license it downloads and writes it", |run| {
            let limit = run.bench.limit(20);
            host.ssh.put(&self.license, "/root/license.token", limit)?;
            let state = host.ssh.run(
                "xe host-license-add license-file=/root/license.token",
                limit,
            )?;
            run.note(state.trim());
            host.machine.serial.skip();
            host.ssh
                .run("systemctl start --no-block bedplate-update.service", limit)
                .map(drop)
        })?;
        host.comes_back(run, None, "the release of the repository")?;
        let asked = self.server.asked();
        let deltas = asked.iter().filter(|path| path.ends_with(".delta")).count();
        run.note(&format!("{deltas} deltas were fetched"));
        ensure!(deltas > 0, "no delta was fetched: {asked:?}");
        Ok(())
    }

    fn told(&self, run: &Run, host: &Host, restart: &str) -> Result<()> {
        let limit = run.bench.limit(20);
        let url = self.server.url();
        host.ssh.run(
            &format!(
                "xe host-update-policy-set repository={url} window=always wave=first restart={restart}"
            ),
            limit,
        )?;
        let status = update(run, host)?;
        ensure!(status == "available", "the status is `{status}`");
        let list = host.ssh.run("xe patch-list params=all", limit)?;
        std::fs::write(run.file("patch-list.txt"), &list)
            .context("patch-list.txt cannot be written")?;
        for words in [
            "available",
            "xe host-update-now",
            "CVE-2026-0001",
            self.version,
        ] {
            ensure!(
                list.contains(words),
                "`xe patch-list` does not say {words}:\n{list}"
            );
        }
        let motd = host.ssh.run("cat /run/motd.d/70-bedplate-updates", limit)?;
        run.note(motd.trim());
        ensure!(motd.contains("xe host-update-now"), "a login says:\n{motd}");
        let issue = host
            .ssh
            .run("cat /run/issue.d/70-bedplate-updates.issue", limit)?;
        ensure!(
            issue.contains("xe host-update-now"),
            "the console says:\n{issue}"
        );
        let asked = self.server.asked();
        let fetched: Vec<_> = asked
            .iter()
            .filter(|path| path.starts_with("/targets/") && !path.ends_with("release.json"))
            .collect();
        ensure!(
            fetched.is_empty() && !asked.is_empty(),
            "an unlicensed host fetched {fetched:?} of {asked:?}"
        );
        Ok(())
    }
}

/// A license for a site: a host that is not activated yet has 30 days in which it updates itself.
fn license(run: &Run) -> Result<PathBuf> {
    let out = run.file("site.license");
    image_builder::run(run, |command| {
        command
            .args(["license", "--customer", "CI", "--sockets", "16"])
            .args(["--site", "CI", "--until", "2099-01-01", "--out"])
            .arg(&out)
    })?;
    Ok(out)
}

/// Everything that a host must show, and the release that it runs.
fn look(run: &Run, host: &Host, version: &'static str, name: &str) -> Result<()> {
    let mut checks = host_checks::under_xen(HOSTNAME, DHCP_ADDRESS);
    checks.push(host_checks::runs_release(version));
    checks.push(Check::has(
        "the timer of the updates runs",
        "systemctl is-active bedplate-update.timer",
        &["active"],
    ));
    host_checks::run_all(run, &host.ssh, &checks, name)
}

/// One run of what the timer starts; returns the status that it comes to.
pub(super) fn update(run: &Run, host: &Host) -> Result<String> {
    let limit = run.bench.limit(60);
    host.ssh
        .run("systemctl start bedplate-update.service", limit)?;
    let status = host.ssh.run(
        "xe host-param-get param-name=updates param-key=status",
        limit,
    )?;
    Ok(status.trim().to_owned())
}
