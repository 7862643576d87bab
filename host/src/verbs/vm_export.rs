//! Virtual machines to a file and from a file.

use super::disk::{destroy_disk, make_disk, name_disk, new_file, repository, zero_rest};
use super::owner;
use super::uuid_of;
use super::vm_install::{all_disks, check_name, name_in_use};
use super::vm_life::guest_in;
use crate::XeError;
use crate::export::{self, Manifest, ManifestDisk, Writer};
use crate::guest::devices::GuestDisk;
use crate::guest::{Domain, libvirt, snapshots};
use crate::record::Record;
use crate::storage::{self, Disk, Kind as Storage, copy};
use crate::verb::{Arg, Asked, Kind, Outcome, Run, Verb};
use slots::block::{Access, BlockDevice, Cursor};
use std::collections::BTreeMap;
use std::path::Path;

const FILE: Arg = Arg::needed("filename", Kind::File, "the file, which must not exist");
const COMPRESS: Arg = Arg::may("compress", Kind::Flag, "by zstd");

pub(super) const VERBS: &[Verb] = &[
    Verb {
        name: "vm-export",
        summary: "Writes a halted virtual machine with its disks to one file with checksums",
        args: &[FILE, COMPRESS],
        run: Run::Each("vm", export_vm),
    },
    Verb {
        name: "snapshot-export",
        summary: "Writes a snapshot with its disks to one file with checksums, while the virtual machine runs",
        args: &[FILE, COMPRESS],
        run: Run::Each("snapshot", export_snapshot),
    },
    Verb {
        name: "vm-import",
        summary: "Makes a virtual machine from such a file; prints its uuid",
        args: &[
            Arg::needed("filename", Kind::File, "the file"),
            Arg::may(
                "new-name-label",
                Kind::Text,
                "its name; the one in the file if left out",
            ),
            Arg::may(
                "sr-uuid",
                Kind::Of("sr"),
                "where its disks are made; the local storage if left out",
            ),
            Arg::may(
                "preserve",
                Kind::Flag,
                "keep uuid and network addresses: it is the same machine, not a copy",
            ),
            Arg::may(
                "trust",
                Kind::Flag,
                "take also what the file says about programs, files and devices of this host: only where you trust its maker",
            ),
        ],
        run: Run::Once(import),
    },
];

/// Level of the compression: the one that zstd takes by itself.
const LEVEL: i32 = 3;

fn export_vm(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let vm = guest_in(record, &["halted"])?;
    snapshots::refuse_reverting(asked.around.system, &vm, "")?;
    export(asked, libvirt::domain(asked.around.system, &vm)?)
}

fn export_snapshot(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let mut snapshot = snapshots::one(asked.around.system, &uuid_of(record)?)?;
    if let Some(name) = snapshot.own(snapshots::OF_NAME) {
        snapshot.set_name(&name);
    }
    snapshots::clear(&mut snapshot);
    snapshot.forget_secrets();
    export(asked, snapshot)
}

fn export(asked: &Asked<'_>, mut domain: Domain) -> Result<Outcome, XeError> {
    new_file(asked, Path::new(asked.needed("filename")?), |begun| {
        write(asked, &mut domain, begun)
    })?;
    Ok(Outcome::Done)
}

/// Writes the guest with its disks to this file.
fn write(asked: &Asked<'_>, domain: &mut Domain, path: &Path) -> Result<(), XeError> {
    let (system, machine) = (asked.around.system, asked.around.machine);
    let disks = all_disks(asked, domain)?;
    let names: BTreeMap<String, String> = crate::labels::read(system)?
        .into_iter()
        .filter_map(|(uuid, labels)| Some((uuid, labels.name_label?)))
        .collect();
    let entries = disks
        .iter()
        .map(|disk| ManifestDisk {
            source: disk.path.to_string_lossy().into_owned(),
            name_label: names.get(&disk.uuid).unwrap_or(&disk.name).clone(),
            size: disk.size,
        })
        .collect();
    let manifest = Manifest::new(asked.around.now, domain.print(), entries);
    let devices = disks
        .iter()
        .map(|disk| {
            Ok((
                copy::open(machine, &disk.path, Access::ReadOnly)?,
                disk.size,
            ))
        })
        .collect::<Result<Vec<_>, XeError>>()?;
    let failed = |e: std::io::Error| {
        XeError::failure("INTERNAL_ERROR", format!("the export cannot be made: {e}"))
    };
    let mut writer = Writer::new(&manifest, devices, asked.task).map_err(failed)?;
    let written = match asked.flag("compress")? {
        true => {
            let mut encoder =
                zstd::stream::read::Encoder::new(&mut writer, LEVEL).map_err(failed)?;
            system.write_stream(path, &mut encoder, 0o600)
        }
        false => system.write_stream(path, &mut writer, 0o600),
    };
    written.map_err(|e| {
        // What ended the reading of the disks is the reason, not the file.
        asked
            .task
            .progress(0, 0)
            .err()
            .unwrap_or_else(|| XeError::system(&e))
    })?;
    Ok(())
}

