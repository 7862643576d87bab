//! Findings about storage and network controllers: is each listed, does the kernel drive it, and which of them count.

use super::disks::{
    is_large_enough, no_disk, too_small, unknown_disks, unread_disk, unread_function,
};
use super::names::{bound, device_name, disk_name};
use super::platform::{deviates, listed};
use super::{Finding, Level, Severity, Subject, constraints};
use crate::drivers::DriverIndex;
use crate::facts::{Disk, Facts, NicKind, PciFunction, PciIds};
use crate::known::Known;
use crate::list::{Entry, List};
use std::collections::BTreeSet;

/// PCI classes: storage, network, and Fibre Channel, which is a kind of serial bus there.
const STORAGE: u8 = 0x01;
const NETWORK: u8 = 0x02;
const FIBRE_CHANNEL: u16 = 0x0c04;

/// What devices are judged by.
pub(super) struct Judge<'a> {
    pub(super) facts: &'a Facts,
    pub(super) list: &'a List,
    pub(super) drivers: Option<&'a DriverIndex>,
}

impl Judge<'_> {
    /// Judges every device that matters. `disks` names the disks to install to; with none the best one counts.
    pub(super) fn all(&self, disks: &[&str]) -> Vec<Finding> {
        let functions = match &self.facts.pci {
            Known::Value(functions) => functions.as_slice(),
            // Without PCI the disks and interfaces themselves are left, and they say that it is unknown.
            Known::Absent | Known::Unknown(_) => &[],
        };
        let storage = self.storage(functions, disks);
        let network = self.network(functions);
        let seen: BTreeSet<&str> = storage
            .iter()
            .chain(&network)
            .filter_map(address_of)
            .collect();
        let others = functions
            .iter()
            .filter(|function| !seen.contains(function.address.as_str()));
        // Of bridges, graphics and the hundreds of parts of a CPU only those count that somebody wrote an entry about.
        let others = others.filter_map(|function| {
            let revision = function.revision.value().copied();
            let entry = self.list.against_pci(function.ids.value()?, revision)?;
            Some(self.by_entry(function, entry).not_essential())
        });
        let others: Vec<Finding> = others.collect();
        storage.into_iter().chain(network).chain(others).collect()
    }

    fn storage(&self, functions: &[PciFunction], wanted: &[&str]) -> Vec<Finding> {
        let all_disks = match &self.facts.disks {
            Known::Value(disks) => disks.as_slice(),
            other => {
                let reason = other.reason().unwrap_or("nothing was told");
                return controllers(functions)
                    .map(|function| self.device(function).not_essential())
                    .chain([unknown_disks(reason, "/sys/block")])
                    .collect();
            }
        };
        let mut findings: Vec<Finding> = controllers(functions)
            .map(|function| self.device(function).not_essential())
            .collect();
        let candidates: Vec<&Disk> = all_disks
            .iter()
            .filter(|disk| match wanted {
                [] => disk.is_install_candidate() && is_large_enough(disk),
                names => names.contains(&disk.name.as_str()),
            })
            .collect();
        if !wanted.is_empty() {
            let small = candidates.iter().filter(|disk| !is_large_enough(disk));
            findings.extend(small.map(|disk| too_small(disk)));
        }
        let missing = wanted
            .iter()
            .filter(|name| all_disks.iter().all(|disk| disk.name != **name));
        findings.extend(missing.map(|name| {
            Finding::new(
                "no-such-disk",
                Subject::Disk((*name).to_owned()),
                Level::Unsupported,
                true,
            )
            .name(*name)
            .observed("there is no disk of this name", "/sys/block")
            .expected("the disk to install to")
            .advice("choose one of the disks that `hcl-checker facts` lists")
        }));
        let judged: Vec<Finding> = candidates
            .iter()
            .map(|disk| self.controller_of(disk, functions))
            .collect();
        if judged.is_empty() && wanted.is_empty() {
            findings.push(match unread_disk(all_disks, functions) {
                Some((reason, source)) => unknown_disks(&reason, &source),
                None => no_disk(all_disks, &findings),
            });
            return findings;
        }
        let best = judged.iter().map(|finding| finding.level).min();
        let counting = judged
            .into_iter()
            .filter(|finding| !wanted.is_empty() || Some(finding.level) == best);
        // Of several equally good ones one is enough, but named ones count all.
        let counting: Vec<Finding> = if wanted.is_empty() {
            counting.take(1).collect()
        } else {
            counting.collect()
        };
        for finding in counting {
            match findings
                .iter_mut()
                .find(|known| known.subject == finding.subject)
            {
                Some(known) => *known = finding,
                None => findings.push(finding),
            }
        }
        findings
    }

    fn network(&self, functions: &[PciFunction]) -> Vec<Finding> {
        let of_class = |function: &&PciFunction| {
            function
                .ids
                .value()
                .is_some_and(|ids| ids.base_class() == NETWORK)
        };
        let mut findings: Vec<Finding> = functions
            .iter()
            .filter(of_class)
            .map(|function| self.device(function).not_essential())
            .collect();
        let nics = self
            .facts
            .nics
            .value()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let wireless = |address: &str| {
            nics.iter().any(|nic| {
                nic.kind == Known::Value(NicKind::Wireless)
                    && nic.pci_address.value().is_some_and(|own| own == address)
            })
        };
        for nic in nics.iter().filter(|nic| nic.pci_address == Known::Absent) {
            let subject = Subject::Nic(nic.name.clone());
            let driver = format!("driver {}", nic.driver);
            findings.push(
                self.off_pci(subject, nic.driver.value(), &driver, &nic.source)
                    .not_essential(),
            );
        }
        let eligible = |finding: &&mut Finding| match &finding.subject {
            Subject::Pci(address) => !wireless(address),
            Subject::Nic(name) => nics
                .iter()
                .any(|nic| nic.name == *name && nic.kind == Known::Value(NicKind::Ethernet)),
            _ => false,
        };
        match findings
            .iter_mut()
            .filter(eligible)
            .min_by_key(|finding| finding.level)
        {
            Some(best) => *best = essential(best.clone()),
            None => findings.push(no_nic(self.facts)),
        }
        findings
    }

    /// The finding about what a disk hangs on.
    fn controller_of(&self, disk: &Disk, functions: &[PciFunction]) -> Finding {
        let subject = Subject::Disk(disk.name.clone());
        match &disk.pci_address {
            Known::Value(address) => match functions
                .iter()
                .find(|function| function.address == *address)
            {
                Some(function) => self.boots(essential(self.device(function)), function),
                None => Finding::new("unknown-controller", subject, Level::Unknown, true)
                    .name(disk_name(disk))
                    .observed(
                        format!("it hangs on {address}, which is not among the PCI functions"),
                        &disk.source,
                    )
                    .expected("the controller of the disk")
                    .advice("make the facts anew, with all of /sys"),
            },
            Known::Absent => {
                let transport = format!("connected by {}", disk.transport);
                self.off_pci(subject, None, &transport, &disk.source)
                    .name(disk_name(disk))
            }
            Known::Unknown(unknown) => {
                Finding::new("unknown-controller", subject, Level::Unknown, true)
                    .name(disk_name(disk))
                    .observed(&*unknown.reason, &disk.source)
                    .expected("the controller of the disk")
                    .advice("make the facts anew, with the links of /sys")
            }
        }
    }

    /// The finding about the controller of a disk to install to: the host is going to boot from it.
    fn boots(&self, finding: Finding, function: &PciFunction) -> Finding {
        let entry = self.list.for_pci(function);
        if entry.and_then(|entry| entry.features.boot) != Some(false) {
            return finding;
        }
        deviates(finding)
            .expected("a controller that a host can be booted from")
            .advice("install to a disk of another controller, and use this one for guests")
    }

    /// A device that is no PCI function. The list knows none, and its modalias is not among the facts: what is left is
    /// that the running kernel drives it, where that is the kernel in question.
    fn off_pci(
        &self,
        subject: Subject,
        driver: Option<&String>,
        observed: &str,
        source: &str,
    ) -> Finding {
        let same = self.drivers.is_some_and(|drivers| {
            self.facts.kernel_release.value() == Some(&drivers.release)
                || driver.is_some_and(|driver| drivers.has(driver))
        });
        if same {
            return Finding::new("unlisted-device", subject, Level::UnlistedWithDriver, true)
                .observed(observed, source)
                .advice(
                    "it is no PCI device, so the list has no entry for it; the kernel drives it",
                );
        }
        Finding::new("unknown-driver", subject, Level::Unknown, true)
            .observed(observed, source)
            .expected("a driver in the kernel that is going to run")
            .advice(
                "run the check from the live system, or give that kernel's modules with --modules",
            )
    }

    /// The finding about a PCI function, as one that counts.
    fn device(&self, function: &PciFunction) -> Finding {
        match self.list.for_pci(function) {
            Some(entry) => self.by_entry(function, entry),
            None => self.by_driver(function),
        }
    }

    fn by_entry(&self, function: &PciFunction, entry: &Entry) -> Finding {
        let subject = Subject::Pci(function.address.clone());
        let finding = listed(entry, subject.clone(), device_name(function))
            .observed(bound(function), &function.source);
        if entry.is_deny() {
            return finding;
        }
        let kernel = self.drivers.map(|drivers| drivers.release.as_str());
        let finding = constraints::of_device(finding, entry, function, self.facts, kernel);
        let Some(wanted) = &entry.require.driver else {
            return finding;
        };
        let Some(drivers) = self.drivers else {
            return finding;
        };
        if drivers.has(wanted) {
            return finding;
        }
        let finding =
            finding.expected(format!("the driver {wanted} in kernel {}", drivers.release));
        match self.claiming(function).first() {
            Some(other) => deviates(finding).advice(format!("another driver claims it: {other}")),
            None => Finding::new("no-driver", subject, Level::UnlistedWithoutDriver, true)
                .name(device_name(function))
                .observed(
                    format!(
                        "listed by {}, but kernel {} has no {wanted}",
                        entry.id, drivers.release
                    ),
                    &function.source,
                )
                .expected(finding.expected)
                .advice("the kernel that was given lacks the driver; use the modules of a release"),
        }
    }

    fn by_driver(&self, function: &PciFunction) -> Finding {
        let subject = Subject::Pci(function.address.clone());
        let name = device_name(function);
        let Some(drivers) = self.drivers else {
            return Finding::new("unknown-driver", subject, Level::Unknown, true)
                .name(name)
                .observed(format!("not listed; {}", bound(function)), &function.source)
                .expected("a driver in the kernel that is going to run")
                .advice("give that kernel's modules with --modules");
        };
        if let Some(reason) = function.ids.reason() {
            return Finding::new("unknown-device", subject, Level::Unknown, true)
                .name(name)
                .observed(reason, &function.source)
                .expected("vendor and device number")
                .advice("make the facts anew, with all of /sys");
        }
        let claiming = self.claiming(function);
        if claiming.is_empty()
            && function
                .ids
                .value()
                .is_some_and(|ids| ids.interface_unknown)
        {
            // Drivers of standard controllers bind by the interface, which `lspci -nn` does not print.
            return Finding::new("unknown-interface", subject, Level::Unknown, true)
                .name(name)
                .observed(
                    "vendor and device are not listed, and the programming interface is not told",
                    &function.source,
                )
                .expected("class, subclass and interface")
                .advice("make the dump with `lspci -vmmnnk` or `lspci -vvnn`");
        }
        if let Some((driver, files)) = self.lacking(function).filter(|_| claiming.is_empty()) {
            return Finding::new("driver-without-firmware", subject, Level::UnlistedWithoutDriver, true)
                .name(name)
                .observed(format!("not listed; kernel {} has {driver}, but none of its firmware: {files}", drivers.release), &function.source)
                .expected("a driver with its firmware")
                .advice("use another controller, or ask for the firmware with the output of `hcl-checker facts --json`");
        }
        if claiming.is_empty() {
            return Finding::new("unlisted-without-driver", subject, Level::UnlistedWithoutDriver, true)
                .name(name)
                .observed(format!("not listed; no driver in kernel {} claims it", drivers.release), &function.source)
                .expected("a driver")
                .advice("use another controller, or ask for a driver with the output of `hcl-checker facts --json`");
        }
        let finding = Finding::new(
            "unlisted-with-driver",
            subject,
            Level::UnlistedWithDriver,
            true,
        )
        .name(name)
        .observed(
            format!(
                "not listed; kernel {} has {}",
                drivers.release,
                claiming.join(", ")
            ),
            &function.source,
        )
        .expected("a device of the list");
        let interface_unknown = function
            .ids
            .value()
            .is_some_and(|ids| ids.interface_unknown);
        finding.advice(if interface_unknown {
            // Standard controllers are listed by their interface, so that they are not listed may be the dump's fault.
            "it should work; whether it is listed as a standard controller tells a dump made with `lspci -vmmnnk` or `lspci -vvnn`"
        } else {
            "it should work, and nobody reported it yet"
        })
    }

    /// A driver that claims the function and cannot work for want of firmware, and the files that it names.
    fn lacking(&self, function: &PciFunction) -> Option<(String, String)> {
        let drivers = self.drivers?;
        let modalias = function.modalias.value()?;
        drivers.drivers(modalias).into_iter().find_map(|driver| {
            let files = drivers.lacking(&driver.module);
            (!files.is_empty()).then(|| (driver.module.clone(), files.join(", ")))
        })
    }

    /// Drivers of the kernel in question that claim the function and can be used, or are bound to it now.
    fn claiming(&self, function: &PciFunction) -> Vec<String> {
        let Some(drivers) = self.drivers else {
            return Vec::new();
        };
        let made = function.ids.value().map(PciIds::to_modalias);
        let modalias = function.modalias.value().or(made.as_ref());
        let found = modalias
            .map(|modalias| drivers.drivers(modalias))
            .unwrap_or_default();
        let mut names: Vec<String> = found
            .into_iter()
            .filter(|driver| driver.usable)
            .map(|driver| driver.module)
            .collect();
        // A driver in the kernel image may have no alias there. Names of drivers and modules differ in `-` at most.
        if names.is_empty() {
            names.extend(
                function
                    .driver
                    .value()
                    .filter(|driver| drivers.has(driver))
                    .cloned(),
            );
        }
        names
    }
}

