//! What the commands print. Facts come from elsewhere and answers from anybody, so text for people cannot steer a terminal.

use anyhow::{Context, Result};
use hcl_checker::text::safe;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// Text for a person, as it is, on standard output.
pub fn say(text: impl Display) -> Result<()> {
    exactly(&safe(&text.to_string()))
}

/// Text for a program, byte for byte. That nobody reads on, as behind `| head`, is no error.
pub fn exactly(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("standard output cannot be written"),
    }
}

/// A line for a person on standard error.
pub fn complain(text: impl Display) {
    // There is nowhere left to say that this failed.
    let _ = writeln!(io::stderr(), "{}", safe(&text.to_string()));
}
