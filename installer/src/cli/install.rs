//! `installer install`

use super::InstallArgs;
use super::plan::zones;
use super::print::{complain, say};
use crate::answer_source::{Finder, Request, Trust};
use crate::answers::{self, Beside, MachineIdentity};
use crate::exit::Exit;
use crate::installed;
use crate::laydown::RealMachine;
use crate::run_dir::{RUN_DIR, RunDir};
use crate::session::{AnswersFrom, Session, boot_record_of, expect, failed_early};
use crate::webhook::Webhook;
use anyhow::{Context, Result, anyhow};
use hcl_checker::facts::Facts;
use hcl_checker::root::Root;
use std::cell::OnceCell;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use steps::Emitter;
use steps::event::{EventKind, Outcome};
use steps::sink::{Console, FanOut, JsonLines};
use steps::step::error_chain;
use steps::system::RealSystem;

/// Installs on this machine, and lets the webhook of the answers know how it went.
pub fn run(args: &InstallArgs) -> Result<Exit> {
    let dir = RunDir::create(Path::new(RUN_DIR))
        .with_context(|| format!("cannot make {RUN_DIR}; run this as root"))?;
    let system = RealSystem::logging_to(dir.file("install.log")?);
    let mut sinks = FanOut::new()
        .with("events", JsonLines::new(dir.file("events.jsonl")?))
        .with("console", Console::new(io::stderr()));
    if let Some(path) = &args.events {
        let file =
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        sinks.add("events file", JsonLines::new(file));
    }
    let mut emitter = Emitter::new(sinks);
    let command_line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let session = Session {
        system: &system,
        machine: &RealMachine,
        medium: args.medium.medium.clone(),
        trusted_root: args.medium.trusted_root.clone(),
        boot: boot_record_of(&system, &command_line)?,
        command_line,
    };
    let webhook: OnceCell<Webhook> = OnceCell::new();
    // The first failure ends the run: in the event stream, in the report and on the screen.
    let fail =
        |step: &str, errors: Vec<String>, exit: Exit, emitter: &mut Emitter| -> Result<Exit> {
            let mut report = failed_early(step, env!("CARGO_PKG_VERSION"), errors, emitter);
            if let Some(webhook) = webhook.get() {
                webhook.report(&mut report, emitter, &std::thread::sleep);
            }
            dir.write_report(&report)?;
            Ok(exit)
        };

    let request = Request::argument(&args.answers);
    let trust = match Trust::parse(args.answers_pin.as_deref(), args.answers_key.as_deref()) {
        Ok(trust) => trust,
        Err(error) => return fail("answers", error_chain(&error), Exit::Usage, &mut emitter),
    };
    let finder = Finder {
        system: &system,
        machine: &RealMachine,
        pause: &std::thread::sleep,
        trust: &trust,
        live: false,
    };
    let mut tell = |message| {
        emitter.emit(EventKind::Warning {
            step: None,
            message,
        });
    };
    let found = match finder.read(&request, &session.medium, &mut tell) {
        Ok(found) => found,
        Err(error) => return fail("answers", error_chain(&error), Exit::Usage, &mut emitter),
    };
    let message = format!("answers from {}, SHA-256 {}", found.place, found.sha256);
    emitter.emit(EventKind::Note {
        step: None,
        message,
    });
    let mut facts = Facts::read(&Root::system());
    let machine = MachineIdentity::of(&facts);
    let mut choices =
        match answers::read_bytes(&found.content, &found.place, &zones(), Some(&machine)) {
            Ok(choices) => choices,
            Err(problems) => {
                complain(&problems);
                // Whoever waits for this machine hears that its answers are no good.
                if let Some(choice) = answers::webhook_of(&found.content, &machine) {
                    let hook = Webhook::new(&choice, &machine, Arc::new(RealSystem::silent()));
                    webhook.get_or_init(|| hook);
                }
                return fail("answers", problems.lines(), Exit::Usage, &mut emitter);
            }
        };
    if choices.disk.upgrade {
        installed::look(&system, &RealMachine, &mut facts);
    }
    if let Some(choice) = &choices.webhook {
        let webhook =
            webhook.get_or_init(|| Webhook::new(choice, &machine, Arc::new(RealSystem::silent())));
        webhook.listen(&mut emitter);
    }
    let mut beside = Beside {
        signed: found.signed,
        read: &mut |file| {
            finder.beside(&found, file, &mut |message| {
                emitter.emit(EventKind::Warning {
                    step: None,
                    message,
                });
            })
        },
    };
    if let Err(problems) = answers::load_hooks(
        &mut choices,
        &found.content,
        &found.place,
        Some(&machine),
        &mut beside,
    ) {
        complain(&problems);
        return fail("answers", problems.lines(), Exit::Usage, &mut emitter);
    }
    let prepared = match session.prepare_for(&choices, facts, &std::thread::sleep, &mut emitter) {
        Ok(prepared) => prepared,
        Err(error) => {
            return fail(
                "release",
                error_chain(error.as_ref()),
                Exit::Failed,
                &mut emitter,
            );
        }
    };
    let planned = session.plan(&prepared, &choices).and_then(|plan| {
        let wanted = args.expect_plan.as_deref();
        wanted.map_or(Ok(()), |wanted| expect(&plan, wanted))?;
        Ok(plan)
    });
    let plan = match planned {
        Ok(plan) => plan,
        Err(problems) => {
            complain(&problems);
            let exit = if problems.only_verdict() {
                Exit::Refused
            } else {
                Exit::Failed
            };
            return fail("plan", problems.lines(), exit, &mut emitter);
        }
    };
    say(format!("{}Plan {}\n", plan.describe(), plan.hash()?))?;
    if args.dry_run {
        if let Err(error) = prepared.release.verify_all(|_, _, _| {}) {
            return fail(
                "verify-release",
                error_chain(&error),
                Exit::Failed,
                &mut emitter,
            );
        }
        println!("The release is verified. Nothing was written.");
        return Ok(Exit::Done);
    }
    let answers = AnswersFrom {
        place: found.place,
        sha256: Some(found.sha256),
    };
    let mut report = session
        .install(&prepared, &plan, &answers, Some(&dir), &mut emitter)
        .map_err(|error| anyhow!(error))
        .context("cannot keep the report")?;
    if let Some(webhook) = webhook.get() {
        session
            .tell(
                webhook,
                &plan,
                &mut report,
                &dir,
                &mut emitter,
                &std::thread::sleep,
            )
            .map_err(|error| anyhow!(error))
            .context("cannot keep the report")?;
    }
    say(format!("{report}\n"))?;
    Ok(if report.result == Outcome::Ok {
        Exit::Done
    } else {
        Exit::Failed
    })
}
