//! `installer plan`

use super::{MediumArgs, PlanArgs};
use crate::answers;
use crate::choices::Choices;
use crate::exit::Exit;
use crate::laydown::RealMachine;
use crate::live::ZONEINFO;
use crate::plan::{Input, Judge, Plan, PlanProblems, build};
use crate::session::{Session, boot_record};
use crate::values::Zones;
use anyhow::{Context, Result, anyhow};
use hcl_checker::facts::Facts;
use hcl_checker::root::Root;
use release::Manifest;
use slots::BootRecord;
use std::fs;
use std::path::Path;
use steps::system::RealSystem;

/// The time zones of this machine.
pub fn zones() -> Zones {
    Zones::read(Path::new(ZONEINFO))
}

/// What a plan is built from, apart from the choices.
pub struct Inputs {
    manifest: Manifest,
    facts: Facts,
    judge: Judge,
    boot: Option<BootRecord>,
    command_line: String,
}

impl Inputs {
    /// The release of the medium, and facts from a file or of this machine.
    pub fn load(facts: Option<&Path>, medium: &MediumArgs) -> Result<Self> {
        let system = RealSystem::silent();
        let session = Session {
            system: &system,
            machine: &RealMachine,
            medium: medium.medium.clone(),
            trusted_root: medium.trusted_root.clone(),
            boot: None,
            command_line: String::new(),
        };
        let release = session.open_release().map_err(|error| anyhow!(error)).with_context(|| {
            format!(
                "a plan names the release that it lays down, and {} holds none that can be verified; \
                 give --medium (a mounted ISO) and --trusted-root",
                medium.medium.display()
            )
        })?;
        // Facts of another machine say nothing about this machine's medium and console.
        let (facts, boot, command_line) = match facts {
            Some(path) => {
                let json =
                    fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
                (Facts::from_json(&json)?, None, String::new())
            }
            None => {
                let command_line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
                (
                    Facts::read(&Root::system()),
                    boot_record(&system),
                    command_line,
                )
            }
        };
        let judge = Judge::load(&release.manifest.kernel).map_err(|error| anyhow!(error))?;
        Ok(Inputs {
            manifest: release.manifest,
            facts,
            judge,
            boot,
            command_line,
        })
    }

    /// The plan.
    pub fn plan(&self, choices: &Choices) -> Result<Plan, PlanProblems> {
        build(&Input {
            release: &self.manifest,
            facts: &self.facts,
            judge: &|disks| self.judge.verdict(&self.facts, disks),
            choices,
            medium: self
                .boot
                .as_ref()
                .and_then(|boot| boot.medium.as_ref())
                .map(|medium| medium.device.as_str()),
            command_line: &self.command_line,
        })
    }
}

/// Prints the plan.
pub fn run(args: &PlanArgs) -> Result<Exit> {
    let name = args.answers.display().to_string();
    let bytes = fs::read(&args.answers).with_context(|| format!("cannot read {name}"))?;
    let choices = match answers::read_bytes(&bytes, &name, &zones()) {
        Ok(choices) => choices,
        Err(problems) => {
            eprintln!("{problems}");
            return Ok(Exit::Usage);
        }
    };
    let plan = match Inputs::load(args.facts.as_deref(), &args.medium)?.plan(&choices) {
        Ok(plan) => plan,
        Err(problems) => {
            eprintln!("{problems}");
            return Ok(if problems.only_verdict() {
                Exit::Refused
            } else {
                Exit::Failed
            });
        }
    };
    if args.json {
        println!("{}", plan.to_json()?);
    } else {
        println!("{}Plan {}", plan.describe(), plan.hash()?);
    }
    Ok(Exit::Done)
}
