//! Readers of the event stream that the UI needs: one that hands events to it, and one that keeps text off its consoles.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use steps::event::Event;
use steps::sink::Sink;

/// Shut while the UI has the consoles.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<AtomicBool>);

impl Gate {
    /// Shuts it until the value that this returns is dropped.
    pub fn shut(&self) -> Shut {
        self.0.store(true, Ordering::Relaxed);
        Shut(self.clone())
    }
}

/// A gate that is shut.
pub struct Shut(Gate);

impl Drop for Shut {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}

/// A reader behind a gate: what comes while it is shut is dropped, because the UI shows it.
pub struct Gated<S> {
    gate: Gate,
    sink: S,
}

impl<S> Gated<S> {
    /// Puts `sink` behind `gate`.
    pub fn new(gate: &Gate, sink: S) -> Self {
        Gated {
            gate: gate.clone(),
            sink,
        }
    }
}

impl<S: Sink> Sink for Gated<S> {
    fn emit(&mut self, event: &Event) -> io::Result<()> {
        if self.gate.0.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.sink.emit(event)
    }
}

/// Hands events to whoever listens now.
#[derive(Debug, Clone, Default)]
pub struct Tap(Arc<Mutex<Option<Sender<Event>>>>);

impl Tap {
    /// Events from now on, until [`Tap::close`] or the next call.
    pub fn open(&self) -> Receiver<Event> {
        let (sender, receiver) = channel();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }

    /// Ends the stream that [`Tap::open`] gave.
    pub fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Sink for Tap {
    fn emit(&mut self, event: &Event) -> io::Result<()> {
        if let Some(sender) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // Whoever listened may be gone: nothing is lost that another reader does not have.
            let _ = sender.send(event.clone());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps::Emitter;
    use steps::event::{EventKind, Outcome};
    use steps::sink::{Collect, FanOut};

    #[test]
    fn the_ui_hears_what_the_consoles_do_not_print() {
        let (gate, tap, all) = (Gate::default(), Tap::default(), Collect::new());
        let sinks = FanOut::new()
            .with("console", Gated::new(&gate, all.clone()))
            .with("ui", tap.clone());
        let mut emitter = Emitter::new(sinks);
        let end = || EventKind::Finished {
            result: Outcome::Ok,
        };
        emitter.emit(end());
        let heard = tap.open();
        let shut = gate.shut();
        emitter.emit(end());
        drop(shut);
        tap.close();
        emitter.emit(end());
        let seen: Vec<u64> = all.events().iter().map(|event| event.seq).collect();
        assert_eq!(seen, [0, 2]);
        assert_eq!(heard.iter().map(|event| event.seq).collect::<Vec<_>>(), [1]);
    }
}
