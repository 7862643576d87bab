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

/// An address that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// With the length of its prefix: `192.0.2.10/24`.
    pub address: String,
    /// The router.
    pub gateway: Option<String>,
    /// Name servers.
    pub dns: Vec<String>,
}

/// The configuration of an interface with the host's IPv4 address changed: by DHCP, or a fixed one. Everything else stays:
/// IPv6, MTU, time servers, what an administrator wrote. Name servers are changed where the new address comes with some. Where the
/// default route had a metric, the new one has it, too.
pub fn readdress(text: &str, fixed: Option<&Fixed>) -> String {
    let mut out = String::new();
    let (text, route_metric) = without_routes(text);
    let metric = route_metric.or_else(|| value_in(&text, "[DHCPv4]", "RouteMetric"));
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
            out += &network_lines(fixed, keeps_dhcp6, metric.is_some());
        }
    }
    if !has_network {
        let lines = network_lines(fixed, keeps_dhcp6, metric.is_some());
        out += &format!("\n[Network]\n{lines}");
    }
    if fixed.is_none() && !has_dhcp4 {
        // By MAC, as the installer writes it: the host keeps its lease.
        out += "\n[DHCPv4]\nClientIdentifier=mac\nUseDomains=yes\n";
        if let Some(metric) = &metric {
            out += &format!("RouteMetric={metric}\n");
        }
    }
    if let (Some(gateway), Some(metric)) = (fixed.and_then(|one| one.gateway.as_ref()), &metric) {
        out += &format!("\n[Route]\nGateway={gateway}\nMetric={metric}\n");
    }
    out
}

/// Without the sections that are about an IPv4 router, and the metric that one had.
fn without_routes(text: &str) -> (String, Option<String>) {
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
    let mut metric = None;
    let is_default_v4 = |section: &str| {
        let gateway = value_in(section, "[Route]", "Gateway");
        // A route to somewhere is not the default one.
        let somewhere = value_in(section, "[Route]", "Destination").is_some();
        gateway.is_some_and(|gateway| is_v4(&gateway)) && !somewhere
    };
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

/// A router with a metric has a section of its own.
fn network_lines(fixed: Option<&Fixed>, dhcp6: bool, metric: bool) -> String {
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
        if let Some(gateway) = fixed.gateway.as_ref().filter(|_| !metric) {
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
            dns: Vec::new(),
        };
        let text = readdress(installed, Some(&fixed));
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
            dns: vec!["192.0.2.54".into()],
        };
        let text = readdress(&text, Some(&other));
        for gone in ["192.0.2.10", "192.0.2.1\n", "192.0.2.53", "2001:db8::53"] {
            assert!(!text.contains(gone), "{gone}: {text}");
        }
        assert!(text.contains("DNS=192.0.2.54\n") && text.contains("NTP=192.0.2.123\n"));
        let back = readdress(&text, None);
        assert!(back.contains("DHCP=yes\n") && back.contains("[DHCPv4]\nClientIdentifier=mac\n"));
        assert!(
            !back.contains("192.0.2.11") && !back.contains("192.0.2.54"),
            "{back}"
        );
        assert_eq!(readdress(&back, None), back, "the same again is the same");
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
            dns: Vec::new(),
        };
        let route = "\n[Route]\nGateway=192.0.2.1\nMetric=4096\n";
        let moved = readdress(&installed, Some(&fixed));
        assert_eq!(
            moved,
            format!("{head}DHCP=no\nAddress=192.0.2.10/24\nIPv6AcceptRA=no\n{ipv6}{lan}{route}")
        );
        let dhcp = readdress(&moved, None);
        let dhcp4 = "\n[DHCPv4]\nClientIdentifier=mac\nUseDomains=yes\nRouteMetric=4096\n";
        assert_eq!(
            dhcp,
            format!("{head}DHCP=ipv4\nIPv6AcceptRA=no\n{ipv6}{lan}{dhcp4}")
        );
        assert_eq!(readdress(&dhcp, None), dhcp);
        let back = readdress(&dhcp, Some(&fixed));
        assert!(
            back.ends_with(route) && !back.contains("RouteMetric"),
            "{back}"
        );
        let on_link =
            "[Network]\nAddress=192.0.2.9/32\n\n[Route]\nGateway=192.0.2.1\nGatewayOnLink=yes\n";
        let moved = readdress(on_link, Some(&fixed));
        assert_eq!(
            moved,
            "[Network]\nDHCP=no\nAddress=192.0.2.10/24\nGateway=192.0.2.1\n"
        );
    }

    #[test]
    fn an_ipv6_address_of_the_host_stays() {
        let text = "[Match]\nName=xenbr0\n[Network]\nAddress=2001:db8::1/64\nAddress=192.0.2.9/24\nGateway=fe80::1\n";
        let dhcp = readdress(text, None);
        assert!(
            dhcp.contains("Address=2001:db8::1/64\nGateway=fe80::1\n"),
            "{dhcp}"
        );
        assert!(!dhcp.contains("192.0.2.9"), "{dhcp}");
        assert!(readdress("[Match]\nName=a\n", None).contains("\n[Network]\nDHCP=ipv4\n"));
    }
}
