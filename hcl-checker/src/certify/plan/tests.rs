//! Plans of machines.

use super::*;
use crate::certify::{PeerAt, Target, Way};
use crate::facts::{Context, Disk, Nic, NicKind, PciFunction, Sriov, Xen};
use crate::known::Known;
use std::collections::BTreeMap;

/// A host under Xen with a disk, an interface and a card that can have virtual functions.
fn facts() -> Facts {
    Facts {
        context: Known::Value(Context::Dom0),
        xen: Known::Value(Xen::default()),
        disks: Known::Value(vec![Disk {
            name: "sda".to_owned(),
            path: "/dev/sda".to_owned(),
            by_id: vec!["/dev/disk/by-id/ata-one".to_owned()],
            serial: Known::Value("S1".to_owned()),
            size_bytes: Known::Value(1 << 40),
            ..Disk::default()
        }]),
        nics: Known::Value(vec![Nic {
            name: "eth0".to_owned(),
            kind: Known::Value(NicKind::Ethernet),
            speed_mbit: Known::Value(25_000),
            ..Nic::default()
        }]),
        pci: Known::Value(vec![PciFunction {
            address: "0000:01:00.0".to_owned(),
            sriov: Known::Value(Sriov {
                total: 64,
                enabled: 0,
            }),
            ..PciFunction::default()
        }]),
        ..Facts::default()
    }
}

fn surroundings() -> Surroundings {
    Surroundings {
        root: true,
        interfaces: ["eth0", "lo", "xenbr0"].map(str::to_owned).to_vec(),
        bridges: BTreeMap::new(),
        targets: Vec::new(),
        guest_kernel: Some(PathBuf::from("/boot/vmlinuz")),
        kernel_dump: Some("kdump".to_owned()),
        xen_dump: None,
        xen_is_guest: false,
        systemd: true,
        folder_survives: true,
    }
}

/// Everything that can be asked for.
fn everything() -> Options {
    let mut options = Options {
        erase: vec![PathBuf::from("/dev/disk/by-id/ata-one")],
        vlan: Some(5),
        sriov: true,
        restart: true,
        crash: vec![CrashOf::Kernel, CrashOf::Xen],
        ..Options::default()
    };
    for name in ["eth0", "xenbr0"] {
        let peer = PeerAt {
            address: "192.0.2.2:47470".to_owned(),
            own_address: None,
        };
        options.peers.insert(name.to_owned(), peer);
    }
    options
}

fn plan(facts: &Facts, surroundings: &Surroundings, options: &Options) -> Plan {
    Plan::build(facts, surroundings, options).expect("a plan")
}

/// Why a test is skipped; none where it runs.
fn skipped<'a>(plan: &'a Plan, id: &str) -> Option<&'a str> {
    let test = plan.tests.iter().find(|test| test.id == id);
    match &test
        .unwrap_or_else(|| panic!("no test {id} in {plan}"))
        .action
    {
        Action::Skip(reason) => Some(reason),
        Action::Run(_) => None,
    }
}

#[test]
fn by_default_nothing_is_erased_restarted_or_set_up() {
    let plan = plan(&facts(), &surroundings(), &Options::default());
    let runs: Vec<&str> = plan
        .tests
        .iter()
        .filter(|test| matches!(test.action, Action::Run(_)))
        .map(|test| test.id.as_str())
        .collect();
    let expected = [
        "cpu.topology",
        "cpu.virtualization",
        "cpu.load",
        "guest.pv",
        "guest.pvh",
        "guest.hvm",
        "memory",
        "nic.eth0.link",
        "log",
    ];
    assert_eq!(runs, expected);
    for test in &plan.tests {
        if let Action::Skip(reason) = &test.action {
            assert!(
                reason.contains("--"),
                "{}: {reason}: tells no way to run it",
                test.id
            );
        }
    }
}

