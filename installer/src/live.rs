//! What the live system's service runs: finds answers or asks, installs, and does what follows.

use crate::after::follow;
use crate::answer_source::{Finder, Found, Network};
use crate::answers::{self, MachineIdentity};
use crate::choices::{After, Choices};
use crate::consoles::Consoles;
use crate::exit::Exit;
use crate::interview::{self, Asked, Terminal};
use crate::laydown::Machine;
use crate::load_line::LoadLine;
use crate::plan::Plan;
use crate::run_dir::{RUN_DIR, RunDir};
use crate::session::{AnswersFrom, Prepared, Session, boot_record_of, failed_early};
use crate::values::Zones;
use hcl_checker::facts::Facts;
use hcl_checker::root::Root;
use slots::names::{LIVE_MEDIUM, TRUSTED_ROOT};
use std::fs;
use std::io::Write;
use std::path::Path;
use steps::event::{EventKind, Outcome};
use steps::sink::{Console, FanOut, JsonLines};
use steps::step::error_chain;
use steps::system::{Command, RealSystem};
use steps::{Emitter, Report, StepError};

/// Kernel command line word: never ask, there is nobody.
const HEADLESS: &str = "bedplate.headless";
/// Where the time zones are.
pub const ZONEINFO: &str = "/usr/share/zoneinfo";

/// How a run ended, and what follows.
struct Ended {
    report: Report,
    exit: Exit,
    after: After,
}

/// Runs the live installer on this machine. Returns only where nothing ends the machine.
pub fn run(machine: &dyn Machine) -> Result<Exit, StepError> {
    let mut consoles = Consoles::system();
    let dir = RunDir::create(Path::new(RUN_DIR))?;
    let system = RealSystem::logging_to(dir.file("install.log")?);
    let sinks = FanOut::new()
        .with("events", JsonLines::new(dir.file("events.jsonl")?))
        .with("consoles", Console::new(consoles.clone()))
        .with("load", LoadLine::new(consoles.clone()));
    let mut emitter = Emitter::new(sinks);
    let command_line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let boot = match boot_record_of(&system, &command_line) {
        Ok(boot) => boot,
        Err(error) => {
            writeln!(consoles, "\nBedplate is NOT installed: {error:#}")?;
            return Err(error.into());
        }
    };
    let session = Session {
        system: &system,
        machine,
        medium: LIVE_MEDIUM.into(),
        trusted_root: TRUSTED_ROOT.into(),
        boot,
        command_line,
    };
    writeln!(
        consoles,
        "\nBedplate installer {}",
        env!("CARGO_PKG_VERSION")
    )?;
    let ended = Live {
        session,
        dir: &dir,
        consoles: consoles.clone(),
    }
    .run(&mut emitter)?;
    let Some(Ended {
        report,
        exit,
        after,
    }) = ended
    else {
        writeln!(consoles, "Nothing was written.")?;
        follow(After::Shell, &system, &mut consoles)?;
        return Ok(Exit::Done);
    };
    dir.write_report(&report)?;
    writeln!(consoles, "\n{report}")?;
    match report.result {
        Outcome::Ok => writeln!(consoles, "Bedplate is installed.")?,
        _ => writeln!(
            consoles,
            "Bedplate is NOT installed. Log, events and report are in {RUN_DIR}."
        )?,
    }
    follow(after, &system, &mut consoles)?;
    Ok(exit)
}

struct Live<'a> {
    session: Session<'a>,
    dir: &'a RunDir,
    consoles: Consoles,
}

