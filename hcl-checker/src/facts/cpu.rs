//! What kind of CPU this is, and what of it a hypervisor can use.

use super::cpuid::Reader;
use super::cpuinfo::{CPUINFO, CpuInfo};
use super::probes::{Probes, Question};
use super::xen::{self, XL_INFO, XenInfo};
use super::{Context, cpuid, parse};
use crate::hex;
use crate::known::Known;
use crate::root::Root;
use raw_cpuid::CpuId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

const VULNERABILITIES: &str = "/sys/devices/system/cpu/vulnerabilities";
/// `IA32_FEATURE_CONTROL`: bit 0 locks it, bit 2 lets VT-x be used (Intel SDM volume 4).
const FEATURE_CONTROL: u32 = 0x3a;
/// `VM_CR`: bit 4 keeps AMD-V from being used (AMD APM volume 2, 15.30.1).
const VM_CR: u32 = 0xc001_0114;
/// What Xen tells its guests about itself; dom0 reads it without a device node.
const XEN_CAPABILITIES: &str = "/sys/hypervisor/properties/capabilities";

/// The first CPU; servers have no mixture.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Cpu {
    /// Where this was read.
    pub sources: Vec<String>,
    /// `GenuineIntel`, `AuthenticAMD`, ...
    pub vendor: Known<String>,
    /// Display family (extended family added).
    pub family: Known<u32>,
    /// Display model (extended model added).
    pub model: Known<u32>,
    /// Stepping.
    pub stepping: Known<u32>,
    /// Brand string.
    pub model_name: Known<String>,
    /// Revision of the loaded microcode, written in hexadecimal.
    pub microcode: Known<String>,
    /// 64-bit mode.
    pub long_mode: Known<bool>,
    /// Pages that cannot be executed.
    pub nx: Known<bool>,
    /// `CMPXCHG16B`.
    pub cx16: Known<bool>,
    /// VT-x or AMD-V.
    pub virtualization: Known<Virtualization>,
    /// Nested paging: EPT or NPT.
    pub nested_paging: Known<bool>,
    /// Supervisor mode execution prevention.
    pub smep: Known<bool>,
    /// Supervisor mode access prevention.
    pub smap: Known<bool>,
    /// x2APIC.
    pub x2apic: Known<bool>,
    /// Pages of 1 GiB, with which memory of big guests is mapped.
    pub pages_1gib: Known<bool>,
    /// A time stamp counter that runs evenly in all power states: guests may use it as their clock.
    pub invariant_tsc: Known<bool>,
    /// AES instructions.
    pub aes: Known<bool>,
    /// Random numbers by the CPU.
    pub rdrand: Known<bool>,
    /// Process context identifiers, which make Xen's page table isolation cheap.
    pub pcid: Known<bool>,
    /// `INVPCID`.
    pub invpcid: Known<bool>,
    /// User mode instruction prevention.
    pub umip: Known<bool>,
    /// Shadow stacks, with which Xen protects itself.
    pub cet_ss: Known<bool>,
    /// Whether firmware locked hardware virtualization off, by the register for it. Only `--deep` reads that: it needs
    /// a device node.
    pub virtualization_locked: Known<bool>,
    /// Weaknesses by the running kernel's knowledge, and what it does about each. dom0 cannot tell what Xen does.
    #[serde(deserialize_with = "super::list::few")]
    pub vulnerabilities: Known<Vec<Vulnerability>>,
}

/// A weakness of the CPU.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Vulnerability {
    /// `spectre_v2`, `mds`, ...
    pub name: String,
    /// `Not affected`, `Mitigation: ...`, `Vulnerable: ...`.
    pub state: Known<String>,
}

impl Vulnerability {
    /// Whether the kernel says that nothing keeps it from being used.
    pub fn is_open(&self) -> bool {
        let state = self.state.value();
        state.is_some_and(|state| state.starts_with("Vulnerable"))
    }

    /// Whether the kernel says that this CPU does not have it (`drivers/base/cpu.c`, `arch/x86/kernel/cpu/bugs.c`).
    pub fn is_none(&self) -> bool {
        self.state
            .value()
            .is_some_and(|state| state == "Not affected")
    }
}

/// Hardware virtualization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Virtualization {
    /// Intel VT-x.
    Vmx,
    /// AMD-V.
    Svm,
    /// Xen says that it can run guests by hardware (seen from dom0, which does not tell VT-x from AMD-V).
    Hvm,
    /// The CPU has it, and the kernel may not use it: firmware locked it off.
    Locked,
    /// The kernel does not see it: the CPU lacks it, or firmware locked it off and the CPU could not be asked.
    Missing,
}

