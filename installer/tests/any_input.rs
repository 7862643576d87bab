//! Any text, any machine, any choices: no panic, and no plan that touches what it must not.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::{choices, manifest, verdict, zones};
use hcl_checker::Known;
use hcl_checker::facts::{
    BedplateHost, Content, Disk, DiskKind, Facts, FirmwareKind, Nic, NicKind, Partition, Transport,
};
use hcl_checker::verdict::Level;
use installer::answers;
use installer::choices::{
    AddressChoice, BondMode, BridgeChoice, Choices, DiskChoice, HclPolicy, InterfaceChoice,
    Ipv6Choice, StorageChoice, StorageKind, UplinkChoice,
};
use installer::plan::{Input, Matches, Planned, StorageDisk, decide, holds_bedplate};
use installer::selector::{DiskSelector, TRANSPORTS};
use installer::values::{Mac, StorageName};
use proptest::prelude::*;
use slots::PartitionKind;

fn known<T: Clone + std::fmt::Debug + 'static>(
    value: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Known<T>> {
    prop_oneof![
        6 => value.prop_map(Known::Value),
        1 => Just(Known::Absent),
        1 => Just(Known::unknown("not readable")),
    ]
    .boxed()
}

fn transport() -> impl Strategy<Value = Transport> {
    prop::sample::select(TRANSPORTS.to_vec())
}

fn size() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(16_u64 << 30),
        Just(40_u64 << 30),
        Just(960_197_124_096),
        Just(u64::MAX),
        any::<u64>()
    ]
}

fn small_text() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["A", "B", "S1", "N1", ""]).prop_map(str::to_owned)
}

fn partition(disk: String) -> impl Strategy<Value = Partition> {
    (
        1..9u32,
        known(prop::sample::select(vec![
            "bedplate-a".to_owned(),
            "data".to_owned(),
        ])),
        known(size()),
        0..6u8,
    )
        .prop_map(move |(number, gpt_name, size_bytes, used)| Partition {
            path: format!("{disk}{number}"),
            number: Known::Value(number),
            gpt_name,
            size_bytes,
            mount_points: if used == 0 {
                vec!["/mnt".into()]
            } else {
                vec![]
            },
            content: Known::Absent,
            ..Partition::default()
        })
}

/// What is on the disk of a host, with a storage partition anywhere.
fn of_host(disk: String) -> impl Strategy<Value = Vec<Partition>> {
    let start = prop_oneof![Just((18 << 30) + (2 << 20)), any::<u64>()];
    let size = prop_oneof![3 => Just(1u64 << 30), 1 => any::<u64>()];
    let kind = prop::sample::select(vec!["LVM2_member", "LVM2_member", "linux_raid_member"]);
    (known(start), known(size), any::<bool>(), kind).prop_map(
        move |(start_bytes, size_bytes, host, kind)| {
            let slot = Partition {
                path: format!("{disk}3"),
                number: Known::Value(3),
                gpt_name: Known::Value("bedplate-a".into()),
                ..Partition::default()
            };
            let storage = Partition {
                path: format!("{disk}6"),
                number: Known::Value(6),
                gpt_name: Known::Value("bedplate-sr".into()),
                type_id: Known::Value(PartitionKind::Storage.type_guid().to_string()),
                part_uuid: Known::Value("00000001-0000-4000-8000-000000000006".into()),
                start_bytes,
                size_bytes,
                content: Known::Value(Content {
                    kind: Some(kind.into()),
                    ..Content::default()
                }),
                ..Partition::default()
            };
            match host {
                true => vec![slot, storage],
                false => vec![storage],
            }
        },
    )
}

