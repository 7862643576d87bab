//! What cannot be read is unknown: neither a pass nor a refusal.

use super::samples::{nvme_uefi, qemu_virtio};
use hcl_checker::Known;
use hcl_checker::drivers::DriverIndex;
use hcl_checker::facts::{Context, Depth, Facts, Iommu, IommuKind, Vulnerability, Xen};
use hcl_checker::list::List;
use hcl_checker::verdict::{Level, Severity, Verdict, judge, judge_for_disks};

fn check(facts: &Facts) -> Verdict {
    judge(facts, &List::built_in().expect("list"), Some(&shipped()))
}

fn shipped() -> DriverIndex {
    DriverIndex::shipped().expect("index")
}

/// Rule, level and severity of the finding of a rule.
fn found(verdict: &Verdict, rule: &str) -> Option<(Option<Level>, Severity)> {
    let found = verdict.findings.iter().find(|finding| finding.rule == rule);
    found.map(|finding| (finding.level, finding.severity))
}

fn unknown<T>() -> Known<T> {
    Known::unknown("for a test")
}

#[test]
fn a_disk_that_could_not_be_read_may_be_one() {
    let mut facts = nvme_uefi().facts();
    let Known::Value(disks) = &mut facts.disks else {
        panic!("disks");
    };
    disks[0].size_bytes = unknown();
    let verdict = check(&facts);
    assert_eq!((verdict.level, verdict.exit_code()), (Level::Unknown, 4));
    assert_eq!(found(&verdict, "no-install-disk"), None);
    assert_eq!(
        found(&verdict, "unknown-disks"),
        Some((Some(Level::Unknown), Severity::Blocks))
    );
    let named = judge_for_disks(
        &facts,
        &List::built_in().expect("list"),
        Some(&shipped()),
        &["nvme0n1"],
    );
    assert_eq!(named.level, Level::Unknown);
}

#[test]
fn a_function_without_numbers_may_be_a_controller() {
    let mut facts = nvme_uefi().facts();
    facts.disks = Known::Value(Vec::new());
    facts.nics = Known::Value(Vec::new());
    let Known::Value(functions) = &mut facts.pci else {
        panic!("functions");
    };
    for function in functions.iter_mut() {
        function.ids = unknown();
    }
    let verdict = check(&facts);
    assert_eq!((verdict.level, verdict.exit_code()), (Level::Unknown, 4));
    for rule in ["unknown-disks", "unknown-nics"] {
        assert_eq!(
            found(&verdict, rule),
            Some((Some(Level::Unknown), Severity::Blocks)),
            "{rule}"
        );
    }
    // Where all numbers were read there is none.
    let Known::Value(functions) = &mut facts.pci else {
        panic!("functions");
    };
    functions.clear();
    assert_eq!(check(&facts).level, Level::Unsupported);
}

#[test]
fn a_disk_that_holds_no_host_is_told() {
    let tree = nvme_uefi();
    let mut facts = tree.facts();
    let sized = |facts: &mut Facts, size| {
        let Known::Value(disks) = &mut facts.disks else {
            panic!("disks");
        };
        disks[0].size_bytes = Known::Value(size);
    };
    let least = slots::layout::MIN_DISK_SIZE;
    sized(&mut facts, least);
    assert!(check(&facts).allows_install());
    sized(&mut facts, least - 512);
    let verdict = check(&facts);
    assert_eq!(verdict.level, Level::Unsupported);
    let finding = (verdict.findings.iter()).find(|finding| finding.rule == "no-install-disk");
    let observed = &finding.expect("told").observed;
    assert!(observed.contains("nvme0n1 (19.3 GB)"), "{observed}");
    let list = List::built_in().expect("list");
    let named = judge_for_disks(&facts, &list, Some(&shipped()), &["nvme0n1"]);
    assert_eq!(
        found(&named, "disk-too-small"),
        Some((Some(Level::Unsupported), Severity::Blocks))
    );
}

#[test]
fn sockets_that_nobody_counted_are_told() {
    let mut facts = nvme_uefi().facts();
    assert_eq!(found(&check(&facts), "unknown-sockets"), None);
    facts.topology.sockets = unknown();
    assert_eq!(
        found(&check(&facts), "unknown-sockets"),
        Some((Some(Level::Unknown), Severity::Warns))
    );
}

#[test]
fn an_iommu_is_looked_for() {
    let rule = "xen-iommu";
    let mut facts = nvme_uefi().facts();
    assert_eq!(facts.context, Known::Value(Context::Bare));
    let with = |remapping| {
        Known::Value(Iommu {
            kind: IommuKind::VtD,
            interrupt_remapping: remapping,
            ..Iommu::default()
        })
    };
    let fine = Some((None, Severity::Fine));
    let missing = Some((Some(Level::CertifiedWithDeviation), Severity::Warns));
    let not_known = Some((Some(Level::Unknown), Severity::Warns));
    for (iommu, expected) in [
        (with(Known::Value(true)), fine),
        (with(Known::Value(false)), missing),
        (with(unknown()), not_known),
        (Known::Absent, missing),
        (unknown(), not_known),
    ] {
        facts.acpi.iommu = iommu.clone();
        assert_eq!(found(&check(&facts), rule), expected, "{iommu:?}");
    }
    // A virtual machine has the devices that its host gives it.
    assert_eq!(found(&check(&qemu_virtio().facts()), rule), fine);
}

