//! The networks of a plan as files of systemd-networkd (systemd.netdev(5), systemd.network(5), systemd.link(5)).

use super::{HostFile, text};
use crate::choices::{AddressChoice, BondMode, Ipv6Choice};
use crate::plan::{BridgePlan, InterfacePlan, NetworkPlan};
use std::fmt::Write;
use std::net::IpAddr;

/// Metric of default routes that are not the management network's. Its own are before that: 0 or 1024 where it is fixed or by DHCP,
/// 512 to 2048 where routers announce it (systemd.network(5)). With the same metric, which bridge replies left by was chance.
const LAST_METRIC: u32 = 4096;

/// Files below /etc: names of interfaces, bonds, VLANs, bridges, and the addresses of the bridges.
pub fn network_files(network: &NetworkPlan) -> Vec<HostFile> {
    let mut files = Vec::new();
    let mut file = |name: String, content: String| {
        files.push(text(&format!("systemd/network/{name}"), content));
    };
    for name in &network.names {
        file(
            format!("05-{}.link", name.name),
            format!(
                "[Match]\nPermanentMACAddress={}\n\n[Link]\nName={}\n",
                name.mac, name.name
            ),
        );
    }
    for bond in &network.bonds {
        let mode = match bond.mode {
            BondMode::ActiveBackup => "Mode=active-backup\n",
            BondMode::Lacp => "Mode=802.3ad\nTransmitHashPolicy=layer3+4\nLACPTransmitRate=fast\n",
        };
        file(
            format!("10-{}.netdev", bond.name),
            format!(
                "[NetDev]\nName={}\nKind=bond\nMACAddress={}\n\n[Bond]\n{mode}MIIMonitorSec=100ms\n",
                bond.name, bond.mac
            ),
        );
        file(
            format!("20-{}.network", bond.name),
            format!(
                "[Match]\nName={}\n{}",
                bond.name,
                carries(network, &bond.name)
            ),
        );
    }
    for interface in &network.interfaces {
        let (order, above) = match &interface.bond {
            Some(bond) => (
                bond,
                format!("\n[Network]\nBond={bond}\nLinkLocalAddressing=no\n"),
            ),
            None => (&interface.interface, carries(network, &interface.interface)),
        };
        let mtu = interface
            .bond
            .as_deref()
            .and_then(|bond| network.mtu_below(bond));
        let link = mtu.map_or(String::new(), |mtu| format!("\n[Link]\nMTUBytes={mtu}\n"));
        let mac = interface.mac.to_string().replace(':', "");
        file(
            format!("20-{order}-uplink-{mac}.network"),
            format!(
                "# By address: names of interfaces can change with firmware and kernels.\n[Match]\n{}\n{link}{above}",
                matching(interface)
            ),
        );
    }
    for (number, bridge) in network.bridges.iter().enumerate() {
        let BridgePlan { name, mac, .. } = bridge;
        let metric = (number > 0).then_some(LAST_METRIC);
        file(
            format!("10-{name}.netdev"),
            format!(
                "# It has the address of its interface, so that the network sees one machine.\n\
                 [NetDev]\nName={name}\nKind=bridge\nMACAddress={mac}\n\n[Bridge]\nSTP=no\n"
            ),
        );
        if let Some(vlan) = &bridge.vlan {
            let device = &vlan.device;
            file(
                format!("10-{device}.netdev"),
                format!(
                    "[NetDev]\nName={device}\nKind=vlan\n\n[VLAN]\nId={}\n",
                    vlan.id
                ),
            );
            let mtu = mtu_lines(mtu_of(network, bridge));
            file(
                format!("20-{device}.network"),
                format!(
                    "[Match]\nName={device}\n{mtu}\n[Network]\nBridge={name}\nLinkLocalAddressing=no\n"
                ),
            );
        }
        file(
            format!("30-{name}.network"),
            addresses(bridge, mtu_of(network, bridge), metric),
        );
    }
    files
}

fn matching(interface: &InterfacePlan) -> String {
    let mac = interface.mac;
    match interface.permanent {
        true => format!("PermanentMACAddress={mac}"),
        // Bridges, bonds and VLANs may have the same address and must not be taken for the interface.
        false => format!("MACAddress={mac}\nKind=!*"),
    }
}

fn mtu_lines(mtu: Option<u32>) -> String {
    mtu.map_or(String::new(), |mtu| format!("\n[Link]\nMTUBytes={mtu}\n"))
}

