//! The whole test on disks of memory, good and bad.

use super::*;
use crate::certify::bench::testing::Fixture;
use slots::block::{Fault, FaultyDevice, MemoryDevice};

fn test(seconds: u64) -> StorageTest {
    StorageTest {
        path: PathBuf::from("/dev/test"),
        disk: None,
        serial: None,
        wwn: None,
        size_bytes: None,
        seconds,
        limit_bytes: 4 << 20,
    }
}

/// Writes and verifies a disk of 4 MiB with this fault.
fn written_and_verified(fault: Option<Fault>) -> Result<Vec<u64>, TestError> {
    let mut fixture = Fixture::new();
    let mut disk = FaultyDevice::new(MemoryDevice::new(4 << 20), fault);
    let spread = Spread::new(4 << 20, 4 << 20, 7);
    fixture.with(|bench| {
        let written = write(bench, &mut disk, &spread, Duration::from_secs(60))?;
        assert_eq!(written.blocks, 4);
        Ok(verify(bench, &mut disk, &spread, written.blocks)?.wrong)
    })
}

#[test]
fn a_good_disk_holds_what_was_written() {
    let wrong = written_and_verified(None).expect("no trouble");
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn lost_and_damaged_writes_are_found_where_they_are() {
    // The order of writes is 0, 3, 1, 2.
    let lost = written_and_verified(Some(Fault::LostWrite { at: 1 }));
    assert_eq!(lost.expect("no trouble"), [3 << 20]);
}

#[test]
fn errors_of_the_disk_are_told_with_their_place() {
    let error = written_and_verified(Some(Fault::WriteError { at: 2 })).expect_err("fails");
    assert!(
        error.to_string().starts_with("write at 0x100000"),
        "{error}"
    );
    let error = written_and_verified(Some(Fault::PowerCut { at: 3 })).expect_err("fails");
    assert!(
        error.to_string().starts_with("write at 0x200000"),
        "{error}"
    );
}

#[test]
fn a_disk_too_small_for_a_block_is_not_tested() {
    let mut fixture = Fixture::new();
    let small = MemoryDevice::new(4096);
    let error = fixture.with(|bench| exercise(bench, &test(1), small, Vec::new()));
    assert!(matches!(error, Err(TestError::CannotRun(_))));
}

#[test]
fn random_reads_see_what_was_written_and_stop_when_asked() {
    let mut fixture = Fixture::new();
    let disk = || MemoryDevice::new(4 << 20);
    // Disks of memory are not shared: each reader has what the writer wrote before.
    let spread = Spread::new(4 << 20, 4 << 20, 7);
    let filled = |spread: &Spread| {
        let mut disk = disk();
        let mut block = vec![0; BLOCK];
        for number in 0..4 {
            spread.fill(spread.offset(number), &mut block);
            disk.write_at(spread.offset(number), &block).expect("write");
        }
        disk
    };
    let time = Duration::from_millis(100);
    let good = fixture.with(|bench| {
        let readers = vec![filled(&spread), filled(&spread)];
        random_reads(bench, filled(&spread), readers, &spread, 4, time)
    });
    let good = good.expect("no trouble");
    assert!(good.wrong == 0 && !good.latencies.is_empty() && good.latencies.is_sorted());
    assert!(good.quantile(500) <= good.quantile(999));
    let bad = fixture.with(|bench| random_reads(bench, disk(), vec![disk()], &spread, 4, time));
    let bad = bad.expect("no trouble");
    assert_eq!(bad.wrong, bad.latencies.len() as u64);
    fixture.stop.ask();
    let stopped = fixture.with(|bench| random_reads(bench, disk(), vec![], &spread, 4, time));
    assert!(matches!(stopped, Err(TestError::Stopped)));
}

#[test]
fn the_disk_of_the_plan_is_the_only_one_that_is_written() {
    use crate::known::Known;
    let disk = Disk {
        path: "/dev/sdb".to_owned(),
        serial: Known::Value("S1".to_owned()),
        wwn: Known::Absent,
        size_bytes: Known::Value(1 << 30),
        ..Disk::default()
    };
    let planned = StorageTest {
        serial: Some("S1".to_owned()),
        size_bytes: Some(1 << 30),
        ..test(1)
    };
    assert_eq!(differs(&planned, &disk), None);
    let other = |change: fn(&mut Disk)| {
        let mut other = disk.clone();
        change(&mut other);
        differs(&planned, &other).unwrap_or_default()
    };
    assert!(other(|disk| disk.serial = Known::Value("S2".to_owned())).contains("serial number S2"));
    assert!(other(|disk| disk.serial = Known::unknown("x")).contains("serial number none"));
    assert!(other(|disk| disk.wwn = Known::Value("naa.5".to_owned())).contains("WWN naa.5"));
    assert!(other(|disk| disk.size_bytes = Known::Value(2 << 30)).contains("size 2147483648"));
    assert!(other(|disk| disk.mount_points.push("/".to_owned())).contains("came into use"));
}
