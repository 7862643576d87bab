//! What happens when the boot cannot go on. There is no shell to fall into: the reason is shown, and then the machine
//! restarts or waits for somebody.

use crate::console::Console;
use crate::state::RestartNeeded;
use nix::sys::reboot::{RebootMode, reboot};
use slots::Mode;
use std::thread::sleep;
use std::time::Duration;

/// Seconds before a host restarts: long enough to read the reason, and for a disk array to come up meanwhile.
const HOST_SECONDS: u64 = 30;

/// Seconds before the restart that a file system check asks for.
const CHECK_SECONDS: u64 = 5;

/// How often a machine that stays says so again, for who looks at its serial line later, in seconds.
const REPEAT_SECONDS: u64 = 60;

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
fn after(mode: Option<Mode>, panic_seconds: i64, restart_needed: bool) -> After {
    match mode {
        _ if restart_needed => After::Restart(CHECK_SECONDS),
        Some(Mode::Host) if panic_seconds != 0 => After::Restart(HOST_SECONDS),
        Some(_) | None => After::Stay,
    }
}

/// Shows why the boot cannot go on, and never returns.
pub fn stop(console: &Console, mode: Option<Mode>, panic_seconds: i64, error: &anyhow::Error) -> ! {
    let reason = format!("{error:#}");
    console.error("The boot cannot go on:");
    console.error(&reason);
    let restart_needed = error.downcast_ref::<RestartNeeded>().is_some();
    match after(mode, panic_seconds, restart_needed) {
        After::Restart(seconds) => {
            console.error(&format!("The machine restarts in {seconds} seconds."));
            sleep(Duration::from_secs(seconds));
            nix::unistd::sync();
            let Err(error) = reboot(RebootMode::RB_AUTOBOOT);
            console.error(&format!("The machine does not restart ({error})."));
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
        assert_eq!(
            after(Some(Mode::Host), 10, false),
            After::Restart(HOST_SECONDS)
        );
        assert_eq!(
            after(Some(Mode::Host), -1, false),
            After::Restart(HOST_SECONDS)
        );
        assert_eq!(after(Some(Mode::Host), 0, false), After::Stay);
        assert_eq!(after(Some(Mode::Rescue), 10, false), After::Stay);
        assert_eq!(after(Some(Mode::Live), 10, false), After::Stay);
        assert_eq!(after(None, 10, false), After::Stay);
    }

    #[test]
    fn a_check_that_asks_for_a_restart_gets_it() {
        assert_eq!(
            after(Some(Mode::Rescue), 0, true),
            After::Restart(CHECK_SECONDS)
        );
    }
}
