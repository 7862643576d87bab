//! Disks, interfaces, snapshots, networks.

use crate::bench::*;
use steps::System;

#[test]
fn disks_and_interfaces_are_records() {
    let system = running();
    assert_eq!(
        run(&system, "vbd-list vm-uuid=11111111-2222-4333-8444-555555555555 params=device,vdi-uuid,empty --json")
            .unwrap()
            .parse::<serde_json::Value>()
            .unwrap(),
        serde_json::json!([
            {"device": "xvda", "vdi-uuid": "aaaaaaaa-1111-4111-8111-111111111111", "empty": false},
            {"device": "hdd", "vdi-uuid": "", "empty": true}
        ])
    );
    let network = run(&system, "network-list bridge=xenbr0 --minimal").unwrap();
    assert_eq!(
        run(&system, "vif-list params=network-uuid --minimal").unwrap(),
        network
    );
    assert_eq!(
        run(
            &system,
            "vdi-list vm-name-labels:contains=web params=location --minimal"
        )
        .unwrap(),
        "/dev/bedplate/vdi-aaaaaaaa-1111-4111-8111-111111111111\n"
    );
    assert_eq!(
        run(&system, "vm-param-get vm=web param-name=memory-static-max").unwrap(),
        "268435456\n"
    );
    assert_eq!(
        run(&system, "cd-list params=name-label --minimal").unwrap(),
        "debian.iso\n"
    );
    let vbd = run(&system, "vbd-list device=hdd --minimal").unwrap();
    run(&system, &format!("vbd-destroy uuid={}", vbd.trim())).unwrap();
    assert_eq!(
        changes(&system),
        [format!(
            "virsh detach-device {VM} /dev/stdin --live --config"
        )]
    );
}

#[test]
fn a_disk_that_is_unplugged_can_be_taken_away_while_the_guest_runs() {
    let without = DEFINITION.replace("dev='xvda'", "dev='xvdz'");
    let host = |now: &str| {
        running()
            .prints(&format!("{V} dumpxml {VM}"), now)
            .prints(&format!("{V} 'dumpxml {VM}"), now)
    };
    let vbd = run(&host(DEFINITION), "vbd-list device=xvda --minimal").unwrap();
    let destroy = format!("vbd-destroy uuid={}", vbd.trim());
    for line in [destroy.as_str(), "vm-disk-remove vm=web device=0"] {
        for (now, scopes) in [
            (DEFINITION, "--live --config"),
            (without.as_str(), "--config"),
        ] {
            let system = host(now);
            let detached = format!("virsh detach-device {VM} /dev/stdin {scopes}");
            let done = run(&system, line);
            assert_eq!(changes(&system).first(), Some(&detached), "{line}");
            // The definition of this host has it still, so it is not destroyed.
            let refused = done.err().map(|error| error.code);
            let expected = (line != destroy).then_some("VDI_IN_USE");
            assert_eq!(refused, expected, "{line}");
        }
    }
}

#[test]
fn a_snapshot_keeps_definition_and_disks_and_can_be_gone_back_to() {
    let system = running();
    let uuid = run(&system, "vm-snapshot vm=web new-name-label=before").unwrap();
    let uuid = uuid.trim();
    let made = changes(&system);
    assert_eq!(made.len(), 1, "one disk needs no pause: {made:?}");
    assert!(
        made[0].ends_with("/dev/bedplate/vdi-aaaaaaaa-1111-4111-8111-111111111111"),
        "{made:?}"
    );
    assert_eq!(
        run(
            &system,
            "snapshot-list snapshot-of=11111111-2222-4333-8444-555555555555 --minimal"
        )
        .unwrap(),
        format!("{uuid}\n")
    );
    assert_eq!(
        run(&system, "vm-param-get vm=web param-name=snapshots").unwrap(),
        format!("{uuid}\n")
    );
    assert_eq!(
        run(&system, "vm-uninstall vm=web force=true")
            .unwrap_err()
            .code,
        "VM_BAD_POWER_STATE"
    );
    assert_eq!(
        run(&system, &format!("snapshot-revert uuid={uuid} force=true"))
            .unwrap_err()
            .code,
        "VM_BAD_POWER_STATE"
    );
}

