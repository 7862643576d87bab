//! What devices are called in findings.

use crate::facts::{Disk, PciFunction};
use crate::hex;
use crate::known::Known;
use crate::pci_names;

/// The driver that is bound now.
pub(super) fn bound(function: &PciFunction) -> String {
    match &function.driver {
        Known::Value(driver) => ["driven by ", driver, " now"].concat(),
        Known::Absent => "no driver bound now".to_owned(),
        Known::Unknown(_) => "not known whether a driver is bound now".to_owned(),
    }
}

/// Maker and product by the public database of PCI ids, and the numbers.
pub(crate) fn device_name(function: &PciFunction) -> String {
    let Some(ids) = function.ids.value() else {
        return format!("PCI function {}", function.address);
    };
    // Put together by hand: a fleet has a million of these, and formatting would take most of the time of judging one.
    let mut name = String::with_capacity(96);
    match pci_names::vendor(ids.vendor) {
        Some(vendor) => {
            name.push_str(vendor);
            name.push(' ');
            name.push_str(pci_names::device(ids.vendor, ids.device).unwrap_or("device"));
        }
        None => name.push_str("device"),
    }
    name.push_str(" [");
    name.extend(hex::digits(ids.vendor).map(char::from));
    name.push(':');
    name.extend(hex::digits(ids.device).map(char::from));
    name.push(']');
    name
}

/// Path and model.
pub(super) fn disk_name(disk: &Disk) -> String {
    match disk.model.value() {
        Some(model) => format!("{} {model}", disk.path),
        None => disk.path.clone(),
    }
}
