//! The network interfaces of a machine, and which of them the answers mean.

use super::InterfacePlan;
use super::problem::{About, DiskVerdict, PlanProblem};
use crate::choices::{InterfaceChoice, NameChoice, NetworkChoice};
use crate::values::Mac;
use hcl_checker::Known;
use hcl_checker::facts::{Nic, NicKind, natural};

/// The interfaces of the machine, in the order of their names.
pub(super) struct Interfaces<'n> {
    all: Vec<&'n Nic>,
    /// Those that a bridge can have.
    pub wired: Vec<&'n Nic>,
    /// Those that are taken where the choice is free: what is named for something else is not, as long as there is another.
    free: Vec<&'n Nic>,
}

impl<'n> Interfaces<'n> {
    pub fn of(choice: &NetworkChoice, nics: &'n [Nic]) -> Self {
        let mut all: Vec<&Nic> = nics.iter().collect();
        all.sort_by_cached_key(|nic| natural(&nic.name));
        let wired: Vec<&Nic> = all.iter().copied().filter(|nic| is_wired(nic)).collect();
        let named: Vec<&str> = choice
            .all()
            .flat_map(|bridge| bridge.uplink.interfaces())
            .filter(|interface| **interface != InterfaceChoice::Auto)
            .filter_map(|interface| find(interface, &wired).ok())
            .map(|(nic, _)| nic.name.as_str())
            .collect();
        let mut free = wired.clone();
        free.retain(|nic| !named.contains(&nic.name.as_str()));
        if free.is_empty() {
            free.clone_from(&wired);
        }
        Interfaces { all, wired, free }
    }

    /// The interface that is meant with the reason for it, and why each other one is not.
    pub fn look(
        &self,
        choice: &InterfaceChoice,
    ) -> (
        Result<(InterfacePlan, String), PlanProblem>,
        Vec<DiskVerdict>,
    ) {
        let found = match choice {
            InterfaceChoice::Auto => automatic(&self.free),
            named => find(named, &self.wired),
        };
        let automatic = found.as_ref().ok().map(|(nic, _)| nic.name.clone());
        let candidates = self.all.iter().map(|nic| {
            let mut reasons = Vec::new();
            if !is_wired(nic) {
                reasons.push("it is not wired Ethernet".to_owned());
            }
            let elsewhere = !self.free.iter().any(|free| free.name == nic.name);
            if *choice == InterfaceChoice::Auto && is_wired(nic) && elsewhere {
                reasons.push("the answers name it for something else".to_owned());
            } else {
                reasons.extend(mismatch(choice, nic, automatic.as_deref()));
            }
            if reasons.is_empty() && address_of(nic).is_none() {
                reasons.push("its hardware address is not known".to_owned());
            }
            candidate(nic, reasons)
        });
        let candidates = candidates.collect();
        let taken = found.and_then(|(nic, why)| Ok((interface_plan(nic, &self.wired)?, why)));
        (taken, candidates)
    }

    /// The interface that gets a fixed name.
    pub fn named(&self, choice: &NameChoice) -> Result<(), PlanProblem> {
        let meant = InterfaceChoice::Mac(choice.mac);
        let found = self
            .wired
            .iter()
            .filter(|nic| mismatch(&meant, nic, None).is_none());
        let how = match found.count() {
            1 => return Ok(()),
            0 => "there is none",
            _ => "several have it",
        };
        let candidates = self.wired.iter().map(|nic| candidate(nic, Vec::new()));
        Err(PlanProblem::new(
            About::Network,
            format!(
                "`{}` is the name for an interface with the address {}, and {how}",
                choice.name, choice.mac
            ),
            "change `mac` in [[network.name]] to the address of one of these:",
        )
        .with(candidates.collect()))
    }
}

fn is_wired(nic: &Nic) -> bool {
    nic.kind == Known::Value(NicKind::Ethernet)
}

pub(super) fn no_wired(machine: &Interfaces<'_>) -> PlanProblem {
    let candidates = machine.all.iter();
    PlanProblem::new(
        About::Network,
        "this machine has no wired network interface that the kernel knows",
        "check that the card is seated and enabled in the firmware setup, and that its driver is there",
    )
    .with(candidates.map(|nic| candidate(nic, vec!["it is not wired Ethernet".into()])).collect())
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
pub(super) fn words(choice: &InterfaceChoice) -> (String, String) {
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

/// The interface that is meant by its name or address, and why.
fn find<'n>(choice: &InterfaceChoice, wired: &[&'n Nic]) -> Result<(&'n Nic, String), PlanProblem> {
    let (named, wanted) = words(choice);
    let is = |nic: &&Nic| mismatch(choice, nic, None).is_none();
    let found: Vec<&Nic> = wired.iter().copied().filter(is).collect();
    Ok((
        one(&found, wired, &wanted)?,
        format!("the answers name {named}"),
    ))
}

/// The address by which the host finds the interface, and whether it is the maker's.
fn address_of(nic: &Nic) -> Option<(Mac, bool)> {
    let parse = |known: &Known<String>| known.value().and_then(|mac| Mac::parse(mac).ok());
    let permanent = parse(&nic.permanent_mac).map(|mac| (mac, true));
    permanent.or_else(|| parse(&nic.mac).map(|mac| (mac, false)))
}

fn interface_plan(nic: &Nic, wired: &[&Nic]) -> Result<InterfacePlan, PlanProblem> {
    let Some((mac, permanent)) = address_of(nic) else {
        return Err(PlanProblem::new(
            About::Network,
            format!("the hardware address of {} is not known", nic.name),
            "choose another interface in [network]",
        )
        .with(wired.iter().map(|nic| candidate(nic, Vec::new())).collect()));
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

pub(super) fn has_mac(nic: &Nic, mac: Mac) -> bool {
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
