//! Networks as files of systemd-networkd (systemd.netdev(5), systemd.network(5)). Files that `xe` made have `-xe-` in their name,
//! and only those are taken away again.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Where they are.
pub const FOLDER: &str = "/etc/systemd/network";

/// A file.
pub type File = (PathBuf, String);

fn file(name: &str, content: String) -> File {
    (Path::new(FOLDER).join(name), content)
}

/// The longest name of an interface (IFNAMSIZ without the end).
const LONGEST: usize = 15;

/// Whether an interface can have this name.
pub fn is_interface_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !name.is_empty() && name.len() <= LONGEST && name.chars().all(plain) && !name.starts_with('.')
}

/// The first free name for a bridge.
pub fn free_bridge(taken: impl Fn(&str) -> bool) -> String {
    (0_u32..)
        .map(|n| format!("xenbr{n}"))
        .find(|name| !taken(name))
        .unwrap_or_default()
}

/// A bridge for guests alone: up without an address and without anything connected.
pub fn bridge(name: &str, mtu: Option<u32>) -> Vec<File> {
    let mtu = mtu.map_or(String::new(), |mtu| format!("MTUBytes={mtu}\n"));
    vec![
        file(
            &format!("10-xe-{name}.netdev"),
            format!("[NetDev]\nName={name}\nKind=bridge\n\n[Bridge]\nSTP=no\n"),
        ),
        file(
            &format!("30-xe-{name}.network"),
            format!(
                "[Match]\nName={name}\n\n[Link]\n{mtu}RequiredForOnline=no\n\n[Network]\nDHCP=no\nLinkLocalAddressing=no\n\
                 IPv6AcceptRA=no\nConfigureWithoutCarrier=yes\n"
            ),
        ),
    ]
}

/// The name of the interface for a VLAN on a device.
pub fn vlan_name(device: &str, id: u32) -> String {
    let long = format!("{device}.{id}");
    match long.len() <= LONGEST {
        true => long,
        false => format!("vlan{id}"),
    }
}

/// A VLAN on `device` in the bridge. `parent` is the file that configures the device; without one it gets its own, by `mac`.
pub fn vlan(device: &str, mac: &str, parent: Option<&Path>, id: u32, bridge: &str) -> Vec<File> {
    let name = vlan_name(device, id);
    let mut files = vec![
        file(
            &format!("10-xe-{name}.netdev"),
            format!("[NetDev]\nName={name}\nKind=vlan\n\n[VLAN]\nId={id}\n"),
        ),
        file(
            &format!("20-xe-{name}.network"),
            format!("[Match]\nName={name}\n\n[Network]\nBridge={bridge}\nLinkLocalAddressing=no\n"),
        ),
    ];
    let parent = match parent.and_then(Path::file_name) {
        Some(parent) => parent.to_string_lossy().into_owned(),
        None => {
            // Without what it carries: that comes and goes with the drop-ins.
            let own = format!("20-xe-uplink-{}.network", mac.replace(':', ""));
            files.push(file(
                &own,
                format!(
                    "[Match]\nPermanentMACAddress={mac}\n\n[Network]\nLinkLocalAddressing=no\n"
                ),
            ));
            own
        }
    };
    files.push(file(
        &format!("{parent}.d/xe-{name}.conf"),
        format!("[Network]\nVLAN={name}\n"),
    ));
    files
}

/// How a bond uses its members.
pub const BOND_MODES: [&str; 2] = ["active-backup", "lacp"];

/// A bond of the interfaces with these addresses, in the bridge.
pub fn bond(name: &str, macs: &[String], mode: &str, bridge: &str) -> Vec<File> {
    let mode = match mode {
        "lacp" => "Mode=802.3ad\nTransmitHashPolicy=layer3+4\nLACPTransmitRate=fast\n",
        _ => "Mode=active-backup\n",
    };
    let mut files = vec![
        file(
            &format!("10-xe-{name}.netdev"),
            format!("[NetDev]\nName={name}\nKind=bond\n\n[Bond]\n{mode}MIIMonitorSec=100ms\n"),
        ),
        file(
            &format!("20-xe-{name}.network"),
            format!("[Match]\nName={name}\n\n[Network]\nBridge={bridge}\nLinkLocalAddressing=no\n"),
        ),
    ];
    for mac in macs {
        files.push(file(
            &format!("20-xe-{name}-uplink-{}.network", mac.replace(':', "")),
            format!(
                "[Match]\nPermanentMACAddress={mac}\n\n[Network]\nBond={name}\nLinkLocalAddressing=no\n"
            ),
        ));
    }
    files
}

