//! What is remembered between two looks at the repository. In `/var`, so that neither a hotfix nor going back changes it.

use crate::XeError;
use release::HotfixKind;
use serde::{Deserialize, Serialize};
use std::path::Path;
use steps::System;

/// Schema of the document.
const SCHEMA: u32 = 1;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Time between two looks at the repository where all goes well, in seconds. What is published weekly is seen on the same day.
const INTERVAL: u64 = 4 * HOUR;
/// The first pause after a failure; each further one is twice as long.
const FIRST_PAUSE: u64 = 15 * MINUTE;
/// The longest.
const LONGEST_PAUSE: u64 = 12 * HOUR;

/// Attempts at something that may fail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attempts {
    /// When it was tried last, in seconds since 1970.
    pub last: Option<u64>,
    /// Failures since it worked last.
    pub failures: u32,
    /// Why it failed last; empty where it worked.
    pub error: String,
}

impl Attempts {
    /// It was tried.
    pub fn tried(&mut self, now: u64, error: Option<&str>) {
        self.last = Some(now);
        match error {
            None => (self.failures, self.error) = (0, String::new()),
            Some(error) => {
                self.failures = self.failures.saturating_add(1);
                self.error = error.to_owned();
            }
        }
    }

    /// The pause before the next attempt, in seconds.
    fn pause(&self) -> u64 {
        match self.failures {
            0 => 0,
            n => FIRST_PAUSE
                .saturating_mul(1u64.checked_shl(n - 1).unwrap_or(u64::MAX))
                .min(LONGEST_PAUSE),
        }
    }

    /// When it is due where it was `pause` seconds ago at the earliest; none where it is due now. A clock that went backward
    /// holds nothing up: what was tried in the future is due.
    fn due(&self, now: u64, pause: u64) -> Option<u64> {
        let last = self.last.filter(|last| *last <= now)?;
        Some(last.saturating_add(pause)).filter(|next| *next > now)
    }

    /// When it may be tried again after a failure; none where it may now.
    pub fn again(&self, now: u64) -> Option<u64> {
        self.due(now, self.pause())
    }

    /// When the repository is to be looked at next; none where it is now.
    pub fn next_look(&self, now: u64) -> Option<u64> {
        match self.failures {
            0 => self.due(now, INTERVAL),
            _ => self.again(now),
        }
    }
}

/// A release that the repository gives, and that is newer than the one that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// Its version.
    pub version: String,
    /// The UUID that it has, or will have, among the hotfixes.
    pub uuid: String,
    /// What it is for.
    pub kind: HotfixKind,
    /// What its maker says.
    pub notes: String,
    /// The vulnerabilities that it closes.
    pub cves: Vec<String>,
    /// Bytes of its files that this host needs; none where that is not known.
    pub bytes: Option<u64>,
    /// When this host first saw it, in seconds since 1970.
    pub first_seen: u64,
    /// Whether it closes holes of this host: itself, or because it holds an earlier release that does and was not installed.
    #[serde(default)]
    pub urgent: bool,
}

impl Offered {
    /// Whether it cannot wait for days.
    pub fn is_urgent(&self) -> bool {
        // What an earlier release of this program remembered says so by its kind alone.
        self.urgent || self.kind == HotfixKind::Security
    }
}

/// A failure that the administrator does not want to be held against a release any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleared {
    /// The release.
    pub uuid: String,
    /// When it failed, in seconds since 1970: another failure is another one.
    pub failed: u64,
}

/// What the last run came to, for `xe` and the console.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// A word: `up-to-date`, `waiting`.
    pub status: String,
    /// A sentence for the administrator.
    pub text: String,
    /// Whether it is worth a line above the login prompt.
    pub shown: bool,
    /// When, in seconds since 1970.
    pub at: u64,
}

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateState {
    /// Schema of this document: 1.
    pub schema: u32,
    /// Looks at the repository.
    #[serde(default)]
    pub looks: Attempts,
    /// When the last look worked, in seconds since 1970.
    #[serde(default)]
    pub looked: Option<u64>,
    /// Fetching and writing the release that is offered.
    #[serde(default)]
    pub work: Attempts,
    /// The release that is offered.
    #[serde(default)]
    pub offered: Option<Offered>,
    /// UUID of the release that was written without being told to: the host restarts for no other.
    #[serde(default)]
    pub written: Option<String>,
    /// A failure that counts no more.
    #[serde(default)]
    pub cleared: Option<Cleared>,
    /// What the last run came to.
    #[serde(default)]
    pub told: Told,
    /// The repository that the rest is about, without user and password; empty where there is none.
    #[serde(default)]
    pub repository: String,
}

impl Default for UpdateState {
    fn default() -> Self {
        UpdateState {
            schema: SCHEMA,
            looks: Attempts::default(),
            looked: None,
            work: Attempts::default(),
            offered: None,
            written: None,
            cleared: None,
            told: Told::default(),
            repository: String::new(),
        }
    }
}

impl UpdateState {
    /// From now on it is about this repository. Another one does not pay for the failures of the one before, and is looked at
    /// at once; without one, nothing is offered.
    pub fn from_repository(&mut self, shown: &str) {
        if self.repository != shown {
            (self.looks, self.work) = Default::default();
            shown.clone_into(&mut self.repository);
        }
        if shown.is_empty() {
            self.offered = None;
        }
    }

    /// Reads it. One that is missing or damaged is begun anew: the release is then seen for the first time, later than it was.
    pub fn read(system: &dyn System, path: &Path) -> UpdateState {
        system
            .read_file(path)
            .ok()
            .and_then(|json| serde_json::from_slice::<UpdateState>(&json).ok())
            .filter(|state| state.schema == SCHEMA)
            .unwrap_or_default()
    }

