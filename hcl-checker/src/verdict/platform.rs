//! Findings about the machine as a whole: context, system, CPU, sockets, requirements.

use super::{Finding, Level, Subject, constraints};
use crate::facts::{Context, CountMethod, Facts};
use crate::hex;
use crate::known::Known;
use crate::list::{Entry, List, Otherwise, Requirement};

/// Bare metal is what the other findings are for.
pub(super) fn context(facts: &Facts) -> Finding {
    let source = "/sys/hypervisor, /proc/cpuinfo, /sys/class/dmi/id";
    match &facts.context {
        Known::Value(Context::Bare) => {
            Finding::fine("context-bare", Subject::Context).observed("bare metal", source)
        }
        Known::Value(Context::Guest { hypervisor }) => Finding::fine("context-guest", Subject::Context)
            .observed(format!("a virtual machine ({hypervisor}): good for a trial, never certified"), source)
            .expected("bare metal"),
        Known::Value(Context::Dom0) => Finding::fine("context-dom0", Subject::Context)
            .observed("dom0 of Xen", source)
            .expected("bare metal")
            .advice("Xen hides the CPU's features, sockets and memory; for all of it check from the live system")
            .warning(),
        other => {
            let reason = other.reason().unwrap_or("nothing was told").to_owned();
            Finding::new("context-unknown", Subject::Context, Level::Unknown, false)
                .observed(reason, source)
                .expected("bare metal")
                .advice("without knowing whether this is a virtual machine nothing is certified")
        }
    }
}

/// The system by its names.
pub(super) fn system(facts: &Facts, list: &List) -> Finding {
    let dmi = &facts.dmi;
    let name = match (dmi.system_vendor.value(), dmi.product.value()) {
        (Some(vendor), Some(product)) => format!("{vendor} {product}"),
        (Some(one), None) | (None, Some(one)) => one.clone(),
        (None, None) => "system without a name".to_owned(),
    };
    if let Some(entry) = list.for_system(dmi) {
        let finding = listed(entry, Subject::System, name.clone()).observed(name, &dmi.source);
        return constraints::of_system(finding, entry, facts);
    }
    for unknown in [&dmi.system_vendor, &dmi.product] {
        if let Some(reason) = unknown.reason() {
            return Finding::new("unknown-system", Subject::System, Level::Unknown, true)
                .name(name)
                .observed(reason, &dmi.source)
                .expected("maker and product name of the system")
                .advice(
                    "run the check on the machine itself, with a kernel that has SMBIOS support",
                );
        }
    }
    Finding::new(
        "unlisted-system",
        Subject::System,
        Level::UnlistedWithDriver,
        true,
    )
    .name(name.clone())
    .observed(name, &dmi.source)
    .expected("a system of the list")
    .advice("nobody reported this model yet; its parts are judged one by one")
}

/// The CPU by its family and model.
pub(super) fn cpu(facts: &Facts, list: &List) -> Finding {
    let cpu = &facts.cpu;
    let source = cpu.sources.join(", ");
    let name = cpu
        .model_name
        .value()
        .or(cpu.vendor.value())
        .cloned()
        .unwrap_or_else(|| "CPU".to_owned());
    let observed = format!(
        "{name} (family {}, model {}, stepping {})",
        cpu.family, cpu.model, cpu.stepping
    );
    if let Some(entry) = list.for_cpu(cpu) {
        let mut finding = listed(entry, Subject::Cpu, name);
        // A hypervisor shows its guests a revision of its own making, and loads the microcode itself.
        let guest = matches!(facts.context.value(), Some(Context::Guest { .. }));
        if let Some(least) = entry.require.microcode_min.as_ref().filter(|_| !guest) {
            let new_enough = match (hex::parse(least), &cpu.microcode) {
                (Some(least), Known::Value(is)) => hex::parse(is).is_some_and(|is| is >= least),
                _ => false,
            };
            if !new_enough {
                finding = deviates(finding)
                    .expected(format!("microcode {least} or newer"))
                    .advice(format!(
                        "the microcode is {}: {}",
                        cpu.microcode,
                        entry
                            .deviation
                            .as_deref()
                            .unwrap_or("update the firmware of the machine")
                    ));
            }
        }
        return finding.observed(observed, source);
    }
    let reason = cpu
        .vendor
        .reason()
        .or(cpu.family.reason())
        .or(cpu.model.reason());
    if let Some(reason) = reason {
        return Finding::new("unknown-cpu", Subject::Cpu, Level::Unknown, true)
            .name(name)
            .observed(reason, source)
            .expected("vendor, family and model of the CPU")
            .advice("run the check on the machine itself");
    }
    Finding::new(
        "unlisted-cpu",
        Subject::Cpu,
        Level::UnlistedWithDriver,
        true,
    )
    .name(name)
    .observed(observed, source)
    .expected("a CPU family of the list")
    .advice("nobody reported this CPU yet; the requirements of Xen are checked all the same")
}

