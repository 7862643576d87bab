//! The life of a virtual machine: started, stopped, suspended, restarted, its console.

use super::host::refuse_disabled;
use super::uuid_of;
use crate::XeError;
use crate::class::{DOM0, bad_power_state};
use crate::guest::libvirt::{self, CONNECTION};
use crate::guest::snapshots;
use crate::record::Record;
use crate::verb::{Arg, Asked, Kind, Outcome, Run, Verb};
use std::time::Duration;
use steps::System;

const FORCE: Arg = Arg::may("force", Kind::Flag, "at once, without asking the guest");

pub(super) const VERBS: &[Verb] = &[
    Verb {
        name: "vm-start",
        summary: "Starts a virtual machine",
        args: &[
            Arg::may("paused", Kind::Flag, "without letting it run yet"),
            Arg::may(
                "force",
                Kind::Flag,
                "not used: there are no checks that it could leave out",
            ),
        ],
        run: Run::Each("vm", start),
    },
    Verb {
        name: "vm-shutdown",
        summary: "Shuts a virtual machine down and waits until it is off",
        args: &[
            FORCE,
            Arg::may("timeout", Kind::Number, "seconds to wait (300)"),
        ],
        run: Run::Each("vm", shutdown),
    },
    Verb {
        name: "vm-reboot",
        summary: "Restarts a virtual machine",
        args: &[FORCE],
        run: Run::Each("vm", reboot),
    },
    Verb {
        name: "vm-pause",
        summary: "Stops the processors of a virtual machine; its memory stays",
        args: &[],
        run: Run::Each("vm", |asked, vm| simple(asked, vm, &["running"], "suspend")),
    },
    Verb {
        name: "vm-unpause",
        summary: "Lets a paused virtual machine run again",
        args: &[],
        run: Run::Each("vm", |asked, vm| simple(asked, vm, &["paused"], "resume")),
    },
    Verb {
        name: "vm-suspend",
        summary: "Writes the memory of a virtual machine to disk and stops it",
        args: &[],
        run: Run::Each("vm", |asked, vm| {
            simple(asked, vm, &["running", "paused"], "managedsave")
        }),
    },
    Verb {
        name: "vm-resume",
        summary: "Lets a suspended virtual machine go on where it was",
        args: &[],
        run: Run::Each("vm", |asked, vm| {
            refuse_disabled(asked.around.system)?;
            simple(asked, vm, &["suspended"], "start")
        }),
    },
    Verb {
        name: "vm-reset-powerstate",
        summary: "Ends a virtual machine that does not answer, whatever state it is in; drops the memory of one that is suspended",
        args: &[Arg::needed(
            "force",
            Kind::Flag,
            "it loses what it did not write",
        )],
        run: Run::Each("vm", reset),
    },
    Verb {
        name: "vm-vcpu-hotplug",
        summary: "Changes how many processors a running virtual machine has, up to VCPUs-max",
        args: &[Arg::needed("new-vcpus", Kind::Number, "how many")],
        run: Run::Each("vm", vcpus),
    },
    Verb {
        name: "vm-memory-set",
        summary: "Changes the memory of a virtual machine; of one that runs, up to memory-static-max",
        args: &[Arg::needed("memory", Kind::Size, "how much")],
        run: Run::Each("vm", memory),
    },
    Verb {
        name: "vm-memory-limits-set",
        summary: "Changes the limits of a virtual machine's memory, for its next start",
        args: &[
            Arg::needed("static-max", Kind::Size, "the most that it can have"),
            Arg::may(
                "dynamic-max",
                Kind::Size,
                "what it starts with; static-max if left out",
            ),
            Arg::may(
                "static-min",
                Kind::Size,
                "not used: nothing takes memory away by itself",
            ),
            Arg::may(
                "dynamic-min",
                Kind::Size,
                "not used: nothing takes memory away by itself",
            ),
        ],
        run: Run::Each("vm", memory_limits),
    },
    Verb {
        name: "console",
        summary: "Connects this terminal with the serial console of a virtual machine; Ctrl and ] leave it",
        args: &[],
        run: Run::Each("vm", console),
    },
];

/// How often a guest that shuts down is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Seconds that a guest has to shut down.
const SHUTDOWN: u32 = 300;

/// The UUID of a guest in one of these states. dom0 is none.
pub(super) fn guest_in(record: &Record, states: &[&str]) -> Result<String, XeError> {
    let uuid = uuid_of(record)?;
    if uuid == DOM0 {
        return Err(XeError::failure(
            "OPERATION_NOT_ALLOWED",
            "This is the control domain, dom0: the host itself. See host-reboot and host-shutdown.",
        )
        .with("vm", uuid));
    }
    let state = record.text("power-state").unwrap_or_default();
    match states.is_empty() || states.contains(&state.as_str()) {
        true => Ok(uuid),
        false => Err(bad_power_state(&uuid, &states.join("; "), &state)),
    }
}

