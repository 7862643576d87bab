//! IPv4 addresses of a static configuration.

use super::ValueError;
use serde::{Serialize, Serializer};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// An address of a host with the length of its network's prefix: `192.0.2.10/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    /// The host's address.
    pub address: Ipv4Addr,
    /// Bits of the network, 1 to 32.
    pub prefix: u8,
}

impl Cidr {
    /// Reads `a.b.c.d/nn`; refuses addresses that no host may have in that network.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let wrong = |message: &str| {
            ValueError::new(
                message,
                "write an address and a prefix length, for example `192.0.2.10/24`",
            )
        };
        let Some((address, prefix)) = text.split_once('/') else {
            return Err(wrong("has no prefix length"));
        };
        let Ok(address) = address.parse::<Ipv4Addr>() else {
            return Err(wrong("is not an IPv4 address"));
        };
        let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix = match prefix.parse::<u8>() {
            Ok(prefix) if digits && (1..=32).contains(&prefix) => prefix,
            _ => return Err(wrong("has a prefix length that is not from 1 to 32")),
        };
        let cidr = Cidr { address, prefix };
        check_host(address).map_err(wrong)?;
        if prefix < 31 && address == cidr.network() {
            return Err(wrong("is the address of the network, not of a host in it"));
        }
        if prefix < 31 && address == cidr.broadcast() {
            return Err(wrong("is the broadcast address of the network"));
        }
        Ok(cidr)
    }

    fn mask(self) -> u32 {
        // prefix is 1..=32, so the shift is below 32.
        u32::MAX << (32 - u32::from(self.prefix))
    }

    /// The first address of the network.
    pub fn network(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.address) & self.mask())
    }

    fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.address) | !self.mask())
    }

    /// True when `other` is in the same network.
    pub fn contains(self, other: Ipv4Addr) -> bool {
        u32::from(other) & self.mask() == u32::from(self.network())
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn check_host(address: Ipv4Addr) -> Result<(), &'static str> {
    if address.is_loopback() {
        Err("is a loopback address")
    } else if address.is_multicast() {
        Err("is a multicast address")
    } else if address.is_unspecified() || address.octets()[0] == 0 {
        Err("is not the address of a host")
    } else if address.is_broadcast() || address.octets()[0] >= 240 {
        Err("is a reserved address")
    } else {
        Ok(())
    }
}

/// Reads a gateway and checks that it is a neighbor of the host `cidr`, and not the host itself. A host that is alone in its network
/// (`/32`, as many hosters give out) has a router that is on its link and in no network of it: any address of a host.
pub fn check_gateway(text: &str, cidr: Option<Cidr>) -> Result<Ipv4Addr, ValueError> {
    let wrong = |message: String| {
        ValueError::new(message, "write the router's address in the same network")
    };
    let gateway: Ipv4Addr = text
        .parse()
        .map_err(|_| wrong("is not an IPv4 address".into()))?;
    check_host(gateway).map_err(|message| wrong(message.into()))?;
    if let Some(cidr) = cidr {
        if gateway == cidr.address {
            return Err(wrong("is the host's own address".into()));
        }
        if cidr.prefix < 32 && !cidr.contains(gateway) {
            return Err(wrong(format!(
                "is not in the network {}/{}",
                cidr.network(),
                cidr.prefix
            )));
        }
        // RFC 3021: a network of two addresses has neither.
        if cidr.prefix < 31 && gateway == cidr.network() {
            return Err(wrong(
                "is the address of the network, not of a router in it".into(),
            ));
        }
        if cidr.prefix < 31 && gateway == cidr.broadcast() {
            return Err(wrong("is the broadcast address of the network".into()));
        }
    }
    Ok(gateway)
}

/// Reads the address of a name server, IPv4 or IPv6.
pub fn check_name_server(text: &str) -> Result<IpAddr, ValueError> {
    let wrong = |message: &str| ValueError::new(message, "write an address such as `192.0.2.1`");
    let address: IpAddr = text.parse().map_err(|_| wrong("is not an IP address"))?;
    match address {
        IpAddr::V4(v4) => check_host(v4).map_err(wrong)?,
        IpAddr::V6(v6) if v6.is_multicast() || v6.is_unspecified() || v6.is_loopback() => {
            return Err(wrong("is not the address of a host"));
        }
        IpAddr::V6(_) => {}
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_an_address_with_prefix() {
        let cidr = Cidr::parse("10.1.2.3/22").unwrap();
        assert_eq!(cidr.network().to_string(), "10.1.0.0");
        assert!(cidr.contains("10.1.3.254".parse().unwrap()));
        assert!(!cidr.contains("10.1.4.1".parse().unwrap()));
        assert!(Cidr::parse("192.0.2.1/32").is_ok() && Cidr::parse("192.0.2.0/31").is_ok());
    }

    #[test]
    fn refuses_addresses_no_host_has() {
        for bad in [
            "10.0.0.1",
            "10.0.0.1/0",
            "10.0.0.1/33",
            "10.0.0.0/24",
            "10.0.0.255/24",
            "127.0.0.1/8",
            "224.0.0.1/4",
            "10.0.0.1/+8",
            "::1/64",
            "0.0.0.1/8",
        ] {
            assert!(Cidr::parse(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn the_gateway_is_a_neighbor() {
        let cidr = Cidr::parse("192.0.2.10/24").unwrap();
        assert!(check_gateway("192.0.2.1", Some(cidr)).is_ok());
        assert!(
            check_gateway("192.0.3.1", Some(cidr))
                .unwrap_err()
                .message
                .contains("192.0.2.0/24")
        );
        for bad in ["192.0.2.10", "192.0.2.0", "192.0.2.255"] {
            assert!(check_gateway(bad, Some(cidr)).is_err(), "{bad} was taken");
        }
        let two = Cidr::parse("192.0.2.10/31").unwrap();
        assert!(check_gateway("192.0.2.11", Some(two)).is_ok());
    }

    #[test]
    fn a_host_alone_in_its_network_has_a_router_outside_of_it() {
        let alone = Cidr::parse("192.0.2.10/32").unwrap();
        for good in ["192.0.2.1", "10.0.0.1", "169.254.0.1"] {
            assert!(check_gateway(good, Some(alone)).is_ok(), "{good}");
        }
        for bad in ["192.0.2.10", "127.0.0.1", "224.0.0.1", "0.0.0.0"] {
            assert!(check_gateway(bad, Some(alone)).is_err(), "{bad} was taken");
        }
    }
}
