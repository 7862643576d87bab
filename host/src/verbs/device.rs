//! Giving a device to a virtual machine and taking it away: what disks and network interfaces have in common.

use super::vm_life::guest_in;
use crate::XeError;
use crate::guest::devices::print;
use crate::guest::{Domain, libvirt};
use crate::record::Record;
use crate::selection::one;
use crate::verb::{Arg, Asked, Kind, Outcome};

/// Which virtual machine gets it.
pub(super) const VM: Arg = Arg::needed("vm-uuid", Kind::Of("vm"), "the virtual machine");

/// Where a change of devices takes effect: for the next start, and now where the guest runs.
pub(super) fn scopes(state: Option<&str>) -> &'static [&'static str] {
    match state {
        Some("running" | "paused") => &["--live", "--config"],
        _ => &["--config"],
    }
}

/// The state of a guest whose devices can be taken away. The memory of one that is suspended counts on them.
pub(super) fn state_of(asked: &Asked<'_>, vm: &str) -> Result<Option<String>, XeError> {
    let record = one("vm", vm, asked.around)?;
    guest_in(&record, &["halted", "running", "paused"])?;
    Ok(record.text("power-state"))
}

pub(super) fn attach(
    asked: &Asked<'_>,
    vm: &str,
    device: &xmltree::Element,
    state: Option<&str>,
) -> Result<(), XeError> {
    libvirt::device(
        asked.around.system,
        "attach-device",
        vm,
        &print(device),
        scopes(state),
    )
}

pub(super) fn detach(
    asked: &Asked<'_>,
    vm: &str,
    device: &xmltree::Element,
    state: Option<&str>,
) -> Result<(), XeError> {
    libvirt::device(
        asked.around.system,
        "detach-device",
        vm,
        &print(device),
        scopes(state),
    )
}

/// A guest by the argument `vm-uuid`, and its state.
pub(super) fn vm_argument(asked: &Asked<'_>) -> Result<(Domain, Option<String>), XeError> {
    let record = one("vm", asked.needed("vm-uuid")?, asked.around)?;
    let uuid = guest_in(&record, &["halted", "running", "paused"])?;
    Ok((
        libvirt::domain(asked.around.system, &uuid)?,
        record.text("power-state"),
    ))
}

/// Connects or disconnects a device of a guest that runs, for now.
pub(super) fn live(
    asked: &Asked<'_>,
    vm: &str,
    record: &Record,
    command: &str,
    device: &xmltree::Element,
) -> Result<Outcome, XeError> {
    let attached = record.text("currently-attached").as_deref() == Some("true");
    if attached == (command == "attach-device") {
        return Err(XeError::failure(
            match attached {
                true => "DEVICE_ALREADY_ATTACHED",
                false => "DEVICE_ALREADY_DETACHED",
            },
            "The device is in this state already.",
        )
        .with("device", record.text("device").unwrap_or_default()));
    }
    guest_in(&one("vm", vm, asked.around)?, &["running", "paused"])?;
    libvirt::device(
        asked.around.system,
        command,
        vm,
        &print(device),
        &["--live"],
    )?;
    Ok(Outcome::Done)
}
