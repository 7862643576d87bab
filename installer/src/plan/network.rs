//! Which interfaces the plan puts below the bridges.

use super::matches::MatchGroup;
use super::problem::{About, DiskVerdict, PlanProblem};
use super::{BondPlan, BridgePlan, InterfacePlan, NetworkPlan, VlanPlan};
use crate::choices::{
    BondMode, BridgeChoice, InterfaceChoice, NameChoice, NetworkChoice, UplinkChoice,
};
use crate::values::Mac;
use hcl_checker::Known;
use hcl_checker::facts::{Nic, NicKind, natural};
use std::iter;

/// The networks that the operator means, or everything that is in the way.
pub fn choose(
    choice: &NetworkChoice,
    nics: &[Nic],
    warnings: &mut Vec<String>,
) -> Result<NetworkPlan, Vec<PlanProblem>> {
    let mut wired: Vec<&Nic> = nics
        .iter()
        .filter(|nic| nic.kind == Known::Value(NicKind::Ethernet))
        .collect();
    wired.sort_by_cached_key(|nic| natural(&nic.name));
    if wired.is_empty() {
        return Err(vec![PlanProblem::new(
            About::Network,
            "this machine has no wired network interface that the kernel knows",
            "check that the card is seated and enabled in the firmware setup, and that its driver is there",
        )
        .with(nics.iter().map(|nic| candidate(nic, vec!["it is not wired Ethernet".into()])).collect())]);
    }
    let mut draft = Draft {
        plan: NetworkPlan {
            bridges: Vec::new(),
            bonds: Vec::new(),
            interfaces: Vec::new(),
            names: Vec::new(),
        },
        problems: Vec::new(),
    };
    let all = || iter::once(&choice.management).chain(&choice.bridges);
    // An interface that was named for something else is not taken where the choice is free.
    let named: Vec<&str> = all()
        .flat_map(|bridge| bridge.uplink.interfaces())
        .filter(|interface| **interface != InterfaceChoice::Auto)
        .filter_map(|interface| find(interface, &wired).ok())
        .map(|(nic, _)| nic.name.as_str())
        .collect();
    let free: Vec<&Nic> = wired
        .iter()
        .copied()
        .filter(|nic| !named.contains(&nic.name.as_str()))
        .collect();
    let free = if free.is_empty() { &wired } else { &free };
    for bridge in all() {
        draft.add(bridge, &wired, free);
    }
    for name in &choice.names {
        draft.name(name, &wired);
    }
    draft.warn(nics, warnings);
    if draft.problems.is_empty() {
        Ok(draft.plan)
    } else {
        Err(draft.problems)
    }
}

/// Why each interface is the one that a bridge means or not.
pub fn matches(choice: &NetworkChoice, nics: &[Nic]) -> Vec<MatchGroup> {
    let mut sorted: Vec<&Nic> = nics.iter().collect();
    sorted.sort_by_cached_key(|nic| natural(&nic.name));
    let wired = |nic: &&Nic| nic.kind == Known::Value(NicKind::Ethernet);
    let all: Vec<&Nic> = sorted.iter().copied().filter(wired).collect();
    let mut groups = Vec::new();
    for bridge in iter::once(&choice.management).chain(&choice.bridges) {
        for interface in bridge.uplink.interfaces() {
            let taken = match interface {
                InterfaceChoice::Auto => automatic(&all).ok().map(|(nic, _)| nic.name.clone()),
                _ => None,
            };
            let wanted = match (interface, words(interface)) {
                (InterfaceChoice::Auto, (free, _)) => free,
                (_, (_, named)) => named,
            };
            let candidates = sorted
                .iter()
                .map(|nic| {
                    let mut reasons = Vec::new();
                    if !wired(nic) {
                        reasons.push("it is not wired Ethernet".to_owned());
                    }
                    reasons.extend(mismatch(interface, nic, taken.as_deref()));
                    candidate(nic, reasons)
                })
                .collect();
            groups.push(MatchGroup {
                wanted: format!("The interface below {}: {wanted}", bridge.name),
                count: 1,
                candidates,
            });
        }
    }
    groups
}

