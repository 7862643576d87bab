//! What is said about each machine.

use super::samples::{AMD_GUEST, INTEL, nvme_uefi, qemu_virtio, sata};
use super::tree::Tree;
use hcl_checker::drivers::DriverIndex;
use hcl_checker::list::List;
use hcl_checker::verdict::{Finding, Level, Severity, Subject, Verdict, judge, judge_for_disks};

const ALIASES: &[(&str, &str)] = &[
    ("pci:v*d*sv*sd*bc01sc08i02*", "nvme"),
    ("pci:v*d*sv*sd*bc01sc06i01*", "ahci"),
    ("pci:v00008086d00001572sv*sd*bc*sc*i*", "i40e"),
    ("pci:v00008086d000010D3sv*sd*bc*sc*i*", "e1000e"),
    ("pci:v00001234d00005678sv*sd*bc*sc*i*", "exotic"),
    ("virtio:d00000002v*", "virtio_blk"),
    ("virtio:d00000001v*", "virtio_net"),
];

fn list() -> List {
    List::built_in().expect("list")
}

/// With the modules of a kernel like Debian's, where virtio_pci is built in and has no alias.
fn check(tree: &Tree) -> Verdict {
    let drivers = DriverIndex::read(&tree.modules(ALIASES, &["virtio_pci"])).expect("modules");
    judge(&tree.facts(), &list(), Some(&drivers))
}

fn finding<'a>(verdict: &'a Verdict, rule: &str) -> &'a Finding {
    let found = verdict.findings.iter().find(|finding| finding.rule == rule);
    found.unwrap_or_else(|| panic!("no finding of {rule} in {:#?}", verdict.findings))
}

#[test]
fn a_qemu_machine_is_compatible_and_never_more() {
    let verdict = check(&qemu_virtio());
    assert_eq!(verdict.level, Level::Compatible, "{:#?}", verdict.findings);
    assert_eq!(verdict.exit_code(), 0);
    assert!(verdict.allows_install());
    assert_eq!(verdict.kernel.as_deref(), Some("6.12.117+deb13-amd64"));
    assert!(finding(&verdict, "virtio-blk").essential && finding(&verdict, "virtio-net").essential);
    // Everything certified, and still a virtual machine.
    let text = "[[entry]]\nid = \"all\"\nclass = \"cpu\"\nmatch.cpu = { vendor = \"AuthenticAMD\", families = [15, 15] }\n\
                level = \"certified\"\nevidence = [\"https://example.org\"]\ndate = \"2026-01-01\"\n";
    let all = [
        "dmi = { vendor = \"QEMU\", product = \"Standard PC*\" }",
        "pci = { vendor = 0x1af4 }",
    ];
    let mut certified = List::parse("test", text).expect("list");
    for matches in all {
        let text = text.replace(
            "cpu = { vendor = \"AuthenticAMD\", families = [15, 15] }",
            matches,
        );
        certified.extend(List::parse("test", &text).expect("list"));
    }
    let tree = qemu_virtio();
    assert_eq!(
        judge(&tree.facts(), &certified, None).level,
        Level::Compatible
    );
    tree.base("AuthenticAMD", 15, 107, "lm svm npt", 8_000_000)
        .dmi("QEMU Metal", "x");
    let mut facts = tree.facts();
    facts.context = hcl_checker::Known::Value(hcl_checker::facts::Context::Bare);
    facts.dmi = qemu_virtio().facts().dmi;
    assert_eq!(judge(&facts, &certified, None).level, Level::Certified);
    facts.context = hcl_checker::Known::unknown("test");
    assert_eq!(judge(&facts, &certified, None).level, Level::Compatible);
}

#[test]
fn an_unlisted_server_warns() {
    let verdict = check(&nvme_uefi());
    assert_eq!(verdict.level, Level::UnlistedWithDriver);
    assert_eq!(verdict.exit_code(), 1);
    assert!(verdict.allows_install());
    assert_eq!(
        finding(&verdict, "unlisted-system").severity,
        Severity::Warns
    );
    assert_eq!(finding(&verdict, "nvme").level, Some(Level::Compatible));
    // One port of two is enough.
    let ports: Vec<bool> = verdict
        .findings
        .iter()
        .filter(|f| f.rule == "intel-i40e")
        .map(|finding| finding.essential)
        .collect();
    assert_eq!(ports.len(), 2);
    assert_eq!(ports.iter().filter(|essential| **essential).count(), 1);
}

