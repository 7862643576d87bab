//! `xe`: the command line of a Bedplate host.

use crate::XeError;
use crate::cmdline::Invocation;
use crate::commands::{Command, Surroundings, execute};
use crate::complete;
use crate::hotfix::{Places, RealMachine};
use crate::interrupt;
use crate::terminal::RealTerminal;
use crate::verbs;
use hcl_checker::{Facts, Root};
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use steps::RealSystem;
use steps::sink::{Console, FanOut};

/// Runs one command, prints what it says and ends as it went.
pub fn main() -> anyhow::Result<ExitCode> {
    let (text, error) = match words().and_then(|words| run(&words)) {
        Ok(text) => (text, None),
        Err(mut error) => (std::mem::take(&mut error.printed), Some(error)),
    };
    let written = io::stdout()
        .write_all(text.as_bytes())
        .and_then(|()| io::stdout().flush());
    // A reader that had enough changes nothing about what failed.
    if let Some(error) = error {
        eprintln!("{error}");
        return Ok(ExitCode::from(error.exit_code()));
    }
    Ok(match written {
        Ok(()) => ExitCode::SUCCESS,
        // The reader had enough: `xe vm-list | head -1`.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("INTERNAL_ERROR: cannot write the output: {e}");
            ExitCode::FAILURE
        }
    })
}

fn words() -> Result<Vec<String>, XeError> {
    let word = |word: std::ffi::OsString| {
        word.into_string()
            .map_err(|word| XeError::usage(format!("{word:?} is not UTF-8")))
    };
    std::env::args_os().skip(1).map(word).collect()
}

fn run(words: &[String]) -> Result<String, XeError> {
    match words.first().map(String::as_str) {
        Some("--version") => return Ok(format!("xe {} (Bedplate)\n", env!("CARGO_PKG_VERSION"))),
        Some("--help" | "-h") => return run(&["help".to_owned()]),
        _ => {}
    }
    let around = Surroundings {
        system: &RealSystem::silent(),
        now: steps::now_unix(),
        hardware: &|| license::Machine::of(&Facts::read(&Root::system())),
        machine: &RealMachine,
        places: &Places::default(),
        // For whoever waits at a terminal; a script gets the outcome only.
        sinks: &|| match io::stderr().is_terminal() {
            true => FanOut::new().with("terminal", Console::new(io::stderr())),
            false => FanOut::new(),
        },
        terminal: &RealTerminal,
    };
    // Asked by the shell's completion, with the words up to the one that is typed.
    if let Some(("--complete", typed)) = words
        .split_first()
        .map(|(first, typed)| (first.as_str(), typed))
    {
        let found = complete::candidates(typed, &around);
        return Ok(found.iter().map(|word| format!("{word}\n")).collect());
    }
    let line = Invocation::parse(words.iter().cloned())?;
    if let Ok(Command::Verb(verb)) = Command::named(&line.command)
        && verbs::is_long(verb)
    {
        interrupt::note().map_err(|errno| {
            XeError::failure(
                "INTERNAL_ERROR",
                format!("signals cannot be waited for: {errno}"),
            )
        })?;
    }
    execute(&line, &around)
}
