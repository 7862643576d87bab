//! Bytes as an interface itself counts them: what a test sent and received is among them, or it took another way.

use super::change::read_text;
use super::{Bench, Outcome, TestError};
use std::time::Duration;
use steps::System;

/// Some drivers ask their card for its counters only once in a second or two.
const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_millis(100);

/// What an interface counted so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ByteCount {
    sent: u64,
    received: u64,
}

impl ByteCount {
    /// Source: `tx_bytes` and `rx_bytes` (Documentation/ABI/testing/sysfs-class-net-statistics).
    ///
    /// # Errors
    /// The interface counts nothing: then nobody can tell what went through it.
    pub(super) fn read(system: &dyn System, interface: &str) -> Result<Self, TestError> {
        let count = |name: &str| -> Result<u64, TestError> {
            let file = format!("/sys/class/net/{interface}/statistics/{name}");
            let text = read_text(system, &file).ok();
            text.and_then(|text| text.parse().ok()).ok_or_else(|| {
                TestError::CannotRun(format!(
                    "{file} tells no number, so nobody can tell what goes through {interface}"
                ))
            })
        };
        Ok(Self {
            sent: count("tx_bytes")?,
            received: count("rx_bytes")?,
        })
    }

    /// What was counted since `before`.
    fn since(self, before: Self) -> Self {
        Self {
            sent: self.sent.saturating_sub(before.sent),
            received: self.received.saturating_sub(before.received),
        }
    }

    /// Demands that since this count the interface counted what a test carried: `sent` and `received` bytes, without the
    /// headers that come on top.
    ///
    /// # Errors
    /// The interface counts nothing any more, or somebody asked to stop.
    pub(super) fn expect_carried(
        self,
        bench: &Bench<'_>,
        interface: &str,
        (sent, received): (u64, u64),
        outcome: &mut Outcome,
    ) -> Result<(), TestError> {
        let mut counted = Self::read(bench.system, interface)?.since(self);
        for _ in 0..TRIES {
            if counted.sent >= sent && counted.received >= received {
                break;
            }
            bench.wait(PAUSE)?;
            counted = Self::read(bench.system, interface)?.since(self);
        }
        for (word, file, counted, carried) in [
            ("sent", "tx_bytes", counted.sent, sent),
            ("received", "rx_bytes", counted.received, received),
        ] {
            outcome.measured(
                &format!("bytes that {interface} counted as {word}"),
                counted.to_string(),
                format!("{carried} at least"),
                format!("/sys/class/net/{interface}/statistics/{file}"),
            );
            outcome.expect(counted >= carried, || {
                format!(
                    "{interface} counted {counted} bytes as {word}, and the test carried {carried}: they took another way than \
                     through {interface}"
                )
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certify::Status;
    use crate::certify::bench::testing::Fixture;
    use steps::RecordingSystem;

    fn counters(sent: &str, received: &str) -> RecordingSystem {
        let folder = "/sys/class/net/eth0/statistics";
        RecordingSystem::new()
            .file(format!("{folder}/tx_bytes"), sent)
            .file(format!("{folder}/rx_bytes"), received)
    }

    /// What comes of a test that carried so much, on an interface that had counted 1000 in each direction before.
    fn judged(sent: &str, received: &str, carried: (u64, u64)) -> Outcome {
        let before = ByteCount::read(&counters("1000\n", "1000\n"), "eth0").expect("numbers");
        let mut fixture = Fixture::new();
        fixture.system = counters(sent, received);
        let mut outcome = Outcome::new();
        fixture
            .with(|bench| before.expect_carried(bench, "eth0", carried, &mut outcome))
            .expect("numbers");
        outcome
    }

    #[test]
    fn an_interface_counts_what_a_test_carries_through_it() {
        let good = judged("6066\n", "3040\n", (5000, 2000));
        assert_eq!((good.status, good.reason.as_str()), (Status::Passed, ""));
        let seen: Vec<(&str, &str)> = good
            .measurements
            .iter()
            .map(|one| (one.observed.as_str(), one.expected.as_str()))
            .collect();
        assert_eq!(seen, [("5066", "5000 at least"), ("2040", "2000 at least")]);
    }

    #[test]
    fn data_that_went_another_way_is_no_pass_in_either_direction() {
        let none = judged("1000\n", "1000\n", (154_000_000, 1));
        assert_eq!(none.status, Status::Failed);
        assert!(
            none.reason
                .starts_with("eth0 counted 0 bytes as sent, and the test carried 154000000: ")
                && none.reason.contains("0 bytes as received"),
            "{}",
            none.reason
        );
        let one_way = judged("9000\n", "1001\n", (1, 2));
        assert!(
            one_way.status == Status::Failed && !one_way.reason.contains("as sent"),
            "{}",
            one_way.reason
        );
        // A counter that began anew tells nothing.
        let count = |sent, received| ByteCount { sent, received };
        assert_eq!(count(5, 12).since(count(9, 10)), count(0, 2));
    }

    #[test]
    fn an_interface_without_counters_cannot_be_tested() {
        for system in [RecordingSystem::new(), counters("1\n", "x\n")] {
            let error = ByteCount::read(&system, "eth0").expect_err("no number");
            assert!(matches!(&error, TestError::CannotRun(reason) if reason.contains("eth0")));
        }
    }
}
