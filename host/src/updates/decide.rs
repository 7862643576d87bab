//! What is to be done about a release that is offered. Pure: no clock, no files, no network.

use super::policy::{Hold, Restart, UpdatePolicy};
use super::state::{Cleared, UpdateState};
use super::wave;
use super::window::{Opening, opening};
use crate::clock::moment;
use crate::hotfix::{PatchRecord, PatchState, is_older};
use crate::licensing::Look;
use jiff::tz::TimeZone;
use release::HotfixKind;

/// What the license says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Automation {
    /// Whether hotfixes may be installed without being told to.
    pub allowed: bool,
    /// The state of the license, and why.
    pub reason: String,
}

impl Automation {
    /// What a look at the license says.
    pub fn of(look: &Look) -> Automation {
        Automation {
            allowed: look.allows_automatic_updates(),
            reason: look.evaluation.state.reason.clone(),
        }
    }
}

/// Everything that counts.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The clock, in seconds since 1970.
    pub now: u64,
    /// The time zone of the host.
    pub zone: &'a TimeZone,
    /// What the administrator decided.
    pub policy: &'a UpdatePolicy,
    /// What the license says.
    pub automation: &'a Automation,
    /// What is remembered.
    pub state: &'a UpdateState,
    /// The version that runs.
    pub running: &'a str,
    /// Short name of the root that the next start tries; none where it tries none.
    pub next_try: Option<&'a str>,
    /// All hotfixes of this host.
    pub records: &'a [PatchRecord],
    /// The machine id.
    pub seed: &'a str,
    /// Why the host must not restart now, where it must not: guests, or a command that runs.
    pub busy: Option<&'a str>,
}

/// Why nothing is done now, for the administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// No license, or one that does not count.
    License(String),
    /// Automatic updates are switched off.
    Off,
    /// They are held back; until a day, or until somebody says otherwise.
    Hold(Hold),
    /// It failed here, or somebody went back from it.
    FailedHere {
        /// What happened.
        reason: String,
    },
    /// Others go first.
    Wave {
        /// Until then, in seconds since 1970.
        until: u64,
    },
    /// The last attempt failed.
    Again {
        /// Until then, in seconds since 1970.
        until: u64,
        /// Why.
        error: String,
    },
    /// No window is open.
    Window {
        /// Until then, in seconds since 1970; none where none is in sight.
        until: Option<u64>,
    },
}

/// Why the host does not restart now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitForRestart {
    /// Somebody wrote it by hand, and restarts by hand.
    ByHand,
    /// The policy says never.
    Never,
    /// Something else keeps it from being done by itself.
    Wait(Wait),
    /// Guests run, or a command.
    Busy(String),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing newer is offered.
    UpToDate,
    /// Something is, and nothing is done about it now.
    Wait(Wait),
    /// Its files are to be fetched.
    Fetch,
    /// It is to be written to the other slot.
    Write,
    /// It is written, and waits.
    WaitForRestart {
        /// The version that waits.
        version: String,
        /// Why.
        why: WaitForRestart,
    },
    /// The host is to be restarted.
    Restart {
        /// The version that is tried.
        version: String,
    },
}

/// The failure that is held against the release with this UUID; none where there is none, or it was cleared.
pub fn failure<'r>(
    records: &'r [PatchRecord],
    cleared: Option<&Cleared>,
    uuid: &str,
) -> Option<&'r PatchRecord> {
    let record = records.iter().find(|record| record.uuid == uuid)?;
    let failed = matches!(record.state, PatchState::Failed | PatchState::RolledBack);
    let forgiven = cleared.is_some_and(|c| c.uuid == record.uuid && c.failed == record.changed);
    (failed && !forgiven).then_some(record)
}