/// Why `nic` is not the interface that is meant. `taken` is the one that is taken where the choice is free.
fn mismatch(choice: &InterfaceChoice, nic: &Nic, taken: Option<&str>) -> Option<String> {
    let shown = |known: &Known<String>| known.value().cloned().unwrap_or("not known".into());
    match choice {
        InterfaceChoice::Auto if taken == Some(nic.name.as_str()) => None,
        InterfaceChoice::Auto if nic.carrier == Known::Value(true) => {
            taken.map(|taken| format!("it has a link, and so has {taken}, which comes first"))
        }
        InterfaceChoice::Auto => Some("it is not known to have a link".to_owned()),
        InterfaceChoice::Name(name) if *name == nic.name => None,
        InterfaceChoice::Name(name) => Some(format!("its name is {}, not {name}", nic.name)),
        InterfaceChoice::Mac(mac) if has_mac(nic, *mac) => None,
        InterfaceChoice::Mac(mac) => {
            let known = match nic.permanent_mac.value() {
                Some(mac) => mac.clone(),
                None => shown(&nic.mac),
            };
            Some(format!("its address is {known}, not {mac}"))
        }
        InterfaceChoice::Pci(address) if nic.pci_address.value() == Some(address) => None,
        InterfaceChoice::Pci(address) => Some(format!(
            "its PCI address is {}, not {address}",
            shown(&nic.pci_address)
        )),
    }
}

/// What an interface is called in the answers, and what is wanted by that.
fn words(choice: &InterfaceChoice) -> (String, String) {
    match choice {
        InterfaceChoice::Auto => (
            "the only one, or the first with a link".to_owned(),
            "with a link".to_owned(),
        ),
        InterfaceChoice::Name(name) => (name.clone(), format!("named {name}")),
        InterfaceChoice::Mac(mac) => (mac.to_string(), format!("with the address {mac}")),
        InterfaceChoice::Pci(address) => (address.clone(), format!("at the PCI address {address}")),
    }
}

/// A plan that grows bridge by bridge.
struct Draft {
    plan: NetworkPlan,
    problems: Vec<PlanProblem>,
}

impl Draft {
    fn problem(&mut self, message: String, advice: &str) {
        self.problems
            .push(PlanProblem::new(About::Network, message, advice));
    }

    fn add(&mut self, bridge: &BridgeChoice, wired: &[&Nic], free: &[&Nic]) {
        let mut members = Vec::new();
        let mut chosen = String::new();
        for interface in bridge.uplink.interfaces() {
            let found = match interface {
                InterfaceChoice::Auto => automatic(free),
                named => find(named, wired),
            };
            match found.and_then(|(nic, why)| Ok((interface_plan(nic, wired)?, why))) {
                Ok((interface, why)) => {
                    members.push(interface);
                    if chosen.is_empty() {
                        chosen = why;
                    }
                }
                Err(problem) => self.problems.push(problem),
            }
        }
        if members.len() != bridge.uplink.interfaces().len() {
            return;
        }
        let mac = members[0].mac;
        let twice = members.iter().enumerate().find(|(index, member)| {
            members[..*index]
                .iter()
                .any(|other| other.mac == member.mac || other.interface == member.interface)
        });
        if let Some((_, twice)) = twice {
            let message = format!(
                "{} ({}) is in the bond of {} twice",
                twice.interface, twice.mac, bridge.name
            );
            self.problem(message, "name each interface once");
            return;
        }
        let names: Vec<String> = members.iter().map(|one| one.interface.clone()).collect();
        let uplink = match &bridge.uplink {
            UplinkChoice::Interface(_) => names[0].clone(),
            UplinkChoice::Bond { mode, .. } => {
                chosen = "the answers name its members".to_owned();
                self.bond(*mode, names.clone(), mac)
            }
        };
        for mut member in members {
            let shares_mac = |known: &&InterfacePlan| {
                known.mac == member.mac && known.interface != member.interface
            };
            if let Some(other) = self.plan.interfaces.iter().find(shares_mac) {
                let message = format!(
                    "{} and {} have the same hardware address {}, by which the host would find them",
                    other.interface, member.interface, member.mac
                );
                self.problem(message, "use only one of them");
                return;
            }
            let bond = (uplink != member.interface).then(|| uplink.clone());
            let known = self
                .plan
                .interfaces
                .iter()
                .find(|known| known.mac == member.mac);
            match known {
                Some(known) if known.bond != bond => {
                    let of = |bond: &Option<String>| match bond {
                        Some(bond) => format!("as a part of {bond}"),
                        None => "by itself".to_owned(),
                    };
                    let message = format!(
                        "{} is used twice: {} and, for {}, {}",
                        member.interface,
                        of(&known.bond),
                        bridge.name,
                        of(&bond)
                    );
                    self.problem(
                        message,
                        "give each interface one use; several VLANs may share an interface or a bond",
                    );
                    return;
                }
                Some(_) => {}
                None => {
                    member.bond = bond;
                    self.plan.interfaces.push(member);
                }
            }
        }
        let other = self.plan.bridges.iter().find(|other| {
            other.uplink == uplink && other.vlan.as_ref().map(|v| v.id) == bridge.vlan
        });
        if let Some(other) = other {
            let vlan = bridge
                .vlan
                .map_or("untagged frames".to_owned(), |id| format!("VLAN {id}"));
            let message = format!(
                "{} and {} both want {vlan} of {uplink}",
                other.name, bridge.name
            );
            self.problem(
                message,
                "give one of them another `vlan` or another interface, or leave one out",
            );
            return;
        }
        let vlan = bridge.vlan.map(|id| VlanPlan {
            id,
            device: self.vlan_device(id),
        });
        self.plan.bridges.push(BridgePlan {
            name: bridge.name.clone(),
            mac,
            uplink,
            vlan,
            mtu: bridge.mtu,
            chosen,
            address: bridge.address.clone(),
            ipv6: bridge.ipv6.clone(),
            dns: bridge.dns.clone(),
            search: bridge.search.clone(),
            ntp: bridge.ntp.clone(),
        });
    }

