//! The power goes while a host is brought to its next release, at random moments: it must start a release that is whole, say
//! the truth about the hotfix, and finish when it is told again.
//!
//! One run of a host is recorded with everything that it writes and flushes. From the record the disk is made as a power cut
//! leaves it: what was flushed is there, of the rest some writes are and some are not, and the last one may be cut in its
//! middle. That is worse than ending QEMU, which loses nothing, and costs one start of the host a moment. What needs no start
//! is looked at for every write of the record.

use super::hotfix::{self, FIRST, NEXT};
use crate::case::Run;
use crate::disk::Image;
use crate::host::Host;
use crate::installation::{Entries, Installation};
use crate::next_release::{self, Next};
use crate::process;
use crate::qemu::{Boot, Spec};
use crate::seeded::Seeded;
use crate::write_log::{Kept, WriteLog};
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use slots::block::{Access, FileDevice};
use slots::boot_state::{BootState, Choice, STATE_ENV};
use slots::env_block::EnvBlock;
use slots::gpt::read_table;
use slots::names::{PART_ESP, PART_SLOT_A, PART_SLOT_B};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// States of the EFI system partition that are looked into. Each costs a copy of the boot files.
const ESP_LOOKS: usize = 150;
/// How long the recorded host goes on after it is good: what it writes late reaches the disk.
const AFTERWARDS: Duration = Duration::from_secs(20);

/// What a moment is part of. Each begins where the one before ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Part {
    Upload,
    Apply,
    Restart,
    Start,
    Health,
}

/// What was recorded, beside the disk as it was before and the log of writes.
#[derive(Debug, Serialize, Deserialize)]
struct Recording {
    /// Parts, with the bytes that the log had when they began.
    parts: Vec<(Part, u64)>,
    /// The hotfix.
    uuid: String,
    /// The roots that may start: the one before, and the new one.
    roots: [Root; 2],
}

/// A root, and what starts it.
#[derive(Debug, Serialize, Deserialize)]
struct Root {
    /// Its short name.
    id: String,
    /// SHA-256 and bytes of its image.
    image: (String, u64),
    /// SHA-256 of its boot files on the EFI system partition.
    boot_files: Vec<(String, String)>,
}

/// The part of the disk that a partition takes.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u64,
    size: u64,
}

/// The disk while the power goes.
struct Cuts {
    log: WriteLog,
    recording: Recording,
    esp: Span,
    slots: [Span; 2],
}

/// # Errors
/// What does not work.
pub fn run(run: &mut Run) -> Result<()> {
    run.note(&format!(
        "seed {} (--seed makes the same choices)",
        run.bench.seed
    ));
    let installation = hotfix::installed(run, false)?;
    let hotfix = hotfix_file(run)?;
    let cuts = match recorded(run)? {
        Some(cuts) => cuts,
        None => record(run, &installation, &hotfix)?,
    };
    run.phase("the slot that runs is never written", |run| {
        cuts.running_slot_is_left_alone(run)
    })?;
    run.phase(
        "what the loader would start is whole at every moment",
        |run| cuts.loader_finds_whole_releases(run),
    )?;
    let mut random = Seeded::new(run.bench.seed);
    let mut moments = cuts.moments(run.bench.moments, &mut random);
    // The disk only goes forward.
    moments.sort_by_key(|(_, count)| *count);
    let mut disk = Replayed::disk(run)?;
    for (number, (part, count)) in moments.into_iter().enumerate() {
        let name = format!("cut {:02}", number + 1);
        run.look(&format!("{name}: {part:?} after write {count}"), |run| {
            let lost = disk.cut(&cuts, count, &mut random)?;
            run.note(&lost);
            let result = survive(run, &installation, &cuts, &hotfix, &name);
            disk.power_on()?;
            result
        })?;
    }
    Ok(())
}

/// The hotfix, of an earlier run where that is asked for.
fn hotfix_file(run: &mut Run) -> Result<PathBuf> {
    let kept = run.file("next.hotfix");
    if run.bench.reuse_install && kept.is_file() {
        return Ok(kept);
    }
    run.phase("make the next release and its hotfix", |run| {
        let made = next_release::hotfixes(run, &[Next::good(NEXT)])?;
        std::fs::rename(&made[0], &kept).context("the hotfix cannot be renamed")
    })?;
    Ok(kept)
}

