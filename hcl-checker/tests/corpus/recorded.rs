//! Virtual machines, recorded by `cargo run --release -p ci -- record-machines`, against what QEMU was told to make.

use crate::counts::of_facts;
use crate::ways::lead_to_one_verdict;
use crate::{Outcome, entries, trial};
use hcl_checker::facts::{Context, DiskKind, IommuKind};
use hcl_checker::{Facts, Root};
use libtest_mimic::Trial;
use serde::Deserialize;
use std::fs;
use std::path::Path;

/// What the machine was made of; written from its description, not from what was read in it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Truth {
    #[serde(rename = "made_by")]
    _made_by: String,
    sockets: u32,
    cores: u32,
    threads: u32,
    memory_mib: u64,
    disk_serials: Vec<String>,
    disk_bytes: u64,
    devices: Vec<String>,
    functions_at_least: usize,
    iommu: Option<String>,
    tpm: bool,
    dom0: bool,
}

/// A test for each recorded machine; an ignored one where none is recorded.
pub fn trials() -> Vec<Trial> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    let found = entries(&folder, |name| name.ends_with(".json"));
    if found.is_empty() {
        let reason =
            "recorded machines: none, `cargo run --release -p ci -- record-machines` records them";
        eprintln!("not run: {reason}");
        return vec![Trial::test(reason, || Ok(())).with_ignored_flag(true)];
    }
    let tests = found.into_iter().map(|(name, path)| {
        trial(format!("recorded/{name}"), move || {
            let text = fs::read(&path).map_err(|error| error.to_string())?;
            let truth: Truth = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
            let tree = unpacked(&path.with_extension("tar.zst"))
                .map_err(|error| format!("capture: {error}"))?;
            let root = Root::at(tree.path()).map_err(|error| error.to_string())?;
            let facts = Facts::read(&root);
            check(&facts, &truth)?;
            lead_to_one_verdict(&root, &facts)
        })
    });
    tests.collect()
}

fn unpacked(capture: &Path) -> std::io::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    let archive = zstd::stream::read::Decoder::new(fs::File::open(capture)?)?;
    tar::Archive::new(archive).unpack(folder.path())?;
    Ok(folder)
}

fn check(facts: &Facts, truth: &Truth) -> Outcome {
    let topology = &facts.topology;
    let counts = [truth.sockets, truth.cores, truth.threads].map(Some);
    same("sockets, cores, threads", of_facts(facts), counts)?;
    // Every way of counting leads to the same sockets.
    for count in &topology.socket_counts {
        same(
            &format!("{:?}", count.method),
            count.sockets.value(),
            Some(&truth.sockets),
        )?;
    }
    let dimms = facts.memory.dimms.value().ok_or("no memory modules")?;
    let bytes: u64 = dimms
        .iter()
        .filter_map(|dimm| dimm.size_bytes.value())
        .sum();
    same("bytes of memory", bytes, truth.memory_mib << 20)?;
    let functions = facts.pci.value().ok_or("no PCI functions")?;
    if functions.len() < truth.functions_at_least {
        return Err(format!("{} PCI functions", functions.len()));
    }
    let ids = functions.iter().map(|function| function.ids.value());
    let ids = ids.map(|ids| ids.map(|ids| format!("{:04x}:{:04x}", ids.vendor, ids.device)));
    let ids: Option<Vec<String>> = ids.collect();
    let ids = ids.ok_or("a PCI function without ids")?;
    if let Some(device) = truth.devices.iter().find(|device| !ids.contains(device)) {
        return Err(format!("{device} is not in {ids:?}"));
    }
    let disks = facts.disks.value().ok_or("no disks")?;
    let disks = disks.iter().filter(|disk| disk.kind == DiskKind::Disk);
    let mut serials: Vec<&str> = Vec::new();
    for disk in disks {
        same(&disk.name, disk.size_bytes.value(), Some(&truth.disk_bytes))?;
        serials.extend(disk.serial.value().map(String::as_str));
    }
    serials.sort_unstable();
    same(
        "serial numbers",
        serials,
        truth.disk_serials.iter().map(String::as_str).collect(),
    )?;
    let is_dom0 = facts.context.value() == Some(&Context::Dom0);
    same("dom0", is_dom0, truth.dom0)?;
    let is_guest = matches!(facts.context.value(), Some(Context::Guest { .. }));
    same("guest", is_guest, !truth.dom0)?;
    same("TPM", facts.tpm.value().is_some(), truth.tpm)?;
    let kind = facts.acpi.iommu.value().map(|iommu| match iommu.kind {
        IommuKind::VtD => "intel",
        IommuKind::AmdVi => "amd",
    });
    same("IOMMU", kind, truth.iommu.as_deref())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, is: T, expected: T) -> Outcome {
    if is == expected {
        return Ok(());
    }
    Err(format!("{what}: {is:?}, expected {expected:?}"))
}