#[test]
fn what_is_asked_for_runs_and_what_takes_the_machine_down_comes_last() {
    let plan = plan(&facts(), &surroundings(), &everything());
    for id in [
        "disk.ata-one",
        "nic.eth0.vlan",
        "nic.xenbr0.jumbo",
        "sriov.0000:01:00.0",
        "restart",
        "crash.kernel",
    ] {
        assert_eq!(skipped(&plan, id), None, "{id}");
    }
    assert!(skipped(&plan, "crash.xen").is_some_and(|reason| reason.contains("kdump")));
    let ids: Vec<&str> = plan.tests.iter().map(|test| test.id.as_str()).collect();
    assert_eq!(
        ids[ids.len() - 4..],
        ["log", "restart", "crash.kernel", "crash.xen"]
    );
    let unique: std::collections::BTreeSet<&&str> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len());
    let task = |id: &str| {
        let test = plan.tests.iter().find(|test| test.id == id).expect("test");
        test.action.clone()
    };
    assert!(matches!(
        task("sriov.0000:01:00.0"),
        Action::Run(Task::Sriov { count: 8, .. })
    ));
    let Action::Run(Task::Storage(storage)) = task("disk.ata-one") else {
        panic!("{plan}")
    };
    assert_eq!(
        (storage.disk.as_deref(), storage.serial.as_deref()),
        (Some("sda"), Some("S1"))
    );
}

