//! Certification: tests of a machine, and what came of them.
//!
//! [`Plan`] is pure data from facts, surroundings and options; [`Runner`] carries it out, one test after the other, through
//! the seams of `steps` and `slots`. Every change that a test makes is written to the state file before it is made and
//! undone after the test, after Ctrl-C, or by the next start where the machine went down in between.

mod amount;
mod bench;
mod byte_count;
mod change;
mod cpu;
mod evidence;
pub mod exit;
pub mod guest_program;
mod guests;
mod initrd;
mod interrupt;
mod kernel_log;
mod memory;
mod names;
mod nic;
mod options;
mod outcome;
pub mod peer;
mod plan;
mod progress;
mod restart;
mod run_state;
mod runner;
mod sriov;
mod storage;
mod surroundings;
mod target;
mod time;

pub use amount::too_little;
pub use bench::{Bench, TestError};
pub use change::Change;
pub use evidence::Evidence;
pub use guests::GuestKind;
pub use interrupt::Stop;
pub use memory::MemoryTest;
pub use names::{no_such_interface, not_there};
pub use nic::{JumboTest, LinkTest, LossTest, ThroughputTest, VlanTest, Way};
pub use options::{CrashOf, Options, PeerAt};
pub use outcome::{Measurement, Outcome, Status, TestResult};
pub use plan::{Action, Plan, PlannedTest, Task};
pub use progress::{Progress, Silent, Terminal};
pub use run_state::{RunState, Signing, StateError, Waiting};
pub use runner::{End, Runner};
pub use storage::{DirectDevice, StorageTest};
pub use surroundings::Surroundings;
pub use target::Target;
pub use time::{now, stamp};
