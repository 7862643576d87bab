//! What Xen tells its dom0 about the machine that it hides from it.

use super::numa::{NumaNode, cpu_list};
use super::probes::{Probes, Question};
use super::{Context, parse};
use crate::known::Known;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How the facts of `xl info -n` name their source.
pub(super) const XL_INFO: &str = "xl info -n";
/// Lines of each table that are read: more CPUs than Xen can have.
const ROWS: usize = 65_536;

/// The running hypervisor, seen from dom0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Xen {
    /// Where this was read.
    pub source: String,
    /// `4.20.5-pre`.
    pub version: Known<String>,
    /// What it was started with.
    pub command_line: Known<String>,
    /// What guests can have of the hardware: `pv`, `hvm`, `hap`, `hvm_directio`, ...
    pub virt_caps: Known<Vec<String>>,
    /// Memory that Xen manages, bytes.
    pub total_memory_bytes: Known<u64>,
    /// Memory that nobody has, bytes.
    pub free_memory_bytes: Known<u64>,
    /// CPUs that it uses.
    pub cpus: Known<u32>,
}

/// Output of `xl info -n`, taken apart.
#[derive(Debug, Clone, Default)]
pub(super) struct XenInfo {
    lines: BTreeMap<String, String>,
    cpus: Vec<XenCpu>,
    /// Number and bytes.
    nodes: Vec<(u32, u64)>,
}

/// A CPU by Xen's topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct XenCpu {
    number: u32,
    core: u32,
    socket: u32,
    node: u32,
}

/// Asks Xen. `Absent` outside of dom0.
pub(super) fn ask(probes: &Probes<'_>, context: &Known<Context>) -> Known<XenInfo> {
    match context {
        Known::Value(Context::Dom0) => probes.ask(&Question::XenInfo).and_then(|text| {
            let info = XenInfo::parse(&text);
            if info.lines.contains_key("xen_version") {
                Known::Value(info)
            } else {
                Known::unknown(format!("{XL_INFO}: names no version of Xen"))
            }
        }),
        Known::Value(Context::Bare | Context::Guest { .. }) | Known::Absent => Known::Absent,
        Known::Unknown(unknown) => Known::Unknown(unknown.clone()),
    }
}

impl XenInfo {
    /// The format is that of Xen's tools/xl/xl_info.c: `name : value`, and tables below `cpu_topology`, `device topology`
    /// and `numa_info`.
    fn parse(text: &str) -> Self {
        let mut info = Self::default();
        let mut table = "";
        for line in text.lines() {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let (name, value) = (name.trim(), value.trim());
            match (table, name.parse::<u32>()) {
                ("cpu_topology", Ok(number)) => {
                    let mut columns = value.split_ascii_whitespace().map(str::parse);
                    if let (Some(Ok(core)), Some(Ok(socket)), Some(Ok(node))) =
                        (columns.next(), columns.next(), columns.next())
                        && info.cpus.len() < ROWS
                    {
                        info.cpus.push(XenCpu {
                            number,
                            core,
                            socket,
                            node,
                        });
                    }
                }
                ("numa_info", Ok(number)) => {
                    let size = value.split_ascii_whitespace().next().map(str::parse::<u64>);
                    if let Some(Ok(mib)) = size
                        && info.nodes.len() < ROWS
                    {
                        info.nodes.push((number, mib.saturating_mul(1 << 20)));
                    }
                }
                _ if matches!(name, "cpu_topology" | "numa_info" | "device topology") => {
                    table = if name == "device topology" { "" } else { name };
                }
                (_, Err(_)) => {
                    info.lines.insert(name.to_owned(), value.to_owned());
                }
                (_, Ok(_)) => {}
            }
        }
        info
    }

    fn line(&self, name: &str) -> Known<String> {
        match self.lines.get(name) {
            Some(value) => Known::Value(value.clone()),
            None => Known::unknown(format!("{XL_INFO}: no line `{name}`")),
        }
    }

    fn mebibytes(&self, name: &str) -> Known<u64> {
        self.line(name)
            .and_then(|text| parse::<u64>(XL_INFO, &text))
            .map(|mib| mib.saturating_mul(1 << 20))
    }

    /// The facts for themselves.
    pub(super) fn facts(&self) -> Xen {
        Xen {
            source: XL_INFO.to_owned(),
            version: self.line("xen_version"),
            command_line: self.line("xen_commandline"),
            virt_caps: self.line("virt_caps").map(|text| {
                let words = text.split_ascii_whitespace();
                words.map(str::to_owned).collect()
            }),
            total_memory_bytes: self.total_memory(),
            free_memory_bytes: self.mebibytes("free_memory"),
            cpus: self.number_of_cpus(),
        }
    }