/// What keeps everything automatic from being done.
fn kept(s: &Situation<'_>) -> Option<Wait> {
    if !s.automation.allowed {
        return Some(Wait::License(s.automation.reason.clone()));
    }
    if !s.policy.automatic {
        return Some(Wait::Off);
    }
    let held = match s.policy.hold {
        Hold::No => false,
        Hold::Yes => true,
        Hold::Until(day) => local(s).is_none_or(|today| today < day),
    };
    held.then_some(Wait::Hold(s.policy.hold))
}

/// Today, on the wall.
fn local(s: &Situation<'_>) -> Option<jiff::civil::Date> {
    moment(s.now).map(|now| s.zone.to_datetime(now).date())
}

/// The window that is not open; none where one is.
fn closed(s: &Situation<'_>) -> Option<Wait> {
    match opening(&s.policy.windows, s.zone, s.now) {
        Opening::Open { .. } => None,
        Opening::Closed { until } => Some(Wait::Window { until }),
    }
}

/// Decides. Files are fetched whenever the host's turn has come; the other slot is written and the host restarted in a window, so
/// that nothing changes about what the next start does at other hours.
pub fn decide(s: &Situation<'_>) -> Decision {
    // A try that the boot loader has taken already is decided by the health check: restarting for it would go on for ever.
    let waiting = s.records.iter().rfind(|record| {
        record.state == PatchState::RestartNeeded && s.next_try == Some(record.root.id())
    });
    let newer_than_waiting = s.state.offered.as_ref().filter(|offered| {
        waiting.is_none_or(|record| is_older(&record.root.version, &offered.version))
    });
    let Some(offered) = newer_than_waiting.filter(|o| is_older(s.running, &o.version)) else {
        return match waiting {
            Some(record) => restart(s, record),
            None => Decision::UpToDate,
        };
    };
    let next = work(s, &offered.uuid);
    match (waiting, next) {
        // One that is written need not wait for one that is not ready to be.
        (Some(record), Decision::Wait(_)) => restart(s, record),
        (_, next) => next,
    }
}

/// What is to be done for the release that is offered.
fn work(s: &Situation<'_>, uuid: &str) -> Decision {
    let Some(offered) = &s.state.offered else {
        return Decision::UpToDate;
    };
    if let Some(wait) = kept(s) {
        return Decision::Wait(wait);
    }
    if let Some(record) = failure(s.records, s.state.cleared.as_ref(), uuid) {
        let reason = record.reason.clone();
        return Decision::Wait(Wait::FailedHere { reason });
    }
    let position = wave::position(s.seed, uuid);
    let kind = match offered.is_urgent() {
        true => HotfixKind::Security,
        false => offered.kind,
    };
    let delay = wave::delay(s.policy.wave, kind, position);
    let until = offered.first_seen.min(s.now).saturating_add(delay);
    if until > s.now {
        return Decision::Wait(Wait::Wave { until });
    }
    if let Some(until) = s.state.work.again(s.now) {
        let error = s.state.work.error.clone();
        return Decision::Wait(Wait::Again { until, error });
    }
    let here = s
        .records
        .iter()
        .any(|record| record.uuid == uuid && record.folder.is_some());
    match (here, closed(s)) {
        (false, _) => Decision::Fetch,
        (true, Some(wait)) => Decision::Wait(wait),
        (true, None) => Decision::Write,
    }
}

/// What is to be done for a release that is written.
fn restart(s: &Situation<'_>, record: &PatchRecord) -> Decision {
    let version = record.root.version.clone();
    let why = if s.state.written.as_ref() != Some(&record.uuid) {
        WaitForRestart::ByHand
    } else if s.policy.restart == Restart::Never {
        WaitForRestart::Never
    } else if let Some(wait) = kept(s).or_else(|| closed(s)) {
        WaitForRestart::Wait(wait)
    } else if let Some(busy) = s.busy {
        WaitForRestart::Busy(busy.to_owned())
    } else {
        return Decision::Restart { version };
    };
    Decision::WaitForRestart { version, why }
}

#[cfg(test)]
mod tests;
