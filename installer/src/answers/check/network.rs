//! What `[network]` must hold beyond its shape.

use super::super::document::{Document, section, split_index};
use super::super::schema::{
    Bond, BondMode as BondWord, Bridge, Ipv6, Name, Network, Static, Static6,
};
use super::{addresses, value};
use crate::choices::{
    AddressChoice, BondMode, BridgeChoice, InterfaceChoice, Ipv6Choice, MANAGEMENT_BRIDGE,
    NameChoice, NetworkChoice, StaticAddress, StaticAddress6, UplinkChoice,
};
use crate::values::{
    Cidr, Cidr6, Hostname, Mac, ValueError, check_device_name, check_gateway, check_gateway6,
    check_interface_name, check_name_server, is_pci_address,
};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The MTU that every IPv6 link must have (RFC 8200, section 5).
const MTU_MIN: u64 = 1280;
/// The largest jumbo frame that server NICs and switches agree on.
const MTU_MAX: u64 = 9216;
/// IEEE 802.1Q: 0 and 4095 are reserved.
const VLAN_MAX: u64 = 4094;

/// The networks, or `None` with at least one problem added to `document`.
pub fn network(network: Option<Network>, document: &mut Document<'_>) -> Option<NetworkChoice> {
    let Some(network) = network else {
        return Some(NetworkChoice::plain());
    };
    let written = Written {
        path: "network".into(),
        interface: network.interface,
        bond: network.bond,
        vlan: network.vlan,
        mtu: network.mtu,
        dhcp: network.dhcp,
        fixed: network.fixed,
        ipv6: network.ipv6,
        fixed6: network.fixed6,
    };
    let addressed = written.dhcp == Some(true)
        || written.fixed.is_some()
        || written.fixed6.is_some()
        || matches!(written.ipv6, Some(Ipv6::Auto | Ipv6::Dhcp));
    if !addressed && !document.is_settled("network.static") && !document.is_settled("network.ipv6")
    {
        document.missing(
            "network.dhcp",
            "[network] does not say how the host gets its address",
            "add `dhcp = true`, or a section [network.static] with `address`",
        );
        return None;
    }
    let management = written.bridge(MANAGEMENT_BRIDGE.to_owned(), Ipv6Choice::Auto, document);
    let dns = name_servers("network.dns", network.dns, document);
    let search = texts("network.search", network.search, document, |text| {
        Hostname::parse(text).map(|name| name.to_string())
    });
    let ntp = texts("network.ntp", network.ntp, document, |text| {
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(address.to_string()),
            Err(_) => Hostname::parse(text).map(|name| name.to_string()),
        }
    });
    let bridges = bridges(network.bridge.unwrap_or_default(), document);
    let names = names(network.name.unwrap_or_default(), document);
    let (mut management, dns) = (management?, dns?);
    for server in dns {
        if !management.dns.contains(&server) {
            management.dns.push(server);
        }
    }
    management.search = search?;
    management.ntp = ntp?;
    let choice = NetworkChoice {
        management,
        bridges: bridges?,
        names: names?,
    };
    addresses::are_apart(&choice, document).then_some(choice)
}

/// A bridge as it is written, the management network's or another.
struct Written {
    path: String,
    interface: Option<String>,
    bond: Option<Bond>,
    vlan: Option<u64>,
    mtu: Option<u64>,
    dhcp: Option<bool>,
    fixed: Option<Static>,
    ipv6: Option<Ipv6>,
    fixed6: Option<Static6>,
}

