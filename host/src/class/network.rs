//! Networks (bridges) and physical network interfaces, from sysfs.

use super::{Class, Wanted};
use crate::XeError;
use crate::labels::{NAME_DESCRIPTION, NAME_LABEL, OTHER_CONFIG, TAGS};
use crate::local::{MANAGEMENT_BRIDGE, addresses, derived_uuid, host_uuid, short_text};
use crate::record::{Field, Record, Value};
use std::path::{Path, PathBuf};
use steps::System;

pub(super) const NETWORK: Class = Class {
    name: "network",
    plural: "networks",
    fields: &[
        Field::listed("uuid"),
        NAME_LABEL,
        NAME_DESCRIPTION,
        Field::listed("bridge"),
        Field::more("MTU"),
        Field::more_set("PIF-uuids"),
        OTHER_CONFIG,
        TAGS,
    ],
    labeled: true,
    single: false,
    read: networks,
    write: None,
};

pub(super) const PIF: Class = Class {
    name: "pif",
    plural: "physical network interfaces",
    fields: &[
        Field::listed("uuid"),
        Field::listed("device"),
        Field::listed("MAC"),
        Field::listed("currently-attached"),
        Field::listed("network-uuid"),
        Field::more("VLAN"),
        Field::more("physical"),
        Field::more("management"),
        Field::more("carrier"),
        Field::more("speed"),
        Field::more("MTU"),
        Field::more("IP"),
        OTHER_CONFIG,
    ],
    labeled: true,
    single: false,
    read: pifs,
    write: None,
};

const NET: &str = "/sys/class/net";

/// What the kernel says about each VLAN, and about all of them in `config`.
const VLANS: &str = "/proc/net/vlan";

/// The number of a VLAN; -1 where an interface is none, as XenServer has it.
fn vlan_id(system: &dyn System, interface: &str) -> Value {
    let text = short_text(system, Path::new(VLANS).join(interface)).unwrap_or_default();
    let mut words = text.split_whitespace();
    let id = words
        .find(|word| *word == "VID:")
        .and_then(|_| words.next()?.parse().ok());
    Value::Number(id.unwrap_or(-1))
}

fn attribute(interface: &str, name: &str) -> PathBuf {
    Path::new(NET).join(interface).join(name)
}

/// The interfaces that have `what` in their folder: `bridge`, `device`.
fn interfaces_with(system: &dyn System, what: &str) -> Result<Vec<String>, XeError> {
    let all = system
        .list_dir(Path::new(NET))
        .map_err(|e| XeError::system(&e))?;
    Ok(all
        .into_iter()
        .filter(|name| system.exists(&Path::new(NET).join(name).join(what)))
        .collect())
}

/// Whether it is dom0's end of a guest's interface, which has a device as well: one of Xen's bus.
fn is_of_guest(system: &dyn System, interface: &str) -> bool {
    short_text(system, attribute(interface, "device/modalias"))
        .is_some_and(|alias| alias.starts_with("xen-backend:"))
}

fn ports(system: &dyn System, bridge: &str) -> Vec<String> {
    system
        .list_dir(&attribute(bridge, "brif"))
        .unwrap_or_default()
}

fn number(system: &dyn System, interface: &str, name: &str) -> Option<u64> {
    // A speed of -1 means that there is no link.
    short_text(system, attribute(interface, name))?.parse().ok()
}

fn networks(system: &dyn System, _: &Wanted<'_>) -> Result<Vec<Record>, XeError> {
    let host = host_uuid(system);
    let bridges = interfaces_with(system, "bridge")?;
    let record = |bridge: String| {
        let management = bridge == MANAGEMENT_BRIDGE;
        let physical =
            |port: &String| system.exists(&attribute(port, "device")) && !is_of_guest(system, port);
        let pifs = ports(system, &bridge)
            .into_iter()
            .filter(physical)
            .collect();
        Record::new()
            .with("uuid", derived_uuid(host, "network", &bridge).to_string())
            .with(
                "name-label",
                if management {
                    "Management network".to_owned()
                } else {
                    bridge.clone()
                },
            )
            .with(
                "name-description",
                if management {
                    "Management and guests"
                } else {
                    ""
                },
            )
            .with("MTU", number(system, &bridge, "mtu"))
            .with("PIF-uuids", Value::Set(pifs))
            .with("bridge", bridge)
    };
    Ok(bridges.into_iter().map(record).collect())
}

