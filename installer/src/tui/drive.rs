//! The UI on its consoles: keys in, frames out, jobs beside.

use super::app::{App, Leave};
use super::console::{Console, read, restore_all, restore_on_panic};
use super::draw::{Seat, draw};
use super::effects::{Effects, Job, Message};
use super::key::{Input, Key};
use super::run_view::RunView;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks at what changes by itself.
const TICK: Duration = Duration::from_secs(1);
/// A frame is not later than this after what caused it.
const FRAME: Duration = Duration::from_millis(100);

/// What reaches the loop.
enum Event {
    /// From the console with this number.
    Typed(usize, Vec<Input>),
    /// From a job.
    Told(Message),
    /// A job hit a fault of its own.
    Broken(String),
}

/// How the UI ended.
pub struct Over {
    /// How the operator left.
    pub leave: Leave,
    /// The installation as it was shown.
    pub run: RunView,
}

/// Runs the UI on these consoles until the operator leaves. Consoles that cannot be opened are left out.
///
/// # Errors
/// When no console can be opened; nothing was asked then.
pub fn drive(effects: &dyn Effects, paths: &[PathBuf], color: bool) -> io::Result<Over> {
    restore_on_panic();
    let mut consoles = Vec::new();
    let mut refused = None;
    for path in paths {
        match Console::open(path, color) {
            Ok(console) => consoles.push(console),
            Err(error) => refused = Some(error),
        }
    }
    if consoles.is_empty() {
        restore_all();
        return Err(refused.unwrap_or_else(|| io::Error::other("there is no console")));
    }
    let stop = AtomicBool::new(false);
    let result = thread::scope(|scope| {
        // Whatever ends this scope ends the readers as well.
        let _stop = Stop(&stop);
        let (sender, events) = channel();
        for (number, console) in consoles.iter().enumerate() {
            let (file, sender, stop) = (console.reader()?, sender.clone(), &stop);
            scope.spawn(move || {
                read(file, stop, |inputs| {
                    // The loop may be over already.
                    let _ = sender.send(Event::Typed(number, inputs));
                });
            });
        }
        let start = |jobs: Vec<Job>| {
            for job in jobs {
                let sender = sender.clone();
                scope.spawn(move || work(effects, job, &sender));
            }
        };
        let (app, jobs) = App::new(effects);
        start(jobs);
        let mut stage = Stage {
            leader: (consoles.len() == 1).then_some(0),
            app,
            consoles: &mut consoles,
        };
        stage.run(effects, &events, &start)
    });
    restore_all();
    result
}

/// Sets a flag when it is dropped.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does a job; a panic in it is told like other news.
fn work(effects: &dyn Effects, job: Job, sender: &Sender<Event>) {
    let tell = |message| {
        let _ = sender.send(Event::Told(message));
    };
    let done = catch_unwind(AssertUnwindSafe(|| effects.run(job, &tell)));
    if done.is_err() {
        let text = "The installer hit a fault of its own; its log has more.".to_owned();
        let _ = sender.send(Event::Broken(text));
    }
}

/// The UI and who sees it.
struct Stage<'c> {
    app: App,
    consoles: &'c mut Vec<Console>,
    leader: Option<usize>,
}

impl Stage<'_> {
    fn run(
        &mut self,
        effects: &dyn Effects,
        events: &std::sync::mpsc::Receiver<Event>,
        start: &dyn Fn(Vec<Job>),
    ) -> io::Result<Over> {
        let mut ticked = Instant::now();
        loop {
            self.draw()?;
            let mut next = events.recv_timeout(FRAME);
            // Everything that is there already belongs to the next frame.
            loop {
                match next {
                    Ok(event) => start(self.take(event, effects)),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => {
                        return Err(io::Error::other("the consoles are gone"));
                    }
                }
                if let Some(leave) = self.app.leave {
                    return Ok(Over {
                        leave,
                        run: std::mem::take(&mut self.app.run),
                    });
                }
                next = events.recv_timeout(Duration::ZERO);
            }
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                self.app.tick(effects);
                self.consoles.iter_mut().for_each(Console::tick);
            }
        }
    }

    fn take(&mut self, event: Event, effects: &dyn Effects) -> Vec<Job> {
        match event {
            Event::Told(message) => self.app.message(message, effects),
            Event::Broken(text) => {
                self.app.broken(text);
                Vec::new()
            }
            Event::Typed(number, inputs) => {
                let mut jobs = Vec::new();
                for input in inputs {
                    jobs.extend(self.typed(number, &input, effects));
                    if self.app.leave.is_some() {
                        break;
                    }
                }
                jobs
            }
        }
    }

    fn typed(&mut self, number: usize, input: &Input, effects: &dyn Effects) -> Vec<Job> {
        let console = &mut self.consoles[number];
        if let Input::Position { row, column } = input {
            console.position(*row, *column);
            return Vec::new();
        }
        console.touched();
        if *input == Input::Key(Key::Ctrl('l')) {
            console.refresh();
            return Vec::new();
        }
        match self.leader {
            Some(leader) if leader == number => self.app.input(input, effects),
            // The key that takes the seat does nothing else: nobody knew yet what it would do.
            None => {
                self.leader = Some(number);
                Vec::new()
            }
            Some(_) => {
                if *input == Input::Key(Key::Ctrl('t')) {
                    self.leader = Some(number);
                }
                Vec::new()
            }
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        let leader = self.leader.map(|leader| self.consoles[leader].name.clone());
        for (number, console) in self.consoles.iter_mut().enumerate() {
            let seat = match (&leader, self.leader) {
                (None, _) => Seat::Free,
                (Some(_), Some(of)) if of == number => Seat::Leader,
                (Some(name), _) => Seat::Mirror(name.clone()),
            };
            let app = &self.app;
            console.draw(|theme, frame| draw(app, theme, &seat, frame))?;
        }
        Ok(())
    }
}
