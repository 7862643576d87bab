//! Certification of an installed host: test guests of every kind under Xen, and a report that holds when it is checked
//! elsewhere.

use crate::case::Run;
use crate::host::Host;
use crate::installation::{Entries, Hardware, Wishes, install};
use crate::process;
use crate::qemu::{Bus, Nic};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

/// Nothing failed, and not everything ran (`hcl-checker certify --help`).
const INCOMPLETE: i32 = 4;
/// Tests that the machine of the case can pass.
const WANTED: [&str; 5] = [
    "cpu.topology",
    "cpu.virtualization",
    "guest.pv",
    "guest.pvh",
    "guest.hvm",
];

/// Installs, boots, certifies, and checks the report on this machine.
///
/// # Errors
/// What does not work.
pub fn certify(run: &mut Run) -> Result<()> {
    let hardware = Hardware {
        uefi: false,
        bus: Bus::Virtio,
        nic: Nic::Virtio,
        serial: "BPCERT01",
    };
    let wishes = Wishes {
        hostname: "bp-cert",
        disk: "match = { serial = \"BPCERT01\" }",
        network: "dhcp = true",
        pull_medium: false,
    };
    let program = run.bench.workspace.program("hcl-checker")?;
    let installation = install(run, hardware, wishes)?;
    let machine = installation.boot(run, Entries::Lost, "host")?;
    let mut host = Host::come_up(run, machine, &installation.key, None, "first boot")?;
    run.look("certify", |run| {
        // The one under test, which may be newer than the one in the image.
        let limit = run.bench.limit(20);
        host.ssh.put(&program, "/root/hcl-checker", limit)?;
        let only: Vec<String> = WANTED.iter().map(|id| format!("--only {id}")).collect();
        let line = format!(
            "/root/hcl-checker certify --out /root/report {}",
            only.join(" ")
        );
        let output = host.ssh.output(&line, b"", run.bench.limit(200))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        run.note(&said);
        std::fs::write(run.file("certify.txt"), &said)?;
        for name in ["report.json", "report.json.sig", "report.html"] {
            host.ssh
                .get(&format!("/root/report/{name}"), &run.file(name), limit)?;
        }
        ensure!(
            output.status.code() == Some(INCOMPLETE),
            "certify should have ended with {INCOMPLETE} and ended with {}",
            output.status
        );
        let report: Value = serde_json::from_slice(&std::fs::read(run.file("report.json"))?)?;
        passed(&report)?;
        let left = host
            .ssh
            .run("xl list | grep hcl-checker || echo none", limit)?;
        ensure!(left.trim() == "none", "guests are left:\n{left}");
        let mut verify = Command::new(&program);
        verify
            .args(["report", "verify"])
            .arg(run.file("report.json"));
        process::run(&mut verify, b"", Duration::from_secs(60)).map(drop)
    })?;
    host.power_off(run)
}

/// Every test that this machine can pass did.
fn passed(report: &Value) -> Result<()> {
    let tests = report["tests"]
        .as_array()
        .context("the report has no tests")?;
    for id in WANTED {
        let test = tests.iter().find(|test| test["id"] == id);
        let test = test.with_context(|| format!("the report has no test {id}"))?;
        ensure!(
            test["status"] == "passed",
            "{id}: {} ({})",
            test["status"],
            test["reason"]
        );
    }
    Ok(())
}