impl Live<'_> {
    /// None when somebody was asked and does not want to install.
    fn run(&mut self, emitter: &mut Emitter) -> Result<Option<Ended>, StepError> {
        let headless = self
            .session
            .command_line
            .split_ascii_whitespace()
            .any(|word| {
                word == HEADLESS
                    || word
                        .strip_prefix(HEADLESS)
                        .is_some_and(|rest| rest == "=1" || rest == "=yes")
            });
        self.quiet_machine(emitter);
        let finder = Finder {
            system: self.session.system,
            machine: self.session.machine,
            pause: &std::thread::sleep,
            live: true,
        };
        let mut tell = |message| {
            emitter.emit(EventKind::Warning {
                step: None,
                message,
            });
        };
        let found = finder.find(&self.session.command_line, &self.session.medium, &mut tell);
        match found {
            Ok(Some(found)) => self.by_answers(&found, emitter).map(Some),
            Ok(None) if headless || !Terminal::is_there() => {
                let errors = vec![
                    "there are no answers, and nobody to ask".to_owned(),
                    "looked for `bedplate.answers=` on the kernel command line, in the area on the medium, and for a file \
                     system labelled BEDPLATE with answers.toml in it; docs/answers.md has the format"
                        .to_owned(),
                ];
                Ok(Some(self.failed(
                    "answers",
                    errors,
                    Exit::Usage,
                    After::Shell,
                    emitter,
                )))
            }
            Ok(None) => self.by_interview(emitter),
            Err(error) => {
                let errors = error_chain(&error);
                Ok(Some(self.failed(
                    "answers",
                    errors,
                    Exit::Usage,
                    After::Shell,
                    emitter,
                )))
            }
        }
    }

    /// Interfaces are started, so that links show, and nothing holds the disks: the live system needs no volume group,
    /// but its udev rules may have started one that is on a disk to be wiped.
    fn quiet_machine(&self, emitter: &mut Emitter) {
        let system = self.session.system;
        let lvm = system
            .run(&Command::new("vgchange").args(["--activate", "n"]))
            .err();
        let network = Network::new(system);
        let started = network.start().err();
        for error in lvm.into_iter().chain(started) {
            emitter.emit(EventKind::Warning {
                step: None,
                message: error.to_string(),
            });
        }
        network.wait_for_links(&std::thread::sleep);
    }

    fn by_answers(&mut self, found: &Found, emitter: &mut Emitter) -> Result<Ended, StepError> {
        let message = format!("answers from {}, SHA-256 {}", found.place, found.sha256);
        emitter.emit(EventKind::Note {
            step: None,
            message,
        });
        let facts = Facts::read(&Root::system());
        let choices = match answers::read_bytes(
            &found.content,
            "answers.toml",
            &Zones::read(Path::new(ZONEINFO)),
            Some(&MachineIdentity::of(&facts)),
        ) {
            Ok(choices) => choices,
            Err(problems) => {
                writeln!(self.consoles, "\n{problems}\n")?;
                return Ok(self.failed(
                    "answers",
                    problems.lines(),
                    Exit::Usage,
                    After::Shell,
                    emitter,
                ));
            }
        };
        let prepared = match self.session.prepare(facts) {
            Ok(prepared) => prepared,
            Err(error) => {
                let errors = error_chain(error.as_ref());
                return Ok(self.failed(
                    "release",
                    errors,
                    Exit::Failed,
                    choices.on_failure,
                    emitter,
                ));
            }
        };
        let plan = match self.session.plan(&prepared, &choices) {
            Ok(plan) => plan,
            Err(problems) => {
                writeln!(self.consoles, "\n{problems}\n")?;
                let exit = if problems.only_verdict() {
                    Exit::Refused
                } else {
                    Exit::Failed
                };
                return Ok(self.failed(
                    "plan",
                    problems.lines(),
                    exit,
                    choices.on_failure,
                    emitter,
                ));
            }
        };
        writeln!(
            self.consoles,
            "\n{}Plan {}\n",
            plan.describe(),
            plan.hash()?
        )?;
        let answers = AnswersFrom {
            place: found.place.clone(),
            sha256: Some(found.sha256.clone()),
        };
        self.install(&prepared, &plan, &answers, emitter)
    }

    fn by_interview(&mut self, emitter: &mut Emitter) -> Result<Option<Ended>, StepError> {
        let prepared = match self.session.prepare(Facts::read(&Root::system())) {
            Ok(prepared) => prepared,
            Err(error) => {
                let errors = error_chain(error.as_ref());
                return Ok(Some(self.failed(
                    "release",
                    errors,
                    Exit::Failed,
                    After::Shell,
                    emitter,
                )));
            }
        };
        let build = |choices: &Choices| self.session.plan(&prepared, choices);
        let zones = Zones::read(Path::new(ZONEINFO));
        let asked = interview::ask(
            &mut Terminal,
            &prepared.facts,
            &zones,
            self.session.system,
            &build,
        );
        match asked {
            Ok(Asked::Declined) => Ok(None),
            Ok(Asked::Install(plan)) => {
                let answers = AnswersFrom {
                    place: "the console".to_owned(),
                    sha256: None,
                };
                self.install(&prepared, &plan, &answers, emitter).map(Some)
            }
            Err(error) => Ok(Some(self.failed(
                "interview",
                error_chain(&error),
                Exit::Failed,
                After::Shell,
                emitter,
            ))),
        }
    }

    fn install(
        &self,
        prepared: &Prepared,
        plan: &Plan,
        answers: &AnswersFrom,
        emitter: &mut Emitter,
    ) -> Result<Ended, StepError> {
        let report = self
            .session
            .install(prepared, plan, answers, Some(self.dir), emitter)?;
        Ok(match report.result {
            Outcome::Ok => Ended {
                report,
                exit: Exit::Done,
                after: plan.on_success,
            },
            _ => Ended {
                report,
                exit: Exit::Failed,
                after: plan.on_failure,
            },
        })
    }

    fn failed(
        &self,
        step: &str,
        errors: Vec<String>,
        exit: Exit,
        after: After,
        emitter: &mut Emitter,
    ) -> Ended {
        Ended {
            report: failed_early(step, env!("CARGO_PKG_VERSION"), errors, emitter),
            exit,
            after,
        }
    }
}
