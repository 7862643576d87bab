//! Carries a plan out, one test after the other, and goes on where an earlier run ended.

use super::bench::{Bench, TestError};
use super::change::ChangeError;
use super::run_state::{RunState, StateError, Waiting};
use super::{
    Action, Change, Outcome, Plan, PlannedTest, Progress, Status, Stop, Task, TestResult, cpu,
    guests, kernel_log, memory, nic, now, restart, sriov, stamp, storage,
};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use steps::System;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Every test of the plan has a result.
    Done,
    /// Somebody asked to stop; it can go on.
    Stopped,
    /// The machine goes down; it goes on after that.
    Restarting,
}

/// How a test is done.
type Perform<'a> =
    &'a mut dyn FnMut(&mut Bench<'_>, &Task, Option<&Waiting>) -> Result<Outcome, TestError>;

/// A run.
pub struct Runner<'a> {
    /// Commands and files.
    pub system: &'a dyn System,
    /// Where the state and the evidence are.
    pub folder: PathBuf,
    /// What is done so far.
    pub state: RunState,
    /// Whether to stop.
    pub stop: Stop,
    /// Who is told.
    pub progress: Box<dyn Progress + 'a>,
}

impl Runner<'_> {
    /// Runs what the plan has and the state has not.
    ///
    /// # Errors
    /// The state file cannot be written. What was changed is undone all the same.
    pub fn run(&mut self, plan: &Plan) -> Result<End, StateError> {
        self.run_with(plan, &mut perform)
    }

    /// The same with another way to do a test.
    fn run_with(&mut self, plan: &Plan, perform: Perform<'_>) -> Result<End, StateError> {
        // An earlier run that was killed, or the machine with it.
        self.undo_all()?;
        for (number, test) in plan.tests.iter().enumerate() {
            if self.state.result(&test.id).is_some() {
                continue;
            }
            if self.stop.is_asked() {
                return Ok(End::Stopped);
            }
            let left = Duration::from_secs(plan.seconds_from(number));
            let task = match &test.action {
                Action::Skip(reason) => {
                    self.finish(test, Outcome::skipped(reason), stamp(now()), 0, Vec::new())?;
                    continue;
                }
                Action::Run(task) => task,
            };
            self.progress
                .started(test, number + 1, plan.tests.len(), left);
            if let Some(end) = self.one(test, task, perform)? {
                return Ok(end);
            }
        }
        Ok(End::Done)
    }

    /// One test. None where the run goes on.
    fn one(
        &mut self,
        test: &PlannedTest,
        task: &Task,
        perform: Perform<'_>,
    ) -> Result<Option<End>, StateError> {
        let (started, start) = (stamp(now()), Instant::now());
        let waiting = self
            .state
            .waiting
            .take()
            .filter(|waiting| waiting.test == test.id);
        let facts = self.state.facts.clone();
        let mut bench = Bench {
            system: self.system,
            facts: &facts,
            stop: &self.stop,
            state: &mut self.state,
            folder: &self.folder,
            progress: &mut *self.progress,
            left: Vec::new(),
            test: test.id.clone(),
        };
        let performed = perform(&mut bench, task, waiting.as_ref());
        let left = std::mem::take(&mut bench.left);
        let outcome = match performed {
            Ok(mut outcome) => {
                outcome.hold_to_measurements();
                outcome
            }
            Err(TestError::Stopped) => {
                self.undo_all()?;
                return Ok(Some(End::Stopped));
            }
            // What was changed for this is undone when the run goes on.
            Err(TestError::Restarting) => return Ok(Some(End::Restarting)),
            Err(TestError::CannotRun(reason)) => Outcome::skipped(reason),
            Err(TestError::Trouble(reason)) => {
                let mut outcome = Outcome::new();
                outcome.fail(reason);
                outcome
            }
            Err(TestError::State(error)) => {
                // The disk of the state is broken or full; the machine is still put back.
                for (change, error) in self.try_undo() {
                    self.progress
                        .note(&format!("not undone: {change}: {error}"));
                }
                return Err(error);
            }
        };
        let outcome = self.put_back(outcome)?;
        let took = match &waiting {
            Some(waiting) => Duration::from_secs(now().saturating_sub(waiting.since)),
            None => start.elapsed(),
        };
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.finish(test, outcome, started, took, left)?;
        Ok(None)
    }

    /// Undoes what a test changed. A machine that does not get back to what it was has failed the test.
    fn put_back(&mut self, mut outcome: Outcome) -> Result<Outcome, StateError> {
        for (change, error) in self.try_undo() {
            outcome.fail(format!("not undone: {change}: {error}"));
        }
        self.state.save(self.system, &self.folder)?;
        Ok(outcome)
    }

    /// Undoes everything that is changed, and tells what could not be undone.
    ///
    /// # Errors
    /// The state file cannot be written.
    pub fn undo_all(&mut self) -> Result<(), StateError> {
        if self.state.changes.is_empty() {
            return Ok(());
        }
        for (change, error) in self.try_undo() {
            self.progress
                .note(&format!("not undone: {change}: {error}"));
        }
        self.state.save(self.system, &self.folder)
    }

    /// Undoes in reverse order. What cannot be undone stays on the list, for the next start.
    fn try_undo(&mut self) -> Vec<(Change, ChangeError)> {
        let mut failed = Vec::new();
        for change in std::mem::take(&mut self.state.changes).into_iter().rev() {
            if let Err(error) = change.undo(self.system) {
                failed.push((change, error));
            }
        }
        let left = failed.iter().rev().map(|(change, _)| change.clone());
        self.state.changes = left.collect();
        failed
    }

    fn finish(
        &mut self,
        test: &PlannedTest,
        outcome: Outcome,
        started: String,
        duration_ms: u64,
        evidence: Vec<String>,
    ) -> Result<(), StateError> {
        let result = TestResult {
            id: test.id.clone(),
            title: test.title.clone(),
            status: outcome.status,
            reason: outcome.reason,
            measurements: outcome.measurements,
            evidence,
            started,
            duration_ms,
        };
        self.progress.ended(&result);
        self.state.results.push(result);
        self.state.save(self.system, &self.folder)
    }

    /// How many tests really ran.
    pub fn ran(&self) -> usize {
        let ran = |result: &&TestResult| result.status != Status::Skipped;
        self.state.results.iter().filter(ran).count()
    }
}

