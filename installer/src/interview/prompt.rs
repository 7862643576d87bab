//! Asking one question.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Write};
use std::os::fd::AsFd;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// The console is gone, or the input ended.
    #[error("the console has no more input; nothing was written")]
    Ended,
    /// The console failed.
    #[error("the console failed")]
    Io(#[from] io::Error),
}

/// Where questions go and answers come from.
pub trait Prompt {
    /// Shows text.
    fn say(&mut self, text: &str) -> Result<(), PromptError>;
    /// Reads a line after `question`, without the white space around it.
    fn line(&mut self, question: &str) -> Result<String, PromptError>;
    /// Reads a line that is not shown while it is typed, whole.
    fn secret(&mut self, question: &str) -> Result<String, PromptError>;
}

/// The terminal on standard input. Questions go to the same terminal: standard output may be the journal.
#[derive(Debug, Default)]
pub struct Terminal;

impl Terminal {
    /// True when somebody can be asked: standard input is a terminal.
    pub fn is_there() -> bool {
        io::stdin().is_terminal()
    }

    fn write(&self, text: &str) -> Result<(), PromptError> {
        if Self::is_there() && !io::stdout().is_terminal() {
            // A terminal is opened for both directions.
            let mut terminal = File::from(io::stdin().as_fd().try_clone_to_owned()?);
            terminal.write_all(text.as_bytes())?;
        } else {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()?;
        }
        Ok(())
    }
}

impl Prompt for Terminal {
    fn say(&mut self, text: &str) -> Result<(), PromptError> {
        self.write(&format!("{text}\n"))
    }

    fn line(&mut self, question: &str) -> Result<String, PromptError> {
        self.write(&format!("{question} "))?;
        Ok(read_line()?.trim().to_owned())
    }

    fn secret(&mut self, question: &str) -> Result<String, PromptError> {
        self.write(&format!("{question} "))?;
        let _silence = Silence::start()?;
        let line = read_line();
        // The line end that was typed is not shown either.
        self.write("\n")?;
        line
    }
}

fn read_line() -> Result<String, PromptError> {
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line)? == 0 {
        return Err(PromptError::Ended);
    }
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// Keeps the terminal from showing what is typed, until it is dropped.
struct Silence {
    before: Option<nix::sys::termios::Termios>,
}

impl Silence {
    fn start() -> io::Result<Self> {
        use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
        let stdin = io::stdin();
        // What is not a terminal (a test, a pipe) shows nothing anyway.
        let Ok(before) = tcgetattr(&stdin) else {
            return Ok(Silence { before: None });
        };
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(&stdin, SetArg::TCSAFLUSH, &quiet)?;
        Ok(Silence {
            before: Some(before),
        })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // Nothing can be done about a terminal that refuses.
            let _ = nix::sys::termios::tcsetattr(
                io::stdin(),
                nix::sys::termios::SetArg::TCSANOW,
                before,
            );
        }
    }
}