    fn number_of_cpus(&self) -> Known<u32> {
        self.line("nr_cpus").and_then(|text| parse(XL_INFO, &text))
    }

    /// Bytes that Xen manages.
    pub(super) fn total_memory(&self) -> Known<u64> {
        self.mebibytes("total_memory")
    }

    /// Whether guests can have something of the hardware; an `hvm` there is no `hvm_directio`.
    pub(super) fn has_virt_cap(&self, cap: &str) -> Known<bool> {
        self.line("virt_caps")
            .map(|text| text.split_ascii_whitespace().any(|word| word == cap))
    }

    /// Different sockets of CPUs. Not `nr_cpus` over `cores_per_socket`: that is the first socket's number of cores.
    pub(super) fn sockets(&self) -> Known<u32> {
        self.count(|cpu| (cpu.socket, 0))
    }

    /// Different cores of all sockets.
    pub(super) fn cores(&self) -> Known<u32> {
        self.count(|cpu| (cpu.socket, cpu.core))
    }

    /// CPUs that Xen uses. It lists none whose core it does not know: those of AMD with one core a socket.
    pub(super) fn threads(&self) -> Known<u32> {
        self.count(|cpu| (cpu.number, 0))
            .or(|| self.number_of_cpus())
    }

    fn count(&self, key: impl Fn(&XenCpu) -> (u32, u32)) -> Known<u32> {
        if self.cpus.is_empty() {
            return Known::unknown(format!("{XL_INFO}: no CPU in the table cpu_topology"));
        }
        let different: BTreeSet<_> = self.cpus.iter().map(key).collect();
        Known::Value(different.len() as u32)
    }

    /// NUMA nodes with their CPUs and memory.
    pub(super) fn nodes(&self) -> Known<Vec<NumaNode>> {
        if self.nodes.is_empty() {
            return Known::unknown(format!("{XL_INFO}: no table numa_info"));
        }
        let node = |&(number, bytes): &(u32, u64)| {
            let cpus = self.cpus.iter().filter(|cpu| cpu.node == number);
            NumaNode {
                source: XL_INFO.to_owned(),
                number,
                cpus: Known::Value(cpu_list(cpus.map(|cpu| cpu.number).collect())),
                memory_bytes: Known::Value(bytes),
            }
        };
        Known::Value(self.nodes.iter().map(node).collect())
    }

    /// Words of the host's feature set, in the order of Xen's public/arch-x86/cpufeatureset.h: 0 is CPUID.1:EDX, 1 is
    /// CPUID.1:ECX, 2 and 3 the same of 0x80000001, 5 and 6 CPUID.7:EBX and ECX, 7 is 0x80000007:EDX.
    pub(super) fn features(&self) -> Known<Vec<u32>> {
        self.line("hw_caps").and_then(|text| {
            words(&text).map_or_else(
                || Known::unknown(format!("{XL_INFO}: hw_caps is no list of words")),
                Known::Value,
            )
        })
    }
}

/// The same words from the line `Host` of `xen-cpuid`, which lists all of them.
pub(super) fn host_features(text: &str) -> Known<Vec<u32>> {
    let found = text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("Host ")?;
        words(rest.trim())
    });
    found.map_or_else(|| Known::unknown("xen-cpuid: no line `Host`"), Known::Value)
}

