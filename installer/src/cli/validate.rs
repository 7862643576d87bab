//! `installer validate`

use super::ValidateArgs;
use super::plan::{Inputs, load_hooks, zones};
use super::print::{complain, say};
use crate::answers;
use crate::exit::Exit;
use anyhow::{Context, Result};
use std::fs;
use steps::step::error_chain;
use steps::system::RealSystem;

/// Checks the file, and with facts also that a plan comes out of it.
pub fn run(args: &ValidateArgs) -> Result<Exit> {
    let name = args.file.display().to_string();
    let bytes = fs::read(&args.file).with_context(|| format!("cannot read {name}"))?;
    if let Some(facts) = &args.facts {
        let system = RealSystem::silent();
        let inputs = Inputs::load(&system, Some(facts), &args.medium)?;
        if let Err(exit) = inputs.plan_for(&bytes, &args.file)? {
            // An answer file that fits another machine is not a failure of this program.
            return Ok(if exit == Exit::Failed {
                Exit::Usage
            } else {
                exit
            });
        }
        say(format!(
            "{name} is valid, and fits the machine in {}\n",
            facts.display()
        ))?;
    } else {
        match answers::read_all(&bytes, &name, &zones()) {
            Ok(mut all) => {
                let loaded = all.iter_mut().try_for_each(|choices| {
                    load_hooks(choices, false, &RealSystem::silent(), &args.file)
                });
                if let Err(error) = loaded {
                    complain(error_chain(&error).join(": "));
                    return Ok(Exit::Usage);
                }
            }
            Err(problems) => {
                complain(&problems);
                return Ok(Exit::Usage);
            }
        }
        say(format!("{name} is valid\n"))?;
    }
    Ok(Exit::Done)
}
