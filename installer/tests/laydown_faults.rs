//! The lay-down with everything going wrong that can: no state in which the disk starts something unverified.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::laydown::{
    NOW, Run, failed_step, looks_bootable, plan_for, run, run_from, slot_is_whole,
};
use common::machine::{FakeMachine, FakeSystem, used_disk};
use common::medium::Medium;
use hcl_checker::facts::FirmwareKind;
use installer::laydown::Origin;
use installer::plan::Plan;
use release::{Artifact, OpenRelease};
use slots::PartitionKind;
use slots::block::Fault;
use slots::gpt::read_copies;
use std::path::Path;
use steps::event::Outcome;

/// An installation on a disk with data on it and one fault.
fn faulty(release: &OpenRelease, plan: &Plan, fault: Option<Fault>) -> Run {
    let machine = FakeMachine::new(used_disk(), fault);
    run(release, plan, FakeSystem::new(release), machine)
}

/// What a failed run leaves: nothing mounted, and a disk that starts only where the root is whole.
fn leaves_nothing_half(run: Run, plan: &Plan, medium: &Medium, what: &str) {
    assert!(run.system.inner.mounted().is_empty(), "{what}");
    let disk = run.machine.into_disk();
    if looks_bootable(&disk, &run.system, medium) {
        assert!(slot_is_whole(&disk, plan, medium), "{what}");
    }
}

#[test]
fn a_power_cut_before_any_write_leaves_nothing_that_starts_unverified() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_for(&medium, &used_disk(), FirmwareKind::Bios, true);
    let whole = run(
        &release,
        &plan,
        FakeSystem::new(&release),
        FakeMachine::new(used_disk(), None),
    );
    let writes = whole.machine.writes();
    assert!(writes > 8, "only {writes} writes");
    for at in 0..writes {
        for fault in [Fault::PowerCut { at }, Fault::TornWrite { at, bytes: 200 }] {
            let run = run(
                &release,
                &plan,
                FakeSystem::new(&release),
                FakeMachine::new(used_disk(), Some(fault)),
            );
            assert_eq!(run.report.result, Outcome::Failed, "{fault:?}");
            assert!(run.system.inner.mounted().is_empty(), "{fault:?}");
            let disk = run.machine.into_disk();
            if looks_bootable(&disk, &run.system, &medium) {
                assert!(
                    slot_is_whole(&disk, &plan, &medium),
                    "{fault:?}: starts without a whole slot"
                );
                let vgs = run
                    .system
                    .inner
                    .command_lines()
                    .iter()
                    .any(|line| line.starts_with("vgs"));
                assert!(vgs, "{fault:?}: starts before everything else was done");
            }
        }
    }
}

#[test]
fn bad_writes_are_noticed_or_harmless() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_for(&medium, &used_disk(), FirmwareKind::Bios, true);
    let whole = run(
        &release,
        &plan,
        FakeSystem::new(&release),
        FakeMachine::new(used_disk(), None),
    );
    for at in 0..whole.machine.writes() {
        for fault in [
            Fault::WriteError { at },
            Fault::LostWrite { at },
            Fault::FlippedWrite { at, bit: 77 },
        ] {
            let run = run(
                &release,
                &plan,
                FakeSystem::new(&release),
                FakeMachine::new(used_disk(), Some(fault)),
            );
            let ok = run.report.result == Outcome::Ok;
            let disk = run.machine.into_disk();
            if ok || looks_bootable(&disk, &run.system, &medium) {
                assert!(slot_is_whole(&disk, &plan, &medium), "{fault:?}");
            }
        }
    }
}

