//! A host is installed anew and its storage repository stays: not a byte of it is written, wherever the run is stopped, and
//! another run finishes.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::installed::{installed, old_guids, old_layout};
use common::laydown::{failed_step, looks_bootable, plan_keeping, run, slot_is_whole};
use common::machine::{DISK, FakeMachine, FakeSystem, SIZE};
use common::medium::Medium;
use hcl_checker::facts::FirmwareKind;
use installer::laydown::Machine;
use release::OpenRelease;
use slots::block::{Access, BlockDevice, Fault, MemoryDevice};
use slots::gpt::{Guids, Table, read_copies, write_table};
use slots::{Layout, PartitionKind};
use std::path::Path;
use steps::event::{EventKind, Outcome};
use uuid::Uuid;

/// What LVM says about the storage partition: a whole group with two volumes.
const VGS: &str = r#"{"report":[{"vg":[{"vg_name":"bedplate","vg_uuid":"v1","pv_count":"1","vg_missing_pv_count":"0","vg_exported":""}]}]}"#;
const LVS: &str = r#"{"report":[{"lv":[{"lv_name":"vdi-2","lv_uuid":"l2","lv_size":"20"},{"lv_name":"vdi-1","lv_uuid":"l1","lv_size":"10"}]}]}"#;
/// The same of one with files.
const FILES: &str = r#"{"report":[{"lv":[{"lv_name":"files","lv_uuid":"l1","lv_size":"10"}]}]}"#;

/// Its bytes: a table, boot code and an older root.
fn old_disk() -> MemoryDevice {
    let mut device = MemoryDevice::new(SIZE).filled(0x5a);
    write_table(&mut device, &old_layout(), &old_guids()).unwrap();
    device.write_at(0, &[0x90; 446]).unwrap();
    device
}

fn machine(fault: Option<Fault>) -> FakeMachine {
    FakeMachine::with_disk(installed(), old_disk(), fault)
}

fn system(release: &OpenRelease) -> FakeSystem {
    FakeSystem::new(release).change(|system| system.prints("vgs", VGS).prints("lvs", LVS))
}

fn primary(device: &mut MemoryDevice) -> Option<Table> {
    let [primary, _] = read_copies(device).unwrap();
    primary
}

/// Not a byte of the storage partition was written, by us or by a program.
fn untouched(machine: &FakeMachine, system: &FakeSystem) {
    let layout = old_layout();
    let storage = layout.get(PartitionKind::Storage).unwrap();
    for (start, size) in machine.written() {
        assert!(
            start + size <= storage.start || start >= storage.end(),
            "{size} bytes at {start}"
        );
    }
    let partition = format!("{DISK}6");
    for line in system.inner.command_lines() {
        let reads = line.starts_with("vgs ") || line.starts_with("lvs ");
        assert!(reads || !line.contains(&partition), "{line}");
        let whole = line.ends_with(DISK);
        assert!(!whole || line.starts_with("blockdev --rereadpt"), "{line}");
    }
}

