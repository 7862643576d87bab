//! What kind of CPU this is, and what of it a hypervisor can use.

use super::{Context, parse};
use crate::hex;
use crate::known::Known;
use crate::root::{ReadError, Root};
use serde::{Deserialize, Serialize};

const CPUINFO: &str = "/proc/cpuinfo";
/// 8,192 CPUs of 2 KB each.
const CPUINFO_LIMIT: usize = 16 << 20;
/// What Xen tells its guests about itself; dom0 reads it without a device node.
const XEN_CAPABILITIES: &str = "/sys/hypervisor/properties/capabilities";

/// The first CPU; servers have no mixture.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// Hardware virtualization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

/// Why the flags of the CPU are not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum FlagsError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("{CPUINFO}: no line `flags`")]
    NoLine,
}

/// The lines of the first CPU in /proc/cpuinfo.
fn first_cpu(root: &Root) -> Result<Vec<(String, String)>, ReadError> {
    let text = root.text(CPUINFO, CPUINFO_LIMIT)?;
    let lines = text.lines().take_while(|line| !line.trim().is_empty());
    Ok(lines
        .filter_map(|line| line.split_once(':'))
        .map(|(k, v)| (k.trim().to_owned(), v.trim().to_owned()))
        .collect())
}

/// The `flags` line of the first CPU.
pub(super) fn flags(root: &Root) -> Result<Vec<String>, FlagsError> {
    let lines = first_cpu(root)?;
    let flags = lines
        .iter()
        .find(|(key, _)| key == "flags")
        .ok_or(FlagsError::NoLine)?;
    Ok(flags
        .1
        .split_ascii_whitespace()
        .map(str::to_owned)
        .collect())
}

/// Sources: `/proc/cpuinfo`; in dom0 Xen's capabilities; on the running system CPUID tells a locked VT-x from none.
pub(super) fn read(root: &Root, context: &Known<Context>) -> Cpu {
    let lines = first_cpu(root);
    let line = |key: &str| -> Known<String> {
        match &lines {
            Ok(lines) => match lines.iter().find(|(name, _)| name == key) {
                Some((_, value)) => Known::Value(value.clone()),
                None => Known::unknown(format!("{CPUINFO}: no line `{key}`")),
            },
            Err(error) => Known::unknown(error.to_string()),
        }
    };
    let number = |key: &str| line(key).and_then(|text| parse(CPUINFO, &text));
    let flags = line("flags");
    let has = |flag: &str| {
        flags
            .clone()
            .map(|flags| flags.split_ascii_whitespace().any(|name| name == flag))
    };
    let mut cpu = Cpu {
        sources: vec![CPUINFO.to_owned()],
        vendor: line("vendor_id"),
        family: number("cpu family"),
        model: number("model"),
        stepping: number("stepping"),
        model_name: line("model name"),
        microcode: line("microcode").and_then(|text| match hex::parse(&text) {
            Some(revision) => Known::Value(format!("{revision:#x}")),
            None => Known::unknown(format!("{CPUINFO}: `{text}` is no microcode revision")),
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
    };
    if context.value() == Some(&Context::Dom0) {
        correct_for_dom0(root, &mut cpu);
    } else if cpu.virtualization == Known::Value(Virtualization::Missing)
        && root.is_system()
        && cpuid_has_virtualization()
    {
        cpu.sources.push("CPUID".to_owned());
        cpu.virtualization = Known::Value(Virtualization::Locked);
    }
    cpu
}

/// Xen hides from dom0's flags what it uses itself: their absence says nothing.
fn correct_for_dom0(root: &Root, cpu: &mut Cpu) {
    cpu.sources.push(XEN_CAPABILITIES.to_owned());
    cpu.virtualization = match root.attribute(XEN_CAPABILITIES) {
        Ok(text) if text.split(' ').any(|word| word.starts_with("hvm-")) => {
            Known::Value(Virtualization::Hvm)
        }
        Ok(_) => Known::Value(Virtualization::Missing),
        Err(error) => Known::unknown(error.to_string()),
    };
    let hidden = |what: &mut Known<bool>| {
        if *what != Known::Value(true) {
            *what =
                Known::unknown("Xen hides it from dom0; check from the live system, without Xen");
        }
    };
    for fact in [
        &mut cpu.nested_paging,
        &mut cpu.nx,
        &mut cpu.cx16,
        &mut cpu.smep,
        &mut cpu.smap,
        &mut cpu.x2apic,
    ] {
        hidden(fact);
    }
}

/// Whether the CPU itself reports VT-x or AMD-V.
#[cfg(target_arch = "x86_64")]
fn cpuid_has_virtualization() -> bool {
    let cpuid = raw_cpuid::CpuId::new();
    cpuid
        .get_feature_info()
        .is_some_and(|features| features.has_vmx())
        || cpuid
            .get_extended_processor_and_feature_identifiers()
            .is_some_and(|features| features.has_svm())
}

#[cfg(not(target_arch = "x86_64"))]
fn cpuid_has_virtualization() -> bool {
    false
}

/// Name of the hypervisor by CPUID leaf 0x40000000.
#[cfg(target_arch = "x86_64")]
pub(super) fn hypervisor_by_cpuid() -> Option<String> {
    use raw_cpuid::Hypervisor;
    let name = match raw_cpuid::CpuId::new().get_hypervisor_info()?.identify() {
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

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn hypervisor_by_cpuid() -> Option<String> {
    None
}
