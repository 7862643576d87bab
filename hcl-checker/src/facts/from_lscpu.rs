//! CPU and topology from what `lscpu` printed.
//!
//! Source: util-linux, `sys-utils/lscpu.c` (`print_summary`) and `lscpu-virt.c`. Only the English text is read.

use super::dumps::{Dump, DumpError, value};
use super::{Context, CountMethod, Facts, SocketCount, Vulnerability, cpu, list, parse, topology};
use crate::known::Known;
use std::collections::HashMap;

const HOW: &str = "make the dump with `LC_ALL=C lscpu`";

/// Adds what the dump tells.
pub(super) fn read(dump: &Dump<'_>, facts: &mut Facts) -> Result<(), DumpError> {
    // Newer versions indent what belongs together. The first one of a name counts: hybrid CPUs repeat some.
    let mut lines: HashMap<&str, &str> = HashMap::new();
    for (number, line) in (1..).zip(dump.text.lines()) {
        if let Some((key, content)) = line.split_once(':') {
            if key == "Architecture" && lines.contains_key(key) {
                return Err(dump.error(
                    number,
                    "a second `Architecture`: these are dumps of several machines",
                    HOW,
                ));
            }
            lines.entry(key.trim()).or_insert(content.trim());
        }
    }
    if !lines.contains_key("Architecture") {
        return Err(dump.error(1, "it has no line `Architecture`", HOW));
    }
    let line = |key: &str| match lines.get(key) {
        // `-` stands for what lscpu could not find out.
        Some(&"" | &"-") | None => Known::unknown(format!("{}: no `{key}`", dump.name)),
        Some(text) if key == "Flags" => Known::Value((*text).to_owned()),
        Some(text) => Known::Value(value(text)),
    };
    let number = |key: &str| line(key).and_then(|text| parse::<u32>(dump.name, &text));

    facts.context = context(&lines, line("Flags"));
    facts.cpu = cpu::by_kernel(dump.name, |key| {
        line(match key {
            "vendor_id" => "Vendor ID",
            "cpu family" => "CPU family",
            "model" => "Model",
            "stepping" => "Stepping",
            "model name" => "Model name",
            "flags" => "Flags",
            other => other,
        })
    });
    let cpu = &mut facts.cpu;
    cpu.vulnerabilities = vulnerabilities(dump);
    // Firmware that locks VT-x off takes the flag away as well.
    if cpu.virtualization == Known::Value(super::Virtualization::Missing) {
        cpu.virtualization_locked = Known::unknown(format!(
            "{}: does not tell a locked CPU from one without",
            dump.name
        ));
    }
    let topology = &mut facts.topology;
    topology.sources.push(dump.name.to_owned());
    if facts.context == Known::Value(Context::Dom0) {
        let hidden = || {
            format!(
                "{}: made in dom0, from which Xen hides the CPUs; make it on bare Linux",
                dump.name
            )
        };
        // The features that dom0 does not see may be there all the same.
        for feature in [
            &mut cpu.nested_paging,
            &mut cpu.smep,
            &mut cpu.smap,
            &mut cpu.nx,
            &mut cpu.pages_1gib,
            &mut cpu.pcid,
        ] {
            if *feature == Known::Value(false) {
                *feature = Known::unknown(hidden());
            }
        }
        cpu.virtualization = Known::unknown(hidden());
        topology.sockets = Known::unknown(hidden());
        topology.cores = Known::unknown(hidden());
        topology.threads = Known::unknown(hidden());
        return Ok(());
    }
    topology.sockets = number("Socket(s)");
    topology.cores = topology.sockets.clone().and_then(|sockets| {
        number("Core(s) per socket").and_then(|cores| match sockets.checked_mul(cores) {
            Some(cores) => Known::Value(cores),
            None => Known::unknown(format!("{}: more cores than can be", dump.name)),
        })
    });
    topology.threads = match line("On-line CPU(s) list") {
        Known::Value(list) => match topology::parse_cpu_list(&list) {
            Some(online) => Known::Value(online.len() as u32),
            None => Known::unknown(format!("{}: `On-line CPU(s) list` is no list", dump.name)),
        },
        _ => number("CPU(s)"),
    };
    topology.numa_nodes = number("NUMA node(s)");
    topology.socket_counts.push(SocketCount {
        method: CountMethod::Kernel,
        sockets: topology.sockets.clone(),
    });
    Ok(())
}

/// `Vulnerability L1tf: ...`, since 2.37 `L1tf: ...` below `Vulnerabilities:`. lscpu makes the first letter of the kernel's name
/// large and blanks of underscores (`lscpu.c`, `lscpu_read_vulnerabilities`).
fn vulnerabilities(dump: &Dump<'_>) -> Known<Vec<Vulnerability>> {
    let mut found = Vec::new();
    let mut below = false;
    for line in dump.text.lines() {
        let Some((key, state)) = line.split_once(':') else {
            continue;
        };
        if !line.starts_with(' ') {
            below = key == "Vulnerabilities";
        }
        let name = key.strip_prefix("Vulnerability ").or_else(|| {
            let is_name = below && line.starts_with(' ');
            is_name.then(|| key.trim())
        });
        if let Some(name) = name
            && found.len() < list::MOST
        {
            found.push(Vulnerability {
                name: name.to_lowercase().replace(' ', "_"),
                state: Known::Value(value(state.trim())),
            });
        }
    }
    if found.is_empty() {
        return Known::unknown(format!("{}: does not tell them", dump.name));
    }
    Known::Value(found)
}

