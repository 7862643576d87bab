//! Demands of entries on versions: met, broken, and not to be told.

use super::samples::nvme_uefi;
use super::tree::Tree;
use hcl_checker::Known;
use hcl_checker::drivers::DriverIndex;
use hcl_checker::facts::{Context, Facts};
use hcl_checker::list::List;
use hcl_checker::verdict::{Finding, Level, Severity, judge};

/// An entry, certified, with a public report.
fn entry(class: &str, matches: &str, rest: &str) -> List {
    let text = format!(
        "[[entry]]\nid = \"rule\"\nclass = \"{class}\"\nmatch.{matches}\nlevel = \"certified\"\n\
         evidence = [\"https://example.org/report\"]\ndate = \"2026-01-01\"\n{rest}\n"
    );
    List::parse("test.toml", &text).expect("list")
}

const I40E: &str = "pci = { vendor = 0x8086, devices = [0x1572] }";
const NVME: &str = "pci = { class = \"010802\" }";
const SERVER: &str = "dmi = { vendor = \"Example Inc.\", product = \"Server 1000\" }";

/// The finding by that entry, the one that counts where there are several.
fn found(facts: &Facts, list: &List) -> Finding {
    // Kernel 6.12.117+deb13-amd64.
    // The tree must stay: whether a driver is there is looked up when it is asked for.
    let tree = nvme_uefi();
    let folder = tree.modules(
        &[
            ("pci:v*d*sv*sd*bc01sc08i02*", "nvme"),
            ("pci:v00008086d00001572sv*sd*bc*sc*i*", "i40e"),
        ],
        &[],
    );
    let drivers = DriverIndex::read(&folder).expect("modules");
    let verdict = judge(facts, list, Some(&drivers));
    let mut by_rule = verdict.findings.into_iter().filter(|f| f.rule == "rule");
    let first = by_rule.next().expect("a finding");
    by_rule.find(|finding| finding.essential).unwrap_or(first)
}

fn is_met(finding: &Finding) -> bool {
    match (finding.level, finding.severity) {
        (Some(Level::Certified), Severity::Fine) => true,
        (Some(Level::CertifiedWithDeviation), Severity::Warns) => false,
        other => panic!("{other:?}: {finding:#?}"),
    }
}

#[test]
fn firmware_of_a_network_card() {
    let mut facts = nvme_uefi().facts();
    let list = entry(
        "nic",
        I40E,
        "require.driver = \"i40e\"\nrequire.firmware.min = \"6.80\"",
    );
    for (version, met) in [
        (Known::Value("6.80 0x80003d05 1.2007.0"), true),
        (Known::Value("9.20 0x8000d95e 22.0.9"), true),
        (Known::Value("6.01 0x8000354e 1.1747.0"), false),
        (Known::Value("A05"), false),
        (Known::Absent, false),
        (Known::unknown("not asked"), false),
    ] {
        let Known::Value(nics) = &mut facts.nics else {
            panic!("no interfaces")
        };
        nics[0].firmware_version = version.clone().map(str::to_owned);
        // The first port has the interface; of two that are equally good it is the one that counts.
        let verdict = judge(&facts, &list, None);
        let port = verdict
            .findings
            .iter()
            .find(|f| f.subject == hcl_checker::verdict::Subject::Pci("0000:02:00.0".into()));
        let port = port.expect("a finding about the port");
        assert_eq!(is_met(port), met, "{version}");
        if !met {
            assert_eq!(port.expected, "firmware 6.80 or newer");
            assert!(
                port.advice.contains("update the firmware"),
                "{}",
                port.advice
            );
        }
    }
}

#[test]
fn firmware_of_an_nvme_disk() {
    let facts = nvme_uefi().facts();
    let of = |versions: &str| {
        let rest = format!("require.driver = \"nvme\"\nrequire.firmware = {versions}");
        found(&facts, &entry("storage", NVME, &rest))
    };
    assert!(is_met(&of("{ exact = [\"GDC5302Q\", \"GDC5602Q\"] }")));
    let broken = of("{ exact = [\"GDC5302Q\"] }");
    assert!(!is_met(&broken) && broken.essential);
    assert!(
        broken.advice.starts_with("the firmware is GDC5602Q: "),
        "{}",
        broken.advice
    );
}

