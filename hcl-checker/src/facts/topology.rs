//! How many sockets, cores and threads there are. A license counts sockets, so this counts by several ways and tells
//! where they differ.

use super::cpuinfo::CpuInfo;
use super::numa::{self, NumaNode};
use super::smbios::{self, Table};
use super::xen::{XL_INFO, XenInfo};
use super::{Context, cpuid};
use crate::known::Known;
use crate::root::Root;
use raw_cpuid::CpuId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

const CPUS: &str = "/sys/devices/system/cpu";
/// List of 8,192 CPUs in ranges; longer than that it is none.
const CPU_LIST: usize = 65_536;

/// Numbers of processors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Topology {
    /// Where this was read.
    pub sources: Vec<String>,
    /// Sockets in use: what the kernel says, else what CPUID says; in dom0 what Xen says.
    pub sockets: Known<u32>,
    /// Cores that run.
    pub cores: Known<u32>,
    /// Hardware threads that run.
    pub threads: Known<u32>,
    /// NUMA nodes; not the same as sockets (two EPYC 7451 have eight).
    pub numa_nodes: Known<u32>,
    /// The nodes themselves.
    pub nodes: Known<Vec<NumaNode>>,
    /// Every way in which sockets were counted.
    pub socket_counts: Vec<SocketCount>,
}

/// Sockets, counted in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SocketCount {
    /// The way.
    pub method: CountMethod,
    /// The number.
    pub sockets: Known<u32>,
}

/// A way to count sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CountMethod {
    /// Different `physical_package_id` of CPUs that are online.
    Kernel,
    /// Different packages in the APIC ids, by CPUID leaves 1F or 0B.
    Cpuid,
    /// SMBIOS type 4: central processors, populated and enabled.
    Smbios,
    /// Different sockets in Xen's own topology, in dom0.
    Xen,
}

/// Sources: `/sys/devices/system/cpu/*/topology`, CPUID on the running system, the SMBIOS table (readable by root); in dom0
/// Xen's topology.
pub(super) fn read(
    root: &Root,
    context: &Known<Context>,
    cpuinfo: &CpuInfo,
    xen: &Known<XenInfo>,
    table: &Table,
) -> Topology {
    let smbios = SocketCount {
        method: CountMethod::Smbios,
        sockets: table.populated_sockets(),
    };
    if context.value() == Some(&Context::Dom0) {
        // dom0 sees one socket with more than a hundred threads on a core where there are two sockets.
        let of_xen = |count: fn(&XenInfo) -> Known<u32>| xen.clone().and_then(|xen| count(&xen));
        let sockets = of_xen(XenInfo::sockets);
        let nodes = xen.clone().and_then(|xen| xen.nodes());
        return Topology {
            sources: vec![XL_INFO.to_owned(), smbios::TABLE.to_owned()],
            socket_counts: vec![
                SocketCount {
                    method: CountMethod::Xen,
                    sockets: sockets.clone(),
                },
                smbios,
            ],
            sockets,
            cores: of_xen(XenInfo::cores),
            threads: of_xen(XenInfo::threads),
            numa_nodes: number_of(&nodes),
            nodes,
        };
    }
    let online = online_cpus(root);
    let kernel = count(&online, |cpu| package(root, cpu));
    let mut sources = vec![format!("{CPUS}/*/topology")];
    let mut socket_counts = vec![SocketCount {
        method: CountMethod::Kernel,
        sockets: kernel.clone(),
    }];
    let mut sockets = kernel;
    if let Some(cpuid) = cpuid::of(root) {
        let by_cpuid = packages_by_cpuid(&cpuid, cpuinfo);
        sources.push("CPUID".to_owned());
        socket_counts.push(SocketCount {
            method: CountMethod::Cpuid,
            sockets: by_cpuid.clone(),
        });
        sockets = sockets.or(|| by_cpuid);
    }
    sources.push(smbios::TABLE.to_owned());
    socket_counts.push(smbios);
    let nodes = numa::read(root);
    Topology {
        sources,
        sockets,
        cores: count(&online, |cpu| core(root, cpu)),
        threads: online.clone().map(|cpus| cpus.len() as u32),
        numa_nodes: number_of(&nodes),
        nodes,
        socket_counts,
    }
}

fn number_of(nodes: &Known<Vec<NumaNode>>) -> Known<u32> {
    nodes.clone().map(|nodes| nodes.len() as u32)
}

/// Names of the CPUs that run: those that the kernel lists as such, else those with a topology, but those that say they
/// are off.
fn online_cpus(root: &Root) -> Known<Vec<String>> {
    if let Ok(list) = root.attribute(&format!("{CPUS}/online"))
        && let Some(numbers) = parse_cpu_list(&list)
    {
        return Known::Value(
            numbers
                .iter()
                .map(|number| format!("cpu{number}"))
                .collect(),
        );
    }
    let names = match root.list(CPUS) {
        Ok(names) => names,
        Err(error) => return Known::unknown(error.to_string()),
    };
    let runs = |name: &String| {
        numbered(name, "cpu")
            && root.exists(&format!("{CPUS}/{name}/topology"))
            && !root
                .attribute(&format!("{CPUS}/{name}/online"))
                .is_ok_and(|text| text == "0")
    };
    let cpus: Vec<String> = names.into_iter().filter(runs).collect();
    if cpus.is_empty() {
        Known::unknown(format!("{CPUS}: no CPU has a topology"))
    } else {
        Known::Value(cpus)
    }
}