#[test]
fn networks_come_and_go_as_files() {
    let system = system();
    let uuid = run(&system, "network-create name-label=\"guests only\"").unwrap();
    assert!(system.exists(std::path::Path::new(
        "/etc/systemd/network/10-xe-xenbr2.netdev"
    )));
    assert_eq!(changes(&system), ["networkctl reload"]);
    // What networkd makes of it.
    let system = system.file("/sys/class/net/xenbr2/bridge/stp_state", "0");
    assert_eq!(
        run(&system, "network-list name-label=\"guests only\" --minimal").unwrap(),
        uuid
    );
    let network = uuid.trim();
    run(
        &system,
        &format!("vlan-create pif-uuid=eth0 vlan=7 network-uuid={network}"),
    )
    .unwrap();
    run(
        &system,
        &format!("bond-create pif-uuids=eth1,eth2 mode=lacp network-uuid={network}"),
    )
    .unwrap();
    let names = || {
        system
            .list_dir(std::path::Path::new("/etc/systemd/network"))
            .unwrap()
    };
    assert_eq!(
        names(),
        [
            "10-xe-bond0.netdev",
            "10-xe-eth0.7.netdev",
            "10-xe-xenbr2.netdev",
            "20-eth0-uplink-525400123456.network.d",
            "20-xe-bond0-uplink-525400123457.network",
            "20-xe-bond0-uplink-525400123458.network",
            "20-xe-bond0.network",
            "20-xe-eth0.7.network",
            "30-xe-xenbr2.network",
            "30-xenbr0.network",
        ]
    );
    let system = system
        .file("/sys/class/net/eth0.7/mtu", "1500")
        .file("/sys/class/net/bond0/bonding/mode", "");
    run(&system, &format!("network-destroy uuid={network}")).unwrap();
    assert_eq!(
        system
            .list_dir(std::path::Path::new("/etc/systemd/network"))
            .unwrap(),
        ["20-eth0-uplink-525400123456.network.d", "30-xenbr0.network"]
    );
    assert_eq!(
        changes(&system)[3..],
        [
            "networkctl reload",
            "networkctl delete bond0",
            "networkctl delete eth0.7",
            "networkctl delete xenbr2"
        ]
    );
}

#[test]
fn the_address_of_the_host_changes() {
    let system = system();
    run(
        &system,
        "pif-reconfigure-ip device=eth0 mode=static IP=192.0.2.10 netmask=255.255.255.0 gateway=192.0.2.1 DNS=192.0.2.2,192.0.2.3",
    )
    .unwrap();
    let path = std::path::Path::new("/etc/systemd/network/30-xenbr0.network");
    let text = String::from_utf8(system.read_file(path).unwrap()).unwrap();
    assert!(
        text.contains("\nAddress=192.0.2.10/24\nGateway=192.0.2.1\nDNS=192.0.2.2\nDNS=192.0.2.3\n"),
        "{text}"
    );
    assert_eq!(
        changes(&system),
        ["networkctl reload", "networkctl reconfigure xenbr0"]
    );
    run(&system, "pif-reconfigure-ip device=eth0 mode=dhcp").unwrap();
    let text = String::from_utf8(system.read_file(path).unwrap()).unwrap();
    assert!(
        text.contains("DHCP=ipv4") && !text.contains("192.0.2"),
        "{text}"
    );
}

#[test]
fn a_router_outside_of_a_network_of_one_address_is_on_the_link() {
    const PATH: &str = "/etc/systemd/network/30-xenbr1.network";
    let system = system()
        .file("/sys/class/net/xenbr1/brif/eth1/state", "3")
        .file(PATH, "[Match]\nName=xenbr1\n\n[Network]\nDHCP=no\n")
        .prints(
            "networkctl --json=short status xenbr1",
            &format!(r#"{{"Name":"xenbr1","NetworkFile":"{PATH}"}}"#),
        );
    let line =
        |rest: &str| format!("pif-reconfigure-ip device=eth1 mode=static IP=192.0.2.10 {rest}");
    for refused in [
        "netmask=255.255.255.0 gateway=198.51.100.1",
        "netmask=255.255.255.255 gateway=192.0.2.10",
        "netmask=255.255.255.0 gateway=192.0.2.10",
    ] {
        let error = run(&system, &line(refused)).unwrap_err();
        assert_eq!(error.code, "INVALID_IP_ADDRESS_SPECIFIED", "{refused}");
        assert_eq!(error.params, [("parameter", "gateway".to_owned())]);
    }
    assert_eq!(changes(&system), [""; 0]);
    run(
        &system,
        &line("netmask=255.255.255.255 gateway=198.51.100.1"),
    )
    .unwrap();
    let text = String::from_utf8(system.content(PATH).unwrap()).unwrap();
    // And the last choice, beside the management network.
    let route = "\n[Route]\nGateway=198.51.100.1\nGatewayOnLink=yes\nMetric=4096\n";
    assert!(
        text.contains("\nAddress=192.0.2.10/32\n") && text.ends_with(route),
        "{text}"
    );
}
