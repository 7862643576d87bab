//! Network interfaces of virtual machines.

use super::device::{VM, attach, detach, live, state_of, vm_argument};
use super::uuid_of;
use super::vm_install::nic;
use crate::XeError;
use crate::guest::devices::GuestNic;
use crate::guest::libvirt;
use crate::record::Record;
use crate::selection::uuid_invalid;
use crate::verb::{Arg, Asked, Kind, Outcome, Run, Verb};
use steps::System;

pub(super) const VERBS: &[Verb] = &[
    Verb {
        name: "vif-create",
        summary: "Gives a virtual machine a network interface; prints its uuid",
        args: &[
            VM,
            Arg::needed("network-uuid", Kind::Of("network"), "the network"),
            Arg::may("mac", Kind::Text, "its address; a new one if left out"),
            Arg::may(
                "device",
                Kind::Text,
                "not used: interfaces are in the order in which they were made",
            ),
        ],
        run: Run::Once(vif_create),
    },
    Verb {
        name: "vif-destroy",
        summary: "Takes a network interface away from a virtual machine",
        args: &[],
        run: Run::Each("vif", vif_destroy),
    },
    Verb {
        name: "vif-plug",
        summary: "Connects a network interface while the virtual machine runs",
        args: &[],
        run: Run::Each("vif", |asked, record| {
            vif_live(asked, record, "attach-device")
        }),
    },
    Verb {
        name: "vif-unplug",
        summary: "Disconnects a network interface while the virtual machine runs; it comes back with the next start",
        args: &[],
        run: Run::Each("vif", |asked, record| {
            vif_live(asked, record, "detach-device")
        }),
    },
];

/// The guest and the interface that a record of the class vif is about.
fn of_vif(system: &dyn System, record: &Record) -> Result<(String, GuestNic), XeError> {
    let vm = record.text("vm-uuid").unwrap_or_default();
    let uuid = uuid_of(record)?;
    let nic = libvirt::domain(system, &vm)?
        .nics()
        .into_iter()
        .find(|nic| nic.uuid(&vm) == uuid)
        .ok_or_else(|| uuid_invalid("vif", &uuid))?;
    Ok((vm, nic))
}

fn vif_live(asked: &Asked<'_>, record: &Record, command: &str) -> Result<Outcome, XeError> {
    let (vm, nic) = of_vif(asked.around.system, record)?;
    live(asked, &vm, record, command, &nic.to_xml())
}

fn vif_create(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    let (domain, state) = vm_argument(asked)?;
    let vm = domain.uuid();
    let nic = nic(asked, asked.needed("network-uuid")?)?;
    if domain.nics().iter().any(|other| other.mac == nic.mac) {
        return Err(XeError::failure(
            "MAC_STILL_EXISTS",
            "The virtual machine has an interface with this address.",
        )
        .with("MAC", nic.mac));
    }
    attach(asked, &vm, &nic.to_xml(), state.as_deref())?;
    Ok(Outcome::Made(nic.uuid(&vm)))
}

fn vif_destroy(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let (vm, nic) = of_vif(asked.around.system, record)?;
    let state = state_of(asked, &vm)?;
    // libvirt finds it by its address; where it is unplugged, only the definition has it.
    let attached = record.text("currently-attached").as_deref() == Some("true");
    let state = state.filter(|_| attached);
    detach(asked, &vm, &nic.to_xml(), state.as_deref())?;
    Ok(Outcome::Done)
}
