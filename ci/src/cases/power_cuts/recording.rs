//! A run of a host that applies a hotfix, recorded with everything that it writes and flushes.

use super::cuts::Cuts;
use crate::case::Run;
use crate::cases::hotfix::{self, FIRST, NEXT};
use crate::disk::Image;
use crate::host::Host;
use crate::installation::{Entries, Installation};
use crate::qemu::{Boot, Spec};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// How long the recorded host goes on after it is good: what it writes late reaches the disk.
const AFTERWARDS: Duration = Duration::from_secs(20);

/// What a moment is part of. Each begins where the one before ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Part {
    Upload,
    Apply,
    Restart,
    Start,
    Health,
}

/// What was recorded, beside the disk as it was before and the log of writes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Recording {
    /// Parts, with the bytes that the log had when they began.
    pub(super) parts: Vec<(Part, u64)>,
    /// The hotfix.
    pub(super) uuid: String,
    /// The roots that may start: the one before, and the new one.
    pub(super) roots: [Root; 2],
}

/// A root, and what starts it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Root {
    /// Its short name.
    pub(super) id: String,
    /// SHA-256 and bytes of its image.
    pub(super) image: (String, u64),
    /// SHA-256 of its boot files on the EFI system partition.
    pub(super) boot_files: Vec<(String, String)>,
}

/// The recording of an earlier run, where that is asked for.
pub(super) fn recorded(run: &Run) -> Result<Option<Cuts>> {
    let path = run.file("recording.json");
    if !run.bench.reuse_install || !path.is_file() {
        return Ok(None);
    }
    run.note("takes what an earlier run recorded");
    let json = std::fs::read(&path).context("recording.json cannot be read")?;
    let recording = serde_json::from_slice(&json).context("recording.json")?;
    Cuts::open(run, recording).map(Some)
}

/// Has a host apply the hotfix and come up with it, and keeps everything that it writes.
pub(super) fn record(run: &mut Run, installation: &Installation, hotfix: &Path) -> Result<Cuts> {
    let tools = run.bench.tools.clone();
    let machine = installation.boot(run, Entries::Lost, "first")?;
    let mut host = Host::come_up(run, machine, &installation.key, None, "first boot")?;
    run.phase("the host is good and runs the tested release", |run| {
        hotfix::look(run, &host, FIRST, "first-boot")?;
        host.ssh
            .put(hotfix, "/root/next.hotfix", run.bench.limit(30))
    })?;
    let before = root(run, &host)?;
    host.power_off(run)?;
    drop(host);
    let disk = run.phase("keep the disk as it is before", |run| {
        let overlay = run.file("first.qcow2");
        let image = Image {
            path: overlay.clone(),
            format: crate::disk::Format::Qcow2,
            write_log: None,
        };
        let flat = Image::flatten(&tools, &run.file("before.raw"), &image)?;
        std::fs::remove_file(&overlay).context("first.qcow2 cannot be removed")?;
        Ok(flat)
    })?;

    let log = run.file("writes.log");
    File::create(&log).with_context(|| format!("{} cannot be made", log.display()))?;
    let overlay = Image::overlay(&tools, &run.file("recorded.qcow2"), &disk)?;
    let spec = Spec {
        boot: Boot::Disk,
        ..installation.hardware.spec(&overlay.logged_to(&log), None)
    };
    let machine = run.start(&spec, "recorded")?;
    let mut host = Host::come_up(run, machine, &installation.key, None, "recorded")?;
    let mut parts = Vec::new();
    let mut begin = |part| -> Result<()> {
        parts.push((part, std::fs::metadata(&log)?.len()));
        Ok(())
    };
    let limit = run.bench.limit(90);
    begin(Part::Upload)?;
    let uuid = run.phase("recorded: upload", |_| {
        host.ssh
            .run("xe patch-upload file-name=/root/next.hotfix", limit)
    })?;
    let uuid = uuid.trim().to_owned();
    begin(Part::Apply)?;
    run.phase("recorded: apply", |run| {
        host.ssh
            .run(&format!("xe patch-apply uuid={uuid}"), limit)?;
        hotfix::expect_state(run, &host, &uuid, "restart-needed")
    })?;
    begin(Part::Restart)?;
    host.go_down(run, "recorded")?;
    begin(Part::Start)?;
    host.wait_up(run, None, "recorded next")?;
    begin(Part::Health)?;
    run.phase("recorded: the next release is good", |run| {
        hotfix::look(run, &host, NEXT, "recorded-next")?;
        hotfix::expect_state(run, &host, &uuid, "applied")?;
        std::thread::sleep(AFTERWARDS);
        Ok(())
    })?;
    let after = root(run, &host)?;
    drop(host);
    std::fs::remove_file(run.file("recorded.qcow2"))?;
    let recording = Recording {
        parts,
        uuid,
        roots: [before, after],
    };
    let json = serde_json::to_vec_pretty(&recording)?;
    std::fs::write(run.file("recording.json"), json).context("recording.json cannot be written")?;
    Cuts::open(run, recording)
}

/// What runs, as the host says.
fn root(run: &Run, host: &Host) -> Result<Root> {
    let limit = run.bench.limit(30);
    let json = host.ssh.run("cat /run/bedplate/boot.json", limit)?;
    let boot: slots::BootRecord = serde_json::from_str(&json).context("boot.json")?;
    let id = boot.root.id().to_owned();
    let sums = host
        .ssh
        .run(&format!("cd /boot/efi/bedplate/{id} && sha256sum *"), limit)?;
    let boot_files = sums
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(sum, name)| (name.to_owned(), sum.to_owned()))
        .collect();
    Ok(Root {
        id,
        image: (boot.root.image_sha256, boot.root.image_size),
        boot_files,
    })
}
