//! The network as it was typed so far.

use super::draft::DraftProblem;
use super::field::Field;
use super::screens::Screen;
use crate::choices::{
    AddressChoice, BondMode, InterfaceChoice, Ipv6Choice, NetworkChoice, StaticAddress,
    StaticAddress6, UplinkChoice,
};
use crate::values::{
    Cidr, Cidr6, Hostname, ValueError, check_gateway, check_gateway6, check_name_server,
};
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::net::IpAddr;

/// The ways to an IPv4 address, as they are shown.
pub const IPV4: [&str; 3] = ["DHCP", "fixed", "none"];
/// The ways to an IPv6 address, as they are shown.
pub const IPV6: [&str; 4] = ["automatic", "DHCPv6", "fixed", "none"];
/// The kinds of bonds, as they are shown.
pub const BONDS: [&str; 2] = ["active-backup", "LACP"];
/// The place of `fixed` in [`IPV4`].
pub const FIXED4: usize = 1;
/// The place of `fixed` in [`IPV6`].
pub const FIXED6: usize = 2;

/// The management network as it was typed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkDraft {
    /// Names of the interfaces; none for the first with a link, several for a bond.
    pub interfaces: Vec<String>,
    /// Place in [`BONDS`].
    pub bond: usize,
    /// VLAN id; empty for none.
    pub vlan: Field,
    /// MTU in bytes; empty for the driver's own.
    pub mtu: Field,
    /// Place in [`IPV4`].
    pub ipv4: usize,
    /// IPv4 address with prefix length.
    pub address: Field,
    /// IPv4 router.
    pub gateway: Field,
    /// Place in [`IPV6`].
    pub ipv6: usize,
    /// IPv6 address with prefix length.
    pub address6: Field,
    /// IPv6 router.
    pub gateway6: Field,
    /// Name servers, with blanks between.
    pub dns: Field,
    /// Time servers, with blanks between.
    pub ntp: Field,
    /// Domains for short names, with blanks between.
    pub search: Field,
}

impl NetworkDraft {
    /// The choice, or `None` with at least one problem added.
    pub fn choice(&self, problems: &mut Vec<DraftProblem>) -> Option<NetworkChoice> {
        let before = problems.len();
        let mut keep = |what: &str, error: &ValueError| {
            problems.push(DraftProblem::about(Screen::Network, what, error));
        };
        let address = match self.ipv4 {
            FIXED4 => Cidr::parse(self.address.value())
                .map_err(|error| keep("The IPv4 address", &error))
                .ok()
                .map(|address| {
                    let gateway =
                        optional(&self.gateway, |text| check_gateway(text, Some(address)))
                            .unwrap_or_else(|error| {
                                keep("The IPv4 router", &error);
                                None
                            });
                    AddressChoice::Static(StaticAddress { address, gateway })
                }),
            0 => Some(AddressChoice::Dhcp),
            _ => Some(AddressChoice::None),
        };
        let ipv6 = match self.ipv6 {
            FIXED6 => Cidr6::parse(self.address6.value())
                .map_err(|error| keep("The IPv6 address", &error))
                .ok()
                .map(|address| {
                    let gateway =
                        optional(&self.gateway6, |text| check_gateway6(text, Some(address)))
                            .unwrap_or_else(|error| {
                                keep("The IPv6 router", &error);
                                None
                            });
                    Ipv6Choice::Static(StaticAddress6 { address, gateway })
                }),
            0 => Some(Ipv6Choice::Auto),
            1 => Some(Ipv6Choice::Dhcp),
            _ => Some(Ipv6Choice::None),
        };
        let mut dns = Vec::new();
        for word in self.dns.value().split_whitespace() {
            match check_name_server(word) {
                Ok(server) => dns.push(server),
                Err(error) => keep("A name server", &error),
            }
        }
        let mut say = |message: String| problems.push(DraftProblem::new(Screen::Network, message));
        let vlan = number(&self.vlan, 1, 4094, "The VLAN", &mut say);
        // As the answer file has it.
        let mtu = number(&self.mtu, 1280_u32, 9216, "The MTU", &mut say);
        let mut names = |field: &Field, what: &str, addresses: bool| {
            let mut list: Vec<String> = Vec::new();
            for word in field.value().split_whitespace() {
                if addresses && let Ok(address) = word.parse::<IpAddr>() {
                    list.push(address.to_string());
                    continue;
                }
                match Hostname::parse(word) {
                    Ok(name) => list.push(name.to_string()),
                    Err(error) => say(format!("{what} {error}.")),
                }
            }
            list
        };
        let ntp = names(&self.ntp, "A time server", true);
        let search = names(&self.search, "A search domain", false);
        if self.ipv4 == 2 && self.ipv6 == 3 {
            say("Without IPv4 and IPv6 the host could not be reached: choose one.".to_owned());
        }
        if problems.len() > before {
            return None;
        }
        let interface = |name: &String| InterfaceChoice::Name(name.clone());
        let mut choice = NetworkChoice::simple(InterfaceChoice::Auto, address?, dns);
        let bridge = &mut choice.management;
        bridge.uplink = match self.interfaces.as_slice() {
            [] => UplinkChoice::Interface(InterfaceChoice::Auto),
            [one] => UplinkChoice::Interface(interface(one)),
            several => UplinkChoice::Bond {
                mode: if self.bond == 0 {
                    BondMode::ActiveBackup
                } else {
                    BondMode::Lacp
                },
                interfaces: several.iter().map(interface).collect(),
            },
        };
        bridge.vlan = vlan;
        bridge.mtu = mtu;
        bridge.ipv6 = ipv6?;
        bridge.ntp = ntp;
        bridge.search = search;
        Some(choice)
    }
}

fn optional<T>(
    field: &Field,
    parse: impl Fn(&str) -> Result<T, ValueError>,
) -> Result<Option<T>, ValueError> {
    if field.is_empty() {
        Ok(None)
    } else {
        parse(field.value()).map(Some)
    }
}

fn number<T: std::str::FromStr + PartialOrd + Display + Copy>(
    field: &Field,
    least: T,
    most: T,
    what: &str,
    say: &mut impl FnMut(String),
) -> Option<T> {
    if field.is_empty() {
        return None;
    }
    let number = field
        .value()
        .parse()
        .ok()
        .filter(|number| (least..=most).contains(number));
    if number.is_none() {
        say(format!(
            "{what} is not a number from {least} to {most}; leave it empty for none."
        ));
    }
    number
}
