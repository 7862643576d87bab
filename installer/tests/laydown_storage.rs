//! Storage repositories on disks of their own: what is made, what stays, and what is refused before the first write.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::laydown::{Run, failed_step, looks_bootable, plan_on, run, slot_is_whole};
use common::machine::{DISK, FakeMachine, FakeSystem, SIZE, disk};
use common::medium::Medium;
use hcl_checker::Known;
use hcl_checker::facts::{Content, Disk, Partition};
use installer::plan::Plan;
use release::OpenRelease;
use slots::block::{BlockDevice, Fault, MemoryDevice};
use slots::gpt::{Guids, read_copies, write_table};
use slots::{Layout, PartitionKind};
use std::path::Path;
use steps::event::{EventKind, Outcome};
use uuid::Uuid;

/// Two disks of one repository.
const SHELF: [&str; 2] = ["/dev/sdb", "/dev/sdc"];
const MAKE: &str = "[[storage]]\nname = \"shelf\"\nmatch = { model = \"SHELF\", count = 2 }\n";
/// What LVM says about the group over both.
const VGS: &str = r#"{"report":[{"vg":[{"vg_name":"bedplate-shelf","vg_uuid":"v9","pv_count":"2","vg_missing_pv_count":"0","vg_exported":""}]}]}"#;
const LVS: &str = r#"{"report":[{"lv":[{"lv_name":"vdi-1","lv_uuid":"l1","lv_size":"10"}]}]}"#;
/// The same with one volume more.
const LVS_MORE: &str = r#"{"report":[{"lv":[{"lv_name":"vdi-1","lv_uuid":"l1","lv_size":"10"},{"lv_name":"vdi-2","lv_uuid":"l2","lv_size":"10"}]}]}"#;

/// Disk number `n` of the shelf, empty.
fn shelf(n: usize) -> Disk {
    Disk {
        name: SHELF[n].trim_start_matches("/dev/").into(),
        path: SHELF[n].into(),
        model: Known::Value("SHELF".into()),
        serial: Known::Value(format!("SHELF{n}")),
        wwn: Known::Value(format!("naa.5000c500a1b2c3e{n}")),
        ..disk()
    }
}

fn guids(n: usize) -> Guids {
    let id = |part: u128| Uuid::from_u128(0xbbbb_0000_0000_4000_8000_0000_0000_0000 + part);
    let n = n as u128 * 0x100;
    Guids {
        disk: id(n + 99),
        partitions: [1, 2, 3, 4, 5, 6].map(|part| id(n + part)),
    }
}

/// Disk number `n` with its half of a repository that an earlier host made, as the facts tell.
fn kept(n: usize) -> Disk {
    let layout = Layout::plan_storage(SIZE, 512).unwrap();
    let part = layout.get(PartitionKind::Storage).unwrap();
    Disk {
        content: Known::Value(Content {
            table: Some("gpt".into()),
            ..Content::default()
        }),
        partitions: vec![Partition {
            path: format!("{}6", SHELF[n]),
            number: Known::Value(6),
            start_bytes: Known::Value(part.start),
            size_bytes: Known::Value(part.size),
            gpt_name: Known::Value(part.kind.name().to_owned()),
            part_uuid: Known::Value(guids(n).of(part.kind).to_string()),
            type_id: Known::Value(part.kind.type_guid().to_string()),
            content: Known::Value(Content {
                kind: Some("LVM2_member".into()),
                ..Content::default()
            }),
            ..Partition::default()
        }],
        ..shelf(n)
    }
}

/// Its bytes.
fn kept_device(n: usize) -> MemoryDevice {
    let mut device = MemoryDevice::new(SIZE).filled(0x5a);
    let layout = Layout::plan_storage(SIZE, 512).unwrap();
    write_table(&mut device, &layout, &guids(n)).unwrap();
    device
}

fn empty_machine(fault: Option<Fault>) -> FakeMachine {
    FakeMachine::new(disk(), None)
        .and(shelf(0), None, None)
        .and(shelf(1), None, fault)
}

fn kept_machine() -> FakeMachine {
    FakeMachine::new(disk(), None)
        .and(kept(0), Some(kept_device(0)), None)
        .and(kept(1), Some(kept_device(1)), None)
}

/// A system on which LVM knows the group over both disks as well as that of the host.
fn system(release: &OpenRelease) -> FakeSystem {
    let both = "--devices /dev/sdb6,/dev/sdc6";
    FakeSystem::new(release).change(|system| {
        system
            .prints(&format!("vgs {both}"), VGS)
            .prints(&format!("lvs {both}"), LVS)
    })
}

fn plan_new(medium: &Medium, more: &str) -> Plan {
    let disks = vec![disk(), shelf(0), shelf(1)];
    plan_on(medium, disks, &format!("{MAKE}{more}"))
}