/// `178bf3ff:82982203:...`, eight digits each. At most 64 words: there are 22 by now.
fn words(text: &str) -> Option<Vec<u32>> {
    text.split(':')
        .take(64)
        .map(|word| (word.len() == 8).then(|| crate::hex::parse_as(word))?)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::probes::{Depth, Machine};
    use crate::root::Root;
    use proptest::prelude::*;

    /// The lines are those of Xen 4.20, with the tables of a server that has two sockets, hyper-threading and numbers of
    /// sockets that are not contiguous.
    const TWO_SOCKETS: &str = "\
host                   : server
nr_cpus                : 8
nr_nodes               : 2
cores_per_socket       : 2
threads_per_core       : 2
hw_caps                : bfebfbff:77fef3ff:2c100800:00000121:0000000f:d39ffffb:1840070c:00000100
virt_caps              : pv hvm hvm_directio pv_directio hap gnttab-v1 gnttab-v2
total_memory           : 393025
free_memory            : 1000
cpu_topology           :
cpu:    core    socket     node
  0:       0        0        0
  1:       0        0        0
  2:       1        0        0
  3:       1        0        0
  4:       0        4        1
  5:       0        4        1
  6:       1        4        1
  7:       1        4        1
device topology        :
device           node
0000:00:00.0      0
No device topology data available
numa_info              :
node:    memsize    memfree    distances
   0:    198656     500      10,21
   1:    196608     500      21,10
xen_version            : 4.20.5-pre
xen_commandline        : dom0_mem=1G+5%,max:8G console=com1,vga
cc_compile_date        : Tue Nov  3 20:11:50 UTC 2026
";

    #[test]
    fn an_empty_table_leaves_the_number_of_threads() {
        // AMD with one core a socket: Xen does not know the core, and xl leaves such CPUs out.
        let info = XenInfo::parse("nr_cpus : 2\ncpu_topology :\ncpu: core socket node\n");
        assert_eq!(info.threads(), Known::Value(2));
        let reason = info.sockets();
        assert_eq!(
            reason.reason(),
            Some("xl info -n: no CPU in the table cpu_topology")
        );
        assert!(info.cores().is_unknown());
    }

    #[test]
    fn takes_the_output_apart() {
        let info = XenInfo::parse(TWO_SOCKETS);
        let counted = [info.sockets(), info.cores(), info.threads()];
        assert_eq!(counted, [Known::Value(2), Known::Value(4), Known::Value(8)]);
        let nodes = info.nodes();
        let nodes = nodes.value().expect("nodes");
        assert_eq!(
            (nodes.len(), &nodes[1].cpus),
            (2, &Known::Value("4-7".to_owned()))
        );
        assert_eq!(nodes[0].memory_bytes, Known::Value(198_656 << 20));
        let xen = info.facts();
        assert_eq!(xen.version, Known::Value("4.20.5-pre".to_owned()));
        assert_eq!(
            xen.command_line,
            Known::Value("dom0_mem=1G+5%,max:8G console=com1,vga".to_owned())
        );
        assert_eq!(xen.total_memory_bytes, Known::Value(393_025 << 20));
        assert_eq!(info.has_virt_cap("hap"), Known::Value(true));
        assert_eq!(info.has_virt_cap("directio"), Known::Value(false));
        assert_eq!(
            info.features().value().map(|words| words[5]),
            Some(0xd39f_fffb)
        );
    }

    #[test]
    fn what_is_missing_is_unknown() {
        let info = XenInfo::parse("xen_version : 4.20\nhw_caps : 12\ncpu_topology :\n");
        assert!(
            info.sockets().is_unknown()
                && info.nodes().is_unknown()
                && info.features().is_unknown()
        );
        assert!(info.facts().total_memory_bytes.is_unknown());
    }

    #[test]
    fn features_of_xen_cpuid() {
        let text = "nr_features: 22\nDynamic sets:\nRaw                             ffffffff:ffffffff\nHost                            \
                    178bfbff:f6fa3203\n  [00] CPUID 0x00000001.edx\n";
        assert_eq!(
            host_features(text),
            Known::Value(vec![0x178b_fbff, 0xf6fa_3203])
        );
        assert!(host_features("Host\n").is_unknown());
    }

    /// A dom0 without the programs of Xen, or with them.
    struct Dom0(Result<&'static str, &'static str>);

    impl Machine for Dom0 {
        fn ask(&self, question: &Question) -> Result<String, String> {
            assert_eq!(question, &Question::XenInfo);
            self.0.map(str::to_owned).map_err(str::to_owned)
        }
    }

    #[test]
    fn only_dom0_is_asked() {
        let root = Root::system();
        let ask_in =
            |machine: Dom0, context| ask(&Probes::new(&root, Depth::Passive, &machine), &context);
        let dom0 = || Known::Value(Context::Dom0);
        assert!(matches!(
            ask_in(Dom0(Ok(TWO_SOCKETS)), dom0()),
            Known::Value(_)
        ));
        let without = ask_in(Dom0(Err("xl: No such file or directory")), dom0());
        assert_eq!(without.reason(), Some("xl: No such file or directory"));
        assert!(ask_in(Dom0(Ok("")), dom0()).is_unknown());
        assert!(matches!(
            ask_in(Dom0(Ok(TWO_SOCKETS)), Known::Value(Context::Bare)),
            Known::Absent
        ));
    }

    proptest! {
        #[test]
        fn never_panics(text in "((cpu_topology|numa_info|hw_caps|[0-9]{1,11}) ?: |[0-9]{1,20} |\\PC|\n){0,60}") {
            let info = XenInfo::parse(&text);
            let _ = (info.facts(), info.sockets(), info.nodes(), info.features(), host_features(&text));
        }
    }
}
