//! `installer plan`

use super::print::{complain, exactly, say};
use super::{MediumArgs, PlanArgs};
use crate::answer_source::beside_file;
use crate::answers::{self, MachineIdentity};
use crate::choices::{Choices, HookFileError};
use crate::exit::Exit;
use crate::installed;
use crate::laydown::RealMachine;
use crate::live::ZONEINFO;
use crate::plan::Planned;
use crate::session::{Prepared, Session, boot_record_of, expect};
use crate::values::Zones;
use anyhow::{Context, Result, anyhow};
use hcl_checker::facts::Facts;
use std::fs;
use std::path::Path;
use steps::step::error_chain;
use steps::system::{RealSystem, System};

/// The time zones of this machine.
pub fn zones() -> Zones {
    Zones::read(Path::new(ZONEINFO))
}

/// What a plan is built from, apart from the choices.
pub struct Inputs<'a> {
    session: Session<'a>,
    prepared: Prepared<'a>,
}

impl<'a> Inputs<'a> {
    /// The release of the medium, and facts from a file or of this machine.
    pub fn load(system: &'a dyn System, facts: Option<&Path>, medium: &MediumArgs) -> Result<Self> {
        // Facts of another machine say nothing about this machine's medium and console.
        let (facts, boot, command_line) = match facts {
            Some(path) => {
                let json =
                    fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
                (Facts::from_json(&json)?, None, String::new())
            }
            None => {
                let command_line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
                let boot = boot_record_of(system, &command_line)?;
                (installed::facts(system, &RealMachine), boot, command_line)
            }
        };
        let session = Session {
            system,
            machine: &RealMachine,
            medium: medium.medium.clone(),
            trusted_root: medium.trusted_root.clone(),
            boot,
            command_line,
        };
        let prepared = session.prepare(facts).map_err(|error| anyhow!(error)).with_context(|| {
            format!(
                "a plan names the release that it lays down, and {} holds none that can be verified; \
                 give --medium (a mounted ISO) and --trusted-root",
                medium.medium.display()
            )
        })?;
        Ok(Inputs { session, prepared })
    }

    /// The plan that these answers give on this machine. What is in the way is printed, and the exit says what kind it is.
    pub fn plan_for(&self, answers: &[u8], path: &Path) -> Result<Result<Planned, Exit>> {
        let machine = MachineIdentity::of(&self.prepared.facts);
        let name = path.display().to_string();
        let mut choices = match answers::read_bytes(answers, &name, &zones(), Some(&machine)) {
            Ok(choices) => choices,
            Err(problems) => {
                complain(&problems);
                return Ok(Err(Exit::Usage));
            }
        };
        if let Err(error) = load_hooks(&mut choices, false, self.session.system, path) {
            complain(error_chain(&error).join(": "));
            return Ok(Err(Exit::Usage));
        }
        match self.session.plan(&self.prepared, &choices) {
            Ok(plan) => Ok(Ok(plan)),
            Err(problems) => {
                complain(&problems);
                Ok(Err(if problems.only_verdict() {
                    Exit::Refused
                } else {
                    Exit::Failed
                }))
            }
        }
    }
}

/// Reads the files of hooks from beside the answers at `path`.
pub fn load_hooks(
    choices: &mut Choices,
    signed: bool,
    system: &dyn System,
    path: &Path,
) -> Result<(), HookFileError> {
    choices.load_hooks(signed, &mut |file| beside_file(system, path, file))
}

/// Prints the plan.
pub fn run(args: &PlanArgs) -> Result<Exit> {
    let name = args.answers.display().to_string();
    let bytes = fs::read(&args.answers).with_context(|| format!("cannot read {name}"))?;
    let system = RealSystem::silent();
    let inputs = Inputs::load(&system, args.facts.as_deref(), &args.medium)?;
    let plan = match inputs.plan_for(&bytes, &args.answers)? {
        Ok(plan) => plan,
        Err(exit) => return Ok(exit),
    };
    if let Some(wanted) = &args.expect_plan
        && let Err(problems) = expect(&plan, wanted)
    {
        complain(&problems);
        return Ok(Exit::Failed);
    }
    if args.json {
        exactly(&(plan.to_json()? + "\n"))?;
    } else {
        say(format!("{}Plan {}\n", plan.describe(), plan.hash()?))?;
    }
    Ok(Exit::Done)
}
