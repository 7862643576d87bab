//! The hooks of the first boot: programs of the operator that the installer left here, each run once.
//!
//! What is done is taken off the list before the next one starts, so that a restart in between goes on where it was. One
//! that is cut off, by a loss of power or because it restarts the host itself, is run once more and no further.

use serde::{Deserialize, Serialize};
use slots::names::{FIRST_BOOT_HOOKS, FIRST_BOOT_REPORT, STATE_MOUNT};
use std::path::{Path, PathBuf};
use steps::hook::{HOOKS_LIST, Hook, read_hooks};
use steps::report::Heading;
use steps::step::error_chain;
use steps::{Emitter, Report, Reporter, Runner, Secrets, Step, StepError, System};

/// In the folder of the hooks: which one runs. No hook has such a name.
const RUNNING: &str = "running.json";
/// How often one is started at most.
const STARTS: u32 = 2;
/// What a program may print and nobody should read.
const SHADOW: &str = "/etc/shadow";
const LICENSE: &str = "/etc/bedplate/license.token";

/// The hook that runs, or ran when the host went down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Running {
    name: String,
    starts: u32,
}

/// What the steps share.
struct Context<'a> {
    system: &'a dyn System,
    folder: PathBuf,
    /// Those that are not done, in their order.
    left: Vec<Hook>,
    secrets: Secrets,
}

/// Runs one hook.
struct RunHook {
    hook: Hook,
    program: Vec<u8>,
}

/// A hook that never came to its end.
#[derive(Debug, thiserror::Error)]
#[error(
    "the hook {name} was cut off {STARTS} times, by a restart or a loss of power, and is not started again; \
     a hook that restarts the host must be able to tell that it did"
)]
struct CutOffError {
    name: String,
}

impl Step<Context<'_>> for RunHook {
    fn id(&self) -> String {
        format!("hook-{}", self.hook.name)
    }

    fn title(&self) -> String {
        format!("Run the hook {} of the first boot", self.hook.name)
    }

    fn run(
        &mut self,
        context: &mut Context<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), StepError> {
        let result = self.attempt(context, reporter);
        context.left.retain(|hook| hook.name != self.hook.name);
        context.write_list()?;
        let program = context.folder.join(&self.hook.name);
        context.system.remove_file(&program)?;
        context.system.remove_file(&context.folder.join(RUNNING))?;
        match result {
            Err(error) if self.hook.may_fail => {
                reporter.warn(error_chain(error.as_ref()).join(": "));
                Ok(())
            }
            result => result,
        }
    }
}

impl RunHook {
    fn attempt(&self, context: &Context<'_>, reporter: &mut Reporter<'_>) -> Result<(), StepError> {
        let name = self.hook.name.clone();
        let running = context.folder.join(RUNNING);
        let before = context
            .system
            .read_file(&running)
            .ok()
            .and_then(|json| serde_json::from_slice::<Running>(&json).ok())
            .filter(|running| running.name == name)
            .map_or(0, |running| running.starts);
        if before >= STARTS {
            return Err(CutOffError { name }.into());
        }
        let starts = before + 1;
        let json = serde_json::to_vec(&Running { name, starts })?;
        context.system.write_file(&running, &json, 0o600)?;
        let env = [("BEDPLATE_START", starts.to_string())];
        let result = self
            .hook
            .run(context.system, &self.program, &env, &context.secrets);
        match result {
            Ok(output) => reporter.output(output),
            Err(error) => {
                reporter.output(error.output().iter().cloned());
                return Err(error.into());
            }
        }
        Ok(())
    }
}

impl Context<'_> {
    fn write_list(&self) -> Result<(), StepError> {
        let list = serde_json::to_vec_pretty(&self.left)?;
        Ok(self
            .system
            .write_file(&self.folder.join(HOOKS_LIST), &list, 0o600)?)
    }
}

/// Runs the hooks that wait, and keeps the report. None where no hook waits.
///
/// The programs are removed in any case: they may hold secrets, and none is run at a second boot because another failed.
///
/// # Errors
/// When list or report cannot be read or written.
pub fn run(system: &dyn System, emitter: &mut Emitter) -> Result<Option<Report>, StepError> {
    let folder = Path::new(STATE_MOUNT).join(FIRST_BOOT_HOOKS);
    if !system.exists(&folder.join(HOOKS_LIST)) {
        return Ok(None);
    }
    let hooks = read_hooks(system, &folder)?;
    let mut context = Context {
        system,
        folder: folder.clone(),
        left: hooks.iter().map(|(hook, _)| hook.clone()).collect(),
        secrets: secrets(system),
    };
    let mut runner = Runner::new();
    for (hook, program) in hooks {
        runner.add(RunHook { hook, program });
    }
    let heading = Heading {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..Heading::default()
    };
    let mut report = runner.run(&mut context, emitter, heading);
    // What was done before a restart.
    let path = Path::new(STATE_MOUNT).join(FIRST_BOOT_REPORT);
    let before = system.read_file(&path).ok();
    let before = before.and_then(|json| Report::parse(&String::from_utf8_lossy(&json)).ok());
    if let Some(mut before) = before {
        before.steps.append(&mut report.steps);
        before.warnings.append(&mut report.warnings);
        report.steps = before.steps;
        report.warnings = before.warnings;
        report.started_unix = before.started_unix;
    }
    system.write_file(&path, report.to_json()?.as_bytes(), 0o600)?;
    for hook in &context.left {
        system.remove_file(&folder.join(&hook.name))?;
    }
    system.remove_file(&folder.join(HOOKS_LIST))?;
    Ok(Some(report))
}