fn perform(
    bench: &mut Bench<'_>,
    task: &Task,
    waiting: Option<&Waiting>,
) -> Result<Outcome, TestError> {
    match task {
        Task::Topology => cpu::topology(bench),
        Task::CpuLoad { seconds } => cpu::load(bench, *seconds),
        Task::Virtualization => cpu::virtualization(bench),
        Task::Guest { kind, kernel } => guests::run(bench, *kind, kernel),
        Task::Memory(test) => memory::run(bench, test),
        Task::Storage(test) => storage::run(bench, test),
        Task::Link(test) => nic::link(bench, test),
        Task::Throughput(test) => nic::throughput(bench, test),
        Task::Loss(test) => nic::loss(bench, test),
        Task::Jumbo(test) => nic::jumbo(bench, test),
        Task::Vlan(test) => nic::vlan(bench, test),
        Task::Sriov { address, count } => sriov::run(bench, address, *count),
        Task::KernelLog => kernel_log::run(bench),
        Task::Restart => go_down(bench, None, waiting),
        Task::Crash { whom } => go_down(bench, Some(*whom), waiting),
    }
}

fn go_down(
    bench: &mut Bench<'_>,
    crash: Option<super::CrashOf>,
    waiting: Option<&Waiting>,
) -> Result<Outcome, TestError> {
    match waiting {
        Some(waiting) => restart::resumed(bench, waiting, crash),
        None => restart::start(bench, crash),
    }
}

#[cfg(test)]
mod tests;
