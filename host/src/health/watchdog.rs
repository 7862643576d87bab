//! The hypervisor's watchdog, which the initrd armed: `init/src/watchdog.rs`.

use crate::error::chain;
use slots::names::WATCHDOG;
use std::path::Path;
use steps::{Command, System};

/// Disarms it; a machine without one has nothing to disarm, which the initrd has warned of.
///
/// The letter `V` before the end is what tells the kernel that the end is meant (Linux
/// `Documentation/watchdog/watchdog-api.rst`, "magic close").
///
/// # Errors
/// In words, when it may still run: then the machine restarts.
pub fn disarm(system: &dyn System) -> Result<(), String> {
    if !system.exists(Path::new(WATCHDOG)) {
        return Ok(());
    }
    let script = format!("printf V >{WATCHDOG}");
    system
        .run(&Command::new("sh").args(["-c", &script]))
        .map(drop)
        .map_err(|e| {
            format!(
                "the watchdog may still run and restart this host: stop it by `printf V >{WATCHDOG}`: {}",
                chain(&e)
            )
        })
}

#[cfg(test)]
mod tests {
    use crate::health::HealthReport;
    use crate::health::testing::*;
    use slots::boot_state::{BootState, STATE_ENV};
    use slots::names::WATCHDOG;
    use steps::RecordingSystem;

    /// What was done to the watchdog, when it is there.
    fn watchdog(system: RecordingSystem, state: &BootState) -> (HealthReport, usize) {
        let system = system.file(WATCHDOG, "").prints("sh", "");
        let report = check_once(&system, &esp(state));
        let stops = system
            .command_lines()
            .iter()
            .filter(|line| line.contains("printf V >/dev/watchdog0"))
            .count();
        (report, stops)
    }

    #[test]
    fn the_watchdog_runs_on_only_while_there_is_a_way_back() {
        let broken = || good_host().fails("virsh -c", 1, "no socket");
        for (name, system, state, passed, stops) in [
            (
                "on trial and good",
                good_host(),
                state(Some(OTHER), Some(RUNNING), 0),
                true,
                1,
            ),
            (
                "on trial and not good",
                broken(),
                state(Some(OTHER), Some(RUNNING), 0),
                false,
                0,
            ),
            (
                "a new host, not good",
                broken(),
                state(None, Some(RUNNING), 2),
                false,
                1,
            ),
            (
                "good before, not now",
                broken(),
                state(Some(RUNNING), None, 0),
                false,
                1,
            ),
            (
                "another one is on trial",
                broken(),
                state(Some(RUNNING), Some(OTHER), 1),
                false,
                1,
            ),
        ] {
            let (report, stopped) = watchdog(system, &state);
            assert_eq!(
                (report.passed, stopped),
                (passed, stops),
                "{name}: {report}"
            );
        }
    }

    #[test]
    fn a_root_whose_watchdog_runs_on_is_not_good() {
        for before in [
            state(Some(RUNNING), None, 0),
            state(Some(OTHER), Some(RUNNING), 0),
        ] {
            let stuck = good_host().file(WATCHDOG, "").fails("sh", 1, "busy");
            let folder = esp(&before);
            let report = check_once(&stuck, &folder);
            assert!(!report.passed, "{report}");
            let problems: Vec<_> = report.problems().map(|check| &check.name).collect();
            assert_eq!(problems, ["watchdog"]);
            assert_eq!(
                on(&folder, STATE_ENV),
                before,
                "the boot loader is told nothing"
            );
        }
    }
}
