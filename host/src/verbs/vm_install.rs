//! Virtual machines made and taken away.

use super::disk::{destroy_disk, fill, make_disk, name_disk, refuse_other_snapshots, repository};
use super::owner;
use super::vm_life::guest_in;
use super::vm_snapshot;
use crate::XeError;
use crate::guest::devices::{GuestDisk, GuestNic, is_mac};
use crate::guest::template::{Template, Wishes, build};
use crate::guest::{Domain, Virtualization, is_name, libvirt, snapshots};
use crate::local::MANAGEMENT_BRIDGE;
use crate::record::Record;
use crate::selection::one;
use crate::storage::{self, Disk, Kind as Storage, copy};
use crate::verb::{Arg, Asked, Kind, Outcome, Run, Verb};
use std::path::Path;

/// Where an emulated machine has its optical drive.
const DRIVE: &str = "hdd";

pub(super) const VERBS: &[Verb] = &[
    Verb {
        name: "vm-install",
        summary: "Makes a virtual machine from a template, with an empty disk, an ISO image or an imported disk; prints its uuid",
        args: &[
            Arg::needed("new-name-label", Kind::Text, "its name"),
            Arg::needed("template", Kind::Of("template"), "what kind of guest"),
            Arg::may(
                "cdrom",
                Kind::Of("cd"),
                "an image from cd-list, to install from",
            ),
            Arg::may(
                "import-file",
                Kind::File,
                "an image of a disk to begin with: raw, qcow2, VMDK, VHD or VHDX",
            ),
            Arg::may(
                "disk-size",
                Kind::Size,
                "of its disk; what the template says, or the size of the image",
            ),
            Arg::may("no-disk", Kind::Flag, "without a disk"),
            Arg::may(
                "sr-uuid",
                Kind::Of("sr"),
                "where the disk is made; the local storage if left out",
            ),
            Arg::may("memory", Kind::Size, "its memory"),
            Arg::may("vcpus", Kind::Number, "its processors"),
            Arg::may(
                "network",
                Kind::Of("network"),
                "the management network if left out; none for no interface",
            ),
            Arg::may(
                "mac",
                Kind::Text,
                "the address of its interface; a new one if left out",
            ),
            Arg::may("kernel", Kind::File, "a kernel on the host, for PV and PVH"),
            Arg::may("ramdisk", Kind::File, "the initial ramdisk for it"),
            Arg::may("args", Kind::Text, "the command line of the kernel"),
            Arg::may("name-description", Kind::Text, "what it is for"),
        ],
        run: Run::Once(install),
    },
    Verb {
        name: "vm-destroy",
        summary: "Removes a virtual machine; its disks stay",
        args: &[],
        run: Run::Each("vm", destroy),
    },
    Verb {
        name: "vm-uninstall",
        summary: "Removes a virtual machine with its snapshots and the disks that were made for it",
        args: &[Arg::may("force", Kind::Flag, "without asking")],
        run: Run::Agreed("vm", is_uninstalled, uninstall),
    },
];

/// The bridge of the network that an argument names.
pub(super) fn bridge(asked: &Asked<'_>, network: &str) -> Result<String, XeError> {
    let by_bridge = Path::new("/sys/class/net").join(network).join("bridge");
    if !network.contains('/') && asked.around.system.exists(&by_bridge) {
        return Ok(network.to_owned());
    }
    one("network", network, asked.around)?
        .text("bridge")
        .ok_or_else(|| crate::selection::uuid_invalid("network", network))
}

/// An interface on the network that was asked for.
pub(super) fn nic(asked: &Asked<'_>, network: &str) -> Result<GuestNic, XeError> {
    let mut nic = GuestNic::new(&bridge(asked, network)?);
    if let Some(mac) = asked
        .get("mac")
        .filter(|mac| !mac.is_empty() && *mac != "random")
    {
        let mac = mac.to_lowercase();
        if !is_mac(&mac) {
            return Err(XeError::failure(
                "MAC_INVALID",
                "The address is not that of one network card: six pairs of hexadecimal digits with colons, the first pair even.",
            )
            .with("MAC", mac));
        }
        nic.mac = mac;
    }
    Ok(nic)
}

/// The path of an image of a medium by UUID, name, or path.
pub(super) fn medium(asked: &Asked<'_>, name: &str) -> Result<String, XeError> {
    if name.starts_with('/') && asked.around.system.exists(Path::new(name)) {
        return Ok(name.to_owned());
    }
    one("cd", name, asked.around)?
        .text("location")
        .ok_or_else(|| crate::selection::uuid_invalid("vdi", name))
}

