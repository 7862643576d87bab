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
