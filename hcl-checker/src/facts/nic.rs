//! Network interfaces.

use super::probes::{Depth, Probes, Question};
use super::{attribute, link, number, pci_address_in};
use crate::known::Known;
use crate::root::Root;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const FOLDER: &str = "/sys/class/net";
/// `ARPHRD_ETHER` and `ARPHRD_INFINIBAND` of Linux's if_arp.h.
const ETHERNET: u32 = 1;
const INFINIBAND: u32 = 32;

/// A network interface with a device behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Nic {
    /// Where this was read.
    pub source: String,
    /// Its name now; it may get another one.
    pub name: String,
    /// What kind it is.
    pub kind: Known<NicKind>,
    /// The address that it uses, lowercase.
    pub mac: Known<String>,
    /// The address that its maker gave it, where that is known without asking the driver.
    pub permanent_mac: Known<String>,
    /// The driver of its device: `e1000e`, `virtio_net`.
    pub driver: Known<String>,
    /// The PCI function; `Absent` where it hangs on none.
    pub pci_address: Known<String>,
    /// Mbit/s; unknown while there is no link.
    pub speed_mbit: Known<u32>,
    /// Whether there is a link; unknown while the interface is down.
    pub carrier: Known<bool>,
    /// Version of the driver as it tells it; for drivers of the kernel that is the kernel's version.
    pub driver_version: Known<String>,
    /// Version of the firmware on the card; `Absent` where the driver knows of none.
    pub firmware_version: Known<String>,
}

/// Kind of a network interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NicKind {
    /// Ethernet by wire.
    Ethernet,
    /// Without wire.
    Wireless,
    /// InfiniBand.
    Infiniband,
    /// Something else.
    Other,
}

/// Source: `/sys/class/net`; interfaces of software (bridges, bonds, `lo`) have no device and are left out.
pub(super) fn read(probes: &Probes<'_>) -> Known<Vec<Nic>> {
    let root = probes.root;
    let names = match root.list(FOLDER) {
        Ok(names) => names,
        Err(error) => return Known::unknown(error.to_string()),
    };
    let real = names
        .into_iter()
        .filter(|name| root.exists(&format!("{FOLDER}/{name}/device")));
    Known::Value(real.map(|name| nic(probes, name)).collect())
}

fn nic(probes: &Probes<'_>, name: String) -> Nic {
    let judged = judged(probes, name);
    if !probes.for_all() {
        return judged;
    }
    let root = probes.root;
    let file = |file: &str| format!("{}/{file}", judged.source);
    let mac = attribute(root, &file("address")).and_then(|text| mac(&file("address"), text));
    let in_bond = root.attribute(&file("bonding_slave/perm_hwaddr")).ok();
    let permanent_mac = match (in_bond, number::<u32>(root, &file("addr_assign_type"))) {
        (Some(text), _) => self::mac(&file("bonding_slave/perm_hwaddr"), text),
        // NET_ADDR_PERM of Linux's netdevice.h.
        (None, Known::Value(0)) => mac.clone(),
        (None, Known::Value(kind)) => Known::unknown(format!(
            "{}: {kind}, the address in use is not the maker's",
            file("addr_assign_type")
        )),
        (None, other) => other.and_then(|_| Known::Absent),
    };
    Nic {
        mac,
        permanent_mac,
        speed_mbit: match root.attribute(&file("speed")) {
            // The kernel answers EINVAL for an interface that is not up.
            Err(error) if error.is_refused_by_device() => {
                Known::unknown(format!("{}: the interface is down", file("speed")))
            }
            _ => number::<i64>(root, &file("speed")).and_then(|speed| {
                match u32::try_from(speed) {
                    Ok(speed) if speed > 0 => Known::Value(speed),
                    // -1: without a link, and always with drivers of virtual machines.
                    _ => Known::unknown(format!("{}: the driver tells none", file("speed"))),
                }
            }),
        },
        carrier: match root.attribute(&file("carrier")) {
            Ok(text) if text == "1" => Known::Value(true),
            Ok(text) if text == "0" => Known::Value(false),
            Ok(text) => Known::unknown(format!("{}: `{}`", file("carrier"), super::shorten(&text))),
            Err(error) if error.is_missing() => Known::unknown(error.to_string()),
            // The kernel answers EINVAL for an interface that is not up.
            Err(_) => Known::unknown(format!("{}: the interface is down", file("carrier"))),
        },
        ..judged
    }
}

/// What a verdict asks of an interface.
fn judged(probes: &Probes<'_>, name: String) -> Nic {
    let root = probes.root;
    let (driver_version, firmware_version) = versions(probes, &name);
    let source = format!("{FOLDER}/{name}");
    Nic {
        kind: kind(root, &source),
        driver: link(root, &format!("{source}/device/driver")),
        pci_address: match root.real_path(&format!("{source}/device")) {
            Ok(real) => pci_address_in(&real)
                .map_or(Known::Absent, |address| Known::Value(address.to_owned())),
            Err(error) => Known::unknown(error.to_string()),
        },
        driver_version,
        firmware_version,
        name,
        source,
        ..Nic::default()
    }
}

/// Driver and firmware by the driver's own words: lines of `ethtool -i`. The question opens no device node, yet it may
/// reach the card, so a plain user's look at the facts does not put it.
fn versions(probes: &Probes<'_>, name: &str) -> (Known<String>, Known<String>) {
    let asked = if probes.root.is_system()
        && probes.depth == Depth::Passive
        && !nix::unistd::geteuid().is_root()
    {
        Known::unknown("not asked; root or `--deep` asks the driver")
    } else {
        probes.ask(&Question::Ethtool(name.to_owned()))
    };
    let line = |key: &str| {
        asked.clone().and_then(|text| {
            let mut lines = text.lines().filter_map(|line| line.split_once(':'));
            match lines.find(|(name, _)| name.trim() == key) {
                Some((_, value)) => match value.trim() {
                    // What drivers without firmware write there.
                    "" | "N/A" | "n/a" => Known::Absent,
                    value => Known::Value(value.to_owned()),
                },
                None => Known::unknown(format!("the driver's answer has no line `{key}`")),
            }
        })
    };
    (line("version"), line("firmware-version"))
}

fn kind(root: &Root, source: &str) -> Known<NicKind> {
    if root.exists(&format!("{source}/phy80211")) || root.exists(&format!("{source}/wireless")) {
        return Known::Value(NicKind::Wireless);
    }
    number::<u32>(root, &format!("{source}/type")).map(|kind| match kind {
        ETHERNET => NicKind::Ethernet,
        INFINIBAND => NicKind::Infiniband,
        _ => NicKind::Other,
    })
}

/// Six pairs of digits (InfiniBand has twenty), lowercase; all zero is none.
fn mac(source: &str, text: String) -> Known<String> {
    let text = text.to_ascii_lowercase();
    let pairs = text
        .split(':')
        .all(|pair| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if !pairs || !matches!(text.len(), 17 | 59) {
        return Known::unknown(format!(
            "{source}: `{}` is no address",
            super::shorten(&text)
        ));
    }
    if text.bytes().all(|byte| matches!(byte, b'0' | b':')) {
        Known::Absent
    } else {
        Known::Value(text)
    }
}
