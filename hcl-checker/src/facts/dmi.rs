//! System, board and firmware by the names that their makers gave them.

use super::optional_attribute;
use crate::known::Known;
use crate::root::Root;
use serde::{Deserialize, Serialize};

const FOLDER: &str = "/sys/class/dmi/id";

/// Names from SMBIOS. Placeholder texts of careless makers are kept as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dmi {
    /// Where this was read.
    pub source: String,
    /// Maker of the system.
    pub system_vendor: Known<String>,
    /// Its product name.
    pub product: Known<String>,
    /// Its serial number; readable by root only.
    pub serial: Known<String>,
    /// Maker of the main board.
    pub board_vendor: Known<String>,
    /// The board's name.
    pub board: Known<String>,
    /// Maker of the firmware.
    pub bios_vendor: Known<String>,
    /// The firmware's version.
    pub bios_version: Known<String>,
    /// Its date as it writes it, month first.
    pub bios_date: Known<String>,
}

/// Source: `/sys/class/dmi/id`.
pub(super) fn read(root: &Root) -> Dmi {
    let there = root.exists(FOLDER);
    let name = |file: &str| {
        if there {
            optional_attribute(root, &format!("{FOLDER}/{file}"))
        } else {
            Known::unknown(format!("{FOLDER}: not there"))
        }
    };
    Dmi {
        source: FOLDER.to_owned(),
        system_vendor: name("sys_vendor"),
        product: name("product_name"),
        serial: name("product_serial"),
        board_vendor: name("board_vendor"),
        board: name("board_name"),
        bios_vendor: name("bios_vendor"),
        bios_version: name("bios_version"),
        bios_date: name("bios_date"),
    }
}

/// The hypervisor that a virtual machine's names give away, also where it hides the CPU flag.
///
/// The names are those of systemd's `detect_vm_dmi` that no machine of metal bears (Amazon and Google rent both).
pub(super) fn hypervisor(root: &Root) -> Option<&'static str> {
    let name = |file: &str| {
        root.attribute(&format!("{FOLDER}/{file}"))
            .unwrap_or_default()
    };
    let names = [
        name("product_name"),
        name("sys_vendor"),
        name("board_vendor"),
        name("bios_vendor"),
    ];
    let table = [
        ("KVM", "KVM"),
        ("OpenStack", "KVM"),
        ("KubeVirt", "KVM"),
        ("QEMU", "QEMU"),
        ("VMware", "VMware"),
        ("VMW", "VMware"),
        ("innotek GmbH", "VirtualBox"),
        ("VirtualBox", "VirtualBox"),
        ("Xen", "Xen"),
        ("Bochs", "Bochs"),
        ("Parallels", "Parallels"),
        ("BHYVE", "bhyve"),
    ];
    let known = table
        .iter()
        .find(|(prefix, _)| names.iter().any(|name| name.starts_with(prefix)));
    // Microsoft makes machines of metal as well.
    let hyper_v =
        (names[0] == "Virtual Machine" && names[1].starts_with("Microsoft")).then_some("Hyper-V");
    known.map(|(_, hypervisor)| *hypervisor).or(hyper_v)
}