fn disk(name: &'static str) -> impl Strategy<Value = Disk> {
    let path = format!("/dev/{name}");
    let content = prop_oneof![
        4 => Just(Known::Absent),
        3 => Just(Known::Value(Content { table: Some("gpt".into()), ..Content::default() })),
        1 => Just(Known::unknown("udev did not look")),
    ];
    (
        (
            known(size()),
            known(prop::sample::select(vec![512u32, 512, 4096, 2048, 0])),
            content,
        ),
        (
            known(small_text()),
            known(small_text()),
            known(small_text()),
            known(transport()),
        ),
        (
            known(Just(false)),
            known(any::<bool>()),
            known(any::<bool>()),
            any::<u8>(),
        ),
        prop_oneof![
            prop::collection::vec(partition(path.clone()), 0..3),
            of_host(path.clone()),
        ],
    )
        .prop_map(move |(sizes, texts, flags, partitions)| Disk {
            name: name.into(),
            path: path.clone(),
            size_bytes: sizes.0,
            logical_sector: sizes.1,
            content: sizes.2,
            serial: texts.0,
            wwn: texts.1,
            model: texts.2,
            transport: texts.3,
            read_only: flags.0,
            removable: flags.1,
            rotational: flags.2,
            kind: if flags.3 < 20 {
                DiskKind::Optical
            } else {
                DiskKind::Disk
            },
            holders: if flags.3 > 235 {
                vec!["dm-0".into()]
            } else {
                vec![]
            },
            partitions: if flags.3 % 2 == 0 { partitions } else { vec![] },
            host: host(flags.3),
            ..Disk::default()
        })
}

/// What is known about a host; mostly one that can be upgraded.
fn host(number: u8) -> Known<BedplateHost> {
    if number % 5 == 4 {
        return Known::default();
    }
    Known::Value(BedplateHost {
        version: if number.is_multiple_of(3) {
            "9.0.0"
        } else {
            "0.0.9"
        }
        .into(),
        root_hash: "0a".repeat(if number.is_multiple_of(7) { 31 } else { 32 }),
        slot: ["bedplate-a", "bedplate-b", "data"][usize::from(number % 3)].into(),
        trial: (number.is_multiple_of(11)).then(|| "0b".repeat(8)),
        hostname: None,
    })
}

fn nic(name: &'static str) -> impl Strategy<Value = Nic> {
    let mac = || {
        prop::sample::select(vec![
            "52:54:00:00:00:01".to_owned(),
            "52:54:00:00:00:02".to_owned(),
            "x".to_owned(),
        ])
    };
    let kind = prop::sample::select(vec![
        NicKind::Ethernet,
        NicKind::Ethernet,
        NicKind::Wireless,
        NicKind::Infiniband,
    ]);
    (
        known(kind),
        known(mac()),
        known(mac()),
        known(any::<bool>()),
    )
        .prop_map(move |(kind, mac, permanent_mac, carrier)| Nic {
            name: name.into(),
            kind,
            mac,
            permanent_mac,
            carrier,
            ..Nic::default()
        })
}

fn facts() -> impl Strategy<Value = Facts> {
    let disks =
        (disk("sda"), disk("sdb"), disk("nvme0n1"), 0..4usize).prop_map(|(a, b, c, count)| {
            let mut disks = vec![a, b, c];
            disks.truncate(count);
            disks
        });
    let nics = (nic("eno1"), nic("eno2"), 0..3usize).prop_map(|(a, b, count)| {
        let mut nics = vec![a, b];
        nics.truncate(count);
        nics
    });
    let firmware = prop::sample::select(vec![FirmwareKind::Bios, FirmwareKind::Uefi]);
    (known(disks), known(nics), known(firmware)).prop_map(|(disks, nics, firmware)| {
        let mut facts = Facts {
            schema: 1,
            disks,
            nics,
            ..Facts::default()
        };
        facts.firmware.kind = firmware;
        facts
    })
}

fn selector() -> impl Strategy<Value = DiskSelector> {
    let path = prop::sample::select(vec!["/dev/sda", "/dev/sdb", "/dev/nvme0n1", "/dev/sdc"])
        .prop_map(str::to_owned);
    let glob = prop::sample::select(vec!["*", "A*", "?"])
        .prop_map(|text| glob::Pattern::new(text).unwrap());
    (
        prop::option::of(path),
        prop::option::weighted(0.2, small_text()),
        prop::option::weighted(0.2, small_text()),
        prop::option::weighted(0.2, glob),
        prop::option::weighted(0.2, transport()),
        prop::option::weighted(0.2, size()),
        prop::option::weighted(0.2, size()),
        prop::option::weighted(0.2, any::<bool>()),
    )
        .prop_map(
            |(path, serial, wwn, model, transport, size_min, size_max, rotational)| DiskSelector {
                path,
                serial,
                wwn,
                model,
                transport,
                size_min,
                size_max,
                rotational,
            },
        )
}

