//! Steps, events, runner, report; running system commands.

pub mod event;
pub mod fetch;
pub mod hook;
pub mod report;
pub mod runner;
pub mod secrets;
pub mod sink;
pub mod step;
pub mod system;

pub use event::{Event, EventKind, Outcome};
pub use report::{Heading, Report};
pub use runner::Runner;
pub use secrets::Secrets;
pub use step::{Emitter, Reporter, Step, StepError, now_unix};
pub use system::{Command, Output, RealSystem, RecordingSystem, RunError, System};
