//! The whole lay-down on a machine in memory: its order, what it refuses, and what the host gets.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::laydown::{
    TARGET_ESP, failed_step, looks_bootable, plan_for, plan_with, run, slot_is_whole,
};
use common::machine::{DISK, FakeMachine, FakeSystem, SIZE, disk, used_disk};
use common::medium::Medium;
use common::{HASH, KEY};
use hcl_checker::Known;
use hcl_checker::facts::{Disk, FirmwareKind};
use installer::laydown::Machine;
use release::{Artifact, OpenRelease};
use slots::PartitionKind;
use std::fs;
use std::path::Path;
use steps::event::{Event, EventKind, Outcome};
use steps::system::Call;

#[test]
fn a_whole_installation_in_the_right_order() {
    let medium = Medium::new();
    let release = medium.open();
    for firmware in [FirmwareKind::Bios, FirmwareKind::Uefi] {
        let plan = plan_for(&medium, &disk(), firmware, false);
        let run = run(
            &release,
            &plan,
            FakeSystem::new(&release),
            FakeMachine::new(disk(), None),
        );
        assert_eq!(run.report.result, Outcome::Ok, "{}", run.report);
        assert!(run.system.inner.mounted().is_empty());

        let started: Vec<&str> = run
            .events
            .iter()
            .filter_map(|event| match &event.kind {
                EventKind::Started { step } => Some(step.as_str()),
                _ => None,
            })
            .collect();
        let mut expected = vec![
            "verify-release",
            "identify-disk",
            "erase-disk",
            "partition-disk",
            "slot-a",
            "state",
            "storage",
            "boot-files",
            "boot-loaders",
        ];
        if firmware == FirmwareKind::Uefi {
            expected.push("firmware-entry");
        }
        assert_eq!(started, expected);

        let lines = run.system.inner.command_lines();
        let programs: Vec<&str> = lines
            .iter()
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        let mut order = vec!["wipefs", "wipefs", "udevadm", "blockdev", "udevadm"];
        order.extend(["wipefs"; 6]);
        // Two keys, and the fingerprint of one.
        order.extend(["mkfs.ext4", "chown"]);
        order.extend(["ssh-keygen"; 3]);
        order.extend(["pvcreate", "vgcreate", "vgs", "vgchange", "mkfs.vfat"]);
        order.extend(["sha256sum"; 7]);
        // udev sees the boot code, where there is any.
        order.extend(["udevadm", "blockdev", "udevadm"]);
        if firmware == FirmwareKind::Uefi {
            order.extend(["efibootmgr", "efibootmgr"]);
        }
        assert_eq!(programs, order);

        let disk = run.machine.into_disk();
        assert!(slot_is_whole(&disk, &plan, &medium));
        assert_eq!(disk.bytes(510, 2), [0x55, 0xaa]);
        assert!(
            looks_bootable(&disk, &run.system, &medium),
            "boot code is missing"
        );
    }
}