fn secrets(system: &dyn System) -> Secrets {
    let text = |path: &str| {
        let bytes = system.read_file(Path::new(path)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let mut secrets = Secrets::new();
    // name:hash:...; a locked account has `*` or `!`, which are too short to be hidden.
    for line in text(SHADOW).lines() {
        secrets.add(line.split(':').nth(1).unwrap_or_default());
    }
    for line in text(LICENSE).lines() {
        secrets.add(line.trim());
    }
    secrets
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps::RecordingSystem;
    use steps::event::Outcome;
    use steps::hook::{HOOKS_DIR, Stage};
    use steps::sink::{Collect, FanOut};

    const FOLDER: &str = "/state/bedplate/first-boot";
    const HASH: &str = "$6$saltsalt$TVLlQcbpFV";

    fn waiting(names: &[(&str, bool)]) -> RecordingSystem {
        let hooks: Vec<Hook> = names
            .iter()
            .map(|(name, may_fail)| Hook {
                name: (*name).into(),
                when: Stage::FirstBoot,
                time_limit_s: 60,
                may_fail: *may_fail,
                sha256: "00".into(),
            })
            .collect();
        let mut system = RecordingSystem::new()
            .file(
                format!("{FOLDER}/hooks.json"),
                serde_json::to_vec(&hooks).unwrap(),
            )
            .file(SHADOW, format!("root:{HASH}:1::::::\ndaemon:*:1::::::\n"))
            .file(LICENSE, "v4.public.s3cret\n");
        for (name, _) in names {
            system = system.file(format!("{FOLDER}/{name}"), "#!/bin/sh\n");
        }
        system
    }

    fn line(name: &str, start: u32) -> String {
        format!("BEDPLATE_STAGE=first-boot BEDPLATE_START={start} {HOOKS_DIR}/{name}")
    }

    fn run_on(system: &RecordingSystem) -> (Option<Report>, String) {
        let collect = Collect::new();
        let mut emitter = Emitter::new(FanOut::new().with("all", collect.clone()));
        let report = run(system, &mut emitter).unwrap();
        let events = collect.events();
        let lines = events.iter().map(|event| event.to_line().unwrap());
        (report, lines.collect::<Vec<_>>().join("\n"))
    }

    fn kept(system: &RecordingSystem) -> String {
        let report = system.content("/state/bedplate/install/first-boot.json");
        String::from_utf8(report.unwrap()).unwrap()
    }

    fn nothing_waits(system: &RecordingSystem) {
        assert!(run_on(system).0.is_none(), "they wait for another boot");
        assert!(
            system.list_dir(Path::new(FOLDER)).is_err(),
            "files are left"
        );
    }

    #[test]
    fn each_runs_once_in_order_and_nothing_is_left() {
        let system = waiting(&[("b", false), ("a", false)]).prints(
            &line("b", 1),
            &format!("token v4.public.s3cret\n{HASH}\ndone\n"),
        );
        let (report, events) = run_on(&system);
        let report = report.unwrap();
        assert_eq!(report.result, Outcome::Ok, "{report}");
        assert_eq!(system.command_lines(), [line("b", 1), line("a", 1)]);
        assert_eq!(
            report.steps[0].output,
            ["token (secret)", "(secret)", "done"]
        );
        for text in [events, kept(&system), report.to_string()] {
            assert!(
                !text.contains("s3cret") && !text.contains("TVLlQ"),
                "{text}"
            );
        }
        nothing_waits(&system);
    }

    #[test]
    fn a_failure_stops_those_behind_it_unless_it_may_fail() {
        let system = waiting(&[("a", true), ("b", false), ("c", false)])
            .fails(&line("a", 1), 4, "no route")
            .fails(&line("b", 1), 5, "no disk");
        let report = run_on(&system).0.unwrap();
        assert_eq!(report.result, Outcome::Failed);
        assert_eq!(
            report.warnings,
            ["the hook a ended with exit code 4. Its last line: no route"]
        );
        let failed = report.failed_step().unwrap();
        assert_eq!(
            (failed.id.as_str(), failed.errors[0].as_str()),
            (
                "hook-b",
                "the hook b ended with exit code 5. Its last line: no disk"
            )
        );
        assert_eq!(system.command_lines().len(), 2, "c is not run");
        nothing_waits(&system);
    }

    #[test]
    fn one_that_was_cut_off_is_started_once_more_and_then_has_failed() {
        let cut = |starts: u32| {
            waiting(&[("a", false), ("b", false)]).file(
                format!("{FOLDER}/running.json"),
                format!("{{\"name\":\"a\",\"starts\":{starts}}}"),
            )
        };
        let again = cut(1);
        assert_eq!(run_on(&again).0.unwrap().result, Outcome::Ok);
        assert_eq!(again.command_lines(), [line("a", 2), line("b", 1)]);
        let never = cut(2);
        let report = run_on(&never).0.unwrap();
        assert!(
            report.failed_step().unwrap().errors[0].contains("cut off 2 times"),
            "{report}"
        );
        assert!(never.command_lines().is_empty());
        nothing_waits(&never);
    }

    #[test]
    fn the_report_holds_what_was_done_before_a_restart() {
        let first = waiting(&[("a", false)]);
        run_on(&first);
        let second =
            waiting(&[("b", false)]).file("/state/bedplate/install/first-boot.json", kept(&first));
        let report = run_on(&second).0.unwrap();
        let ids: Vec<&str> = report.steps.iter().map(|step| step.id.as_str()).collect();
        assert_eq!(ids, ["hook-a", "hook-b"]);
    }

    #[test]
    fn without_hooks_nothing_happens() {
        let system = RecordingSystem::new();
        assert!(run_on(&system).0.is_none());
        assert!(system.calls().is_empty());
    }
}