impl Written {
    /// `ipv6` is what counts where the file says nothing.
    fn bridge(
        self,
        name: String,
        ipv6: Ipv6Choice,
        document: &mut Document<'_>,
    ) -> Option<BridgeChoice> {
        let path = &self.path;
        let uplink = match (self.interface, self.bond) {
            (Some(_), Some(_)) => {
                document.problem_at(
                    &format!("{path}.bond"),
                    format!("{} has both `interface` and a bond", section(path)),
                    "keep one of them; a bond names its own `interfaces`",
                );
                None
            }
            (None, None) if path != "network" => {
                document.missing(
                    &format!("{path}.interface"),
                    format!("{} does not say what is below the bridge", section(path)),
                    "add `interface = \"...\"` or a bond",
                );
                None
            }
            (None, None) => Some(UplinkChoice::Interface(InterfaceChoice::Auto)),
            (Some(text), None) => {
                interface(document, &format!("{path}.interface"), text).map(UplinkChoice::Interface)
            }
            (None, Some(written)) => bond(&format!("{path}.bond"), written, document),
        };
        let vlan = number(
            document,
            &format!("{path}.vlan"),
            self.vlan,
            (1, VLAN_MAX),
            "a VLAN id is a number from 1 to 4094",
        );
        let mtu = number(
            document,
            &format!("{path}.mtu"),
            self.mtu,
            (MTU_MIN, MTU_MAX),
            "write a number of bytes such as 1500 or 9000",
        );
        let mut dns = Some(Vec::new());
        let address = match (self.dhcp.unwrap_or(false), self.fixed) {
            (true, None) => Some(AddressChoice::Dhcp),
            (true, Some(_)) => {
                document.problem_at(
                    &format!("{path}.dhcp"),
                    format!(
                        "{} has both `dhcp = true` and [{}.static]",
                        section(path),
                        plain(path)
                    ),
                    "keep one of them",
                );
                None
            }
            (false, Some(fixed)) => {
                let path = format!("{path}.static");
                append(
                    &mut dns,
                    name_servers(&format!("{path}.dns"), fixed.dns.clone(), document),
                );
                fixed_address(&path, fixed, document).map(AddressChoice::Static)
            }
            (false, None) => Some(AddressChoice::None),
        };
        let ipv6 = match (self.ipv6, self.fixed6) {
            (None, None) => Some(ipv6),
            (Some(Ipv6::Auto), None) => Some(Ipv6Choice::Auto),
            (Some(Ipv6::Dhcp), None) => Some(Ipv6Choice::Dhcp),
            (Some(Ipv6::None), None) => Some(Ipv6Choice::None),
            (Some(_), Some(_)) => {
                document.problem_at(
                    &format!("{path}.ipv6"),
                    format!(
                        "{} has both `ipv6` and [{}.static6]",
                        section(path),
                        plain(path)
                    ),
                    "keep one of them",
                );
                None
            }
            (None, Some(fixed)) => {
                let path = format!("{path}.static6");
                append(
                    &mut dns,
                    name_servers(&format!("{path}.dns"), fixed.dns.clone(), document),
                );
                fixed_address6(&path, fixed, document).map(Ipv6Choice::Static)
            }
        };
        Some(BridgeChoice {
            name,
            uplink: uplink?,
            // Both fit: they were held against their limits.
            vlan: vlan?.and_then(|vlan| vlan.try_into().ok()),
            mtu: mtu?.and_then(|mtu| mtu.try_into().ok()),
            address: address?,
            ipv6: ipv6?,
            dns: dns?,
            search: Vec::new(),
            ntp: Vec::new(),
        })
    }
}

fn append(list: &mut Option<Vec<IpAddr>>, more: Option<Vec<IpAddr>>) {
    match (list.as_mut(), more) {
        (Some(list), Some(more)) => list.extend(more),
        _ => *list = None,
    }
}

/// `network.bridge.0` without the number.
fn plain(path: &str) -> &str {
    split_index(path).map_or(path, |(list, _)| list)
}