/// Metric of default routes that are not the management network's, as the installer writes it: they are the last choice. With the same
/// metric, which bridge replies left by was chance.
pub const LAST_METRIC: u32 = 4096;

/// An address that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// With the length of its prefix: `192.0.2.10/24`.
    pub address: String,
    /// The router.
    pub gateway: Option<String>,
    /// The address does not tell that the router is on the link, so the route to it has to say so.
    pub elsewhere: bool,
    /// Name servers.
    pub dns: Vec<String>,
}

/// The configuration of an interface with the host's IPv4 address changed: by DHCP, or a fixed one. Everything else stays:
/// IPv6, MTU, time servers, what an administrator wrote. Name servers are changed where the new address comes with some. Where there was
/// a default route, the new one has its metric, or none as well; the first one has `first_metric`.
pub fn readdress(text: &str, fixed: Option<&Fixed>, first_metric: Option<u32>) -> String {
    let mut out = String::new();
    let first_metric = first_metric.filter(|_| !has_default_route(text));
    let (text, route_metric) = without_routes(text);
    let metric = route_metric
        .or_else(|| value_in(&text, "[DHCPv4]", "RouteMetric"))
        .or_else(|| first_metric.map(|metric| metric.to_string()));
    let own_section = metric.is_some() || fixed.is_some_and(|fixed| fixed.elsewhere);
    let (mut section, mut has_network, mut has_dhcp4) = (String::new(), false, false);
    let keeps_dhcp6 = text
        .lines()
        .any(|line| matches!(line.trim(), "DHCP=yes" | "DHCP=true" | "DHCP=ipv6"));
    for line in text.lines() {
        if line.starts_with('[') {
            section = line.trim().to_owned();
        }
        match (section.as_str(), fixed) {
            ("[Network]", _) if is_replaced(line, fixed) => continue,
            ("[DHCPv4]", Some(_)) => continue,
            ("[DHCPv4]", None) => has_dhcp4 = true,
            _ => {}
        }
        out += line;
        out.push('\n');
        if line.trim() == "[Network]" && !has_network {
            has_network = true;
            out += &network_lines(fixed, keeps_dhcp6, own_section);
        }
    }
    if !has_network {
        let lines = network_lines(fixed, keeps_dhcp6, own_section);
        out += &format!("\n[Network]\n{lines}");
    }
    if fixed.is_none() && !has_dhcp4 {
        // By MAC, as the installer writes it: the host keeps its lease.
        out += "\n[DHCPv4]\nClientIdentifier=mac\nUseDomains=yes\n";
        if let Some(metric) = &metric {
            out += &format!("RouteMetric={metric}\n");
        }
    }
    if let Some(fixed) = fixed.filter(|_| own_section)
        && let Some(gateway) = &fixed.gateway
    {
        out += &format!("\n[Route]\nGateway={gateway}\n");
        if fixed.elsewhere {
            out += "GatewayOnLink=yes\n";
        }
        if let Some(metric) = &metric {
            out += &format!("Metric={metric}\n");
        }
    }
    out
}

/// Whether the interface has an IPv4 router, or may get one by DHCP.
fn has_default_route(text: &str) -> bool {
    let is_router = |line: &str| match line.split_once('=') {
        Some((key, value)) => match (key.trim(), value.trim()) {
            ("Gateway", value) => is_v4(value),
            ("DHCP", value) => matches!(value, "yes" | "true" | "ipv4"),
            _ => false,
        },
        None => false,
    };
    sections(text).iter().any(|section| {
        let is_network = section.starts_with("[Network]");
        is_default_v4(section) || (is_network && section.lines().any(is_router))
    })
}

/// The parts of a text that begin with the name of a section; what is before the first is a part, too.
fn sections(text: &str) -> Vec<String> {
    let mut sections = vec![String::new()];
    for line in text.lines() {
        if line.starts_with('[') {
            sections.push(String::new());
        }
        if let Some(last) = sections.last_mut() {
            last.push_str(line);
            last.push('\n');
        }
    }
    sections
}

/// Whether a section is about the IPv4 router of the default route.
fn is_default_v4(section: &str) -> bool {
    let gateway = value_in(section, "[Route]", "Gateway");
    // A route to somewhere is not the default one.
    let somewhere = value_in(section, "[Route]", "Destination").is_some();
    gateway.is_some_and(|gateway| is_v4(&gateway)) && !somewhere
}