/// `0-3,8`; None for what is no such list, or an empty one.
pub(super) fn parse_cpu_list(text: &str) -> Option<BTreeSet<u32>> {
    let mut numbers = BTreeSet::new();
    for range in text.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last < first || last as usize >= CPU_LIST {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

/// Number of different keys; a CPU without one makes the number unknown.
fn count(cpus: &Known<Vec<String>>, key: impl Fn(&str) -> Known<String>) -> Known<u32> {
    cpus.clone().and_then(|cpus| {
        let mut seen = BTreeSet::new();
        for cpu in &cpus {
            match key(cpu) {
                Known::Value(key) => seen.insert(key),
                Known::Absent => return Known::Absent,
                Known::Unknown(unknown) => return Known::Unknown(unknown),
            };
        }
        Known::Value(seen.len() as u32)
    })
}

/// Number of the package; they are not contiguous (36 and 8442 were seen), and -1 stands for "not known".
fn package(root: &Root, cpu: &str) -> Known<String> {
    let path = format!("{CPUS}/{cpu}/topology/physical_package_id");
    match root.attribute(&path) {
        Ok(text) if text.parse::<u32>().is_ok() => Known::Value(text),
        Ok(text) => Known::unknown(format!(
            "{path}: `{}` names no package",
            super::shorten(&text)
        )),
        Err(error) => Known::unknown(error.to_string()),
    }
}

/// The threads of a core name it. `core_id` is no key: dies of one package repeat it.
fn core(root: &Root, cpu: &str) -> Known<String> {
    let names = [
        "core_cpus_list",
        "thread_siblings_list",
        "core_cpus",
        "thread_siblings",
    ];
    let found = names.iter().find_map(|name| {
        root.attribute(&format!("{CPUS}/{cpu}/topology/{name}"))
            .ok()
    });
    match found {
        Some(siblings) if !siblings.is_empty() => Known::Value(siblings),
        _ => Known::unknown(format!(
            "{CPUS}/{cpu}/topology: no list of the core's threads"
        )),
    }
}

/// `cpu12`, not `cpufreq`.
fn numbered(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix)
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Counts packages in the APIC ids of /proc/cpuinfo, by the width that CPUID gives to everything below a package.
fn packages_by_cpuid(cpuid: &CpuId<cpuid::Reader>, cpuinfo: &CpuInfo) -> Known<u32> {
    let levels = cpuid
        .get_extended_topology_info_v2()
        .or_else(|| cpuid.get_extended_topology_info());
    let width = levels.and_then(|levels| {
        levels
            .map(|level| level.shift_right_for_next_apic_id())
            .max()
    });
    let Some(width @ 0..=31) = width else {
        return Known::unknown("CPUID has neither leaf 1F nor 0B");
    };
    cpuinfo.text().and_then(|text| packages_of(text, width))
}

/// Different APIC ids without their lowest `width` bits.
fn packages_of(cpuinfo: &str, width: u32) -> Known<u32> {
    let ids = cpuinfo
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(key, _)| key.trim() == "apicid");
    let packages: BTreeSet<u32> = ids
        .filter_map(|(_, id)| id.trim().parse::<u32>().ok())
        .map(|id| id.checked_shr(width).unwrap_or(0))
        .collect();
    if packages.is_empty() {
        return Known::unknown("/proc/cpuinfo: no APIC id");
    }
    Known::Value(packages.len() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_cpus() {
        assert!(numbered("cpu0", "cpu") && numbered("cpu8191", "cpu"));
        assert!(
            !numbered("cpufreq", "cpu") && !numbered("cpu", "cpu") && !numbered("cpu1a", "cpu")
        );
    }

    #[test]
    fn lists_of_cpus() {
        assert_eq!(parse_cpu_list("0-2,8"), Some([0, 1, 2, 8].into()));
        for wrong in ["", "a", "3-1", "0-4294967295", "0,,1"] {
            assert_eq!(parse_cpu_list(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn packages_from_apic_ids() {
        // Two packages of four threads each, the second one far away.
        let text = "apicid\t\t: 0\n\napicid\t\t: 3\ninitial apicid\t: 3\n\napicid\t\t: 64\n\napicid : 67\n";
        assert_eq!(packages_of(text, 2), Known::Value(2));
        assert_eq!(packages_of(text, 0), Known::Value(4));
        assert!(packages_of("apicid : x\n", 2).is_unknown());
    }
}
