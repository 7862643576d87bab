//! The readers of the event stream. A reader that breaks is counted and never stops the run.

use crate::event::{Event, EventKind, Outcome, PlannedStep};
use crate::report::seconds;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A reader of events.
pub trait Sink: Send {
    /// Takes one event. An error is counted by the [`FanOut`] and changes nothing else.
    fn emit(&mut self, event: &Event) -> io::Result<()>;
}

/// Writes one JSON object a line and flushes after each, so that a reader of the file never waits.
#[derive(Debug)]
pub struct JsonLines<W> {
    writer: W,
}

impl<W: Write + Send> JsonLines<W> {
    /// Into `writer`: a file, a pipe.
    pub fn new(writer: W) -> Self {
        JsonLines { writer }
    }
}

impl<W: Write + Send> Sink for JsonLines<W> {
    fn emit(&mut self, event: &Event) -> io::Result<()> {
        let mut line = event.to_line()?;
        line.push('\n');
        // In one call, so that two writers to one file do not mix within a line.
        self.writer.write_all(line.as_bytes())?;
        self.writer.flush()
    }
}

/// Progress lines are at least this many milliseconds apart, unless [`CONSOLE_PERCENT`] was reached.
const CONSOLE_MS: u64 = 5000;
/// Percentage points between two progress lines of one step, unless [`CONSOLE_MS`] passed.
const CONSOLE_PERCENT: u64 = 10;

/// Plain text lines for consoles and serial lines. At 9600 baud one line takes a tenth of a second, so progress is
/// told every 5 seconds or 10 percent, whichever comes first, and never more often than once a second.
#[derive(Debug)]
pub struct Console<W> {
    writer: W,
    steps: Vec<PlannedStep>,
    /// Time and percentage of the last progress line of the running step.
    last: Option<(u64, u64)>,
    line_end: &'static str,
}

impl<W: Write + Send> Console<W> {
    /// Into `writer`: a console or standard error.
    pub fn new(writer: W) -> Self {
        Console {
            writer,
            steps: Vec::new(),
            last: None,
            line_end: "\n",
        }
    }

    /// Ends lines with `\r\n`: for terminals in raw mode and serial lines without output processing.
    pub fn with_carriage_return(mut self) -> Self {
        self.line_end = "\r\n";
        self
    }

    /// `[2/7] title`, or the id when the plan does not list the step.
    fn label(&self, id: &str) -> String {
        match self.steps.iter().position(|s| s.id == id) {
            Some(i) => format!(
                "[{}/{}] {}",
                i + 1,
                self.steps.len(),
                clean(&self.steps[i].title)
            ),
            None => clean(id),
        }
    }

    fn lines(&mut self, event: &Event) -> Vec<String> {
        match &event.kind {
            EventKind::Plan { steps } => {
                self.steps.clone_from(steps);
                Vec::new()
            }
            EventKind::Started { step } => {
                self.last = Some((event.ms, 0));
                vec![self.label(step)]
            }
            EventKind::Progress {
                step,
                bytes,
                total,
                rate,
            } => self.progress(event.ms, step, *bytes, *total, *rate),
            EventKind::Note { message, .. } => vec![clean(message)],
            EventKind::Warning { step, message } => {
                let about = step
                    .as_ref()
                    .map_or(String::new(), |s| format!("{}: ", clean(s)));
                vec![format!("warning: {about}{}", clean(message))]
            }
            EventKind::Failed { step, errors } => {
                let causes = errors
                    .iter()
                    .skip(1)
                    .map(|e| format!("  because: {}", clean(e)));
                let first = errors
                    .first()
                    .map_or("no reason was given".into(), |e| clean(e));
                std::iter::once(format!("FAILED {}: {first}", self.label(step)))
                    .chain(causes)
                    .collect()
            }
            EventKind::Done { step, took_ms } => {
                let time = seconds(*took_ms).map_or(String::new(), |time| format!(" in {time}"));
                vec![format!("{}: done{time}", self.label(step))]
            }
            EventKind::Finished { result } => {
                let time = seconds(event.ms).map_or(String::new(), |time| format!(" after {time}"));
                vec![format!("{}{time}", outcome(*result))]
            }
            EventKind::Unknown => Vec::new(),
        }
    }

