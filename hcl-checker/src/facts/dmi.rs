//! System, board and firmware by the names that their makers gave them.

use super::probes::Probes;
use super::{optional_attribute, smbios};
use crate::known::Known;
use crate::root::Root;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const FOLDER: &str = "/sys/class/dmi/id";

/// Names from SMBIOS. Placeholder texts of careless makers are kept as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// The system's UUID, readable by root only.
    pub uuid: Known<String>,
    /// The maker's number of this configuration.
    pub sku: Known<String>,
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
    /// The board's serial number; readable by root only.
    pub board_serial: Known<String>,
    /// Version of SMBIOS that the firmware follows.
    pub smbios_version: Known<String>,
    /// The case.
    pub chassis: Chassis,
}

/// The case of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Chassis {
    /// Its maker.
    pub vendor: Known<String>,
    /// What it is: `rack mount`, `blade`, `tower`, ...
    pub kind: Known<String>,
    /// Its serial number; readable by root only.
    pub serial: Known<String>,
    /// The number that the owner gave it.
    pub asset_tag: Known<String>,
}

/// Source: `/sys/class/dmi/id`.
pub(super) fn read(probes: &Probes<'_>) -> Dmi {
    let root = probes.root;
    let there = root.exists(FOLDER);
    let name = |file: &str| {
        if there {
            optional_attribute(root, &format!("{FOLDER}/{file}"))
        } else {
            Known::unknown(format!("{FOLDER}: not there"))
        }
    };
    let judged = Dmi {
        source: FOLDER.to_owned(),
        system_vendor: name("sys_vendor"),
        product: name("product_name"),
        board: name("board_name"),
        bios_version: name("bios_version"),
        ..Dmi::default()
    };
    if !probes.for_all() {
        return judged;
    }
    Dmi {
        serial: name("product_serial"),
        board_vendor: name("board_vendor"),
        bios_vendor: name("bios_vendor"),
        bios_date: name("bios_date"),
        uuid: name("product_uuid").map(|uuid| uuid.to_ascii_lowercase()),
        sku: name("product_sku"),
        board_serial: name("board_serial"),
        smbios_version: smbios::version(root),
        chassis: Chassis {
            vendor: name("chassis_vendor"),
            kind: name("chassis_type").and_then(|code| chassis_kind(&code)),
            serial: name("chassis_serial"),
            asset_tag: name("chassis_asset_tag"),
        },
        ..judged
    }
}

/// DMTF DSP0134, 7.4.1; the kernel writes the number without the bit for a lock.
fn chassis_kind(code: &str) -> Known<String> {
    let name = match code {
        "1" => "other",
        "3" | "4" | "5" => "desktop",
        "6" | "7" => "tower",
        "8" | "9" | "10" | "14" => "portable",
        "13" => "all in one",
        "17" => "main server",
        "18" => "expansion",
        "22" => "RAID",
        "23" => "rack mount",
        "24" => "sealed case",
        "25" => "multi-system",
        "28" => "blade",
        "29" => "blade enclosure",
        "33" | "34" => "embedded",
        "35" => "mini PC",
        "36" => "stick PC",
        _ => {
            let code = super::shorten(code);
            return Known::unknown(format!("{FOLDER}/chassis_type: {code} names no case"));
        }
    };
    Known::Value(name.to_owned())
}

/// The hypervisor that a virtual machine's names give away, also where it hides the CPU flag.
///
/// The names are those of systemd's `detect_vm_dmi` that no machine of metal bears (Amazon and Google rent both).
pub(super) fn hypervisor(root: &Root) -> Option<&'static str> {
    let name = |file: &str| {
        root.attribute(&format!("{FOLDER}/{file}"))
            .unwrap_or_default()
    };
    hypervisor_by_names(&[
        name("product_name"),
        name("sys_vendor"),
        name("board_vendor"),
        name("bios_vendor"),
    ])
}

/// The same by the names of product, system's maker, board's maker and firmware's maker.
pub(super) fn hypervisor_by_names(names: &[String; 4]) -> Option<&'static str> {
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