fn bridges(written: Vec<Bridge>, document: &mut Document<'_>) -> Option<Vec<BridgeChoice>> {
    let mut names = BTreeSet::from([MANAGEMENT_BRIDGE.to_owned()]);
    let mut fine = true;
    let mut list = Vec::new();
    for (index, bridge) in written.into_iter().enumerate() {
        let path = format!("network.bridge.{index}");
        let name = device_name(document, &path, bridge.name);
        if let Some(name) = &name
            && !names.insert(name.clone())
        {
            document.problem_at(
                &format!("{path}.name"),
                format!("there are two bridges `{name}`"),
                format!("give each bridge a name of its own; `{MANAGEMENT_BRIDGE}` is the management network's"),
            );
            fine = false;
        }
        let written = Written {
            path,
            interface: bridge.interface,
            bond: bridge.bond,
            vlan: bridge.vlan,
            mtu: bridge.mtu,
            dhcp: bridge.dhcp,
            fixed: bridge.fixed,
            ipv6: bridge.ipv6,
            fixed6: bridge.fixed6,
        };
        let bridge = written.bridge(name.clone().unwrap_or_default(), Ipv6Choice::None, document);
        fine &= name.is_some() && bridge.is_some();
        list.extend(bridge);
    }
    fine.then_some(list)
}

fn names(written: Vec<Name>, document: &mut Document<'_>) -> Option<Vec<NameChoice>> {
    let mut fine = true;
    let mut list: Vec<NameChoice> = Vec::new();
    for (index, entry) in written.into_iter().enumerate() {
        let path = format!("network.name.{index}");
        let name = device_name(document, &path, entry.name);
        let mac = match entry.mac {
            Some(text) => value(document, &format!("{path}.mac"), Mac::parse(&text)),
            None => {
                document.missing(
                    &format!("{path}.mac"),
                    "[[network.name]] does not say which interface",
                    "add `mac = \"...\"`, the interface's permanent address",
                );
                None
            }
        };
        let (Some(mac), Some(name)) = (mac, name) else {
            fine = false;
            continue;
        };
        if list
            .iter()
            .any(|other| other.name == name || other.mac == mac)
        {
            document.problem_at(
                &path,
                format!("[[network.name]] names `{name}` or {mac} twice"),
                "give each interface one name, and each name one interface",
            );
            fine = false;
        }
        list.push(NameChoice { mac, name });
    }
    fine.then_some(list)
}

fn device_name(document: &mut Document<'_>, path: &str, name: Option<String>) -> Option<String> {
    let key = format!("{path}.name");
    match name {
        Some(name) => value(document, &key, check_device_name(&name).map(|()| name)),
        None => {
            document.missing(
                &key,
                format!("`name` is missing in {}", section(path)),
                "add a name, for example `name = \"xenbr1\"`",
            );
            None
        }
    }
}

fn interface(document: &mut Document<'_>, key: &str, text: String) -> Option<InterfaceChoice> {
    if is_pci_address(&text) {
        return Some(InterfaceChoice::Pci(text.to_ascii_lowercase()));
    }
    if text.contains(':') && text.contains('.') {
        document.problem_at(
            key,
            format!("`{key}` is not a whole PCI address"),
            "write domain, bus, device and function, for example `0000:3b:00.1`",
        );
        return None;
    }
    match Mac::parse(&text) {
        Ok(mac) => Some(InterfaceChoice::Mac(mac)),
        Err(error) if text.contains(':') => value(document, key, Err(error)),
        Err(_) => value(
            document,
            key,
            check_interface_name(&text).map(|()| InterfaceChoice::Name(text)),
        ),
    }
}

