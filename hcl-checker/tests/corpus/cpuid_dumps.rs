//! What CPUID says on real machines.

use crate::cpuid::Leaves;
use crate::tree::Tree;
use crate::ways::lead_to_one_verdict;
use crate::{Outcome, counts, entries, trial};
use hcl_checker::Known;
use hcl_checker::facts::{CountMethod, Virtualization};
use libtest_mimic::Trial;
use std::fs;
use std::path::Path;

/// Every processor of a machine: sockets, cores and threads by the APIC ids alone.
pub fn hwloc(folder: &Path) -> Vec<Trial> {
    let dumps = entries(folder, |name| folder.join(name).is_dir());
    let tests = dumps.into_iter().map(|(name, dump)| {
        let output = folder.join(format!("{name}.output"));
        trial(format!("hwloc/x86/{name}"), move || {
            topology(&name, &dump, &output)
        })
    });
    tests.collect()
}

fn topology(name: &str, dump: &Path, output: &Path) -> Outcome {
    let mut cpuinfo = String::new();
    let mut first = None;
    let files = entries(dump, |file| {
        file.strip_prefix("pu")
            .is_some_and(|rest| rest.parse::<u32>().is_ok())
    });
    for (file, path) in files {
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let leaves = Leaves::of_hwloc(&text).ok_or(format!("{file}: is no CPUID dump"))?;
        cpuinfo += &format!(
            "processor\t: 0\nflags\t: lm\napicid\t\t: {}\n\n",
            leaves.apic_id()
        );
        if file == "pu0" {
            first = Some(leaves);
        }
    }
    let machine = Tree::empty();
    machine.file("proc/cpuinfo", cpuinfo).file(
        "run/hcl-checker/cpuid",
        first.ok_or("no first processor")?.to_text(),
    );
    let facts = machine.facts();
    lead_to_one_verdict(&machine.root(), &facts)?;
    let by_cpuid = facts
        .topology
        .socket_counts
        .iter()
        .find(|count| count.method == CountMethod::Cpuid);
    if by_cpuid.map(|count| &count.sockets) != Some(&facts.topology.sockets) {
        return Err(format!("not counted by CPUID: {:?}", facts.topology));
    }
    let expected = fs::read_to_string(output).map_err(|error| error.to_string())?;
    counts::compare(name, counts::of_facts(&facts), counts::of_hwloc(&expected))
}

/// One processor: what it has, told from what the kernel may use.
pub fn libvirt(folder: &Path) -> Vec<Trial> {
    let dumps = entries(folder, |name| {
        name.starts_with("x86_64-cpuid-") && name.ends_with(".xml")
    });
    let mut tests = Vec::new();
    for (name, path) in dumps {
        let text = fs::read_to_string(&path).unwrap_or_default();
        // The others are libvirt's conclusions from these.
        if !text.contains("<cpudata arch='x86'")
            || text.contains("<msr ") && !text.contains("<cpuid ")
        {
            continue;
        }
        if ["-enabled.xml", "-disabled.xml"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            continue;
        }
        tests.push(trial(format!("libvirt/cpuid/{name}"), move || {
            features(&text)
        }));
    }
    tests
}

fn features(text: &str) -> Outcome {
    const VMX: u32 = 1 << 5;
    const SVM: u32 = 1 << 2;
    const CET_SS: u32 = 1 << 7;
    let leaves = Leaves::of_libvirt(text).ok_or("is no CPUID dump")?;
    let machine = Tree::empty();
    // A kernel that may not use virtualization hides it, whatever the processor has.
    machine
        .file(
            "proc/cpuinfo",
            format!(
                "processor\t: 0\nflags\t: lm\napicid\t: {}\n\n",
                leaves.apic_id()
            ),
        )
        .file("run/hcl-checker/cpuid", leaves.to_text());
    let facts = machine.facts();
    lead_to_one_verdict(&machine.root(), &facts)?;
    let has_it = leaves.get(1, 0)[2] & VMX != 0 || leaves.get(0x8000_0001, 0)[2] & SVM != 0;
    let virtualization = if has_it {
        Virtualization::Locked
    } else {
        Virtualization::Missing
    };
    let checks = [
        (
            "virtualization",
            facts.cpu.virtualization == Known::Value(virtualization),
        ),
        (
            "shadow stacks",
            facts.cpu.cet_ss == Known::Value(leaves.get(7, 0)[2] & CET_SS != 0),
        ),
        ("one socket", facts.topology.sockets == Known::Value(1)),
        ("one thread", facts.topology.threads == Known::Value(1)),
    ];
    match checks.iter().find(|(_, right)| !right) {
        Some((what, _)) => Err(format!("{what}: {:?} {:?}", facts.cpu, facts.topology)),
        None => Ok(()),
    }
}
