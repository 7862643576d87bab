//! `installer ui`

use super::UiArgs;
use super::input::read_facts;
use super::plan::zones;
use crate::exit::Exit;
use crate::interview::{Asked, Terminal, ask};
use crate::tui::app::Leave;
use crate::tui::drive::drive;
use crate::tui::effects::{Effects, Job, Message};
use crate::tui::simulation::Simulation;
use anyhow::{Context, Result, anyhow, bail};
use hcl_checker::facts::Facts;
use hcl_checker::root::Root;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use steps::sink::{Console, Sink};
use steps::system::RealSystem;

/// True unless the environment asks for none (no-color.org), or the terminal has none.
fn color() -> bool {
    let asked = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let terminal = std::env::var("TERM").unwrap_or_default();
    asked && !["", "dumb", "vt100", "vt102", "vt220"].contains(&terminal.as_str())
}

/// Asks line by line, and tells the played installation as the consoles of a real one do.
fn plain(effects: &dyn Effects) -> Result<Exit> {
    match ask(&mut Terminal, effects)? {
        Asked::Declined => println!("Nothing was written."),
        Asked::NoRelease(errors) => bail!(errors.join(": ")),
        Asked::Install(plan) => {
            let console = Mutex::new(Console::new(io::stdout()));
            effects.run(Job::Install(plan), &|message| {
                if let Message::Event(event) = message {
                    // A terminal that is gone ends the program soon enough.
                    let _ = console
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .emit(&event);
                }
            });
        }
    }
    Ok(Exit::Done)
}

/// Shows the installer on this terminal, with a machine that is only played.
pub fn run(args: &UiArgs) -> Result<Exit> {
    if !args.plain && !Terminal::is_there() {
        bail!(
            "the installer's screens need a terminal on standard input; --plain asks line by line"
        );
    }
    let facts = match &args.facts {
        Some(path) => read_facts(path)?,
        None => Facts::read(&Root::system()),
    };
    let system = RealSystem::silent();
    let pace = Duration::from_millis(args.pace);
    let simulation =
        Simulation::new(&system, facts, zones(), pace).map_err(|error| anyhow!(error))?;
    let effects: &dyn Effects = &simulation;
    if args.plain || std::env::var("TERM").is_ok_and(|name| name == "dumb") {
        return plain(effects);
    }
    let over = drive(effects, &[PathBuf::from("/dev/tty")], color())
        .context("the terminal cannot be taken over")?;
    match over.leave {
        Leave::Declined => println!("Nothing was written."),
        Leave::Over(after) => println!("The simulation is over; a machine would {after} now."),
    }
    Ok(Exit::Done)
}