/// Whether a verdict looks at functions of these numbers for their own sake, and not because a disk hangs on one: at storage
/// and network controllers, and at those that an entry speaks against. It also looks at functions whose numbers are not known.
pub fn looks_at(list: &List, ids: &PciIds, revision: Option<u8>) -> bool {
    is_storage(ids) || ids.base_class() == NETWORK || list.against_pci(ids, revision).is_some()
}

fn is_storage(ids: &PciIds) -> bool {
    ids.base_class() == STORAGE || ids.subclass() == FIBRE_CHANNEL
}

/// Storage controllers.
fn controllers(functions: &[PciFunction]) -> impl Iterator<Item = &PciFunction> {
    functions
        .iter()
        .filter(|function| function.ids.value().is_some_and(is_storage))
}

/// Makes a finding count, with what follows from that.
fn essential(finding: Finding) -> Finding {
    let blocks = finding.level.is_some_and(|level| !level.allows_install());
    let severity = if blocks {
        Severity::Blocks
    } else {
        finding.severity
    };
    Finding {
        essential: true,
        severity,
        ..finding
    }
}

fn address_of(finding: &Finding) -> Option<&str> {
    match &finding.subject {
        Subject::Pci(address) => Some(address),
        _ => None,
    }
}

/// There is no network interface by wire.
fn no_nic(facts: &Facts) -> Finding {
    let functions = facts.pci.value().map(Vec::as_slice).unwrap_or_default();
    let unread = (facts.pci.reason())
        .or(facts.nics.reason())
        .or(unread_function(functions).map(|(reason, _)| reason));
    let level = if unread.is_some() {
        Level::Unknown
    } else {
        Level::Unsupported
    };
    let rule = if unread.is_some() {
        "unknown-nics"
    } else {
        "no-nic"
    };
    Finding::new(rule, Subject::Network, level, true)
        .name("network controllers")
        .observed(
            unread.unwrap_or("none by wire"),
            "/sys/bus/pci/devices, /sys/class/net",
        )
        .expected("a network controller for the management network")
        .advice(match unread {
            Some(_) => "run the check on the machine itself, or give what is missing",
            None => "install one, or switch it on in the firmware's setup",
        })
}
