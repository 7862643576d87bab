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
mod tests {
    use super::*;

    fn check(text: &str) -> Vec<String> {
        let list = List::parse("test.toml", text).expect("well-formed");
        let today = Date::parse("2026-11-22").expect("day");
        lint(&list, today).iter().map(ToString::to_string).collect()
    }

    fn entry(id: &str, pci: &str, rest: &str) -> String {
        let level = if rest.contains("level") {
            ""
        } else {
            "level = \"compatible\"\n"
        };
        let date = if rest.contains("date = ") {
            ""
        } else {
            "date = \"2026-01-01\"\n"
        };
        let evidence = if rest.contains("evidence") {
            ""
        } else {
            "evidence = [\"https://example.org/x\"]\n"
        };
        format!(
            "[[entry]]\nid = \"{id}\"\nclass = \"nic\"\nmatch.pci = {pci}\n{level}{date}{evidence}\
             require.driver = \"x\"\n{rest}\n"
        )
    }

    #[test]
    fn sound_entries_pass() {
        let text =
            entry("a", "{ vendor = 1, devices = [2] }", "") + &entry("b", "{ class = \"02\" }", "");
        assert_eq!(check(&text), [""; 0]);
    }

    #[test]
    fn unsourced_and_expired_and_double() {
        let text = entry("a", "{ vendor = 1, devices = [2] }", "evidence = []")
            + &entry(
                "b",
                "{ vendor = 1, devices = [3] }",
                "evidence = [\"somebody said so\"]",
            )
            + &entry(
                "c",
                "{ vendor = 1, devices = [4] }",
                "valid_until = \"2026-11-21\"",
            )
            + &entry(
                "d",
                "{ vendor = 1, devices = [5] }",
                "valid_until = \"2026-11-22\"",
            )
            + &entry("d", "{ vendor = 1, devices = [6] }", "");
        let found = check(&text);
        assert_eq!(found.len(), 4, "{found:#?}");
        for (found, part) in found.iter().zip([
            "a: names no evidence",
            "b: has evidence",
            "c: expired",
            "d: has the id",
        ]) {
            assert!(found.starts_with(part), "{found}");
        }
    }

    #[test]
    fn ambiguous_and_unreachable() {
        let deny = "level = \"unsupported\"";
        let certified = "level = \"certified\"";
        let same = entry("a", "{ vendor = 1, devices = [2] }", "")
            + &entry("b", "{ vendor = 1, devices = [2] }", deny);
        assert_eq!(
            check(&same),
            ["a: is never reached: b of 2026-01-01 matches the same and goes first"]
        );
        let tie = entry("a", "{ vendor = 1, devices = [2, 3] }", "")
            + &entry("b", "{ vendor = 1, devices = [3, 4] }", certified);
        assert_eq!(
            check(&tie),
            ["a: is ambiguous: b of 2026-01-01 matches too and says another thing"]
        );
        let functions = |class: &str| {
            entry("a", "{ vendor = 1, devices = [2, 3] }", "")
                + &entry("b", &format!("{{ vendor = 1, devices = [3]{class} }}"), "")
                    .replace("driver = \"x\"", "driver = \"y\"")
        };
        assert_eq!(
            check(&functions("")),
            [
                "a: is ambiguous: b of 2026-01-01 matches too and names another driver; tell them apart by class or card"
            ]
        );
        assert_eq!(check(&functions(", class = \"0c04\"")), [""; 0]);
        let newer = entry("a", "{ vendor = 1, devices = [2, 3] }", "")
            + &entry(
                "b",
                "{ vendor = 1, devices = [3, 4] }",
                &format!("{certified}\ndate = \"2026-02-01\""),
            );
        assert_eq!(check(&newer), [""; 0]);
        let hidden = entry("a", "{ vendor = 1, devices = [2], revisions = [1, 2] }", "")
            + &entry("b", "{ vendor = 1, devices = [2, 3] }", deny);
        assert_eq!(
            check(&hidden),
            ["a: is never reached: b of 2026-01-01 denies all of it"]
        );
        let wider = entry("a", "{ vendor = 1, devices = [2] }", "")
            + &entry("b", "{ vendor = 1, class = \"02\" }", deny);
        assert_eq!(check(&wider), [""; 0], "the more specific one is reached");
    }