/// The way that the datagrams of an interface take.
fn way<'a>(plan: &'a Plan, name: &str) -> &'a Way {
    let id = format!("nic.{name}.loss");
    let test = plan.tests.iter().find(|test| test.id == id).expect("test");
    match &test.action {
        Action::Run(Task::Loss(test)) => &test.way,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_port_of_a_bridge_is_tested_through_the_bridge() {
    let mut surroundings = surroundings();
    let ports = ["eth0", "vif1.0"].map(str::to_owned).to_vec();
    surroundings.bridges.insert("xenbr0".to_owned(), ports);
    // Whichever of both was named.
    for name in ["eth0", "xenbr0"] {
        let mut options = everything();
        options.peers.retain(|interface, _| interface == name);
        let plan = plan(&facts(), &surroundings, &options);
        let way = way(&plan, "eth0");
        assert_eq!(way.bridge.as_deref(), Some("xenbr0"), "{name}");
        assert!(!plan.tests.iter().any(|test| test.id.contains("xenbr0")));
        let jumbo = plan.tests.iter().find(|test| test.id == "nic.eth0.jumbo");
        let changes = &jumbo.expect("test").changes;
        assert!(changes.contains("eth0 and xenbr0"), "{changes}");
    }
}

#[test]
fn of_several_ports_of_a_bridge_none_is_known_to_carry_anything() {
    let mut facts = facts();
    if let Known::Value(nics) = &mut facts.nics {
        let mut second = nics[0].clone();
        second.name = "eth1".to_owned();
        nics.push(second);
    }
    let mut surroundings = surroundings();
    let ports = ["eth0", "eth1"].map(str::to_owned).to_vec();
    surroundings.bridges.insert("xenbr0".to_owned(), ports);
    let plan = plan(&facts, &surroundings, &everything());
    for name in ["eth0", "eth1"] {
        let reason = skipped(&plan, &format!("nic.{name}.throughput"));
        assert!(reason.is_some_and(|reason| reason.contains("several ports of xenbr0")));
    }
    assert_eq!(skipped(&plan, "nic.xenbr0.throughput"), None, "was named");
}

#[test]
fn what_cannot_run_here_says_why() {
    let mut facts = facts();
    facts.context = Known::Value(Context::Bare);
    let mut options = everything();
    options.crash = vec![CrashOf::Kernel];
    let poor = Surroundings {
        interfaces: surroundings().interfaces,
        ..Surroundings::default()
    };
    let plan_of_user = plan(&facts, &poor, &options);
    assert!(skipped(&plan_of_user, "memory").is_some_and(|reason| reason.contains("root")));
    assert_eq!(skipped(&plan_of_user, "cpu.load"), None);
    assert!(
        skipped(&plan_of_user, "guest.pv")
            .is_some_and(|reason| reason.contains("Xen does not run"))
    );
    assert!(skipped(&plan_of_user, "restart").is_some_and(|reason| reason.contains("systemd")));
    assert!(skipped(&plan_of_user, "crash.kernel").is_some_and(|reason| reason.contains("dump")));
    let lost = Surroundings {
        folder_survives: false,
        ..surroundings()
    };
    let plan_in_memory = plan(&facts, &lost, &options);
    assert!(skipped(&plan_in_memory, "restart").is_some_and(|reason| reason.contains("--out")));
}

#[test]
fn only_leaves_the_others_out_and_counts_no_time_for_them() {
    let options = Options {
        only: vec!["cpu.load".to_owned()],
        ..everything()
    };
    let plan = plan(&facts(), &surroundings(), &options);
    assert_eq!(plan.seconds_from(0), options.cpu_seconds);
    assert_eq!(
        skipped(&plan, "memory"),
        Some("left out by --only; add --only memory to run it, or give no --only")
    );
    let without = Options {
        only: options.only.clone(),
        ..Options::default()
    };
    let without = self::plan(&facts(), &surroundings(), &without);
    let reason = skipped(&without, "restart").unwrap_or_default();
    assert!(
        reason.contains("--only") && reason.contains("--restart"),
        "{reason}"
    );
    let text = plan.to_string();
    assert!(text.starts_with("1 tests run, about 1 min 00 s"), "{text}");
}

#[test]
fn every_mistake_is_told_at_once() {
    let mut facts = facts();
    if let Known::Value(disks) = &mut facts.disks {
        disks[0].mount_points.push("/".to_owned());
    }
    facts.context = Known::Value(Context::Bare);
    let mut options = everything();
    options.erase.push(PathBuf::from("/home/image"));
    options.vlan = Some(4095);
    for (name, address) in [("eth7", "192.0.2.2:1"), ("lo", "192.0.2.2:0")] {
        let peer = PeerAt {
            address: address.to_owned(),
            own_address: None,
        };
        options.peers.insert(name.to_owned(), peer);
    }
    let problems = Plan::build(&facts, &surroundings(), &options).expect_err("mistakes");
    let told = [
        "/dev/sda: in use",
        "/home/image: no device",
        "eth7: there is no such",
        "lo=192.0.2.2:0",
        "1 to 4094",
        "crash xen",
    ];
    for text in told {
        assert!(
            problems.iter().any(|problem| problem.contains(text)),
            "{text} in {problems:#?}"
        );
    }
    assert_eq!(problems.len(), told.len(), "{problems:#?}");
}

#[test]
fn a_volume_in_use_is_refused_with_what_uses_it() {
    let target = |path: &str, used_by: &[&str]| Target {
        path: PathBuf::from(path),
        stands_on: vec!["sda".to_owned()],
        used_by: used_by.iter().map(|&used| used.to_owned()).collect(),
    };
    let uses = [
        "/dev/loop0 is mounted on /mnt",
        "/dev/loop0 is behind loop1",
    ];
    let mut surroundings = surroundings();
    surroundings.targets = vec![target("/dev/loop0", &uses), target("/dev/vg/free", &[])];
    let mut options = everything();
    options.erase = ["/dev/loop0", "/dev/vg/free"].map(PathBuf::from).to_vec();
    assert_eq!(
        Plan::build(&facts(), &surroundings, &options).expect_err("a mistake"),
        [
            "/dev/loop0: in use now (/dev/loop0 is mounted on /mnt, /dev/loop0 is behind loop1), so it is not erased; name a \
             disk or volume that nothing uses"
        ]
    );
    // A disk that facts and kernel both know to be used is told once.
    let mut facts = facts();
    if let Known::Value(disks) = &mut facts.disks {
        disks[0].mount_points.push("/".to_owned());
    }
    let path = "/dev/disk/by-id/ata-one";
    surroundings.targets = vec![target(path, &["/dev/sda is mounted on /"])];
    options.erase = vec![PathBuf::from(path)];
    let problems = Plan::build(&facts, &surroundings, &options).expect_err("a mistake");
    assert_eq!(problems.len(), 1, "{problems:?}");
}

#[test]
fn what_the_machine_does_not_have_is_not_asked_of_it_and_what_is_not_known_is() {
    let ids = |facts: &Facts| -> Vec<String> {
        let plan = plan(facts, &surroundings(), &everything());
        plan.tests.into_iter().map(|test| test.id).collect()
    };
    let card = "sriov.0000:01:00.0".to_owned();
    let mut facts = facts();
    assert!(ids(&facts).contains(&card));
    let sriov = |facts: &mut Facts, sriov| {
        if let Known::Value(functions) = &mut facts.pci {
            functions[0].sriov = sriov;
        }
    };
    sriov(&mut facts, Known::Absent);
    assert!(!ids(&facts).contains(&card));
    sriov(&mut facts, Known::unknown("it hung"));
    let unknown = plan(&facts, &surroundings(), &everything());
    assert!(skipped(&unknown, &card).is_some_and(|reason| reason.contains("it hung")));
    facts.pci = Known::unknown("no bus");
    let unknown = plan(&facts, &surroundings(), &everything());
    assert!(skipped(&unknown, "sriov").is_some_and(|reason| reason.contains("no bus")));
}

#[test]
fn a_machine_without_xen_is_told_that_the_crash_of_xen_is_missing() {
    let mut facts = facts();
    let mut options = everything();
    options.crash = vec![CrashOf::Kernel];
    for context in [Known::Value(Context::Bare), Known::unknown("no /proc")] {
        facts.context = context;
        let plan = plan(&facts, &surroundings(), &options);
        assert_eq!(skipped(&plan, "crash.kernel"), None);
        let reason = skipped(&plan, "crash.xen");
        assert!(reason.is_some_and(|reason| reason.starts_with("Xen does not run here; certify")));
        assert_eq!(reason, skipped(&plan, "guest.pv"));
    }
}

#[test]
fn a_test_that_nobody_asked_for_says_every_option_that_it_takes() {
    let plan = plan(&facts(), &surroundings(), &Options::default());
    for (id, options) in [
        ("disk", &["--erase-disk"][..]),
        ("nic.eth0.jumbo", &["--peer eth0="]),
        ("nic.eth0.vlan", &["--peer eth0=", "--vlan"]),
        ("sriov.0000:01:00.0", &["--sriov"]),
        ("restart", &["--restart"]),
        ("crash.kernel", &["--crash kernel"]),
        ("crash.xen", &["--crash xen"]),
    ] {
        let reason = skipped(&plan, id).unwrap_or_default();
        for option in options {
            assert!(reason.contains(option), "{id}: {reason}: no {option}");
        }
    }
    let text = plan.to_string();
    assert!(
        text.contains("certified by a run that skips none"),
        "{text}"
    );
}

#[test]
fn only_takes_what_the_plan_has() {
    let options = Options {
        only: ["cpu.laod", "nic", "nic.eth1", "", "guest.hvm"]
            .map(str::to_owned)
            .to_vec(),
        ..everything()
    };
    let problems = Plan::build(&facts(), &surroundings(), &options).expect_err("mistakes");
    let starts = |problem: &String| problem.split(';').next().unwrap_or_default().to_owned();
    assert_eq!(
        problems.iter().map(starts).collect::<Vec<_>>(),
        [
            "--only cpu.laod: no test of this machine has an id that starts so (did you mean cpu.load?)",
            "--only nic.eth1: no test of this machine has an id that starts so (did you mean nic.eth0?)",
            "--only : no test of this machine has an id that starts so",
        ]
    );
    assert!(
        problems[0].ends_with(
            "there are cpu.topology, cpu.virtualization, cpu.load, guest.pv, guest.pvh, guest.hvm, memory, disk.ata-one, \
             nic.eth0, nic.xenbr0, sriov.0000:01:00.0, log, restart, crash.kernel, crash.xen"
        ),
        "{}",
        problems[0]
    );
}