    /// Writes it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, system: &dyn System, path: &Path) -> Result<(), XeError> {
        let json = serde_json::to_vec_pretty(self).map_err(|e| XeError::system(&e))?;
        let write = || {
            if let Some(folder) = path.parent() {
                system.create_dir_all(folder)?;
            }
            system.write_file(path, &json, 0o644)
        };
        write().map_err(|e| XeError::system(&e))
    }

    /// Takes in what the repository gives now; none where that is nothing newer. A release that was seen before keeps the moment
    /// at which it was, unless a clock that ran ahead put that into the future.
    pub fn see(&mut self, offered: Option<Offered>, now: u64) {
        self.offered = offered.map(|mut new| {
            new.urgent = new.kind == HotfixKind::Security
                || self.offered.as_ref().is_some_and(Offered::is_urgent);
            new.first_seen = match &self.offered {
                Some(old) if old.uuid == new.uuid => old.first_seen.min(now),
                _ => {
                    // What failed before failed for another release.
                    self.work = Attempts::default();
                    now
                }
            };
            new
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps::RecordingSystem;

    fn offered(uuid: &str) -> Offered {
        Offered {
            version: "1.0.1".into(),
            uuid: uuid.into(),
            kind: HotfixKind::Security,
            notes: String::new(),
            cves: vec![],
            bytes: None,
            first_seen: 0,
            urgent: false,
        }
    }

    #[test]
    fn pauses_double_up_to_half_a_day_and_end_with_success() {
        let mut attempts = Attempts::default();
        let now = 1_000_000;
        let mut pauses = Vec::new();
        for _ in 0..10 {
            attempts.tried(now, Some("no route"));
            pauses.push(attempts.again(now).unwrap() - now);
        }
        let minutes: Vec<u64> = pauses.iter().map(|seconds| seconds / 60).collect();
        assert_eq!(minutes, [15, 30, 60, 120, 240, 480, 720, 720, 720, 720]);
        attempts.failures = u32::MAX;
        assert_eq!(attempts.again(now), Some(now + LONGEST_PAUSE));
        assert_eq!(attempts.again(now + LONGEST_PAUSE), None);
        attempts.tried(now, None);
        assert_eq!((attempts.again(now), attempts.error.as_str()), (None, ""));
        assert_eq!(attempts.next_look(now), Some(now + INTERVAL));
        assert_eq!(attempts.next_look(now + INTERVAL), None);
        assert_eq!(Attempts::default().next_look(now), None);
    }

    #[test]
    fn a_clock_that_goes_backward_holds_nothing_up() {
        let mut attempts = Attempts::default();
        // In 2098, by a dead battery.
        attempts.tried(4_000_000_000, Some("no route"));
        assert_eq!(attempts.next_look(1_800_000_000), None);
        let mut state = UpdateState::default();
        state.see(Some(offered("a")), 4_000_000_000);
        state.see(Some(offered("a")), 1_800_000_000);
        assert_eq!(state.offered.unwrap().first_seen, 1_800_000_000);
    }

    #[test]
    fn a_release_is_seen_once_and_another_begins_anew() {
        let mut state = UpdateState::default();
        state.see(Some(offered("a")), 100);
        state.work.tried(150, Some("no room"));
        state.see(Some(offered("a")), 200);
        assert_eq!(state.offered.as_ref().unwrap().first_seen, 100);
        assert_eq!(state.work.failures, 1);
        state.see(Some(offered("b")), 300);
        assert_eq!(state.offered.as_ref().unwrap().first_seen, 300);
        assert_eq!(state.work, Attempts::default());
        state.see(None, 400);
        assert_eq!(state.offered, None);
    }

    #[test]
    fn a_newer_release_is_as_urgent_as_what_it_holds() {
        let feature = |uuid: &str| Offered {
            kind: HotfixKind::Feature,
            ..offered(uuid)
        };
        let mut state = UpdateState::default();
        state.see(Some(feature("a")), 100);
        assert!(!state.offered.as_ref().unwrap().is_urgent());
        state.see(Some(offered("b")), 200);
        for uuid in ["c", "c", "d"] {
            state.see(Some(feature(uuid)), 300);
            assert!(state.offered.as_ref().unwrap().is_urgent(), "{uuid}");
        }
        // It was installed.
        state.offered = None;
        state.see(Some(feature("e")), 400);
        assert!(!state.offered.unwrap().is_urgent());
    }

    #[test]
    fn another_repository_begins_without_the_failures_of_the_one_before() {
        let mut state = UpdateState::default();
        state.from_repository("http://a");
        state.looks.tried(100, Some("no route"));
        state.see(Some(offered("a")), 100);
        state.from_repository("http://a");
        assert!(state.looks.next_look(100).is_some());
        state.from_repository("http://b");
        assert_eq!(state.looks.next_look(100), None);
        assert!(state.offered.is_some(), "the wave goes on");
        state.from_repository("");
        assert_eq!(state.offered, None);
    }

    #[test]
    fn a_damaged_memory_is_begun_anew() {
        let path = Path::new("/var/state.json");
        let system = RecordingSystem::new();
        let mut state = UpdateState::default();
        state.see(Some(offered("a")), 100);
        state.write(&system, path).unwrap();
        assert_eq!(UpdateState::read(&system, path), state);
        for bad in ["", "{", r#"{"schema":2}"#] {
            let system = RecordingSystem::new().file(path, bad);
            assert_eq!(UpdateState::read(&system, path), UpdateState::default());
        }
    }
}
