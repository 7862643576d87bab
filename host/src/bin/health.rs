//! `bedplate-health`: run by systemd at the end of the boot of an installed host.

use anyhow::Context;
use clap::{Parser, Subcommand};
use host::health::{self, Retry};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use steps::RealSystem;

/// Checks whether this boot is good, and tells the boot loader and the console.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check Xen, toolstack, libvirt, network, storage and state; if all is well, mark this root as good.
    ///
    /// Writes /run/bedplate/health.json and /state/bedplate/health.json. Exit status 0 only if everything passed.
    Check {
        /// Where the EFI system partition is mounted.
        #[arg(long, default_value = "/boot/efi")]
        esp: PathBuf,
        /// Seconds to wait for what is not up yet.
        #[arg(long, default_value_t = 90)]
        wait: u32,
    },
    /// Write what the console shows above the login prompt.
    Issue,
}

/// Seconds between two rounds of checks.
const PAUSE: u32 = 3;

fn main() -> anyhow::Result<ExitCode> {
    let system = RealSystem::silent();
    match Args::parse().command {
        Command::Check { esp, wait } => {
            let mut pause = || std::thread::sleep(Duration::from_secs(PAUSE.into()));
            let mut retry = Retry {
                rounds: 1 + wait / PAUSE,
                pause: &mut pause,
            };
            let report = health::check(&system, &esp, &mut retry);
            print!("{report}");
            // Also where something is wrong: then the console says so. systemd runs nothing after a failed check.
            if let Err(e) = health::write_issue(&system) {
                eprintln!("the text for the login prompt was not written: {e}");
            }
            Ok(if report.passed {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Command::Issue => {
            health::write_issue(&system)
                .context("the text for the login prompt was not written")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
