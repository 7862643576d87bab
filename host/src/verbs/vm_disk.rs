//! Disks, media and network interfaces of virtual machines.

use super::disk::{destroy_disk, name_disk, refuse_snapshots, refuse_users, repository};
use super::uuid_of;
use super::vm_install::{medium, nic};
use super::vm_life::guest_in;
use crate::XeError;
use crate::guest::devices::{GuestDisk, GuestNic, free_disk_name, print};
use crate::guest::{Domain, libvirt};
use crate::record::Record;
use crate::selection::{one, uuid_invalid};
use crate::storage;
use crate::verb::{Arg, Asked, Kind, Outcome, Run, Verb};
use steps::System;

const VM: Arg = Arg::needed("vm-uuid", Kind::Of("vm"), "the virtual machine");
const DEVICE: Arg = Arg::needed(
    "device",
    Kind::Text,
    "0, 1, ..., xvda, xvdb, ... or autodetect",
);
const CD: Arg = Arg::needed("cd-name", Kind::Of("cd"), "an image from cd-list");

pub(super) const VERBS: &[Verb] = &[
    Verb {
        name: "vm-disk-add",
        summary: "Makes a disk and gives it to a virtual machine, also while it runs; prints its uuid",
        args: &[
            Arg::needed("disk-size", Kind::Size, "its size"),
            DEVICE,
            Arg::may(
                "sr-uuid",
                Kind::Of("sr"),
                "where; the local storage if left out",
            ),
        ],
        run: Run::Each("vm", disk_add),
    },
    Verb {
        name: "vm-disk-remove",
        summary: "Takes a disk away from a virtual machine and destroys it",
        args: &[DEVICE],
        run: Run::Each("vm", disk_remove),
    },
    Verb {
        name: "vm-disk-list",
        summary: "Lists the disks of a virtual machine",
        args: &[],
        run: Run::Each("vm", disk_list),
    },
    Verb {
        name: "vm-cd-add",
        summary: "Gives a virtual machine an optical drive with an image in it",
        args: &[CD, DEVICE],
        run: Run::Each("vm", cd_add),
    },
    Verb {
        name: "vm-cd-insert",
        summary: "Puts an image into the empty optical drive of a virtual machine",
        args: &[CD],
        run: Run::Each("vm", cd_insert),
    },
    Verb {
        name: "vm-cd-eject",
        summary: "Takes the image out of the optical drive of a virtual machine",
        args: &[],
        run: Run::Each("vm", cd_eject),
    },
    Verb {
        name: "vm-cd-remove",
        summary: "Takes the optical drive of a virtual machine away",
        args: &[Arg::needed("cd-name", Kind::Text, "the image in it")],
        run: Run::Each("vm", cd_remove),
    },
    Verb {
        name: "vbd-create",
        summary: "Gives a disk that exists to a virtual machine; prints the uuid of the connection",
        args: &[
            VM,
            DEVICE,
            Arg::needed(
                "vdi-uuid",
                Kind::Of("vdi"),
                "the disk, or the image of a medium",
            ),
            Arg::may(
                "mode",
                Kind::OneOf(&["RW", "RO"]),
                "whether the guest can write (RW)",
            ),
        ],
        run: Run::Once(vbd_create),
    },
    Verb {
        name: "vbd-destroy",
        summary: "Takes a disk away from a virtual machine; the disk stays",
        args: &[],
        run: Run::Each("vbd", vbd_destroy),
    },
    Verb {
        name: "vbd-plug",
        summary: "Connects a disk with the virtual machine while it runs",
        args: &[],
        run: Run::Each("vbd", |asked, record| {
            vbd_live(asked, record, "attach-device")
        }),
    },
    Verb {
        name: "vbd-unplug",
        summary: "Disconnects a disk from the virtual machine while it runs; it comes back with the next start",
        args: &[],
        run: Run::Each("vbd", |asked, record| {
            vbd_live(asked, record, "detach-device")
        }),
    },
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

/// Where a change of devices takes effect: for the next start, and now where the guest runs.
fn scopes(state: Option<&str>) -> &'static [&'static str] {
    match state {
        Some("running" | "paused") => &["--live", "--config"],
        _ => &["--config"],
    }
}

fn state_of(asked: &Asked<'_>, vm: &str) -> Result<Option<String>, XeError> {
    Ok(one("vm", vm, asked.around)?.text("power-state"))
}