fn simple(
    asked: &Asked<'_>,
    record: &Record,
    states: &[&str],
    command: &str,
) -> Result<Outcome, XeError> {
    let uuid = guest_in(record, states)?;
    libvirt::run(asked.around.system, [command, &uuid]).map(|_| Outcome::Done)
}

fn start(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    refuse_disabled(asked.around.system)?;
    let uuid = guest_in(record, &["halted"])?;
    snapshots::refuse_reverting(asked.around.system, &uuid, "")?;
    let mut args = vec!["start", uuid.as_str()];
    if asked.flag("paused")? {
        args.push("--paused");
    }
    libvirt::run(asked.around.system, args).map(|_| Outcome::Done)
}

fn shutdown(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let system = asked.around.system;
    if asked.flag("force")? {
        return simple(asked, record, &["running", "paused", "crashed"], "destroy");
    }
    let uuid = guest_in(record, &["running"])?;
    libvirt::run(system, ["shutdown", &uuid])?;
    let seconds = asked.number("timeout")?.unwrap_or(SHUTDOWN);
    for _ in 0..seconds {
        if is_off(system, &uuid)? {
            return Ok(Outcome::Done);
        }
        std::thread::sleep(LOOK);
    }
    Err(XeError::failure(
        "VM_SHUTDOWN_TIMEOUT",
        "The guest was asked to shut down and still runs; look at its console, or give force=true.",
    )
    .with("vm", uuid)
    .with("timeout", seconds.to_string()))
}

fn is_off(system: &dyn System, uuid: &str) -> Result<bool, XeError> {
    libvirt::run(system, ["domstate", uuid]).map(|state| state == "shut off")
}

fn reboot(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let system = asked.around.system;
    if !asked.flag("force")? {
        return simple(asked, record, &["running"], "reboot");
    }
    // It is started anew, and must not be left halted.
    refuse_disabled(system)?;
    let uuid = guest_in(record, &["running", "paused", "crashed"])?;
    libvirt::run(system, ["destroy", &uuid])?;
    libvirt::run(system, ["start", &uuid]).map(|_| Outcome::Done)
}

fn reset(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let uuid = guest_in(record, &[])?;
    let system = asked.around.system;
    if !asked.flag("force")? {
        return Err(XeError::usage(
            "force=true is needed: the guest loses what it did not write",
        ));
    }
    match record.text("power-state").as_deref() {
        Some("suspended") => libvirt::run(system, ["managedsave-remove", &uuid])?,
        Some("halted") => String::new(),
        _ => libvirt::run(system, ["destroy", &uuid])?,
    };
    Ok(Outcome::Done)
}

fn vcpus(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let uuid = guest_in(record, &["running", "paused"])?;
    let count = asked.needed("new-vcpus")?;
    libvirt::run(
        asked.around.system,
        ["setvcpus", &uuid, count, "--live", "--config"],
    )
    .map(|_| Outcome::Done)
}

fn memory(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let uuid = guest_in(record, &["running", "paused", "halted"])?;
    let system = asked.around.system;
    let bytes = asked.size("memory")?.unwrap_or_default();
    let kib = (bytes >> 10).to_string();
    let halted = record.text("power-state").as_deref() == Some("halted");
    if halted {
        let mut domain = libvirt::whole_domain(system, &uuid)?;
        domain.set_memory(bytes, bytes);
        libvirt::define(system, &domain)?;
    } else {
        libvirt::run(system, ["setmem", &uuid, &kib, "--live", "--config"])?;
    }
    Ok(Outcome::Done)
}

fn memory_limits(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let uuid = guest_in(record, &[])?;
    let max = asked.size("static-max")?.unwrap_or_default();
    let start = asked.size("dynamic-max")?.unwrap_or(max);
    if start > max {
        return Err(XeError::failure(
            "MEMORY_CONSTRAINT_VIOLATION",
            "dynamic-max is more than static-max.",
        ));
    }
    let mut domain = libvirt::whole_domain(asked.around.system, &uuid)?;
    domain.set_memory(max, start);
    libvirt::define(asked.around.system, &domain)?;
    Ok(Outcome::Done)
}

fn console(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let uuid = guest_in(record, &["running", "paused"])?;
    let mut args: Vec<String> = CONNECTION.map(str::to_owned).to_vec();
    args.extend(["console".to_owned(), uuid]);
    let status = asked
        .around
        .terminal
        .hand_over("virsh", &args)
        .map_err(|e| XeError::failure("INTERNAL_ERROR", format!("no console: {e}")))?;
    match status.success() {
        true => Ok(Outcome::Done),
        false => Err(XeError::failure(
            "INTERNAL_ERROR",
            format!("`virsh console` ended with {status}"),
        )),
    }
}
