//! What is wrong with the list itself.

use super::{DeviceClass, Entry, List, ListedLevel, Match, Versions};
use crate::date::Date;
use crate::drivers::DriverIndex;
use crate::hex;
use serde::Serialize;
use std::collections::HashSet;
use std::fmt;

/// One problem of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lint {
    /// The rule that has it.
    pub id: String,
    /// What is wrong, and what to do.
    pub problem: String,
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id, self.problem)
    }
}

/// All problems of a list: rules that are ambiguous, unsourced, expired on the day `today`, or never reached.
pub fn lint(list: &List, today: Date) -> Vec<Lint> {
    let mut problems = Problems::default();
    for entry in list.entries() {
        lint_entry(entry, today, &mut problems);
    }
    for requirement in list.requirements() {
        problems.id(&requirement.id);
        problems.evidence(&requirement.id, &requirement.evidence);
        if requirement.date > today {
            problems.add(
                &requirement.id,
                format!("is dated {}, which has not come yet", requirement.date),
            );
        }
    }
    for (number, first) in list.entries().iter().enumerate() {
        for second in &list.entries()[number + 1..] {
            lint_pair(first, second, &mut problems);
        }
    }
    problems.found
}

/// Red Hat's number, which every virtio device has.
const VIRTIO: u16 = 0x1af4;

/// Entries whose driver the kernel does not have, or does not bind to any of the numbers that the entry names.
pub fn lint_drivers(list: &List, drivers: &DriverIndex) -> Vec<Lint> {
    let mut problems = Problems::default();
    for entry in list.entries() {
        let (Match::Pci(pci), Some(driver)) = (&entry.matches, &entry.require.driver) else {
            continue;
        };
        if !drivers.has(driver) {
            problems.add(
                &entry.id,
                format!(
                    "kernel {} has no driver {driver}; take the entry out or ship the driver",
                    drivers.release
                ),
            );
            continue;
        }
        if let Some(versions) = &entry.require.driver_versions
            && versions.hold(&drivers.release) != Some(true)
        {
            problems.add(
                &entry.id,
                format!(
                    "wants {driver} {versions}, and kernel {} has its own; correct the versions or take the entry out",
                    drivers.release
                ),
            );
        }
        // Virtio drivers bind to the virtio bus; its transport is built in and has no alias.
        let by_number = !entry.is_deny() && pci.vendor != Some(VIRTIO);
        for device in pci.devices.iter().filter(|_| by_number) {
            let modaliases = pci.modaliases(*device);
            let claimed = modaliases.iter().any(|modalias| {
                let found = drivers.drivers(modalias);
                found
                    .iter()
                    .any(|found| found.module == driver.replace('-', "_"))
            });
            if !claimed {
                problems.add(
                    &entry.id,
                    format!(
                        "{driver} of kernel {} does not claim the device {device:#06x}; correct the number or the driver",
                        drivers.release
                    ),
                );
            }
        }
    }
    problems.found
}

#[derive(Default)]
struct Problems {
    found: Vec<Lint>,
    ids: HashSet<String>,
}

impl Problems {
    fn add(&mut self, id: &str, problem: impl Into<String>) {
        self.found.push(Lint {
            id: id.to_owned(),
            problem: problem.into(),
        });
    }

    fn id(&mut self, id: &str) {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if id.is_empty() || !id.bytes().all(plain) {
            self.add(id, "has an id with other characters than a-z, 0-9 and -");
        }
        if !self.ids.insert(id.to_owned()) {
            self.add(id, "has the id of another rule; give each its own");
        }
    }

    /// A public page, or a test of the project itself; each says something.
    fn evidence(&mut self, id: &str, evidence: &[String]) {
        if evidence.is_empty() {
            self.add(id, "names no evidence; give a public page, or `bedplate: ...` for a test of the project");
        }
        for text in evidence {
            let page = text
                .strip_prefix("https://")
                .is_some_and(|rest| rest.contains('.') && !rest.contains(' '));
            let own = text
                .strip_prefix("bedplate: ")
                .is_some_and(|rest| rest.trim().len() > 10);
            if !page && !own {
                self.add(
                    id,
                    format!(
                        "has evidence that is neither an https page nor `bedplate: ...`: {text}"
                    ),
                );
            }
        }
    }
}

