//! `bedplate-update`: run by a timer of systemd. It looks for a newer release, tells of it, and on a licensed host installs it as the
//! administrator's policy says.

use crate::hotfix::{Places, RealMachine};
use crate::licensing;
use crate::updates::{Automation, STALL, Updater};
use clap::{Parser, Subcommand};
use hcl_checker::{Facts, Root};
use license::Machine;
use std::io;
use std::process::ExitCode;
use steps::sink::{Console, FanOut};
use steps::{RealSystem, now_unix};

/// Looks after the updates of this host.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Do what is due now: look, download, apply, restart; and say what it came to.
    Run,
}

/// Does what is due.
pub fn main() -> anyhow::Result<ExitCode> {
    let Args {
        command: Command::Run,
    } = Args::parse();
    let system = RealSystem::silent();
    let machine = Machine::of(&Facts::read(&Root::system()));
    let look = licensing::look(&system, &machine, now_unix());
    let updater = Updater {
        system: &system,
        machine: &RealMachine,
        places: &Places::default(),
        clock: &now_unix,
        pause: &std::thread::sleep,
        stall: STALL,
        sinks: &|| FanOut::new().with("journal", Console::new(io::stdout())),
    };
    let told = updater.run(&Automation::of(&look))?;
    println!("{}: {}", told.status, told.text);
    Ok(ExitCode::SUCCESS)
}
