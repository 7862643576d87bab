//! What connects guests with disks, networks and terminals: virtual block devices, interfaces, consoles.

use super::{Class, Wanted};
use crate::XeError;
use crate::guest::devices::GuestDisk;
use crate::guest::{Domain, libvirt};
use crate::local::{derived_uuid, host_uuid};
use crate::record::{Field, Record};
use crate::storage;
use std::collections::BTreeMap;
use steps::System;

pub(super) const VBD: Class = Class {
    name: "vbd",
    plural: "connections of virtual machines and disks",
    fields: &[
        Field::listed("uuid"),
        Field::listed("vm-uuid"),
        Field::listed("vm-name-label"),
        Field::listed("vdi-uuid"),
        Field::listed("empty"),
        Field::listed("device"),
        Field::more("userdevice"),
        Field::more("type"),
        Field::more("mode"),
        Field::more("currently-attached"),
        Field::more("location"),
    ],
    labeled: false,
    single: false,
    read: vbds,
    write: None,
};

pub(super) const VIF: Class = Class {
    name: "vif",
    plural: "network interfaces of virtual machines",
    fields: &[
        Field::listed("uuid"),
        Field::listed("vm-uuid"),
        Field::listed("vm-name-label"),
        Field::listed("device"),
        Field::listed("network-uuid"),
        Field::more("MAC"),
        Field::more("bridge"),
        Field::more("currently-attached"),
        Field::more("interface"),
    ],
    labeled: false,
    single: false,
    read: vifs,
    write: None,
};

pub(super) const CONSOLE: Class = Class {
    name: "console",
    plural: "serial consoles of running virtual machines",
    fields: &[
        Field::listed("uuid"),
        Field::listed("vm-uuid"),
        Field::listed("vm-name-label"),
        Field::listed("protocol"),
        Field::listed("location"),
    ],
    labeled: false,
    single: false,
    read: consoles,
    write: None,
};

/// The definitions, and by UUID what runs now.
fn guests(system: &dyn System) -> Result<(Vec<Domain>, BTreeMap<String, Domain>), XeError> {
    let running = libvirt::running(system)?
        .into_iter()
        .map(|domain| (domain.uuid(), domain));
    Ok((libvirt::domains(system)?, running.collect()))
}

fn vbds(system: &dyn System, _: &Wanted<'_>) -> Result<Vec<Record>, XeError> {
    let (domains, running) = guests(system)?;
    let disks = storage::disks(system, &storage::repositories(system)?)?;
    let vdi = |used: &GuestDisk| {
        let disk = disks.iter().find(|disk| used.is_on(system, &disk.path));
        disk.map(|disk| disk.uuid.clone()).unwrap_or_default()
    };
    let mut records = Vec::new();
    for domain in &domains {
        let uuid = domain.uuid();
        let attached = running.get(&uuid).map(Domain::disks).unwrap_or_default();
        for disk in domain.disks() {
            let position = disk
                .target
                .bytes()
                .last()
                .map(|letter| u32::from(letter.saturating_sub(b'a')));
            records.push(
                Record::new()
                    .with("uuid", disk.uuid(&uuid))
                    .with("vm-uuid", uuid.clone())
                    .with("vm-name-label", domain.name())
                    .with("vdi-uuid", vdi(&disk))
                    .with("empty", disk.source.is_none())
                    .with("userdevice", position)
                    .with("type", if disk.cdrom { "CD" } else { "Disk" })
                    .with("mode", if disk.read_only { "RO" } else { "RW" })
                    .with(
                        "currently-attached",
                        attached.iter().any(|other| other.target == disk.target),
                    )
                    .with("location", disk.source.clone().unwrap_or_default())
                    .with("device", disk.target),
            );
        }
    }
    Ok(records)
}

fn vifs(system: &dyn System, _: &Wanted<'_>) -> Result<Vec<Record>, XeError> {
    let (domains, running) = guests(system)?;
    let host = host_uuid(system);
    let mut records = Vec::new();
    for domain in &domains {
        let uuid = domain.uuid();
        let attached = running.get(&uuid).map(Domain::nics).unwrap_or_default();
        for (position, nic) in domain.nics().into_iter().enumerate() {
            let now = attached.iter().find(|other| other.mac == nic.mac);
            let network = nic
                .bridge
                .as_ref()
                .map(|bridge| derived_uuid(host, "network", bridge).to_string());
            records.push(
                Record::new()
                    .with("uuid", nic.uuid(&uuid))
                    .with("vm-uuid", uuid.clone())
                    .with("vm-name-label", domain.name())
                    .with("device", position as u64)
                    .with("network-uuid", network)
                    .with("bridge", nic.bridge)
                    .with("currently-attached", now.is_some())
                    .with(
                        "interface",
                        now.and_then(|nic| nic.interface.clone())
                            .unwrap_or_default(),
                    )
                    .with("MAC", nic.mac),
            );
        }
    }
    Ok(records)
}

fn consoles(system: &dyn System, _: &Wanted<'_>) -> Result<Vec<Record>, XeError> {
    let records = libvirt::running(system)?.into_iter().filter_map(|domain| {
        let uuid = domain.uuid();
        let location = domain.console()?;
        Some(
            Record::new()
                .with(
                    "uuid",
                    derived_uuid(uuid::Uuid::try_parse(&uuid).ok(), "console", "0").to_string(),
                )
                .with("vm-uuid", uuid)
                .with("vm-name-label", domain.name())
                .with("protocol", "VT100")
                .with("location", location),
        )
    });
    Ok(records.collect())
}
