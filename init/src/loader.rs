//! Process 1's side of driver loading: the child process and what it told.

use anyhow::{Context, Result};
use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// The argument that makes `/init` load drivers.
pub const ARGUMENT: &str = "load-modules";

/// What the child process tells, one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// What the boot needs is loaded: file systems, device mapper.
    Ready,
    /// A device appeared or a driver is being loaded.
    Busy,
    /// Nothing is being loaded and no device appears.
    Idle,
    /// Something could not be loaded.
    Failed(String),
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Line::Ready => formatter.write_str("ready"),
            Line::Busy => formatter.write_str("busy"),
            Line::Idle => formatter.write_str("idle"),
            // One line whatever the error says.
            Line::Failed(error) => write!(formatter, "failed {}", error.replace('\n', " ")),
        }
    }
}

impl FromStr for Line {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.split_once(' ') {
            None if text == "ready" => Ok(Line::Ready),
            None if text == "busy" => Ok(Line::Busy),
            None if text == "idle" => Ok(Line::Idle),
            Some(("failed", error)) => Ok(Line::Failed(error.to_owned())),
            _ => Err(()),
        }
    }
}

/// What is known of the child process.
#[derive(Debug, Clone, Default)]
struct Status {
    ready: bool,
    ended: bool,
    idle_since: Option<Instant>,
    failures: Vec<String>,
}

impl Status {
    fn hear(&mut self, line: Line) {
        match line {
            Line::Ready => self.ready = true,
            Line::Busy => self.idle_since = None,
            Line::Idle => self.idle_since = Some(Instant::now()),
            Line::Failed(error) => self.failures.push(error),
        }
    }
}

/// The child process that loads drivers. It goes on when this is dropped or process 1 becomes another program, finishes
/// the driver it is at, and ends.
pub struct ModuleLoader {
    /// Holds the child's stdin, whose end ends it.
    _child: Child,
    status: Arc<Mutex<Status>>,
}

impl ModuleLoader {
    /// Starts it; `needed` are modules that no device asks for.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn start(needed: &[&str]) -> Result<Self> {
        let mut child = Command::new("/proc/self/exe")
            .arg(ARGUMENT)
            .args(needed)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the process that loads drivers")?;
        let status = Arc::new(Mutex::new(Status::default()));
        let shared = Arc::clone(&status);
        let stdout = child
            .stdout
            .take()
            .context("the process that loads drivers has no output")?;
        thread::spawn(move || {
            let with = |change: &mut dyn FnMut(&mut Status)| {
                change(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
            };
            for text in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Only this program writes there; a line that is none of ours is a panic's, and worth showing.
                let line = text.parse().unwrap_or(Line::Failed(text));
                with(&mut |status| status.hear(line.clone()));
            }
            with(&mut |status| status.ended = true);
        });
        Ok(Self {
            _child: child,
            status,
        })
    }

    /// Whether what the boot needs is loaded, or will never be.
    pub fn is_ready(&self) -> bool {
        self.status(|status| status.ready || status.ended)
    }

    /// Since when nothing is being loaded and no device appears; none while it is at work.
    pub fn idle_since(&self) -> Option<Instant> {
        self.status(|status| status.idle_since)
    }

    /// What could not be loaded since the last call.
    pub fn take_failures(&self) -> Vec<String> {
        self.status(|status| std::mem::take(&mut status.failures))
    }

    fn status<T>(&self, ask: impl FnOnce(&mut Status) -> T) -> T {
        ask(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_survive_the_pipe() {
        for line in [
            Line::Ready,
            Line::Busy,
            Line::Idle,
            Line::Failed("module a.ko: ENOENT".to_owned()),
        ] {
            assert_eq!(line.to_string().parse(), Ok(line));
        }
        assert_eq!("fail x".parse::<Line>(), Err(()));
        assert_eq!(Line::Failed("a\nb".to_owned()).to_string(), "failed a b");
    }

    #[test]
    fn busy_ends_idle() {
        let mut status = Status::default();
        status.hear(Line::Idle);
        assert!(status.idle_since.is_some());
        status.hear(Line::Busy);
        assert!(status.idle_since.is_none());
        status.hear(Line::Failed("x".to_owned()));
        assert_eq!(status.failures, ["x"]);
        assert!(!status.ready);
    }
}
