//! Restarting the host to take a release that was written.

use super::policy::{Restart, UpdatePolicy};
use crate::XeError;
use crate::class::Class;
use crate::error::chain;
use crate::hotfix::{self, Places};
use crate::record::Record;
use crate::task;
use crate::verbs::{self, DISABLED};
use std::path::Path;
use steps::{Command, System};

/// Why the host must not restart now; none where it may. What cannot be found out is a reason.
pub(super) fn busy(system: &dyn System, policy: &UpdatePolicy) -> Option<String> {
    match task::all(system) {
        Err(error) => return Some(format!("whether commands run is not known: {error}")),
        Ok(tasks) => {
            if let Some(task) = tasks.first() {
                return Some(format!("the command {} runs", task.name));
            }
        }
    }
    if policy.restart == Restart::Always {
        return None;
    }
    match guests(system) {
        Err(error) => Some(format!("whether guests run is not known: {error}")),
        Ok(names) => match &names[..] {
            [] => None,
            [one] => Some(format!("the guest {one} runs")),
            [first, ..] => Some(format!("{} guests run, {first} among them", names.len())),
        },
    }
}

/// The names of the guests that run, by whatever they were started.
fn guests(system: &dyn System) -> Result<Vec<String>, XeError> {
    const WANTED: [&str; 3] = ["name-label", "power-state", "is-control-domain"];
    let class = Class::named("vm")
        .ok_or_else(|| XeError::failure("INTERNAL_ERROR", "there is no class of guests"))?;
    let is =
        |record: &Record, field: &str, value: &str| record.text(field).as_deref() == Some(value);
    Ok(class
        // What runs is known without libvirt too.
        .listed(system, &WANTED)?
        .0
        .iter()
        .filter(|vm| !is(vm, "is-control-domain", "true"))
        .filter(|vm| !is(vm, "power-state", "halted") && !is(vm, "power-state", "suspended"))
        .map(|vm| {
            vm.text("name-label")
                .unwrap_or_else(|| "without a name".to_owned())
        })
        .collect())
}

/// Restarts the host. Guests are kept from being started first, and then it is looked once more whether some run.
///
/// # Errors
/// When something runs by now, or the host cannot be restarted. Guests may be started again then.
pub(super) fn restart(
    system: &dyn System,
    places: &Places,
    policy: &UpdatePolicy,
) -> Result<(), XeError> {
    // Nobody uploads or applies meanwhile: that would be cut off.
    let _lock = hotfix::lock(system, places, "host-update")?;
    let mark = Path::new(DISABLED);
    // The administrator's own mark stays whatever comes of this.
    let ours = !system.exists(mark);
    verbs::disable(system)?;
    let restarted = match busy(system, policy) {
        Some(busy) => Err(XeError::failure("HOST_HAS_RESIDENT_VMS", busy)),
        // libvirt-guests shuts down the guests that still run.
        None => system
            .run(&Command::new("systemctl").arg("reboot"))
            .map(drop)
            .map_err(|e| {
                XeError::failure(
                    "INTERNAL_ERROR",
                    format!("the host cannot be restarted: {}", chain(&e)),
                )
            }),
    };
    if restarted.is_err() && ours {
        // The first error is the one to tell.
        let _ = system.remove_file(mark);
    }
    restarted
}
