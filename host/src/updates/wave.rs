//! Staggering: hosts take a release one after another, so that one which is bad somewhere is seen before it is everywhere.

use release::HotfixKind;
use sha2::{Digest, Sha256};
use std::fmt;

/// Hosts are counted in ten-thousandths.
pub const ALL_HOSTS: u32 = 10_000;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// Ten-thousandths of the hosts that have begun, and how long after they first saw the release, in seconds. Between two steps
/// hosts begin evenly.
type Curve = [(u32, u64); 7];

/// As Bottlerocket's default: 1 % in the first hour, half of the hosts after two and a half days, all in six.
const FEATURE: Curve = [
    (100, HOUR),
    (500, 4 * HOUR),
    (1_500, DAY),
    (4_000, 2 * DAY),
    (6_000, 4 * DAY),
    (9_000, 5 * DAY),
    (ALL_HOSTS, 6 * DAY),
];

/// What closes holes cannot wait for days, and still is not everywhere at once.
const SECURITY: Curve = [
    (100, HOUR / 4),
    (500, HOUR),
    (1_500, 3 * HOUR),
    (4_000, 6 * HOUR),
    (6_000, 12 * HOUR),
    (9_000, 18 * HOUR),
    (ALL_HOSTS, DAY),
];

/// When this host takes its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wave {
    /// At once: a host to try releases on.
    First,
    /// By chance, another one with each release.
    #[default]
    Auto,
    /// When all others have begun.
    Last,
}

impl Wave {
    /// All of them.
    pub const ALL: [Wave; 3] = [Wave::First, Wave::Auto, Wave::Last];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Wave::First => "first",
            Wave::Auto => "auto",
            Wave::Last => "last",
        }
    }
}

impl fmt::Display for Wave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The place of a host among all, 0 to 9999, for one release. `seed` is what tells hosts apart (the machine id); with the
/// release in it, it is not always the same host that goes first.
pub fn position(seed: &str, release: &str) -> u32 {
    let hash = Sha256::new()
        .chain_update(seed)
        .chain_update([0])
        .chain_update(release)
        .finalize();
    let number = hash
        .iter()
        .take(8)
        .fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    // Less than ALL_HOSTS, so it fits.
    u32::try_from(number % u64::from(ALL_HOSTS)).unwrap_or(0)
}

/// Seconds that a host at this place waits from when it first saw the release.
pub fn delay(wave: Wave, kind: HotfixKind, position: u32) -> u64 {
    let curve = match kind {
        HotfixKind::Security => &SECURITY,
        HotfixKind::Feature => &FEATURE,
    };
    let position = match wave {
        Wave::First => return 0,
        Wave::Last => ALL_HOSTS,
        Wave::Auto => position.min(ALL_HOSTS),
    };
    let mut before = (0, 0);
    for step in curve {
        if position <= step.0 {
            let part = u64::from(position - before.0);
            let of = u64::from(step.0 - before.0);
            return before.1 + (step.1 - before.1) * part / of;
        }
        before = *step;
    }
    before.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_begin_one_after_another() {
        let share = |kind, seconds| {
            let begun = (0..ALL_HOSTS).filter(|at| delay(Wave::Auto, kind, *at) <= seconds);
            begun.count() as u32
        };
        // The reference's curve: 1 % at 1 h, 5 % 4 h, 15 % 1 d, 40 % 2 d, 60 % 4 d, 90 % 5 d, 100 % 6 d.
        for (percent, hours) in [
            (1, 1),
            (5, 4),
            (15, 24),
            (40, 48),
            (60, 96),
            (90, 120),
            (100, 144),
        ] {
            let begun = share(HotfixKind::Feature, hours * HOUR);
            assert!(
                begun.abs_diff(percent * 100) <= 1,
                "{percent} % after {hours} h: {begun}"
            );
        }
        assert_eq!(share(HotfixKind::Security, DAY), ALL_HOSTS);
        assert!(share(HotfixKind::Security, HOUR) < ALL_HOSTS / 10);
        for kind in [HotfixKind::Security, HotfixKind::Feature] {
            assert_eq!(delay(Wave::First, kind, 9_999), 0);
            let last = delay(Wave::Last, kind, 0);
            let mut before = 0;
            for at in 0..ALL_HOSTS {
                let now = delay(Wave::Auto, kind, at);
                assert!(before <= now && now <= last, "{at}");
                before = now;
            }
        }
    }

    #[test]
    fn places_are_spread_and_change_with_the_release() {
        let mut quarters = [0u32; 4];
        let mut moved = 0u32;
        for host in 0..4000 {
            let seed = format!("host-{host}");
            let (one, two) = (position(&seed, "a"), position(&seed, "b"));
            assert_eq!(
                one,
                position(&seed, "a"),
                "the same host has the same place"
            );
            quarters[(one / (ALL_HOSTS / 4)) as usize] += 1;
            moved += u32::from(one != two);
        }
        // Four standard deviations of 4000 throws are 110.
        assert!(
            quarters.iter().all(|n| n.abs_diff(1000) < 110),
            "{quarters:?}"
        );
        assert!(moved > 3900);
    }
}
