//! One step of a run, and how it reports.

use crate::event::{EVENT_VERSION, Event, EventKind};
use crate::sink::FanOut;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// What a step fails with. `anyhow::Error` and every error type convert into it with `?`.
pub type StepError = Box<dyn std::error::Error + Send + Sync>;

/// One step. `C` is what the steps of a run share: the system, the plan, mount points.
pub trait Step<C: ?Sized> {
    /// Short name, unique in the run: `slot-a`.
    fn id(&self) -> String;
    /// For people, in the imperative: `Write the root image to slot A`.
    fn title(&self) -> String;
    /// Does it.
    fn run(&mut self, context: &mut C, reporter: &mut Reporter<'_>) -> Result<(), StepError>;
    /// Undoes what must not outlive the run: mounts, open volumes. Called once for each step that was started, in
    /// reverse order, whether the run succeeded, failed or panicked. Must do nothing where nothing is left to undo.
    fn cleanup(&mut self, context: &mut C) -> Result<(), StepError> {
        let _ = context;
        Ok(())
    }
}

/// The messages of an error and of all its causes, outermost first, without repetitions: some errors include the
/// text of their cause in their own.
pub fn error_chain(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let line = error.to_string();
        if lines.last().is_none_or(|before| !before.ends_with(&line)) {
            lines.push(line);
        }
        next = error.source();
    }
    lines
}

/// Time, apart so that tests can set it.
pub trait Clock: Send {
    /// Milliseconds since the run started; never goes back.
    fn ms(&mut self) -> u64;
    /// Seconds since 1970.
    fn unix(&mut self) -> u64;
}

