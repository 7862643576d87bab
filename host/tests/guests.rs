//! Guests by `xe`: what is asked of LVM and libvirt, and what is refused before anything is made.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

use host::XeError;
use host::cmdline::Invocation;
use host::commands::{Surroundings, execute};
use host::guest::Domain;
use host::hotfix::{Places, RealMachine};
use host::terminal::{Nobody, Terminal};
use std::io;
use std::process::ExitStatus;
use steps::{RecordingSystem, System};

const VM: &str = "11111111-2222-4333-8444-555555555555";
const XL: &str = "\
Name ID Mem VCPUs State Time(s) UUID Reason-Code Security Label
Domain-0   0 1024 4 r----- 52.9 00000000-0000-0000-0000-000000000000 - -
";
const RUNNING: &str = "web        3  256 1 -b----  1.2 11111111-2222-4333-8444-555555555555 - -\n";
const VGS: &str = r#"{"report":[{"vg":[{"vg_uuid":"k3xQ2a","vg_attr":"wz--n-","vg_size":"21470642176",
    "vg_free":"10737418240","lv_count":"1"}]}]}"#;
const LVS: &str = r#"{"report":[{"lv":[
    {"lv_uuid":"a", "lv_name":"vdi-aaaaaaaa-1111-4111-8111-111111111111", "lv_size":"67108864", "origin":"",
     "origin_size":"", "lv_path":"/dev/bedplate/vdi-aaaaaaaa-1111-4111-8111-111111111111"},
    {"lv_uuid":"b", "lv_name":"vdi-bbbbbbbb-1111-4111-8111-111111111111", "lv_size":"67108864", "origin":"",
     "origin_size":"", "lv_path":"/dev/bedplate/vdi-bbbbbbbb-1111-4111-8111-111111111111"}]}]}"#;
const DEFINITION: &str = "<domain type='xen'><name>web</name><uuid>11111111-2222-4333-8444-555555555555</uuid>\
    <memory unit='KiB'>262144</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='xenpvh'>xenpvh</type></os><devices>\
    <disk type='block' device='disk'><driver name='phy' type='raw'/>\
    <source dev='/dev/bedplate/vdi-aaaaaaaa-1111-4111-8111-111111111111'/><target dev='xvda' bus='xen'/></disk>\
    <disk type='file' device='cdrom'><target dev='hdd' bus='ide'/><readonly/></disk>\
    <interface type='bridge'><mac address='00:16:3e:11:22:33'/><source bridge='xenbr0'/></interface>\
    </devices></domain>";

const V: &str = "virsh -q -c xen:///system";

/// A host with one guest, which is halted, and two disks, one of which the guest has.
fn system() -> RecordingSystem {
    let lists = format!(
        "00000000-0000-0000-0000-000000000000 Domain-0\n{VM} web\nxen:///system\nxen:///system\n"
    );
    RecordingSystem::new()
        .file("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        .file("/sys/class/net/xenbr0/bridge/stp_state", "0")
        .file("/sys/class/net/xenbr0/brif/eth0/state", "3")
        .file("/sys/class/net/xenbr1/bridge/stp_state", "0")
        .file("/sys/class/net/eth0/device/vendor", "")
        .file("/sys/class/net/eth0/address", "52:54:00:12:34:56")
        .file("/sys/class/net/eth1/device/vendor", "")
        .file("/sys/class/net/eth1/address", "52:54:00:12:34:57")
        .file("/sys/class/net/eth2/device/vendor", "")
        .file("/sys/class/net/eth2/address", "52:54:00:12:34:58")
        .file("/etc/systemd/network/30-xenbr0.network", "[Match]\nName=xenbr0\n")
        .prints("networkctl --json=short status", "{}")
        .prints(
            "networkctl --json=short status xenbr0",
            r#"{"Name":"xenbr0","NetworkFile":"/etc/systemd/network/30-xenbr0.network"}"#,
        )
        .prints(
            "networkctl --json=short status eth0",
            r#"{"Name":"eth0","NetworkFile":"/etc/systemd/network/20-eth0-uplink-525400123456.network"}"#,
        )
        .file("/boot/vmlinuz", "")
        .file("/srv/iso/debian.iso", "")
        .prints("xl list -v", XL)
        .prints(&format!("{V} 'list"), &lists)
        .prints(&format!("{V} list"), &format!("{VM}\n"))
        .prints(&format!("{V} list --uuid"), "\n")
        .prints(&format!("{V} list --uuid --all"), &format!("{VM}\n"))
        .prints(&format!("{V} list --uuid --all --autostart"), "\n")
        .prints(&format!("{V} 'dumpxml"), DEFINITION)
        .prints(&format!("{V} dumpxml"), DEFINITION)
        .prints("vgs", VGS)
        .prints("lvs", LVS)
        .prints("find /srv/iso", "1000\t8\tdebian.iso\n")
}

fn running() -> RecordingSystem {
    system()
        .prints("xl list -v", &format!("{XL}{RUNNING}"))
        .prints(&format!("{V} list --uuid"), &format!("{VM}\n"))
        .prints(&format!("{V} list --uuid --all --autostart"), "\n")
}

fn words(line: &str) -> Vec<String> {
    // Words with blanks are in quotes.
    let mut words = Vec::new();
    for (index, part) in line.split('"').enumerate() {
        match index % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => {
                let name: String = words.pop().unwrap_or_default();
                words.push(name + part);
            }
        }
    }
    words
}

