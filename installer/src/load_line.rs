//! A small line about memory and load, now and then: tells a slow medium from a machine that is out of memory.

use crate::values::show_memory;
use std::io::{self, Write};
use std::time::{Duration, Instant};
use steps::event::{Event, EventKind};
use steps::sink::Sink;
use sysinfo::System;

/// Lines are at least this far apart.
const EVERY: Duration = Duration::from_secs(30);

/// Writes the line behind events.
pub struct LoadLine<W> {
    writer: W,
    system: Option<System>,
    last: Option<Instant>,
}

impl<W: Write + Send> LoadLine<W> {
    /// Into `writer`.
    pub fn new(writer: W) -> Self {
        // Without /proc there is no line, and nothing else is missing.
        LoadLine {
            writer,
            system: System::new().ok(),
            last: None,
        }
    }
}

impl<W: Write + Send> Sink for LoadLine<W> {
    fn emit(&mut self, event: &Event) -> io::Result<()> {
        let due = match event.kind {
            EventKind::Progress { .. } | EventKind::Done { .. } => {
                self.last.is_none_or(|last| last.elapsed() >= EVERY)
            }
            _ => false,
        };
        if !due {
            return Ok(());
        }
        self.last = Some(Instant::now());
        let (Some(system), Ok(load)) = (&mut self.system, System::load_average()) else {
            return Ok(());
        };
        system.refresh_memory();
        let (used, total) = (system.used_memory(), system.total_memory());
        writeln!(
            self.writer,
            "    memory {} of {} used, load {:.2}",
            show_memory(used),
            show_memory(total),
            load.one
        )?;
        self.writer.flush()
    }
}