#[test]
fn every_command_and_file_may_fail() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_for(&medium, &used_disk(), FirmwareKind::Uefi, true);
    let whole = run(
        &release,
        &plan,
        FakeSystem::new(&release),
        FakeMachine::new(used_disk(), None),
    );
    let calls = whole.system.count();
    assert!(calls > 50, "only {calls} calls");
    let mut warned = 0;
    for at in 0..calls {
        let system = FakeSystem::new(&release).failing_at(at);
        let run = run(&release, &plan, system, FakeMachine::new(used_disk(), None));
        assert!(
            run.system.inner.mounted().is_empty(),
            "call {at} leaves a mount"
        );
        if run.report.result == Outcome::Ok {
            // The firmware's list warns, and a table is read anew at the second try.
            let failed = run.system.failed.lock().unwrap().clone();
            assert!(
                !run.report.warnings.is_empty() || failed.starts_with("blockdev"),
                "call {at} failed without a word: {failed}"
            );
            warned += 1;
            continue;
        }
        let failed = failed_step(&run).to_owned();
        let disk = run.machine.into_disk();
        if failed != "boot-loaders" {
            assert!(
                !looks_bootable(&disk, &run.system, &medium),
                "call {at} ({failed}) leaves a disk that starts"
            );
        } else {
            assert!(slot_is_whole(&disk, &plan, &medium));
        }
    }
    assert!(warned >= 2, "a failing firmware entry must be a warning");
}

#[test]
fn what_was_not_flushed_before_a_power_cut_is_never_what_the_host_starts_from() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_for(&medium, &used_disk(), FirmwareKind::Bios, true);
    let writes = faulty(&release, &plan, None).machine.writes();
    for at in 0..writes {
        let cut = faulty(&release, &plan, Some(Fault::LostCache { at }));
        assert_eq!(cut.report.result, Outcome::Failed, "write {at}");
        leaves_nothing_half(cut, &plan, &medium, &format!("write {at}"));
    }
    // Cut after the last write: everything that an installation calls done was flushed.
    let done = faulty(&release, &plan, Some(Fault::LostCache { at: writes }));
    assert_eq!(done.report.result, Outcome::Ok, "{}", done.report);
    let mut disk = done.machine.into_disk();
    assert!(slot_is_whole(&disk, &plan, &medium));
    assert!(looks_bootable(&disk, &done.system, &medium));
    assert!(read_copies(&mut disk).unwrap().iter().all(Option::is_some));
}

#[test]
fn a_flush_that_fails_is_a_failure_and_a_flush_that_lies_is_found_out() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_for(&medium, &used_disk(), FirmwareKind::Bios, true);
    let flushes = faulty(&release, &plan, None).machine.flushes();
    assert!(flushes > 8, "only {flushes} flushes");
    let slot_b = plan.disk.layout.get(PartitionKind::SlotB).unwrap().start;
    let mut found_out = 0;
    for at in 0..flushes {
        let failed = faulty(&release, &plan, Some(Fault::FlushError { at }));
        assert_eq!(failed.report.result, Outcome::Failed, "flush {at}");
        let report = failed.report.to_string();
        assert!(report.contains(&format!("flush {at} failed")), "{report}");
        leaves_nothing_half(failed, &plan, &medium, &format!("flush {at}"));

        // An older root where slot B begins: whether it is forgotten shows only on the disk.
        let machine = FakeMachine::new(used_disk(), Some(Fault::LyingFlush { at }));
        machine.put(slot_b, &[0x5a; 4096]);
        let lied = run(&release, &plan, FakeSystem::new(&release), machine);
        if lied.report.result == Outcome::Failed {
            found_out += 1;
            leaves_nothing_half(lied, &plan, &medium, &format!("lie {at}"));
            continue;
        }
        // Only what was written a second time anyway may go unnoticed.
        let mut disk = lied.machine.into_disk();
        assert!(slot_is_whole(&disk, &plan, &medium), "lie {at}");
        assert!(looks_bootable(&disk, &lied.system, &medium), "lie {at}");
        assert_eq!(disk.bytes(slot_b, 4096), [0; 4096], "lie {at}");
        let copies = read_copies(&mut disk).unwrap();
        assert!(copies.iter().all(Option::is_some), "lie {at}");
    }
    assert!(found_out >= 6, "only {found_out} lies were found out");
}

#[test]
fn a_disk_without_room_ends_the_installation_and_says_so() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_for(&medium, &used_disk(), FirmwareKind::Bios, true);
    for at in 0..faulty(&release, &plan, None).machine.writes() {
        let full = faulty(&release, &plan, Some(Fault::NoSpace { at }));
        assert_eq!(full.report.result, Outcome::Failed, "write {at}");
        let report = full.report.to_string();
        assert!(report.contains("no storage space"), "{report}");
        leaves_nothing_half(full, &plan, &medium, &format!("write {at}"));
    }
}

