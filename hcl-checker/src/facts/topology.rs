//! How many sockets, cores and threads there are. A license counts sockets, so this counts by several ways and tells
//! where they differ.

use super::cpuinfo::CpuInfo;
use super::numa::{self, NumaNode};
use super::probes::Probes;
use super::smbios::{self, Table};
use super::xen::{XL_INFO, XenInfo};
use super::{Context, apic, cpuid};
use crate::known::Known;
use crate::root::Root;
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
    /// Cores that run: by the kernel's lists of siblings, else by CPUID.
    pub cores: Known<u32>,
    /// Hardware threads that run.
    pub threads: Known<u32>,
    /// NUMA nodes; not the same as sockets (two EPYC 7451 have eight).
    pub numa_nodes: Known<u32>,
    /// The nodes themselves.
    #[serde(deserialize_with = "super::list::few")]
    pub nodes: Known<Vec<NumaNode>>,
    /// Every way in which sockets were counted.
    #[serde(deserialize_with = "super::list::plain")]
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
    /// Different packages in the APIC ids, as CPUID tells what their bits mean.
    Cpuid,
    /// SMBIOS type 4: central processors, populated and enabled.
    Smbios,
    /// Different sockets in Xen's own topology, in dom0.
    Xen,
}

/// Sources: `/sys/devices/system/cpu/*/topology`, CPUID on the running system, the SMBIOS table (readable by root); in dom0
/// Xen's topology.
pub(super) fn read(
    probes: &Probes<'_>,
    context: &Known<Context>,
    cpuinfo: &CpuInfo,
    xen: &Known<XenInfo>,
    table: &Table,
) -> Topology {
    let root = probes.root;
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
    let (mut sockets, mut cores) = (kernel, count(&online, |cpu| core(root, cpu)));
    let mut threads = online.map(|cpus| cpus.len() as u32);
    if let Some(reader) = cpuid::reader(root) {
        let by_cpuid = apic::count(&reader, cpuinfo);
        sources.push("CPUID".to_owned());
        socket_counts.push(SocketCount {
            method: CountMethod::Cpuid,
            sockets: by_cpuid.clone().map(|count| count.packages),
        });
        sockets = sockets.or(|| by_cpuid.clone().map(|count| count.packages));
        cores = cores.or(|| by_cpuid.clone().map(|count| count.cores));
        threads = threads.or(|| by_cpuid.map(|count| count.threads));
    }
    sources.push(smbios::TABLE.to_owned());
    socket_counts.push(smbios);
    let nodes = if probes.for_all() {
        numa::read(root)
    } else {
        Known::default()
    };
    Topology {
        sources,
        sockets,
        cores,
        threads,
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn lists_are_bounded(text in "([0-9]{1,6}|[,-]|\\PC){0,12}") {
            if let Some(numbers) = parse_cpu_list(&text) {
                prop_assert!(numbers.len() <= CPU_LIST && !numbers.is_empty());
            }
        }
    }
}
