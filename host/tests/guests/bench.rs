//! A host with one guest, scripted, and `xe` on it.

use host::XeError;
use host::cmdline::Invocation;
use host::commands::{Surroundings, execute};
use host::guest::Domain;
use host::hotfix::{Machine, Places, RealMachine};
use host::terminal::{Nobody, Terminal};
use std::io;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use steps::RecordingSystem;

pub const VM: &str = "11111111-2222-4333-8444-555555555555";
/// The disk that the guest has.
pub const DISK: &str = "aaaaaaaa-1111-4111-8111-111111111111";
pub const XL: &str = "\
Name ID Mem VCPUs State Time(s) UUID Reason-Code Security Label
Domain-0   0 1024 4 r----- 52.9 00000000-0000-0000-0000-000000000000 - -
";
pub const RUNNING: &str =
    "web        3  256 1 -b----  1.2 11111111-2222-4333-8444-555555555555 - -\n";
pub const VGS: &str = r#"{"report":[{"vg":[{"vg_name":"bedplate","vg_uuid":"k3xQ2a","vg_attr":"wz--n-","vg_size":"21470642176",
    "vg_free":"10737418240","lv_count":"1"}]}]}"#;
pub const LVS: &str = r#"{"report":[{"lv":[
    {"lv_uuid":"a", "lv_name":"vdi-aaaaaaaa-1111-4111-8111-111111111111", "lv_size":"67108864", "origin":"",
     "origin_size":"", "lv_path":"/dev/bedplate/vdi-aaaaaaaa-1111-4111-8111-111111111111"},
    {"lv_uuid":"b", "lv_name":"vdi-bbbbbbbb-1111-4111-8111-111111111111", "lv_size":"67108864", "origin":"",
     "origin_size":"", "lv_path":"/dev/bedplate/vdi-bbbbbbbb-1111-4111-8111-111111111111"}]}]}"#;
pub const DEFINITION: &str = "<domain type='xen'><name>web</name><uuid>11111111-2222-4333-8444-555555555555</uuid>\
    <memory unit='KiB'>262144</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='xenpvh'>xenpvh</type></os><devices>\
    <disk type='block' device='disk'><driver name='phy' type='raw'/>\
    <source dev='/dev/bedplate/vdi-aaaaaaaa-1111-4111-8111-111111111111'/><target dev='xvda' bus='xen'/></disk>\
    <disk type='file' device='cdrom'><target dev='hdd' bus='ide'/><readonly/></disk>\
    <interface type='bridge'><mac address='00:16:3e:11:22:33'/><source bridge='xenbr0'/></interface>\
    </devices></domain>";

pub const V: &str = "virsh -q -c xen:///system";

/// A host with one guest, which is halted, and two disks, one of which the guest has.
pub fn system() -> RecordingSystem {
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
        .prints(&format!("{V} list --uuid --all --with-managed-save"), "\n")
        .prints(&format!("{V} 'dumpxml"), DEFINITION)
        .prints(&format!("{V} dumpxml"), DEFINITION)
        .prints("vgs", VGS)
        .prints("lvs", LVS)
        .prints("find /srv/iso", "1000\t8\tdebian.iso\n")
}

/// Where is what was said about a disk.
pub fn labels_of(disk: &str) -> String {
    format!("/var/lib/bedplate/xe/labels/{disk}.json")
}

/// The guest that a disk was made for.
pub fn owner_of(system: &RecordingSystem, disk: &str) -> Option<String> {
    let bytes = system.content(labels_of(disk))?;
    let labels: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let owner = labels["other-config"]["owner"].as_str()?;
    Some(owner.to_owned())
}

