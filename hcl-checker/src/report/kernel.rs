//! The drivers of a kernel, as far as one machine asks for them: enough to judge it again elsewhere.

use crate::drivers::{Driver, DriverIndex};
use crate::facts::Facts;
use crate::list::List;
use crate::modalias::AliasIndex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Drivers of a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KernelDrivers {
    /// Release of the kernel.
    pub release: String,
    /// Drivers that claim each device, by its modalias.
    pub devices: BTreeMap<String, Vec<Driver>>,
    /// Modules that the list or the devices name and the kernel has.
    pub modules: BTreeSet<String>,
    /// Firmware files that these name and the release lacks.
    pub lacking: BTreeMap<String, Vec<String>>,
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
            .entries()
            .iter()
            .filter_map(|entry| entry.require.driver.as_ref());
        let all = devices.values().flatten();
        let usable = all
            .clone()
            .filter(|driver| driver.usable)
            .map(|driver| &driver.module);
        let claiming = all.map(|driver| &driver.module);
        let names = bound.chain(of_nics).chain(listed).chain(claiming);
        let there = names.filter(|name| index.has(name)).chain(usable);
        let modules: BTreeSet<String> = there.map(|name| name.replace('-', "_")).collect();
        let lacking = modules
            .iter()
            .map(|name| (name.clone(), index.lacking(name).to_vec()));
        Self {
            release: index.release.clone(),
            lacking: lacking.filter(|(_, files)| !files.is_empty()).collect(),
            modules,
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
        DriverIndex::recorded(
            self.release.clone(),
            AliasIndex::parse(&aliases, b""),
            self.modules.clone(),
            self.lacking.clone(),
        )
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
        let aliases = "alias pci:v00008086d000010D3sv*sd*bc*sc*i* here\nalias pci:v00008086d* absent-one\n\
                       alias pci:v00008086d* bare-one\n";
        let names = ["here", "bound_one", "bare_one"].map(str::to_owned).into();
        let lacking = [("bare_one".to_owned(), vec!["bare.fw".to_owned()])].into();
        let index = DriverIndex::recorded(
            "6.12".to_owned(),
            AliasIndex::parse(aliases, b""),
            names,
            lacking,
        );
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
        assert_eq!(index.drivers(modalias).len(), 3);
        assert_eq!(again.lacking("bare-one"), ["bare.fw"]);
        assert_eq!(again.drivers(modalias), index.drivers(modalias));
        assert!(again.has("bound_one") && again.has("here") && !again.has("absent_one"));
        assert_eq!(again.release, "6.12");
    }
}
