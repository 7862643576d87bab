//! What a run came to, in words: for `xe`, the journal, the console and whoever logs in.

use super::decide::{Decision, Situation, Wait, WaitForRestart};
use super::policy::Hold;
use super::state::{Offered, Told};
use crate::clock;
use crate::hotfix::Places;
use jiff::tz::TimeZone;
use release::HotfixKind;
use std::path::Path;
use steps::System;
use steps::system::FileError;

/// Failures in a row after which the console tells of them: an hour without the server is no news.
const TOLD_FROM: u32 = 4;

/// A moment by the clock on the wall.
fn moment(seconds: u64, zone: &TimeZone) -> String {
    match clock::moment(seconds) {
        Some(at) => at
            .to_zoned(zone.clone())
            .strftime("%a %Y-%m-%d %H:%M")
            .to_string(),
        None => "a time that no clock shows".to_owned(),
    }
}

/// `1.0.1 (security)`.
fn named(offered: &Offered) -> String {
    match offered.kind {
        HotfixKind::Security => format!("{} (security)", offered.version),
        HotfixKind::Feature => offered.version.clone(),
    }
}

const INSTALLS: &str = "`xe host-update-now` installs it";

/// Why nothing is done, and until when; and whether that is worth a line above the login prompt.
fn because(wait: &Wait, zone: &TimeZone, failures: u32) -> (&'static str, String, bool) {
    match wait {
        Wait::License(reason) => (
            "available",
            format!("{INSTALLS}; it is not installed by itself: {reason}"),
            true,
        ),
        Wait::Off => (
            "available",
            format!("{INSTALLS}; automatic updates are switched off on this host"),
            true,
        ),
        Wait::Hold(Hold::Until(day)) => (
            "on-hold",
            format!("updates are held until {day}; {INSTALLS} all the same"),
            true,
        ),
        Wait::Hold(_) => (
            "on-hold",
            format!(
                "updates are held until `xe host-update-policy-set hold=no`; {INSTALLS} all the same"
            ),
            true,
        ),
        Wait::FailedHere { reason } => (
            "failed-here",
            format!(
                "it is not tried again before a newer release comes, or `xe host-update-clear` says so; what happened: {reason}"
            ),
            true,
        ),
        Wait::Wave { until } => (
            "waiting",
            format!("this host's turn is on {}", moment(*until, zone)),
            false,
        ),
        Wait::Again { until, error } => (
            "failing",
            format!("next attempt on {}; {error}", moment(*until, zone)),
            failures >= TOLD_FROM,
        ),
        Wait::Window { until } => (
            "waiting",
            match until {
                Some(until) => format!("the next window opens on {}", moment(*until, zone)),
                None => "no maintenance window opens in the next two weeks; see `xe host-update-policy-get`".to_owned(),
            },
            until.is_none(),
        ),
    }
}

/// The timer of systemd runs that often.
const SOON: &str = "within a quarter of an hour";

/// What a decision is told as; `goes_on` where it is being carried out, and else the next run of the timer does that.
pub(super) fn told(decision: &Decision, s: &Situation<'_>, goes_on: bool) -> Told {
    let looks = &s.state.looks;
    let name = s.state.offered.as_ref().map(named).unwrap_or_default();
    let (status, text, shown) = match decision {
        Decision::UpToDate => (
            "up-to-date",
            format!("{} runs, and nothing newer is offered", s.running),
            false,
        ),
        Decision::Wait(wait) => {
            let (status, text, shown) = because(wait, s.zone, s.state.work.failures);
            let at_once = match wait {
                Wait::Wave { .. } | Wait::Window { .. } => format!("; {INSTALLS} at once"),
                _ => String::new(),
            };
            (
                status,
                format!("{name} is available: {text}{at_once}"),
                shown,
            )
        }
        Decision::Fetch if goes_on => ("downloading", format!("{name} is being downloaded"), false),
        Decision::Fetch => (
            "waiting",
            format!("{name} is available: it is downloaded {SOON}; {INSTALLS} at once"),
            false,
        ),
        Decision::Write if goes_on => (
            "applying",
            format!("{name} is being written to the other slot"),
            false,
        ),
        Decision::Write => (
            "waiting",
            format!(
                "{name} is available: it is written to the other slot {SOON}; {INSTALLS} at once"
            ),
            false,
        ),
        Decision::Restart { version } if !goes_on => (
            "restart-needed",
            format!(
                "{version} is written and waits for a restart: the host restarts by itself {SOON}"
            ),
            false,
        ),
        Decision::Restart { version } => (
            "restarting",
            format!("the host restarts to try {version}"),
            false,
        ),
        Decision::WaitForRestart { version, why } => {
            let why = match why {
                WaitForRestart::ByHand => {
                    "it was applied by hand, so restart the host by hand".to_owned()
                }
                WaitForRestart::Never => {
                    "the policy says restart=never, so restart the host by hand".to_owned()
                }
                WaitForRestart::Busy(busy) => {
                    format!("the host restarts in a window when nothing runs; now {busy}")
                }
                WaitForRestart::Wait(
                    wait @ (Wait::Window { .. } | Wait::Wave { .. } | Wait::Again { .. }),
                ) => because(wait, s.zone, 0).1,
                WaitForRestart::Wait(Wait::License(reason)) => {
                    format!("restart the host by hand: {reason}")
                }
                WaitForRestart::Wait(Wait::Off) => {
                    "automatic updates are switched off, so restart the host by hand".to_owned()
                }
                WaitForRestart::Wait(Wait::Hold(_)) => {
                    "updates are on hold; a restart by hand tries it".to_owned()
                }
                WaitForRestart::Wait(Wait::FailedHere { reason }) => reason.clone(),
            };
            // The console says already that a hotfix waits for a restart.
            (
                "restart-needed",
                format!("{version} is written and waits for a restart: {why}"),
                false,
            )
        }
    };
    // What was offered once is told also where the server does not answer now; that it does not is told, too.
    if looks.failures > 0 {
        let next = looks.next_look(s.now).map_or_else(
            || "soon".to_owned(),
            |at| format!("on {}", moment(at, s.zone)),
        );
        let trouble = format!(
            "the repository was not read ({}); next attempt {next}",
            looks.error
        );
        let (status, text) = match decision {
            Decision::UpToDate => ("failing", trouble),
            // It would be fetched, and is not.
            Decision::Fetch => ("failing", format!("{name} is available: {trouble}")),
            _ => (status, format!("{text}. Moreover {trouble}")),
        };
        return Told {
            status: status.to_owned(),
            text,
            shown: shown || looks.failures >= TOLD_FROM,
            at: s.now,
        };
    }
    Told {
        status: status.to_owned(),
        text,
        shown,
        at: s.now,
    }
}

/// Writes the text above the login prompt and the one after a login, or takes them away where there is nothing to say.
pub(super) fn write(system: &dyn System, places: &Places, told: &Told) -> Result<(), FileError> {
    let text: String = format!("  Updates: {}", told.text)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let put = |path: &Path, text: String| {
        if !told.shown {
            return system.remove_file(path);
        }
        if let Some(folder) = path.parent() {
            system.create_dir_all(folder)?;
        }
        system.write_file(path, text.as_bytes(), 0o644)
    };
    // A backslash starts one of agetty's codes.
    put(
        &places.update_issue,
        format!("{}\n\n", text.replace('\\', "\\\\")),
    )?;
    put(&places.update_motd, format!("{text}\n"))
}
