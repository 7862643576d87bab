//! Which entries may apply to something, without looking at all of them.

use super::{Entry, Match, PciMatch};
use crate::facts::PciIds;

/// Numbers of entries, by what they are about.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Those about PCI functions.
    pub(super) pci: PciIndex,
    /// Those of them that say something against a function: they count for functions of every kind.
    pub(super) against: PciIndex,
    /// Those of them that ask for a revision.
    pub(super) by_revision: PciIndex,
    /// Those about CPUs.
    pub(super) cpus: Vec<u32>,
    /// Those about systems.
    pub(super) systems: Vec<u32>,
}

/// Numbers of entries, by what their matches name. Sorted lists: they are made at each start, and most are short.
#[derive(Debug, Default)]
pub(super) struct PciIndex {
    by_device: Vec<((u16, u16), u32)>,
    by_vendor: Vec<(u16, u32)>,
    /// Those that name a class alone.
    by_class: Vec<u32>,
}

impl Index {
    pub(super) fn of(entries: &[Entry]) -> Self {
        let mut index = Self::default();
        for (number, entry) in (0_u32..).zip(entries) {
            match &entry.matches {
                Match::Cpu(_) => index.cpus.push(number),
                Match::Dmi(_) => index.systems.push(number),
                Match::Pci(pci) => {
                    index.pci.add(number, pci);
                    if entry.speaks_against() {
                        index.against.add(number, pci);
                    }
                    if pci.revisions.is_some() {
                        index.by_revision.add(number, pci);
                    }
                }
            }
        }
        index.pci.sort();
        index.against.sort();
        index.by_revision.sort();
        index
    }
}

impl PciIndex {
    fn add(&mut self, number: u32, pci: &PciMatch) {
        match pci.vendor {
            Some(vendor) if pci.devices.is_empty() => self.by_vendor.push((vendor, number)),
            Some(vendor) => {
                let devices = pci.devices.iter();
                let named = devices.map(|&device| ((vendor, device), number));
                self.by_device.extend(named);
            }
            None => self.by_class.push(number),
        }
    }

    fn sort(&mut self) {
        self.by_device.sort_unstable();
        // A device may be named twice.
        self.by_device.dedup();
        self.by_vendor.sort_unstable();
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
