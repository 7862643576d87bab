//! From a verified report to entries of the list, for review.

use super::{CertificationResult, Report};
use crate::certify::{Action, Plan, Status, Task};
use crate::date::Date;
use crate::facts::PciFunction;
use crate::list::{self, List, ListError};
use crate::verdict::device_name;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use thiserror::Error;

/// No entry can be made.
#[derive(Debug, Error)]
pub enum EntryError {
    /// The report is about a failure.
    #[error("the certification is {result}, so there is nothing to list: {}", reasons.join("; "))]
    NotPassed {
        /// How it ended.
        result: &'static str,
        /// Why.
        reasons: Vec<String>,
    },
    /// The options make no plan.
    #[error("its options make no plan: {}", .0.join("; "))]
    Plan(Vec<String>),
    /// Nothing in it has a name that an entry could match.
    #[error("the facts name neither system nor CPU nor a tested device")]
    Nothing,
    /// What was made is no list.
    #[error(transparent)]
    List(#[from] ListError),
    /// What was made breaks the rules of the list.
    #[error("the list would refuse these entries: {}", .0.join("; "))]
    Lint(Vec<String>),
}

/// Entries in the form of `db/*.toml`, checked as the list itself is.
///
/// `page` is where the report is published. Without one the entries are `compatible`: the list takes nothing as certified
/// that nobody can read. A report that is incomplete, which one of a machine that could not try everything is, gives
/// `compatible` entries for the devices whose own tests passed; one with a failure gives none.
///
/// # Errors
/// The certification failed, or the report names nothing that an entry could be made of.
pub fn submit_entries(
    report: &Report,
    bytes: &[u8],
    page: Option<&str>,
    today: Date,
) -> Result<String, EntryError> {
    let certification = &report.certification;
    if certification.result == CertificationResult::Failed {
        return Err(EntryError::NotPassed {
            result: certification.result.name(),
            reasons: certification.failed.clone(),
        });
    }
    let certified = certification.result == CertificationResult::Passed && page.is_some();
    let writer = Writer {
        level: if certified { "certified" } else { "compatible" },
        evidence: evidence(report, bytes, page),
        date: today,
    };
    let mut entries = String::new();
    let mut count = 0;
    let mut add = |text: Option<String>| {
        if let Some(text) = text {
            count += 1;
            entries.push('\n');
            entries.push_str(&text);
        }
    };
    // System and CPU are made of everything that was tested, so an incomplete run says nothing about them.
    if certification.result == CertificationResult::Passed {
        add(system(report, &writer));
        add(cpu(report, &writer));
    }
    for (class, function) in tested(report).map_err(EntryError::Plan)? {
        add(device(class, function, &writer));
    }
    if count == 0 {
        return Err(EntryError::Nothing);
    }
    let text = head(report) + &entries;
    let list = List::parse("submitted entries", &text)?;
    let problems: Vec<String> = list::lint(&list, today)
        .iter()
        .map(ToString::to_string)
        .collect();
    if problems.is_empty() {
        Ok(text)
    } else {
        Err(EntryError::Lint(problems))
    }
}

/// Where the entries come from, and why they are no more than they are.
fn head(report: &Report) -> String {
    let mut text = comment(&format!(
        "From a report of {} on {}, for review. Compare each entry with those that the list has.",
        report.finished, report.facts.dmi.product
    ));
    let certification = &report.certification;
    if certification.result != CertificationResult::Passed {
        text += &comment("Nothing is certified, and system and CPU are left out:");
        for reason in certification.reasons() {
            text += &comment(&format!("  {reason}"));
        }
    }
    text
}

/// A comment of one line, whatever a report has in its texts.
fn comment(text: &str) -> String {
    let line = text.replace(char::is_control, " ");
    format!("# {line}\n")
}

fn evidence(report: &Report, bytes: &[u8], page: Option<&str>) -> Vec<String> {
    let digest = hex::encode(Sha256::digest(bytes));
    let own = format!(
        "bedplate: certification report {digest}, signed by {}",
        report.submitter.public_key
    );
    page.map(str::to_owned).into_iter().chain([own]).collect()
}

/// PCI functions behind the interfaces and disks whose tests with data passed, each once.
fn tested(report: &Report) -> Result<Vec<(&'static str, &PciFunction)>, Vec<String>> {
    let facts = &report.facts;
    let plan = Plan::build(facts, &report.surroundings, &report.options)?;
    let passed = |id: &str| {
        let result = report.tests.iter().find(|test| test.id == id);
        result.is_some_and(|test| test.status == Status::Passed)
    };
    let nics = facts.nics.value().map(Vec::as_slice).unwrap_or_default();
    let disks = facts.disks.value().map(Vec::as_slice).unwrap_or_default();
    let mut found = BTreeMap::new();
    for test in &plan.tests {
        let Action::Run(task) = &test.action else {
            continue;
        };
        let (class, address) = match task {
            Task::Throughput(task) => {
                let nic = nics.iter().find(|nic| nic.name == task.way.interface);
                ("nic", nic.and_then(|nic| nic.pci_address.value()))
            }
            Task::Storage(task) => {
                let disk = disks
                    .iter()
                    .find(|disk| Some(&disk.name) == task.disk.as_ref());
                ("storage", disk.and_then(|disk| disk.pci_address.value()))
            }
            _ => continue,
        };
        let function = address.and_then(|address| facts.pci_function(address));
        if let Some(function) = function.filter(|_| passed(&test.id)) {
            // Ports of one card are one entry.
            let ids = function.ids.value().map(|ids| {
                (
                    ids.vendor,
                    ids.device,
                    ids.subsystem_vendor,
                    ids.subsystem_device,
                )
            });
            found.entry(ids).or_insert((class, function));
        }
    }
    Ok(found.into_values().collect())
}

struct Writer {
    level: &'static str,
    evidence: Vec<String>,
    date: Date,
}

impl Writer {
    fn entry(
        &self,
        id: &str,
        class: &str,
        matches: &str,
        driver: Option<&str>,
        notes: &str,
    ) -> String {
        let mut text = format!(
            "[[entry]]\nid = {}\nclass = \"{class}\"\nmatch.{matches}\n",
            quote(id)
        );
        // Writing to a String cannot fail.
        if let Some(driver) = driver {
            let _ = writeln!(text, "require.driver = {}", quote(driver));
        }
        let _ = writeln!(text, "level = \"{}\"\nevidence = [", self.level);
        for evidence in &self.evidence {
            let _ = writeln!(text, "    {},", quote(evidence));
        }
        let _ = write!(
            text,
            "]\ndate = \"{}\"\nnotes = {}\n",
            self.date,
            quote(notes)
        );
        text
    }
}

/// As TOML writes it.
fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A name for a rule: lowercase words with dashes.
fn slug(parts: &[&str]) -> String {
    let text = parts.join(" ").to_lowercase();
    let words = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

fn system(report: &Report, writer: &Writer) -> Option<String> {
    let dmi = &report.facts.dmi;
    let (vendor, product) = (dmi.system_vendor.value()?, dmi.product.value()?);
    // In the list these would stand for other names, too.
    if vendor.is_empty() || product.contains(['*', '?', '[']) || product.is_empty() {
        return None;
    }
    let matches = format!(
        "dmi = {{ vendor = {}, product = {} }}",
        quote(vendor),
        quote(product)
    );
    let notes = format!("With firmware {} of {}.", dmi.bios_version, dmi.bios_date);
    Some(writer.entry(
        &slug(&["system", vendor, product]),
        "system",
        &matches,
        None,
        &notes,
    ))
}

fn cpu(report: &Report, writer: &Writer) -> Option<String> {
    let cpu = &report.facts.cpu;
    let vendor = cpu.vendor.value()?;
    let (family, model) = (cpu.family.value()?, cpu.model.value()?);
    let matches = format!(
        "cpu = {{ vendor = {}, families = [{family}, {family}], models = [{model:#x}] }}",
        quote(vendor)
    );
    let id = slug(&["cpu", vendor, &family.to_string(), &model.to_string()]);
    let notes = format!(
        "{}, stepping {}, microcode {}.",
        cpu.model_name, cpu.stepping, cpu.microcode
    );
    Some(writer.entry(&id, "cpu", &matches, None, &notes))
}

fn device(class: &str, function: &PciFunction, writer: &Writer) -> Option<String> {
    let ids = function.ids.value()?;
    let mut matches = format!(
        "pci = {{ vendor = {:#06x}, devices = [{:#06x}]",
        ids.vendor, ids.device
    );
    let mut id = format!("{class} {:04x} {:04x}", ids.vendor, ids.device);
    if let (Some(vendor), Some(device)) = (ids.subsystem_vendor, ids.subsystem_device) {
        let _ = write!(
            matches,
            ", subvendor = {vendor:#06x}, subdevice = {device:#06x}"
        );
        let _ = write!(id, " {vendor:04x} {device:04x}");
    }
    matches.push_str(" }");
    let driver = function
        .driver
        .value()
        .map(|driver| driver.replace('-', "_"));
    let notes = device_name(function);
    Some(writer.entry(&slug(&[&id]), class, &matches, driver.as_deref(), &notes))
}
