//! Choices that are written down as an answer file read back as the same choices.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::{HASH, KEY, choices, zones};
use hcl_checker::facts::Transport;
use installer::answers::{self, export::to_toml};
use installer::choices::{
    AddressChoice, After, BondMode, BootChoice, BridgeChoice, Choices, DiskChoice, HclPolicy,
    HookChoice, HookProgram, InterfaceChoice, Ipv6Choice, NameChoice, NetworkChoice, SourceChoice,
    StaticAddress, StaticAddress6, StorageChoice, StorageKind, SystemChoice, UplinkChoice,
    WebhookChoice,
};
use installer::selector::{DiskSelector, TRANSPORTS};
use installer::values::{
    ArgumentOf, BearerToken, BootArgument, Cidr, Cidr6, HostnamePattern, Keymap, LicenseToken,
    Locale, Mac, PasswordHash, Pin, PlanHash, Script, SshKey, StorageName, Timezone, Unit, WebUrl,
};
use proptest::prelude::*;
use slots::Console;
use steps::hook::Stage;

fn option<T: Clone + std::fmt::Debug + 'static>(
    value: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Option<T>> {
    prop::option::of(value).boxed()
}

fn disk() -> impl Strategy<Value = DiskChoice> {
    let text = || "[A-Za-z0-9\"'\\\\#=\u{e9}][A-Za-z0-9 \"'\\\\#=]{0,10}[A-Za-z0-9]";
    let sizes = option((1..u64::MAX / 2, 1..u64::MAX / 2).prop_map(|(a, b)| (a.min(b), a.max(b))));
    (
        (
            option(text()),
            option(text()),
            option("[A-Za-z0-9? ]{0,4}[*]?[A-Za-z0-9? ]{0,4}[A-Z]"),
        ),
        (
            option(prop::sample::select(TRANSPORTS.to_vec())),
            sizes,
            option(any::<bool>()),
        ),
        any::<[bool; 4]>(),
    )
        .prop_map(
            |(
                (serial, wwn, model),
                (transport, sizes, rotational),
                [wipe, reinstall, mirror, keep],
            )| {
                // What is kept needs consent for the rest, and keeps its kind.
                let keep_storage = keep && wipe && reinstall;
                let transport: Option<Transport> = transport;
                let select = DiskSelector {
                    path: Some("/dev/disk/by-id/x".into()),
                    serial,
                    wwn,
                    model: model.map(|model| glob::Pattern::new(&model).unwrap()),
                    transport,
                    size_min: sizes.map(|sizes| sizes.0),
                    size_max: sizes.map(|sizes| sizes.1),
                    rotational,
                };
                DiskChoice {
                    fallbacks: vec![
                        DiskSelector {
                            wwn: Some("naa.6".into()),
                            ..DiskSelector::default()
                        };
                        usize::from(!mirror && wipe)
                    ],
                    state_size: reinstall.then_some(20 << 30),
                    storage: if wipe && !keep_storage {
                        StorageKind::Ext
                    } else {
                        StorageKind::Lvm
                    },
                    mirror,
                    second: mirror.then(|| DiskSelector {
                        wwn: Some("naa.5".into()),
                        ..select.clone()
                    }),
                    select,
                    wipe,
                    reinstall,
                    upgrade: !reinstall && !mirror && keep,
                    keep_storage,
                }
            },
        )
}

fn storage() -> impl Strategy<Value = Vec<StorageChoice>> {
    let one = (any::<[bool; 3]>(), 1..5usize, "[A-Za-z0-9]{1,8}");
    prop::collection::vec(one, 0..3).prop_map(|list| {
        let choice =
            |(number, ([ext, wipe, keep], count, serial)): (usize, ([bool; 3], usize, String))| {
                StorageChoice {
                    name: StorageName::parse(&format!("sr-{number}")).unwrap(),
                    kind: if ext && !keep {
                        StorageKind::Ext
                    } else {
                        StorageKind::Lvm
                    },
                    select: DiskSelector {
                        serial: Some(serial),
                        ..DiskSelector::default()
                    },
                    count,
                    wipe: wipe && !keep,
                    keep,
                }
            };
        list.into_iter().enumerate().map(choice).collect()
    })
}