#[test]
fn a_disk_that_cannot_be_read_is_told_from_one_that_cannot_be_written() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_for(&medium, &used_disk(), FirmwareKind::Bios, true);
    let slot = plan.disk.layout.get(PartitionKind::SlotA).unwrap().start;
    for (offset, step, says) in [
        (0, "erase-disk", "byte 0 cannot be read"),
        (slot + 70_000, "slot-a", "cannot read the target"),
        (slot, "slot-a", "SMART"),
    ] {
        let failed = faulty(&release, &plan, Some(Fault::ReadError { offset }));
        assert_eq!(failed_step(&failed), step, "{}", failed.report);
        let report = failed.report.to_string();
        assert!(report.contains(says), "{report}");
        leaves_nothing_half(failed, &plan, &medium, step);
    }
}

/// The medium is gone after the release was verified: where it was copied into memory, nothing notices; where it was not, the
/// error says which medium, and what to do.
#[test]
fn a_medium_that_is_taken_out_is_named() {
    let plan_of = |medium: &Medium| plan_for(medium, &used_disk(), FirmwareKind::Bios, true);
    for (artifact, step) in [
        (Artifact::Root, "slot-a"),
        (Artifact::GrubBiosCore, "boot-loaders"),
    ] {
        for (origin, says) in [
            (
                Origin::Medium("/dev/sr0".into()),
                "the medium /dev/sr0, which could not be copied into memory",
            ),
            (
                Origin::Memory("/dev/sdb".into()),
                "its copy in memory, which was made from the medium /dev/sdb",
            ),
            (
                Origin::Server("https://releases.example.org/".into()),
                "fetched from https://releases.example.org/",
            ),
        ] {
            let medium = Medium::new();
            let (release, plan) = (medium.open(), plan_of(&medium));
            let machine = FakeMachine::new(used_disk(), None);
            let path = release.path(artifact);
            let gone = path.clone();
            *machine.meanwhile.lock().unwrap() =
                Some(Box::new(move || std::fs::remove_file(gone).unwrap()));
            let system = FakeSystem::new(&release);
            let failed = run_from(&release, &plan, system, machine, origin, NOW);
            assert_eq!(failed_step(&failed), step, "{}", failed.report);
            let report = failed.report.to_string();
            for part in [
                says,
                artifact.target_name(),
                &path.display().to_string(),
                "start",
            ] {
                assert!(report.contains(part), "{part}: {report}");
            }
            let disk = failed.machine.into_disk();
            assert!(!looks_bootable(&disk, &failed.system, &medium));
        }
    }
    // A file that is cut off before the first step: nothing is written.
    let medium = Medium::new();
    let (release, plan) = (medium.open(), plan_of(&medium));
    std::fs::write(release.path(Artifact::Kernel), "short").unwrap();
    let failed = run_from(
        &release,
        &plan,
        FakeSystem::new(&release),
        FakeMachine::new(used_disk(), None),
        Origin::Medium("/dev/sr0".into()),
        NOW,
    );
    assert_eq!(failed_step(&failed), "verify-release");
    assert!(failed.report.to_string().contains("/dev/sr0"));
    assert_eq!(failed.machine.writes(), 0);
}

#[test]
fn a_clock_at_1970_leaves_no_password_that_must_be_changed_at_once() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_for(&medium, &used_disk(), FirmwareKind::Bios, true);
    let made = release.manifest.epoch;
    for (now, days) in [
        (0, made / 86_400),
        (made - 86_400, made / 86_400),
        (made + 86_400, made / 86_400 + 1),
    ] {
        let machine = FakeMachine::new(used_disk(), None);
        let system = FakeSystem::new(&release);
        let done = run_from(&release, &plan, system, machine, Origin::Folder, now);
        assert_eq!(done.report.result, Outcome::Ok, "{}", done.report);
        let etc = Path::new("/run/bedplate/target/bedplate-state/etc/c3c3c3c3c3c3c3c3/upper");
        let shadow = done.system.inner.content(etc.join("shadow")).unwrap();
        let shadow = String::from_utf8(shadow).unwrap();
        let root: Vec<&str> = shadow.lines().next().unwrap().split(':').collect();
        // shadow(5): the third field is the day of the last change, and 0 means that the password must be changed.
        assert_eq!((root[0], root[2]), ("root", days.to_string().as_str()));
    }
}