/// The recording of an earlier run, where that is asked for.
fn recorded(run: &Run) -> Result<Option<Cuts>> {
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
fn record(run: &mut Run, installation: &Installation, hotfix: &Path) -> Result<Cuts> {
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
    run.phase("recorded: going down", |run| {
        host.machine.serial.skip();
        // The connection may be cut before the command says that it worked.
        let _ = host
            .ssh
            .output("systemctl reboot", b"", run.bench.limit(10));
        host.machine
            .serial
            .expect(&["reboot: Restarting system"], run.bench.limit(40))?;
        Ok(())
    })?;
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

impl Cuts {
    fn open(run: &Run, recording: Recording) -> Result<Cuts> {
        let mut device = FileDevice::open(&run.file("before.raw"), Access::ReadOnly)?;
        let table = read_table(&mut device)?.context("before.raw has no partition table")?;
        let span = |name: &str| {
            let entry = table.entries.iter().find(|entry| entry.name == name);
            let entry = entry.with_context(|| format!("there is no partition {name}"))?;
            Ok::<_, anyhow::Error>(Span {
                start: entry.start,
                size: entry.size,
            })
        };
        let cuts = Cuts {
            log: WriteLog::open(&run.file("writes.log"))?,
            esp: span(PART_ESP)?,
            slots: [span(PART_SLOT_A)?, span(PART_SLOT_B)?],
            recording,
        };
        let flushes = cuts.log.entries.iter().filter(|entry| entry.flush).count();
        run.note(&format!(
            "{} entries in the log, {flushes} of them flushes; {} from the upload on",
            cuts.log.entries.len(),
            cuts.log.entries.len() - cuts.begin(Part::Upload)
        ));
        Ok(cuts)
    }

    /// The first entry of a part.
    fn begin(&self, part: Part) -> usize {
        let parts = &self.recording.parts;
        let found = parts.iter().find(|(known, _)| *known == part);
        found.map_or(0, |(_, length)| self.log.entries_at(*length))
    }

    /// Which root boots before the hotfix is good is in slot A: a new host is installed there. Nothing may write it.
    fn running_slot_is_left_alone(&self, run: &Run) -> Result<()> {
        let [running, other] = self.slots;
        let written = |slot: Span| {
            let entries = self.log.entries.iter();
            entries
                .filter(|entry| entry.touches(slot.start, slot.size))
                .map(|entry| entry.size)
                .sum::<u64>()
        };
        ensure!(
            written(running) == 0,
            "{} bytes were written to the slot that the host runs from",
            written(running)
        );
        let bytes = written(other);
        // The image, and its beginning once more: first invalid, last.
        let image = self.recording.roots[1].image.1;
        ensure!(
            bytes >= image,
            "{bytes} bytes were written to the other slot, whose image has {image}: was that the right one?"
        );
        run.note(&format!("{bytes} bytes written to the other slot"));
        Ok(())
    }

    /// At many moments around each change of the EFI system partition: what the loader would start has all of its boot files,
    /// as they were signed; and where that is the new root its slot is whole.
    fn loader_finds_whole_releases(&self, run: &Run) -> Result<()> {
        let [old, new] = &self.recording.roots;
        let begin = self.begin(Part::Upload);
        let counts = self.esp_moments(begin);
        let slot = self.slots[1];
        let slot_writes: Vec<usize> = (begin..self.log.entries.len())
            .filter(|entry| self.log.entries[*entry].touches(slot.start, slot.size))
            .collect();
        let mut random = Seeded::new(run.bench.seed);
        let mut esp = Replayed::part(run, "esp.raw", self.esp)?;
        let (mut tries, mut goods) = (0, 0);
        for count in &counts {
            esp.cut(self, *count, &mut random)?;
            let state = esp.boot_state(run)?;
            let (root, what) = match state.choice() {
                Choice::Try(id) => (id, "on trial"),
                Choice::Good(id) => (id, "good"),
                Choice::Rescue => bail!("after write {count} the loader knows no root: {state:?}"),
            };
            let root = match root {
                id if id == old.id => old,
                id if id == new.id => new,
                other => {
                    bail!("after write {count} the loader would start {other}, which nobody knows")
                }
            };
            esp.holds(run, root)
                .with_context(|| format!("after write {count} with {} {what}", root.id))?;
            if root.id == new.id {
                // All that was ever written to the slot must be durable by then.
                let last = slot_writes.last().copied().unwrap_or(0);
                ensure!(
                    last < self.log.durable(*count),
                    "after write {count} the loader would start {}, but write {last} to its slot may be lost",
                    new.id
                );
                tries += 1;
            } else {
                goods += 1;
            }
            esp.power_on()?;
        }
        ensure!(
            tries > 0 && goods > 0,
            "of {} moments {goods} had the old root and {tries} the new one: the record is not of a whole hotfix",
            counts.len()
        );
        self.new_slot_is_whole(run)?;
        run.note(&format!(
            "{goods} moments with the old root, {tries} with the new one"
        ));
        Ok(())
    }

    /// The slot as it is when all that was written to it is there.
    fn new_slot_is_whole(&self, run: &Run) -> Result<()> {
        let span = self.slots[1];
        let mut slot = Replayed::part(run, "slot.raw", span)?;
        slot.advance(self, self.log.entries.len())?;
        let (expected, size) = &self.recording.roots[1].image;
        let mut hash = Sha256::new();
        let mut at = 0;
        let mut buffer = vec![0; 1 << 20];
        while at < *size {
            let length = buffer.len().min(usize::try_from(*size - at)?);
            slot.file.read_exact_at(&mut buffer[..length], at)?;
            hash.update(&buffer[..length]);
            at += length as u64;
        }
        let found = hex::encode(hash.finalize());
        std::fs::remove_file(run.file("slot.raw"))?;
        ensure!(
            found == *expected,
            "the new slot holds {found} and should hold {expected}"
        );
        Ok(())
    }

    /// Moments after writes to the EFI system partition: the last ones before and the first ones behind each flush that
    /// follows them, as many as are affordable.
    fn esp_moments(&self, begin: usize) -> Vec<usize> {
        let entries = &self.log.entries;
        let touches = |entry: &usize| entries[*entry].touches(self.esp.start, self.esp.size);
        let mut all: Vec<usize> = (begin..entries.len())
            .filter(touches)
            .flat_map(|entry| [entry, entry + 1])
            .collect();
        all.dedup();
        let step = all.len().div_ceil(ESP_LOOKS).max(1);
        // Small writes decide what is started; most of the others are the content of large files.
        let small = |count: &usize| {
            count
                .checked_sub(1)
                .is_some_and(|entry| entries[entry].size <= 4096 && touches(&entry))
        };
        let mut chosen: Vec<usize> = all.iter().copied().step_by(step).collect();
        let mut smalls: Vec<usize> = all.iter().copied().filter(small).collect();
        let step = smalls.len().div_ceil(ESP_LOOKS).max(1);
        chosen.extend(smalls.drain(..).step_by(step));
        chosen.push(entries.len());
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }

    /// `number` moments, as many in each part, and in applying as many while the slot is written as while something else is.
    fn moments(&self, number: usize, random: &mut Seeded) -> Vec<(Part, usize)> {
        let [upload, apply, restart, start, health] = [
            Part::Upload,
            Part::Apply,
            Part::Restart,
            Part::Start,
            Part::Health,
        ]
        .map(|part| self.begin(part));
        let end = self.log.entries.len();
        let slot = self.slots[1];
        let in_slot = |entry: &usize| self.log.entries[*entry].touches(slot.start, slot.size);
        let writes =
            |from: usize, to: usize| (from..to).filter(|entry| self.log.entries[*entry].size > 0);
        let groups: [(Part, Vec<usize>); 6] = [
            (
                Part::Apply,
                writes(apply, restart).filter(|e| !in_slot(e)).collect(),
            ),
            (
                Part::Apply,
                writes(apply, restart).filter(in_slot).collect(),
            ),
            (Part::Start, writes(start, health).collect()),
            (Part::Health, writes(health, end).collect()),
            (Part::Upload, writes(upload, apply).collect()),
            (Part::Restart, writes(restart, start).collect()),
        ];
        let groups: Vec<_> = groups.iter().filter(|(_, all)| !all.is_empty()).collect();
        (0..number)
            .filter_map(|index| {
                let (part, all) = groups.get(index % groups.len().max(1))?;
                // The write that the power cuts is the last one.
                Some((*part, all.get(random.between(0, all.len()))? + 1))
            })
            .collect()
    }
}

/// A disk, or a part of one, that the log is played back to. It goes forward only.
struct Replayed {
    path: PathBuf,
    file: File,
    span: Span,
    /// Entries that are on it as a whole.
    done: usize,
    /// What the last power cut left of those behind: where, and what was there before.
    undo: Vec<(u64, Vec<u8>)>,
}

impl Replayed {
    /// The whole disk, as before the recording.
    fn disk(run: &Run) -> Result<Replayed> {
        let size = std::fs::metadata(run.file("before.raw"))?.len();
        Replayed::part(run, "disk.raw", Span { start: 0, size })
    }

    /// A part of it.
    fn part(run: &Run, name: &str, span: Span) -> Result<Replayed> {
        let path = run.file(name);
        let mut command = std::process::Command::new("dd");
        command
            .arg(format!("if={}", run.file("before.raw").display()))
            .arg(format!("of={}", path.display()))
            .args(["bs=1M", "conv=sparse", "iflag=skip_bytes,count_bytes"])
            .args([
                format!("skip={}", span.start),
                format!("count={}", span.size),
                "status=none".to_owned(),
            ]);
        process::run(&mut command, b"", Duration::from_secs(1800))?;
        let file = File::options().read(true).write(true).open(&path)?;
        // A hole at the end is not written by dd.
        file.set_len(span.size)?;
        Ok(Replayed {
            path,
            file,
            span,
            done: 0,
            undo: Vec::new(),
        })
    }

    fn apply(&self, cuts: &Cuts, kept: Kept) -> Result<()> {
        let Span { start, size } = self.span;
        cuts.log.apply(kept, &self.file, start, size)
    }

    /// Everything up to the entry `count` is on it.
    fn advance(&mut self, cuts: &Cuts, count: usize) -> Result<()> {
        for entry in self.done..count {
            self.apply(cuts, cuts.log.whole(entry))?;
        }
        self.done = self.done.max(count);
        Ok(())
    }

    /// The power goes after `count` entries. Says what was lost.
    fn cut(&mut self, cuts: &Cuts, count: usize, random: &mut Seeded) -> Result<String> {
        let durable = cuts.log.durable(count);
        self.advance(cuts, durable)?;
        let survivors = cuts.log.survivors(count, random);
        for kept in &survivors {
            let entry = cuts.log.entries[kept.entry];
            let from = entry.offset.max(self.span.start);
            let to = (entry.offset + kept.bytes).min(self.span.start + self.span.size);
            if from < to {
                let mut old = vec![0; usize::try_from(to - from)?];
                self.file.read_exact_at(&mut old, from - self.span.start)?;
                self.undo.push((from - self.span.start, old));
            }
            self.apply(cuts, *kept)?;
        }
        Ok(format!(
            "{durable} entries are durable, {} of the {} behind them survive",
            survivors.len(),
            count - durable
        ))
    }

    /// The power was never gone.
    fn power_on(&mut self) -> Result<()> {
        while let Some((at, old)) = self.undo.pop() {
            self.file.write_all_at(&old, at)?;
        }
        Ok(())
    }

    /// A folder of the EFI system partition that this is, copied out of it. A file system that is damaged there is an error.
    fn mcopy(&self, run: &Run, from: &str, to: &Path) -> Result<()> {
        let mut mcopy = run.bench.tools.command("mcopy");
        mcopy
            .args(["-n", "-s", "-i"])
            .arg(&self.path)
            .arg(format!("::{from}"))
            .arg(to);
        process::run(&mut mcopy, b"", Duration::from_secs(120)).map(drop)
    }

    /// What the loader finds. As it does: where the first block is damaged, the second one.
    fn boot_state(&self, run: &Run) -> Result<BootState> {
        let folder = scratch()?;
        let copy = folder.path().join("grub");
        std::fs::create_dir(&copy)?;
        self.mcopy(run, "/grub/*.env", &copy)?;
        let read = |name: &str| {
            let name = Path::new(name).file_name().unwrap_or_default();
            EnvBlock::read(&copy.join(name))
        };
        let block = read(STATE_ENV).or_else(|_| read(slots::boot_state::GOOD_ENV))?;
        Ok(BootState::from_env(&block))
    }

    /// The boot files of a root are there and as they were signed.
    fn holds(&self, run: &Run, root: &Root) -> Result<()> {
        let folder = scratch()?;
        self.mcopy(run, &format!("/bedplate/{}", root.id), folder.path())?;
        for (name, expected) in &root.boot_files {
            let path = folder.path().join(&root.id).join(name);
            let bytes = std::fs::read(&path)
                .with_context(|| format!("the boot file {name} is not there"))?;
            let found = hex::encode(Sha256::digest(&bytes));
            ensure!(
                found == *expected,
                "the boot file {name} is {found} and should be {expected}"
            );
        }
        Ok(())
    }
}

impl Drop for Replayed {
    fn drop(&mut self) {
        // It is made anew from what was kept.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A folder that programs of the tools root see at the same place.
fn scratch() -> Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("bedplate-cut-");
    builder.tempdir_in("/tmp").context("/tmp cannot be written")
}

/// Starts the host from the disk that the power cut left, and has it finish.
fn survive(
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