fn plan_kept(medium: &Medium) -> Plan {
    let disks = vec![disk(), kept(0), kept(1)];
    plan_on(medium, disks, &format!("{MAKE}keep = true\n"))
}

fn started(run: &Run) -> Vec<&str> {
    run.events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Started { step } => Some(step.as_str()),
            _ => None,
        })
        .collect()
}

/// Commands that name one of the disks of the shelf, in their order.
fn about_shelf(run: &Run) -> Vec<String> {
    let lines = run.system.inner.command_lines().into_iter();
    lines
        .filter(|line| {
            line.contains("/dev/sdb") || line.contains("/dev/sdc") || line.contains("shelf")
        })
        .collect()
}

fn etc(run: &Run, file: &str) -> String {
    let etc = Path::new("/run/bedplate/target/bedplate-state/etc/c3c3c3c3c3c3c3c3/upper");
    let content = run.system.inner.content(etc.join(file)).unwrap_or_default();
    String::from_utf8(content).unwrap()
}

#[test]
fn a_repository_over_two_disks_is_made_after_the_host_s_own_and_before_anything_starts() {
    let medium = Medium::new();
    let release = medium.open();
    for (more, ext) in [("", false), ("type = \"ext\"\n", true)] {
        let plan = plan_new(&medium, more);
        let done = run(&release, &plan, system(&release), empty_machine(None));
        assert_eq!(done.report.result, Outcome::Ok, "{}", done.report);
        let order = started(&done);
        let at = |step: &str| order.iter().position(|other| *other == step).unwrap();
        assert!(at("storage") < at("extra-storage"), "{order:?}");
        assert!(at("extra-storage") < at("boot-files"), "{order:?}");

        let lines = about_shelf(&done);
        let both = "--devices /dev/sdb6,/dev/sdc6";
        let mut expected = vec![
            format!("pvcreate {both} --yes --force /dev/sdb6 /dev/sdc6"),
            format!("vgcreate {both} --yes --autobackup n bedplate-shelf /dev/sdb6 /dev/sdc6"),
            format!(
                "vgs {both} --reportformat json --options vg_name,pv_count,vg_missing_pv_count bedplate-shelf"
            ),
        ];
        let files = "/dev/bedplate-shelf/files";
        if ext {
            expected.push(format!(
                "lvcreate {both} --yes --wipesignatures y --autobackup n --extents 100%FREE --name files bedplate-shelf"
            ));
            expected.push(format!("mkfs.ext4 -q -F -m 0 {files}"));
            expected.push(format!("e2fsck -f -n {files}"));
        }
        expected.push(format!("vgchange {both} --activate n bedplate-shelf"));
        let lvm: Vec<&String> = lines
            .iter()
            .filter(|line| !line.starts_with("wipefs") && !line.starts_with("blockdev"))
            .collect();
        assert_eq!(lvm, expected.iter().collect::<Vec<_>>());
        // Each disk is forgotten as a whole, and its new partition, before LVM sees it.
        for path in SHELF {
            let wiped = |what: &str| {
                let line = format!("wipefs --all --force --quiet {what}");
                lines.iter().position(|other| *other == line).unwrap()
            };
            let made = lines.iter().position(|line| line.starts_with("pvcreate"));
            assert!(wiped(path) < wiped(&format!("{path}6")), "{lines:#?}");
            assert!(Some(wiped(&format!("{path}6"))) < made, "{lines:#?}");
        }
        let fstab = etc(&done, "fstab");
        let mounted = fstab.contains("/dev/bedplate-shelf/files\t/srv/storage/shelf\text4\t");
        assert_eq!(mounted, ext, "{fstab}");

        let lvm = etc(&done, "lvm/lvmlocal.conf");
        let mut disks = done.machine.into_disks();
        for device in &mut disks[1..] {
            let [first, second] = read_copies(device).unwrap().map(Option::unwrap);
            assert_eq!(first.entries, second.entries);
            assert_eq!(first.entries.len(), 1);
            let entry = first.find(PartitionKind::Storage).unwrap();
            // The host looks at exactly these partitions.
            let own = format!("a|^/dev/disk/by-partuuid/{}$|", entry.guid);
            assert!(lvm.contains(&own), "{lvm}");
        }
        assert!(lvm.contains("\"bedplate-shelf\""), "{lvm}");
        assert!(slot_is_whole(&disks[0], &plan, &medium));
    }
}