/// The clocks of the machine.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Starts now.
    pub fn start() -> Self {
        SystemClock {
            start: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn ms(&mut self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
    fn unix(&mut self) -> u64 {
        now_unix()
    }
}

/// The machine's clock in seconds since 1970. One before that says nothing useful: 0 shows it.
pub fn now_unix() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Numbers and dates events and gives them to the readers.
pub struct Emitter {
    clock: Box<dyn Clock>,
    sinks: FanOut,
    seq: u64,
}

impl Emitter {
    /// Starts a stream now.
    pub fn new(sinks: FanOut) -> Self {
        Self::with_clock(sinks, SystemClock::start())
    }

    /// Starts a stream with another clock.
    pub fn with_clock(sinks: FanOut, clock: impl Clock + 'static) -> Self {
        Emitter {
            clock: Box::new(clock),
            sinks,
            seq: 0,
        }
    }

    /// Adds a reader, which hears of what comes from now on.
    pub fn listen(&mut self, name: impl Into<String>, sink: impl crate::sink::Sink + 'static) {
        self.sinks.add(name, sink);
    }

    /// Sends one event and returns its time in milliseconds since the start.
    pub fn emit(&mut self, kind: EventKind) -> u64 {
        let (ms, unix) = (self.clock.ms(), self.clock.unix());
        let event = Event {
            v: EVENT_VERSION,
            seq: self.seq,
            ms,
            unix,
            kind,
        };
        self.seq += 1;
        self.sinks.emit(&event);
        ms
    }

    /// Milliseconds since the start.
    pub fn ms(&mut self) -> u64 {
        self.clock.ms()
    }

    /// Seconds since 1970.
    pub fn unix(&mut self) -> u64 {
        self.clock.unix()
    }

    /// Readers that failed, and how many events each lost.
    pub fn sink_failures(&self) -> Vec<(String, u64)> {
        self.sinks.failures()
    }
}

/// What the running step reports with.
pub struct Reporter<'a> {
    emitter: &'a mut Emitter,
    step: String,
    started_ms: u64,
    bytes: u64,
    warnings: Vec<String>,
    output: Vec<String>,
    told_ms: Option<u64>,
}

/// Progress events of one step are at least this many milliseconds apart, unless it is complete: a writer that tells
/// every MiB would otherwise fill the stream.
const PROGRESS_MS: u64 = 200;

impl<'a> Reporter<'a> {
    /// For the step `step` that starts now. The runner makes these; tests of single steps may too.
    pub fn new(emitter: &'a mut Emitter, step: impl Into<String>) -> Self {
        let started_ms = emitter.ms();
        Reporter {
            emitter,
            step: step.into(),
            started_ms,
            bytes: 0,
            warnings: Vec::new(),
            output: Vec::new(),
            told_ms: None,
        }
    }

    /// Tells how many of `total` bytes are done (`total` 0: not known). May be called as often as is handy.
    pub fn progress(&mut self, bytes: u64, total: u64) {
        let ms = self.emitter.ms();
        let complete = total > 0 && bytes >= total && self.bytes < bytes;
        self.bytes = bytes;
        if !complete
            && self
                .told_ms
                .is_some_and(|told| ms < told.saturating_add(PROGRESS_MS))
        {
            return;
        }
        self.told_ms = Some(ms);
        let took = ms.saturating_sub(self.started_ms).max(1);
        let rate = u64::try_from(u128::from(bytes) * 1000 / u128::from(took)).unwrap_or(u64::MAX);
        let step = self.step.clone();
        self.emitter.emit(EventKind::Progress {
            step,
            bytes,
            total,
            rate,
        });
    }

    /// Tells a warning: in the stream and in the report.
    pub fn warn(&mut self, message: impl Into<String>) {
        let message = message.into();
        self.warnings.push(message.clone());
        self.emitter.emit(EventKind::Warning {
            step: Some(self.step.clone()),
            message,
        });
    }

    /// Tells something worth keeping that is neither progress nor trouble.
    pub fn note(&mut self, message: impl Into<String>) {
        self.emitter.emit(EventKind::Note {
            step: Some(self.step.clone()),
            message: message.into(),
        });
    }

    /// Keeps lines that a program of the operator printed, for the report and not for the stream. No secrets.
    pub fn output(&mut self, lines: impl IntoIterator<Item = String>) {
        self.output.extend(lines);
    }

    /// Bytes of the last progress, the warnings, and the output.
    pub(crate) fn into_parts(self) -> (u64, Vec<String>, Vec<String>) {
        (self.bytes, self.warnings, self.output)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::sink::Collect;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A clock that stands still until it is set.
    #[derive(Clone, Default)]
    pub(crate) struct FixedClock(pub(crate) Arc<AtomicU64>);

    impl Clock for FixedClock {
        fn ms(&mut self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
        fn unix(&mut self) -> u64 {
            1_700_000_000
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn the_chain_is_outermost_first_and_repeats_nothing() {
        let inner = Layer("no space", None);
        let middle = Layer("write failed: no space", Some(Box::new(inner)));
        let outer = Layer("cannot install", Some(Box::new(middle)));
        assert_eq!(
            error_chain(&outer),
            ["cannot install", "write failed: no space"]
        );
    }

    #[test]
    fn progress_is_thinned_and_the_last_one_always_told() {
        let (collect, clock) = (Collect::new(), FixedClock::default());
        let mut emitter =
            Emitter::with_clock(FanOut::new().with("all", collect.clone()), clock.clone());
        let mut reporter = Reporter::new(&mut emitter, "slot-a");
        for i in 0..=100u64 {
            clock.0.store(i * 10, Ordering::Relaxed);
            reporter.progress(i * 1000, 100_000);
        }
        reporter.progress(100_000, 100_000);
        assert_eq!(reporter.into_parts(), (100_000, vec![], vec![]));
        let told: Vec<_> = collect
            .events()
            .iter()
            .map(|e| match &e.kind {
                EventKind::Progress {
                    bytes,
                    total: 100_000,
                    rate,
                    ..
                } => (e.ms, *bytes, *rate),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told.first(), Some(&(0, 0, 0)));
        // 100 000 bytes in one second.
        assert_eq!(told.last(), Some(&(1000, 100_000, 100_000)));
        assert_eq!(told.len(), 6, "one every 200 ms: {told:?}");
    }

    #[test]
    fn events_are_numbered_without_gaps() {
        let collect = Collect::new();
        let mut emitter = Emitter::new(FanOut::new().with("all", collect.clone()));
        Reporter::new(&mut emitter, "a").warn("one");
        Reporter::new(&mut emitter, "b").warn("two");
        let events = collect.events();
        assert_eq!(events.iter().map(|e| e.seq).collect::<Vec<_>>(), [0, 1]);
        assert!(
            events
                .iter()
                .all(|e| e.v == EVENT_VERSION && e.unix > 1_600_000_000)
        );
    }
}
