//! Numbers of sockets, cores and threads: what a dump's own project expects, and what the facts say.

use crate::Outcome;
use crate::deviations;
use hcl_checker::facts::PciFunction;
use hcl_checker::{Facts, Known};
use std::collections::BTreeSet;

/// Sockets, cores, threads; None for what is not known.
pub type Counts = [Option<u32>; 3];

/// What hwloc prints for a machine, as text or XML: a line for each thing. Its closing summary is not counted.
pub fn of_hwloc(output: &str) -> Counts {
    let xml = output.starts_with("<?xml");
    ["Package", "Core", "PU"].map(|name| {
        let sign = if xml {
            format!("<object type=\"{name}\"")
        } else {
            format!("{name} L#")
        };
        let lines = output
            .lines()
            .filter(|line| line.trim_start().starts_with(&sign));
        Some(lines.count() as u32)
    })
}

/// What libvirt reports as capabilities: an element for each thread.
pub fn of_libvirt(xml: &str) -> Counts {
    let attribute = |line: &str, name: &str| {
        let behind = line.split_once(&format!(" {name}='"))?.1;
        Some(behind.split_once('\'')?.0.to_owned())
    };
    let cpus: Vec<&str> = xml
        .lines()
        .filter(|line| line.trim_start().starts_with("<cpu id="))
        .collect();
    let different = |name: &str| {
        let values: BTreeSet<_> = cpus.iter().map(|line| attribute(line, name)).collect();
        values.len() as u32
    };
    [
        different("socket_id"),
        different("siblings"),
        cpus.len() as u32,
    ]
    .map(Some)
}

/// What the facts say.
pub fn of_facts(facts: &Facts) -> Counts {
    let topology = &facts.topology;
    [&topology.sockets, &topology.cores, &topology.threads].map(|count| count.value().copied())
}

/// Compares; a difference must be a known one, with exactly these numbers.
pub fn compare(dump: &str, ours: Counts, theirs: Counts) -> Outcome {
    match deviations::of(dump) {
        Some(known) if (known.ours, known.theirs) == (ours, theirs) => Ok(()),
        Some(known) => Err(format!(
            "ours {ours:?}, theirs {theirs:?}; the known deviation has {:?} and {:?} ({})",
            known.ours, known.theirs, known.reason
        )),
        None if ours == theirs => Ok(()),
        None => Err(format!(
            "sockets, cores, threads: ours {ours:?}, theirs {theirs:?}"
        )),
    }
}

/// Every PCI function that the folder lists is there, with its ids where the dump holds them.
pub fn functions_are_parsed(
    facts: &Facts,
    listed: &[String],
    holds_ids: impl Fn(&str) -> bool,
) -> Outcome {
    let functions = match &facts.pci {
        Known::Value(functions) => functions.as_slice(),
        _ if listed.is_empty() => return Ok(()),
        other => {
            return Err(format!(
                "{} functions are listed, found {other:?}",
                listed.len()
            ));
        }
    };
    let found: Vec<&String> = functions.iter().map(|function| &function.address).collect();
    if found != listed.iter().collect::<Vec<_>>() {
        return Err(format!("listed {listed:?}, found {found:?}"));
    }
    let wrong = |function: &&PciFunction| function.ids.is_unknown() == holds_ids(&function.address);
    match functions.iter().find(wrong) {
        Some(function) => Err(format!("{}: {:?}", function.address, function.ids)),
        None => Ok(()),
    }
}