/// Sockets are what a license counts, so it is told where they cannot be counted, or two ways differ.
pub(super) fn sockets(facts: &Facts) -> Option<Finding> {
    if facts.topology.sockets.value().is_none() {
        let reason = facts.topology.sockets.reason().unwrap_or("none was found");
        return Some(
            Finding::new("unknown-sockets", Subject::Cpu, Level::Unknown, false)
                .name("sockets")
                .observed(reason, facts.topology.sources.join(", "))
                .expected("the number of sockets that hold a CPU")
                .advice(
                    "a license is counted in them; run the check on the machine itself, from the live system",
                ),
        );
    }
    let counted: Vec<(CountMethod, u32)> = facts
        .topology
        .socket_counts
        .iter()
        .filter_map(|count| {
            count
                .sockets
                .value()
                .map(|&sockets| (count.method, sockets))
        })
        .collect();
    let (_, first) = counted.first()?;
    if counted.iter().all(|(_, sockets)| sockets == first) {
        return None;
    }
    let told = counted.iter().map(|(method, sockets)| {
        let way = match method {
            CountMethod::Kernel => "the kernel counts",
            CountMethod::Cpuid => "CPUID counts",
            CountMethod::Smbios => "the firmware's table counts",
            CountMethod::Xen => "Xen counts",
        };
        format!("{way} {sockets}")
    });
    let told = told.collect::<Vec<_>>().join(", ");
    Some(
        Finding::fine("sockets-disagree", Subject::Cpu)
            .name("sockets")
            .observed(told, facts.topology.sources.join(", "))
            .expected("the same number of sockets by every count")
            .advice(format!(
                "a license counts {} here; report the machine if that is wrong",
                facts.topology.sockets
            ))
            .warning(),
    )
}

/// What every host must have.
pub(super) fn requirements(facts: &Facts, list: &List) -> Vec<Finding> {
    list.requirements()
        .iter()
        .map(|rule| requirement(facts, rule))
        .collect()
}

fn requirement(facts: &Facts, rule: &Requirement) -> Finding {
    let outcome = rule.check.look(facts);
    let hard = rule.otherwise == Otherwise::Unsupported;
    let subject = rule.check.subject();
    let (finding, advice) = match &outcome.met {
        Known::Value(true) => (Finding::fine(&rule.id, subject), String::new()),
        Known::Value(false) => {
            let level = if hard {
                Level::Unsupported
            } else {
                Level::CertifiedWithDeviation
            };
            (
                Finding::new(&rule.id, subject, level, true),
                rule.advice.clone(),
            )
        }
        // What only warns when it is missing must not block when it is not known.
        Known::Absent | Known::Unknown(_) => (
            Finding::new(&rule.id, subject, Level::Unknown, hard),
            format!(
                "check on the machine itself, from the live system; where it is missing: {}",
                rule.advice
            ),
        ),
    };
    finding
        .name(&rule.expected)
        .observed(outcome.observed, outcome.source)
        .expected(&rule.expected)
        .advice(advice)
}

/// What an entry of the list says.
pub(super) fn listed(entry: &Entry, subject: Subject, name: String) -> Finding {
    let finding = Finding::new(&entry.id, subject, entry.judged_level().into(), true).name(name);
    let finding = match &entry.caution {
        Some(caution) => finding.advice(caution).warning(),
        None => finding,
    };
    if entry.is_deny() {
        let why = entry
            .notes
            .as_deref()
            .unwrap_or("the list says that it does not work");
        return finding.advice(format!(
            "use another one: {why} See {}",
            entry.evidence.join(", ")
        ));
    }
    finding.notes(entry.notes.as_deref().unwrap_or_default())
}

/// Something is not as the entry demands.
pub(super) fn deviates(mut finding: Finding) -> Finding {
    if finding.level == Some(Level::Certified) {
        finding.level = Some(Level::CertifiedWithDeviation);
    }
    finding.warning()
}
