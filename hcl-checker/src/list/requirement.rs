//! What a machine must have, whoever made it.

use super::CpuMatch;
use crate::date::Date;
use crate::facts::{Context, Facts, IommuKind, Virtualization, Vulnerability, Xen};
use crate::known::Known;
use crate::verdict::Subject;
use serde::{Deserialize, Serialize};

/// One demand of the hypervisor or the appliance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// Name of the rule, the same for ever.
    pub id: String,
    /// What is looked at.
    pub check: Check,
    /// What follows where it is not met.
    pub otherwise: Otherwise,
    /// What should be there, for a person.
    pub expected: String,
    /// What to do where it is not.
    pub advice: String,
    /// Where that is known from.
    pub evidence: Vec<String>,
    /// When it was last reviewed.
    pub date: Date,
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// A feature of the CPU that must be there.
    Cpu(CpuFeature),
    /// Memory that the kernel must at least manage, MiB.
    MemoryAtLeastMib(u64),
    /// Memory that is used at most, MiB.
    MemoryAtMostMib(u64),
    /// Hardware threads that are used at most.
    ThreadsAtMost(u32),
    /// An IOMMU that remaps interrupts.
    Iommu,
    /// CPUs whose threads of one core can read from each other, so that they are to run one thread a core.
    OneThreadACore {
        /// These.
        on: Vec<CpuMatch>,
        /// What the kernel calls the weakness (`l1tf`): a CPU of which it says that it is not affected is none of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
}

/// Features of the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CpuFeature {
    /// 64-bit mode.
    LongMode,
    /// Pages that cannot be executed.
    Nx,
    /// `CMPXCHG16B`.
    Cx16,
    /// VT-x or AMD-V, and usable.
    Virtualization,
    /// EPT or NPT.
    NestedPaging,
    /// Supervisor mode execution prevention.
    Smep,
    /// Supervisor mode access prevention.
    Smap,
}

/// What follows where a requirement is not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// The machine cannot be a host.
    Unsupported,
    /// It can, and something is lost.
    Warn,
}

/// What a requirement found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Whether it is met.
    pub(crate) met: Known<bool>,
    /// What was seen, for a person.
    pub(crate) observed: String,
    /// Where.
    pub(crate) source: String,
}

impl Check {
    /// What it is about.
    pub fn subject(&self) -> Subject {
        match self {
            Self::Cpu(_) | Self::ThreadsAtMost(_) | Self::Iommu | Self::OneThreadACore { .. } => {
                Subject::Cpu
            }
            Self::MemoryAtLeastMib(_) | Self::MemoryAtMostMib(_) => Subject::Memory,
        }
    }

    /// Looks at the facts.
    pub(crate) fn look(&self, facts: &Facts) -> Outcome {
        match self {
            Self::Cpu(feature) => feature.look(facts),
            Self::MemoryAtLeastMib(least) => memory(facts, |mib| mib >= *least),
            Self::MemoryAtMostMib(most) => memory(facts, |mib| mib <= *most),
            Self::ThreadsAtMost(most) => Outcome {
                met: facts
                    .topology
                    .threads
                    .clone()
                    .map(|threads| threads <= *most),
                observed: facts
                    .topology
                    .threads
                    .clone()
                    .map(|threads| format!("{threads} threads"))
                    .to_string(),
                source: facts.topology.sources.join(", "),
            },
            Self::Iommu => iommu(facts),
            Self::OneThreadACore { on, by } => one_thread_a_core(facts, on, by.as_deref()),
        }
    }
}

fn iommu(facts: &Facts) -> Outcome {
    let acpi = &facts.acpi;
    if matches!(facts.context.value(), Some(Context::Guest { .. })) {
        return Outcome {
            met: Known::Value(true),
            observed: "a virtual machine, whose devices are its host's affair".to_owned(),
            source: acpi.source.clone(),
        };
    }
    if facts.context.value() == Some(&Context::Dom0)
        && acpi.iommu != Known::Absent
        && let Some(by_xen) = iommu_of_xen(facts)
    {
        return by_xen;
    }
    let observed = match &acpi.iommu {
        Known::Value(iommu) => {
            let name = match iommu.kind {
                IommuKind::VtD => "VT-d",
                IommuKind::AmdVi => "AMD-Vi",
            };
            match &iommu.interrupt_remapping {
                Known::Value(true) => format!("{name} that remaps interrupts"),
                Known::Value(false) => format!("{name} that does not remap interrupts"),
                other => format!("{name}, interrupt remapping {other}"),
            }
        }
        Known::Absent => "the firmware describes none".to_owned(),
        Known::Unknown(unknown) => format!("unknown ({})", unknown.reason),
    };
    Outcome {
        met: match acpi.iommu.clone() {
            Known::Absent => Known::Value(false),
            known => known.and_then(|iommu| iommu.interrupt_remapping),
        },
        observed,
        source: acpi.source.clone(),
    }
}