/// Sources: `/proc/cpuinfo`, `/sys/devices/system/cpu/vulnerabilities`; in dom0 what Xen says; CPUID where it can be asked.
pub(super) fn read(
    probes: &Probes<'_>,
    context: &Known<Context>,
    cpuinfo: &CpuInfo,
    xen: &Known<XenInfo>,
) -> Cpu {
    let root = probes.root;
    let mut cpu = by_kernel(CPUINFO, |key| cpuinfo.line(key).map(str::to_owned));
    cpu.sources.push(VULNERABILITIES.to_owned());
    cpu.vulnerabilities = match probes.for_all() {
        true => vulnerabilities(root),
        false => known_to_be_told(root),
    };
    cpu.virtualization_locked = locked(probes, cpuinfo);
    if context.value() == Some(&Context::Dom0) {
        correct_for_dom0(probes, xen, &mut cpu);
    } else if let Some(cpuid) = cpuid::of(root) {
        correct_by_cpuid(&cpuid, &mut cpu);
    }
    // Older kernels show the flag all the same. In dom0 it is Xen that says whether it could be switched on.
    let by_flag = [
        Virtualization::Missing,
        Virtualization::Vmx,
        Virtualization::Svm,
    ];
    if cpu.virtualization_locked == Known::Value(true)
        && context.value() != Some(&Context::Dom0)
        && cpu
            .virtualization
            .value()
            .is_some_and(|found| by_flag.contains(found))
    {
        cpu.virtualization = Known::Value(Virtualization::Locked);
    }
    cpu
}

/// What the kernel says, by the names that its `/proc/cpuinfo` has for the lines; `line` gives the text of one.
pub(super) fn by_kernel(source: &str, line: impl Fn(&str) -> Known<String>) -> Cpu {
    let number = |key: &str| line(key).and_then(|text| parse(source, &text));
    let flags = line("flags").map(|flags| {
        let names = flags.split_ascii_whitespace().map(str::to_owned);
        names.collect::<BTreeSet<String>>()
    });
    let has = |flag: &str| match &flags {
        Known::Value(flags) => Known::Value(flags.contains(flag)),
        Known::Absent => Known::Absent,
        Known::Unknown(unknown) => Known::Unknown(unknown.clone()),
    };
    let both =
        |one: &str, other: &str| has(one).and_then(|one| has(other).map(|other| one && other));
    Cpu {
        sources: vec![source.to_owned()],
        vendor: line("vendor_id"),
        family: number("cpu family"),
        model: number("model"),
        stepping: number("stepping"),
        model_name: line("model name"),
        microcode: line("microcode").and_then(|text| match hex::parse(&text) {
            Some(revision) => Known::Value(format!("{revision:#x}")),
            None => Known::unknown(format!("{source}: `{text}` is no microcode revision")),
        }),
        long_mode: has("lm"),
        nx: has("nx"),
        cx16: has("cx16"),
        virtualization: match (has("vmx"), has("svm")) {
            (Known::Value(true), _) => Known::Value(Virtualization::Vmx),
            (_, Known::Value(true)) => Known::Value(Virtualization::Svm),
            (Known::Value(_), _) => Known::Value(Virtualization::Missing),
            (Known::Unknown(unknown), _) => Known::Unknown(unknown),
            (Known::Absent, _) => Known::Absent,
        },
        nested_paging: match (has("ept"), has("npt")) {
            (Known::Value(ept), Known::Value(npt)) => Known::Value(ept || npt),
            (other, _) => other,
        },
        smep: has("smep"),
        smap: has("smap"),
        x2apic: has("x2apic"),
        pages_1gib: has("pdpe1gb"),
        invariant_tsc: both("constant_tsc", "nonstop_tsc"),
        aes: has("aes"),
        rdrand: has("rdrand"),
        pcid: has("pcid"),
        invpcid: has("invpcid"),
        umip: has("umip"),
        // The kernel has no flag for it as such, only for its own use of it.
        cet_ss: match has("user_shstk") {
            Known::Value(false) => {
                Known::unknown("the kernel does not use it, and CPUID could not be asked")
            }
            known => known,
        },
        virtualization_locked: Known::unknown(format!("{source}: does not tell it")),
        vulnerabilities: Known::unknown(format!("{source}: does not tell them")),
    }
}

/// Asks the register that firmware locks virtualization off with.
fn locked(probes: &Probes<'_>, cpuinfo: &CpuInfo) -> Known<bool> {
    cpuinfo.line("vendor_id").and_then(|vendor| {
        let (register, is_locked): (u32, fn(u64) -> bool) = match vendor {
            "GenuineIntel" => (FEATURE_CONTROL, |value| value & 1 != 0 && value & 4 == 0),
            "AuthenticAMD" | "HygonGenuine" => (VM_CR, |value| value & 0x10 != 0),
            other => {
                return Known::unknown(format!("{CPUINFO}: no known register for it on {other}"));
            }
        };
        probes
            .ask_deep(&Question::Msr(register))
            .and_then(|text| match hex::parse(&text) {
                Some(value) => Known::Value(is_locked(value)),
                None => Known::unknown(format!(
                    "`{}` is no value of a register",
                    super::shorten(&text)
                )),
            })
    })
}