#[test]
fn no_virtualization_is_unsupported() {
    let tree = qemu_virtio();
    tree.base("AuthenticAMD", 15, 107, "lm nx cx16 hypervisor", 4_014_488);
    let verdict = check(&tree);
    assert_eq!(
        (verdict.level, verdict.exit_code()),
        (Level::Unsupported, 3)
    );
    assert!(!verdict.allows_install());
    let finding = finding(&verdict, "xen-cpu-virtualization");
    assert_eq!(finding.severity, Severity::Blocks);
    assert!(finding.advice.contains("firmware"));
}

#[test]
fn memory_refuses_and_warns() {
    let tree = qemu_virtio();
    for (kib, level, code) in [
        (1_700 * 1024, Level::Unsupported, 3),
        (2_000 * 1024, Level::Compatible, 1),
        (3_900 * 1024, Level::Compatible, 0),
        (13 << 30, Level::Compatible, 1),
    ] {
        tree.base("AuthenticAMD", 15, 107, AMD_GUEST, kib);
        let verdict = check(&tree);
        assert_eq!(
            (verdict.level, verdict.exit_code()),
            (level, code),
            "{kib} KiB"
        );
    }
}

#[test]
fn a_cpu_that_xen_dropped_is_denied() {
    let tree = nvme_uefi();
    tree.base("GenuineIntel", 6, 0x57, INTEL, 131_000_000);
    let verdict = check(&tree);
    assert_eq!(verdict.level, Level::Unsupported);
    assert!(
        finding(&verdict, "cpu-intel-xeon-phi")
            .advice
            .contains("4.20")
    );
}

#[test]
fn nothing_known_is_unknown_and_never_a_pass() {
    let verdict = check(&Tree::empty());
    assert_eq!((verdict.level, verdict.exit_code()), (Level::Unknown, 4));
    assert!(!verdict.allows_install());
    // One fact that cannot be read is enough.
    let tree = qemu_virtio();
    assert_eq!(check(&tree).level, Level::Compatible);
    std::fs::remove_file(tree.path().join("proc/meminfo")).expect("remove");
    assert_eq!(check(&tree).level, Level::Unknown);
    // What is known not to work decides all the same.
    tree.base("AuthenticAMD", 15, 107, "lm", 4_000_000);
    std::fs::remove_file(tree.path().join("proc/meminfo")).expect("remove");
    assert_eq!(check(&tree).level, Level::Unsupported);
}

#[test]
fn an_unlisted_controller_is_judged_by_its_driver() {
    let tree = nvme_uefi();
    tree.pci("0000:05:00.0", [0x1234, 0x5678, 0, 0], 0x01_0700, None);
    tree.pci("0000:06:00.0", [0x1234, 0x9999, 0, 0], 0x01_0700, None);
    let verdict = check(&tree);
    assert_eq!(
        verdict.level,
        Level::UnlistedWithDriver,
        "the NVMe disk is enough"
    );
    let with = finding(&verdict, "unlisted-with-driver");
    assert!(with.observed.contains("exotic") && !with.essential);
    let without = finding(&verdict, "unlisted-without-driver");
    assert_eq!(
        (without.severity, without.subject.clone()),
        (Severity::Warns, Subject::Pci("0000:06:00.0".to_owned()))
    );
    // Bridges and parts of a CPU are nobody's business.
    tree.pci("0000:00:00.0", [0x8086, 0x2020, 0, 0], 0x06_0000, None);
    tree.pci("0000:00:08.0", [0x8086, 0x2021, 0, 0], 0x08_8000, None);
    assert_eq!(check(&tree).findings.len(), verdict.findings.len());
}

