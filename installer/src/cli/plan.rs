//! `installer plan`

use super::input::{read_answers, read_facts};
use super::print::{complain, exactly, say};
use super::{MediumArgs, PlanArgs};
use crate::answer_source::beside_file;
use crate::answers::{self, Beside, MachineIdentity, Problems};
use crate::choices::Choices;
use crate::exit::Exit;
use crate::installed;
use crate::laydown::RealMachine;
use crate::live::ZONEINFO;
use crate::plan::Planned;
use crate::session::{Prepared, Session, boot_record_of, expect};
use crate::values::Zones;
use anyhow::{Context, Result, anyhow};
use hcl_checker::facts::Facts;
use hcl_checker::root::Root;
use slots::BootRecord;
use std::fs;
use std::path::Path;
use steps::system::{RealSystem, System};

/// The time zones of this machine.
pub fn zones() -> Zones {
    Zones::read(Path::new(ZONEINFO))
}

/// The machine that answers are held against.
pub struct Subject {
    /// What is known about it.
    pub facts: Facts,
    /// What its initrd did; none when the facts are another machine's.
    pub boot: Option<BootRecord>,
    /// Its kernel command line; empty when the facts are another machine's.
    pub command_line: String,
}

impl Subject {
    /// From a file, or this machine; then with the hosts on its disks where `look` says so, for which file systems are mounted.
    pub fn load(system: &dyn System, facts: Option<&Path>, look: bool) -> Result<Self> {
        // Facts of another machine say nothing about this machine's medium and console.
        if let Some(path) = facts {
            return Ok(Subject {
                facts: read_facts(path)?,
                boot: None,
                command_line: String::new(),
            });
        }
        let command_line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
        Ok(Subject {
            facts: match look {
                true => installed::facts(system, &RealMachine),
                false => Facts::read(&Root::system()),
            },
            boot: boot_record_of(system, &command_line)?,
            command_line,
        })
    }
}

/// What a plan is built from, apart from the choices.
pub struct Inputs<'a> {
    session: Session<'a>,
    prepared: Prepared<'a>,
}

impl<'a> Inputs<'a> {
    /// The release of the medium, and facts from a file or of this machine.
    pub fn load(system: &'a dyn System, facts: Option<&Path>, medium: &MediumArgs) -> Result<Self> {
        let Subject {
            facts,
            boot,
            command_line,
        } = Subject::load(system, facts, true)?;
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
        let choices = match choices_for(answers, path, &self.prepared.facts, self.session.system) {
            Ok(choices) => choices,
            Err(problems) => {
                complain(&problems);
                return Ok(Err(Exit::Usage));
            }
        };
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

/// What the answers at `path` say for the machine with these facts, with the files of hooks beside them.
pub fn choices_for(
    answers: &[u8],
    path: &Path,
    facts: &Facts,
    system: &dyn System,
) -> Result<Choices, Problems> {
    let machine = MachineIdentity::of(facts);
    let name = path.display().to_string();
    let mut beside = Beside {
        signed: false,
        read: &mut |file| beside_file(system, path, file),
    };
    answers::read_with_files(answers, &name, &zones(), Some(&machine), &mut beside)
}

/// Prints the plan.
pub fn run(args: &PlanArgs) -> Result<Exit> {
    let bytes = read_answers(&args.answers)?;
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
