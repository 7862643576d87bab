//! Facts from what common tools printed on a machine: `lspci`, `dmidecode`, `lscpu`. For machines that nobody can start
//! `hcl-checker` on any more, as in a ticket or an inventory.
//!
//! Such dumps tell less than the machine itself. What they do not tell stays unknown, with the reason.

use super::{
    Context, CountMethod, Cpu, Facts, SCHEMA, SocketCount, cpu, dmi, from_dmidecode, from_lscpu,
    from_lspci,
};
use crate::known::Known;
use thiserror::Error;

/// Longest dump that is read, in bytes. `lspci -vvnn` of 13,000 functions has some 40 MB.
pub const LIMIT: u64 = 64 << 20;

/// One dump.
#[derive(Debug, Clone, Copy)]
pub struct Dump<'a> {
    /// Where it came from, for the facts' sources and for errors.
    pub name: &'a str,
    /// What the tool printed.
    pub text: &'a str,
}

/// The dumps of one machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dumps<'a> {
    /// `lspci -nn`, `-nnk`, `-vmmnnk` or `-vvnn`.
    pub lspci: Option<Dump<'a>>,
    /// `dmidecode`.
    pub dmidecode: Option<Dump<'a>>,
    /// `lscpu`.
    pub lscpu: Option<Dump<'a>>,
}

/// A dump that is none of its tool.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{name}:{line}: {problem}; {advice}")]
pub struct DumpError {
    /// The dump.
    pub name: String,
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub advice: &'static str,
}

impl Dump<'_> {
    pub(super) fn error(
        &self,
        line: usize,
        problem: impl Into<String>,
        advice: &'static str,
    ) -> DumpError {
        DumpError {
            name: self.name.to_owned(),
            line,
            problem: problem.into(),
            advice,
        }
    }
}

impl Dumps<'_> {
    /// The facts that the dumps tell.
    ///
    /// # Errors
    /// A dump is not what its tool prints, or is of a form that tells too little (`lspci` without numbers).
    pub fn facts(&self) -> Result<Facts, DumpError> {
        let mut facts = Facts {
            schema: SCHEMA,
            pci: without("lspci", "--lspci"),
            slots: without("dmidecode", "--dmidecode"),
            bmc: without("dmidecode", "--dmidecode"),
            disks: Known::unknown(
                "dumps tell no disks; run `hcl-checker check` on the machine, or give its facts with --facts",
            ),
            nics: Known::unknown(
                "dumps tell no interfaces; run `hcl-checker check` on the machine, or give its facts with --facts",
            ),
            ..Facts::default()
        };
        facts.context = without("lscpu", "--lscpu");
        facts.cpu = Cpu {
            sources: Vec::new(),
            ..cpu::by_kernel("", |_| without("lscpu", "--lscpu"))
        };
        facts.topology.sockets = without("lscpu or dmidecode", "--lscpu or --dmidecode");
        facts.topology.cores = without("lscpu", "--lscpu");
        facts.topology.threads = without("lscpu", "--lscpu");
        facts.acpi.iommu = Known::unknown(
            "dumps tell no ACPI tables; run `hcl-checker check` on the machine, or give its facts with --facts",
        );
        facts.memory.total_bytes = without("dmidecode", "--dmidecode");
        facts.dmi.system_vendor = without("dmidecode", "--dmidecode");
        facts.dmi.product = without("dmidecode", "--dmidecode");
        if let Some(dump) = &self.lspci {
            facts.pci = Known::Value(from_lspci::read(dump)?);
        }
        if let Some(dump) = &self.lscpu {
            from_lscpu::read(dump, &mut facts)?;
        }
        if let Some(dump) = &self.dmidecode {
            from_dmidecode::read(dump, &mut facts)?;
        }
        cross_check(&mut facts);
        Ok(facts)
    }
}

/// Names of a virtual machine count also where its CPU flag is hidden; sockets of the firmware count where the kernel's
/// are not known.
fn cross_check(facts: &mut Facts) {
    let name = |known: &Known<String>| known.value().cloned().unwrap_or_default();
    let names = [
        name(&facts.dmi.product),
        name(&facts.dmi.system_vendor),
        name(&facts.dmi.board_vendor),
        name(&facts.dmi.bios_vendor),
    ];
    if let Some(hypervisor) = dmi::hypervisor_by_names(&names)
        && !matches!(
            facts.context,
            Known::Value(Context::Guest { .. } | Context::Dom0)
        )
    {
        facts.context = Known::Value(Context::Guest {
            hypervisor: hypervisor.to_owned(),
        });
    }
    if facts.topology.sockets.is_unknown() {
        let by_firmware = |count: &&SocketCount| count.method == CountMethod::Smbios;
        if let Some(count) = facts.topology.socket_counts.iter().find(by_firmware) {
            facts.topology.sockets = count.sockets.clone();
        }
    }
}

fn without<T>(tool: &str, option: &str) -> Known<T> {
    Known::unknown(format!("no dump of {tool} was given ({option})"))
}

/// A value of a dump, with a bound on its length.
pub(super) fn value(text: &str) -> String {
    text.trim().chars().take(256).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_given_is_nothing_known() {
        let facts = Dumps::default().facts().expect("facts");
        assert!(facts.pci.is_unknown() && facts.disks.is_unknown() && facts.context.is_unknown());
        for (reason, option) in [
            (facts.pci.reason(), "--lspci"),
            (facts.cpu.vendor.reason(), "--lscpu"),
            (facts.cpu.nested_paging.reason(), "--lscpu"),
            (facts.cpu.virtualization.reason(), "--lscpu"),
            (facts.topology.threads.reason(), "--lscpu"),
            (facts.acpi.iommu.reason(), "--facts"),
            (facts.dmi.product.reason(), "--dmidecode"),
        ] {
            assert!(
                reason.is_some_and(|reason| reason.contains(option)),
                "{option}: {reason:?}"
            );
        }
    }

    #[test]
    fn a_virtual_machine_is_known_by_its_names_too() {
        let text = "# dmidecode 3.4\nGetting SMBIOS data from sysfs.\nSMBIOS 2.8 present.\n\nHandle 0x0100, DMI type 1, 27 bytes\nSystem Information\n\tManufacturer: QEMU\n\tProduct Name: Standard PC (Q35 + ICH9, 2009)\n";
        let dumps = Dumps {
            dmidecode: Some(Dump {
                name: "dmi.txt",
                text,
            }),
            ..Dumps::default()
        };
        let facts = dumps.facts().expect("facts");
        assert_eq!(
            facts.context,
            Known::Value(Context::Guest {
                hypervisor: "QEMU".to_owned()
            })
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(lspci in "(\\PC|\n|\t){0,300}", dmi in "(\\PC|\n|\t){0,300}", cpu in "(\\PC|\n|\t){0,300}") {
            let dump = |text| Some(Dump { name: "x", text });
            let _ = Dumps { lspci: dump(&lspci), ..Dumps::default() }.facts();
            let _ = Dumps { dmidecode: dump(&dmi), ..Dumps::default() }.facts();
            let _ = Dumps { lscpu: dump(&cpu), ..Dumps::default() }.facts();
        }
    }
}
