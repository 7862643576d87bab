//! Which interfaces the plan puts below the bridges.

use super::interfaces::{Interfaces, has_mac, no_wired, words};
use super::matches::MatchGroup;
use super::problem::{About, PlanProblem};
use super::{BondPlan, BridgePlan, InterfacePlan, NetworkPlan, VlanPlan};
use crate::choices::{
    BondMode, BridgeChoice, InterfaceChoice, NameChoice, NetworkChoice, UplinkChoice,
};
use crate::values::Mac;
use hcl_checker::Known;
use hcl_checker::facts::Nic;

/// The networks that the operator means, or everything that is in the way.
pub fn choose(
    choice: &NetworkChoice,
    nics: &[Nic],
    warnings: &mut Vec<String>,
) -> Result<NetworkPlan, Vec<PlanProblem>> {
    let machine = Interfaces::of(choice, nics);
    if machine.wired.is_empty() {
        return Err(vec![no_wired(&machine)]);
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
    for bridge in choice.all() {
        draft.add(bridge, &machine);
    }
    for name in &choice.names {
        draft.name(name, &machine);
    }
    draft.warn(nics, warnings);
    if draft.problems.is_empty() {
        Ok(draft.plan)
    } else {
        Err(draft.problems)
    }
}

/// Why each interface is the one that a bridge means or not. Whether the bridges go together only a plan tells.
pub fn matches(choice: &NetworkChoice, nics: &[Nic]) -> Vec<MatchGroup> {
    let machine = Interfaces::of(choice, nics);
    let below = choice.all().flat_map(|bridge| {
        let interfaces = bridge.uplink.interfaces().iter();
        interfaces.map(move |interface| {
            let wanted = match (interface, words(interface)) {
                (InterfaceChoice::Auto, (free, _)) => free,
                (_, (_, named)) => named,
            };
            (
                format!("The interface below {}: {wanted}", bridge.name),
                interface.clone(),
                None,
            )
        })
    });
    let named = choice.names.iter().map(|name| {
        let wanted = format!(
            "The interface that is called {}: with the address {}",
            name.name, name.mac
        );
        (wanted, InterfaceChoice::Mac(name.mac), Some(name))
    });
    below
        .chain(named)
        .map(|(wanted, interface, name)| {
            let (taken, candidates) = machine.look(&interface);
            let problem = match name {
                Some(name) => machine.named(name).err(),
                None if machine.wired.is_empty() => Some(no_wired(&machine)),
                None => taken.err(),
            };
            MatchGroup {
                wanted,
                count: 1,
                candidates,
                problems: problem.into_iter().collect(),
            }
        })
        .collect()
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

    fn add(&mut self, bridge: &BridgeChoice, machine: &Interfaces<'_>) {
        if machine.wired.iter().any(|nic| nic.name == bridge.name) {
            self.problem(
                format!(
                    "`{}` is the name of a bridge and of an interface of this machine",
                    bridge.name
                ),
                "choose another `name` in [[network.bridge]]",
            );
            return;
        }
        let mut members = Vec::new();
        let mut chosen = String::new();
        for interface in bridge.uplink.interfaces() {
            match machine.look(interface).0 {
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

    fn name(&mut self, choice: &NameChoice, machine: &Interfaces<'_>) {
        if let Err(problem) = machine.named(choice) {
            self.problems.push(problem);
            return;
        }
        let taken = self
            .plan
            .bridges
            .iter()
            .any(|bridge| bridge.name == choice.name)
            || machine
                .wired
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
