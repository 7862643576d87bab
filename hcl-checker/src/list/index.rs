//! Which entries may apply to a PCI function, without looking at all of them.

use super::{Entry, Match};
use crate::facts::PciIds;
use std::collections::HashMap;

/// Numbers of entries, by what their matches name.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_device: HashMap<(u16, u16), Vec<u32>>,
    by_vendor: HashMap<u16, Vec<u32>>,
    /// Those that name a class alone.
    by_class: Vec<u32>,
}

impl Index {
    pub(super) fn of(entries: &[Entry]) -> Self {
        let mut index = Self::default();
        for (number, entry) in (0_u32..).zip(entries) {
            let Match::Pci(pci) = &entry.matches else {
                continue;
            };
            match pci.vendor {
                Some(vendor) if pci.devices.is_empty() => {
                    index.by_vendor.entry(vendor).or_default().push(number);
                }
                Some(vendor) => {
                    for device in &pci.devices {
                        let numbers = index.by_device.entry((vendor, *device)).or_default();
                        // A device may be named twice.
                        if numbers.last() != Some(&number) {
                            numbers.push(number);
                        }
                    }
                }
                None => index.by_class.push(number),
            }
        }
        index
    }

    /// Entries whose match may fit.
    pub(super) fn candidates(&self, ids: &PciIds) -> impl Iterator<Item = usize> {
        let by_device = self.by_device.get(&(ids.vendor, ids.device));
        let by_vendor = self.by_vendor.get(&ids.vendor);
        [by_device, by_vendor, Some(&self.by_class)]
            .into_iter()
            .flatten()
            .flatten()
            .map(|&number| number as usize)
    }
}
