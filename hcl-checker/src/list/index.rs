//! Which entries may apply to something, without looking at all of them.

use super::{Entry, Match};
use crate::facts::PciIds;

/// Numbers of entries, by what their matches name. Sorted lists: they are made at each start, and most are short.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_device: Vec<((u16, u16), u32)>,
    by_vendor: Vec<(u16, u32)>,
    /// Those that name a class alone.
    by_class: Vec<u32>,
    /// Those about CPUs.
    pub(super) cpus: Vec<u32>,
    /// Those about systems.
    pub(super) systems: Vec<u32>,
}

impl Index {
    pub(super) fn of(entries: &[Entry]) -> Self {
        let mut index = Self::default();
        for (number, entry) in (0_u32..).zip(entries) {
            match &entry.matches {
                Match::Cpu(_) => index.cpus.push(number),
                Match::Dmi(_) => index.systems.push(number),
                Match::Pci(pci) => match pci.vendor {
                    Some(vendor) if pci.devices.is_empty() => {
                        index.by_vendor.push((vendor, number));
                    }
                    Some(vendor) => {
                        let devices = pci.devices.iter();
                        let named = devices.map(|&device| ((vendor, device), number));
                        index.by_device.extend(named);
                    }
                    None => index.by_class.push(number),
                },
            }
        }
        index.by_device.sort_unstable();
        // A device may be named twice.
        index.by_device.dedup();
        index.by_vendor.sort_unstable();
        index
    }

    /// Entries whose match may fit a PCI function.
    pub(super) fn candidates(&self, ids: &PciIds) -> impl Iterator<Item = u32> {
        let by_device = of_key(&self.by_device, (ids.vendor, ids.device));
        let by_vendor = of_key(&self.by_vendor, ids.vendor);
        by_device
            .chain(by_vendor)
            .chain(self.by_class.iter().copied())
    }
}

/// The numbers that a sorted list has for a key.
fn of_key<K: Ord + Copy>(list: &[(K, u32)], key: K) -> impl Iterator<Item = u32> {
    let first = list.partition_point(|&(known, _)| known < key);
    let from_first = list[first..].iter();
    from_first
        .take_while(move |&&(known, _)| known == key)
        .map(|&(_, number)| number)
}
