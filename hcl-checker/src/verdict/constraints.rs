//! What an entry demands besides the match: versions of driver, firmware and BIOS. What cannot be told is not met.

use super::Finding;
use super::platform::deviates;
use crate::facts::{Facts, PciFunction};
use crate::known::Known;
use crate::list::{Entry, Versions};

/// A demand, and what there is.
struct Demand<'a> {
    /// `firmware`, `BIOS`.
    what: &'static str,
    wanted: &'a Versions,
    is: Known<String>,
    /// What to do about it.
    advice: &'static str,
}

impl Demand<'_> {
    fn is_met(&self) -> bool {
        self.is
            .value()
            .is_some_and(|is| self.wanted.hold(is) == Some(true))
    }
}

/// Demands on a PCI function; `kernel` is the release of the kernel that is going to drive it.
pub(super) fn of_device(
    finding: Finding,
    entry: &Entry,
    function: &PciFunction,
    facts: &Facts,
    kernel: Option<&str>,
) -> Finding {
    let driver = entry
        .require
        .driver_versions
        .as_ref()
        .zip(kernel)
        .map(|(wanted, kernel)| Demand {
            what: "kernel",
            wanted,
            is: Known::Value(kernel.to_owned()),
            advice: "drivers have the version of their kernel; use a release with one that fits",
        });
    let firmware = entry.require.firmware.as_ref().map(|wanted| Demand {
        what: "firmware",
        wanted,
        is: firmware(function, facts),
        advice: "update the firmware of the device with its maker's tool",
    });
    judged(finding, entry, driver.into_iter().chain(firmware))
}

/// Demands on a system.
pub(super) fn of_system(finding: Finding, entry: &Entry, facts: &Facts) -> Finding {
    let Some(min) = &entry.require.bios_min else {
        return finding;
    };
    let wanted = Versions {
        min: Some(min.clone()),
        ..Versions::default()
    };
    let demand = Demand {
        what: "BIOS",
        wanted: &wanted,
        is: facts.dmi.bios_version.clone(),
        advice: "update the BIOS of the machine",
    };
    judged(finding, entry, [demand])
}

fn judged<'a>(
    finding: Finding,
    entry: &Entry,
    demands: impl IntoIterator<Item = Demand<'a>>,
) -> Finding {
    let broken: Vec<Demand<'_>> = demands
        .into_iter()
        .filter(|demand| !demand.is_met())
        .collect();
    if broken.is_empty() {
        return finding;
    }
    let expected = broken
        .iter()
        .map(|demand| format!("{} {}", demand.what, demand.wanted));
    let expected = expected.collect::<Vec<_>>().join(", ");
    let is = broken.iter().map(|demand| match &demand.is {
        Known::Value(is) => format!("the {} is {is}", demand.what),
        Known::Absent => format!("no version of the {} is told", demand.what),
        Known::Unknown(unknown) => format!(
            "the version of the {} is unknown ({})",
            demand.what, unknown.reason
        ),
    });
    let is = is.collect::<Vec<_>>().join(", ");
    let advice = match &entry.deviation {
        Some(note) => note.clone(),
        None => broken
            .iter()
            .map(|demand| demand.advice)
            .collect::<Vec<_>>()
            .join("; "),
    };
    deviates(finding)
        .expected(expected)
        .advice(format!("{is}: {advice}"))
}

/// The version of a function's own firmware: of its network interface, or of the NVMe disk that it is.
fn firmware(function: &PciFunction, facts: &Facts) -> Known<String> {
    let here = |address: &Known<String>| address.value() == Some(&function.address);
    let nics = facts.nics.value().map(Vec::as_slice).unwrap_or_default();
    let disks = facts.disks.value().map(Vec::as_slice).unwrap_or_default();
    let nic = nics.iter().find(|nic| here(&nic.pci_address));
    let disk = disks.iter().find(|disk| here(&disk.pci_address));
    nic.map(|nic| &nic.firmware_version)
        .or(disk.map(|disk| &disk.firmware_version))
        .cloned()
        .unwrap_or_else(|| Known::unknown("it has neither network interface nor disk here"))
}