fn bond(path: &str, written: Bond, document: &mut Document<'_>) -> Option<UplinkChoice> {
    let mode = match written.mode {
        Some(BondWord::ActiveBackup) => Some(BondMode::ActiveBackup),
        Some(BondWord::Lacp) => Some(BondMode::Lacp),
        None => {
            document.missing(
                &format!("{path}.mode"),
                format!("`mode` is missing in [{path}]"),
                "add `mode = \"active-backup\"`, or `mode = \"lacp\"` where the switch has a link aggregation group",
            );
            None
        }
    };
    let written = written.interfaces.unwrap_or_default();
    let key = format!("{path}.interfaces");
    let mut interfaces = Vec::new();
    let mut fine = true;
    for (index, text) in written.into_iter().enumerate() {
        match interface(document, &format!("{key}.{index}"), text) {
            Some(interface) if interfaces.contains(&interface) => {
                document.problem_at(
                    &format!("{key}.{index}"),
                    format!("`{key}` names an interface twice"),
                    "name each interface once",
                );
                fine = false;
            }
            Some(interface) => interfaces.push(interface),
            None => fine = false,
        }
    }
    if fine && interfaces.len() < 2 {
        document.missing(
            &key,
            format!(
                "`{key}` names {} interfaces; a bond has two at least",
                interfaces.len()
            ),
            "name two interfaces or more, or write `interface = \"...\"` in place of the bond",
        );
        fine = false;
    }
    let mode = mode?;
    fine.then_some(UplinkChoice::Bond { mode, interfaces })
}

/// The number within its limits. The outer `None` says that a problem was added.
fn number(
    document: &mut Document<'_>,
    key: &str,
    number: Option<u64>,
    (least, most): (u64, u64),
    advice: &str,
) -> Option<Option<u64>> {
    match number {
        Some(number) if !(least..=most).contains(&number) => {
            document.problem_at(
                key,
                format!("`{key}` is {number}, which is not from {least} to {most}"),
                advice,
            );
            None
        }
        other => Some(other),
    }
}

fn texts(
    key: &str,
    list: Option<Vec<String>>,
    document: &mut Document<'_>,
    parse: impl Fn(&str) -> Result<String, ValueError>,
) -> Option<Vec<String>> {
    let mut fine = true;
    let mut found = Vec::new();
    for (index, text) in list.unwrap_or_default().iter().enumerate() {
        match value(document, &format!("{key}.{index}"), parse(text)) {
            Some(text) => found.push(text),
            None => fine = false,
        }
    }
    fine.then_some(found)
}

fn name_servers(
    key: &str,
    list: Option<Vec<String>>,
    document: &mut Document<'_>,
) -> Option<Vec<IpAddr>> {
    let mut fine = true;
    let mut dns = Vec::new();
    for (index, text) in list.unwrap_or_default().iter().enumerate() {
        match value(document, &format!("{key}.{index}"), check_name_server(text)) {
            Some(server) => dns.push(server),
            None => fine = false,
        }
    }
    fine.then_some(dns)
}

fn fixed_address(path: &str, fixed: Static, document: &mut Document<'_>) -> Option<StaticAddress> {
    let address = match fixed.address {
        Some(text) => value(document, &format!("{path}.address"), Cidr::parse(&text)),
        None => {
            document.missing(
                &format!("{path}.address"),
                format!("`address` is missing in [{path}]"),
                "add an address with its prefix length, for example `address = \"192.0.2.10/24\"`",
            );
            None
        }
    };
    let gateway = match fixed.gateway {
        Some(text) => Some(value(
            document,
            &format!("{path}.gateway"),
            check_gateway(&text, address),
        )?),
        None => None,
    };
    Some(StaticAddress {
        address: address?,
        gateway,
    })
}

fn fixed_address6(
    path: &str,
    fixed: Static6,
    document: &mut Document<'_>,
) -> Option<StaticAddress6> {
    let address = match fixed.address {
        Some(text) => value(document, &format!("{path}.address"), Cidr6::parse(&text)),
        None => {
            document.missing(
                &format!("{path}.address"),
                format!("`address` is missing in [{path}]"),
                "add an address with its prefix length, for example `address = \"2001:db8::10/64\"`",
            );
            None
        }
    };
    let gateway = match fixed.gateway {
        Some(text) => Some(value(
            document,
            &format!("{path}.gateway"),
            check_gateway6(&text, address),
        )?),
        None => None,
    };
    Some(StaticAddress6 {
        address: address?,
        gateway,
    })
}
