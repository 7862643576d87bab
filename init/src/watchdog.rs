//! The hypervisor's watchdog over this boot: a host that hangs before its health was looked at is restarted, which the
//! boot loader counts as a failed try.
//!
//! Armed here, as early as dom0 can, and disarmed by `bedplate-health`. The time is the module's parameter
//! `xen_wdt.timeout`, which the boot configuration sets ([`slots::boot_options::WATCHDOG_SECONDS`]).
//! Sources: Linux `drivers/watchdog/xen_wdt.c`, `Documentation/watchdog/watchdog-api.rst`; Xen `xen/common/sched/core.c`,
//! `domain_watchdog_timeout`, and `xen/common/shutdown.c`, `SHUTDOWN_watchdog`.

use anyhow::{Context, Result};
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;

/// The driver.
pub const MODULE: &str = "xen_wdt";
/// Levels of the console's messages; the first number is the one in force.
const PRINTK: &str = "/proc/sys/kernel/printk";
/// Critical messages are not shown, alerts and emergencies are.
const QUIET: &str = "2";

/// Arms the watchdog. Opening starts it, and closing without the letter `V` leaves it running, which the kernel calls
/// critical: that one message is kept off the consoles, because here it is what is wanted.
///
/// # Errors
/// No such device, or it cannot be opened.
pub fn arm() -> Result<()> {
    let device = Path::new(slots::names::WATCHDOG);
    let levels = fs::read_to_string(PRINTK).unwrap_or_default();
    let _ = fs::write(PRINTK, QUIET);
    let opened = OpenOptions::new().write(true).open(device);
    let result = match opened {
        Ok(watchdog) => {
            drop(watchdog);
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Err(error).context(
            "the hypervisor's watchdog is missing, so that a hang of this boot needs the reset button",
        ),
        Err(error) => Err(error).with_context(|| {
            format!(
                "{} cannot be armed, so that a hang of this boot needs the reset button",
                device.display()
            )
        }),
    };
    if let Some(level) = levels.split_whitespace().next() {
        let _ = fs::write(PRINTK, level);
    }
    result
}
