//! How much of everything a certification takes at least: what a run does when nobody asks for less.

use super::{Status, TestResult};

/// Seconds of load on every CPU.
pub(super) const CPU_SECONDS: u64 = 60;
/// Seconds of patterns in memory.
pub(super) const MEMORY_SECONDS: u64 = 300;
/// Seconds on each disk: half of them for writing, and as much for random reads.
pub(super) const DISK_SECONDS: u64 = 60;
/// Bytes written to each disk that has so many, and time for it.
pub(super) const DISK_BYTES: u64 = 16 << 30;
/// Seconds of traffic in each direction.
pub(super) const NET_SECONDS: u64 = 10;

/// What is written at once to a disk: a rest that is smaller stays as it is.
const BLOCK: u64 = 1 << 20;

// Measurements that tell how much was tested.

/// Of the load on CPUs.
pub(super) const LOAD_TIME: &str = "time under load";
/// Of patterns in memory.
pub(super) const PATTERN_TIME: &str = "time of patterns";
/// Memory that had patterns, MiB.
pub(super) const MEMORY_TESTED: &str = "memory tested";
/// Memory that was free and not needed by others, MiB.
pub(super) const MEMORY_FREE: &str = "memory that could be tested";
/// Bytes that a disk has.
pub(super) const DISK_SIZE: &str = "bytes of it";
/// Bytes written to it.
pub(super) const DISK_WRITTEN: &str = "bytes written";
/// Of that.
pub(super) const WRITE_TIME: &str = "time of writing";
/// Of random reads.
pub(super) const READ_TIME: &str = "time of random reads";
/// Of traffic to the peer.
pub(super) const SEND_TIME: &str = "time of sending";
/// Of traffic from there.
pub(super) const RECEIVE_TIME: &str = "time of receiving";

/// Whole seconds of a time, the nearest, as a measurement tells them: clocks of two machines differ by less.
pub(super) fn seconds(time: std::time::Duration) -> String {
    format!("{} s", (time.as_millis() + 500) / 1000)
}

/// What of its amounts a test was short of.
struct Shortfall<'a> {
    test: &'a TestResult,
    less_than: Vec<String>,
    options: Vec<&'static str>,
}

impl Shortfall<'_> {
    /// The number that a measurement tells, without its unit. What is not told was not tested.
    fn number(&self, name: &str) -> u64 {
        let all = &self.test.measurements;
        let told = all.iter().find(|measurement| measurement.name == name);
        let number = told.and_then(|told| told.observed.split(' ').next()?.parse().ok());
        number.unwrap_or(0)
    }

    /// Demands so much. `option` is what a shorter run was asked for with.
    fn at_least(&mut self, name: &str, least: u64, unit: &str, option: &'static str) {
        let number = self.number(name);
        if number < least {
            self.less_than
                .push(format!("{least} {unit} ({name}: {number} {unit})"));
            if !self.options.contains(&option) {
                self.options.push(option);
            }
        }
    }
}

