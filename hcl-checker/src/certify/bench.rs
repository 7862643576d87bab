//! What a test works with.

use super::change::ChangeError;
use super::evidence::Evidence;
use super::run_state::{RunState, StateError};
use super::{Change, Progress, Stop};
use crate::facts::Facts;
use std::path::Path;
use std::time::{Duration, Instant};
use steps::system::FileError;
use steps::{RunError, System};
use thiserror::Error;

/// Why a test has no outcome of its own.
#[derive(Debug, Error)]
pub enum TestError {
    /// Somebody asked to stop: the test runs again when the run goes on.
    #[error("stopped")]
    Stopped,
    /// The machine is about to go down; the test goes on after that.
    #[error("the machine restarts")]
    Restarting,
    /// It cannot run here.
    #[error("{0}")]
    CannotRun(String),
    /// It ran into trouble, which is a failure of the machine or of the test.
    #[error("{0}")]
    Trouble(String),
    /// The state file cannot be written: the run must not go on.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<RunError> for TestError {
    /// A missing program is a reason to skip, everything else is trouble.
    fn from(error: RunError) -> Self {
        match error {
            RunError::Missing { .. } => Self::CannotRun(error.to_string()),
            other => Self::Trouble(other.to_string()),
        }
    }
}

impl From<FileError> for TestError {
    fn from(error: FileError) -> Self {
        Self::Trouble(format!("{error}: {}", error.source))
    }
}

impl From<ChangeError> for TestError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Run(error) => error.into(),
            other => Self::Trouble(other.to_string()),
        }
    }
}

impl From<std::io::Error> for TestError {
    fn from(error: std::io::Error) -> Self {
        Self::Trouble(error.to_string())
    }
}

/// What a test works with: the system, the facts, and the state file that every change goes through.
pub struct Bench<'a> {
    /// Commands and files.
    pub system: &'a dyn System,
    /// The machine when the run began.
    pub facts: &'a Facts,
    /// Whether to stop.
    pub stop: &'a Stop,
    pub(super) state: &'a mut RunState,
    pub(super) folder: &'a Path,
    pub(super) progress: &'a mut dyn Progress,
    /// Names of the evidence that this test left.
    pub(super) left: Vec<String>,
    pub(super) test: String,
}

impl Bench<'_> {
    /// Goes on unless somebody asked to stop.
    ///
    /// # Errors
    /// [`TestError::Stopped`].
    pub fn go_on(&self) -> Result<(), TestError> {
        if self.stop.is_asked() {
            Err(TestError::Stopped)
        } else {
            Ok(())
        }
    }

    /// Tells how far the test is: `done` of `all`, in any unit.
    pub fn progress(&mut self, done: u64, all: u64) {
        self.progress.within(&self.test, done, all);
    }

    /// Waits, and stops waiting when somebody asks to stop.
    ///
    /// # Errors
    /// [`TestError::Stopped`].
    pub fn wait(&self, time: Duration) -> Result<(), TestError> {
        let end = Instant::now() + time;
        loop {
            self.go_on()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
    }

    /// Records a change and makes it. It is undone after the test, whatever becomes of that.
    ///
    /// # Errors
    /// The state file cannot be written (and nothing is changed), or the change cannot be made.
    pub fn change(&mut self, change: Change) -> Result<(), TestError> {
        self.state.changes.push(change.clone());
        self.state.save(self.system, self.folder)?;
        Ok(change.make(self.system)?)
    }

    /// Keeps evidence as a file; its digest goes into the report.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&mut self, name: &str, content: &[u8]) -> Result<(), TestError> {
        let name = format!("{}-{name}", self.test);
        let file = self.folder.join("evidence").join(&name);
        // It may hold serial numbers: for its owner only.
        self.system.write_file(&file, content, 0o600)?;
        self.state.evidence.retain(|kept| kept.name != name);
        self.state.evidence.push(Evidence::of(&name, content));
        self.left.push(name);
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! A bench without a machine.

    use super::*;
    use crate::certify::{Options, Silent, Surroundings};
    use steps::RecordingSystem;

    /// A run with nothing in it, and a system that records.
    pub(in crate::certify) struct Fixture {
        pub(in crate::certify) system: RecordingSystem,
        pub(in crate::certify) state: RunState,
        pub(in crate::certify) stop: Stop,
    }

    impl Fixture {
        pub(in crate::certify) fn new() -> Self {
            Self {
                system: RecordingSystem::new(),
                state: RunState::begin(
                    Options::default(),
                    Facts::default(),
                    Surroundings::default(),
                    "nonce".to_owned(),
                    0,
                ),
                stop: Stop::new(),
            }
        }

        /// Does something with a bench.
        pub(in crate::certify) fn with<T>(&mut self, work: impl FnOnce(&mut Bench<'_>) -> T) -> T {
            let facts = self.state.facts.clone();
            work(&mut Bench {
                system: &self.system,
                facts: &facts,
                stop: &self.stop,
                state: &mut self.state,
                folder: Path::new("/run"),
                progress: &mut Silent,
                left: Vec::new(),
                test: "test".to_owned(),
            })
        }
    }
}