/// The MTU of a bridge. Beside one with large frames on the same uplink, whose MTU it would inherit, it has Ethernet's 1500.
fn mtu_of(network: &NetworkPlan, bridge: &BridgePlan) -> Option<u32> {
    bridge
        .mtu
        .or(network.mtu_below(&bridge.uplink).map(|_| 1500))
}

/// What an interface or bond carries: one bridge untagged, and VLANs.
fn carries(network: &NetworkPlan, uplink: &str) -> String {
    let mut lines = mtu_lines(network.mtu_below(uplink));
    lines.push_str("\n[Network]\n");
    for bridge in network
        .bridges
        .iter()
        .filter(|bridge| bridge.uplink == uplink)
    {
        let _ = match &bridge.vlan {
            Some(vlan) => writeln!(lines, "VLAN={}", vlan.device),
            None => writeln!(lines, "Bridge={}", bridge.name),
        };
    }
    lines.push_str("LinkLocalAddressing=no\n");
    lines
}

/// The `.network` file of a bridge; with a metric where its default routes have one.
fn addresses(bridge: &BridgePlan, mtu: Option<u32>, metric: Option<u32>) -> String {
    let mut out = format!(
        "[Match]\nName={}\n{}\n[Network]\n",
        bridge.name,
        mtu_lines(mtu)
    );
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    let (dhcp4, dhcp6) = (
        bridge.address == AddressChoice::Dhcp,
        bridge.ipv6 == Ipv6Choice::Dhcp,
    );
    let dhcp = match (dhcp4, dhcp6) {
        (true, true) => "yes",
        (true, false) => "ipv4",
        (false, true) => "ipv6",
        (false, false) => "no",
    };
    line(format!("DHCP={dhcp}"));
    match &bridge.ipv6 {
        Ipv6Choice::Auto | Ipv6Choice::Dhcp => {
            line("IPv6AcceptRA=yes".into());
        }
        Ipv6Choice::Static(_) => line("IPv6AcceptRA=no".into()),
        Ipv6Choice::None => {
            line("LinkLocalAddressing=no".into());
            line("IPv6AcceptRA=no".into());
        }
    }
    let v4 = match &bridge.address {
        AddressChoice::Static(fixed) => Some((
            fixed.address.to_string(),
            fixed.gateway.map(IpAddr::from),
            fixed.is_gateway_elsewhere(),
        )),
        _ => None,
    };
    let v6 = match &bridge.ipv6 {
        Ipv6Choice::Static(fixed) => Some((
            fixed.address.to_string(),
            fixed.gateway.map(IpAddr::from),
            fixed.is_gateway_elsewhere(),
        )),
        _ => None,
    };
    let mut routes = Vec::new();
    for (address, gateway, elsewhere) in v4.into_iter().chain(v6) {
        line(format!("Address={address}"));
        match gateway {
            Some(gateway) if elsewhere || metric.is_some() => routes.push((gateway, elsewhere)),
            Some(gateway) => line(format!("Gateway={gateway}")),
            None => {}
        }
    }
    for server in &bridge.dns {
        line(format!("DNS={server}"));
    }
    if !bridge.search.is_empty() {
        line(format!("Domains={}", bridge.search.join(" ")));
    }
    for server in &bridge.ntp {
        line(format!("NTP={server}"));
    }
    // A bridge for guests alone is up without an address, and nothing waits for one.
    if !bridge.wants_address() {
        line("ConfigureWithoutCarrier=yes".into());
        line("\n[Link]\nRequiredForOnline=no".into());
    }
    if dhcp4 {
        // By MAC, as most servers' fixed leases are; and the same identity as in the installer.
        line("\n[DHCPv4]\nClientIdentifier=mac\nUseDomains=yes".into());
        if let Some(metric) = metric {
            line(format!("RouteMetric={metric}"));
        }
    }
    if dhcp6 {
        line("\n[DHCPv6]\nWithoutRA=solicit".into());
    }
    if let Some(metric) = metric
        && matches!(bridge.ipv6, Ipv6Choice::Auto | Ipv6Choice::Dhcp)
    {
        line(format!("\n[IPv6AcceptRA]\nRouteMetric={metric}"));
    }
    for (gateway, elsewhere) in routes {
        line(format!("\n[Route]\nGateway={gateway}"));
        if elsewhere {
            line("GatewayOnLink=yes".into());
        }
        if let Some(metric) = metric {
            line(format!("Metric={metric}"));
        }
    }
    out
}
