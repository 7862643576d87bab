//! What the live system's service runs: finds answers or asks, installs, and does what follows.

use crate::after::follow;
use crate::answer_source::{Finder, Found, Network, OemStrings, Trust};
use crate::answers::{self, Beside, MachineIdentity};
use crate::choices::After;
use crate::consoles::Consoles;
use crate::exit::Exit;
use crate::guarded::guarded;
use crate::hardware_check::{self, Checked};
use crate::installed;
use crate::interview::{self, Asked, Terminal};
use crate::laydown::Machine;
use crate::live_network::LiveNetwork;
use crate::live_words::LiveWords;
use crate::load_line::LoadLine;
use crate::plan::Planned;
use crate::run_dir::{RUN_DIR, RunDir};
use crate::session::{AnswersFrom, Prepared, Session, boot_record_of, failed_early};
use crate::tui::app::Leave;
use crate::tui::drive::{Over, drive};
use crate::tui::effects::{Effects, Job};
use crate::tui::gate::{Gate, Gated, Tap};
use crate::tui::real::Real;
use crate::upgrade;
use crate::values::Zones;
use crate::webhook::Webhook;
use hcl_checker::facts::Facts;
use hcl_checker::root::Root;
use slots::names::{LIVE_MEDIUM, TRUSTED_ROOT};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use steps::event::{EventKind, Outcome};
use steps::sink::{Console, FanOut, JsonLines};
use steps::step::error_chain;
use steps::system::{Command, RealSystem};
use steps::{Emitter, Report, StepError};

/// How long the last lines may take to get out of slow serial lines before the screens are drawn.
const DRAIN: Duration = Duration::from_secs(3);
/// What the answers are called in messages, wherever they came from.
const ANSWERS: &str = "answers.toml";
/// Where the time zones are.
pub const ZONEINFO: &str = "/usr/share/zoneinfo";

/// How a run ended, and what follows.
struct Ended {
    report: Report,
    exit: Exit,
    after: After,
}

/// Runs the live installer on this machine. Returns only where nothing ends the machine.
///
/// However it ends, the consoles tell, there is a report, and a shell: what goes wrong outside of the steps, a defect of this
/// program too.
pub fn run(machine: &dyn Machine) -> Result<Exit, StepError> {
    let consoles = Consoles::system();
    guarded(&consoles, Path::new(RUN_DIR), &RealSystem::silent(), || {
        attempt(machine, consoles.clone())
    })
}

fn attempt(machine: &dyn Machine, mut consoles: Consoles) -> Result<Exit, StepError> {
    let dir = RunDir::create(Path::new(RUN_DIR))?;
    let system = RealSystem::logging_to(dir.file("install.log")?);
    let (gate, tap) = (Gate::default(), Tap::default());
    let sinks = FanOut::new()
        .with("events", JsonLines::new(dir.file("events.jsonl")?))
        .with(
            "consoles",
            Gated::new(&gate, Console::new(consoles.clone())),
        )
        .with("load", Gated::new(&gate, LoadLine::new(consoles.clone())))
        .with("screens", tap.clone());
    let mut emitter = Emitter::new(sinks);
    let command_line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let words = LiveWords::parse(&command_line);
    if words.check {
        Network::new(&system).start().ok();
        let checked = Checked::of(Facts::read(&Root::system()))?;
        hardware_check::show(&checked, &system, &mut consoles)?;
        follow(After::Shell, &system, &mut consoles)?;
        return Ok(Exit::Done);
    }
    let boot = boot_record_of(&system, &command_line)?;
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
        words,
        dir: &dir,
        consoles: consoles.clone(),
        gate,
        tap,
        trust: Trust::default(),
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
        Outcome::Ok if upgrade::is_of(&report) => writeln!(consoles, "{}", upgrade::DONE)?,
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
    words: LiveWords,
    dir: &'a RunDir,
    consoles: Consoles,
    gate: Gate,
    tap: Tap,
    /// What answers from a network must prove.
    trust: Trust,
}