#[test]
fn an_unlisted_controller_without_a_kernel_to_ask_is_unknown() {
    let tree = nvme_uefi();
    tree.pci(
        "0000:05:00.0",
        [0x1234, 0x5678, 0, 0],
        0x01_0700,
        Some("exotic"),
    );
    let verdict = judge(&tree.facts(), &list(), None);
    assert_eq!(
        finding(&verdict, "unknown-driver").level,
        Some(Level::Unknown)
    );
    tree.disk(
        "sda",
        "0000:05:00.0/host0/target0:0:0/0:0:0:0/block",
        1 << 30,
        "8:0",
    );
    assert_eq!(
        judge_for_disks(&tree.facts(), &list(), None, &["sda"]).level,
        Level::Unknown
    );
    assert_eq!(
        judge_for_disks(&tree.facts(), &list(), None, &["nvme0n1"]).level,
        Level::UnlistedWithDriver
    );
}

#[test]
fn named_disks_count_each() {
    let tree = nvme_uefi();
    tree.pci("0000:06:00.0", [0x1234, 0x9999, 0, 0], 0x01_0700, None);
    tree.disk(
        "sda",
        "0000:06:00.0/host0/target0:0:0/0:0:0:0/block",
        1 << 30,
        "8:0",
    );
    let drivers = DriverIndex::read(&tree.modules(ALIASES, &[])).expect("modules");
    let level =
        |disks: &[&str]| judge_for_disks(&tree.facts(), &list(), Some(&drivers), disks).level;
    assert_eq!(level(&[]), Level::UnlistedWithDriver);
    assert_eq!(level(&["nvme0n1"]), Level::UnlistedWithDriver);
    assert_eq!(level(&["nvme0n1", "sda"]), Level::UnlistedWithoutDriver);
    assert_eq!(level(&["sdz"]), Level::Unsupported);
}

#[test]
fn a_listed_device_without_its_driver_is_not_enough() {
    let tree = qemu_virtio();
    let drivers = DriverIndex::read(&tree.modules(&[("virtio:d00000001v*", "virtio_net")], &[]))
        .expect("modules");
    let verdict = judge(&tree.facts(), &list(), Some(&drivers));
    assert_eq!(
        (verdict.level, verdict.exit_code()),
        (Level::UnlistedWithoutDriver, 3)
    );
    assert!(
        finding(&verdict, "no-driver")
            .observed
            .contains("virtio_blk")
    );
}

#[test]
fn a_machine_without_disk_or_network() {
    let tree = sata();
    let real = tree.path().join("sys/block");
    std::fs::remove_file(real.join("sda")).expect("remove");
    let verdict = check(&tree);
    assert_eq!(verdict.level, Level::Unsupported);
    assert!(
        finding(&verdict, "no-install-disk")
            .observed
            .contains("sr0")
    );
    let tree = sata();
    std::fs::remove_file(tree.path().join("sys/bus/pci/devices/0000:00:19.0")).expect("remove");
    std::fs::remove_dir_all(tree.path().join("sys/class/net/eth0")).expect("remove");
    assert_eq!(check(&tree).level, Level::Unsupported);
    assert_eq!(finding(&check(&tree), "no-nic").severity, Severity::Blocks);
}

#[test]
fn sockets_that_disagree_are_told() {
    let tree = qemu_virtio();
    tree.cpus(&[("0", "0"), ("1", "1")]);
    let mut processor = vec![0; 0x1a];
    processor[..4].copy_from_slice(&[4, 0x1a, 0, 0]);
    (processor[5], processor[0x18]) = (3, 0x41);
    processor.extend([0, 0]);
    tree.file("sys/firmware/dmi/tables/DMI", processor);
    let verdict = check(&tree);
    let finding = finding(&verdict, "sockets-disagree");
    assert_eq!(finding.severity, Severity::Warns);
    assert!(
        finding.observed.contains("kernel counts 2") && finding.observed.contains("table counts 1")
    );
    assert_eq!(verdict.exit_code(), 1);
}

#[test]
fn what_blocks_stands_first() {
    let tree = nvme_uefi();
    tree.base("GenuineIntel", 6, 143, "lm", 131_000_000);
    let severities: Vec<Severity> = check(&tree)
        .findings
        .iter()
        .map(|finding| finding.severity)
        .collect();
    assert!(
        severities.is_sorted_by(|a, b| a >= b) && severities[0] == Severity::Blocks,
        "{severities:?}"
    );
}
