//! `[[host]]`: one answer file for many machines.
//!
//! A section fits a machine by what its makers gave it; what stands in it goes before the same key at the top of the file.

use super::document::Document;
use super::schema::{Host, HostMatch};
use crate::values::Mac;
use hcl_checker::Known;
use hcl_checker::facts::Facts;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What tells one machine from another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MachineIdentity {
    /// The system's serial number.
    pub serial: Option<String>,
    /// The system's UUID.
    pub uuid: Option<String>,
    /// The chassis' asset tag.
    pub asset_tag: Option<String>,
    /// Hardware addresses of all interfaces, the makers' and those in use.
    pub macs: Vec<Mac>,
}

impl MachineIdentity {
    /// Of the machine with these facts.
    pub fn of(facts: &Facts) -> Self {
        let text = |known: &Known<String>| {
            known
                .value()
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty())
        };
        let nics = facts.nics.value().map_or(&[][..], Vec::as_slice);
        let mut macs: Vec<Mac> = nics
            .iter()
            .flat_map(|nic| [&nic.permanent_mac, &nic.mac])
            .filter_map(|mac| Mac::parse(mac.value()?).ok())
            .collect();
        macs.sort_unstable();
        macs.dedup();
        MachineIdentity {
            serial: text(&facts.dmi.serial),
            uuid: text(&facts.dmi.uuid),
            asset_tag: text(&facts.dmi.chassis.asset_tag),
            macs,
        }
    }

    /// A property that the machine does not have does not fit.
    fn fits(&self, section: &HostMatch) -> bool {
        let same = |wanted: &Option<String>, has: &Option<String>| match (wanted, has) {
            (None, _) => true,
            (Some(wanted), Some(has)) => wanted.trim().eq_ignore_ascii_case(has),
            (Some(_), None) => false,
        };
        let mac = section
            .mac
            .as_ref()
            .is_none_or(|text| Mac::parse(text).is_ok_and(|mac| self.macs.contains(&mac)));
        mac && same(&section.serial, &self.serial)
            && same(&section.uuid, &self.uuid)
            && same(&section.asset_tag, &self.asset_tag)
    }

    /// For messages.
    fn describe(&self) -> String {
        let mut words: Vec<String> = [
            ("serial", &self.serial),
            ("uuid", &self.uuid),
            ("asset tag", &self.asset_tag),
        ]
        .iter()
        .map(|(name, value)| match value {
            Some(value) => format!("{name} {value}"),
            None => format!("no {name}"),
        })
        .collect();
        let macs: Vec<String> = self.macs.iter().map(Mac::to_string).collect();
        words.push(match macs.as_slice() {
            [] => "no hardware address".to_owned(),
            _ => format!("addresses {}", macs.join(" ")),
        });
        words.join(", ")
    }
}

/// Which sections to check.
pub enum Sections {
    /// There are none: the file is for one machine.
    None,
    /// The one that fits the machine.
    One(usize),
    /// All of them, as no machine is known.
    All(usize),
    /// None fits, several fit, or one of them is wrong: a problem was added.
    Wrong,
}

/// Checks how the sections choose their machines, and chooses one.
pub fn choose(
    hosts: &[Host],
    machine: Option<&MachineIdentity>,
    document: &mut Document<'_>,
) -> Sections {
    if hosts.is_empty() {
        return Sections::None;
    }
    let mut fine = true;
    for (index, host) in hosts.iter().enumerate() {
        fine &= check_match(index, host.matching.as_ref(), document);
        let twin = hosts[..index]
            .iter()
            .any(|other| host.matching.is_some() && other.matching == host.matching);
        if twin {
            document.problem_at(
                &format!("host.{index}.match"),
                "two [[host]] sections are for the same machine",
                "merge them, or let each `match` name another machine",
            );
            fine = false;
        }
    }
    if !fine {
        return Sections::Wrong;
    }
    let Some(machine) = machine else {
        return Sections::All(hosts.len());
    };
    let fitting: Vec<usize> = (0..hosts.len())
        .filter(|&index| {
            hosts[index]
                .matching
                .as_ref()
                .is_some_and(|section| machine.fits(section))
        })
        .collect();
    match fitting.as_slice() {
        [one] => Sections::One(*one),
        [] => {
            document.problem_at(
                "host.0",
                format!(
                    "none of the {} [[host]] sections fits this machine: {}",
                    hosts.len(),
                    machine.describe()
                ),
                "add a [[host]] section for it; a machine that the file does not know is not installed",
            );
            Sections::Wrong
        }
        several => {
            document.problem_at(
                &format!("host.{}", several[1]),
                format!(
                    "{} [[host]] sections fit this machine: {}",
                    several.len(),
                    machine.describe()
                ),
                "let each `match` name properties that only one machine has",
            );
            Sections::Wrong
        }
    }
}

fn check_match(index: usize, section: Option<&HostMatch>, document: &mut Document<'_>) -> bool {
    let path = format!("host.{index}.match");
    let Some(section) = section.filter(|section| **section != HostMatch::default()) else {
        document.missing(
            &path,
            "a [[host]] section does not say which machine it is for",
            "add `match = { serial = \"...\" }`, or `mac`, `uuid` or `asset_tag`",
        );
        return false;
    };
    let mut fine = true;
    for (key, text) in [
        ("serial", &section.serial),
        ("uuid", &section.uuid),
        ("asset_tag", &section.asset_tag),
    ] {
        if text.as_ref().is_some_and(|text| text.trim().is_empty()) {
            document.problem_at(
                &format!("{path}.{key}"),
                format!("`{path}.{key}` is empty"),
                "write the whole value as `installer facts` shows it, or leave the key out",
            );
            fine = false;
        }
    }
    if let Some(Err(error)) = section.mac.as_ref().map(|text| Mac::parse(text)) {
        let key = format!("{path}.mac");
        document.problem_at(&key, format!("`{key}` {}", error.message), error.advice);
        fine = false;
    }
    fine
}

/// The tables of the file as they are for the host with this number.
pub fn merged<'t>(root: &DeTable<'t>, index: usize) -> DeTable<'t> {
    let mut top = root.clone();
    let Some(hosts) = top.remove("host") else {
        return top;
    };
    let host = match hosts.into_inner() {
        DeValue::Array(hosts) => hosts.into_iter().nth(index).map(Spanned::into_inner),
        _ => None,
    };
    if let Some(DeValue::Table(mut host)) = host {
        host.remove("match");
        overlay(&mut top, host);
    }
    top
}

fn overlay<'t>(below: &mut DeTable<'t>, above: DeTable<'t>) {
    for (key, value) in above {
        if let DeValue::Table(inner) = value.get_ref()
            && let Some(under) = below.get_mut::<str>(key.get_ref())
            && let DeValue::Table(under) = under.get_mut()
        {
            overlay(under, inner.clone());
            continue;
        }
        // The key as well, so that its place in the file is that of the value which counts.
        below.remove::<str>(key.get_ref());
        below.insert(key, value);
    }
}
