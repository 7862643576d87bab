//! Ctrl-C: tests stop at their next step, and what they changed is undone.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the run is to stop. Clones share the answer.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Not asked to stop.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks to stop.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks to stop when SIGINT, SIGTERM or SIGHUP comes. By handlers, not by blocking the signals: a program that is run would
    /// inherit the blocked ones, and `timeout` could not end what it runs.
    ///
    /// # Errors
    /// The system refuses a handler.
    pub fn on_signals(&self) -> std::io::Result<()> {
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&self.0))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use steps::{Command, RealSystem, System};

    /// What a terminal and systemd send is for this program alone to take.
    #[test]
    fn programs_that_are_run_can_be_ended_as_always() {
        Stop::new().on_signals().unwrap();
        let status = Command::new("grep").args(["SigBlk", "/proc/self/status"]);
        let blocked = RealSystem::silent().run(&status).unwrap().text();
        assert_eq!(blocked.split_whitespace().nth(1), Some("0000000000000000"));
        let listen = Command::new("timeout")
            .args(["0.1", "sleep", "600"])
            .also_good(&[124])
            .timeout(Duration::from_secs(60));
        assert_eq!(RealSystem::silent().run(&listen).unwrap().code, 124);
    }
}
