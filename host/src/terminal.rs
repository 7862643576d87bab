//! Whoever sits in front of `xe`: questions, and programs that take the terminal over.

use crate::XeError;
use crate::interrupt;
use std::io::{self, BufRead, IsTerminal, Write};
use std::process::{Command, ExitStatus};

/// The terminal that `xe` was started in.
pub trait Terminal: Send + Sync {
    /// Asks a question and returns the answer; none where nobody can answer.
    fn ask(&self, question: &str) -> io::Result<Option<String>>;
    /// Lets a program have the terminal until it ends.
    fn hand_over(&self, program: &str, args: &[String]) -> io::Result<ExitStatus>;
}

/// The real one.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealTerminal;

impl Terminal for RealTerminal {
    fn ask(&self, question: &str) -> io::Result<Option<String>> {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Ok(None);
        }
        let mut stderr = io::stderr().lock();
        write!(stderr, "{question}")?;
        stderr.flush()?;
        let mut answer = String::new();
        // Somebody who is asked may want to leave.
        interrupt::unnoted(|| io::stdin().lock().read_line(&mut answer))?;
        Ok(Some(answer.trim().to_owned()))
    }

    fn hand_over(&self, program: &str, args: &[String]) -> io::Result<ExitStatus> {
        Command::new(program).args(args).status()
    }
}

/// Asks for `yes`; where nobody can answer, `force=true` says it.
pub fn confirm(terminal: &dyn Terminal, what: &str) -> Result<(), XeError> {
    let question = format!("{what}Type 'yes' to continue: ");
    match terminal.ask(&question) {
        Ok(Some(answer)) if answer == "yes" => Ok(()),
        Ok(Some(_)) => Err(XeError::failure("CANCELED", "Nothing was done.")),
        Ok(None) => Err(XeError::usage("nobody can be asked here: give force=true")),
        Err(e) => Err(XeError::failure(
            "INTERNAL_ERROR",
            format!("the terminal cannot be read: {e}"),
        )),
    }
}

/// What was agreed to is not what would be done now.
pub fn outdated() -> XeError {
    XeError::failure(
        "CHANGED_MEANWHILE",
        "Something that the question was about changed while it waited for an answer. Nothing was done; give the command again and \
         look at what it asks.",
    )
}

/// Nobody: questions stay unanswered, programs are not started.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl Terminal for Nobody {
    fn ask(&self, _: &str) -> io::Result<Option<String>> {
        Ok(None)
    }

    fn hand_over(&self, program: &str, _: &[String]) -> io::Result<ExitStatus> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("there is no terminal for {program}"),
        ))
    }
}
