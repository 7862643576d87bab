//! `bedplate-crash-kernel`: loads the kernel that collects a dump when Xen or dom0's kernel crashes. Run by systemd at boot.

use crate::crash_kernel::{self, Loaded};
use crate::hotfix::Places;
use clap::Parser;
use std::process::ExitCode;
use steps::RealSystem;

/// Loads the crash kernel into the hypervisor. A dump is in /var/crash after the restart.
#[derive(Parser)]
#[command(version)]
struct Args {}

/// Loads the crash kernel, and says what a crash will leave.
pub fn main() -> anyhow::Result<ExitCode> {
    Args::parse();
    match crash_kernel::load(&RealSystem::silent(), &Places::default()) {
        Ok(Loaded::Yes { with_console }) => {
            println!("The crash kernel is loaded: a crash leaves a dump in /var/crash");
            if !with_console {
                println!(
                    "The hypervisor does not tell where its console is: a dump will have no log"
                );
            }
        }
        Ok(Loaded::NoMemory) => println!(
            "The hypervisor was started without memory for a crash kernel: a crash leaves no dump"
        ),
        Err(problem) => {
            eprintln!("The crash kernel is not loaded, and a crash leaves no dump: {problem}");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