/// Without the sections that are about an IPv4 router, and the metric that one had.
fn without_routes(text: &str) -> (String, Option<String>) {
    let mut sections = sections(text);
    let mut metric = None;
    sections.retain(|section| {
        let stays = !is_default_v4(section);
        if !stays && metric.is_none() {
            metric = value_in(section, "[Route]", "Metric");
        }
        stays
    });
    let mut out = sections.concat();
    // The blank line that stood before the last one.
    out.truncate(out.trim_end().len());
    out.push('\n');
    (out, metric)
}

/// The value of a key in the first such section that has it.
fn value_in(text: &str, section: &str, key: &str) -> Option<String> {
    let mut inside = false;
    text.lines().find_map(|line| {
        if line.starts_with('[') {
            inside = line.trim() == section;
        }
        let (name, value) = line.split_once('=')?;
        (inside && name.trim() == key).then(|| value.trim().to_owned())
    })
}

/// Whether this is an IPv4 address, with or without the length of a prefix.
fn is_v4(text: &str) -> bool {
    let address = text.split('/').next().unwrap_or_default();
    address.parse::<std::net::Ipv4Addr>().is_ok()
}

/// Whether a line of `[Network]` is about what changes.
fn is_replaced(line: &str, fixed: Option<&Fixed>) -> bool {
    let Some((key, value)) = line.split_once('=') else {
        return false;
    };
    let value = value.trim();
    match (key.trim(), fixed) {
        ("DHCP", _) => true,
        ("Address" | "Gateway", _) => is_v4(value),
        ("DNS", Some(fixed)) => !fixed.dns.is_empty(),
        // They come with the lease.
        ("DNS", None) => is_v4(value),
        _ => false,
    }
}

/// A router with a metric, or one that is elsewhere, has a section of its own.
fn network_lines(fixed: Option<&Fixed>, dhcp6: bool, own_section: bool) -> String {
    let dhcp = match (fixed, dhcp6) {
        (None, true) => "yes",
        (None, false) => "ipv4",
        (Some(_), true) => "ipv6",
        (Some(_), false) => "no",
    };
    let mut lines = format!("DHCP={dhcp}\n");
    // Writing to a String does not fail.
    if let Some(fixed) = fixed {
        let _ = writeln!(lines, "Address={}", fixed.address);
        if let Some(gateway) = fixed.gateway.as_ref().filter(|_| !own_section) {
            let _ = writeln!(lines, "Gateway={gateway}");
        }
        for server in &fixed.dns {
            let _ = writeln!(lines, "DNS={server}");
        }
    }
    lines
}