/// What Xen makes of the IOMMU, where it does not use it or does not tell: it leaves out those with errata, and all where its
/// options or the CPU say so. None where it uses it: then the table says whether it remaps interrupts.
fn iommu_of_xen(facts: &Facts) -> Option<Outcome> {
    let caps = facts.xen.clone().and_then(|xen| xen.virt_caps);
    let source = |xen: &Known<Xen>| {
        xen.value()
            .map(|xen| xen.source.clone())
            .unwrap_or_default()
    };
    let (met, observed) = match caps {
        Known::Value(caps) if caps.iter().any(|cap| cap == "hvm_directio") => return None,
        Known::Value(_) => (
            Known::Value(false),
            "Xen uses none: it tells no hvm_directio".to_owned(),
        ),
        Known::Absent => (
            Known::unknown("Xen told nothing"),
            "unknown (Xen told nothing)".to_owned(),
        ),
        Known::Unknown(unknown) => {
            let observed = format!("unknown ({})", unknown.reason);
            (Known::Unknown(unknown), observed)
        }
    };
    Some(Outcome {
        met,
        observed,
        source: source(&facts.xen),
    })
}

/// A CPU that is none of `cpus` is met, however many threads it runs, and so is one that the kernel says does not have the
/// weakness; nothing is known of one that is not known itself.
fn one_thread_a_core(facts: &Facts, cpus: &[CpuMatch], weakness: Option<&str>) -> Outcome {
    let (cpu, topology) = (&facts.cpu, &facts.topology);
    let outcome = |met, observed: String, sources: &[String]| Outcome {
        met,
        observed,
        source: sources.join(", "),
    };
    let told = cpu.vulnerabilities.value().into_iter().flatten();
    let is_none = |found: &Vulnerability| Some(&*found.name) == weakness && found.is_none();
    if told.into_iter().any(is_none) {
        let observed = "the kernel says that the CPU is not affected".to_owned();
        return outcome(Known::Value(true), observed, &cpu.sources);
    }
    let fits: Vec<Known<bool>> = cpus.iter().map(|listed| listed.fits(cpu)).collect();
    if !fits.contains(&Known::Value(true)) {
        let (met, observed) = match fits.into_iter().find(Known::is_unknown) {
            None => (
                Known::Value(true),
                "the CPU is none of those that need it".to_owned(),
            ),
            Some(unknown) => {
                let observed = unknown.to_string();
                (unknown, observed)
            }
        };
        return outcome(met, observed, &cpu.sources);
    }
    let counts = (topology.threads.clone())
        .and_then(|threads| (topology.cores.clone()).map(|cores| (threads, cores)));
    let observed = match &counts {
        Known::Value((threads, cores)) => {
            format!("a CPU that needs it, with {threads} threads on {cores} cores")
        }
        other => format!(
            "a CPU that needs it, threads and cores {}",
            other.reason().unwrap_or("none")
        ),
    };
    outcome(
        counts.map(|(threads, cores)| threads <= cores),
        observed,
        &topology.sources,
    )
}

fn memory(facts: &Facts, fits: impl Fn(u64) -> bool) -> Outcome {
    let mib = facts.memory.total_bytes.clone().map(|bytes| bytes >> 20);
    Outcome {
        observed: match &mib {
            Known::Value(mib) => format!("{mib} MiB {}", facts.memory.total_means()),
            other => other.to_string(),
        },
        met: mib.map(fits),
        source: facts.memory.source.clone(),
    }
}

/// Facts that were put together elsewhere may hold a flag beside a register that says it is locked.
fn virtualization(facts: &Facts) -> Known<Virtualization> {
    let cpu = &facts.cpu;
    let locked = cpu.virtualization_locked == Known::Value(true)
        && facts.context.value() != Some(&Context::Dom0);
    cpu.virtualization.clone().map(|found| match found {
        Virtualization::Vmx | Virtualization::Svm if locked => Virtualization::Locked,
        found => found,
    })
}

impl CpuFeature {
    fn look(self, facts: &Facts) -> Outcome {
        let cpu = &facts.cpu;
        let source = cpu.sources.join(", ");
        let flag = |flag: &Known<bool>| Outcome {
            met: flag.clone(),
            observed: match flag {
                Known::Value(true) => "present".to_owned(),
                Known::Value(false) => "missing".to_owned(),
                other => other.to_string(),
            },
            source: source.clone(),
        };
        match self {
            Self::LongMode => flag(&cpu.long_mode),
            Self::Nx => flag(&cpu.nx),
            Self::Cx16 => flag(&cpu.cx16),
            Self::NestedPaging => flag(&cpu.nested_paging),
            Self::Smep => flag(&cpu.smep),
            Self::Smap => flag(&cpu.smap),
            Self::Virtualization => Outcome {
                met: virtualization(facts).map(|found| {
                    !matches!(found, Virtualization::Locked | Virtualization::Missing)
                }),
                observed: match &virtualization(facts) {
                    Known::Value(Virtualization::Vmx) => "VT-x".to_owned(),
                    Known::Value(Virtualization::Svm) => "AMD-V".to_owned(),
                    Known::Value(Virtualization::Hvm) => "used by Xen".to_owned(),
                    Known::Value(Virtualization::Locked) => {
                        "in the CPU, but locked off by the firmware".to_owned()
                    }
                    Known::Value(Virtualization::Missing) => {
                        "the kernel sees neither VT-x nor AMD-V".to_owned()
                    }
                    Known::Absent => "none".to_owned(),
                    Known::Unknown(unknown) => format!("unknown ({})", unknown.reason),
                },
                source,
            },
        }
    }
}
