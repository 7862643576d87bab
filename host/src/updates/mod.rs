//! Automatic updates: from the repository to the release that the host runs, without being told to.
//!
//! [`decide()`] says what is to be done: whose turn it is ([`wave`]), whether a window is open ([`window`]), what the administrator
//! decided ([`UpdatePolicy`]), what failed here before ([`UpdateState`]) and what the license says. It is pure. [`Updater`] does it:
//! looks at the repository, fetches, applies as [`hotfix::apply`](crate::hotfix::apply) does for everybody, restarts, and tells.
//!
//! The license decides about nothing but what is done without a command.

mod decide;
mod fetch;
mod policy;
mod repository;
mod restart;
mod run;
mod show;
mod state;
mod tell;
pub mod wave;
pub mod window;

pub use decide::{Automation, Decision, Situation, Wait, WaitForRestart, decide};
pub use policy::{Hold, PolicyError, Restart, SETTINGS, UpdatePolicy};
pub use repository::STALL;
pub use show::{AVAILABLE, UPDATES, add_to_patches, known, update_map};
pub use state::{Attempts, Cleared, Offered, Told, UpdateState};

use crate::hotfix::{Machine, Places, Site};
use std::time::Duration;
use steps::System;
use steps::sink::FanOut;

/// What updating a host takes.
pub struct Updater<'a> {
    /// Commands and files.
    pub system: &'a dyn System,
    /// Disks, free space, the boot loader's blocks.
    pub machine: &'a dyn Machine,
    /// Where everything is.
    pub places: &'a Places,
    /// The clock, in seconds since 1970. Asked anew after everything that may take long.
    pub clock: &'a dyn Fn() -> u64,
    /// Sleeps between attempts to reach the server.
    pub pause: &'a dyn Fn(Duration),
    /// How long a server may say nothing.
    pub stall: Duration,
    /// Makes the readers of the events of applying.
    pub sinks: &'a dyn Fn() -> FanOut,
}

impl<'a> Updater<'a> {
    /// What operations on hotfixes work with, now.
    fn site(&self) -> Site<'a> {
        Site {
            system: self.system,
            machine: self.machine,
            places: self.places,
            now: (self.clock)(),
        }
    }
}