fn install(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    let system = asked.around.system;
    let template = Template::find(asked.needed("template")?)?;
    let name = asked.needed("new-name-label")?;
    let hvm = template.virtualization == Virtualization::Hvm;
    check_name(name)?;
    if hvm && asked.get("kernel").is_some() {
        return Err(XeError::usage(
            "kernel= is for PV and PVH guests; this template boots like a real machine",
        ));
    }
    for file in ["kernel", "ramdisk", "import-file"] {
        if let Some(path) = asked.get(file)
            && !system.exists(Path::new(path))
        {
            return Err(
                XeError::failure("FILE_NOT_FOUND", "There is no such file on this host.")
                    .with(file_argument(file), path),
            );
        }
    }
    if libvirt::domains(system)?
        .iter()
        .any(|domain| domain.name() == name)
    {
        return Err(name_in_use(name));
    }
    let mut wishes = Wishes {
        uuid: uuid::Uuid::new_v4().to_string(),
        name: name.to_owned(),
        memory: asked.size("memory")?,
        vcpus: asked.number("vcpus")?,
        kernel: asked.get("kernel").map(str::to_owned),
        ramdisk: asked.get("ramdisk").map(str::to_owned),
        args: asked.get("args").map(str::to_owned),
        ..Wishes::default()
    };
    match asked.get("network") {
        Some("none") => {}
        network => wishes
            .nics
            .push(nic(asked, network.unwrap_or(MANAGEMENT_BRIDGE))?),
    }
    let drive = match asked.get("cdrom") {
        Some(name) => Some(Some(medium(asked, name)?)),
        None => hvm.then_some(None),
    };
    // Everything that can be refused was; from here on something is made.
    let disk = match asked.flag("no-disk")? {
        true => None,
        false => Some(first_disk(asked, template, name, &wishes.uuid)?),
    };
    if let Some(disk) = &disk {
        wishes.disks.push(GuestDisk {
            target: "xvda".to_owned(),
            cdrom: false,
            source: Some(disk.path.to_string_lossy().into_owned()),
            read_only: false,
        });
    }
    if let Some(medium) = drive {
        wishes.disks.push(GuestDisk {
            target: if hvm { DRIVE } else { "xvdd" }.to_owned(),
            cdrom: true,
            source: medium,
            read_only: true,
        });
    }
    let mut domain = build(template, &wishes);
    domain.set_description(asked.get("name-description").unwrap_or_default());
    libvirt::define(system, &domain).inspect_err(|_| {
        if let Some(disk) = &disk {
            // The error that is told is the first one.
            let _ = destroy_disk(asked, disk);
        }
    })?;
    Ok(Outcome::Made(wishes.uuid))
}

fn file_argument(name: &str) -> &'static str {
    match name {
        "kernel" => "kernel",
        "ramdisk" => "ramdisk",
        _ => "import-file",
    }
}

/// Refuses what libvirt would not take, before disks are made and copied.
pub(super) fn check_name(name: &str) -> Result<(), XeError> {
    match is_name(name) {
        true => Ok(()),
        false => Err(XeError::usage(
            "new-name-label: a name is one line, not empty, and without a slash",
        )),
    }
}

/// libvirt tells guests apart by their names.
pub(super) fn name_in_use(name: &str) -> XeError {
    XeError::failure(
        "VM_NAME_IN_USE",
        "Another virtual machine has this name; libvirt tells them apart by it.",
    )
    .with("name-label", name)
}

/// The disk of a new guest, empty or filled from an image.
fn first_disk(
    asked: &Asked<'_>,
    template: &Template,
    name: &str,
    vm: &str,
) -> Result<Disk, XeError> {
    let image = asked.get("import-file").map(Path::new);
    let wanted = asked.size("disk-size")?;
    let size = match image {
        Some(path) => {
            let (_, size) = copy::look(asked.around.system, asked.around.machine, path)?;
            wanted.unwrap_or(size)
        }
        None => wanted.unwrap_or(template.disk),
    };
    let label = format!("{name} disk 0");
    let disk = make_disk(asked, &repository(asked, "sr-uuid")?, size, &label)?;
    let filled = match image {
        Some(path) => fill(asked, path, &disk, true),
        None => Ok(()),
    };
    filled
        .and_then(|()| name_disk(asked, &disk.uuid, &label))
        .and_then(|()| owner::set(asked.around.system, &disk.uuid, vm))
        .inspect_err(|_| {
            // The error that is told is the first one.
            let _ = destroy_disk(asked, &disk);
        })?;
    Ok(disk)
}

fn undefine(asked: &Asked<'_>, record: &Record) -> Result<(), XeError> {
    let uuid = guest_in(record, &["halted", "suspended"])?;
    libvirt::run(asked.around.system, ["undefine", &uuid, "--managed-save"]).map(drop)
}

fn destroy(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let uuid = guest_in(record, &["halted"])?;
    let all = snapshots::all(asked.around.system)?;
    if !snapshots::of(&all, &uuid).is_empty() {
        return Err(XeError::failure(
            "VM_HAS_SNAPSHOTS",
            "The virtual machine has snapshots; remove them first, or use vm-uninstall, which removes all of it.",
        )
        .with("vm", uuid));
    }
    undefine(asked, record)?;
    Ok(Outcome::Done)
}

