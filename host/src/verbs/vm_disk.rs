//! Disks and media of virtual machines.

use super::device::{VM, attach, detach, live, scopes, state_of, vm_argument};
use super::disk::{
    destroy_disk, name_disk, refuse_other_guests, refuse_snapshots, refuse_users, repository,
};
use super::owner;
use super::uuid_of;
use super::vm_install::medium;
use super::vm_life::guest_in;
use crate::XeError;
use crate::guest::devices::{GuestDisk, free_disk_name};
use crate::guest::{Domain, libvirt};
use crate::record::Record;
use crate::selection::{one, uuid_invalid};
use crate::storage;
use crate::verb::{Arg, Asked, Kind, Outcome, Run, Verb};
use steps::System;

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
];

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
        .and_then(|()| owner::set(system, &disk.uuid, &vm))
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

/// Takes a disk away from a guest in this state. Where it is unplugged while that runs, only the definition has it.
fn take_away(
    asked: &Asked<'_>,
    vm: &str,
    disk: &GuestDisk,
    state: Option<String>,
) -> Result<(), XeError> {
    let running = libvirt::running(asked.around.system)?;
    let mut attached = running
        .iter()
        .filter(|domain| domain.uuid() == vm)
        .flat_map(Domain::disks);
    let is_attached = attached.any(|other| other.target == disk.target);
    let state = state.filter(|_| is_attached);
    detach(asked, vm, &disk.to_xml(), state.as_deref())
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
    let disk = all.into_iter().find(|disk| used.is_on(system, &disk.path));
    if let Some(disk) = &disk {
        refuse_snapshots(asked, disk)?;
        refuse_other_guests(asked, &vm, [disk.path.as_path()])?;
    }
    take_away(asked, &vm, &used, record.text("power-state"))?;
    if let Some(disk) = disk {
        refuse_users(asked, std::slice::from_ref(&disk.path))?;
        destroy_disk(asked, &disk)?;
    }
    Ok(Outcome::Done)
}

fn disk_list(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let system = asked.around.system;
    let domain = libvirt::domain(system, &guest_in(record, &[])?)?;
    let all = storage::disks(system, &storage::repositories(system)?)?;
    let lines: Vec<_> = domain
        .disks()
        .iter()
        .map(|used| {
            let disk = all.iter().find(|disk| used.is_on(system, &disk.path));
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

fn vbd_create(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    let (domain, state) = vm_argument(asked)?;
    let vm = domain.uuid();
    let vdi = uuid_of(&one("vdi", asked.needed("vdi-uuid")?, asked.around)?)?;
    let disk = storage::disk(asked.around.system, &vdi)?;
    let media = disk.kind == storage::Kind::Iso;
    let target = place(asked, &domain)?;
    if !media {
        refuse_users(asked, std::slice::from_ref(&disk.path))?;
        // Whoever it was made for gave it away, or has it back as one that is only attached.
        owner::clear(asked.around.system, &disk)?;
    }
    let device = GuestDisk {
        target,
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

fn vbd_destroy(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let (vm, disk) = of_vbd(asked.around.system, record)?;
    take_away(asked, &vm, &disk, state_of(asked, &vm)?)?;
    let system = asked.around.system;
    let all = storage::disks(system, &storage::repositories(system)?)?;
    if let Some(disk) = all.iter().find(|known| disk.is_on(system, &known.path))
        && owner::is(system, disk, &vm)?
    {
        owner::clear(system, disk)?;
    }
    Ok(Outcome::Done)
}

fn vbd_live(asked: &Asked<'_>, record: &Record, command: &str) -> Result<Outcome, XeError> {
    let (vm, disk) = of_vbd(asked.around.system, record)?;
    live(asked, &vm, record, command, &disk.to_xml())
}
