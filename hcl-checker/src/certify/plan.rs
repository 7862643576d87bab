//! The plan: which tests run, in which order, and why the others do not. Pure data from facts, surroundings and options.

mod builder;
mod problems;

use super::nic::{JumboTest, LinkTest, LossTest, ThroughputTest, VlanTest};
use super::time::spoken;
use super::{CrashOf, GuestKind, MemoryTest, Options, StorageTest, Surroundings};
use crate::facts::Facts;
use builder::Builder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

/// Tests in their order.
///
/// They are those that apply to the machine, and a certification takes each of them: where the machine has nothing to test
/// there is no test, and one that cannot run or was not asked for is there, skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The tests.
    pub tests: Vec<PlannedTest>,
}

/// One test of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedTest {
    /// Its name, unique in the plan: `nic.eth0.throughput`.
    pub id: String,
    /// What it does, for people.
    pub title: String,
    /// Seconds that it takes, about.
    pub seconds: u64,
    /// What it changes while it runs, for people; empty where it only looks.
    pub changes: String,
    /// Whether it runs.
    pub action: Action,
}

/// What becomes of a planned test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It runs.
    Run(Task),
    /// It is skipped, for this reason.
    Skip(String),
}

/// What a test does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// CPUs are counted in every way, and each must run a thread.
    Topology,
    /// Every CPU calculates, and the results are compared.
    CpuLoad {
        /// For so long.
        seconds: u64,
    },
    /// Virtualization can be used by Xen.
    Virtualization,
    /// A test guest starts and is heard.
    Guest {
        /// Which kind.
        kind: GuestKind,
        /// With this kernel.
        kernel: PathBuf,
    },
    /// Patterns in memory.
    Memory(MemoryTest),
    /// Patterns on a disk.
    Storage(StorageTest),
    /// An interface has a link.
    Link(LinkTest),
    /// Data in both directions.
    Throughput(ThroughputTest),
    /// Datagrams, counted.
    Loss(LossTest),
    /// MTU 9000.
    Jumbo(JumboTest),
    /// A VLAN.
    Vlan(VlanTest),
    /// Virtual functions are made and removed.
    Sriov {
        /// The physical function.
        address: String,
        /// So many of them.
        count: u32,
    },
    /// The kernel's log, and Xen's, has no errors.
    KernelLog,
    /// The machine restarts and comes back as it was.
    Restart,
    /// Something crashes, the machine comes back, and there is a dump.
    Crash {
        /// What crashes.
        whom: CrashOf,
    },
}

impl Plan {
    /// Makes the plan.
    ///
    /// # Errors
    /// All that is wrong with the options, each with what to do: these are mistakes of a person, not of the machine.
    pub fn build(
        facts: &Facts,
        surroundings: &Surroundings,
        options: &Options,
    ) -> Result<Self, Vec<String>> {
        let mut plan = Self {
            tests: Builder::new(facts, surroundings, options).all(),
        };
        let mut problems = problems::problems(facts, surroundings, options);
        problems.extend(problems::only(&plan.tests, &options.only));
        if !problems.is_empty() {
            return Err(problems);
        }
        plan.leave_out(&options.only);
        Ok(plan)
    }

    fn leave_out(&mut self, only: &[String]) {
        for test in &mut self.tests {
            let wanted = only.is_empty() || only.iter().any(|start| test.id.starts_with(start));
            if !wanted {
                test.action = Action::Skip(match &test.action {
                    Action::Run(_) => format!(
                        "left out by --only; add --only {} to run it, or give no --only",
                        test.id
                    ),
                    Action::Skip(reason) => format!("left out by --only; besides, {reason}"),
                });
            }
        }
    }

    /// Seconds that the tests from number `from` on take, about.
    pub fn seconds_from(&self, from: usize) -> u64 {
        let rest = self.tests.iter().skip(from);
        rest.filter(|test| matches!(test.action, Action::Run(_)))
            .map(|test| test.seconds)
            .sum()
    }
}

/// The plan as `certify --dry-run` shows it.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = |test: &&PlannedTest| matches!(test.action, Action::Run(_));
        let running = self.tests.iter().filter(runs).count();
        let seconds = self.seconds_from(0);
        writeln!(
            f,
            "{running} tests run, about {}; {} are skipped",
            spoken(seconds),
            self.tests.len() - running
        )?;
        if running < self.tests.len() {
            writeln!(f, "a machine is certified by a run that skips none of them")?;
        }
        for test in &self.tests {
            let mut line = String::new();
            match &test.action {
                Action::Run(_) => {
                    write!(line, "  run   {:<24} {}", test.id, test.title)?;
                    write!(line, ", about {}", spoken(test.seconds))?;
                    if !test.changes.is_empty() {
                        write!(line, "\n        {:<24} changes: {}", "", test.changes)?;
                    }
                }
                Action::Skip(reason) => write!(line, "  skip  {:<24} {reason}", test.id)?,
            }
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

impl Task {
    /// Whether the system lets only root do it.
    fn needs_root(&self) -> bool {
        !matches!(
            self,
            Self::Topology | Self::CpuLoad { .. } | Self::Virtualization
        )
    }
}

/// As the plan tells them.
pub(super) fn duration(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests;
