//! How the addresses of the bridges go together.

use super::super::document::Document;
use crate::choices::{AddressChoice, Ipv6Choice, NetworkChoice};
use crate::values::{Cidr, Cidr6};
use std::net::IpAddr;

/// Whether no two bridges have the same address or networks that overlap, and no router is another address of the host.
pub(super) fn are_apart(choice: &NetworkChoice, document: &mut Document<'_>) -> bool {
    let of = |number: usize| match number.checked_sub(1) {
        None => "network".to_owned(),
        Some(index) => format!("network.bridge.{index}"),
    };
    let mut addresses: Vec<(IpAddr, u8, String)> = Vec::new();
    let mut gateways: Vec<(IpAddr, String)> = Vec::new();
    for (number, bridge) in choice.all().enumerate() {
        if let AddressChoice::Static(fixed) = &bridge.address {
            let path = format!("{}.static", of(number));
            addresses.push((
                fixed.address.address.into(),
                fixed.address.prefix,
                path.clone(),
            ));
            gateways.extend(fixed.gateway.map(|gateway| (gateway.into(), path)));
        }
        if let Ipv6Choice::Static(fixed) = &bridge.ipv6 {
            let path = format!("{}.static6", of(number));
            addresses.push((
                fixed.address.address.into(),
                fixed.address.prefix,
                path.clone(),
            ));
            gateways.extend(fixed.gateway.map(|gateway| (gateway.into(), path)));
        }
    }
    let mut fine = true;
    for (index, (address, prefix, path)) in addresses.iter().enumerate() {
        let before = &addresses[..index];
        let overlaps = |(other, bits, _): &&(IpAddr, u8, String)| {
            overlap((*address, *prefix), (*other, *bits))
        };
        if before.iter().any(|(other, ..)| other == address) {
            document.problem_at(
                &format!("{path}.address"),
                format!("`{path}.address` is {address}, which another bridge has already"),
                "give each bridge an address of its own",
            );
            fine = false;
        } else if let Some((_, _, other)) = before.iter().find(overlaps) {
            document.problem_at(
                &format!("{path}.address"),
                format!("the network of `{path}.address` overlaps with that of `{other}.address`"),
                "give each bridge a network of its own: what the host answers leaves by one of the two, wherever it was asked",
            );
            fine = false;
        }
    }
    for (gateway, path) in &gateways {
        // That it is not the bridge's own address is seen where it is read.
        let own = |(address, _, at): &(IpAddr, u8, String)| address == gateway && at != path;
        if addresses.iter().any(own) {
            document.problem_at(
                &format!("{path}.gateway"),
                format!("`{path}.gateway` is {gateway}, which is an address of this host"),
                "write the router's address in the same network",
            );
            fine = false;
        }
    }
    fine
}

/// Whether one of the two addresses is in the network of the other one.
fn overlap(first: (IpAddr, u8), second: (IpAddr, u8)) -> bool {
    let holds = |(network, prefix): (IpAddr, u8), other: IpAddr| match (network, other) {
        (IpAddr::V4(address), IpAddr::V4(other)) => Cidr { address, prefix }.contains(other),
        (IpAddr::V6(address), IpAddr::V6(other)) => Cidr6 { address, prefix }.contains(other),
        _ => false,
    };
    holds(first, second.0) || holds(second, first.0)
}