/// The same host, where the disk of the guest was made for it.
pub fn owned(system: RecordingSystem) -> RecordingSystem {
    let labels = format!(r#"{{"other-config":{{"owner":"{VM}"}}}}"#);
    system.file(labels_of(DISK), labels)
}

pub fn running() -> RecordingSystem {
    system()
        .prints("xl list -v", &format!("{XL}{RUNNING}"))
        .prints(&format!("{V} list --uuid"), &format!("{VM}\n"))
        .prints(&format!("{V} list --uuid --all --autostart"), "\n")
        .prints(&format!("{V} list --uuid --all --with-managed-save"), "\n")
}

/// The guest is suspended: its memory is on disk.
pub fn suspended() -> RecordingSystem {
    let lists = format!("{VM} web\nxen:///system\n{VM}\nxen:///system\n");
    system().prints(&format!("{V} 'list"), &lists).prints(
        &format!("{V} list --uuid --all --with-managed-save"),
        &format!("{VM}\n"),
    )
}

pub fn words(line: &str) -> Vec<String> {
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

pub fn run_with(
    system: &RecordingSystem,
    line: &str,
    terminal: &dyn Terminal,
) -> Result<String, XeError> {
    run_on(system, line, terminal, &RealMachine)
}

/// With other disks than this machine's.
pub fn run_on(
    system: &RecordingSystem,
    line: &str,
    terminal: &dyn Terminal,
    machine: &dyn Machine,
) -> Result<String, XeError> {
    let invocation = Invocation::parse(words(line))?;
    execute(
        &invocation,
        &Surroundings {
            system,
            now: 1_795_305_600,
            hardware: &license::Machine::default,
            machine,
            places: &Places::default(),
            sinks: &steps::sink::FanOut::new,
            terminal,
        },
    )
}

pub fn run(system: &RecordingSystem, line: &str) -> Result<String, XeError> {
    run_with(system, line, &Nobody)
}

/// The guest has a screen with a password, which libvirt tells where it is told to.
pub fn with_password(system: RecordingSystem) -> RecordingSystem {
    let screen = |password: &str| {
        let screen = format!("<graphics type='vnc' port='-1'{password}/></devices>");
        DEFINITION.replace("</devices>", &screen)
    };
    let secrets = format!("{V} dumpxml --inactive --security-info {VM}");
    system
        .prints(&format!("{V} dumpxml"), &screen(""))
        .prints(&secrets, &screen(" passwd='hunter2'"))
}

/// A snapshot of the guest of this host, which `lvs` shows: the host, and the UUID of the snapshot.
pub fn snapshot_of(system: RecordingSystem) -> (RecordingSystem, String) {
    let uuid = run(&system, "vm-snapshot vm=web new-name-label=before").unwrap();
    let made = changes(&system).remove(0);
    let (_, name) = made.split_once("--name ").unwrap();
    let name = name.split(' ').next().unwrap();
    let volume = format!(
        r#"{{"lv_uuid":"s", "lv_name":"{name}", "lv_size":"67108864", "origin":"vdi-{DISK}", "origin_size":"67108864",
            "lv_path":"/dev/bedplate/{name}"}}]}}]}}"#
    );
    let all = LVS.replace("}]}]}", &format!("}},{volume}"));
    let states = format!(
        r#"{{"report":[{{"lv":[{{"lv_name":"vdi-{DISK}","lv_device_open":"","lv_attr":"owi-a-s---"}},
            {{"lv_name":"{name}","lv_device_open":"","lv_attr":"swi-a-s---"}}]}}]}}"#
    );
    let system = system
        .prints("lvs", &all)
        .prints("lvs --reportformat json --all", &states);
    (system, uuid.trim().to_owned())
}

/// What becomes of commands.
pub type Results = Arc<Mutex<Vec<Result<String, XeError>>>>;

/// Others give these commands while the program whose command line starts with `command` runs.
pub fn while_it_runs(
    system: RecordingSystem,
    command: &str,
    lines: &[String],
) -> (RecordingSystem, Results) {
    let results = Results::default();
    let (lines, told) = (lines.to_vec(), results.clone());
    let system = system.meanwhile(command, move |system| {
        let all: Vec<_> = lines.iter().map(|line| run(system, line)).collect();
        told.lock().unwrap().extend(all);
    });
    (system, results)
}

/// The commands that change something.
pub fn changes(system: &RecordingSystem) -> Vec<String> {
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
pub fn defined(system: &RecordingSystem) -> Domain {
    let commands = system.commands();
    let define = commands
        .iter()
        .rev()
        .find(|command| command.args_text().contains(&"define".to_owned()))
        .unwrap();
    Domain::parse(std::str::from_utf8(define.stdin_bytes()).unwrap()).unwrap()
}

/// Somebody who says the same to everything.
pub struct Says(pub &'static str);

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