fn any_interface() -> impl Strategy<Value = InterfaceChoice> {
    prop_oneof![
        Just(InterfaceChoice::Auto),
        (1..4).prop_map(|n| InterfaceChoice::Name(format!("eno{n}"))),
        Just(InterfaceChoice::Mac(
            Mac::parse("52:54:00:00:00:01").unwrap()
        )),
        Just(InterfaceChoice::Pci("0000:03:00.0".into())),
    ]
}

fn any_bridge() -> impl Strategy<Value = BridgeChoice> {
    let uplink = prop_oneof![
        any_interface().prop_map(UplinkChoice::Interface),
        (
            prop_oneof![Just(BondMode::ActiveBackup), Just(BondMode::Lacp)],
            prop::collection::vec(any_interface(), 2..4)
        )
            .prop_map(|(mode, interfaces)| UplinkChoice::Bond { mode, interfaces }),
    ];
    let vlan = prop::option::of(1..4u16);
    (0..4, uplink, vlan).prop_map(|(n, uplink, vlan)| BridgeChoice {
        name: format!("xenbr{n}"),
        uplink,
        vlan,
        mtu: None,
        address: AddressChoice::Dhcp,
        ipv6: Ipv6Choice::Auto,
        dns: Vec::new(),
        search: Vec::new(),
        ntp: Vec::new(),
    })
}