#[test]
fn the_host_gets_what_the_answers_say() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_for(&medium, &disk(), FirmwareKind::Uefi, false);
    let run = run(
        &release,
        &plan,
        FakeSystem::new(&release).change(|system| {
            system.prints("ssh-keygen -l -f", "256 SHA256:abc root@xen1 (ED25519)\n")
        }),
        FakeMachine::new(disk(), None),
    );
    assert_eq!(run.report.result, Outcome::Ok, "{}", run.report);
    let note = |event: &Event| match &event.kind {
        EventKind::Note { message, .. } => Some(message.clone()),
        _ => None,
    };
    let notes: Vec<String> = run.events.iter().filter_map(note).collect();
    assert_eq!(notes, ["ssh host key ED25519 SHA256:abc"]);
    let system = &run.system.inner;
    let state = Path::new("/run/bedplate/target/bedplate-state");
    let etc = state.join("etc/c3c3c3c3c3c3c3c3/upper");
    let text = |path: &Path| String::from_utf8(system.content(path).unwrap_or_default()).unwrap();
    assert_eq!(text(&etc.join("hostname")), "xen1.example.org\n");
    assert!(text(&etc.join("hosts")).contains("127.0.1.1\txen1.example.org xen1\n"));
    assert!(
        text(&etc.join("shadow"))
            .starts_with(&format!("root:{HASH}:20779:0:99999:7:::\ndaemon:*:"))
    );
    assert_eq!(
        system.link(etc.join("localtime")).unwrap(),
        Path::new("/usr/share/zoneinfo/Europe/Berlin")
    );
    assert_eq!(
        text(&state.join("root/.ssh/authorized_keys")),
        format!("{KEY}\n")
    );
    assert_eq!(text(&etc.join("machine-id")).trim().len(), 32);
    assert!(
        text(&etc.join("systemd/network/10-xenbr0.netdev"))
            .contains("MACAddress=52:54:00:12:34:56")
    );
    assert!(
        text(&etc.join("systemd/network/20-eno1-uplink-525400123456.network"))
            .contains("PermanentMACAddress=52:54:00:12:34:56")
    );
    assert!(
        text(&etc.join("systemd/network/30-xenbr0.network"))
            .contains("DHCP=ipv4\nIPv6AcceptRA=yes")
    );
    let lvm = text(&etc.join("lvm/lvmlocal.conf"));
    assert!(
        lvm.contains("auto_activation_volume_list = [ \"bedplate\" ]")
            && lvm.contains("\"a|^/dev/disk/by-partuuid/")
            && lvm.contains("\"r|^/dev/disk/by-partlabel/bedplate-sr$|\""),
        "{lvm}"
    );
    assert!(text(&etc.join("bedplate/install.json")).contains(&plan.hash().unwrap()));

    let modes: Vec<(String, u32)> = system
        .calls()
        .into_iter()
        .filter_map(|call| match call {
            Call::Write(path, mode) | Call::SetMode(path, mode) => {
                Some((path.display().to_string(), mode))
            }
            _ => None,
        })
        .collect();
    let mode = |path: &Path| {
        modes
            .iter()
            .rev()
            .find(|(p, _)| *p == path.display().to_string())
            .map(|(_, mode)| *mode)
    };
    assert_eq!(mode(&etc.join("shadow")), Some(0o640));
    assert_eq!(mode(&state.join("root")), Some(0o700));
    assert_eq!(mode(&state.join("root/.ssh")), Some(0o700));
    assert_eq!(mode(&state.join("root/.ssh/authorized_keys")), Some(0o600));

    let esp = Path::new(TARGET_ESP);
    let boot = esp.join("bedplate/c3c3c3c3c3c3c3c3");
    assert_eq!(
        system.content(boot.join("vmlinuz")).unwrap(),
        medium.content(Artifact::Kernel)
    );
    assert!(text(&boot.join("release.env")).contains("version=0.1.0"));
    // On trial like every other root: only a boot that came up makes it good.
    let state = text(&esp.join("grub/state.env"));
    assert!(
        state.contains("good=\n") && state.contains("try=c3c3c3c3c3c3c3c3\ntries=3\n"),
        "{state}"
    );
    assert_eq!(
        text(&esp.join("grub/grub.cfg")),
        slots::grub_cfg::grub_cfg()
    );
}