/// The length of the prefix that a netmask means.
pub fn prefix_length(netmask: &str) -> Option<u32> {
    let mask = u32::from(netmask.parse::<std::net::Ipv4Addr>().ok()?);
    let length = mask.leading_ones();
    // Ones behind a zero are no mask.
    (mask.count_ones() == length && length > 0).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(files: &[File]) -> Vec<String> {
        files
            .iter()
            .map(|(path, _)| path.strip_prefix(FOLDER).unwrap().display().to_string())
            .collect()
    }

    #[test]
    fn a_vlan_hangs_on_the_file_of_its_device() {
        let parent = Path::new("/etc/systemd/network/20-enp0s4-uplink-525400bed001.network");
        let files = vlan("enp0s4", "52:54:00:be:d0:01", Some(parent), 100, "xenbr1");
        assert_eq!(
            names(&files),
            [
                "10-xe-enp0s4.100.netdev",
                "20-xe-enp0s4.100.network",
                "20-enp0s4-uplink-525400bed001.network.d/xe-enp0s4.100.conf"
            ]
        );
        assert_eq!(files[2].1, "[Network]\nVLAN=enp0s4.100\n");
        let alone = vlan("enp0s4", "52:54:00:be:d0:01", None, 100, "xenbr1");
        assert_eq!(names(&alone)[2], "20-xe-uplink-525400bed001.network");
        assert!(alone[2].1.contains("PermanentMACAddress=52:54:00:be:d0:01"));
        assert_eq!(
            names(&alone)[3],
            "20-xe-uplink-525400bed001.network.d/xe-enp0s4.100.conf"
        );
        assert_eq!(vlan_name("enp129s0f1np1", 4094), "vlan4094");
    }

    #[test]
    fn names_and_masks_are_checked() {
        assert!(is_interface_name("xenbr0") && is_interface_name("a.1"));
        for wrong in ["", ".", "a/b", "a b", "0123456789abcdef"] {
            assert!(!is_interface_name(wrong), "{wrong}");
        }
        assert_eq!(free_bridge(|name| name == "xenbr0"), "xenbr1");
        for (mask, length) in [
            ("255.255.255.0", Some(24)),
            ("255.255.255.255", Some(32)),
            ("255.0.255.0", None),
            ("0.0.0.0", None),
            ("24", None),
        ] {
            assert_eq!(prefix_length(mask), length, "{mask}");
        }
    }

    #[test]
    fn another_address_changes_nothing_else() {
        let installed = "[Match]\nName=xenbr0\n\n[Link]\nMTUBytes=9000\n\n[Network]\nDHCP=yes\nIPv6AcceptRA=yes\n\
             DNS=192.0.2.53\nDNS=2001:db8::53\nDomains=example.org\nNTP=192.0.2.123\n\n[DHCPv4]\nClientIdentifier=mac\n\
             UseDomains=yes\n\n[DHCPv6]\nWithoutRA=solicit\n";
        let fixed = Fixed {
            address: "192.0.2.10/24".into(),
            gateway: Some("192.0.2.1".into()),
            elsewhere: false,
            dns: Vec::new(),
        };
        let text = readdress(installed, Some(&fixed), None);
        assert_eq!(
            text,
            "[Match]\nName=xenbr0\n\n[Link]\nMTUBytes=9000\n\n[Network]\nDHCP=ipv6\nAddress=192.0.2.10/24\n\
             Gateway=192.0.2.1\nIPv6AcceptRA=yes\nDNS=192.0.2.53\nDNS=2001:db8::53\nDomains=example.org\n\
             NTP=192.0.2.123\n\n[DHCPv6]\nWithoutRA=solicit\n",
            "name servers stay where no others are given"
        );
        let other = Fixed {
            address: "192.0.2.11/24".into(),
            gateway: None,
            elsewhere: false,
            dns: vec!["192.0.2.54".into()],
        };
        let text = readdress(&text, Some(&other), None);
        for gone in ["192.0.2.10", "192.0.2.1\n", "192.0.2.53", "2001:db8::53"] {
            assert!(!text.contains(gone), "{gone}: {text}");
        }
        assert!(text.contains("DNS=192.0.2.54\n") && text.contains("NTP=192.0.2.123\n"));
        let back = readdress(&text, None, None);
        assert!(back.contains("DHCP=yes\n") && back.contains("[DHCPv4]\nClientIdentifier=mac\n"));
        assert!(
            !back.contains("192.0.2.11") && !back.contains("192.0.2.54"),
            "{back}"
        );
        assert_eq!(
            readdress(&back, None, None),
            back,
            "the same again is the same"
        );
    }

    /// As the installer writes bridges beside the management network, and a router of a /32.
    #[test]
    fn a_router_in_a_section_of_its_own_is_changed_and_keeps_its_metric() {
        let head = "[Match]\nName=xenbr1\n\n[Network]\n";
        let ipv6 = "\n[Route]\nGateway=fe80::1\nMetric=4096\n";
        let lan = "\n[Route]\nGateway=198.51.100.2\nDestination=10.0.0.0/8\n";
        let installed = format!(
            "{head}DHCP=no\nIPv6AcceptRA=no\nAddress=198.51.100.10/24\n\n[Route]\nGateway=198.51.100.1\nMetric=4096\n{ipv6}{lan}"
        );
        let fixed = Fixed {
            address: "192.0.2.10/24".into(),
            gateway: Some("192.0.2.1".into()),
            elsewhere: false,
            dns: Vec::new(),
        };
        let route = "\n[Route]\nGateway=192.0.2.1\nMetric=4096\n";
        let moved = readdress(&installed, Some(&fixed), None);
        assert_eq!(
            moved,
            format!("{head}DHCP=no\nAddress=192.0.2.10/24\nIPv6AcceptRA=no\n{ipv6}{lan}{route}")
        );
        let dhcp = readdress(&moved, None, None);
        let dhcp4 = "\n[DHCPv4]\nClientIdentifier=mac\nUseDomains=yes\nRouteMetric=4096\n";
        assert_eq!(
            dhcp,
            format!("{head}DHCP=ipv4\nIPv6AcceptRA=no\n{ipv6}{lan}{dhcp4}")
        );
        assert_eq!(readdress(&dhcp, None, None), dhcp);
        let back = readdress(&dhcp, Some(&fixed), None);
        assert!(
            back.ends_with(route) && !back.contains("RouteMetric"),
            "{back}"
        );
        let on_link =
            "[Network]\nAddress=192.0.2.9/32\n\n[Route]\nGateway=192.0.2.1\nGatewayOnLink=yes\n";
        let moved = readdress(on_link, Some(&fixed), None);
        assert_eq!(
            moved,
            "[Network]\nDHCP=no\nAddress=192.0.2.10/24\nGateway=192.0.2.1\n"
        );
    }

    #[test]
    fn a_router_that_is_elsewhere_is_on_the_link() {
        let fixed = |elsewhere: bool| Fixed {
            address: "192.0.2.10/32".into(),
            gateway: Some("198.51.100.1".into()),
            elsewhere,
            dns: Vec::new(),
        };
        let text = "[Network]\nDHCP=ipv4\n";
        let address = "[Network]\nDHCP=no\nAddress=192.0.2.10/32\n";
        let route = "\n[Route]\nGateway=198.51.100.1\nGatewayOnLink=yes\n";
        let moved = readdress(text, Some(&fixed(true)), None);
        assert_eq!(moved, format!("{address}{route}"));
        assert_eq!(readdress(&moved, Some(&fixed(true)), None), moved);
        let storage = "[Network]\nDHCP=no\n";
        assert_eq!(
            readdress(storage, Some(&fixed(true)), Some(LAST_METRIC)),
            format!("{address}{route}Metric=4096\n")
        );
    }

    #[test]
    fn the_first_router_of_a_network_beside_the_management_network_is_the_last_choice() {
        let bridge = "[Match]\nName=xenbr1\n\n[Network]\nDHCP=no\nLinkLocalAddressing=no\n";
        let fixed = |gateway: Option<&str>| Fixed {
            address: "192.0.2.10/24".into(),
            gateway: gateway.map(str::to_owned),
            elsewhere: false,
            dns: Vec::new(),
        };
        let with_router = fixed(Some("192.0.2.1"));
        let change = |text: &str, to: Option<&Fixed>| readdress(text, to, Some(LAST_METRIC));
        let route = "\n[Route]\nGateway=192.0.2.1\nMetric=4096\n";
        let dhcp = "\n[DHCPv4]\nClientIdentifier=mac\nUseDomains=yes\nRouteMetric=4096\n";
        let alone = change(bridge, Some(&fixed(None)));
        assert!(!alone.contains("etric"), "{alone}");
        for before in [bridge, &alone] {
            let text = change(before, Some(&with_router));
            assert!(text.ends_with(route), "{text}");
            let text = change(before, None);
            assert!(text.ends_with(dhcp), "{text}");
        }
        // Whoever wrote a route without one meant that; an IPv6 router is none, and a route to somewhere is not the default one.
        for before in [
            "[Network]\nDHCP=yes\n",
            "[Network]\nAddress=192.0.2.9/24\nGateway=192.0.2.2\n",
            "[Network]\nAddress=192.0.2.9/24\n\n[Route]\nGateway=192.0.2.2\n",
        ] {
            let text = change(before, Some(&with_router));
            assert!(!text.contains("etric"), "{text}");
        }
        for before in [
            "[Network]\nDHCP=ipv6\nGateway=fe80::1\n",
            "[Network]\n\n[Route]\nGateway=192.0.2.2\nDestination=10.0.0.0/8\n",
        ] {
            let text = change(before, Some(&with_router));
            assert!(text.ends_with(route), "{text}");
        }
    }

    #[test]
    fn an_ipv6_address_of_the_host_stays() {
        let text = "[Match]\nName=xenbr0\n[Network]\nAddress=2001:db8::1/64\nAddress=192.0.2.9/24\nGateway=fe80::1\n";
        let dhcp = readdress(text, None, None);
        assert!(
            dhcp.contains("Address=2001:db8::1/64\nGateway=fe80::1\n"),
            "{dhcp}"
        );
        assert!(!dhcp.contains("192.0.2.9"), "{dhcp}");
        assert!(readdress("[Match]\nName=a\n", None, None).contains("\n[Network]\nDHCP=ipv4\n"));
    }
}
