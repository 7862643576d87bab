//! What comes of a try: decided at the end of each start by the health check.

use super::etc::Kept;
use super::{PatchRecord, PatchState, Site, etc, internal, is_older, seen};
use crate::XeError;
use crate::health::HealthReport;
use slots::boot_state::STATE_ENV;
use slots::env_block::EnvBlock;
use slots::{BootRecord, BootState};

/// What is to be done with this boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it is good, or there is nothing to go back to.
    Stay,
    /// Restart: the boot loader then starts the root with this short name, which was good.
    GoBack {
        /// The root.
        to: String,
        /// Why, for the console and the record.
        reason: String,
    },
}

/// Records what the health check found. `before` is the state of the boot loader before the check changed it.
///
/// Good: what runs is applied, and what it replaced is superseded or was gone back from. (What was tried in vain is recorded
/// before, by [`try_failed`].) Not good, and on trial: the host goes back.
pub fn after_boot(
    site: &Site<'_>,
    boot: &BootRecord,
    before: &BootState,
    report: &HealthReport,
) -> Result<Verdict, XeError> {
    let id = boot.root.id();
    if report.passed {
        settle(site, boot)?;
        return Ok(Verdict::Stay);
    }
    let problems: Vec<_> = report
        .problems()
        .map(|check| format!("{}: {}", check.name, check.reason))
        .collect();
    Ok(give_up(
        site,
        before,
        id,
        format!("not healthy: {}", problems.join("; ")),
    ))
}

/// For a timer: a try that nobody decided about in time. `before` is the state of the boot loader now.
pub fn deadline(site: &Site<'_>, boot: &BootRecord, before: &BootState, minutes: u32) -> Verdict {
    give_up(
        site,
        before,
        boot.root.id(),
        format!("its health was not known {minutes} minutes after the start"),
    )
}

/// The host goes back whether that can be recorded or not: a release that fills /var must not stay for it.
fn give_up(site: &Site<'_>, before: &BootState, id: &str, mut reason: String) -> Verdict {
    let Some(good) = before.way_back(id) else {
        return Verdict::Stay;
    };
    if let Err(error) = record_failure(site, id, &reason) {
        reason = format!("{reason} (this was not recorded: {error})");
    }
    Verdict::GoBack {
        to: good.to_owned(),
        reason,
    }
}

fn record_failure(site: &Site<'_>, id: &str, reason: &str) -> Result<(), XeError> {
    for mut record in PatchRecord::all(site.system, site.places)? {
        if record.root.id() == id {
            record.become_state(PatchState::Failed, reason, site.now);
            record.save(site.system, site.places)?;
        }
    }
    Ok(())
}

/// Records that the root `failed` was tried in vain before the root `running` was started again. What it changed in /etc goes with
/// it, and is kept beside it for whoever wants to see why.
///
/// To be called before the boot loader forgets the try, so that a power cut between leaves it known; again after one, it does the
/// same.
pub fn try_failed(site: &Site<'_>, running: &str, failed: &str) -> Result<(), XeError> {
    if failed == running {
        return Ok(());
    }
    etc::renew(site, failed, running, Kept::Tried)?;
    for mut record in PatchRecord::all(site.system, site.places)? {
        let open = matches!(
            record.state,
            PatchState::RestartNeeded | PatchState::Applying
        );
        if open && record.root.id() == failed {
            let reason = "it did not come up: it stopped before its health was checked, and the boot loader went back";
            record.become_state(PatchState::Failed, reason, site.now);
            record.save(site.system, site.places)?;
        }
    }
    Ok(())
}

/// This boot is good.
fn settle(site: &Site<'_>, boot: &BootRecord) -> Result<(), XeError> {
    let system = site.system;
    let id = boot.root.id();
    // An apply may have armed its try meanwhile, so the loader is asked again.
    let waits = EnvBlock::read(&site.places.esp.join(STATE_ENV))
        .ok()
        .map(|block| BootState::from_env(&block))
        .map(|state| state.try_id.filter(|_| state.tries > 0));
    for mut record in PatchRecord::all(system, site.places)? {
        let other = record.root.id() != id;
        match record.state {
            _ if !other && record.state != PatchState::Applied => {
                record.become_state(PatchState::Applied, "", site.now);
                if let Some(folder) = &record.folder {
                    let tuf = site.places.store.join(folder).join("seen");
                    seen::copy(system, &tuf, &site.places.seen())?;
                }
            }
            PatchState::Applied if other && is_older(&boot.root.version, &record.root.version) => {
                let reason = format!("the host went back to {}", boot.root.version);
                record.become_state(PatchState::RolledBack, reason, site.now);
                etc::renew(site, record.root.id(), id, Kept::Own)?;
            }
            PatchState::Applied if other => {
                let reason = format!("{} took its place", boot.root.version);
                record.become_state(PatchState::Superseded, reason, site.now);
            }
            // The boot loader forgot the failure before it was recorded: its block was damaged, or written by an older release.
            PatchState::RestartNeeded
                if other
                    && waits
                        .as_ref()
                        .is_some_and(|waits| waits.as_deref() != Some(record.root.id())) =>
            {
                let reason = "it did not come up, and the boot loader went back";
                record.become_state(PatchState::Failed, reason, site.now);
            }
            _ => continue,
        }
        record.save(system, site.places)?;
    }
    remember(site, boot)
}

/// Keeps the identity of a root that was good: going back by hand needs to know what the other slot should hold.
fn remember(site: &Site<'_>, boot: &BootRecord) -> Result<(), XeError> {
    let path = site.places.root(boot.root.id());
    if site.system.exists(&path) {
        return Ok(());
    }
    let json = serde_json::to_vec_pretty(&boot.root).map_err(|e| internal(&e))?;
    if let Some(folder) = path.parent() {
        site.system
            .create_dir_all(folder)
            .map_err(|e| internal(&e))?;
    }
    site.system
        .write_file(&path, &json, 0o644)
        .map_err(|e| internal(&e))
}