fn lint_entry(entry: &Entry, today: Date, problems: &mut Problems) {
    let id = &entry.id;
    problems.id(id);
    problems.evidence(id, &entry.evidence);
    let problem = match &entry.matches {
        Match::Pci(pci) => pci.problem(),
        Match::Cpu(cpu) => cpu.problem(),
        Match::Dmi(dmi) => dmi.problem(),
    };
    if let Some(problem) = problem {
        problems.add(id, problem);
    }
    if entry.date > today {
        problems.add(
            id,
            format!("is dated {}, which has not come yet", entry.date),
        );
    }
    if let Some(last) = entry.valid_until.filter(|last| *last < today) {
        problems.add(id, format!("expired on {last}; review it, or take it out"));
    }
    if entry.level == ListedLevel::Certified
        && !entry
            .evidence
            .iter()
            .any(|text| text.starts_with("https://"))
    {
        problems.add(id, "is certified without a public report");
    }
    if let Some(revision) = entry
        .require
        .microcode_min
        .as_ref()
        .filter(|text| hex::parse(text).is_none())
    {
        problems.add(
            id,
            format!("wants the microcode `{revision}`, which is no hexadecimal number"),
        );
    }
    lint_constraints(entry, problems);
    let is_pci = matches!(entry.matches, Match::Pci(_));
    if entry.require.driver.is_some() && !is_pci {
        problems.add(id, "wants a driver for something that is no PCI device");
    }
    if entry.require.microcode_min.is_some() && !matches!(entry.matches, Match::Cpu(_)) {
        problems.add(id, "wants microcode for something that is no CPU");
    }
    // Chipsets are driven by the kernel and by Xen themselves.
    let driven = is_pci && entry.class != DeviceClass::Platform;
    if driven && !entry.is_deny() && entry.require.driver.is_none() {
        problems.add(
            id,
            "names no driver; without one the shipped kernel cannot be judged",
        );
    }
}

/// Demands of versions, features and releases: can they be looked at, and does each say something?
fn lint_constraints(entry: &Entry, problems: &mut Problems) {
    let (id, require) = (&entry.id, &entry.require);
    let named = [
        ("driver_versions", &require.driver_versions),
        ("firmware", &require.firmware),
    ];
    for (name, versions) in named {
        if let Some(problem) = versions.as_ref().and_then(Versions::problem) {
            problems.add(id, format!("{problem} in require.{name}"));
        }
    }
    if require.driver_versions.is_some() && require.driver.is_none() {
        problems.add(id, "wants versions of a driver that it does not name");
    }
    if require.firmware.is_some() && !tells_firmware(entry) {
        problems.add(
            id,
            "wants firmware of something that does not tell its version; only network cards and NVMe disks (class 0108) do",
        );
    }
    if let Some(version) = &require.bios_min {
        if !matches!(entry.matches, Match::Dmi(_)) {
            problems.add(id, "wants a BIOS of something that is no system");
        }
        let versions = Versions {
            min: Some(version.clone()),
            ..Versions::default()
        };
        if let Some(problem) = versions.problem() {
            problems.add(id, format!("{problem} in require.bios_min"));
        }
    }
    if let Some(note) = &entry.deviation {
        if require.is_empty() {
            problems.add(id, "says what a deviation means and demands nothing");
        }
        if note.trim().is_empty() {
            problems.add(id, "has an empty note on deviations");
        }
    }
    if entry.features.known().next().is_some() && !matches!(entry.matches, Match::Pci(_)) {
        problems.add(id, "has features of a PCI device and is none");
    }
    for release in &entry.releases {
        let sound = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !release.split('.').all(sound) || release.split('.').count() > 3 {
            problems.add(
                id,
                format!("is for the release `{release}`, which is no version; write 0.1 or 0.1.2"),
            );
        }
    }
}

/// Whether facts hold the version of its firmware.
fn tells_firmware(entry: &Entry) -> bool {
    let Match::Pci(pci) = &entry.matches else {
        return false;
    };
    let is_nvme = pci
        .class
        .is_some_and(|class| String::from(class).starts_with("0108"));
    entry.class == DeviceClass::Nic || is_nvme
}