impl Live<'_> {
    /// None when somebody was asked and does not want to install.
    fn run(&mut self, emitter: &mut Emitter) -> Result<Option<Ended>, StepError> {
        self.quiet_machine(emitter);
        let mut tell = |message| warn(emitter, message);
        let line = &self.session.command_line;
        // The command line's words go before the machine's. Strings that cannot be read are told of where answers are looked for.
        let strings = OemStrings::read(self.session.system).unwrap_or_default();
        let words = format!("{} {line}", strings.trust_words());
        self.trust = match Trust::from_command_line(&words) {
            Ok(trust) => trust,
            Err(error) => {
                let errors = error_chain(&error);
                return Ok(Some(self.failed(
                    "answers",
                    errors,
                    Exit::Usage,
                    After::Shell,
                    emitter,
                )));
            }
        };
        let found = self.finder().find(line, &self.session.medium, &mut tell);
        match found {
            Ok(Some(found)) => self.by_answers(&found, emitter).map(Some),
            Ok(None) if self.words.headless || !Terminal::is_there() => {
                let errors = vec![
                    "there are no answers, and nobody to ask".to_owned(),
                    "looked for `bedplate.answers=` on the kernel command line, in the area on the medium, for a file system \
                     labelled BEDPLATE with answers.toml in it, and among the OEM strings of SMBIOS; with `bedplate.answers-key=` or `bedplate.answers-pin=` \
                     also for a URL by DHCP and DNS; docs/answers.md has the format"
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
            Ok(None) => self.by_asking(emitter),
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

    /// Looks for answers, and for what is beside them.
    fn finder(&self) -> Finder<'_> {
        Finder {
            system: self.session.system,
            machine: self.session.machine,
            pause: &std::thread::sleep,
            trust: &self.trust,
            live: true,
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
        let mut webhook = None;
        let (mut ended, plan) = self.as_answered(found, &mut webhook, emitter)?;
        let pause = &std::thread::sleep;
        match (webhook, plan) {
            (Some(webhook), Some(plan)) => {
                let report = &mut ended.report;
                self.session
                    .tell(&webhook, &plan, report, self.dir, emitter, pause)?;
            }
            (Some(webhook), None) => {
                webhook.report(&mut ended.report, emitter, pause);
            }
            (None, _) => {}
        }
        Ok(ended)
    }

    /// `webhook` is set as soon as it is known. There is a plan where it was carried out.
    fn as_answered(
        &mut self,
        found: &Found,
        webhook: &mut Option<Webhook>,
        emitter: &mut Emitter,
    ) -> Result<(Ended, Option<Planned>), StepError> {
        let failed = |step: &str, errors, exit, after, emitter: &mut Emitter| {
            let version = env!("CARGO_PKG_VERSION");
            let report = failed_early(step, version, errors, emitter);
            Ok((
                Ended {
                    report,
                    exit,
                    after,
                },
                None,
            ))
        };
        let message = format!("answers from {}, SHA-256 {}", found.place, found.sha256);
        emitter.emit(EventKind::Note {
            step: None,
            message,
        });
        let mut facts = Facts::read(&Root::system());
        let identity = MachineIdentity::of(&facts);
        let mut choices = match answers::read_bytes(
            &found.content,
            ANSWERS,
            &Zones::read(Path::new(ZONEINFO)),
            Some(&identity),
        ) {
            Ok(choices) => choices,
            Err(problems) => {
                writeln!(self.consoles, "\n{problems}\n")?;
                // Whoever waits for this machine hears that its answers are no good.
                if let Some(choice) = answers::webhook_of(&found.content, &identity) {
                    let hook = Webhook::new(&choice, &identity, Arc::new(RealSystem::silent()));
                    *webhook = Some(hook);
                }
                let after = answers::on_failure_of(&found.content, &identity);
                return failed(
                    "answers",
                    problems.lines(),
                    Exit::Usage,
                    after.unwrap_or(After::Shell),
                    emitter,
                );
            }
        };
        if choices.disk.upgrade {
            installed::look(self.session.system, self.session.machine, &mut facts);
        }
        let pause = &std::thread::sleep;
        match LiveNetwork::new(self.session.system, pause).of_answers(&choices, &facts) {
            Some(Ok(message)) => {
                emitter.emit(EventKind::Note {
                    step: None,
                    message,
                });
            }
            // What is fetched afterwards says whether that was in the way.
            Some(Err(message)) => warn(emitter, message),
            None => {}
        }
        if let Some(choice) = &choices.webhook {
            let hook = Webhook::new(choice, &identity, Arc::new(RealSystem::silent()));
            hook.listen(emitter);
            *webhook = Some(hook);
        }
        let finder = self.finder();
        let mut beside = Beside {
            signed: found.signed,
            read: &mut |file| finder.beside(found, file, &mut |message| warn(emitter, message)),
        };
        if let Err(problems) = answers::load_hooks(
            &mut choices,
            &found.content,
            ANSWERS,
            Some(&identity),
            &mut beside,
        ) {
            writeln!(self.consoles, "\n{problems}\n")?;
            return failed(
                "answers",
                problems.lines(),
                Exit::Usage,
                choices.on_failure,
                emitter,
            );
        }
        if let Some(source) = &choices.source
            && let Err(error) = Network::new(self.session.system).require(&source.url.shown())
        {
            return failed(
                "release",
                error_chain(&error),
                Exit::Failed,
                choices.on_failure,
                emitter,
            );
        }
        let prepared = match self
            .session
            .prepare_for(&choices, facts, &std::thread::sleep, emitter)
        {
            Ok(prepared) => prepared,
            Err(error) => {
                let errors = error_chain(error.as_ref());
                return failed("release", errors, Exit::Failed, choices.on_failure, emitter);
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
                return failed("plan", problems.lines(), exit, choices.on_failure, emitter);
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
        let ended = self.install(&prepared, &plan, &answers, emitter)?;
        Ok((ended, Some(plan)))
    }

    /// On the screens of all consoles, or with plain questions where that was asked for on the kernel command line.
    fn by_asking(&mut self, emitter: &mut Emitter) -> Result<Option<Ended>, StepError> {
        let zones = Zones::read(Path::new(ZONEINFO));
        let real = Real::new(
            &self.session,
            Some(self.dir),
            emitter,
            self.tap.clone(),
            zones,
        );
        if self.words.plain {
            return self.by_interview(&real);
        }
        let paths: Vec<PathBuf> = self.consoles.names().iter().map(PathBuf::from).collect();
        // The kernel's messages would be drawn over the screens; the log of the kernel has them.
        self.kernel_messages("emerg");
        self.consoles.drain(DRAIN);
        let over = {
            let _shut = self.gate.shut();
            drive(&real, &paths, true)
        };
        self.kernel_messages("err");
        match over {
            Ok(Over {
                leave: Leave::Declined,
                ..
            }) => Ok(None),
            Ok(Over {
                leave: Leave::Over(after),
                ..
            }) => Ok(real.report().map(|report| ended(report, after))),
            Err(error) => {
                writeln!(
                    self.consoles,
                    "The screens cannot be shown ({error}), so here are plain questions."
                )?;
                self.by_interview(&real)
            }
        }
    }

    fn kernel_messages(&self, level: &str) {
        // Without it the screens are less pretty, and nothing is lost: Ctrl-L draws them anew.
        let _ = self
            .session
            .system
            .run(&Command::new("dmesg").args(["--console-level", level]));
    }

    fn by_interview(&self, real: &Real<'_>) -> Result<Option<Ended>, StepError> {
        let failed = |step: &str, errors: Vec<String>| {
            Ok(Some(Ended {
                report: real.failed(step, errors),
                exit: Exit::Failed,
                after: After::Shell,
            }))
        };
        match interview::ask(&mut Terminal, real) {
            Ok(Asked::Declined) => Ok(None),
            Ok(Asked::NoRelease(errors)) => failed("release", errors),
            Ok(Asked::Install(plan)) => {
                let (good, bad) = plan.after();
                real.run(Job::Install(plan), &|_| {});
                Ok(real.report().map(|report| {
                    let after = if report.result == Outcome::Ok {
                        good
                    } else {
                        bad
                    };
                    ended(report, after)
                }))
            }
            Err(error) => failed("interview", error_chain(&error)),
        }
    }

    fn install(
        &self,
        prepared: &Prepared<'_>,
        plan: &Planned,
        answers: &AnswersFrom,
        emitter: &mut Emitter,
    ) -> Result<Ended, StepError> {
        let report = self
            .session
            .install(prepared, plan, answers, Some(self.dir), emitter)?;
        let (good, bad) = plan.after();
        Ok(match report.result {
            Outcome::Ok => Ended {
                report,
                exit: Exit::Done,
                after: good,
            },
            _ => Ended {
                report,
                exit: Exit::Failed,
                after: bad,
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

fn warn(emitter: &mut Emitter, message: String) {
    emitter.emit(EventKind::Warning {
        step: None,
        message,
    });
}

fn ended(report: Report, after: After) -> Ended {
    let exit = match report.result {
        Outcome::Ok => Exit::Done,
        _ => Exit::Failed,
    };
    Ended {
        report,
        exit,
        after,
    }
}