fn pifs(system: &dyn System, wanted: &Wanted<'_>) -> Result<Vec<Record>, XeError> {
    let host = host_uuid(system);
    let bridges = interfaces_with(system, "bridge")?;
    let mut devices = interfaces_with(system, "device")?;
    devices.retain(|device| !is_of_guest(system, device));
    devices.extend(interfaces_with(system, "bonding")?);
    let vlans = system
        .list_dir(Path::new(VLANS))
        .unwrap_or_default()
        .into_iter()
        .filter(|name| system.exists(&Path::new(NET).join(name)));
    devices.extend(vlans);
    let record = |device: String| {
        let bridge = bridges
            .iter()
            .find(|bridge| ports(system, bridge).contains(&device));
        let mut record = Record::new()
            .with("uuid", derived_uuid(host, "pif", &device).to_string())
            .with("MAC", short_text(system, attribute(&device, "address")))
            .with("VLAN", vlan_id(system, &device))
            .with("physical", system.exists(&attribute(&device, "device")))
            .with("currently-attached", bridge.is_some())
            .with(
                "management",
                bridge.is_some_and(|bridge| bridge == MANAGEMENT_BRIDGE),
            )
            // Reading the carrier of an interface that is down is an error: unknown.
            .with(
                "carrier",
                number(system, &device, "carrier").map(|carrier| carrier == 1),
            )
            .with(
                "speed",
                number(system, &device, "speed").map(|megabits| format!("{megabits} Mbit/s")),
            )
            .with("MTU", number(system, &device, "mtu"))
            .with(
                "network-uuid",
                bridge.map_or(String::new(), |bridge| {
                    derived_uuid(host, "network", bridge).to_string()
                }),
            );
        if wanted.any(&["IP"]) {
            record = record.with(
                "IP",
                Value::Set(addresses(system, bridge.unwrap_or(&device))),
            );
        }
        record.with("device", device)
    };
    Ok(devices.into_iter().map(record).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps::RecordingSystem;

    fn system() -> RecordingSystem {
        let net = |path: &str| format!("{NET}/{path}");
        RecordingSystem::new()
            .file("/etc/machine-id", "0123456789abcdef0123456789abcdef")
            .file(net("lo/mtu"), "65536\n")
            .file(net("eth1.7/mtu"), "1500\n")
            .file("/proc/net/vlan/config", "VLAN Dev name | VLAN ID\n")
            .file(
                "/proc/net/vlan/eth1.7",
                "eth1.7  VID: 7\t REORDER_HDR: 1  dev->priv_flags: 1021\nDevice: eth1\n",
            )
            .file(net("eth0/device/vendor"), "")
            .file(net("eth0/address"), "52:54:00:12:34:56\n")
            .file(net("eth0/carrier"), "1\n")
            .file(net("eth0/speed"), "1000\n")
            .file(net("eth1/device/vendor"), "")
            .file(net("eth1/speed"), "-1\n")
            .file(net("xenbr0/bridge/stp_state"), "0")
            .file(net("xenbr0/mtu"), "1500\n")
            .file(net("xenbr0/brif/eth0/state"), "3")
            .file(net("xenbr0/brif/vif1.0/state"), "3")
            .file(net("vif1.0/mtu"), "1500")
            .file(net("vif1.0/device/modalias"), "xen-backend:vif\n")
    }

    #[test]
    fn bridges_and_physical_interfaces_belong_together() {
        let system = system();
        let networks = networks(&system, &Wanted(&[])).unwrap();
        assert_eq!(networks.len(), 1);
        assert_eq!(
            networks[0].get("PIF-uuids"),
            &Value::Set(vec!["eth0".to_owned()])
        );
        let pifs = pifs(&system, &Wanted(&[])).unwrap();
        let names: Vec<_> = pifs
            .iter()
            .map(|pif| pif.get("device").to_string())
            .collect();
        assert_eq!(
            names,
            ["eth0", "eth1", "eth1.7"],
            "neither lo nor a guest's interface is physical"
        );
        let vlans: Vec<_> = pifs.iter().map(|pif| pif.get("VLAN").to_string()).collect();
        assert_eq!(vlans, ["-1", "-1", "7"]);
        assert_eq!(pifs[0].get("network-uuid"), networks[0].get("uuid"));
        assert_eq!(pifs[0].get("management"), &Value::Bool(true));
        assert_eq!(pifs[0].get("speed").to_string(), "1000 Mbit/s");
        assert_eq!(pifs[1].get("currently-attached"), &Value::Bool(false));
        assert_eq!(
            (pifs[1].get("speed"), pifs[1].get("carrier")),
            (&Value::Unknown, &Value::Unknown)
        );
        assert!(system.command_lines().is_empty());
    }
}