fn run_with(
    system: &RecordingSystem,
    line: &str,
    terminal: &dyn Terminal,
) -> Result<String, XeError> {
    let invocation = Invocation::parse(words(line))?;
    execute(
        &invocation,
        &Surroundings {
            system,
            now: 1_795_305_600,
            hardware: &license::Machine::default,
            machine: &RealMachine,
            places: &Places::default(),
            sinks: &steps::sink::FanOut::new,
            terminal,
        },
    )
}

fn run(system: &RecordingSystem, line: &str) -> Result<String, XeError> {
    run_with(system, line, &Nobody)
}

/// The commands that change something.
fn changes(system: &RecordingSystem) -> Vec<String> {
    let looks = [
        "networkctl --json",
        "xl list",
        "vgs",
        "lvs",
        "find",
        "df",
        &format!("{V} list"),
        &format!("{V} 'list"),
        &format!("{V} dumpxml"),
        &format!("{V} 'dumpxml"),
        &format!("{V} domstate"),
    ]
    .map(str::to_owned);
    system
        .command_lines()
        .into_iter()
        .filter(|line| !looks.iter().any(|look| line.starts_with(look)))
        .map(|line| line.replace(&format!("{V} "), "virsh "))
        .collect()
}

/// The definition that libvirt was given last.
fn defined(system: &RecordingSystem) -> Domain {
    let commands = system.commands();
    let define = commands
        .iter()
        .rev()
        .find(|command| command.args_text().contains(&"define".to_owned()))
        .unwrap();
    Domain::parse(std::str::from_utf8(define.stdin_bytes()).unwrap()).unwrap()
}

#[test]
fn a_guest_with_a_kernel_of_the_host_is_made() {
    let system = system();
    let said = run(
        &system,
        "vm-install new-name-label=db template=\"Linux PVH\" kernel=/boot/vmlinuz args=\"console=hvc0 quiet\" \
         disk-size=1GiB memory=512MiB vcpus=3 mac=00:16:3E:00:00:01",
    )
    .unwrap();
    let domain = defined(&system);
    assert_eq!(said.trim(), domain.uuid());
    assert_eq!(domain.name(), "db");
    assert_eq!(domain.memory_max(), Some(512 << 20));
    assert_eq!(domain.vcpus_max(), Some(3));
    assert_eq!(domain.boot_file("cmdline"), "console=hvc0 quiet");
    assert_eq!(domain.nics()[0].mac, "00:16:3e:00:00:01");
    let disk = domain.disks()[0].source.clone().unwrap();
    let name = disk.strip_prefix("/dev/bedplate/").unwrap();
    assert_eq!(
        changes(&system),
        [
            format!(
                "lvcreate --quiet --yes --wipesignatures y --zero y --size 1073741824b --name {name} bedplate"
            ),
            "virsh define /dev/stdin".to_owned(),
        ]
    );
}

