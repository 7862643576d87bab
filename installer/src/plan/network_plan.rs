//! How the host is reached: the networks of a plan.

use crate::choices::{AddressChoice, BondMode, Ipv6Choice, NameChoice};
use crate::values::Mac;
use serde::Serialize;
use std::fmt;
use std::net::IpAddr;

/// The networks of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkPlan {
    /// The bridges; the first one carries the management address.
    pub bridges: Vec<BridgePlan>,
    /// The bonds below them.
    pub bonds: Vec<BondPlan>,
    /// The interfaces of the machine that are used.
    pub interfaces: Vec<InterfacePlan>,
    /// Interfaces that get a fixed name.
    pub names: Vec<NameChoice>,
}

/// A bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BridgePlan {
    /// Its name.
    pub name: String,
    /// Its hardware address: that of the first interface below it, so that the network sees one machine.
    pub mac: Mac,
    /// The interface or bond below it, by the name that it has now.
    pub uplink: String,
    /// The VLAN of the uplink that it carries; none for untagged frames.
    pub vlan: Option<VlanPlan>,
    /// Largest packet in bytes; none for the driver's own.
    pub mtu: Option<u32>,
    /// Why this uplink.
    pub chosen: String,
    /// How it gets its IPv4 address.
    pub address: AddressChoice,
    /// How it gets its IPv6 addresses.
    pub ipv6: Ipv6Choice,
    /// Name servers.
    pub dns: Vec<IpAddr>,
    /// Domains in which short names are looked up.
    pub search: Vec<String>,
    /// Time servers.
    pub ntp: Vec<String>,
}

/// A VLAN between bridge and uplink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VlanPlan {
    /// 1 to 4094.
    pub id: u16,
    /// Name of its device.
    pub device: String,
}

/// Several interfaces as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BondPlan {
    /// Its name.
    pub name: String,
    /// How the interfaces share the work.
    pub mode: BondMode,
    /// The interfaces, by the names that they have now.
    pub interfaces: Vec<String>,
    /// Its hardware address: that of the first interface.
    pub mac: Mac,
}

/// An interface of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InterfacePlan {
    /// The name that it has now.
    pub interface: String,
    /// Its hardware address, by which the host finds it.
    pub mac: Mac,
    /// True when the address is the maker's.
    pub permanent: bool,
    /// The bond that it is a part of.
    pub bond: Option<String>,
}

impl NetworkPlan {
    /// The bridge with the management address.
    pub fn management(&self) -> Option<&BridgePlan> {
        self.bridges.first()
    }

    /// The MTU of an interface or bond: the largest that anything above it needs; none for the driver's own.
    pub fn mtu_below(&self, uplink: &str) -> Option<u32> {
        self.bridges
            .iter()
            .filter(|bridge| bridge.uplink == uplink)
            .filter_map(|bridge| bridge.mtu)
            .max()
    }
}

impl NetworkPlan {
    /// Lines for people, as a part of the whole plan's.
    pub(super) fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = |first: &mut bool| if std::mem::take(first) { "Network" } else { "" };
        let mut first = true;
        for bridge in &self.bridges {
            let vlan = bridge
                .vlan
                .as_ref()
                .map_or(String::new(), |vlan| format!(", VLAN {}", vlan.id));
            let mtu = bridge
                .mtu
                .map_or(String::new(), |mtu| format!(", MTU {mtu}"));
            writeln!(
                f,
                "{:<10} {} on {} ({}){vlan}{mtu}: {}",
                label(&mut first),
                bridge.name,
                bridge.uplink,
                bridge.mac,
                bridge.chosen
            )?;
            writeln!(f, "           {}", bridge.addresses())?;
        }
        for bond in &self.bonds {
            let mode = match bond.mode {
                BondMode::ActiveBackup => "active-backup",
                BondMode::Lacp => "LACP: the switch must have a link aggregation group",
            };
            writeln!(
                f,
                "           {} of {}, {mode}",
                bond.name,
                bond.interfaces.join(", ")
            )?;
        }
        for name in &self.names {
            writeln!(f, "           {} is called {}", name.mac, name.name)?;
        }
        Ok(())
    }
}

impl BridgePlan {
    /// Whether the host is to have an address on it; one for guests alone has none.
    pub fn wants_address(&self) -> bool {
        self.address != AddressChoice::None || self.ipv6 != Ipv6Choice::None
    }

    fn addresses(&self) -> String {
        let mut words = Vec::new();
        let gateway = |gateway: Option<String>| {
            gateway.map_or(String::new(), |gateway| format!(", gateway {gateway}"))
        };
        match &self.address {
            AddressChoice::Dhcp => words.push("DHCP".to_owned()),
            AddressChoice::Static(fixed) => words.push(format!(
                "{}{}",
                fixed.address,
                gateway(fixed.gateway.map(|address| address.to_string()))
            )),
            AddressChoice::None => words.push("no IPv4".to_owned()),
        }
        match &self.ipv6 {
            Ipv6Choice::Auto => words.push("IPv6 as the routers announce".to_owned()),
            Ipv6Choice::Dhcp => words.push("DHCPv6".to_owned()),
            Ipv6Choice::Static(fixed) => words.push(format!(
                "{}{}",
                fixed.address,
                gateway(fixed.gateway.map(|address| address.to_string()))
            )),
            Ipv6Choice::None => words.push("no IPv6".to_owned()),
        }
        let mut list = |what: &str, items: Vec<String>| {
            if !items.is_empty() {
                words.push(format!("{what} {}", items.join(" ")));
            }
        };
        list("DNS", self.dns.iter().map(IpAddr::to_string).collect());
        list("search", self.search.clone());
        list("NTP", self.ntp.clone());
        words.join(", ")
    }
}