#[test]
fn versions_of_the_driver_are_those_of_the_kernel() {
    let facts = nvme_uefi().facts();
    let of = |versions: &str, rest: &str| {
        let rest =
            format!("require.driver = \"nvme\"\nrequire.driver_versions = {versions}\n{rest}");
        found(&facts, &entry("storage", NVME, &rest))
    };
    assert!(is_met(&of("{ min = \"6.12.100\", below = \"6.13\" }", "")));
    let broken = of(
        "{ below = \"6.12.117\" }",
        "deviation = \"it loses writes\"",
    );
    assert!(!is_met(&broken));
    assert_eq!(broken.expected, "kernel older than 6.12.117");
    assert_eq!(
        broken.advice,
        "the kernel is 6.12.117+deb13-amd64: it loses writes"
    );
}

#[test]
fn the_bios_of_a_system() {
    let list = entry("system", SERVER, "require.bios_min = \"2.10.0\"");
    for (version, met) in [
        (Some("2.10.2"), true),
        (Some("2.9.4"), false),
        (None, false),
    ] {
        let tree: Tree = nvme_uefi();
        if let Some(version) = version {
            tree.file("sys/class/dmi/id/bios_version", version);
        }
        let system = found(&tree.facts(), &list);
        assert_eq!(is_met(&system), met, "{version:?}: {system:#?}");
        if !met {
            assert_eq!(system.expected, "BIOS 2.10.0 or newer");
        }
    }
}

#[test]
fn a_controller_that_does_not_boot() {
    let facts = nvme_uefi().facts();
    let of = |features: &str| {
        let rest = format!("require.driver = \"nvme\"\n{features}");
        found(&facts, &entry("storage", NVME, &rest))
    };
    assert!(is_met(&of("")) && is_met(&of("features.boot = true")));
    let broken = of("features.boot = false");
    assert!(!is_met(&broken) && broken.advice.contains("another controller"));
}

#[test]
fn an_entry_of_another_release_is_passed_over() {
    let facts = nvme_uefi().facts();
    let rules = |releases: &str| -> bool {
        let list = entry("system", SERVER, &format!("releases = [{releases}]"));
        let verdict = judge(&facts, &list, None);
        verdict
            .findings
            .iter()
            .any(|finding| finding.rule == "rule")
    };
    // This is 0.1.0.
    assert!(rules("\"0.1\"") && rules("\"0.0\", \"0.1.0\"") && rules("\"0\""));
    assert!(!rules("\"0.2\"") && !rules("\"0.10\"") && !rules("\"0.1.0.1\""));
}

/// Xen itself goes by the revision: from 0x22 on the chipset is mended.
#[test]
fn a_chipset_whose_interrupt_remapping_is_broken() {
    let list = List::built_in().expect("list");
    let tree: Tree = nvme_uefi();
    tree.pci("0000:00:00.0", [0x8086, 0x3406, 0, 0], 0x06_0000, None);
    for (revision, told) in [("0x13\n", true), ("0x21\n", true), ("0x22\n", false)] {
        tree.file("sys/devices/pci0000:00/0000:00:00.0/revision", revision);
        let verdict = judge(&tree.facts(), &list, None);
        let mut warned = verdict.of(Severity::Warns);
        let chipset = warned.find(|finding| finding.rule == "intel-5500-5520-iommu");
        assert_eq!(chipset.is_some(), told, "{revision}");
        assert!(
            chipset.is_none_or(|chipset| !chipset.essential && chipset.advice.contains("IOMMU"))
        );
    }
}

#[test]
fn microcode_is_asked_of_machines_and_not_of_their_guests() {
    let mut facts = nvme_uefi().facts();
    facts.context = Known::Value(Context::Bare);
    let of = |facts: &Facts, least: &str| {
        let cpu = "cpu = { vendor = \"GenuineIntel\", families = [6, 6], models = [143] }";
        let rest = format!("require.microcode_min = \"{least}\"");
        found(facts, &entry("cpu", cpu, &rest))
    };
    facts.cpu.vendor = Known::Value("GenuineIntel".to_owned());
    facts.cpu.family = Known::Value(6);
    facts.cpu.model = Known::Value(143);
    facts.cpu.microcode = Known::Value("0x2b000590".to_owned());
    assert!(is_met(&of(&facts, "0x2b000590")));
    let broken = of(&facts, "0x2b000591");
    assert!(!is_met(&broken));
    assert_eq!(broken.expected, "microcode 0x2b000591 or newer");
    facts.cpu.microcode = Known::unknown("not told");
    assert!(!is_met(&of(&facts, "0x1")));
    facts.context = Known::Value(Context::Guest {
        hypervisor: "KVM".to_owned(),
    });
    assert!(is_met(&of(&facts, "0x2b000591")));
}
