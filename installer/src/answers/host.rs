//! `[[host]]`: one answer file for many machines.
//!
//! A section fits a machine by what its makers gave it; what stands in it goes before the same key at the top of the file.

use super::document::Document;
use super::schema::{Host, HostMatch};
use crate::values::{Mac, few};
use hcl_checker::Known;
use hcl_checker::facts::Facts;
use std::collections::BTreeSet;
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

    /// What the section asks for, each with its name and whether the machine has it. A property that it does not tell it does
    /// not have.
    fn looks<'s>(&self, section: &'s HostMatch) -> Vec<(&'static str, &'s str, bool)> {
        let same = |wanted: &str, has: &Option<String>| {
            let has = has.as_deref();
            has.is_some_and(|has| wanted.trim().eq_ignore_ascii_case(has))
        };
        let has_mac = |text: &str| Mac::parse(text).is_ok_and(|mac| self.macs.contains(&mac));
        let all = [
            ("serial", &section.serial),
            ("address", &section.mac),
            ("uuid", &section.uuid),
            ("asset tag", &section.asset_tag),
        ];
        let asked = all
            .into_iter()
            .filter_map(|(name, wanted)| Some((name, wanted.as_deref()?)));
        asked
            .map(|(name, wanted)| {
                let has = match name {
                    "serial" => same(wanted, &self.serial),
                    "uuid" => same(wanted, &self.uuid),
                    "asset tag" => same(wanted, &self.asset_tag),
                    _ => has_mac(wanted),
                };
                (name, wanted, has)
            })
            .collect()
    }

    fn fits(&self, section: &HostMatch) -> bool {
        self.looks(section).iter().all(|(_, _, has)| *has)
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
    let mut known = BTreeSet::new();
    for (index, host) in hosts.iter().enumerate() {
        fine &= check_match(index, host.matching.as_ref(), document);
        fine &= check_without(index, host.without.as_deref(), document);
        if host
            .matching
            .as_ref()
            .is_some_and(|section| !known.insert(section))
        {
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
                    "none of the {} [[host]] sections fits this machine: {}; they are for {}",
                    hosts.len(),
                    machine.describe(),
                    listed(hosts, machine)
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

/// Which machines the sections are for; those that this one nearly is come first.
fn listed(hosts: &[Host], machine: &MachineIdentity) -> String {
    let mut told: Vec<(bool, String)> = hosts
        .iter()
        .filter_map(|host| host.matching.as_ref())
        .map(|section| {
            let looks = machine.looks(section);
            let near = looks.iter().any(|(_, _, has)| *has);
            let words = looks.iter().map(|(name, wanted, has)| {
                let clean: String = wanted
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(64)
                    .collect();
                match near && !has {
                    true => format!("{name} {clean} (which this one does not have)"),
                    false => format!("{name} {clean}"),
                }
            });
            (!near, words.collect::<Vec<_>>().join(" with "))
        })
        .collect();
    told.sort_by_key(|(far, _)| *far);
    let words: Vec<String> = told.into_iter().map(|(_, words)| words).collect();
    few(&words)
}

/// Whether everything that the section takes away is there.
fn check_without(index: usize, paths: Option<&[String]>, document: &mut Document<'_>) -> bool {
    let mut fine = true;
    for (number, path) in paths.unwrap_or_default().iter().enumerate() {
        let of_file = matches!(path.split('.').next(), Some("schema" | "host"));
        if of_file || !document.has(path) {
            let key = format!("host.{index}.without.{number}");
            document.problem_at(
                &key,
                format!("`{key}` names nothing that stands above for all hosts"),
                "write a section or key of the top of the file, such as \"disk.match\" or \"webhook\", or leave it out",
            );
            fine = false;
        }
    }
    fine
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

/// The tables of the file as they are for the host with this number: the top without what the section takes away, and with what
/// stands in it.
pub fn merged<'t>(root: &DeTable<'t>, index: usize) -> DeTable<'t> {
    // The sections of all other hosts are not copied: there may be thousands.
    let top = root.iter().filter(|(key, _)| **key.get_ref() != *"host");
    let mut top: DeTable<'t> = top
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if let Some(host) = section(root, index) {
        let paths = without(root, index).and_then(|list| list.get_ref().as_array());
        let paths = paths.into_iter().flatten();
        for path in paths.filter_map(|path| path.get_ref().as_str()) {
            take_away(&mut top, path);
        }
        let mut host = host.clone();
        host.remove("match");
        host.remove("without");
        overlay(&mut top, host);
    }
    top
}

/// About how many bytes the tables take to read.
pub fn weight(table: &DeTable<'_>) -> usize {
    fn of_value(value: &DeValue<'_>) -> usize {
        match value {
            DeValue::String(text) => text.len(),
            DeValue::Array(items) => items.iter().map(|item| 8 + of_value(item.get_ref())).sum(),
            DeValue::Table(table) => weight(table),
            _ => 8,
        }
    }
    table
        .iter()
        .map(|(key, value)| key.get_ref().len() + of_value(value.get_ref()))
        .sum()
}

/// The section with this number.
fn section<'r, 't>(root: &'r DeTable<'t>, index: usize) -> Option<&'r DeTable<'t>> {
    let hosts = root.get("host")?.get_ref().as_array()?;
    hosts.get(index)?.get_ref().as_table()
}

/// What it takes away.
pub fn without<'r, 't>(root: &'r DeTable<'t>, index: usize) -> Option<&'r Spanned<DeValue<'t>>> {
    section(root, index)?.get("without")
}

fn take_away(table: &mut DeTable<'_>, path: &str) {
    match path.split_once('.') {
        None => {
            table.remove(path);
        }
        Some((section, rest)) => {
            if let Some(inner) = table.get_mut(section)
                && let DeValue::Table(inner) = inner.get_mut()
            {
                take_away(inner, rest);
            }
        }
    }
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
