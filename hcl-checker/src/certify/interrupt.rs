//! Ctrl-C: tests stop at their next step, and what they changed is undone.

use nix::sys::signal::{SigSet, Signal};
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

    /// Asks to stop when SIGINT, SIGTERM or SIGHUP comes. Call this before any thread is started: the signals are blocked in
    /// the calling thread and in those that it starts, and one thread waits for them. Programs that are run get them as
    /// always, because the standard library resets the mask for them.
    ///
    /// # Errors
    /// The system refuses to block signals or to start a thread.
    pub fn on_signals(&self) -> std::io::Result<()> {
        let mut signals = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            signals.add(signal);
        }
        signals.thread_block()?;
        let stop = self.clone();
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                while signals.wait().is_ok() {
                    stop.ask();
                }
            })?;
        Ok(())
    }
}