    #[test]
    fn demands_that_make_no_sense() {
        let pci = "{ vendor = 1, devices = [2] }";
        for (rest, part) in [
            (
                "require.firmware = {}",
                "names no version in require.firmware",
            ),
            (
                "require.driver_versions = { min = \"2\", below = \"1\" }",
                "empty range of versions",
            ),
            ("require.bios_min = \"1.2\"", "no system"),
            ("releases = [\"next\"]", "`next`, which is no version"),
            ("releases = [\"0.1.2.3\"]", "no version"),
            ("deviation = \" \"", "empty note"),
        ] {
            let found = check(&entry("a", pci, rest));
            assert!(
                found.len() == 1 && found[0].contains(part),
                "{rest}: {found:?}"
            );
        }
        let sound = "require.firmware = { min = \"4.0\" }\nrequire.driver_versions = { min = \"6.1\" }\n\
                     deviation = \"update it\"\nfeatures = { sriov = true, boot = false }\nreleases = [\"0.1\", \"0.2.3\"]";
        assert_eq!(check(&entry("a", pci, sound)), [""; 0]);
        let disk = entry(
            "a",
            "{ vendor = 1, class = \"0108\" }",
            "require.firmware = { exact = [\"X\"] }",
        )
        .replace("\"nic\"", "\"storage\"");
        assert_eq!(check(&disk), [""; 0], "NVMe disks tell their firmware");
        let found = check(&disk.replace("0108", "0107"));
        assert!(found[0].contains("does not tell its version"), "{found:?}");
        let system = "[[entry]]\nid = \"s\"\nclass = \"system\"\nmatch.dmi = { vendor = \"V\", product = \"P\" }\n\
                      level = \"compatible\"\nevidence = [\"https://example.org/x\"]\ndate = \"2026-01-01\"\n";
        assert_eq!(
            check(&format!("{system}require.bios_min = \"1.2\"\n")),
            [""; 0]
        );
        for (rest, part) in [
            ("require.bios_min = \"-\"", "without letters and digits"),
            ("features.boot = true", "is none"),
            ("deviation = \"x\"", "demands nothing"),
            ("require.firmware.min = \"1\"", "does not tell its version"),
        ] {
            let found = check(&format!("{system}{rest}\n"));
            assert!(
                found.len() == 1 && found[0].contains(part),
                "{rest}: {found:?}"
            );
        }
    }

    #[test]
    fn entries_for_different_releases_do_not_meet() {
        let of = |id: &str, releases: &str, level: &str| {
            entry(
                id,
                "{ vendor = 1, devices = [2] }",
                &format!("level = \"{level}\"\nreleases = [{releases}]"),
            )
        };
        let apart = of("a", "\"0.1\"", "compatible") + &of("b", "\"0.2\", \"0.10\"", "unsupported");
        assert_eq!(check(&apart), [""; 0]);
        let meet = of("a", "\"0.1\"", "compatible") + &of("b", "\"0.1.3\"", "certified");
        assert_eq!(
            check(&meet),
            ["a: is ambiguous: b of 2026-01-01 matches too and says another thing"]
        );
    }

    #[test]
    fn a_driver_version_that_the_kernel_has_not() {
        let drivers = DriverIndex::shipped().expect("index");
        let of = |min: &str| {
            let text = entry(
                "a",
                "{ vendor = 0x8086, devices = [0x1572] }",
                &format!("require.driver_versions.min = \"{min}\""),
            );
            let list = List::parse("test.toml", &text.replace("\"x\"", "\"i40e\"")).expect("list");
            lint_drivers(&list, &drivers)
        };
        assert_eq!(of("6.1"), []);
        let found = of("99");
        assert!(
            found.len() == 1 && found[0].problem.contains("i40e 99 or newer"),
            "{found:?}"
        );
    }

    #[test]
    fn matches_that_make_no_sense() {
        for (pci, part) in [
            ("{}", "neither vendor nor class"),
            ("{ devices = [1], class = \"02\" }", "without their vendor"),
            (
                "{ vendor = 1, devices = [1], subdevice = 1 }",
                "without its subvendor",
            ),
            (
                "{ vendor = 1, devices = [1], revisions = [2, 1] }",
                "empty range",
            ),
        ] {
            let found = check(&entry("a", pci, ""));
            assert!(found.len() == 1 && found[0].contains(part), "{found:?}");
        }
    }
}
