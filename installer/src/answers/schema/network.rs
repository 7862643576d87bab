//! `[network]` as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

/// The management network, and more bridges. The address: `dhcp = true`, a `[network.static]` section, or IPv6 alone.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Name, MAC address or PCI address (`0000:3b:00.1`) of the interface; the only one or the first with a link when absent.
    pub interface: Option<String>,
    /// Several interfaces as one, in place of `interface`.
    pub bond: Option<Bond>,
    /// VLAN id, 1 to 4094; untagged when absent.
    pub vlan: Option<u64>,
    /// Largest packet in bytes, 1280 to 9216; the driver's own when absent.
    pub mtu: Option<u64>,
    /// Ask a DHCP server for an IPv4 address.
    pub dhcp: Option<bool>,
    /// A fixed IPv4 address.
    #[serde(rename = "static")]
    pub fixed: Option<Static>,
    /// `auto` (when absent: as the routers announce), `dhcp` or `none`.
    pub ipv6: Option<Ipv6>,
    /// A fixed IPv6 address.
    #[serde(rename = "static6")]
    pub fixed6: Option<Static6>,
    /// Name servers.
    pub dns: Option<Vec<String>>,
    /// Domains in which short names are looked up.
    pub search: Option<Vec<String>>,
    /// Time servers; those of DHCP or Debian's when absent.
    pub ntp: Option<Vec<String>>,
    /// More bridges, for guests or storage.
    pub bridge: Option<Vec<Bridge>>,
    /// Fixed names for interfaces.
    pub name: Option<Vec<Name>>,
}

/// A bridge besides the management network's.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bridge {
    /// Name of the bridge, at most 10 characters: `xenbr1`.
    pub name: Option<String>,
    /// Name, MAC address or PCI address of the interface below it.
    pub interface: Option<String>,
    /// Several interfaces as one, in place of `interface`.
    pub bond: Option<Bond>,
    /// VLAN id, 1 to 4094; untagged when absent.
    pub vlan: Option<u64>,
    /// Largest packet in bytes, 1280 to 9216; the driver's own when absent.
    pub mtu: Option<u64>,
    /// Ask a DHCP server for an IPv4 address; `false` when absent.
    pub dhcp: Option<bool>,
    /// A fixed IPv4 address.
    #[serde(rename = "static")]
    pub fixed: Option<Static>,
    /// `auto`, `dhcp` or `none`, which it is when absent.
    pub ipv6: Option<Ipv6>,
    /// A fixed IPv6 address.
    #[serde(rename = "static6")]
    pub fixed6: Option<Static6>,
}

/// Several interfaces as one.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bond {
    /// `active-backup`, or `lacp` where the switch has a link aggregation group.
    pub mode: Option<BondMode>,
    /// Names, MAC addresses or PCI addresses, at least two.
    pub interfaces: Option<Vec<String>>,
}

/// How the interfaces of a bond share the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BondMode {
    /// One works, another takes over.
    ActiveBackup,
    /// IEEE 802.3ad.
    Lacp,
}

/// How a bridge gets its IPv6 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ipv6 {
    /// As the routers announce.
    Auto,
    /// From DHCPv6.
    Dhcp,
    /// No IPv6 at all.
    None,
}

/// A fixed IPv4 address.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Static {
    /// Address and prefix length, for example `192.0.2.10/24`.
    pub address: Option<String>,
    /// The router, in the same network.
    pub gateway: Option<String>,
    /// Name servers, asked before those of `[network]`.
    pub dns: Option<Vec<String>>,
}

/// A fixed IPv6 address.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Static6 {
    /// Address and prefix length, for example `2001:db8::10/64`.
    pub address: Option<String>,
    /// The router: link-local, or in the same network.
    pub gateway: Option<String>,
    /// Name servers, asked before those of `[network]`.
    pub dns: Option<Vec<String>>,
}

/// A fixed name for an interface.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Name {
    /// The interface's permanent MAC address.
    pub mac: Option<String>,
    /// The name that it gets, at most 10 characters: `mgmt0`.
    pub name: Option<String>,
}