/// CPUID tells a locked VT-x from none, and shadow stacks that the kernel does not use.
fn correct_by_cpuid(cpuid: &CpuId<Reader>, cpu: &mut Cpu) {
    cpu.sources.push("CPUID".to_owned());
    let has_vmx = cpuid
        .get_feature_info()
        .is_some_and(|features| features.has_vmx());
    let has_svm = cpuid
        .get_extended_processor_and_feature_identifiers()
        .is_some_and(|features| features.has_svm());
    if cpu.virtualization == Known::Value(Virtualization::Missing) && (has_vmx || has_svm) {
        cpu.virtualization = Known::Value(Virtualization::Locked);
    }
    let features = cpuid.get_extended_feature_info();
    cpu.cet_ss = Known::Value(features.is_some_and(|features| features.has_cet_ss()));
}

/// A weakness that a verdict asks for: later steppings of the same models do not have it.
const L1TF: &str = "l1tf";

fn vulnerabilities(root: &Root) -> Known<Vec<Vulnerability>> {
    match root.list(VULNERABILITIES) {
        Ok(names) => {
            let read = |name: String| vulnerability(root, &name);
            Known::Value(names.into_iter().map(read).collect())
        }
        Err(error) => Known::unknown(error.to_string()),
    }
}

/// Those that a verdict asks for, without a look at the others.
fn known_to_be_told(root: &Root) -> Known<Vec<Vulnerability>> {
    Known::Value(vec![vulnerability(root, L1TF)])
}

fn vulnerability(root: &Root, name: &str) -> Vulnerability {
    Vulnerability {
        name: name.to_owned(),
        state: root.attribute(&format!("{VULNERABILITIES}/{name}")).into(),
    }
}

/// Xen hides from dom0's flags what it uses itself: their absence says nothing. Its own list of features does.
fn correct_for_dom0(probes: &Probes<'_>, xen: &Known<XenInfo>, cpu: &mut Cpu) {
    cpu.sources
        .extend([XEN_CAPABILITIES.to_owned(), XL_INFO.to_owned()]);
    let features = match xen.clone().and_then(|xen| xen.features()) {
        Known::Value(features) => Known::Value(features),
        without => {
            let asked = probes.ask(&Question::XenCpuid);
            without.or(|| asked.and_then(|text| xen::host_features(&text)))
        }
    };
    // Word and bit, by Xen's public/arch-x86/cpufeatureset.h.
    let has = |word: usize, bit: u32| match &features {
        Known::Value(words) => words.get(word).map(|word| word & (1 << bit) != 0),
        Known::Absent | Known::Unknown(_) => None,
    };
    cpu.virtualization = match probes.root.attribute(XEN_CAPABILITIES) {
        Ok(text) if text.split(' ').any(|word| word.starts_with("hvm-")) => {
            Known::Value(match (has(1, 5), has(3, 2)) {
                (Some(true), _) => Virtualization::Vmx,
                (_, Some(true)) => Virtualization::Svm,
                _ => Virtualization::Hvm,
            })
        }
        Ok(_) => Known::Value(Virtualization::Missing),
        Err(error) => Known::unknown(error.to_string()),
    };
    let nested_paging = xen.clone().and_then(|xen| xen.has_virt_cap("hap"));
    let reason = match (&features, xen) {
        (Known::Unknown(unknown), _) | (_, Known::Unknown(unknown)) => &*unknown.reason,
        _ => "Xen does not tell it",
    };
    let correct = |what: &mut Known<bool>, by_xen: Option<bool>| match by_xen {
        Some(there) => *what = Known::Value(there),
        None if *what == Known::Value(true) => {}
        None => {
            *what = Known::unknown(format!(
                "Xen hides it from dom0 ({reason}); check from the live system, without Xen"
            ));
        }
    };
    correct(&mut cpu.nested_paging, nested_paging.value().copied());
    correct(&mut cpu.long_mode, has(2, 29));
    correct(&mut cpu.nx, has(2, 20));
    correct(&mut cpu.pages_1gib, has(2, 26));
    correct(&mut cpu.cx16, has(1, 13));
    correct(&mut cpu.pcid, has(1, 17));
    correct(&mut cpu.x2apic, has(1, 21));
    correct(&mut cpu.aes, has(1, 25));
    correct(&mut cpu.rdrand, has(1, 30));
    correct(&mut cpu.smep, has(5, 7));
    correct(&mut cpu.invpcid, has(5, 10));
    correct(&mut cpu.smap, has(5, 20));
    correct(&mut cpu.umip, has(6, 2));
    correct(&mut cpu.cet_ss, has(6, 7));
    correct(&mut cpu.invariant_tsc, has(7, 8));
}

/// Name of the hypervisor by CPUID leaf 0x40000000.
pub(super) fn hypervisor(cpuid: &CpuId<Reader>) -> Option<String> {
    use raw_cpuid::Hypervisor;
    let name = match cpuid.get_hypervisor_info()?.identify() {
        Hypervisor::Xen => "Xen",
        Hypervisor::VMware => "VMware",
        Hypervisor::HyperV => "Hyper-V",
        Hypervisor::KVM => "KVM",
        Hypervisor::QEMU => "QEMU",
        Hypervisor::Bhyve => "bhyve",
        Hypervisor::QNX => "QNX",
        Hypervisor::ACRN => "ACRN",
        Hypervisor::Unknown(..) => return None,
    };
    Some(name.to_owned())
}
