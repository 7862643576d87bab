//! The host.

use super::{Class, Wanted};
use crate::XeError;
use crate::labels::{NAME_DESCRIPTION, NAME_LABEL, OTHER_CONFIG, TAGS};
use crate::licensing::{EDITION, LICENSE_PARAMS};
use crate::loaders::{BOOT_LOADERS, loader_map};
use crate::local::{
    MANAGEMENT_BRIDGE, addresses, boot_record, hardware_uuid, host_uuid, short_text,
};
use crate::record::{Field, Record, Value};
use crate::updates::{UPDATES, update_map};
use std::collections::BTreeMap;
use std::path::Path;
use steps::{Command, System};

pub(super) const CLASS: Class = Class {
    name: "host",
    plural: "hosts",
    fields: &[
        Field::listed("uuid"),
        NAME_LABEL,
        NAME_DESCRIPTION,
        Field::more("address"),
        Field::more("hardware-uuid"),
        Field::more("product-version"),
        Field::more("root-id"),
        Field::map("software-version"),
        Field::more("cpu-count"),
        Field::more("memory-total"),
        Field::more("memory-free"),
        Field::more("hostname"),
        Field::more("enabled"),
        OTHER_CONFIG,
        TAGS,
        // Filled in by the commands, which know the machine and the time: see `licensing`.
        Field::more(EDITION),
        Field::map(LICENSE_PARAMS),
        Field::map(UPDATES),
        Field::map(BOOT_LOADERS),
    ],
    labeled: true,
    single: true,
    read,
    write: None,
};

fn read(system: &dyn System, wanted: &Wanted<'_>) -> Result<Vec<Record>, XeError> {
    let name = short_text(system, "/proc/sys/kernel/hostname");
    let boot = boot_record(system).ok();
    let mut record = Record::new()
        .with("uuid", host_uuid(system).map(|uuid| uuid.to_string()))
        .with("name-label", name.clone())
        .with("hostname", name)
        .with("name-description", "Bedplate host")
        .with("enabled", !system.exists(Path::new(crate::verbs::DISABLED)))
        .with("hardware-uuid", hardware_uuid(system))
        .with(
            "product-version",
            boot.as_ref().map(|boot| boot.root.version.clone()),
        )
        .with(
            "root-id",
            boot.as_ref().map(|boot| boot.root.id().to_owned()),
        );
    if wanted.any(&[UPDATES]) {
        record = record.with(UPDATES, update_map(system));
    }
    if wanted.any(&[BOOT_LOADERS]) {
        record = record.with(BOOT_LOADERS, loader_map(system));
    }
    if wanted.any(&["address"]) {
        record = record.with(
            "address",
            addresses(system, MANAGEMENT_BRIDGE).into_iter().next(),
        );
    }
    if wanted.any(&[
        "software-version",
        "cpu-count",
        "memory-total",
        "memory-free",
    ]) {
        let info = system
            .run(&Command::new("xl").arg("info"))
            .map(|output| xl_info(&output.text()))
            .unwrap_or_default();
        let megabytes = |name: &str| {
            info.get(name)
                .and_then(|text| text.parse::<u64>().ok())
                .map(|mb| mb << 20)
        };
        let mut versions = BTreeMap::new();
        let mut version = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                versions.insert(name.to_owned(), value.to_owned());
            }
        };
        version(
            "product-version",
            boot.as_ref().map(|boot| boot.root.version.as_str()),
        );
        version("xen", info.get("xen_version").map(String::as_str));
        version(
            "linux",
            short_text(system, "/proc/sys/kernel/osrelease").as_deref(),
        );
        record = record
            .with("software-version", Value::Map(versions))
            .with(
                "cpu-count",
                info.get("nr_cpus")
                    .and_then(|text| text.parse::<u32>().ok()),
            )
            .with("memory-total", megabytes("total_memory"))
            .with("memory-free", megabytes("free_memory"));
    }
    Ok(vec![record])
}

/// `name : value` a line, as `xl info` prints.
fn xl_info(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps::RecordingSystem;

    #[test]
    fn reads_what_xl_info_prints() {
        let system = RecordingSystem::new()
            .file("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
            .prints(
                "xl info",
                "host : x\nnr_cpus                : 8\nxen_version : 4.20.2\ntotal_memory : 4096\n",
            );
        let record = &read(&system, &Wanted(&["memory-total", "software-version"])).unwrap()[0];
        assert_eq!(record.get("memory-total"), &Value::Number(4096 << 20));
        assert_eq!(record.get("cpu-count"), &Value::Number(8));
        assert_eq!(record.get("memory-free"), &Value::Unknown);
        assert_eq!(record.get("software-version").to_string(), "xen: 4.20.2");
        assert_eq!(
            record.get("uuid").to_string(),
            "01234567-89ab-cdef-0123-456789abcdef"
        );
        let quick = RecordingSystem::new();
        read(&quick, &Wanted(&["uuid", "name-label"])).unwrap();
        assert!(
            quick.command_lines().is_empty(),
            "host-list runs no command"
        );
    }
}
