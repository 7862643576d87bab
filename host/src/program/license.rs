//! `bedplate-license`: run by systemd at boot and every hour. It remembers the time and since when the license is over-used,
//! and tells what needs somebody's attention. It stops nothing.

use crate::licensing;
use anyhow::Context;
use clap::{Parser, Subcommand};
use hcl_checker::{Facts, Root};
use license::Machine;
use std::process::ExitCode;
use steps::RealSystem;

/// Looks after the license of this host.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Look at the license once: remember the time, and tell what needs attention.
    Check,
}

/// Looks at the license once.
pub fn main() -> anyhow::Result<ExitCode> {
    let Args {
        command: Command::Check,
    } = Args::parse();
    let system = RealSystem::silent();
    let machine = Machine::of(&Facts::read(&Root::system()));
    let look = licensing::look(&system, &machine, steps::now_unix());
    if let Some(text) =
        licensing::warn(&system, &look).context("the console cannot be told about the license")?
    {
        println!("{text}");
    }
    look.remember(&system)
        .context("what is known about the license cannot be kept")?;
    Ok(ExitCode::SUCCESS)
}