#[test]
fn a_host_is_installed_beside_the_storage_repository_of_the_old_one() {
    let medium = Medium::new();
    let release = medium.open();
    for firmware in [FirmwareKind::Bios, FirmwareKind::Uefi] {
        let plan = plan_keeping(&medium, &installed(), firmware);
        let done = run(&release, &plan, system(&release), machine(None));
        assert_eq!(done.report.result, Outcome::Ok, "{}", done.report);
        untouched(&done.machine, &done.system);
        let started: Vec<&str> = done
            .events
            .iter()
            .filter_map(|event| match &event.kind {
                EventKind::Started { step } => Some(step.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(
            started[1..8],
            [
                "identify-disk",
                "erase-host",
                "partition-disk",
                "slot-a",
                "state",
                "keep-storage",
                "boot-files"
            ]
        );
        let notes: Vec<&String> = done
            .events
            .iter()
            .filter_map(|event| match &event.kind {
                EventKind::Note { message, .. } => Some(message),
                _ => None,
            })
            .collect();
        assert!(
            notes
                .iter()
                .any(|note| *note == "bedplate stays, with 2 volumes"),
            "{notes:?}"
        );

        let etc = Path::new("/run/bedplate/target/bedplate-state/etc/c3c3c3c3c3c3c3c3/upper");
        let lvm = done.system.inner.content(etc.join("lvm/lvmlocal.conf"));
        let lvm = String::from_utf8(lvm.unwrap()).unwrap();
        let own = format!("a|^/dev/disk/by-partuuid/{}$|", old_guids().partitions[5]);
        assert!(lvm.contains(&own), "{lvm}");

        let mut disk = done.machine.into_disk();
        assert!(slot_is_whole(&disk, &plan, &medium));
        let [first, second] = read_copies(&mut disk).unwrap().map(Option::unwrap);
        assert_eq!(first.entries, second.entries);
        assert_eq!(first.layout(SIZE, 512), Some(old_layout()));
        for kind in PartitionKind::ALL {
            let same = first.find(kind).unwrap().guid == old_guids().of(kind);
            assert_eq!(same, kind == PartitionKind::Storage, "{kind:?}");
        }
        assert_ne!(first.disk_guid, old_guids().disk);
    }
}

#[test]
fn a_repository_of_files_is_mounted_again() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_keeping(&medium, &installed(), FirmwareKind::Uefi);
    let etc = Path::new("/run/bedplate/target/bedplate-state/etc/c3c3c3c3c3c3c3c3/upper");
    for (lvs, mounted) in [(FILES, true), (LVS, false)] {
        let system =
            FakeSystem::new(&release).change(|system| system.prints("vgs", VGS).prints("lvs", lvs));
        let done = run(&release, &plan, system, machine(None));
        assert_eq!(done.report.result, Outcome::Ok, "{}", done.report);
        let fstab = done.system.inner.content(etc.join("fstab")).unwrap();
        let fstab = String::from_utf8(fstab).unwrap();
        let line = fstab.contains("/dev/bedplate/files\t/srv/storage/local\text4\t");
        assert_eq!(line, mounted, "{fstab}");
    }
}

#[test]
fn a_group_that_is_not_there_or_not_whole_is_found_before_the_first_write() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_keeping(&medium, &installed(), FirmwareKind::Uefi);
    let with = |from: &str, to: &str| VGS.replace(from, to);
    for (vgs, expected) in [
        (
            r#"{"report":[{"vg":[]}]}"#.to_owned(),
            "no volume group is there",
        ),
        (with("bedplate", "other"), "it is called other"),
        (
            with("missing_pv_count\":\"0", "missing_pv_count\":\"1"),
            "1 are missing",
        ),
        (
            with("\"pv_count\":\"1", "\"pv_count\":\"2"),
            "it spans 2 partitions",
        ),
        (
            with("exported\":\"", "exported\":\"exported"),
            "it was exported",
        ),
        ("no report".to_owned(), "`vgs` printed something unexpected"),
    ] {
        let system = FakeSystem::new(&release)
            .change(|system| system.prints("vgs", &vgs).prints("lvs", LVS));
        let refused = run(&release, &plan, system, machine(None));
        assert_eq!(failed_step(&refused), "identify-disk");
        let report = refused.report.to_string();
        assert!(report.contains(expected), "{report}");
        assert_eq!(refused.machine.writes(), 0);
    }
}

#[test]
fn a_table_that_says_something_else_is_found_before_the_first_write() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_keeping(&medium, &installed(), FirmwareKind::Uefi);
    let other_guid = Guids {
        partitions: [1, 2, 3, 4, 5, 7].map(Uuid::from_u128),
        ..old_guids()
    };
    let moved = Layout::plan_with(SIZE, 512, Some(9 << 30)).unwrap();
    let mut broken = old_disk();
    broken.write_at(512 + 60, &[0x77]).unwrap();
    // A backup that is whole and says something else: the end of one disk and the start of another.
    let mut mixed = old_disk();
    let mut source = MemoryDevice::new(SIZE);
    write_table(&mut source, &old_layout(), &other_guid).unwrap();
    let end = SIZE - 33 * 512;
    mixed.write_at(end, &source.bytes(end, 33 * 512)).unwrap();
    let table = |layout: &Layout, guids: &Guids| {
        let mut device = MemoryDevice::new(SIZE);
        write_table(&mut device, layout, guids).unwrap();
        device
    };
    for (device, expected) in [
        (table(&old_layout(), &other_guid), "says something else"),
        (table(&moved, &old_guids()), "says something else"),
        (MemoryDevice::new(SIZE), "no valid partition table"),
        (broken, "no valid partition table"),
        (mixed, "do not say the same"),
    ] {
        let machine = FakeMachine::with_disk(installed(), device, None);
        let refused = run(&release, &plan, system(&release), machine);
        assert_eq!(failed_step(&refused), "identify-disk", "{expected}");
        let report = refused.report.to_string();
        assert!(report.contains(expected), "{report}");
        assert_eq!(refused.machine.writes(), 0);
    }
}

