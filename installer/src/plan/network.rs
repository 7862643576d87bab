//! Which interface the plan puts below the management bridge.

use super::problem::{About, DiskVerdict, PlanProblem};
use super::{BRIDGE, NetworkPlan};
use crate::choices::{InterfaceChoice, NetworkChoice};
use crate::values::Mac;
use hcl_checker::Known;
use hcl_checker::facts::{Nic, NicKind};

/// The interface that the operator means, or what is in the way.
pub fn choose(
    choice: &NetworkChoice,
    nics: &[Nic],
    warnings: &mut Vec<String>,
) -> Result<NetworkPlan, PlanProblem> {
    let mut wired: Vec<&Nic> = nics
        .iter()
        .filter(|nic| nic.kind == Known::Value(NicKind::Ethernet))
        .collect();
    wired.sort_by_cached_key(|nic| natural(&nic.name));
    if wired.is_empty() {
        return Err(PlanProblem::new(
            About::Network,
            "this machine has no wired network interface that the kernel knows",
            "check that the card is seated and enabled in the firmware setup, and that its driver is there",
        )
        .with(nics.iter().map(|nic| candidate(nic, vec!["it is not wired Ethernet".into()])).collect()));
    }
    let (nic, chosen) = match &choice.interface {
        InterfaceChoice::Name(name) => {
            let found: Vec<_> = wired
                .iter()
                .copied()
                .filter(|nic| nic.name == *name)
                .collect();
            (
                one(&found, &wired, &format!("named {name}"))?,
                format!("the answers name {name}"),
            )
        }
        InterfaceChoice::Mac(mac) => {
            let found: Vec<_> = wired
                .iter()
                .copied()
                .filter(|nic| has_mac(nic, *mac))
                .collect();
            (
                one(&found, &wired, &format!("with the address {mac}"))?,
                format!("the answers name {mac}"),
            )
        }
        InterfaceChoice::Auto => automatic(&wired)?,
    };
    let parse = |known: &Known<String>| known.value().and_then(|mac| Mac::parse(mac).ok());
    let (mac, permanent) = match (parse(&nic.permanent_mac), parse(&nic.mac)) {
        (Some(mac), _) => (mac, true),
        (None, Some(mac)) => (mac, false),
        (None, None) => {
            return Err(PlanProblem::new(
                About::Network,
                format!("the hardware address of {} is not known", nic.name),
                "choose another interface in [network]",
            )
            .with(wired.iter().map(|nic| candidate(nic, Vec::new())).collect()));
        }
    };
    if !permanent {
        warnings.push(format!(
            "{} tells no permanent hardware address: the host knows it by {mac}, which must not change",
            nic.name
        ));
    }
    if nic.carrier == Known::Value(false) {
        warnings.push(format!("{} has no link", nic.name));
    }
    Ok(NetworkPlan {
        bridge: BRIDGE.to_owned(),
        interface: nic.name.clone(),
        mac,
        permanent,
        chosen,
        address: choice.address.clone(),
    })
}

fn automatic<'n>(wired: &[&'n Nic]) -> Result<(&'n Nic, String), PlanProblem> {
    if let [only] = wired {
        return Ok((only, "it is the only one".to_owned()));
    }
    match wired.iter().find(|nic| nic.carrier == Known::Value(true)) {
        Some(nic) => Ok((
            nic,
            format!("it is the first of {} by name that has a link", wired.len()),
        )),
        None => Err(PlanProblem::new(
            About::Network,
            format!(
                "none of the {} network interfaces is known to have a link",
                wired.len()
            ),
            "plug a cable in, or name the interface: `interface = \"...\"` in [network]",
        )
        .with(wired.iter().map(|nic| candidate(nic, Vec::new())).collect())),
    }
}

fn one<'n>(found: &[&'n Nic], wired: &[&'n Nic], wanted: &str) -> Result<&'n Nic, PlanProblem> {
    let message = match found {
        [nic] => return Ok(nic),
        [] => format!("there is no wired network interface {wanted}"),
        several => format!("there are {} network interfaces {wanted}", several.len()),
    };
    let advice = "change `interface` in [network] to the name or address of one of these:";
    let candidates = wired.iter().map(|nic| candidate(nic, Vec::new())).collect();
    Err(PlanProblem::new(About::Network, message, advice).with(candidates))
}

fn has_mac(nic: &Nic, mac: Mac) -> bool {
    let same =
        |known: &Known<String>| known.value().and_then(|text| Mac::parse(text).ok()) == Some(mac);
    // The maker's address counts where it is known: the one in use may be another interface's.
    if nic.permanent_mac.value().is_some() {
        same(&nic.permanent_mac)
    } else {
        same(&nic.mac)
    }
}

fn candidate(nic: &Nic, reasons: Vec<String>) -> DiskVerdict {
    let mac = nic
        .permanent_mac
        .value()
        .or(nic.mac.value())
        .map_or("no address", String::as_str);
    let link = match nic.carrier {
        Known::Value(true) => "link",
        Known::Value(false) => "no link",
        _ => "link not known",
    };
    let driver = nic.driver.value().map_or("", String::as_str);
    let description = [mac, driver, link]
        .into_iter()
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(", ");
    DiskVerdict {
        name: nic.name.clone(),
        description,
        reasons,
    }
}

/// Names in the order in which people count: `eth2` before `eth10`.
fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (word, tail) = rest.split_at(text);
        let digits = tail
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (number, tail) = tail.split_at(digits);
        parts.push((word.to_owned(), number.parse().unwrap_or(u64::MAX)));
        rest = tail;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_counted_as_people_do() {
        let mut names = ["eth10", "eth2", "eno1", "enp3s0f1", "enp3s0f0", "enp10s0"];
        names.sort_by_cached_key(|name| natural(name));
        assert_eq!(
            names,
            ["eno1", "enp3s0f0", "enp3s0f1", "enp10s0", "eth2", "eth10"]
        );
    }
}