    fn progress(&mut self, ms: u64, step: &str, bytes: u64, total: u64, rate: u64) -> Vec<String> {
        let percent = (u128::from(bytes) * 100)
            .checked_div(u128::from(total))
            .map_or(0, |p| p.min(100) as u64);
        if let Some((then, before)) = self.last {
            let waited = ms.saturating_sub(then);
            let due = waited >= CONSOLE_MS
                || (waited >= 1000 && percent >= before.saturating_add(CONSOLE_PERCENT));
            if !due {
                return Vec::new();
            }
        }
        self.last = Some((ms, percent));
        let share = if total == 0 {
            String::new()
        } else {
            format!(" of {} ({percent} %)", megabytes(total))
        };
        vec![format!(
            "{}: {}{share}, {}/s",
            self.label(step),
            megabytes(bytes),
            megabytes(rate)
        )]
    }
}

impl<W: Write + Send> Sink for Console<W> {
    fn emit(&mut self, event: &Event) -> io::Result<()> {
        for line in self.lines(event) {
            self.writer
                .write_all(format!("{line}{}", self.line_end).as_bytes())?;
        }
        self.writer.flush()
    }
}

/// Text of others on a terminal: control characters could move the cursor or forge lines.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// In decimal units, as disks are sold.
fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes / 1_000_000)
}

fn outcome(result: Outcome) -> &'static str {
    match result {
        Outcome::Ok => "finished",
        Outcome::Failed => "FAILED",
        Outcome::Unknown => "ended",
    }
}

/// Keeps all events, for tests and for the terminal UI. Clones share one list.
#[derive(Debug, Clone, Default)]
pub struct Collect {
    events: Arc<Mutex<Vec<Event>>>,
}

impl Collect {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy of what came so far.
    pub fn events(&self) -> Vec<Event> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        // A reader that panicked leaves a whole list behind: events are pushed in one step.
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Collect {
    fn emit(&mut self, event: &Event) -> io::Result<()> {
        self.lock().push(event.clone());
        Ok(())
    }
}

/// A reader as the fan-out keeps it.
struct Branch {
    name: String,
    sink: Box<dyn Sink>,
    failures: u64,
}

/// Gives each event to all readers. Reader errors are counted, by name.
#[derive(Default)]
pub struct FanOut {
    branches: Vec<Branch>,
}

impl FanOut {
    /// No readers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a reader; `name` tells it apart in [`failures`](Self::failures).
    pub fn with(mut self, name: impl Into<String>, sink: impl Sink + 'static) -> Self {
        self.add(name, sink);
        self
    }

    /// Adds a reader.
    pub fn add(&mut self, name: impl Into<String>, sink: impl Sink + 'static) {
        self.branches.push(Branch {
            name: name.into(),
            sink: Box::new(sink),
            failures: 0,
        });
    }

    /// Gives `event` to every reader.
    pub fn emit(&mut self, event: &Event) {
        for branch in &mut self.branches {
            if branch.sink.emit(event).is_err() {
                branch.failures += 1;
            }
        }
    }

