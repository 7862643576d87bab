//! Installs Bedplate: choices -> plan -> steps, from an answer file or by asking.

use clap::Parser;
use installer::cli::{self, Cli};
use installer::exit::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Files that hold secrets say so themselves; folders of the new host must be readable whatever the caller's mask.
    nix::sys::stat::umask(nix::sys::stat::Mode::S_IWGRP | nix::sys::stat::Mode::S_IWOTH);
    match cli::run(Cli::parse()) {
        Ok(exit) => exit.into(),
        Err(error) => {
            cli::print::complain(format!("installer: {error:#}"));
            Exit::Failed.into()
        }
    }
}
