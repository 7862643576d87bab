//! The drivers of a kernel, as far as one machine asks for them: enough to judge it again elsewhere.

use crate::drivers::{Driver, DriverIndex};
use crate::facts::Facts;
use crate::list::List;
use crate::modalias::{AliasIndex, Builtins, ModuleTree};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Drivers of a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelDrivers {
    /// Release of the kernel.
    pub release: String,
    /// Drivers that claim each device, by its modalias.
    pub devices: BTreeMap<String, Vec<Driver>>,
    /// Modules that the list or the devices name and the kernel has.
    pub modules: BTreeSet<String>,
}

impl KernelDrivers {
    /// Takes down what a verdict on these facts asks for.
    pub(super) fn of(index: &DriverIndex, facts: &Facts, list: &List) -> Self {
        let functions = facts.pci.value().map(Vec::as_slice).unwrap_or_default();
        let devices: BTreeMap<String, Vec<Driver>> = functions
            .iter()
            .filter_map(|function| function.modalias.value())
            .map(|modalias| (modalias.clone(), index.drivers(modalias)))
            .collect();
        let bound = functions
            .iter()
            .filter_map(|function| function.driver.value());
        let nics = facts.nics.value().map(Vec::as_slice).unwrap_or_default();
        let of_nics = nics.iter().filter_map(|nic| nic.driver.value());
        let listed = list
            .entries
            .iter()
            .filter_map(|entry| entry.require.driver.as_ref());
        let claiming = devices
            .values()
            .flatten()
            .filter(|driver| driver.usable)
            .map(|driver| &driver.module);
        let names = bound.chain(of_nics).chain(listed).chain(claiming);
        let modules = names
            .filter(|name| index.has(name))
            .map(|name| name.replace('-', "_"));
        Self {
            release: index.release.clone(),
            modules: modules.collect(),
            devices,
        }
    }

    /// As an index that answers the same.
    pub(super) fn index(&self) -> DriverIndex {
        let mut aliases = String::new();
        for (modalias, drivers) in &self.devices {
            for driver in drivers {
                // Writing to a String cannot fail. A report from elsewhere may hold anything, and a line ends an alias.
                let _ = writeln!(aliases, "alias {modalias} {}", driver.module);
            }
        }
        let modules: String = self
            .modules
            .iter()
            .map(|name| format!("{name}.ko\n"))
            .collect();
        let tree = ModuleTree {
            aliases: AliasIndex::parse(&aliases, b""),
            builtins: Builtins::parse(&modules),
            ..ModuleTree::default()
        };
        DriverIndex::recorded(self.release.clone(), tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::PciFunction;
    use crate::known::Known;

    #[test]
    fn the_recorded_index_answers_the_same() {
        let modalias = "pci:v00008086d000010D3sv00000000sd00000000bc02sc00i00";
        let tree = ModuleTree {
            aliases: AliasIndex::parse(
                "alias pci:v00008086d000010D3sv*sd*bc*sc*i* here\nalias pci:v00008086d* absent-one\n",
                b"",
            ),
            builtins: Builtins::parse("kernel/here.ko\nkernel/bound-one.ko\n"),
            ..ModuleTree::default()
        };
        let index = DriverIndex::recorded("6.12".to_owned(), tree);
        let function = PciFunction {
            modalias: Known::Value(modalias.to_owned()),
            driver: Known::Value("bound-one".to_owned()),
            ..PciFunction::default()
        };
        let facts = Facts {
            pci: Known::Value(vec![function]),
            ..Facts::default()
        };
        let recorded = KernelDrivers::of(&index, &facts, &List::default());
        let again = recorded.index();
        assert_eq!(index.drivers(modalias).len(), 2);
        assert_eq!(again.drivers(modalias), index.drivers(modalias));
        assert!(again.has("bound_one") && again.has("here") && !again.has("absent_one"));
        assert_eq!(again.release, "6.12");
    }
}