#[test]
fn settings_of_boot_keyboard_locale_and_services_take_effect() {
    let medium = Medium::new();
    let release = medium.open();
    let more = "[system.services]\nenable = [\"multipathd\"]\ndisable = [\"ssh.socket\"]\n\
                [boot]\nconsole = \"com2\"\ndom0_memory = \"2 GiB\"\ndom0_vcpus = 2\n\
                xen_args = [\"iommu=no-intremap\"]\nkernel_args = [\"nomodeset\", \"quiet\"]\n";
    let plan = plan_with(
        &medium,
        &disk(),
        FirmwareKind::Bios,
        "keymap = \"de\"\nlocale = \"de_DE.UTF-8\"\n",
        more,
    );
    let units = "/usr/lib/systemd/system";
    let with = |locale: bool, multipath: bool| {
        FakeSystem::new(&release).change(|mut system| {
            system = system.file(format!("{units}/ssh.socket"), "[Socket]\n");
            if locale {
                system = system.file("/usr/lib/locale/de_DE.utf8/LC_CTYPE", "");
            }
            if multipath {
                system = system.file(
                    format!("{units}/multipathd.service"),
                    "[Install]\nWantedBy=sysinit.target\n",
                );
            }
            system
        })
    };
    for (system, expected) in [
        (with(false, true), "the release has no locale de_DE.UTF-8"),
        (with(true, false), "the release has no multipathd.service"),
    ] {
        let run = run(&release, &plan, system, FakeMachine::new(disk(), None));
        assert_eq!(failed_step(&run), "check-settings");
        assert!(run.report.to_string().contains(expected), "{}", run.report);
        assert_eq!(run.machine.writes(), 0);
    }
    let run = run(
        &release,
        &plan,
        with(true, true),
        FakeMachine::new(disk(), None),
    );
    assert_eq!(run.report.result, Outcome::Ok, "{}", run.report);
    let system = &run.system.inner;
    let etc = Path::new("/run/bedplate/target/bedplate-state/etc/c3c3c3c3c3c3c3c3/upper");
    let text = |path: &Path| String::from_utf8(system.content(path).unwrap_or_default()).unwrap();
    assert!(text(&etc.join("default/keyboard")).contains("XKBLAYOUT=\"de\"\n"));
    assert_eq!(text(&etc.join("default/locale")), "LANG=de_DE.UTF-8\n");
    let link = |path: &str| system.link(etc.join("systemd/system").join(path)).unwrap();
    assert_eq!(link("ssh.socket"), Path::new("/dev/null"));
    let unit = Path::new(units);
    assert_eq!(
        link("sysinit.target.wants/multipathd.service"),
        unit.join("multipathd.service")
    );
    assert_eq!(
        link("sysinit.target.wants/keyboard-setup.service"),
        unit.join("keyboard-setup.service")
    );
    let esp = Path::new(TARGET_ESP);
    assert!(text(&esp.join("grub/state.env")).contains("console=com2\n"));
    let options = text(&esp.join("grub/options.env"));
    assert!(
        options.contains(
            "bp_xen=dom0_mem=2097152K,max:2097152K dom0_max_vcpus=2 iommu=no-intremap\n\
             bp_dom0=nomodeset quiet\n"
        ),
        "{options}"
    );
    assert_eq!(options.len(), 1024);
}

#[test]
fn a_flipped_byte_in_any_artifact_stops_before_the_first_write() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_for(&medium, &used_disk(), FirmwareKind::Bios, true);
    for artifact in Artifact::ALL {
        let path = release.path(artifact);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        // The published file is a hard link to the built one.
        fs::remove_file(&path).unwrap();
        fs::write(&path, &bad).unwrap();
        let run = run(
            &release,
            &plan,
            FakeSystem::new(&release),
            FakeMachine::new(used_disk(), None),
        );
        assert_eq!(failed_step(&run), "verify-release", "{artifact:?}");
        assert_eq!(
            (run.machine.writes(), run.system.count()),
            (0, 0),
            "{artifact:?}"
        );
        fs::write(&path, &good).unwrap();
    }
}

#[test]
fn another_disk_under_the_same_name_is_not_written() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_for(&medium, &disk(), FirmwareKind::Bios, false);
    let others = [
        Disk {
            serial: Known::Value("SERIAL2".into()),
            ..disk()
        },
        Disk {
            serial: Known::Absent,
            ..disk()
        },
        Disk {
            wwn: Known::Value("naa.1".into()),
            ..disk()
        },
        Disk {
            size_bytes: Known::Value(41 << 30),
            ..disk()
        },
        Disk {
            logical_sector: Known::Value(4096),
            ..disk()
        },
    ];
    for other in others {
        let run = run(
            &release,
            &plan,
            FakeSystem::new(&release),
            FakeMachine::new(other.clone(), None),
        );
        assert_eq!(failed_step(&run), "identify-disk", "{other:?}");
        assert_eq!((run.machine.writes(), run.system.count()), (0, 0));
    }
    let gone = FakeMachine::new(disk(), None);
    *gone.facts.lock().unwrap() = None;
    let run = run(&release, &plan, FakeSystem::new(&release), gone);
    assert_eq!(failed_step(&run), "identify-disk");
}

