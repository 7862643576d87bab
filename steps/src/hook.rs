//! Programs of the operator that run in the course of an installation: before it, before the first boot, at the first boot.

use crate::secrets::Secrets;
use crate::step::StepError;
use crate::system::{Command, FileError, Output, RunError, System};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where programs of hooks are put to be run: in memory, readable by root only.
pub const HOOKS_DIR: &str = "/run/bedplate/hooks";
/// In a folder of hooks: the list of them as JSON, in their order. No hook has such a name.
pub const HOOKS_LIST: &str = "hooks.json";
/// Lines of output that a report keeps of each hook. The log has all.
const OUTPUT_LINES: usize = 100;

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// In the live system, when everything is decided and verified, and nothing is written.
    BeforeInstall,
    /// In the live system, when the host is laid down and not yet bootable.
    BeforeFirstBoot,
    /// On the host, once, when it has booted.
    FirstBoot,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::BeforeInstall => "before-install",
            Stage::BeforeFirstBoot => "before-first-boot",
            Stage::FirstBoot => "first-boot",
        })
    }
}

/// A hook, without its program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Its name: lowercase letters, digits and hyphens. Also that of its file.
    pub name: String,
    /// When it runs.
    pub when: Stage,
    /// Seconds after which it is killed, and has failed.
    pub time_limit_s: u64,
    /// True when a failure is a warning, and things go on.
    pub may_fail: bool,
    /// SHA-256 of its program, lowercase hexadecimal.
    pub sha256: String,
}

/// A hook that failed.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// It ended with a bad exit code.
    #[error("the hook {name} ended with exit code {code}{}", last(output))]
    Exit {
        /// Its name.
        name: String,
        /// The code.
        code: i32,
        /// What it printed.
        output: Vec<String>,
    },
    /// It took too long and was killed.
    #[error(
        "the hook {name} did not end within {seconds} s and was killed; make it quicker, or raise its `time_limit`{}",
        last(output)
    )]
    TimeLimit {
        /// Its name.
        name: String,
        /// The limit.
        seconds: u64,
        /// What it printed.
        output: Vec<String>,
    },
    /// It could not be started, or a signal ended it.
    #[error(
        "the hook {name} could not be run; check the first line of its script, which names the program that reads it"
    )]
    Run {
        /// Its name.
        name: String,
        /// Why.
        source: RunError,
    },
    /// Its program could not be put where it runs.
    #[error("the hook {name} could not be made ready")]
    File {
        /// Its name.
        name: String,
        /// Why.
        source: FileError,
    },
}

impl HookError {
    /// What the hook printed before it failed.
    pub fn output(&self) -> &[String] {
        match self {
            HookError::Exit { output, .. } | HookError::TimeLimit { output, .. } => output,
            HookError::Run { .. } | HookError::File { .. } => &[],
        }
    }
}

fn last(output: &[String]) -> String {
    output
        .last()
        .map_or(String::new(), |line| format!(". Its last line: {line}"))
}

impl Hook {
    /// Puts `program` where it runs, runs it with `env`, and takes it away again. Returns the last lines that it printed:
    /// standard output, then standard error. `secrets` are shown nowhere.
    ///
    /// # Errors
    /// When it cannot be run, takes longer than its limit, or ends with another exit code than 0.
    pub fn run(
        &self,
        system: &dyn System,
        program: &[u8],
        env: &[(&str, String)],
        secrets: &Secrets,
    ) -> Result<Vec<String>, HookError> {
        let path = self.place();
        let file = |source| HookError::File {
            name: self.name.clone(),
            source,
        };
        system
            .create_dir_all(Path::new(HOOKS_DIR))
            .and_then(|()| system.set_mode(Path::new(HOOKS_DIR), 0o700))
            .and_then(|()| system.write_file(&path, program, 0o700))
            .map_err(file)?;
        let result = self.run_at(system, &path, env, secrets);
        // It may hold what only root should know, and the memory is needed.
        let removed = system.remove_file(&path).map_err(file);
        let output = result?;
        removed?;
        Ok(output)
    }

    fn place(&self) -> PathBuf {
        Path::new(HOOKS_DIR).join(&self.name)
    }

    fn run_at(
        &self,
        system: &dyn System,
        path: &Path,
        env: &[(&str, String)],
        secrets: &Secrets,
    ) -> Result<Vec<String>, HookError> {
        let mut command = Command::new(path)
            .env("BEDPLATE_STAGE", self.when.to_string())
            // Every code, so that what was printed is there whatever the code is.
            .also_good(&(1..=255).collect::<Vec<_>>())
            .hides(secrets)
            .timeout(Duration::from_secs(self.time_limit_s));
        for (key, value) in env {
            command = command.env(key, value);
        }
        let name = self.name.clone();
        match run_when_free(system, &command) {
            Ok(output) if output.code == 0 => Ok(output.last_lines(OUTPUT_LINES)),
            Ok(output) => Err(HookError::Exit {
                name,
                code: output.code,
                output: output.last_lines(OUTPUT_LINES),
            }),
            Err(RunError::Timeout { stderr, .. }) => Err(HookError::TimeLimit {
                name,
                seconds: self.time_limit_s,
                output: stderr,
            }),
            Err(source) => Err(HookError::Run { name, source }),
        }
    }
}

