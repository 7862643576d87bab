//! The moments of a recording, and what must be true at each of them without a start of the host.

use super::recording::{Part, Recording};
use super::replayed::Replayed;
use crate::case::Run;
use crate::seeded::Seeded;
use crate::write_log::WriteLog;
use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use slots::block::{Access, FileDevice};
use slots::boot_state::Choice;
use slots::gpt::read_table;
use slots::names::{PART_ESP, PART_SLOT_A, PART_SLOT_B};
use std::os::unix::fs::FileExt;

/// States of the EFI system partition that are looked into. Each costs a copy of the boot files.
const ESP_LOOKS: usize = 150;
/// The part of the disk that a partition takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) size: u64,
}

/// The disk while the power goes.
pub(super) struct Cuts {
    pub(super) log: WriteLog,
    pub(super) recording: Recording,
    esp: Span,
    slots: [Span; 2],
}

impl Cuts {
    pub(super) fn open(run: &Run, recording: Recording) -> Result<Cuts> {
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
    pub(super) fn running_slot_is_left_alone(&self, run: &Run) -> Result<()> {
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
    pub(super) fn loader_finds_whole_releases(&self, run: &Run) -> Result<()> {
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
    pub(super) fn moments(&self, number: usize, random: &mut Seeded) -> Vec<(Part, usize)> {
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
