//! The baseboard management controller: a small computer that watches over the server.

use super::probes::{NOT_ASKED, PROBE, Probes};
use super::smbios::Table;
use super::{limit, optional_attribute};
use crate::known::Known;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// DSP0134 7.39: IPMI device information.
const IPMI: u8 = 38;
const CLASS: &str = "/sys/class/ipmi";
const NODE: &str = "/dev/ipmi0";

/// A baseboard management controller.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Bmc {
    /// Where this was read.
    pub sources: Vec<String>,
    /// How the host talks to it: `KCS`, `SMIC`, `BT`, `SSIF`.
    pub interface: Known<String>,
    /// Version of IPMI, `2.0`.
    pub ipmi_version: Known<String>,
    /// The kernel has a driver for it bound.
    pub has_driver: Known<bool>,
    /// The device node exists; it is never opened.
    pub has_node: Known<bool>,
    /// Version of its firmware. The driver may ask the controller for it, so only `--deep` reads it.
    pub firmware_version: Known<String>,
}

/// Sources: SMBIOS type 38, `/sys/class/ipmi`, `/dev/ipmi0`. `Absent` where firmware and kernel know of none.
pub(super) fn read(probes: &Probes<'_>, table: &Table) -> Known<Bmc> {
    let root = probes.root;
    let described = table.all(IPMI);
    let device = described.value().and_then(|devices| devices.first());
    // Without its module the kernel has no such folder.
    let devices = root.list(CLASS).unwrap_or_default();
    let has_node = root.exists(NODE);
    if device.is_none() && devices.is_empty() && !has_node {
        return described.and_then(|_| Known::Absent);
    }
    let mut sources = vec![CLASS.to_owned(), NODE.to_owned()];
    let of_firmware = |field: Option<Known<String>>| match field {
        Some(field) => field,
        None => match &described {
            Known::Unknown(unknown) => Known::Unknown(unknown.clone()),
            Known::Value(_) | Known::Absent => Known::unknown("the firmware does not describe it"),
        },
    };
    if let Some(device) = device {
        sources.push(device.source());
    }
    let interface = device.map(|device| match device.byte(0x04) {
        Some(1) => Known::Value("KCS".to_owned()),
        Some(2) => Known::Value("SMIC".to_owned()),
        Some(3) => Known::Value("BT".to_owned()),
        Some(4) => Known::Value("SSIF".to_owned()),
        Some(other) => Known::unknown(format!("{}: interface {other}", device.source())),
        None => device.too_short(0x04),
    });
    // One digit in each half of the byte.
    let ipmi_version = device.map(|device| match device.byte(0x05) {
        Some(version) => Known::Value(format!("{}.{}", version >> 4, version & 0xf)),
        None => device.too_short(0x05),
    });
    Known::Value(Bmc {
        sources,
        interface: of_firmware(interface),
        ipmi_version: of_firmware(ipmi_version),
        has_driver: Known::Value(!devices.is_empty()),
        has_node: Known::Value(has_node),
        firmware_version: firmware_version(probes, devices.first()),
    })
}

fn firmware_version(probes: &Probes<'_>, device: Option<&String>) -> Known<String> {
    let Some(device) = device else {
        return Known::unknown(format!("{CLASS}: no driver to ask through"));
    };
    if !probes.may_disturb() {
        return Known::unknown(NOT_ASKED);
    }
    let path = format!("{CLASS}/{device}/device/bmc/firmware_revision");
    let root = probes.root.clone();
    let answer = limit::within(PROBE, move || Ok(optional_attribute(&root, &path)));
    match answer {
        // A tree that was captured without asking does not have the file.
        Ok(Known::Absent) if !probes.root.is_system() => Known::unknown(NOT_ASKED),
        Ok(version) => version,
        Err(reason) => Known::unknown(reason),
    }
}
