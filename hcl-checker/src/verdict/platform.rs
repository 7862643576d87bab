//! Findings about the machine as a whole: context, system, CPU, sockets, requirements.

use super::{Finding, Level, Subject};
use crate::facts::{Context, CountMethod, Facts};
use crate::hex;
use crate::known::Known;
use crate::list::{Entry, List, Otherwise};

/// Bare metal is what the other findings are for.
pub(super) fn context(facts: &Facts) -> Finding {
    let source = "/sys/hypervisor, /proc/cpuinfo, /sys/class/dmi/id";
    let finding = |rule: &str, level| Finding::new(rule, Subject::Context, level, false);
    match &facts.context {
        Known::Value(Context::Bare) => finding("context-bare", Level::Certified).observed("bare metal", source),
        Known::Value(Context::Guest { hypervisor }) => finding("context-guest", Level::Compatible)
            .observed(format!("a virtual machine of {hypervisor}"), source)
            .expected("bare metal")
            .advice("good for a trial; a virtual machine is never certified"),
        Known::Value(Context::Dom0) => finding("context-dom0", Level::Compatible)
            .observed("dom0 of Xen", source)
            .expected("bare metal")
            .advice("Xen hides the CPU's features, sockets and memory; for all of it check from the live system")
            .warning(),
        other => {
            let reason = other.reason().unwrap_or("nothing was told").to_owned();
            finding("context-unknown", Level::Unknown)
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
        return listed(entry, Subject::System, name.clone()).observed(name, &dmi.source);
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
        if let Some(least) = &entry.require.microcode_min {
            let new_enough = match (hex::parse(least), &cpu.microcode) {
                (Some(least), Known::Value(is)) => hex::parse(is).is_some_and(|is| is >= least),
                _ => false,
            };
            if !new_enough {
                finding = deviates(finding)
                    .expected(format!("microcode {least} or newer"))
                    .advice(format!(
                        "the microcode is {}; update the firmware of the machine",
                        cpu.microcode
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

/// Sockets are what a license counts, so two ways that differ are told.
pub(super) fn sockets(facts: &Facts) -> Option<Finding> {
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
        };
        format!("{way} {sockets}")
    });
    let told = told.collect::<Vec<_>>().join(", ");
    Some(
        Finding::new("sockets-disagree", Subject::Cpu, Level::Compatible, false)
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
    let judged = list.requirements.iter().map(|requirement| {
        let outcome = requirement.check.look(facts);
        let hard = requirement.otherwise == Otherwise::Unsupported;
        let level = match (&outcome.met, hard) {
            (Known::Value(true), _) => Level::Certified,
            (Known::Value(false), true) => Level::Unsupported,
            (Known::Value(false), false) => Level::CertifiedWithDeviation,
            (Known::Absent | Known::Unknown(_), _) => Level::Unknown,
        };
        let advice = if outcome.met == Known::Value(true) {
            ""
        } else {
            &requirement.advice
        };
        // What only warns when it is missing must not block when it is not known. As a deviation it still counts, so
        // nothing is certified in full with it.
        let essential = hard || level == Level::CertifiedWithDeviation;
        Finding::new(
            &requirement.id,
            requirement.check.subject(),
            level,
            essential,
        )
        .name(&requirement.expected)
        .observed(outcome.observed, outcome.source)
        .expected(&requirement.expected)
        .advice(advice)
    });
    judged.collect()
}

/// What an entry of the list says.
pub(super) fn listed(entry: &Entry, subject: Subject, name: String) -> Finding {
    let finding = Finding::new(&entry.id, subject, entry.level.into(), true).name(name);
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
    finding
}

/// Something is not as the entry demands.
pub(super) fn deviates(mut finding: Finding) -> Finding {
    if finding.level == Level::Certified {
        finding.level = Level::CertifiedWithDeviation;
    }
    finding.warning()
}