/// Where another thread starts a program at the same moment, that holds the file open for writing until it runs, and the
/// kernel refuses to run it (ETXTBSY, execve(2)).
fn run_when_free(system: &dyn System, command: &Command) -> Result<Output, RunError> {
    const TRIES: u32 = 20;
    const PAUSE: Duration = Duration::from_millis(50);
    let mut tries = 1;
    loop {
        match system.run(command) {
            Err(RunError::Io { source, .. })
                if source.kind() == io::ErrorKind::ExecutableFileBusy && tries < TRIES =>
            {
                tries += 1;
                std::thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}

/// Hooks with their programs, as they wait in a folder of the host for its first boot.
///
/// # Errors
/// When the list or a program cannot be read, or the list is none.
pub fn read_hooks(system: &dyn System, folder: &Path) -> Result<Vec<(Hook, Vec<u8>)>, StepError> {
    let list = system.read_file(&folder.join(HOOKS_LIST))?;
    let hooks: Vec<Hook> = serde_json::from_slice(&list)?;
    hooks
        .into_iter()
        .map(|hook| {
            let program = system.read_file(&folder.join(&hook.name))?;
            Ok((hook, program))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::error_chain;
    use crate::system::{RealSystem, RecordingSystem};
    use std::sync::{Arc, Mutex};

    fn hook(name: &str) -> Hook {
        Hook {
            name: name.into(),
            when: Stage::BeforeInstall,
            time_limit_s: 1,
            may_fail: false,
            sha256: "00".into(),
        }
    }

    fn secrets() -> Secrets {
        let mut secrets = Secrets::new();
        secrets.add("hunter2");
        secrets
    }

    /// Runs a real script from a folder of its own, since `/run` may not be ours.
    fn run(script: &str) -> (Result<Vec<String>, HookError>, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hook");
        let log = Arc::new(Mutex::new(String::new()));
        let kept = log.clone();
        let system = RealSystem::new(Arc::new(move |line| {
            *kept.lock().unwrap() += &format!("{line}\n");
        }));
        system.write_file(&path, script.as_bytes(), 0o700).unwrap();
        let env = [("BEDPLATE_DISK", "/dev/sda".to_owned())];
        let result = hook("x").run_at(&system, &path, &env, &secrets());
        let log = log.lock().unwrap().clone();
        (result, log)
    }

    #[test]
    fn what_it_prints_is_kept_and_logged_without_secrets() {
        let (output, log) = run(
            "#!/bin/sh\necho $BEDPLATE_STAGE $BEDPLATE_DISK pw=hunter2\necho err hunter2 >&2\nprintf '\\033[1mbold\\n'\n",
        );
        assert_eq!(
            output.unwrap(),
            [
                "before-install /dev/sda pw=(secret)",
                "[1mbold",
                "err (secret)"
            ]
        );
        assert!(
            log.contains("  err (secret)") && log.contains("pw=(secret)"),
            "{log}"
        );
        assert!(!log.contains("hunter2"), "{log}");
    }

    #[test]
    fn a_secret_on_the_seam_of_a_long_line_is_not_logged_either() {
        let (output, log) = run("#!/bin/sh\nhead -c 8188 /dev/zero | tr '\\0' x\necho hunter2\n");
        let shown = output.unwrap().concat() + &log;
        assert!(!shown.contains("hunt") && !shown.contains("er2"), "{log}");
        assert!(log.contains("longer than"), "{log}");
    }

    #[test]
    fn exit_codes_time_limits_and_missing_interpreters_are_failures_with_a_reason() {
        let text = |script: &str| {
            let error = run(script).0.unwrap_err();
            error_chain(&error).join(": ")
        };
        assert_eq!(
            text("#!/bin/sh\necho no license hunter2\nexit 3\n"),
            "the hook x ended with exit code 3. Its last line: no license (secret)"
        );
        assert_eq!(
            text("#!/bin/sh\nexit 1\n"),
            "the hook x ended with exit code 1"
        );
        let slow = text("#!/bin/sh\necho waiting for hunter2 >&2\nsleep 60\n");
        assert_eq!(
            slow,
            "the hook x did not end within 1 s and was killed; make it quicker, or raise its `time_limit`. \
             Its last line: waiting for (secret)"
        );
        let missing = text("#!/bin/no-such-shell\n");
        assert!(
            missing.starts_with("the hook x could not be run; check the first line of its script"),
            "{missing}"
        );
        assert!(text("#!/bin/sh\nkill -9 $$\n").contains("signal 9"));
    }

    #[test]
    fn the_program_is_taken_away_however_it_ends() {
        for code in [0, 7] {
            let system = RecordingSystem::new().fails(
                &format!("BEDPLATE_STAGE=before-install {HOOKS_DIR}/x"),
                code,
                "",
            );
            let result = hook("x").run(&system, b"#!/bin/sh\n", &[], &secrets());
            assert_eq!(result.is_ok(), code == 0);
            assert!(system.content(Path::new(HOOKS_DIR).join("x")).is_none());
            assert_eq!(system.command_lines().len(), 1);
        }
        let system = RecordingSystem::new().breaks(Path::new(HOOKS_DIR).join("x"));
        let error = hook("x").run(&system, b"", &[], &secrets()).unwrap_err();
        assert_eq!(error.to_string(), "the hook x could not be made ready");
        assert!(system.command_lines().is_empty());
    }

    #[test]
    fn hooks_read_back_in_their_order() {
        let list = serde_json::to_vec(&[hook("b"), hook("a")]).unwrap();
        let system = RecordingSystem::new()
            .file("/h/hooks.json", list)
            .file("/h/a", "A")
            .file("/h/b", "B");
        let hooks = read_hooks(&system, Path::new("/h")).unwrap();
        assert_eq!(
            hooks,
            [(hook("b"), b"B".to_vec()), (hook("a"), b"A".to_vec())]
        );
        assert!(read_hooks(&RecordingSystem::new(), Path::new("/h")).is_err());
    }
}
