//! Mistakes in the options of a run.

use super::PlannedTest;
use crate::certify::names::{meant, no_such_interface};
use crate::certify::{CrashOf, Options, Surroundings};
use crate::facts::{Context, DiskKind, Facts};
use crate::known::Known;
use std::path::Path;

/// All of them, each with what to do.
pub(super) fn problems(
    facts: &Facts,
    surroundings: &Surroundings,
    options: &Options,
) -> Vec<String> {
    let mut problems = Vec::new();
    for path in &options.erase {
        if !path.starts_with("/dev") {
            problems.push(format!(
                "{}: no device; name a disk or volume below /dev",
                path.display()
            ));
        }
        let used = used_by(surroundings, path);
        if !used.is_empty() {
            problems.push(format!(
                "{}: in use now ({}), so it is not erased; name a disk or volume that nothing uses",
                path.display(),
                used.join(", ")
            ));
        }
        let disks = facts.disks.value().map(Vec::as_slice).unwrap_or_default();
        let is_it = |name: &str| path.to_str() == Some(name);
        let disk = disks
            .iter()
            .find(|disk| is_it(&disk.path) || disk.by_id.iter().any(|name| is_it(name)));
        if let Some(disk) = disk {
            if disk.kind == DiskKind::Optical {
                problems.push(format!("{}: an optical drive", disk.path));
            }
            if disk.is_in_use() && used.is_empty() {
                problems.push(format!(
                    "{}: in use now (mounted, or part of LVM, RAID or a mapping), so it is not erased; name a disk that nothing uses",
                    disk.path
                ));
            }
            if disk.read_only == Known::Value(true) {
                problems.push(format!("{}: it refuses to be written", disk.path));
            }
        }
    }
    for (interface, peer) in &options.peers {
        let interfaces = &surroundings.interfaces;
        problems.extend(no_such_interface("--peer", interface, interfaces));
        let port = peer
            .address
            .rsplit_once(':')
            .map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(1..))) {
            problems.push(format!(
                "--peer {interface}={}: no address with a port",
                peer.address
            ));
        }
    }
    if options.vlan.is_some_and(|id| !(1..=4094).contains(&id)) {
        problems.push("--vlan: VLANs have the numbers 1 to 4094 (IEEE 802.1Q)".to_owned());
    }
    if options.crash.contains(&CrashOf::Xen) && facts.context.value() != Some(&Context::Dom0) {
        problems.push("--crash xen: Xen does not run here".to_owned());
    }
    problems
}

/// What uses a disk or volume that may be erased: facts know whole disks with their partitions alone.
fn used_by<'a>(surroundings: &'a Surroundings, path: &Path) -> &'a [String] {
    let mut targets = surroundings.targets.iter();
    let target = targets.find(|target| target.path == path);
    target.map_or(&[], |target| &target.used_by)
}

/// Parts of a plan that somebody asked for and that are not in it.
pub(super) fn only(tests: &[PlannedTest], only: &[String]) -> Vec<String> {
    let in_it = |start: &str| tests.iter().any(|test| test.id.starts_with(start));
    let wrong = only
        .iter()
        .filter(|start| start.is_empty() || !in_it(start));
    let ids = || tests.iter().map(|test| test.id.as_str());
    // The tests of an interface are one name here: some machines have dozens.
    let name = |id| match str::rsplit_once(id, '.') {
        Some((interface, _)) if interface.starts_with("nic.") => interface,
        _ => id,
    };
    let mut names: Vec<&str> = ids().map(name).collect();
    names.dedup();
    let told = wrong.map(|start| {
        format!(
            "--only {start}: no test of this machine has an id that starts so{}; there are {}",
            meant(start, ids().chain(names.iter().copied())),
            names.join(", ")
        )
    });
    told.collect()
}