#[test]
fn a_group_that_changed_on_the_way_does_not_become_a_host() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_keeping(&medium, &installed(), FirmwareKind::Bios);
    let system = system(&release).then_prints("lvs", FILES);
    let failed = run(&release, &plan, system, machine(None));
    assert_eq!(failed_step(&failed), "keep-storage", "{}", failed.report);
    let disk = failed.machine.into_disk();
    assert!(!looks_bootable(&disk, &failed.system, &medium));
}

/// The power is cut before every write, and within it between two sectors; then the same is done again.
#[test]
fn wherever_it_is_stopped_the_repository_is_there_and_another_run_finishes() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_keeping(&medium, &installed(), FirmwareKind::Bios);
    let whole = run(&release, &plan, system(&release), machine(None));
    let writes = whole.machine.writes();
    assert!(writes > 8, "only {writes} writes");
    for at in 0..writes {
        for fault in [Fault::PowerCut { at }, Fault::TornWrite { at, bytes: 512 }] {
            let stopped = run(&release, &plan, system(&release), machine(Some(fault)));
            assert_eq!(stopped.report.result, Outcome::Failed, "{fault:?}");
            untouched(&stopped.machine, &stopped.system);
            let mut disk = stopped.machine.into_disk();
            if looks_bootable(&disk, &stopped.system, &medium) {
                assert!(slot_is_whole(&disk, &plan, &medium), "{fault:?}");
            } else if at > 0 {
                assert_ne!(
                    disk.bytes(0, 446),
                    [0x90; 446],
                    "{fault:?}: the old host half starts"
                );
            }
            // What the kernel and the plan of the next run look for.
            let table = primary(&mut disk).unwrap_or_else(|| panic!("{fault:?}: no table"));
            assert!(table.is_bedplate(), "{fault:?}");
            let storage = table.find(PartitionKind::Storage).unwrap();
            assert_eq!(storage.guid, old_guids().partitions[5], "{fault:?}");

            let again = FakeMachine::with_disk(installed(), disk, None);
            let again = run(&release, &plan, system(&release), again);
            assert_eq!(
                again.report.result,
                Outcome::Ok,
                "{fault:?}: {}",
                again.report
            );
            untouched(&again.machine, &again.system);
            let mut disk = again.machine.into_disk();
            assert!(slot_is_whole(&disk, &plan, &medium));
            let table = primary(&mut disk).unwrap();
            assert_eq!(table.layout(SIZE, 512), Some(old_layout()));
        }
    }
}

#[test]
fn bad_writes_and_failing_commands_touch_nothing_of_it_either() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_keeping(&medium, &installed(), FirmwareKind::Uefi);
    let whole = run(&release, &plan, system(&release), machine(None));
    for at in 0..whole.machine.writes() {
        for fault in [
            Fault::WriteError { at },
            Fault::LostWrite { at },
            Fault::FlippedWrite { at, bit: 77 },
        ] {
            let run = run(&release, &plan, system(&release), machine(Some(fault)));
            untouched(&run.machine, &run.system);
            if run.report.result == Outcome::Ok {
                assert!(
                    slot_is_whole(&run.machine.into_disk(), &plan, &medium),
                    "{fault:?}"
                );
            }
        }
    }
    for at in 0..whole.system.count() {
        let run = run(
            &release,
            &plan,
            system(&release).failing_at(at),
            machine(None),
        );
        untouched(&run.machine, &run.system);
        let mut disk = run.machine.into_disk();
        let table = primary(&mut disk).unwrap();
        assert_eq!(
            table.find(PartitionKind::Storage).unwrap().guid,
            old_guids().partitions[5]
        );
    }
}

#[test]
fn the_machine_of_these_tests_notes_writes() {
    let machine = machine(None);
    let mut device = machine.open(Path::new("/dev/sda6"), Access::Write).unwrap();
    device.write_at(7, &[0; 3]).unwrap();
    drop(device);
    let storage = old_layout().get(PartitionKind::Storage).unwrap().start;
    assert_eq!(machine.written(), [(storage + 7, 3)]);
}