#[test]
fn a_repository_that_stays_is_looked_at_before_and_after_and_not_written() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_kept(&medium);
    let done = run(&release, &plan, system(&release), kept_machine());
    assert_eq!(done.report.result, Outcome::Ok, "{}", done.report);
    for path in SHELF {
        assert!(done.machine.written_on(path).is_empty(), "{path}");
    }
    for line in about_shelf(&done) {
        assert!(
            line.starts_with("vgs ") || line.starts_with("lvs "),
            "{line}"
        );
    }
    let note = done.events.iter().any(|event| {
        matches!(&event.kind, EventKind::Note { message, .. } if message == "bedplate-shelf stays, with 1 volumes")
    });
    assert!(note, "{:#?}", done.events);
    let lvm = etc(&done, "lvm/lvmlocal.conf");
    for n in 0..2 {
        let own = format!(
            "a|^/dev/disk/by-partuuid/{}$|",
            guids(n).of(PartitionKind::Storage)
        );
        assert!(lvm.contains(&own), "{lvm}");
    }
    let disks = done.machine.into_disks();
    for n in 0..2 {
        assert_eq!(disks[n + 1], kept_device(n));
    }
}

#[test]
fn a_repository_that_is_not_as_planned_stops_before_the_first_write_to_any_disk() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_kept(&medium);
    let missing = VGS.replace(
        "\"vg_missing_pv_count\":\"0\"",
        "\"vg_missing_pv_count\":\"1\"",
    );
    let half = FakeSystem::new(&release).change(|system| system.prints("vgs --devices", &missing));
    let mut other = kept_device(1);
    write_table(
        &mut other,
        &Layout::plan_storage(SIZE, 512).unwrap(),
        &guids(7),
    )
    .unwrap();
    let moved = FakeMachine::new(disk(), None)
        .and(kept(0), Some(kept_device(0)), None)
        .and(kept(1), Some(other), None);
    for (system, machine, says) in [
        (half, kept_machine(), "1 are missing here"),
        (system(&release), moved, "says something else"),
    ] {
        let refused = run(&release, &plan, system, machine);
        assert_eq!(failed_step(&refused), "identify-disk", "{}", refused.report);
        let report = refused.report.to_string();
        assert!(report.contains(says), "{report}");
        for path in [DISK].into_iter().chain(SHELF) {
            assert_eq!(refused.machine.writes_to(path), 0, "{path}");
        }
    }
}

#[test]
fn a_repository_that_changed_on_the_way_does_not_become_a_host() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_kept(&medium);
    let system = system(&release).then_prints("lvs", LVS_MORE);
    let failed = run(&release, &plan, system, kept_machine());
    assert_eq!(failed_step(&failed), "extra-storage", "{}", failed.report);
    assert!(
        failed
            .report
            .to_string()
            .contains("bedplate-shelf on /dev/sdb6,/dev/sdc6 is not what it was")
    );
    let mut disks = failed.machine.into_disks();
    assert!(!looks_bootable(
        &disks.swap_remove(0),
        &failed.system,
        &medium
    ));
}

#[test]
fn a_storage_disk_that_holds_data_by_now_or_fails_leaves_no_host_that_starts() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_new(&medium, "");
    // Data that came after the plan: nothing is written to any disk.
    let mut data = MemoryDevice::new(SIZE);
    data.write_at(4096, b"somebody's").unwrap();
    let machine = FakeMachine::new(disk(), None)
        .and(shelf(0), None, None)
        .and(shelf(1), Some(data), None);
    let refused = run(&release, &plan, system(&release), machine);
    assert_eq!(failed_step(&refused), "identify-disk");
    let report = refused.report.to_string();
    assert!(report.contains("/dev/sdc holds data"), "{report}");
    assert!(report.contains("[[storage]]"), "{report}");
    assert_eq!(refused.machine.writes_to(DISK), 0);

    let whole = run(&release, &plan, system(&release), empty_machine(None));
    let writes = whole.machine.writes_to(SHELF[1]);
    assert!(writes >= 4, "only {writes} writes");
    for at in 0..writes {
        for fault in [
            Fault::WriteError { at },
            Fault::NoSpace { at },
            Fault::PowerCut { at },
            Fault::LyingFlush { at },
        ] {
            let failed = run(
                &release,
                &plan,
                system(&release),
                empty_machine(Some(fault)),
            );
            if failed.report.result == Outcome::Ok {
                // What was zeroed was empty before.
                assert!(matches!(fault, Fault::LyingFlush { .. }), "{fault:?}");
                let mut disks = failed.machine.into_disks();
                let copies = read_copies(&mut disks[2]).unwrap();
                assert!(copies.iter().all(Option::is_some), "{fault:?}");
                continue;
            }
            assert_eq!(failed_step(&failed), "extra-storage", "{fault:?}");
            let disk = failed.machine.into_disks().swap_remove(0);
            assert!(!looks_bootable(&disk, &failed.system, &medium), "{fault:?}");
        }
    }
}