    /// The bond of these interfaces: the same for every bridge above it.
    fn bond(&mut self, mode: BondMode, interfaces: Vec<String>, mac: Mac) -> String {
        let same = |bond: &&BondPlan| bond.mode == mode && bond.interfaces == interfaces;
        if let Some(bond) = self.plan.bonds.iter().find(same) {
            return bond.name.clone();
        }
        let name = format!("bond{}", self.plan.bonds.len());
        self.plan.bonds.push(BondPlan {
            name: name.clone(),
            mode,
            interfaces,
            mac,
        });
        name
    }

    /// `vlan120`, and `vlan120-2` where another uplink has the same id.
    fn vlan_device(&self, id: u16) -> String {
        let same = self
            .plan
            .bridges
            .iter()
            .filter(|bridge| bridge.vlan.as_ref().is_some_and(|vlan| vlan.id == id))
            .count();
        match same {
            0 => format!("vlan{id}"),
            before => format!("vlan{id}-{}", before + 1),
        }
    }

    fn name(&mut self, choice: &NameChoice, wired: &[&Nic]) {
        if !wired.iter().any(|nic| has_mac(nic, choice.mac)) {
            let candidates = wired.iter().map(|nic| candidate(nic, Vec::new())).collect();
            self.problems.push(
                PlanProblem::new(
                    About::Network,
                    format!(
                        "`{}` is the name for an interface with the address {}, and there is none",
                        choice.name, choice.mac
                    ),
                    "change `mac` in [[network.name]] to the address of one of these:",
                )
                .with(candidates),
            );
            return;
        }
        let taken = self
            .plan
            .bridges
            .iter()
            .any(|bridge| bridge.name == choice.name)
            || wired
                .iter()
                .any(|nic| nic.name == choice.name && !has_mac(nic, choice.mac));
        if taken {
            self.problem(
                format!(
                    "`{}` is the name of another interface or bridge",
                    choice.name
                ),
                "choose another name in [[network.name]]",
            );
            return;
        }
        self.plan.names.push(choice.clone());
    }

    fn warn(&self, nics: &[Nic], warnings: &mut Vec<String>) {
        for interface in &self.plan.interfaces {
            let name = &interface.interface;
            if !interface.permanent {
                warnings.push(format!(
                    "{name} tells no permanent hardware address: the host knows it by {}, which must not change",
                    interface.mac
                ));
            }
            let nic = nics.iter().find(|nic| nic.name == *name);
            if nic.is_some_and(|nic| nic.carrier == Known::Value(false)) {
                warnings.push(format!("{name} has no link"));
            }
        }
    }
}

/// The interface that is meant, and why.
fn find<'n>(choice: &InterfaceChoice, wired: &[&'n Nic]) -> Result<(&'n Nic, String), PlanProblem> {
    if *choice == InterfaceChoice::Auto {
        return automatic(wired);
    }
    let (named, wanted) = words(choice);
    let is = |nic: &&Nic| match choice {
        InterfaceChoice::Auto => false,
        InterfaceChoice::Name(name) => nic.name == *name,
        InterfaceChoice::Mac(mac) => has_mac(nic, *mac),
        InterfaceChoice::Pci(address) => nic.pci_address.value() == Some(address),
    };
    let found: Vec<&Nic> = wired.iter().copied().filter(is).collect();
    Ok((
        one(&found, wired, &wanted)?,
        format!("the answers name {named}"),
    ))
}

fn interface_plan(nic: &Nic, wired: &[&Nic]) -> Result<InterfacePlan, PlanProblem> {
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
    Ok(InterfacePlan {
        interface: nic.name.clone(),
        mac,
        permanent,
        bond: None,
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