/// The disks of a definition that are virtual disks of this host and nobody else's.
pub(super) fn own_disks(asked: &Asked<'_>, domain: &Domain) -> Result<Vec<Disk>, XeError> {
    let system = asked.around.system;
    let all = storage::disks(system, &storage::repositories(system)?)?;
    let others: Vec<_> = libvirt::domains(system)?
        .into_iter()
        .filter(|other| other.uuid() != domain.uuid())
        .flat_map(|other| other.disks())
        .filter_map(|disk| disk.source)
        .map(|source| system.real_path(Path::new(&source)))
        .collect();
    let sources: Vec<_> = domain
        .disks()
        .into_iter()
        .filter(|disk| !disk.cdrom)
        .filter_map(|disk| disk.source)
        .map(|source| system.real_path(Path::new(&source)))
        .filter(|source| !others.contains(source))
        .collect();
    Ok(all
        .into_iter()
        .filter(|disk| disk.kind != Storage::Iso)
        .filter(|disk| sources.contains(&system.real_path(&disk.path)))
        .collect())
}

/// The same for copies: refuses a definition with a disk that is none of these. It would be missing in what is made, or be
/// written by two guests.
///
/// The definition then has them by the paths that they have here, so that what looks for them finds them.
pub(super) fn all_disks(asked: &Asked<'_>, domain: &mut Domain) -> Result<Vec<Disk>, XeError> {
    let disks = own_disks(asked, domain)?;
    let system = asked.around.system;
    let is_own = |used: &GuestDisk| disks.iter().any(|disk| used.is_on(system, &disk.path));
    let other = domain
        .disks()
        .into_iter()
        .find(|disk| !disk.cdrom && !is_own(disk));
    match other {
        Some(other) => Err(XeError::failure(
            "OPERATION_NOT_ALLOWED",
            "The virtual machine has a disk that is in no storage repository, or that another one has as well; take it away first \
             (vbd-destroy), and give it back afterwards.",
        )
        .with("vm", domain.uuid())
        .with("device", other.target)
        .with("location", other.source.unwrap_or_default())),
        None => {
            domain.replace_sources(|used| {
                let disk = disks.iter().find(|disk| used.is_on(system, &disk.path))?;
                Some(disk.path.to_string_lossy().into_owned())
            });
            Ok(disks)
        }
    }
}

/// What goes with a guest, and what does not.
struct Uninstalled {
    uuid: String,
    name: String,
    /// Those that were made for it.
    disks: Vec<Disk>,
    snapshots: Vec<Domain>,
    /// What stays, in words; empty where nothing does.
    kept: String,
}

/// Refuses what cannot be uninstalled: before anything is lost, and before anybody is asked.
fn to_uninstall(asked: &Asked<'_>, record: &Record) -> Result<Uninstalled, XeError> {
    let system = asked.around.system;
    let uuid = guest_in(record, &["halted", "suspended"])?;
    let domain = libvirt::domain(system, &uuid)?;
    let mut disks = Vec::new();
    for disk in own_disks(asked, &domain)? {
        if owner::is(system, &disk, &uuid)? {
            disks.push(disk);
        }
    }
    let kept = match owner::others(system, &domain, &disks)? {
        kept if kept.is_empty() => String::new(),
        kept => format!(
            "The following stays; it was attached to the virtual machine, and not made for it:\n{}",
            kept.join("\n")
        ),
    };
    let mut snapshots = snapshots::all(system)?;
    snapshots.retain(|snapshot| snapshot.own(snapshots::OF).as_deref() == Some(&uuid));
    for disk in &disks {
        refuse_other_snapshots(asked, disk, &snapshots)?;
    }
    Ok(Uninstalled {
        uuid,
        name: domain.name(),
        disks,
        snapshots,
        kept,
    })
}

fn is_uninstalled(asked: &Asked<'_>, record: &Record) -> Result<String, XeError> {
    let all = to_uninstall(asked, record)?;
    let mut list = format!(
        "The following is destroyed:\nVM : {} ({})\n",
        all.uuid, all.name
    );
    if record.text("power-state").as_deref() == Some("suspended") {
        list += "Memory: what it did when it was suspended\n";
    }
    for disk in &all.disks {
        list += &format!("VDI: {} ({})\n", disk.uuid, disk.path.display());
    }
    for snapshot in &all.snapshots {
        list += &format!("Snapshot: {} ({})\n", snapshot.uuid(), snapshot.name());
    }
    if !all.kept.is_empty() {
        list += &format!("{}\n", all.kept);
    }
    Ok(list)
}

fn uninstall(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let all = to_uninstall(asked, record)?;
    // Before anything is lost: a disk that stays would be set back, weeks later.
    for snapshot in &all.snapshots {
        vm_snapshot::finish_merging(asked, snapshot)?;
    }
    undefine(asked, record)?;
    for snapshot in &all.snapshots {
        vm_snapshot::remove(asked, snapshot)?;
    }
    for disk in &all.disks {
        destroy_disk(asked, disk)?;
    }
    Ok(match all.kept.is_empty() {
        true => Outcome::Done,
        false => Outcome::Said(all.kept),
    })
}