/// Two entries that can match the same thing: is it clear which decides, and can each ever do so?
fn lint_pair(first: &Entry, second: &Entry, problems: &mut Problems) {
    let (overlap, same) = match (&first.matches, &second.matches) {
        (Match::Pci(a), Match::Pci(b)) => (a.overlaps(b), a == b),
        (Match::Cpu(a), Match::Cpu(b)) => (a.overlaps(b), a == b),
        (Match::Dmi(a), Match::Dmi(b)) => (a.overlaps(b), a == b),
        _ => return,
    };
    if !overlap || !share_a_release(first, second) {
        return;
    }
    let other = |entry: &Entry| format!("{} of {}", entry.id, entry.date);
    if same && first.releases == second.releases {
        let (winner, loser) = if first.precedence() > second.precedence() {
            (first, second)
        } else {
            (second, first)
        };
        problems.add(
            &loser.id,
            format!(
                "is never reached: {} matches the same and goes first",
                other(winner)
            ),
        );
    } else if first.specificity() == second.specificity()
        && first.is_deny() == second.is_deny()
        && first.date == second.date
        && first.level != second.level
    {
        problems.add(
            &first.id,
            format!(
                "is ambiguous: {} matches too and says another thing",
                other(second)
            ),
        );
    } else if first.specificity() == second.specificity() && name_two_drivers(first, second) {
        problems.add(
            &first.id,
            format!(
                "is ambiguous: {} matches too and names another driver; tell them apart by class or card",
                other(second)
            ),
        );
    } else {
        // A wider deny of the same rank hides all of a narrower entry.
        for (deny, hidden) in [(first, second), (second, first)] {
            if deny.is_deny() && !hidden.is_deny() && covers(deny, hidden) {
                problems.add(
                    &hidden.id,
                    format!("is never reached: {} denies all of it", other(deny)),
                );
            }
        }
    }
}

/// Whether each says that a function works with its own driver: a card may have functions of several kinds under one number.
fn name_two_drivers(first: &Entry, second: &Entry) -> bool {
    let drivers = first
        .require
        .driver
        .as_ref()
        .zip(second.require.driver.as_ref());
    !first.is_deny() && !second.is_deny() && drivers.is_some_and(|(first, second)| first != second)
}

/// Whether both hold for some release.
fn share_a_release(first: &Entry, second: &Entry) -> bool {
    let any = |a: &Entry, b: &Entry| a.releases.iter().any(|release| b.is_of(release));
    first.releases.is_empty()
        || second.releases.is_empty()
        || any(first, second)
        || any(second, first)
}

/// Whether everything that `narrow` matches is matched by `wide` at the same rank or a higher one.
fn covers(wide: &Entry, narrow: &Entry) -> bool {
    // One for some releases leaves the others to what it covers there.
    let all_releases = wide.releases.is_empty() || wide.releases == narrow.releases;
    if wide.specificity().rank < narrow.specificity().rank || !all_releases {
        return false;
    }
    let within = |wide: Option<(u64, u64)>, narrow: Option<(u64, u64)>| match (wide, narrow) {
        (None, _) => true,
        (Some(wide), Some(narrow)) => wide.0 <= narrow.0 && narrow.1 <= wide.1,
        (Some(_), None) => false,
    };
    match (&wide.matches, &narrow.matches) {
        (Match::Pci(a), Match::Pci(b)) => {
            let range = |revisions: Option<(u8, u8)>| {
                revisions.map(|(low, high)| (u64::from(low), u64::from(high)))
            };
            let fits = |a: Option<u16>, b: Option<u16>| a.is_none() || a == b;
            fits(a.vendor, b.vendor)
                && (a.devices.is_empty()
                    || (!b.devices.is_empty()
                        && b.devices.iter().all(|device| a.devices.contains(device))))
                && fits(a.subvendor, b.subvendor)
                && fits(a.subdevice, b.subdevice)
                && a.class.is_none_or(|class| {
                    b.class.is_some_and(|narrow| {
                        String::from(narrow).starts_with(&String::from(class))
                    })
                })
                && within(range(a.revisions), range(b.revisions))
        }
        (Match::Cpu(a), Match::Cpu(b)) => {
            let range = |range: (u32, u32)| (u64::from(range.0), u64::from(range.1));
            a.vendor == b.vendor
                && within(Some(range(a.families)), Some(range(b.families)))
                && (a.models.is_empty()
                    || (!b.models.is_empty()
                        && b.models.iter().all(|model| a.models.contains(model))))
                && within(a.steppings.map(range), b.steppings.map(range))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
