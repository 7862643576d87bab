//! `image-build`, run as a user runs it in the checkout.

use crate::case::Run;
use crate::process;
use anyhow::Result;
use std::process::Command;
use std::time::Duration;

/// Builds are not emulated, but the disk may be slow.
const BUILD: Duration = Duration::from_secs(1200);

/// Runs it with what `with` adds to its command.
///
/// # Errors
/// When it is not built, fails or takes too long; with its last lines.
pub fn run(run: &Run, with: impl FnOnce(&mut Command) -> &mut Command) -> Result<()> {
    let mut command = Command::new(run.bench.workspace.program("image-build")?);
    with(&mut command).current_dir(run.bench.workspace.root());
    process::run(&mut command, b"", BUILD).map(drop)
}