fn import(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    let (system, machine) = (asked.around.system, asked.around.machine);
    let path = Path::new(asked.needed("filename")?);
    let preserve = asked.flag("preserve")?;
    let repository = repository(asked, "sr-uuid")?;
    let file = export::uncompressed(Cursor::new(copy::open(machine, path, Access::ReadOnly)?))?;
    let known = libvirt::domains(system)?;
    let mut made: Vec<Disk> = Vec::new();
    let mut new = None;
    let result = export::read(file, asked.task, |manifest| {
        // What can be refused is refused before a disk is made.
        let domain = new_domain(asked, manifest, &known, preserve)?;
        let mut devices: Vec<(Box<dyn BlockDevice + Send>, bool)> = Vec::new();
        for disk in &manifest.disks {
            let created = make_disk(asked, &repository, disk.size, &disk.name_label)?;
            let path = created.path.clone();
            let zeroed = created.kind == Storage::Ext;
            made.push(created);
            devices.push((copy::open(machine, &path, Access::Write)?, zeroed));
        }
        new = Some(domain);
        Ok(devices)
    })
    .and_then(|manifest| {
        let mut domain = new
            .take()
            .ok_or_else(|| XeError::failure("INTERNAL_ERROR", "nothing was imported"))?;
        domain.replace_sources(|disk| {
            let source = disk.source.as_deref()?;
            let at = manifest
                .disks
                .iter()
                .position(|known| known.source == source)?;
            Some(made.get(at)?.path.to_string_lossy().into_owned())
        });
        eject_foreign(asked, &mut domain)?;
        for (disk, known) in made.iter().zip(&manifest.disks) {
            zero_rest(asked, disk, disk.size)?;
            name_disk(asked, &disk.uuid, &known.name_label)?;
            owner::set(system, &disk.uuid, &domain.uuid())?;
        }
        libvirt::define(system, &domain)?;
        Ok(domain.uuid())
    });
    result.map(Outcome::Made).inspect_err(|_| {
        for disk in &made {
            // The error that is told is the first one.
            let _ = destroy_disk(asked, disk);
        }
    })
}

/// Takes out media that are not here, which would keep the guest from starting, and those that are no image of a repository:
/// a disk of the host can be read in an optical drive as well.
fn eject_foreign(asked: &Asked<'_>, domain: &mut Domain) -> Result<(), XeError> {
    let system = asked.around.system;
    let trusted = asked.flag("trust")?;
    let images: Vec<_> = storage::disks(system, &storage::repositories(system)?)?
        .into_iter()
        .filter(|disk| disk.kind == Storage::Iso)
        .map(|disk| disk.path)
        .collect();
    domain.eject(|path| {
        let path = Path::new(path);
        let is_image = images.iter().any(|image| image == path);
        !(is_image || trusted && system.exists(path))
    });
    Ok(())
}

/// The definition of the new guest, with the sources of the old one.
fn new_domain(
    asked: &Asked<'_>,
    manifest: &Manifest,
    known: &[Domain],
    preserve: bool,
) -> Result<Domain, XeError> {
    let mut domain = Domain::parse(&manifest.domain)?;
    let trusted = asked.flag("trust")?;
    // It would be a disk of this host: of another guest, or of the host itself.
    let is_known = |disk: &GuestDisk| {
        let source = disk.source.as_deref();
        manifest
            .disks
            .iter()
            .any(|known| Some(known.source.as_str()) == source)
    };
    if let Some(other) = domain
        .disks()
        .into_iter()
        .find(|disk| !disk.cdrom && !is_known(disk))
    {
        return Err(XeError::failure(
            "IMPORT_ERROR_CORRUPT",
            "The file cannot be used: its virtual machine has a disk whose content is not in it.",
        )
        .with("device", other.target)
        .with("location", other.source.unwrap_or_default()));
    }
    domain.forget_programs();
    if let Some(what) = domain.foreign().filter(|_| !trusted) {
        return Err(XeError::failure(
            "IMPORT_NOT_TRUSTED",
            "The file decides about a program, file or device of this host, which would be used as root; if you trust who made \
             the file, say trust=true.",
        )
        .with("element", what));
    }
    if let Some(name) = asked.get("new-name-label") {
        domain.set_name(name);
    }
    check_name(&domain.name())?;
    if known.iter().any(|other| other.name() == domain.name()) {
        return Err(name_in_use(&domain.name()));
    }
    match preserve {
        true if known.iter().any(|other| other.uuid() == domain.uuid()) => {
            return Err(XeError::failure(
                "DUPLICATE_VM",
                "There is a virtual machine with this uuid; without preserve=true a copy is made.",
            )
            .with("uuid", domain.uuid()));
        }
        true => {}
        false => {
            domain.set_uuid(&uuid::Uuid::new_v4().to_string());
            domain.renew_addresses();
        }
    }
    Ok(domain)
}
