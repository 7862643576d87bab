//! How the arrays stand, as the kernel tells it.

use crate::local::short_text;
use slots::PartitionKind;
use std::path::Path;
use steps::System;

/// An array that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrayState {
    /// What it holds.
    pub kind: PartitionKind,
    /// Kernel names of the partitions that it has.
    pub members: Vec<String>,
    /// Members that it lacks, or that are being filled.
    pub degraded: u32,
    /// What is being done to it: `idle`, `recover`, `resync`, `check`.
    pub action: String,
    /// How much of that is done, in percent.
    pub percent: Option<u64>,
}

/// The arrays of this host; none on a host with one disk. `sys_block` is the folder of the kernel's block devices.
///
/// Source: Linux `Documentation/admin-guide/md.rst`.
pub fn arrays(system: &dyn System, sys_block: &Path) -> Vec<ArrayState> {
    let state = |kind: PartitionKind| {
        let folder = sys_block.join(kind.array_name());
        let md = |file: &str| short_text(system, folder.join("md").join(file));
        let degraded = md("degraded")?.parse().ok()?;
        let done = md("sync_completed").and_then(|text| {
            let (done, of) = text.split_once(" / ")?;
            let (done, of): (u64, u64) = (done.parse().ok()?, of.parse().ok()?);
            done.checked_mul(100)?.checked_div(of)
        });
        Some(ArrayState {
            kind,
            members: system.list_dir(&folder.join("slaves")).unwrap_or_default(),
            degraded,
            action: md("sync_action").unwrap_or_default(),
            percent: done,
        })
    };
    PartitionKind::MIRRORED
        .into_iter()
        .filter_map(state)
        .collect()
}

/// The mirror in one line, and whether it is whole. None on a host with one disk.
pub fn summary(system: &dyn System, sys_block: &Path) -> Option<(bool, String)> {
    let arrays = arrays(system, sys_block);
    if arrays.is_empty() {
        return None;
    }
    let list = |states: Vec<&ArrayState>| {
        let text = states.into_iter().map(|array| {
            let percent = array.percent.map_or(String::new(), |p| format!(" {p}%"));
            match array.action.as_str() {
                "" | "idle" => array.kind.name().to_owned(),
                action => format!("{} ({action}{percent})", array.kind.name()),
            }
        });
        text.collect::<Vec<_>>().join(", ")
    };
    let degraded: Vec<&ArrayState> = arrays.iter().filter(|array| array.degraded > 0).collect();
    let idle = |array: &&ArrayState| matches!(array.action.as_str(), "" | "idle");
    if degraded.len() == arrays.len() && degraded.iter().all(idle) {
        return Some((false, "DEGRADED: one disk only".to_owned()));
    }
    if !degraded.is_empty() {
        return Some((
            false,
            format!("DEGRADED: one disk only for {}", list(degraded)),
        ));
    }
    let busy: Vec<&ArrayState> = arrays
        .iter()
        .filter(|array| !matches!(array.action.as_str(), "" | "idle" | "frozen"))
        .collect();
    Some(match busy.is_empty() {
        true => (true, "whole, on two disks".to_owned()),
        false => (
            true,
            format!("on two disks, being made equal: {}", list(busy)),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps::RecordingSystem;

    fn host(degraded: [u32; 4], action: &str) -> RecordingSystem {
        let mut system = RecordingSystem::new();
        for (kind, degraded) in PartitionKind::MIRRORED.into_iter().zip(degraded) {
            let md = format!("/sys/class/block/{}/md", kind.array_name());
            system = system
                .file(format!("{md}/degraded"), format!("{degraded}\n"))
                .file(format!("{md}/sync_action"), format!("{action}\n"))
                .file(format!("{md}/sync_completed"), "50 / 200\n");
        }
        system
    }

    fn told(system: &RecordingSystem) -> Option<(bool, String)> {
        summary(system, Path::new("/sys/class/block"))
    }

    #[test]
    fn one_line_for_each_state() {
        assert_eq!(told(&RecordingSystem::new()), None);
        assert_eq!(
            told(&host([0; 4], "idle")),
            Some((true, "whole, on two disks".into()))
        );
        assert_eq!(
            told(&host([1; 4], "idle")),
            Some((false, "DEGRADED: one disk only".into()))
        );
        let (whole, text) = told(&host([0, 0, 1, 0], "idle")).unwrap();
        assert_eq!(
            (whole, text.as_str()),
            (false, "DEGRADED: one disk only for bedplate-state")
        );
        let (whole, text) = told(&host([0, 0, 0, 1], "recover")).unwrap();
        assert_eq!(
            (whole, text.as_str()),
            (
                false,
                "DEGRADED: one disk only for bedplate-sr (recover 25%)"
            )
        );
        let (whole, text) = told(&host([0; 4], "resync")).unwrap();
        assert!(whole && text.contains("bedplate-a (resync 25%)"), "{text}");
    }
}