/// That a test which passed was a smaller one than a certification takes, and how to run the whole one. By its own measurements,
/// so that whoever has the report sees the same.
pub fn too_little(test: &TestResult) -> Option<String> {
    if test.status != Status::Passed {
        return None;
    }
    let mut short = Shortfall {
        test,
        less_than: Vec::new(),
        options: Vec::new(),
    };
    match test.id.as_str() {
        "cpu.load" => short.at_least(LOAD_TIME, CPU_SECONDS, "s", "--cpu-time"),
        "memory" => {
            short.at_least(PATTERN_TIME, MEMORY_SECONDS, "s", "--memory-time");
            // All that was free, and that is something in any case.
            let free = short.number(MEMORY_FREE).max(1);
            short.at_least(MEMORY_TESTED, free, "MiB", "--memory-limit");
        }
        id if id.starts_with("disk.") => {
            // A slow disk may end with its time, before it has all of it.
            if short.number(WRITE_TIME) < DISK_SECONDS / 2 {
                let size = short.number(DISK_SIZE).max(BLOCK);
                let least = DISK_BYTES.min(size / BLOCK * BLOCK);
                short.at_least(DISK_WRITTEN, least, "bytes", "--disk-limit");
            }
            short.at_least(READ_TIME, DISK_SECONDS / 2, "s", "--disk-time");
        }
        id if id.starts_with("nic.") && id.ends_with(".throughput") => {
            short.at_least(SEND_TIME, NET_SECONDS, "s", "--net-time");
            short.at_least(RECEIVE_TIME, NET_SECONDS, "s", "--net-time");
        }
        id if id.starts_with("nic.") && id.ends_with(".loss") => {
            short.at_least(SEND_TIME, NET_SECONDS, "s", "--net-time");
        }
        _ => {}
    }
    (!short.less_than.is_empty()).then(|| {
        format!(
            "{}: tested for less than {}; leave out {}",
            test.id,
            short.less_than.join(" and "),
            short.options.join(" and ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certify::Measurement;
    use std::time::Duration;

    fn test(id: &str, measured: &[(&str, &str)]) -> TestResult {
        let one = |(name, observed): &(&str, &str)| Measurement {
            name: (*name).to_owned(),
            observed: (*observed).to_owned(),
            expected: String::new(),
            source: String::new(),
        };
        TestResult {
            id: id.to_owned(),
            title: String::new(),
            status: Status::Passed,
            reason: String::new(),
            measurements: measured.iter().map(one).collect(),
            evidence: Vec::new(),
            started: String::new(),
            duration_ms: 0,
        }
    }

    fn told(id: &str, measured: &[(&str, &str)]) -> String {
        too_little(&test(id, measured)).unwrap_or_default()
    }

    #[test]
    fn each_test_has_a_least_amount() {
        assert_eq!(told("cpu.load", &[(LOAD_TIME, "60 s")]), "");
        assert_eq!(
            told("cpu.load", &[(LOAD_TIME, "5 s")]),
            "cpu.load: tested for less than 60 s (time under load: 5 s); leave out --cpu-time"
        );
        let memory = |seconds: &str, tested: &str| {
            let free = (MEMORY_FREE, "3000 MiB");
            told(
                "memory",
                &[(PATTERN_TIME, seconds), (MEMORY_TESTED, tested), free],
            )
        };
        assert_eq!(memory("300 s", "3000 MiB"), "");
        assert_eq!(
            memory("30 s", "128 MiB"),
            "memory: tested for less than 300 s (time of patterns: 30 s) and 3000 MiB (memory tested: 128 MiB); leave out \
             --memory-time and --memory-limit"
        );
        assert!(memory("300 s", "2999 MiB").ends_with("leave out --memory-limit"));
        let net = [(SEND_TIME, "10 s"), (RECEIVE_TIME, "9 s")];
        assert_eq!(told("nic.eth0.loss", &net), "");
        assert!(told("nic.eth0.throughput", &net).contains("10 s (time of receiving: 9 s)"));
        // What has no amount.
        assert_eq!(told("nic.eth0.jumbo", &[]) + &told("log", &[]), "");
    }

    #[test]
    fn a_disk_is_written_whole_or_for_its_time() {
        let disk = |size: u64, written: u64, seconds: &str, read: &str| {
            let (size, written) = (size.to_string(), written.to_string());
            told(
                "disk.sda",
                &[
                    (DISK_SIZE, &size),
                    (DISK_WRITTEN, &written),
                    (WRITE_TIME, seconds),
                    (READ_TIME, read),
                ],
            )
        };
        assert_eq!(disk(1 << 40, 16 << 30, "5 s", "30 s"), "");
        assert_eq!(disk(1 << 40, 3 << 30, "30 s", "30 s"), "", "slow");
        assert_eq!(disk((1 << 30) + 512, 1 << 30, "1 s", "30 s"), "", "small");
        assert_eq!(
            disk(1 << 30, 64 << 20, "1 s", "10 s"),
            "disk.sda: tested for less than 1073741824 bytes (bytes written: 67108864 bytes) and 30 s (time of random reads: 10 s); \
             leave out --disk-limit and --disk-time"
        );
        assert!(disk(1 << 20, 1 << 20, "0 s", "1 s").ends_with("leave out --disk-time"));
    }

    #[test]
    fn what_no_measurement_tells_was_not_tested() {
        for id in [
            "cpu.load",
            "memory",
            "disk.sda",
            "nic.eth0.throughput",
            "nic.eth0.loss",
        ] {
            assert!(told(id, &[]).contains("tested for less than"), "{id}");
            let mut other = test(id, &[]);
            other.status = Status::Skipped;
            assert_eq!(too_little(&other), None, "{id}: it has its own reason");
        }
    }

    #[test]
    fn times_are_told_to_the_nearest_second() {
        let told = [9_499, 9_500, 10_499].map(|ms| seconds(Duration::from_millis(ms)));
        assert_eq!(told, ["9 s", "10 s", "10 s"]);
    }
}
