//! Whether a boot of an installed host is good: what is checked, what is recorded, and what the boot loader is told.

mod baseline;
mod boot_state;
mod checks;
mod guests;
mod issue;
mod report;
mod storage;
mod watchdog;

pub use baseline::Baseline;
use boot_state::knows_as_good;
pub use boot_state::{after_good_boot, has_way_back, mark_good};
pub use checks::{Check, Outcome, Retry};
use checks::{Trial, run_checks};
pub use issue::{ISSUE_FILE, issue_text, write_issue};
pub use report::HealthReport;

use crate::error::chain;
use crate::hotfix::Places;
use crate::local::{boot_record, short_text};
use crate::mirror;
use slots::{BootRecord, Mode, names};
use std::path::{Path, PathBuf};
use std::time::Duration;
use steps::{Command, System};

/// The report of this boot.
pub const RUN_REPORT: &str = "/run/bedplate/health.json";

/// Where the report is kept across boots.
pub fn kept_report() -> PathBuf {
    Path::new(names::STATE_MOUNT).join("bedplate/health.json")
}

/// Checks this boot, marks its root as good on the ESP below `esp` where everything passed, and records the outcome.
///
/// The watchdog that the initrd armed stays armed only while a root is on trial with another good one behind it: then
/// a restart goes back to that. Where there is none, a host that is not good is still better than one that restarts.
/// It is disarmed before the root is marked: one that restarts its host again and again is not good.
///
/// Nothing here fails: what goes wrong is in the report, and [`HealthReport::passed`] is true only if every check
/// passed and the boot loader was told. That cannot be taken back, so that a report that cannot be written changes
/// nothing about it.
///
/// `record_failed` gets a root that was tried in vain, before the boot loader forgets it: see [`mark_good`].
pub fn check(
    system: &dyn System,
    esp: &Path,
    retry: &mut Retry<'_>,
    record_failed: &mut dyn FnMut(&BootRecord, &str) -> bool,
) -> HealthReport {
    let boot = boot_record(system);
    let way_back = boot
        .as_ref()
        .is_ok_and(|boot| has_way_back(esp, boot.root.id()));
    let early = (!way_back).then(|| watchdog::disarm(system));
    let trial = Trial {
        has_way_back: way_back,
        before: boot
            .as_ref()
            .ok()
            .filter(|_| way_back)
            .and_then(|boot| Baseline::of(system, &Places::default(), boot.root.id())),
    };
    let mut checks = run_checks(system, &boot, &trial, retry);
    if let Some((whole, reason)) = mirror::summary(system, &Places::default().sys_block) {
        checks.push(match whole {
            true => Check::pass("mirror", reason),
            false => Check::warn("mirror", reason),
        });
    }
    if boot.as_ref().is_ok_and(|boot| is_older(boot, esp)) {
        checks.push(Check::fail(
            "boot-state",
            "the loader came from the older half of the mirror and started a root that is not the good one any more: \
             restart the host",
        ));
    }
    let disarmed = early.or_else(|| all_good(&checks).then(|| watchdog::disarm(system)));
    if let Some(Err(reason)) = disarmed {
        checks.push(Check::fail("watchdog", reason));
    }
    let mut failed_try = None;
    let marked = match &boot {
        Ok(boot) if boot.mode == Mode::Host && all_good(&checks) => {
            match mark_good(esp, boot.root.id(), &mut |failed| {
                record_failed(boot, failed)
            }) {
                Ok(failed) => {
                    failed_try = failed;
                    checks.push(Check::pass(
                        "boot-state",
                        "the boot loader knows this root as good",
                    ));
                    true
                }
                Err(e) => {
                    let reason = format!(
                        "the boot loader cannot be told that this root is good: {}",
                        chain(&e)
                    );
                    checks.push(Check::fail("boot-state", reason));
                    false
                }
            }
        }
        _ => false,
    };
    let mut report = HealthReport {
        schema: HealthReport::SCHEMA,
        version: boot.as_ref().ok().map(|boot| boot.root.version.clone()),
        root_id: boot.as_ref().ok().map(|boot| boot.root.id().to_owned()),
        passed: marked,
        failed_try,
        uptime_ms: uptime_ms(system),
        checks,
    };
    save(system, &mut report);
    report
}

/// Writes the report to both of its places; what cannot be written is in it as a check.
fn save(system: &dyn System, report: &mut HealthReport) {
    for path in [PathBuf::from(RUN_REPORT), kept_report()] {
        if let Err(e) = write_report(system, &path, report) {
            report.checks.push(Check::fail("report", e));
        }
    }
}

/// Adds what was looked at after the boot was found to be good, and so decides nothing about that.
pub fn add(system: &dyn System, report: &mut HealthReport, check: Check) {
    report.checks.push(check);
    save(system, report);
}

/// True when the loader came from the older half of a mirror and started another root than the newer half says.
fn is_older(boot: &BootRecord, esp: &Path) -> bool {
    let older = |mirror: &slots::MirrorBoot| mirror.booted != mirror.kept;
    boot.mirror.as_ref().is_some_and(older) && !knows_as_good(esp, boot.root.id())
}

fn all_good(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.outcome.is_good())
}

fn write_report(system: &dyn System, path: &Path, report: &HealthReport) -> Result<(), String> {
    let json = serde_json::to_vec_pretty(report).map_err(|e| e.to_string())?;
    if let Some(folder) = path.parent() {
        system.create_dir_all(folder).map_err(|e| chain(&e))?;
    }
    system.write_file(path, &json, 0o644).map_err(|e| chain(&e))
}

/// How many domains the hypervisor runs; 0 where it does not say.
pub fn domains(system: &dyn System) -> usize {
    let output = system.run(
        &Command::new("xl")
            .arg("list")
            .timeout(Duration::from_secs(20)),
    );
    output.map_or(0, |output| output.text().lines().skip(1).count())
}

/// Milliseconds since the kernel started; of dom0, not of the hypervisor.
fn uptime_ms(system: &dyn System) -> Option<u64> {
    let text = short_text(system, "/proc/uptime")?;
    let (seconds, hundredths) = text.split_whitespace().next()?.split_once('.')?;
    Some(seconds.parse::<u64>().ok()? * 1000 + hundredths.parse::<u64>().ok()? * 10)
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