#[test]
fn an_emulated_machine_gets_its_installer() {
    let system = system();
    run(
        &system,
        "vm-install new-name-label=db template=\"Other install media\" cdrom=debian.iso network=xenbr0 disk-size=8GiB",
    )
    .unwrap();
    let drive = &defined(&system).disks()[1];
    assert!(drive.cdrom && drive.read_only);
    assert_eq!(drive.source.as_deref(), Some("/srv/iso/debian.iso"));
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_made() {
    let pvh = "vm-install new-name-label=db template=\"Linux PVH\"";
    for (line, code, words) in [
        (
            "vm-install new-name-label=db template=Amiga",
            "UUID_INVALID",
            "template",
        ),
        (
            "vm-install new-name-label=db",
            "WRONG_USE",
            "template= is missing",
        ),
        (
            "vm-install new-name-label=web template=\"Linux PVH\"",
            "VM_NAME_IN_USE",
            "web",
        ),
        (
            "vm-install new-name-label=a/b template=\"Linux PVH\"",
            "WRONG_USE",
            "slash",
        ),
        (
            &format!("{pvh} kernel=/none"),
            "FILE_NOT_FOUND",
            "kernel: /none",
        ),
        (
            &format!("{pvh} import-file=/none"),
            "FILE_NOT_FOUND",
            "import-file: /none",
        ),
        (&format!("{pvh} network=none2"), "UUID_INVALID", "none2"),
        (
            &format!("{pvh} mac=01:00:00:00:00:00"),
            "MAC_INVALID",
            "even",
        ),
        (
            &format!("{pvh} disk-size=11GiB"),
            "SR_FULL",
            "free: 10737418240",
        ),
        (
            &format!("{pvh} disk-size=1GiB sr-uuid=nope"),
            "UUID_INVALID",
            "nope",
        ),
        (&format!("{pvh} cdrom=nope.iso"), "UUID_INVALID", "nope.iso"),
        (
            "vm-install new-name-label=db template=Windows kernel=/boot/vmlinuz",
            "WRONG_USE",
            "PV and PVH",
        ),
        ("vm-start", "WRONG_USE", "which vm?"),
        ("vm-start vm=nobody", "NO_MATCH", "No vm"),
        ("vm-start colour=red", "WRONG_USE", "no field"),
        (
            "vm-start uuid=00000000-0000-0000-0000-000000000000",
            "OPERATION_NOT_ALLOWED",
            "dom0",
        ),
        (
            "vm-destroy uuid=00000000-0000-0000-0000-000000000000",
            "OPERATION_NOT_ALLOWED",
            "dom0",
        ),
        ("vm-shutdown vm=web", "VM_BAD_POWER_STATE", "actual: halted"),
        (
            "vm-suspend vm=web",
            "VM_BAD_POWER_STATE",
            "expected: running; paused",
        ),
        (
            "vm-resume vm=web",
            "VM_BAD_POWER_STATE",
            "expected: suspended",
        ),
        ("console vm=web", "VM_BAD_POWER_STATE", "actual: halted"),
        ("vm-uninstall vm=web", "WRONG_USE", "force=true"),
        (
            "vm-reset-powerstate vm=web",
            "WRONG_USE",
            "force= is missing",
        ),
        (
            "vm-disk-add vm=web disk-size=1GiB device=0",
            "DEVICE_ALREADY_EXISTS",
            "device: 0",
        ),
        (
            "vm-disk-add vm=web disk-size=1GiB device=3",
            "DEVICE_ALREADY_EXISTS",
            "device: 3",
        ),
        (
            "vm-disk-remove vm=web device=5",
            "DEVICE_NOT_FOUND",
            "device: 5",
        ),
        ("vm-cd-eject vm=web", "VM_NO_EMPTY_CD_VBD", "vm-disk-list"),
        (
            "vbd-create vm-uuid=web device=autodetect vdi-uuid=aaaaaaaa-1111-4111-8111-111111111111",
            "VDI_IN_USE",
            "name-label: web",
        ),
        (
            "vdi-destroy uuid=aaaaaaaa-1111-4111-8111-111111111111",
            "VDI_IN_USE",
            "name-label: web",
        ),
        (
            "vdi-resize uuid=bbbbbbbb-1111-4111-8111-111111111111 disk-size=1",
            "VDI_TOO_SMALL",
            "current",
        ),
        (
            "vdi-create name-label=x virtual-size=1GiB sr-uuid=\"ISO images\"",
            "SR_OPERATION_NOT_SUPPORTED",
            "/srv/iso",
        ),
        (
            "vif-create vm-uuid=web network-uuid=xenbr0 mac=00:16:3e:11:22:33",
            "MAC_STILL_EXISTS",
            "MAC",
        ),
        (
            "sr-create name-label=x type=ext",
            "WRONG_USE",
            "physical-size=",
        ),
        (
            "sr-destroy uuid=k3xQ2a",
            "SR_OPERATION_NOT_SUPPORTED",
            "stays",
        ),
        (
            "vm-param-set vm=web VCPUs-at-startup=2",
            "WRONG_USE",
            "VCPUs-max",
        ),
        (
            "vm-param-set uuid=00000000-0000-0000-0000-000000000000 name-label=x",
            "OPERATION_NOT_ALLOWED",
            "control",
        ),
    ] {
        let system = system();
        let error = run(&system, line).unwrap_err();
        assert_eq!(error.code, code, "{line}: {error}");
        assert!(error.to_string().contains(words), "{line}: {error}");
        assert_eq!(changes(&system), [""; 0], "{line}");
    }
}

#[test]
fn what_was_made_goes_away_where_the_rest_fails() {
    for (fails, line) in [
        (
            "define",
            "vm-install new-name-label=db template=\"Linux PVH\" disk-size=1GiB",
        ),
        (
            "attach-device",
            "vm-disk-add vm=web disk-size=1GiB device=1",
        ),
    ] {
        let system = system().fails(&format!("{V} {fails}"), 1, "error: no");
        run(&system, line).unwrap_err();
        let changes = changes(&system);
        let last = changes.last().unwrap();
        assert!(
            last.starts_with("lvremove --quiet --yes /dev/bedplate/vdi-"),
            "{changes:?}"
        );
    }
}

#[test]
fn life_is_a_word_to_libvirt() {
    for (on, line, asked) in [
        (system(), "vm-start vm=web", format!("virsh start {VM}")),
        (
            system(),
            "vm-start vm=web paused=true",
            format!("virsh start {VM} --paused"),
        ),
        (running(), "vm-pause vm=web", format!("virsh suspend {VM}")),
        (
            running(),
            "vm-suspend vm=web",
            format!("virsh managedsave {VM}"),
        ),
        (
            running(),
            "vm-reboot uuid=11111111-2222-4333-8444-555555555555",
            format!("virsh reboot {VM}"),
        ),
        (
            running(),
            "vm-shutdown vm=web --force",
            format!("virsh destroy {VM}"),
        ),
        (
            running().prints(&format!("{V} domstate"), "shut off\n"),
            "vm-shutdown name-label=web",
            format!("virsh shutdown {VM}"),
        ),
        (
            running(),
            "vm-memory-set vm=web memory=128MiB",
            format!("virsh setmem {VM} 131072 --live --config"),
        ),
        (
            system(),
            "vm-destroy vm=web",
            format!("virsh undefine {VM} --managed-save"),
        ),
        (
            system(),
            "vm-param-set vm=web auto-poweron=true",
            format!("virsh autostart {VM}"),
        ),
        (
            system(),
            "vm-param-set vm=web other-config:auto_poweron=false",
            format!("virsh autostart --disable {VM}"),
        ),
        (
            system(),
            "vm-cd-insert vm=web cd-name=debian.iso",
            format!("virsh change-media {VM} hdd /srv/iso/debian.iso --insert --config"),
        ),
        (
            running(),
            "vm-cd-insert vm=web cd-name=debian.iso",
            format!("virsh change-media {VM} hdd /srv/iso/debian.iso --insert --live --config"),
        ),
    ] {
        assert_eq!(run(&on, line).unwrap(), "", "{line}");
        assert_eq!(changes(&on), [asked], "{line}");
    }
}

#[test]
fn a_guest_that_goes_on_running_is_told() {
    let system = running().prints(&format!("{V} domstate"), "running\n");
    let error = run(&system, "vm-shutdown vm=web timeout=1").unwrap_err();
    assert_eq!(error.code, "VM_SHUTDOWN_TIMEOUT");
}

/// Somebody who says the same to everything.
struct Says(&'static str);

impl Terminal for Says {
    fn ask(&self, question: &str) -> io::Result<Option<String>> {
        assert!(
            question.contains("web") && question.contains("aaaaaaaa-1111"),
            "{question}"
        );
        Ok(Some(self.0.to_owned()))
    }

    fn hand_over(&self, program: &str, args: &[String]) -> io::Result<ExitStatus> {
        assert_eq!(program, "virsh");
        assert_eq!(args[3..], ["console".to_owned(), VM.to_owned()]);
        Ok(ExitStatus::default())
    }
}

#[test]
fn only_yes_uninstalls_and_takes_the_disks_along() {
    let refused = system();
    let error = run_with(&refused, "vm-uninstall vm=web", &Says("y")).unwrap_err();
    assert_eq!(error.code, "CANCELED");
    assert_eq!(changes(&refused), [""; 0]);
    let done = [
        format!("virsh undefine {VM} --managed-save"),
        "lvremove --quiet --yes /dev/bedplate/vdi-aaaaaaaa-1111-4111-8111-111111111111".to_owned(),
    ];
    let asked = system();
    run_with(&asked, "vm-uninstall vm=web", &Says("yes")).unwrap();
    assert_eq!(changes(&asked), done);
    let forced = system();
    run(&forced, "vm-uninstall vm=web force=true").unwrap();
    assert_eq!(changes(&forced), done);
}

#[test]
fn the_console_gets_the_terminal() {
    run_with(&running(), "console vm=web", &Says("")).unwrap();
}

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
fn an_export_is_refused_where_it_would_overwrite_or_tear_a_disk() {
    for (on, line, code) in [
        (
            running(),
            "vm-export vm=web filename=/new",
            "VM_BAD_POWER_STATE",
        ),
        (
            system().file("/old", ""),
            "vm-export vm=web filename=/old",
            "FILE_EXISTS",
        ),
        (system(), "vm-import filename=/none", "INTERNAL_ERROR"),
        (
            system(),
            "snapshot-export uuid=nope filename=/new",
            "UUID_INVALID",
        ),
    ] {
        let error = run(&on, line).unwrap_err();
        assert_eq!(error.code, code, "{line}: {error}");
        assert_eq!(changes(&on), [""; 0], "{line}");
    }
}

#[test]
fn a_host_goes_down_when_it_is_empty_and_disabled() {
    let system = running();
    let error = |system: &RecordingSystem, line: &str| run(system, line).unwrap_err().code;
    assert_eq!(error(&system, "host-reboot"), "HOST_NOT_DISABLED");
    run(&system, "host-disable").unwrap();
    assert_eq!(
        run(&system, "host-param-get param-name=enabled").unwrap(),
        "false\n"
    );
    assert_eq!(error(&system, "host-reboot"), "HOST_HAS_RESIDENT_VMS");
    assert_eq!(error(&system, "vm-start vm=web"), "HOST_DISABLED");
    assert_eq!(changes(&system), [""; 0]);
    run(&system, "host-shutdown --force").unwrap();
    assert_eq!(changes(&system), ["systemctl poweroff"]);
    let empty = self::system();
    run(&empty, "host-disable").unwrap();
    assert_eq!(
        error(&empty, "host-reboot"),
        "WRONG_USE",
        "nobody can be asked"
    );
    run(&empty, "host-enable").unwrap();
    assert_eq!(error(&empty, "host-reboot"), "HOST_NOT_DISABLED");
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
fn the_shell_is_offered_what_fits() {
    let system = running();
    let offered = |line: &str| {
        let mut typed = words(line);
        if line.ends_with(' ') {
            typed.push(String::new());
        }
        let places = Places::default();
        let around = Surroundings {
            system: &system,
            now: 0,
            hardware: &license::Machine::default,
            machine: &RealMachine,
            places: &places,
            sinks: &steps::sink::FanOut::new,
            terminal: &Nobody,
        };
        host::complete::candidates(&typed, &around)
    };
    assert_eq!(offered("vm-sn"), ["vm-snapshot"]);
    assert_eq!(offered("help vm-sn"), ["vm-snapshot"]);
    assert!(offered("").len() > 100, "every command");
    assert_eq!(offered("vm-start pau"), ["paused="]);
    assert_eq!(offered("vm-start paused="), ["paused=false", "paused=true"]);
    assert_eq!(offered("vm-start vm=w"), ["vm=web"]);
    assert_eq!(offered("vm-start uuid=1"), [format!("uuid={VM}")]);
    assert_eq!(offered("vm-list --m"), ["--minimal", "--multiple"]);
    assert_eq!(offered("vm-list power-state=r"), ["power-state=running"]);
    assert_eq!(
        offered("vm-list params=uuid,name-l"),
        ["params=uuid,name-label"]
    );
    assert_eq!(
        offered("vm-install new-name-label=a template=W"),
        ["template=Windows"]
    );
    assert!(!offered("vm-install new-name-label=a ").contains(&"new-name-label=".to_owned()));
    assert_eq!(offered("vm-import filename=/"), ["@files"]);
    assert_eq!(
        offered("vm-param-clear param-name=PV-k"),
        ["param-name=PV-kernel"]
    );
    assert!(offered("nonsense a").is_empty());
}
