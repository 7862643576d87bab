//! IPv6 addresses of a static configuration.

use super::ValueError;
use serde::{Serialize, Serializer};
use std::fmt;
use std::net::Ipv6Addr;

/// An address of a host with the length of its network's prefix: `2001:db8::10/64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr6 {
    /// The host's address.
    pub address: Ipv6Addr,
    /// Bits of the network, 1 to 128.
    pub prefix: u8,
}

impl Cidr6 {
    /// Reads `address/nn`; refuses addresses that no host may be given.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let wrong = |message: &str| {
            ValueError::new(
                message,
                "write an address and a prefix length, for example `2001:db8::10/64`",
            )
        };
        let Some((address, prefix)) = text.split_once('/') else {
            return Err(wrong("has no prefix length"));
        };
        let Ok(address) = address.parse::<Ipv6Addr>() else {
            return Err(wrong("is not an IPv6 address"));
        };
        let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix = match prefix.parse::<u8>() {
            Ok(prefix) if digits && (1..=128).contains(&prefix) => prefix,
            _ => return Err(wrong("has a prefix length that is not from 1 to 128")),
        };
        check_host(address).map_err(wrong)?;
        if address.is_unicast_link_local() {
            return Err(wrong(
                "is a link-local address, which every host makes by itself",
            ));
        }
        let cidr = Cidr6 { address, prefix };
        // RFC 4291 section 2.6.1: the subnet-router anycast address; RFC 6164 allows both ends of a /127.
        if prefix < 127 && u128::from(address) & !cidr.mask() == 0 {
            return Err(wrong("is the address of the network, not of a host in it"));
        }
        Ok(cidr)
    }

    fn mask(self) -> u128 {
        // prefix is 1..=128, so the shift is below 128.
        u128::MAX << (128 - u32::from(self.prefix))
    }

    /// True when `other` is in the same network.
    pub fn contains(self, other: Ipv6Addr) -> bool {
        (u128::from(other) ^ u128::from(self.address)) & self.mask() == 0
    }
}

impl fmt::Display for Cidr6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Serialize for Cidr6 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn check_host(address: Ipv6Addr) -> Result<(), &'static str> {
    if address.is_loopback() {
        Err("is the loopback address")
    } else if address.is_multicast() {
        Err("is a multicast address")
    } else if address.is_unspecified() {
        Err("is not the address of a host")
    } else if address.to_ipv4_mapped().is_some() {
        Err("is an IPv4 address in the form of an IPv6 one")
    } else {
        Ok(())
    }
}

/// Reads a gateway and checks that it is link-local or a neighbor of the host `cidr`, and not the host itself. A host that is alone in
/// its network (`/128`) has a router that is on its link and in no network of it.
pub fn check_gateway6(text: &str, cidr: Option<Cidr6>) -> Result<Ipv6Addr, ValueError> {
    let wrong = |message: String| {
        ValueError::new(
            message,
            "write the router's address: link-local (`fe80::1`) or in the same network",
        )
    };
    let gateway: Ipv6Addr = text
        .parse()
        .map_err(|_| wrong("is not an IPv6 address".into()))?;
    check_host(gateway).map_err(|message| wrong(message.into()))?;
    if let Some(cidr) = cidr {
        if gateway == cidr.address {
            return Err(wrong("is the host's own address".into()));
        }
        let outside = !gateway.is_unicast_link_local() && !cidr.contains(gateway);
        if cidr.prefix < 128 && outside {
            return Err(wrong(format!("is not in the network of {cidr}")));
        }
    }
    Ok(gateway)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_an_address_with_prefix() {
        let cidr = Cidr6::parse("2001:db8:1::10/64").unwrap();
        assert!(cidr.contains("2001:db8:1::ffff".parse().unwrap()));
        assert!(!cidr.contains("2001:db8:2::1".parse().unwrap()));
        assert!(Cidr6::parse("2001:db8::/127").is_ok() && Cidr6::parse("fd00::1/128").is_ok());
    }

    #[test]
    fn refuses_addresses_no_host_has() {
        for bad in [
            "2001:db8::1",
            "2001:db8::1/0",
            "2001:db8::1/129",
            "2001:db8::/64",
            "2001:db8::1/+64",
            "::1/128",
            "::/64",
            "ff02::1/64",
            "fe80::1/64",
            "::ffff:192.0.2.1/96",
            "192.0.2.1/24",
        ] {
            assert!(Cidr6::parse(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn the_gateway_is_a_neighbor_or_link_local() {
        let cidr = Cidr6::parse("2001:db8::10/64").unwrap();
        assert!(check_gateway6("fe80::1", Some(cidr)).is_ok());
        assert!(check_gateway6("2001:db8::1", Some(cidr)).is_ok());
        assert!(check_gateway6("2001:db8:1::1", Some(cidr)).is_err());
        assert!(check_gateway6("2001:db8::10", Some(cidr)).is_err());
        let alone = Cidr6::parse("2001:db8::10/128").unwrap();
        for good in ["fe80::1", "2001:db8:1::1"] {
            assert!(check_gateway6(good, Some(alone)).is_ok(), "{good}");
        }
        for bad in ["2001:db8::10", "ff02::1", "::1"] {
            assert!(check_gateway6(bad, Some(alone)).is_err(), "{bad} was taken");
        }
    }
}
