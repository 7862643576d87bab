//! What the operator said about networks.

use crate::values::{Cidr, Cidr6, Mac};
use serde::Serialize;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Name of the bridge that carries the management address, and that guests are put on unless they say otherwise.
pub const MANAGEMENT_BRIDGE: &str = "xenbr0";

/// The networks of the host.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkChoice {
    /// The management network, on the bridge [`MANAGEMENT_BRIDGE`].
    pub management: BridgeChoice,
    /// More bridges, for guests or storage.
    pub bridges: Vec<BridgeChoice>,
    /// Interfaces that get a fixed name.
    pub names: Vec<NameChoice>,
}

impl NetworkChoice {
    /// The management network alone: one interface, no VLAN, IPv6 as the routers say.
    pub fn simple(interface: InterfaceChoice, address: AddressChoice, dns: Vec<IpAddr>) -> Self {
        NetworkChoice {
            management: BridgeChoice {
                name: MANAGEMENT_BRIDGE.to_owned(),
                uplink: UplinkChoice::Interface(interface),
                vlan: None,
                mtu: None,
                address,
                ipv6: Ipv6Choice::Auto,
                dns,
                search: Vec::new(),
                ntp: Vec::new(),
            },
            bridges: Vec::new(),
            names: Vec::new(),
        }
    }

    /// What an operator gets who says nothing: DHCP on the first interface with a link.
    pub fn plain() -> Self {
        Self::simple(InterfaceChoice::Auto, AddressChoice::Dhcp, Vec::new())
    }

    /// Every bridge, the management network's first.
    pub fn all(&self) -> impl Iterator<Item = &BridgeChoice> {
        std::iter::once(&self.management).chain(&self.bridges)
    }

    /// Whether nothing was said.
    pub fn is_plain(&self) -> bool {
        *self == Self::plain()
    }
}

/// A bridge and what is below it.
#[derive(Debug, Clone, PartialEq)]
pub struct BridgeChoice {
    /// Name of the bridge.
    pub name: String,
    /// What is below it.
    pub uplink: UplinkChoice,
    /// VLAN id on the uplink, 1 to 4094; none for untagged frames.
    pub vlan: Option<u16>,
    /// Largest packet in bytes, without the Ethernet header; none for the driver's own.
    pub mtu: Option<u32>,
    /// How the bridge gets its IPv4 address.
    pub address: AddressChoice,
    /// How the bridge gets its IPv6 addresses.
    pub ipv6: Ipv6Choice,
    /// Name servers.
    pub dns: Vec<IpAddr>,
    /// Domains in which short names are looked up.
    pub search: Vec<String>,
    /// Time servers, names or addresses; without any those of DHCP or Debian's.
    pub ntp: Vec<String>,
}

/// What is below a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UplinkChoice {
    /// One interface.
    Interface(InterfaceChoice),
    /// Several as one.
    Bond {
        /// How they share the work.
        mode: BondMode,
        /// At least two.
        interfaces: Vec<InterfaceChoice>,
    },
}

impl UplinkChoice {
    /// The interfaces, in order.
    pub fn interfaces(&self) -> &[InterfaceChoice] {
        match self {
            UplinkChoice::Interface(interface) => std::slice::from_ref(interface),
            UplinkChoice::Bond { interfaces, .. } => interfaces,
        }
    }
}

/// How the interfaces of a bond share the work (Linux Documentation/networking/bonding.rst).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BondMode {
    /// One works, another takes over. Needs nothing of the switch.
    ActiveBackup,
    /// IEEE 802.3ad: the switch must have a link aggregation group.
    Lacp,
}

/// Which interface is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterfaceChoice {
    /// The only one, or the first with a link in the order of names.
    Auto,
    /// By the kernel's name.
    Name(String),
    /// By hardware address.
    Mac(Mac),
    /// By the address of its PCI function, `0000:3b:00.1`.
    Pci(String),
}

/// How a bridge gets its IPv4 address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressChoice {
    /// From DHCP.
    Dhcp,
    /// A fixed IPv4 address.
    Static(StaticAddress),
    /// None: the bridge only carries frames of guests, or IPv6.
    None,
}

/// A fixed IPv4 configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StaticAddress {
    /// Address and prefix length.
    pub address: Cidr,
    /// The router: in the same network, or any where the host is alone in its own.
    pub gateway: Option<Ipv4Addr>,
}

impl StaticAddress {
    /// True where the address does not tell that the router is on the link, so the route to it has to say so.
    pub fn is_gateway_elsewhere(&self) -> bool {
        self.gateway
            .is_some_and(|gateway| !self.address.contains(gateway))
    }
}

/// How a bridge gets its IPv6 addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ipv6Choice {
    /// As the routers announce: by themselves, or from DHCPv6 where they say so.
    Auto,
    /// From DHCPv6, whatever the routers say.
    Dhcp,
    /// A fixed address; announcements of routers are not followed.
    Static(StaticAddress6),
    /// None, not even a link-local one.
    None,
}

/// A fixed IPv6 configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StaticAddress6 {
    /// Address and prefix length.
    pub address: Cidr6,
    /// The router: in the same network, link-local, or any where the host is alone in its own.
    pub gateway: Option<Ipv6Addr>,
}

impl StaticAddress6 {
    /// As [`StaticAddress::is_gateway_elsewhere`]; a link-local one is on the link by itself.
    pub fn is_gateway_elsewhere(&self) -> bool {
        self.gateway.is_some_and(|gateway| {
            !gateway.is_unicast_link_local() && !self.address.contains(gateway)
        })
    }
}

/// A fixed name for an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NameChoice {
    /// Its permanent hardware address.
    pub mac: Mac,
    /// The name that it gets.
    pub name: String,
}
