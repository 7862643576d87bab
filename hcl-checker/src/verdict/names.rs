//! What devices are called in findings.

use crate::facts::{Disk, PciFunction};
use crate::known::Known;
use crate::pci_names;

/// The driver that is bound now.
pub(super) fn bound(function: &PciFunction) -> String {
    match &function.driver {
        Known::Value(driver) => format!("driven by {driver} now"),
        Known::Absent => "no driver bound now".to_owned(),
        Known::Unknown(_) => "not known whether a driver is bound now".to_owned(),
    }
}

/// Maker and product by the public database of PCI ids, and the numbers.
pub(crate) fn device_name(function: &PciFunction) -> String {
    let Some(ids) = function.ids.value() else {
        return format!("PCI function {}", function.address);
    };
    let numbers = format!("[{:04x}:{:04x}]", ids.vendor, ids.device);
    let device = pci_names::device(ids.vendor, ids.device).unwrap_or("device");
    match pci_names::vendor(ids.vendor) {
        Some(vendor) => format!("{vendor} {device} {numbers}"),
        None => format!("device {numbers}"),
    }
}

/// Path and model.
pub(super) fn disk_name(disk: &Disk) -> String {
    match disk.model.value() {
        Some(model) => format!("{} {model}", disk.path),
        None => disk.path.clone(),
    }
}
