//! The host after the power came back: it starts a whole release, says the truth about the hotfix, and finishes.

use super::cuts::Cuts;
use crate::case::Run;
use crate::cases::hotfix::{self, FIRST, NEXT};
use crate::disk::Image;
use crate::host::Host;
use crate::installation::Installation;
use crate::qemu::{Boot, Spec};
use anyhow::{Context, Result, ensure};
use std::path::Path;

/// Starts the host from the disk that the power cut left, and has it finish.
pub(super) fn survive(
    run: &mut Run,
    installation: &Installation,
    cuts: &Cuts,
    hotfix: &Path,
    name: &str,
) -> Result<()> {
    let file = name.replace(' ', "-");
    let overlay = run.file(&format!("{file}.qcow2"));
    let disk = Image::raw(&run.file("disk.raw"));
    let image = Image::overlay(&run.bench.tools, &overlay, &disk)?;
    let spec = Spec {
        boot: Boot::Disk,
        ..installation.hardware.spec(&image, None)
    };
    let machine = run.start(&spec, &file)?;
    let mut host = Host::come_up(run, machine, &installation.key, None, name)?;
    let uuid = &cuts.recording.uuid;
    let version = running(run, &host)?;
    hotfix::look(run, &host, version, &file)?;
    let state = truth(run, &host, uuid, version)?;
    run.note(&format!("{version} runs; the hotfix is {state}"));
    if version == FIRST {
        finish(run, &host, uuid, &state, hotfix)?;
        host.restart(run, None, &format!("{name} next"))?;
        hotfix::look(run, &host, NEXT, &format!("{file}-next"))?;
        hotfix::expect_state(run, &host, uuid, "applied")?;
    }
    drop(host);
    std::fs::remove_file(&overlay).with_context(|| format!("{}", overlay.display()))
}

/// The version that runs: one of the two that may.
fn running(run: &Run, host: &Host) -> Result<&'static str> {
    let json = host
        .ssh
        .run("cat /run/bedplate/boot.json", run.bench.limit(20))?;
    let boot: slots::BootRecord = serde_json::from_str(&json).context("boot.json")?;
    let version = boot.root.version;
    [FIRST, NEXT]
        .into_iter()
        .find(|known| *known == version)
        .with_context(|| format!("the host runs {version}"))
}

/// What `xe patch-list` says, which must be true; `unknown` where it does not know the hotfix.
fn truth(run: &Run, host: &Host, uuid: &str, version: &str) -> Result<String> {
    let limit = run.bench.limit(20);
    let known = host.ssh.run("xe patch-list --minimal", limit)?;
    if !known.contains(uuid) {
        ensure!(
            version == FIRST,
            "{NEXT} runs, and its hotfix is not known any more"
        );
        return Ok("unknown".to_owned());
    }
    let state = hotfix::field(run, host, uuid, "state")?;
    let reason = hotfix::field(run, host, uuid, "reason")?;
    let block = host.ssh.run("cat /boot/efi/grub/state.env", limit)?;
    let waits = block.contains("\ntries=1");
    let is_true = match state.as_str() {
        "applied" => version == NEXT,
        "restart-needed" => version == FIRST && waits,
        // It was tried, and the power went before its health was known.
        "failed" => version == FIRST && !waits && !reason.is_empty(),
        "uploaded" | "applying" => version == FIRST,
        _ => false,
    };
    ensure!(
        is_true,
        "{version} runs, and the hotfix is said to be {state} ({reason}); the boot loader knows:\n{block}"
    );
    Ok(state)
}

/// Does again what the power ended.
fn finish(run: &Run, host: &Host, uuid: &str, state: &str, hotfix: &Path) -> Result<()> {
    let limit = run.bench.limit(90);
    if state == "unknown" {
        host.ssh.put(hotfix, "/root/again.hotfix", limit)?;
        let again = host
            .ssh
            .run("xe patch-upload file-name=/root/again.hotfix", limit)?;
        ensure!(again.trim() == uuid, "the upload printed `{again}`");
    }
    if state != "restart-needed" {
        host.ssh
            .run(&format!("xe patch-apply uuid={uuid}"), limit)?;
    }
    hotfix::expect_state(run, host, uuid, "restart-needed")
}