    /// Readers that failed, and how many events each lost.
    pub fn failures(&self) -> Vec<(String, u64)> {
        let broken = self.branches.iter().filter(|b| b.failures > 0);
        broken.map(|b| (b.name.clone(), b.failures)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EVENT_VERSION;

    fn event(ms: u64, kind: EventKind) -> Event {
        Event {
            v: EVENT_VERSION,
            seq: 0,
            ms,
            unix: 0,
            kind,
        }
    }

    fn progress(ms: u64, bytes: u64, total: u64) -> Event {
        event(
            ms,
            EventKind::Progress {
                step: "slot-a".into(),
                bytes,
                total,
                rate: 3 << 20,
            },
        )
    }

    fn console(events: &[Event]) -> Vec<String> {
        let mut out = Vec::new();
        let mut console = Console::new(&mut out);
        for e in events {
            console.emit(e).unwrap();
        }
        String::from_utf8(out)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    fn plan() -> Event {
        let step = |id: &str, title: &str| PlannedStep {
            id: id.into(),
            title: title.into(),
        };
        event(
            0,
            EventKind::Plan {
                steps: vec![step("disk", "Partition"), step("slot-a", "Write slot A")],
            },
        )
    }

    #[test]
    fn console_tells_a_run() {
        let lines = console(&[
            plan(),
            event(
                0,
                EventKind::Started {
                    step: "slot-a".into(),
                },
            ),
            event(
                1,
                EventKind::Warning {
                    step: Some("slot-a".into()),
                    message: "slow\n\u{1b}[2Jdisk".into(),
                },
            ),
            progress(5000, 15 << 20, 30 << 20),
            event(
                9870,
                EventKind::Done {
                    step: "slot-a".into(),
                    took_ms: 9870,
                },
            ),
            event(
                9900,
                EventKind::Failed {
                    step: "later".into(),
                    errors: vec!["a".into(), "b".into()],
                },
            ),
            event(
                10_000,
                EventKind::Finished {
                    result: Outcome::Failed,
                },
            ),
        ]);
        let expected = [
            "[2/2] Write slot A",
            "warning: slot-a: slow  [2Jdisk",
            "[2/2] Write slot A: 15 MB of 31 MB (50 %), 3 MB/s",
            "[2/2] Write slot A: done in 9.8 s",
            "FAILED later: a",
            "  because: b",
            "FAILED after 10.0 s",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn progress_is_told_every_five_seconds_or_ten_percent_and_not_more_than_once_a_second() {
        let started = event(
            0,
            EventKind::Started {
                step: "slot-a".into(),
            },
        );
        // 1 percent every 100 ms: 10 percent take a second.
        let mut events = vec![plan(), started.clone()];
        events.extend((1..=100).map(|i| progress(i * 100, i << 20, 100 << 20)));
        assert_eq!(console(&events).len() - 1, 10);
        // 1 percent every second: a line every 5 s.
        let mut events = vec![plan(), started.clone()];
        events.extend((1..=100).map(|i| progress(i * 1000, i << 20, 100 << 20)));
        assert_eq!(console(&events).len() - 1, 20);
        // All within a second.
        let mut events = vec![plan(), started];
        events.extend((1..=100).map(|i| progress(i * 9, i << 20, 100 << 20)));
        assert_eq!(console(&events).len() - 1, 0);
    }

    #[test]
    fn totals_of_nothing_and_of_too_much_are_no_trouble() {
        let lines = console(&[progress(6000, 0, 0), progress(12_000, u64::MAX, 1)]);
        assert_eq!(lines[0], "slot-a: 0 MB, 3 MB/s");
        assert!(lines[1].contains("(100 %)"), "{lines:?}");
    }

    #[test]
    fn serial_lines_end_with_carriage_return() {
        let mut out = Vec::new();
        let mut console = Console::new(&mut out).with_carriage_return();
        console
            .emit(&event(
                0,
                EventKind::Finished {
                    result: Outcome::Ok,
                },
            ))
            .unwrap();
        assert_eq!(out, b"finished\r\n");
    }

    #[test]
    fn json_lines_are_one_event_a_line() {
        let events = [plan(), progress(1, 2, 3)];
        let mut out = Vec::new();
        let mut sink = JsonLines::new(&mut out);
        events.iter().for_each(|e| sink.emit(e).unwrap());
        let text = String::from_utf8(out).unwrap();
        let back: Vec<_> = text.lines().map(|l| Event::parse(l).unwrap()).collect();
        assert_eq!(back, events);
    }

    struct Broken(u32);
    impl Sink for Broken {
        fn emit(&mut self, _: &Event) -> io::Result<()> {
            self.0 += 1;
            if self.0 == 1 {
                Ok(())
            } else {
                Err(io::Error::other("line unplugged"))
            }
        }
    }

    #[test]
    fn a_broken_reader_is_counted_and_the_others_get_everything() {
        let collect = Collect::new();
        let mut fan = FanOut::new()
            .with("webhook", Broken(0))
            .with("ui", collect.clone());
        (0..3).for_each(|i| fan.emit(&progress(i, i, 3)));
        assert_eq!(fan.failures(), [("webhook".to_owned(), 2)]);
        assert_eq!(collect.events().len(), 3);
    }
}
