//! The lay-down with everything going wrong that can: no state in which the disk starts something unverified.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::laydown::{failed_step, looks_bootable, plan_for, run, slot_is_whole};
use common::machine::{FakeMachine, FakeSystem, used_disk};
use common::medium::Medium;
use hcl_checker::facts::FirmwareKind;
use slots::block::Fault;
use steps::event::Outcome;

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
