//! `installer facts`

use crate::exit::Exit;
use anyhow::Result;
use hcl_checker::facts::Facts;
use hcl_checker::root::Root;

/// Prints the facts of this machine.
pub fn run() -> Result<Exit> {
    println!(
        "{}",
        serde_json::to_string_pretty(&Facts::read(&Root::system()))?
    );
    Ok(Exit::Done)
}
