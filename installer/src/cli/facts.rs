//! `installer facts`

use super::print::exactly;
use crate::exit::Exit;
use crate::installed;
use crate::laydown::RealMachine;
use anyhow::Result;
use steps::system::RealSystem;

/// Prints the facts of this machine, with the Bedplate hosts on its disks.
pub fn run() -> Result<Exit> {
    let facts = installed::facts(&RealSystem::silent(), &RealMachine);
    exactly(&(serde_json::to_string_pretty(&facts)? + "\n"))?;
    Ok(Exit::Done)
}
