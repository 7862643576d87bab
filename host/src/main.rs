//! `xe` and the services of the host; [`host::program`] tells them apart.

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    host::program::run(std::env::args_os().next())
}
