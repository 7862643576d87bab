//! Progress with the time that is left.

use super::time::spoken;
use super::{PlannedTest, Status, TestResult};
use std::io::Write;
use std::time::{Duration, Instant};

/// Who is told how a run goes on.
pub trait Progress: Send {
    /// A test starts; `left` is what the plan says about the time of this test and all after it.
    fn started(&mut self, test: &PlannedTest, number: usize, of: usize, left: Duration);
    /// A test got further: `done` of `all`.
    fn within(&mut self, test: &str, done: u64, all: u64);
    /// A test is over.
    fn ended(&mut self, result: &TestResult);
    /// Something else to know.
    fn note(&mut self, text: &str);
}

/// Tells nobody.
#[derive(Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn started(&mut self, _: &PlannedTest, _: usize, _: usize, _: Duration) {}
    fn within(&mut self, _: &str, _: u64, _: u64) {}
    fn ended(&mut self, _: &TestResult) {}
    fn note(&mut self, _: &str) {}
}

/// Between two looks at the same line.
const REDRAW: Duration = Duration::from_millis(250);

/// One line a test; on a terminal the line of the running test is drawn again and again.
pub struct Terminal<W> {
    out: W,
    /// Lines may be drawn over.
    live: bool,
    head: String,
    left: Duration,
    started: Instant,
    drawn: Option<Instant>,
}

impl<W: Write + Send> Terminal<W> {
    /// `live` where the writer is a terminal.
    pub fn new(out: W, live: bool) -> Self {
        Self {
            out,
            live,
            head: String::new(),
            left: Duration::ZERO,
            started: Instant::now(),
            drawn: None,
        }
    }

    /// Progress that cannot be shown is no reason to stop.
    fn line(&mut self, text: &str) {
        let start = if self.live { "\r\x1b[K" } else { "" };
        let _ = writeln!(self.out, "{start}{text}").and_then(|()| self.out.flush());
    }

    fn draw(&mut self, done: Option<u64>) {
        let left = self.left.saturating_sub(self.started.elapsed());
        let percent = done.map_or(String::new(), |done| format!(" {done} %"));
        let _ = write!(
            self.out,
            "\r\x1b[K{}{percent}, {} left",
            self.head,
            spoken(left.as_secs())
        )
        .and_then(|()| self.out.flush());
        self.drawn = Some(Instant::now());
    }
}

impl<W: Write + Send> Progress for Terminal<W> {
    fn started(&mut self, test: &PlannedTest, number: usize, of: usize, left: Duration) {
        self.head = format!("[{number}/{of}] {}", test.title);
        self.left = left;
        self.started = Instant::now();
        if self.live {
            self.draw(None);
        } else {
            let text = format!("{}, about {} left", self.head, spoken(left.as_secs()));
            self.line(&text);
        }
    }

    fn within(&mut self, _: &str, done: u64, all: u64) {
        if self.live && self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW) {
            let percent = u128::from(done) * 100 / u128::from(all.max(1));
            self.draw(Some(u64::try_from(percent).unwrap_or(100).min(100)));
        }
    }

    fn ended(&mut self, result: &TestResult) {
        let time = match result.status {
            Status::Skipped => String::new(),
            _ => format!(" ({} ms)", result.duration_ms),
        };
        let why = if result.reason.is_empty() {
            String::new()
        } else {
            format!(": {}", result.reason)
        };
        let text = format!("  {:<7} {}{time}{why}", result.status.name(), result.id);
        self.line(&text);
    }

    fn note(&mut self, text: &str) {
        self.line(&format!("  {text}"));
    }
}
