//! A person at a terminal on the serial line: sees what the machine draws, and answers what it asks of the terminal.

use crate::machine::Machine;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::time::{Duration, Instant};

/// Columns and rows of the smallest terminal that the installer supports.
const SIZE: (u16, u16) = (80, 24);
/// The question where the cursor is (ECMA-48, DSR).
const ASK_POSITION: &[u8] = b"\x1b[6n";

/// A line without a byte for this long has drawn its screen.
const QUIET: Duration = Duration::from_millis(400);
/// A screen that counts seconds is never quiet; it is taken as it is after this.
const RESTLESS: Duration = Duration::from_secs(3);

/// A terminal at the serial line of a machine.
pub struct Terminal {
    parser: vt100::Parser,
    /// Bytes of the line that were seen already.
    seen: usize,
    /// Bytes that may be the start of a question.
    rest: Vec<u8>,
}

impl Terminal {
    /// A terminal that is plugged in now, and sees what comes from now on.
    pub fn plug_in(machine: &Machine) -> Terminal {
        let (columns, rows) = SIZE;
        Terminal {
            parser: vt100::Parser::new(rows, columns, 0),
            seen: machine.serial.raw_length(),
            rest: Vec::new(),
        }
    }

    /// What is on the screen.
    pub fn screen(&self) -> String {
        self.parser.screen().contents()
    }

    /// Takes what came, and answers where the cursor is when that is asked.
    fn look(&mut self, machine: &mut Machine) -> Result<()> {
        let new = machine.serial.raw_since(self.seen);
        self.seen += new.len();
        self.rest.extend(new);
        while let Some(at) = find(&self.rest, ASK_POSITION) {
            let piece: Vec<u8> = self.rest.drain(..at + ASK_POSITION.len()).collect();
            self.parser.process(&piece);
            let (row, column) = self.parser.screen().cursor_position();
            machine
                .serial
                .send(&format!("\x1b[{};{}R", row + 1, column + 1))?;
        }
        // The last bytes may be the first of a question.
        let keep = (1..ASK_POSITION.len())
            .rev()
            .find(|length| self.rest.ends_with(&ASK_POSITION[..*length]))
            .unwrap_or(0);
        let whole = self.rest.len() - keep;
        self.parser.process(&self.rest[..whole]);
        self.rest.drain(..whole);
        Ok(())
    }

    /// Waits until one of `words` is on the screen and the screen is drawn to its end; returns which.
    ///
    /// # Errors
    /// When none comes within `limit`; with the screen.
    pub fn wait(
        &mut self,
        machine: &mut Machine,
        words: &[&str],
        limit: Duration,
    ) -> Result<usize> {
        let started = Instant::now();
        loop {
            self.look(machine)?;
            let screen = self.screen();
            if let Some(index) = words.iter().position(|word| screen.contains(word)) {
                self.settle(machine)?;
                return Ok(index);
            }
            if started.elapsed() > limit {
                bail!(
                    "waited {} s for {words:?} on the screen, in vain; it shows:\n{screen}",
                    limit.as_secs()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sees the rest of a screen that is being drawn: words near its top come before what is below them.
    fn settle(&mut self, machine: &mut Machine) -> Result<()> {
        let found = Instant::now();
        let mut last = (self.seen, found);
        while last.1.elapsed() < QUIET && found.elapsed() < RESTLESS {
            std::thread::sleep(Duration::from_millis(50));
            self.look(machine)?;
            if self.seen != last.0 {
                last = (self.seen, Instant::now());
            }
        }
        Ok(())
    }

    /// Keeps the screen as text.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep(&self, file: &Path) -> Result<()> {
        std::fs::write(file, self.screen() + "\n")
            .with_context(|| format!("{} cannot be written", file.display()))
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