fn any_choices() -> impl Strategy<Value = Choices> {
    let bridges = prop::collection::vec(any_bridge(), 1..4);
    let more = (
        prop::collection::vec(selector(), 0..2),
        prop::option::of(0..200u64 << 30),
        any::<bool>(),
    );
    let storage = prop::collection::vec((selector(), 1..3usize, any::<[bool; 2]>()), 0..3);
    let disk = (
        selector(),
        prop::option::of(selector()),
        any::<[bool; 5]>(),
        more,
        storage,
    );
    (disk, bridges, any::<bool>()).prop_map(|((select, second, [wipe, reinstall, mirror, keep_storage, upgrade], (fallbacks, state_size, ext), storage), mut bridges, warn)| {
        let key = common::KEY;
        let text = format!("schema = 1\n[disk]\npath = \"/dev/x\"\n[system]\nhostname = \"x\"\nssh_keys = [\"{key}\"]\n");
        let mut choices = choices(&text);
        choices.disk = DiskChoice { select, fallbacks, state_size, storage: if ext { StorageKind::Ext } else { StorageKind::Lvm }, mirror, second: second.filter(|_| mirror), wipe, reinstall, upgrade, keep_storage };
        let storage = storage.into_iter().enumerate();
        choices.storage = storage.map(|(n, (select, count, [wipe, keep]))| StorageChoice {
            name: StorageName::parse(&format!("sr-{n}")).unwrap(),
            kind: StorageKind::Lvm,
            select,
            count,
            wipe,
            keep,
        }).collect();
        choices.network.management = bridges.remove(0);
        choices.network.bridges = bridges;
        if warn {
            choices.hcl = HclPolicy::Warn { reason: "test".into() };
        }
        choices
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_takes_only_the_disk_that_was_meant(
        facts in facts(),
        choices in any_choices(),
        medium in prop::option::of(prop::sample::select(vec!["/dev/sda", "/dev/sdb1", "/dev/nvme0n1", "/dev/sr0"])),
        level in prop::sample::select(vec![Level::Certified, Level::UnlistedWithDriver, Level::Unknown, Level::Unsupported]),
    ) {
        let input = Input {
            release: &manifest(),
            facts: &facts,
            judge: &|_| verdict(level),
            choices: &choices,
            medium,
            command_line: "",
        };
        let plan = match decide(&input) {
            Ok(Planned::Install(plan)) => plan,
            Ok(Planned::Upgrade(plan)) => {
                let disks = facts.disks.value().unwrap();
                let disk = disks.iter().find(|disk| disk.path == plan.disk.path).unwrap();
                prop_assert!(choices.disk.upgrade && holds_bedplate(disk) && !disk.is_in_use());
                prop_assert!(medium.is_none_or(|medium| !medium.starts_with(&plan.disk.path)));
                prop_assert_eq!(disk.read_only.value(), Some(&false));
                prop_assert_ne!(plan.writes, plan.host.slot);
                let slots = [PartitionKind::SlotA, PartitionKind::SlotB];
                prop_assert!(slots.contains(&plan.writes) && slots.contains(&plan.host.slot));
                return Ok(());
            }
            Err(problems) => {
                prop_assert!(!problems.0.is_empty());
                prop_assert!(!problems.to_string().is_empty());
                return Ok(());
            }
        };
        let disks = facts.disks.value().unwrap();
        let members = plan.disk.members();
        prop_assert_eq!(members.len(), if choices.disk.mirror { 2 } else { 1 });
        for (n, (identity, layout)) in members.iter().enumerate() {
            let taken: Vec<&Disk> = disks.iter().filter(|disk| disk.path == identity.path).collect();
            prop_assert_eq!(taken.len(), 1);
            let disk = taken[0];
            let select = choices.disk.second.as_ref().filter(|_| n == 1).unwrap_or(&choices.disk.select);
            let fits = |select: &DiskSelector| select.mismatches(disk).is_empty();
            prop_assert!(fits(select) || n == 0 && choices.disk.fallbacks.iter().any(fits)
                || n == 1 && choices.disk.second.is_none() && choices.disk.fallbacks.iter().any(fits));
            prop_assert_ne!(Some(disk.path.as_str()), medium);
            prop_assert!(disk.partitions.iter().all(|partition| Some(partition.path.as_str()) != medium));
            prop_assert!(!disk.is_in_use());
            prop_assert_eq!(disk.kind, DiskKind::Disk);
            prop_assert_eq!(&disk.read_only, &Known::Value(false));
            prop_assert!(choices.disk.wipe || disk.holds_data() == Known::Value(false));
            let end = layout.partitions.last().unwrap().end();
            prop_assert!(end <= identity.size);
            prop_assert_eq!(&layout.partitions, &plan.disk.layout.partitions);
        }
        prop_assert_eq!(plan.disk.keeps.is_some(), choices.disk.keep_storage);
        if let Some(kept) = &plan.disk.keeps {
            let storage = plan.disk.layout.get(PartitionKind::Storage).unwrap();
            prop_assert_eq!((storage.start, storage.size), (kept.start, kept.size));
            prop_assert!(!plan.losses().contains(&kept.shown.as_str()));
            prop_assert!(choices.disk.wipe && choices.disk.reinstall && !choices.disk.mirror);
        }
        if let [(first, _), (second, _)] = members.as_slice() {
            prop_assert_ne!(&first.path, &second.path);
        }
        let mut paths: Vec<&str> = members.iter().map(|(identity, _)| identity.path.as_str()).collect();
        for (storage, choice) in plan.storage.iter().zip(&choices.storage) {
            prop_assert_eq!(storage.disks.len(), choice.count);
            for planned in &storage.disks {
                let disk = disks.iter().find(|disk| disk.path == planned.identity.path).unwrap();
                prop_assert!(choice.select.mismatches(disk).is_empty());
                prop_assert!(!disk.is_in_use() && !holds_bedplate(disk));
                prop_assert_eq!(planned.keeps.is_some(), choice.keep);
                prop_assert!(choice.keep || choice.wipe || disk.holds_data() == Known::Value(false));
                prop_assert_ne!(Some(disk.path.as_str()), medium);
                prop_assert!(planned.layout.partitions.iter().all(|part| part.end() <= planned.identity.size));
                paths.push(&planned.identity.path);
            }
        }
        let count = paths.len();
        paths.sort_unstable();
        paths.dedup();
        prop_assert_eq!(paths.len(), count, "a disk is taken twice");
        let overridden = choices.hcl != HclPolicy::Refuse;
        prop_assert!(level.allows_install() || overridden);
        prop_assert!(!plan.describe().to_string().is_empty());

        let network = &plan.network;
        prop_assert_eq!(network.bridges.len(), 1 + choices.network.bridges.len());
        let unique = |mut list: Vec<String>| {
            let all = list.len();
            list.sort();
            list.dedup();
            list.len() == all
        };
        prop_assert!(unique(network.interfaces.iter().map(|one| one.mac.to_string()).collect()));
        prop_assert!(unique(network.interfaces.iter().map(|one| one.interface.clone()).collect()));
        let carried = network
            .bridges
            .iter()
            .map(|one| format!("{} {:?}", one.uplink, one.vlan.as_ref().map(|vlan| vlan.id)))
            .collect();
        prop_assert!(unique(carried));
        prop_assert!(unique(network.bonds.iter().flat_map(|bond| bond.interfaces.clone()).collect()));
        for bond in &network.bonds {
            prop_assert!(bond.interfaces.len() >= 2);
        }
        for bridge in &network.bridges {
            let physical = network.interfaces.iter().any(|one| one.interface == bridge.uplink && one.bond.is_none());
            prop_assert!(physical || network.bonds.iter().any(|bond| bond.name == bridge.uplink));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    /// What `installer match` says fits is what a plan takes, and what it says is in the way is in the way of the plan.
    #[test]
    fn match_and_plan_agree(
        facts in facts(),
        choices in any_choices(),
        medium in prop::option::of(prop::sample::select(vec!["/dev/sda", "/dev/sdb1", "/dev/nvme0n1"])),
    ) {
        let matches = Matches::of(&choices, &facts, medium);
        let fitting: Vec<Vec<String>> = matches
            .groups
            .iter()
            .map(|group| {
                let fits = group.candidates.iter().filter(|one| one.reasons.is_empty());
                fits.map(|one| one.name.clone()).collect()
            })
            .collect();
        for (group, fitting) in matches.groups.iter().zip(&fitting) {
            prop_assert_eq!(group.problems.is_empty(), fitting.len() == group.count, "{:?}", group);
        }
        let input = Input {
            release: &manifest(),
            facts: &facts,
            judge: &|_| verdict(Level::Certified),
            choices: &choices,
            medium,
            command_line: "",
        };
        let taken: Vec<Vec<String>> = match decide(&input) {
            Err(problems) => {
                let known = facts.disks.value().is_some() && facts.nics.value().is_some();
                for problem in matches.groups.iter().flat_map(|group| &group.problems) {
                    prop_assert!(!known || problems.0.contains(problem), "{problem:?} is not in {problems:?}");
                }
                return Ok(());
            }
            Ok(Planned::Upgrade(plan)) => vec![vec![plan.disk.path.clone()]],
            Ok(Planned::Install(plan)) => {
                let host: Vec<String> = plan.disk.members().iter().map(|(id, _)| id.path.clone()).collect();
                let mut taken = match choices.disk.second {
                    Some(_) => host.into_iter().map(|path| vec![path]).collect(),
                    None => vec![host],
                };
                let paths = |disk: &StorageDisk| disk.identity.path.clone();
                taken.extend(plan.storage.iter().map(|storage| storage.disks.iter().map(paths).collect()));
                for bridge in &plan.network.bridges {
                    match plan.network.bonds.iter().find(|bond| bond.name == bridge.uplink) {
                        Some(bond) => taken.extend(bond.interfaces.iter().map(|name| vec![name.clone()])),
                        None => taken.push(vec![bridge.uplink.clone()]),
                    }
                }
                taken
            }
        };
        prop_assert!(matches.all_found(), "a plan, and {:?}", matches);
        prop_assert_eq!(fitting, taken);
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".*") {
        let _ = answers::read(&text, "x", &zones(), None);
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = answers::read_bytes(&bytes, "x", &zones(), None);
    }

    #[test]
    fn no_mixture_of_known_keys_makes_the_parser_panic(
        lines in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "schema", "on_success", "disk", "[disk]", "[disk.match]", "[system]", "[network]", "[network.static]",
                    "[hcl]", "[[disk]]", "path", "match", "wipe", "serial", "size_min", "count", "hostname", "ssh_keys",
                    "interface", "dhcp", "static", "address", "gateway", "dns", "policy", "reason", "timezone", "a.b",
                ]),
                prop::sample::select(vec![
                    "1", "-1", "true", "\"x\"", "[]", "[1]", "[\"x\"]", "{}", "{ a = 1 }", "1.5", "1979-05-27", "", "\"500 GB\"",
                ]),
            ),
            0..12,
        )
    ) {
        let text: String = lines
            .iter()
            .map(|(key, value)| if key.starts_with('[') { format!("{key}\n") } else { format!("{key} = {value}\n") })
            .collect();
        if let Err(problems) = answers::read(&text, "x", &zones(), None) {
            prop_assert!(!problems.list.is_empty(), "refused without a reason: {text}");
        }
    }
}