fn system() -> impl Strategy<Value = SystemChoice> {
    (
        any::<bool>(),
        1..3usize,
        prop::sample::select(vec!["xen1", "xen-{serial}.example.org"]),
        any::<bool>(),
    )
        .prop_map(|(password, keys, name, more)| SystemChoice {
            hostname: HostnamePattern::parse(name).unwrap(),
            root_password: password.then(|| PasswordHash::parse(HASH).unwrap()),
            ssh_keys: vec![SshKey::parse(KEY).unwrap(); keys],
            timezone: Timezone::parse("Europe/Berlin", &zones()).unwrap(),
            keymap: more.then(|| Keymap::parse("ch-fr").unwrap()),
            locale: more.then(|| Locale::parse("C.UTF-8").unwrap()),
            enable: vec![Unit::parse("multipathd").unwrap(); usize::from(more)],
            disable: vec![Unit::parse("ssh.socket").unwrap(); usize::from(more)],
        })
}

fn webhook() -> impl Strategy<Value = Option<WebhookChoice>> {
    option((option("[A-Za-z0-9._~+/-]{1,20}"), any::<(bool, bool)>())).prop_map(|found| {
        found.map(|(token, (pin, progress))| WebhookChoice {
            url: WebUrl::parse("https://u:p@h.example.org/r?x=1").unwrap(),
            token: token.map(|text: String| BearerToken::parse(&text).unwrap()),
            pin: pin.then(|| {
                Pin::parse("sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap()
            }),
            progress,
        })
    })
}

fn source() -> impl Strategy<Value = Option<SourceChoice>> {
    option(any::<bool>()).prop_map(|found| {
        found.map(|pin| SourceChoice {
            url: WebUrl::parse("https://u:p@h.example.org/bedplate").unwrap(),
            pin: pin.then(|| {
                Pin::parse("sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap()
            }),
        })
    })
}

fn hooks() -> impl Strategy<Value = Vec<HookChoice>> {
    let stage = prop::sample::select(vec![
        Stage::BeforeInstall,
        Stage::BeforeFirstBoot,
        Stage::FirstBoot,
    ]);
    let program = prop_oneof![
        "[ -~\n\u{e9}\"\\\\']{0,20}".prop_map(|text| HookProgram::Inline(
            Script::parse(format!("#!/bin/sh\n{text}").as_bytes()).unwrap()
        )),
        option("[0-9a-f]{64}").prop_map(|sha256| HookProgram::File {
            file: "hooks/a.sh".into(),
            sha256,
            content: None,
        }),
    ];
    let one = (stage, program, 1..=14_400u64, any::<bool>());
    prop::collection::vec(one, 0..3).prop_map(|list| {
        list.into_iter()
            .enumerate()
            .map(
                |(index, (when, program, time_limit_s, may_fail))| HookChoice {
                    name: format!("hook-{index}"),
                    when,
                    program,
                    time_limit_s,
                    may_fail,
                },
            )
            .collect()
    })
}

fn boot() -> impl Strategy<Value = BootChoice> {
    (
        option(prop::sample::select(vec![
            Console::Com1,
            Console::Com2,
            Console::Vga,
        ])),
        option(1u64 << 30..1 << 40),
        option(1..64u32),
        any::<bool>(),
    )
        .prop_map(|(console, dom0_memory, dom0_vcpus, more)| BootChoice {
            console,
            dom0_memory,
            dom0_vcpus,
            xen_args: vec![
                BootArgument::parse("iommu=no-intremap", ArgumentOf::Xen).unwrap();
                usize::from(more)
            ],
            kernel_args: vec![
                BootArgument::parse("nomodeset", ArgumentOf::Kernel).unwrap();
                usize::from(more)
            ],
            enroll_keys: more,
        })
}

fn interface() -> impl Strategy<Value = InterfaceChoice> {
    prop_oneof![
        Just(InterfaceChoice::Name("eno1".into())),
        Just(InterfaceChoice::Mac(
            Mac::parse("52:54:00:00:00:01").unwrap()
        )),
        Just(InterfaceChoice::Pci("0000:3b:00.1".into())),
    ]
}

fn uplink() -> impl Strategy<Value = UplinkChoice> {
    let two = vec![
        InterfaceChoice::Name("eno1".into()),
        InterfaceChoice::Mac(Mac::parse("52:54:00:00:00:02").unwrap()),
    ];
    prop_oneof![
        interface().prop_map(UplinkChoice::Interface),
        prop::sample::select(vec![BondMode::ActiveBackup, BondMode::Lacp]).prop_map(move |mode| {
            UplinkChoice::Bond {
                mode,
                interfaces: two.clone(),
            }
        }),
    ]
}

fn bridge(name: &'static str) -> impl Strategy<Value = BridgeChoice> {
    // No two bridges may have networks that overlap.
    let (ipv4, ipv6) = match name {
        "xenbr0" => ("192.0.2", "2001:db8:"),
        _ => ("198.51.100", "2001:db8:1:"),
    };
    let ipv4 = StaticAddress {
        address: Cidr::parse(&format!("{ipv4}.10/24")).unwrap(),
        gateway: Some(format!("{ipv4}.1").parse().unwrap()),
    };
    let ipv6 = StaticAddress6 {
        address: Cidr6::parse(&format!("{ipv6}:10/64")).unwrap(),
        gateway: Some("fe80::1".parse().unwrap()),
    };
    (
        uplink(),
        option(1..=4094u16),
        option(1280..=9216u32),
        prop::sample::select(vec![
            AddressChoice::Dhcp,
            AddressChoice::Static(ipv4),
            AddressChoice::None,
        ]),
        prop::sample::select(vec![
            Ipv6Choice::Auto,
            Ipv6Choice::Dhcp,
            Ipv6Choice::Static(ipv6),
            Ipv6Choice::None,
        ]),
        any::<bool>(),
    )
        .prop_map(
            move |(uplink, vlan, mtu, address, ipv6, dns)| BridgeChoice {
                name: name.to_owned(),
                uplink,
                vlan,
                mtu,
                // Without any address the management network is refused.
                address: if name == "xenbr0"
                    && ipv6 == Ipv6Choice::None
                    && address == AddressChoice::None
                {
                    AddressChoice::Dhcp
                } else {
                    address
                },
                ipv6,
                dns: if dns && name == "xenbr0" {
                    vec!["192.0.2.53".parse().unwrap()]
                } else {
                    Vec::new()
                },
                search: if name == "xenbr0" {
                    vec!["example.org".into()]
                } else {
                    Vec::new()
                },
                ntp: if name == "xenbr0" {
                    vec!["ntp.example.org".into()]
                } else {
                    Vec::new()
                },
            },
        )
}

fn any_choices() -> impl Strategy<Value = Choices> {
    let after = || {
        prop::sample::select(vec![
            After::Reboot,
            After::Poweroff,
            After::Halt,
            After::Shell,
        ])
    };
    let names = prop::collection::vec(
        Just(NameChoice {
            mac: Mac::parse("52:54:00:00:00:09").unwrap(),
            name: "mgmt0".into(),
        }),
        0..2,
    );
    let hcl = prop_oneof![
        Just(HclPolicy::Refuse),
        "[a-z\"#\u{e9}][a-z \"#]{0,8}[a-z]".prop_map(|reason| HclPolicy::Warn { reason }),
        "[a-z]{1,8}".prop_map(|reason| HclPolicy::Allow { reason }),
    ];
    (
        (disk(), storage()),
        system(),
        bridge("xenbr0"),
        prop::collection::vec(bridge("xenbr1"), 0..2),
        names,
        hcl,
        option("v4\\.public\\.[A-Za-z0-9_-]{1,20}"),
        (after(), after()),
        (
            boot(),
            webhook(),
            option("[0-9a-f]{64}"),
            (hooks(), source()),
        ),
    )
        .prop_map(
            |(
                (disk, storage),
                system,
                management,
                bridges,
                names,
                hcl,
                license,
                (on_success, on_failure),
                (boot, webhook, hash, (hooks, source)),
            )| {
                Choices {
                    storage,
                    // An upgrade alone needs none.
                    system: Some(system).filter(|_| !(disk.upgrade && disk.wipe)),
                    disk,
                    boot,
                    network: NetworkChoice {
                        management,
                        bridges,
                        names,
                    },
                    hcl,
                    license: license.map(|text: String| LicenseToken::parse(&text).unwrap()),
                    webhook,
                    source,
                    hooks,
                    expect_plan: hash.map(|text: String| PlanHash::parse(&text).unwrap()),
                    on_success,
                    on_failure,
                }
            },
        )
}

proptest! {
    #[test]
    fn they_read_back_the_same(choices in any_choices()) {
        let text = to_toml(&choices).unwrap();
        match answers::read(&text, "answers.toml", &zones(), None) {
            Ok(read) => prop_assert_eq!(read, choices),
            Err(problems) => prop_assert!(false, "{}\n{}", problems, text),
        }
    }
}

#[test]
fn consent_is_explained_where_it_is_given() {
    let text = format!(
        "schema = 1\n[disk]\nwipe = true\n[disk.match]\nserial = \"S1\"\n[system]\nhostname = \"xen1\"\nssh_keys = [\"{KEY}\"]\n"
    );
    let with = to_toml(&choices(&text)).unwrap();
    assert!(with.contains("is consent"), "{with}");
    let without = to_toml(&choices(&text.replace("wipe = true\n", ""))).unwrap();
    assert!(!without.contains("wipe"), "{without}");
}
