//! A disk as a power cut leaves it: the record played back up to a moment, with what survived of the writes behind it.

use super::cuts::{Cuts, Span};
use super::recording::Root;
use crate::case::Run;
use crate::process;
use crate::seeded::Seeded;
use crate::write_log::Kept;
use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use slots::boot_state::{BootState, STATE_ENV};
use slots::env_block::EnvBlock;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A disk, or a part of one, that the log is played back to. It goes forward only.
pub(super) struct Replayed {
    path: PathBuf,
    pub(super) file: File,
    span: Span,
    /// Entries that are on it as a whole.
    done: usize,
    /// What the last power cut left of those behind: where, and what was there before.
    undo: Vec<(u64, Vec<u8>)>,
}

impl Replayed {
    /// The whole disk, as before the recording.
    pub(super) fn disk(run: &Run) -> Result<Replayed> {
        let size = std::fs::metadata(run.file("before.raw"))?.len();
        Replayed::part(run, "disk.raw", Span { start: 0, size })
    }

    /// A part of it.
    pub(super) fn part(run: &Run, name: &str, span: Span) -> Result<Replayed> {
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
    pub(super) fn advance(&mut self, cuts: &Cuts, count: usize) -> Result<()> {
        for entry in self.done..count {
            self.apply(cuts, cuts.log.whole(entry))?;
        }
        self.done = self.done.max(count);
        Ok(())
    }

    /// The power goes after `count` entries. Says what was lost.
    pub(super) fn cut(&mut self, cuts: &Cuts, count: usize, random: &mut Seeded) -> Result<String> {
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
    pub(super) fn power_on(&mut self) -> Result<()> {
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
    pub(super) fn boot_state(&self, run: &Run) -> Result<BootState> {
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
    pub(super) fn holds(&self, run: &Run, root: &Root) -> Result<()> {
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