/// Xen switches the IOMMU of some chipsets off, and all by its options.
#[test]
fn in_dom0_the_iommu_is_the_one_that_xen_uses() {
    let rule = "xen-iommu";
    let mut facts = nvme_uefi().facts();
    facts.context = Known::Value(Context::Dom0);
    let caps = |text: &str| {
        Known::Value(Xen {
            virt_caps: Known::Value(text.split(' ').map(str::to_owned).collect()),
            ..Xen::default()
        })
    };
    let fine = Some((None, Severity::Fine));
    let missing = Some((Some(Level::CertifiedWithDeviation), Severity::Warns));
    let not_known = Some((Some(Level::Unknown), Severity::Warns));
    for (xen, expected) in [
        (caps("pv hvm hap hvm_directio"), fine),
        (caps("pv hvm hap pv_directio"), missing),
        (Known::Value(Xen::default()), not_known),
        (unknown(), not_known),
    ] {
        facts.xen = xen.clone();
        assert_eq!(found(&check(&facts), rule), expected, "{xen:?}");
    }
    facts.xen = caps("pv hvm hap hvm_directio");
    facts.acpi.iommu = Known::Absent;
    assert_eq!(found(&check(&facts), rule), missing);
}

/// Old kernels show the flag of VT-x or AMD-V although firmware locked it off.
#[test]
fn a_register_that_says_locked_goes_before_the_flag() {
    let rule = "xen-cpu-virtualization";
    let fine = Some((None, Severity::Fine));
    let blocks = Some((Some(Level::Unsupported), Severity::Blocks));
    // Bit 0 of the register locks it, bit 2 lets VT-x be used.
    for (register, expected) in [("5", fine), ("4", fine), ("1", blocks)] {
        let tree = nvme_uefi();
        tree.file("run/hcl-checker/msr/3a", register);
        let facts = Facts::read_with(&tree.root(), Depth::Deep);
        assert_eq!(found(&check(&facts), rule), expected, "{register}");
    }
    let mut facts = nvme_uefi().facts();
    for (locked, context, expected) in [
        (Known::Value(true), Context::Bare, blocks),
        (Known::Value(false), Context::Bare, fine),
        (unknown(), Context::Bare, fine),
        // There Xen has switched it on.
        (Known::Value(true), Context::Dom0, fine),
    ] {
        facts.cpu.virtualization_locked = locked.clone();
        facts.context = Known::Value(context);
        assert_eq!(found(&check(&facts), rule), expected, "{locked:?}");
    }
}

fn vulnerability(name: &str, state: &str) -> Vulnerability {
    Vulnerability {
        name: name.to_owned(),
        state: Known::Value(state.to_owned()),
    }
}

#[test]
fn threads_of_one_core_that_read_from_each_other_are_told() {
    let l1tf = "xen-smt-l1tf";
    let mut facts = nvme_uefi().facts();
    facts.topology.cores = Known::Value(16);
    let fine = Some((None, Severity::Fine));
    let told = Some((Some(Level::CertifiedWithDeviation), Severity::Warns));
    // Haswell, Skylake-SP, Cascade Lake, which has the model of Skylake-SP, and Ice Lake.
    for (model, stepping, threads, expected) in [
        (0x3f, 2, 32, told),
        (0x3f, 2, 16, fine),
        (0x55, 4, 32, told),
        (0x55, 7, 32, fine),
        (0x6a, 6, 32, fine),
    ] {
        facts.cpu.model = Known::Value(model);
        facts.cpu.stepping = Known::Value(stepping);
        facts.topology.threads = Known::Value(threads);
        assert_eq!(
            found(&check(&facts), l1tf),
            expected,
            "{model:x} {stepping} {threads}"
        );
    }
    facts.cpu.model = Known::Value(0x3f);
    facts.topology.threads = unknown();
    let not_known = Some((Some(Level::Unknown), Severity::Warns));
    assert_eq!(found(&check(&facts), l1tf), not_known);
    facts.topology.threads = Known::Value(32);
    // Of Skylake-SP and Cascade Lake the stepping decides, of Haswell and Ice Lake it does not.
    facts.cpu.stepping = unknown();
    for (model, expected) in [(0x55, not_known), (0x3f, told), (0x6a, fine)] {
        facts.cpu.model = Known::Value(model);
        assert_eq!(found(&check(&facts), l1tf), expected, "{model:x}");
    }
    // Kaby Lake, and Coffee Lake of the same model, of which the kernel knows which steppings are mended.
    facts.cpu.model = Known::Value(0x9e);
    facts.cpu.vulnerabilities = unknown();
    assert_eq!(found(&check(&facts), l1tf), told);
    for (state, expected) in [
        ("Mitigation: PTE Inversion; VMX: SMT vulnerable", told),
        ("Not affected", fine),
    ] {
        facts.cpu.vulnerabilities = Known::Value(vec![
            vulnerability("mds", "Not affected"),
            vulnerability("l1tf", state),
        ]);
        assert_eq!(found(&check(&facts), l1tf), expected, "{state}");
    }
    facts.cpu.vulnerabilities = Known::Value(vec![vulnerability("mds", "Not affected")]);
    assert_eq!(found(&check(&facts), l1tf), told);
    // EPYC 7001, and EPYC 7002, which is no Zen 1.
    facts.cpu.vendor = Known::Value("AuthenticAMD".to_owned());
    facts.cpu.family = Known::Value(0x17);
    facts.topology.threads = Known::Value(32);
    for (model, expected) in [(0x01, told), (0x31, fine)] {
        facts.cpu.model = Known::Value(model);
        assert_eq!(found(&check(&facts), "xen-smt-div"), expected, "{model:x}");
    }
}
