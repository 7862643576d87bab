//! The power goes while a host is brought to its next release, at random moments: it must start a release that is whole, say
//! the truth about the hotfix, and finish when it is told again.
//!
//! One run of a host is recorded with everything that it writes and flushes. From the record the disk is made as a power cut
//! leaves it: what was flushed is there, of the rest some writes are and some are not, and the last one may be cut in its
//! middle. That is worse than ending QEMU, which loses nothing, and costs one start of the host a moment. What needs no start
//! is looked at for every write of the record.

mod cuts;
mod recording;
mod replayed;
mod survive;

use super::hotfix::{self, NEXT};
use crate::case::Run;
use crate::next_release::{self, Next};
use crate::seeded::Seeded;
use anyhow::{Context, Result};
use replayed::Replayed;
use std::path::PathBuf;

/// # Errors
/// What does not work.
pub fn run(run: &mut Run) -> Result<()> {
    run.note(&format!(
        "seed {} (--seed makes the same choices)",
        run.bench.seed
    ));
    let installation = hotfix::installed(run, false)?;
    let hotfix = hotfix_file(run)?;
    let cuts = match recording::recorded(run)? {
        Some(cuts) => cuts,
        None => recording::record(run, &installation, &hotfix)?,
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
            let result = survive::survive(run, &installation, &cuts, &hotfix, &name);
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