/// `Virtualization type: none` under Xen is dom0 (`lscpu-virt.c` reads `/proc/xen/capabilities`).
fn context(lines: &HashMap<&str, &str>, flags: Known<String>) -> Known<Context> {
    match lines.get("Hypervisor vendor") {
        Some(&"Xen") if lines.get("Virtualization type") == Some(&"none") => {
            Known::Value(Context::Dom0)
        }
        Some(vendor) => Known::Value(Context::Guest {
            hypervisor: value(vendor),
        }),
        None => flags.map(|flags| {
            if flags
                .split_ascii_whitespace()
                .any(|flag| flag == "hypervisor")
            {
                Context::Guest {
                    hypervisor: "unknown".to_owned(),
                }
            } else {
                Context::Bare
            }
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Virtualization;
    use crate::facts::dumps::Dumps;

    /// By util-linux 2.38 on a Xeon, shortened.
    const XEON: &str = "\
Architecture:                    x86_64
  CPU op-mode(s):                32-bit, 64-bit
CPU(s):                          96
  On-line CPU(s) list:           0-94
Vendor ID:                       GenuineIntel
  Model name:                    Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz
    CPU family:                  6
    Model:                       85
    Thread(s) per core:          2
    Core(s) per socket:          24
    Socket(s):                   2
    Stepping:                    7
    Flags:                       fpu lm nx cx16 vmx ept smep smap x2apic pdpe1gb constant_tsc nonstop_tsc aes rdrand pcid invpcid
NUMA:                            
  NUMA node(s):                  2
";

    fn facts(text: &str) -> Facts {
        let lscpu = Some(Dump {
            name: "lscpu.txt",
            text,
        });
        Dumps {
            lscpu,
            ..Dumps::default()
        }
        .facts()
        .expect("facts")
    }

    #[test]
    fn a_server() {
        let facts = facts(XEON);
        assert_eq!(facts.context, Known::Value(Context::Bare));
        assert_eq!(facts.cpu.virtualization, Known::Value(Virtualization::Vmx));
        assert_eq!(facts.cpu.nested_paging, Known::Value(true));
        assert_eq!(
            (&facts.cpu.family, &facts.cpu.model),
            (&Known::Value(6), &Known::Value(85))
        );
        assert_eq!(facts.topology.sockets, Known::Value(2));
        assert_eq!(facts.topology.cores, Known::Value(48));
        assert_eq!(facts.topology.threads, Known::Value(95), "one of 96 is off");
        assert!(facts.cpu.microcode.is_unknown() && facts.memory.total_bytes.is_unknown());
    }

    #[test]
    fn vulnerabilities_as_older_and_newer_ones_print_them() {
        let told = |text: &str| match facts(text).cpu.vulnerabilities {
            Known::Value(found) => found
                .into_iter()
                .map(|one| (one.name, one.state.to_string()))
                .collect::<Vec<_>>(),
            _ => Vec::new(),
        };
        assert_eq!(told(XEON), []);
        let expected = [
            ("itlb_multihit", "KVM: Mitigation: VMX disabled"),
            ("l1tf", "Not affected"),
        ]
        .map(|(name, state)| (name.to_owned(), state.to_owned()));
        let older = XEON.to_owned()
            + "Vulnerability Itlb multihit:     KVM: Mitigation: VMX disabled\nVulnerability L1tf:              Not affected\n";
        assert_eq!(told(&older), expected);
        let newer = XEON.to_owned()
            + "Vulnerabilities:                 \n  Itlb multihit:                 KVM: Mitigation: VMX disabled\n  L1tf:                          Not affected\n";
        assert_eq!(told(&newer), expected);
    }

    #[test]
    fn dumps_of_two_machines_are_refused() {
        let both = XEON.repeat(2);
        let lscpu = Some(Dump {
            name: "lscpu.txt",
            text: &both,
        });
        let dumps = Dumps {
            lscpu,
            ..Dumps::default()
        };
        let error = dumps.facts().expect_err("two").to_string();
        assert!(error.contains("several machines"), "{error}");
    }

    #[test]
    fn dom0_hides_what_it_hides() {
        let dom0 = XEON.replace("vmx ept ", "hypervisor ").replace(" smep", "")
            + "Hypervisor vendor:               Xen\nVirtualization type:             none\n";
        let facts = facts(&dom0);
        assert_eq!(facts.context, Known::Value(Context::Dom0));
        assert!(facts.cpu.virtualization.is_unknown() && facts.cpu.smep.is_unknown());
        assert_eq!(facts.cpu.smap, Known::Value(true));
        assert!(facts.topology.sockets.is_unknown());
    }

    #[test]
    fn guests() {
        let kvm = XEON.to_owned() + "Hypervisor vendor: KVM\nVirtualization type: full\n";
        assert_eq!(
            facts(&kvm).context,
            Known::Value(Context::Guest {
                hypervisor: "KVM".to_owned()
            })
        );
        let hidden = XEON.replace("fpu", "fpu hypervisor");
        assert_eq!(
            facts(&hidden).context,
            Known::Value(Context::Guest {
                hypervisor: "unknown".to_owned()
            })
        );
    }

    #[test]
    fn what_is_no_dump() {
        let lscpu = Some(Dump {
            name: "lscpu.txt",
            text: "Architektur: x86_64\n",
        });
        let error = Dumps {
            lscpu,
            ..Dumps::default()
        }
        .facts()
        .expect_err("not English")
        .to_string();
        assert!(
            error.contains("lscpu.txt:1") && error.contains("LC_ALL=C"),
            "{error}"
        );
    }
}
