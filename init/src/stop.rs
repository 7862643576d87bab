//! What happens when the boot cannot go on. There is no shell to fall into: the reason is shown, and then the machine
//! restarts or waits for somebody.

use crate::console::Console;
use crate::state::RestartNeeded;
use nix::sys::reboot::{RebootMode, reboot};
use slots::Mode;
use std::fmt;
use std::thread::sleep;
use std::time::Duration;

/// Seconds before a host restarts: long enough to read the reason, and for a disk array to come up meanwhile.
const HOST_SECONDS: u64 = 30;

/// Seconds before the restart that a file system check asks for.
const CHECK_SECONDS: u64 = 5;

/// How often a machine that stays says so again, for who looks at its serial line later, in seconds.
const REPEAT_SECONDS: u64 = 60;

/// A reason that neither a restart nor another slot can change: somebody has to decide.
#[derive(Debug)]
pub struct SomebodyNeeded(pub String);

impl fmt::Display for SomebodyNeeded {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for SomebodyNeeded {}

/// What follows on a boot that cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// The machine restarts in so many seconds.
    Restart(u64),
    /// It stays as it is, with the reason on its consoles.
    Stay,
}

/// A host whose kernel would restart on a panic (`panic=` on its command line, which every host entry of the boot menu
/// has) restarts: the loader counts the failed try and takes the other slot, and a host alone in a rack gets another
/// chance when its disks come up late. Live and rescue have somebody before them, and nothing to fall back to.
fn after(mode: Option<Mode>, panic_seconds: i64, error: &anyhow::Error) -> After {
    match mode {
        _ if error.is::<RestartNeeded>() => After::Restart(CHECK_SECONDS),
        _ if error.is::<SomebodyNeeded>() => After::Stay,
        Some(Mode::Host) if panic_seconds != 0 => After::Restart(HOST_SECONDS),
        Some(_) | None => After::Stay,
    }
}

/// Restarts the machine; returns only where the kernel refuses, which is told.
pub fn restart(console: &Console) {
    nix::unistd::sync();
    let Err(error) = reboot(RebootMode::RB_AUTOBOOT);
    console.error(&format!("The machine does not restart ({error})."));
}

/// Shows why the boot cannot go on, and never returns.
pub fn stop(console: &Console, mode: Option<Mode>, panic_seconds: i64, error: &anyhow::Error) -> ! {
    let reason = format!("{error:#}");
    console.error("The boot cannot go on:");
    console.error(&reason);
    match after(mode, panic_seconds, error) {
        After::Restart(seconds) => {
            console.error(&format!("The machine restarts in {seconds} seconds."));
            sleep(Duration::from_secs(seconds));
            restart(console);
        }
        After::Stay => {}
    }
    // The kernel is alive, and restarts at once on these keys.
    console.error("The machine is stopped. Restart it by Ctrl-Alt-Del, its reset button or its management controller.");
    let first = reason.lines().next().unwrap_or_default();
    loop {
        sleep(Duration::from_secs(REPEAT_SECONDS));
        console.error(&format!("stopped: {first}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_host_that_panics_into_a_restart_restarts() {
        let error = anyhow::anyhow!("no disk");
        let after = |mode, panic| after(mode, panic, &error);
        assert_eq!(after(Some(Mode::Host), 10), After::Restart(HOST_SECONDS));
        assert_eq!(after(Some(Mode::Host), -1), After::Restart(HOST_SECONDS));
        assert_eq!(after(Some(Mode::Host), 0), After::Stay);
        assert_eq!(after(Some(Mode::Rescue), 10), After::Stay);
        assert_eq!(after(Some(Mode::Live), 10), After::Stay);
        assert_eq!(after(None, 10), After::Stay);
    }

    #[test]
    fn a_check_that_asks_for_a_restart_gets_it() {
        let error = RestartNeeded("/dev/sda5".to_owned()).into();
        assert_eq!(
            after(Some(Mode::Rescue), 0, &error),
            After::Restart(CHECK_SECONDS)
        );
    }

    #[test]
    fn what_a_restart_cannot_change_stays_on_the_screen() {
        let error = anyhow::Error::from(SomebodyNeeded("two disks".to_owned()));
        assert_eq!(after(Some(Mode::Host), 10, &error), After::Stay);
        // A step that says where it happened must not hide what kind of error it is.
        assert_eq!(
            after(Some(Mode::Host), 10, &error.context("search")),
            After::Stay
        );
    }
}