#[test]
fn data_that_appeared_since_the_plan_is_not_lost_without_consent() {
    let medium = Medium::new();
    let release = medium.open();
    let found = r#"{"signatures":[{"device":"sda","offset":"0x1fe","type":"dos","uuid":null,"label":null}]}"#;
    let system = |release: &OpenRelease| {
        FakeSystem::new(release)
            .change(|system| system.prints("wipefs --json --no-act /dev/sda", found))
    };
    let plan = plan_for(&medium, &disk(), FirmwareKind::Bios, false);
    let run_1 = run(
        &release,
        &plan,
        system(&release),
        FakeMachine::new(disk(), None),
    );
    assert_eq!(failed_step(&run_1), "identify-disk");
    assert!(run_1.report.to_string().contains("dos"), "{}", run_1.report);
    assert_eq!(run_1.machine.writes(), 0);

    let plan = plan_for(&medium, &disk(), FirmwareKind::Bios, true);
    let run_2 = run(
        &release,
        &plan,
        system(&release),
        FakeMachine::new(disk(), None),
    );
    assert_eq!(run_2.report.result, Outcome::Ok);
}

#[test]
fn data_of_an_unknown_kind_at_either_end_of_the_disk_is_not_lost_without_consent() {
    let medium = Medium::new();
    let release = medium.open();
    for offset in [0, (1 << 20) - 1, SIZE - (1 << 20), SIZE - 1] {
        let sector = offset / 512 * 512;
        for (wipe, result) in [(false, Outcome::Failed), (true, Outcome::Ok)] {
            let plan = plan_for(&medium, &disk(), FirmwareKind::Bios, wipe);
            let machine = FakeMachine::new(disk(), None);
            machine.put(sector, &[0x5a; 512]);
            let run = run(&release, &plan, FakeSystem::new(&release), machine);
            assert_eq!(run.report.result, result, "{offset}: {}", run.report);
            if !wipe {
                assert_eq!(failed_step(&run), "identify-disk");
                assert!(
                    run.report.to_string().contains("unknown kind"),
                    "{}",
                    run.report
                );
                assert_eq!(run.machine.writes(), 0);
            }
        }
    }
}

#[test]
fn a_host_that_was_installed_before_is_installed_anew() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_for(&medium, &used_disk(), FirmwareKind::Uefi, true);
    let first = run(
        &release,
        &plan,
        FakeSystem::new(&release),
        FakeMachine::new(used_disk(), None),
    );
    let old = slots::gpt::read_table(&mut first.machine.into_disk().clone())
        .unwrap()
        .unwrap();
    let esp = old.find(PartitionKind::Esp).unwrap().guid;

    let machine = FakeMachine::new(used_disk(), None);
    let mut device = machine
        .open(Path::new(DISK), slots::block::Access::Write)
        .unwrap();
    let guids = slots::gpt::Guids {
        disk: old.disk_guid,
        partitions: [0, 1, 2, 3, 4, 5].map(|at| old.entries[at].guid),
    };
    slots::gpt::write_table(device.as_mut(), &plan.disk.layout, &guids).unwrap();
    let slot_b = plan.disk.layout.get(PartitionKind::SlotB).unwrap().start;
    device.write_at(slot_b, b"hsqs old system").unwrap();
    drop(device);

    let list = format!(
        "BootOrder: 0003,0004\nBoot0003* Bedplate\tHD(1,GPT,{esp},0x800,0x200000)/\\EFI\\bedplate\\grubx64.efi\n\
         Boot0004* Bedplate\tHD(1,GPT,{},0x800,0x200000)/\\EFI\\bedplate\\grubx64.efi\n",
        uuid::Uuid::new_v4()
    );
    let system =
        FakeSystem::new(&release).change(|system| system.prints("efibootmgr --verbose", &list));
    let run = run(&release, &plan, system, machine);
    assert_eq!(run.report.result, Outcome::Ok, "{}", run.report);
    let lines = run.system.inner.command_lines();
    let removed: Vec<&String> = lines
        .iter()
        .filter(|line| line.contains("--delete-bootnum"))
        .collect();
    assert_eq!(
        removed,
        ["efibootmgr --quiet --bootnum 0003 --delete-bootnum"]
    );
    let wiped: Vec<&String> = lines
        .iter()
        .filter(|line| line.starts_with("wipefs --all"))
        .collect();
    assert_eq!(wiped.len(), 6 + 1 + 6, "{wiped:?}");
    assert_eq!(run.machine.into_disk().bytes(slot_b, 15), [0; 15]);
}