fn attach(
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

fn detach(
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

/// A free name for a disk of this guest.
fn place(asked: &Asked<'_>, domain: &Domain) -> Result<String, XeError> {
    let device = asked.needed("device")?;
    free_disk_name(device, &domain.disks()).ok_or_else(|| {
        XeError::failure(
            "DEVICE_ALREADY_EXISTS",
            "This place is taken or is none; vm-disk-list shows what is taken, device=autodetect takes a free one.",
        )
        .with("device", device)
    })
}

fn disk_add(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let system = asked.around.system;
    let vm = guest_in(record, &["halted", "running", "paused"])?;
    let domain = libvirt::domain(system, &vm)?;
    let target = place(asked, &domain)?;
    let size = asked.size("disk-size")?.unwrap_or_default();
    let disk = storage::create(system, &repository(asked, "sr-uuid")?, size)?;
    let device = GuestDisk {
        target: target.clone(),
        cdrom: false,
        source: Some(disk.path.to_string_lossy().into_owned()),
        read_only: false,
    };
    name_disk(asked, &disk.uuid, &format!("{} {target}", domain.name()))
        .and_then(|()| {
            attach(
                asked,
                &vm,
                &device.to_xml(),
                record.text("power-state").as_deref(),
            )
        })
        .inspect_err(|_| {
            // The error that is told is the first one.
            let _ = destroy_disk(asked, &disk);
        })?;
    Ok(Outcome::Made(disk.uuid))
}

/// The disk of a guest in a place.
fn disk_at(domain: &Domain, device: &str) -> Option<GuestDisk> {
    let wanted = free_disk_name(device, &[])?;
    domain
        .disks()
        .into_iter()
        .find(|disk| disk.target == wanted)
}

fn disk_remove(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let system = asked.around.system;
    let vm = guest_in(record, &["halted", "running", "paused"])?;
    let domain = libvirt::domain(system, &vm)?;
    let device = asked.needed("device")?;
    let used = disk_at(&domain, device)
        .filter(|disk| !disk.cdrom)
        .ok_or_else(|| {
            XeError::failure("DEVICE_NOT_FOUND", "The virtual machine has no disk there.")
                .with("device", device)
        })?;
    let all = storage::disks(system, &storage::repositories(system)?)?;
    let disk = all
        .into_iter()
        .find(|disk| disk.path.to_str() == used.source.as_deref());
    if let Some(disk) = &disk {
        refuse_snapshots(asked, disk)?;
    }
    detach(
        asked,
        &vm,
        &used.to_xml(),
        record.text("power-state").as_deref(),
    )?;
    match disk {
        Some(disk) => {
            refuse_users(asked, &disk.path.to_string_lossy())?;
            destroy_disk(asked, &disk)?;
            Ok(Outcome::Done)
        }
        None => Ok(Outcome::Done),
    }
}

fn disk_list(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let system = asked.around.system;
    let domain = libvirt::domain(system, &guest_in(record, &[])?)?;
    let all = storage::disks(system, &storage::repositories(system)?)?;
    let lines: Vec<_> = domain
        .disks()
        .iter()
        .map(|used| {
            let disk = all
                .iter()
                .find(|disk| disk.path.to_str() == used.source.as_deref());
            format!(
                "{}\t{}\t{}\t{}",
                used.target,
                if used.cdrom { "CD" } else { "Disk" },
                disk.map_or("-", |disk| &disk.uuid),
                used.source.as_deref().unwrap_or("(empty)")
            )
        })
        .collect();
    Ok(Outcome::Said(lines.join("\n")))
}

fn cd_add(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let vm = guest_in(record, &["halted"])?;
    let domain = libvirt::domain(asked.around.system, &vm)?;
    let target = place(asked, &domain)?;
    // An emulated machine finds its installer in an emulated drive, of which there are four places.
    let hvm = domain.virtualization() == Some(crate::guest::Virtualization::Hvm);
    let target = match target.strip_prefix("xvd") {
        Some(letter) if hvm && ["a", "b", "c", "d"].contains(&letter) => format!("hd{letter}"),
        _ => target,
    };
    let device = GuestDisk {
        target,
        cdrom: true,
        source: Some(medium(asked, asked.needed("cd-name")?)?),
        read_only: true,
    };
    attach(asked, &vm, &device.to_xml(), Some("halted"))?;
    Ok(Outcome::Done)
}

/// The optical drive that fits; a guest has one as a rule.
fn drive(
    asked: &Asked<'_>,
    vm: &str,
    fits: impl Fn(&GuestDisk) -> bool,
) -> Result<GuestDisk, XeError> {
    libvirt::domain(asked.around.system, vm)?
        .disks()
        .into_iter()
        .find(|disk| disk.cdrom && fits(disk))
        .ok_or_else(|| {
            XeError::failure(
                "VM_NO_EMPTY_CD_VBD",
                "The virtual machine has no optical drive in this state; see vm-disk-list.",
            )
            .with("vm", vm)
        })
}

fn change_medium(
    asked: &Asked<'_>,
    record: &Record,
    vm: &str,
    args: &[&str],
) -> Result<Outcome, XeError> {
    let state = record.text("power-state");
    let all = ["change-media", vm]
        .into_iter()
        .chain(args.iter().copied())
        .chain(scopes(state.as_deref()).iter().copied());
    libvirt::run(asked.around.system, all).map(|_| Outcome::Done)
}

fn cd_insert(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let vm = guest_in(record, &["halted", "running", "paused"])?;
    let path = medium(asked, asked.needed("cd-name")?)?;
    let drive = drive(asked, &vm, |disk| disk.source.is_none())?;
    change_medium(asked, record, &vm, &[&drive.target, &path, "--insert"])
}

fn cd_eject(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let vm = guest_in(record, &["halted", "running", "paused"])?;
    let drive = drive(asked, &vm, |disk| disk.source.is_some())?;
    change_medium(asked, record, &vm, &[&drive.target, "--eject"])
}

fn cd_remove(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let vm = guest_in(record, &["halted"])?;
    let name = asked.needed("cd-name")?;
    let fits = |disk: &GuestDisk| {
        disk.source
            .as_deref()
            .is_some_and(|path| path == name || path.rsplit('/').next() == Some(name))
    };
    let drive = drive(asked, &vm, fits)?;
    detach(asked, &vm, &drive.to_xml(), Some("halted"))?;
    Ok(Outcome::Done)
}

/// A guest by the argument `vm-uuid`, and its state.
fn vm_argument(asked: &Asked<'_>) -> Result<(Domain, Option<String>), XeError> {
    let record = one("vm", asked.needed("vm-uuid")?, asked.around)?;
    let uuid = guest_in(&record, &["halted", "running", "paused"])?;
    Ok((
        libvirt::domain(asked.around.system, &uuid)?,
        record.text("power-state"),
    ))
}

fn vbd_create(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    let (domain, state) = vm_argument(asked)?;
    let vm = domain.uuid();
    let vdi = uuid_of(&one("vdi", asked.needed("vdi-uuid")?, asked.around)?)?;
    let disk = storage::disk(asked.around.system, &vdi)?;
    let media = disk.kind == storage::Kind::Iso;
    if !media {
        refuse_users(asked, &disk.path.to_string_lossy())?;
    }
    let device = GuestDisk {
        target: place(asked, &domain)?,
        cdrom: media,
        source: Some(disk.path.to_string_lossy().into_owned()),
        read_only: media || asked.get("mode") == Some("RO"),
    };
    attach(asked, &vm, &device.to_xml(), state.as_deref())?;
    Ok(Outcome::Made(device.uuid(&vm)))
}

/// The guest and the disk that a record of the class vbd is about.
fn of_vbd(system: &dyn System, record: &Record) -> Result<(String, GuestDisk), XeError> {
    let vm = record.text("vm-uuid").unwrap_or_default();
    let uuid = uuid_of(record)?;
    let disk = libvirt::domain(system, &vm)?
        .disks()
        .into_iter()
        .find(|disk| disk.uuid(&vm) == uuid)
        .ok_or_else(|| uuid_invalid("vbd", &uuid))?;
    Ok((vm, disk))
}

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

fn vbd_destroy(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let (vm, disk) = of_vbd(asked.around.system, record)?;
    let state = state_of(asked, &vm)?;
    detach(asked, &vm, &disk.to_xml(), state.as_deref())?;
    Ok(Outcome::Done)
}

fn vbd_live(asked: &Asked<'_>, record: &Record, command: &str) -> Result<Outcome, XeError> {
    let (vm, disk) = of_vbd(asked.around.system, record)?;
    live(asked, &vm, record, command, &disk.to_xml())
}

fn vif_live(asked: &Asked<'_>, record: &Record, command: &str) -> Result<Outcome, XeError> {
    let (vm, nic) = of_vif(asked.around.system, record)?;
    live(asked, &vm, record, command, &nic.to_xml())
}

/// Connects or disconnects a device of a guest that runs, for now.
fn live(
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
