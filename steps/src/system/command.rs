//! A command to run, and what came of it.

use super::package_of;
use crate::secrets::Secrets;
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Debug, Display};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a command may take unless it says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);
/// Lines of standard error that an error carries.
const ERROR_LINES: usize = 12;
/// Characters of such a line.
const ERROR_LINE_CHARS: usize = 400;

/// A command: a program and its arguments, never a shell line.
///
/// Arguments and environment are logged and appear in errors: a secret goes through
/// [`secret_stdin`](Self::secret_stdin) or a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) stdin: Vec<u8>,
    pub(super) secret_stdin: bool,
    pub(super) secret_stdout: bool,
    pub(super) secrets: Secrets,
    pub(super) timeout: Duration,
    pub(super) good: Vec<i32>,
    pub(super) stop: Option<Stop>,
    pub(super) dies_with_us: bool,
}

/// Set when a command is to end before it is done.
#[derive(Clone, Copy)]
pub(super) struct Stop(&'static AtomicBool);

impl Stop {
    pub(super) fn is_set(self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl PartialEq for Stop {
    fn eq(&self, other: &Stop) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Stop {}

impl Command {
    /// `program` is looked up in PATH unless it has a slash. Runs with `LC_ALL=C`, so that messages can be read.
    pub fn new(program: impl Into<OsString>) -> Self {
        Command {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            stdin: Vec::new(),
            secret_stdin: false,
            secret_stdout: false,
            secrets: Secrets::new(),
            timeout: DEFAULT_TIMEOUT,
            good: vec![0],
            stop: None,
            dies_with_us: false,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args<I: IntoIterator<Item: Into<OsString>>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the environment.
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Gives bytes on standard input (nothing otherwise).
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Gives bytes on standard input that are never logged or shown.
    pub fn secret_stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.secret_stdin = true;
        self.stdin(bytes)
    }

    /// Keeps what the command prints on standard output out of the log: it is a key or a password.
    pub fn secret_stdout(mut self) -> Self {
        self.secret_stdout = true;
        self
    }

    /// Takes these texts out of everything that it prints, before that is logged, returned or put into an error. For programs
    /// of others, which may print what they were not meant to.
    pub fn hides(mut self, secrets: &Secrets) -> Self {
        self.secrets = secrets.clone();
        self
    }

    /// Sets how long it may take; it and its children are killed after that.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// It and its children are killed as soon as `flag` is set.
    pub fn stops_when(mut self, flag: &'static AtomicBool) -> Self {
        self.stop = Some(Stop(flag));
        self
    }

    /// It is killed when this process ends, however that happens, be it by SIGKILL: for what writes to something that this process
    /// has a lock on. Programs that it starts are not.
    pub fn dies_with_us(mut self) -> Self {
        self.dies_with_us = true;
        self
    }

    /// How long it may take.
    pub fn limit(&self) -> Duration {
        self.timeout
    }

    /// Exit codes that are no failure besides 0: 1 of `e2fsck` (errors corrected).
    pub fn also_good(mut self, codes: &[i32]) -> Self {
        self.good.extend(codes);
        self
    }

    /// The program.
    pub fn program(&self) -> &OsStr {
        &self.program
    }

    /// The arguments as text.
    pub fn args_text(&self) -> Vec<String> {
        self.args
            .iter()
            .map(|a| a.to_string_lossy().into_owned())
            .collect()
    }

    /// What it printed, without what it must not show.
    pub(super) fn hidden(&self, mut output: Output) -> Output {
        if !self.secrets.is_empty() {
            for stream in [&mut output.stdout, &mut output.stderr] {
                // Where it was cut off, a secret may have been cut as well.
                if stream.len() == Output::MAX {
                    let end = stream.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
                    stream.truncate(end);
                }
                *stream = self
                    .secrets
                    .hide(&String::from_utf8_lossy(stream))
                    .into_bytes();
            }
        }
        output
    }

    /// The bytes for standard input.
    pub fn stdin_bytes(&self) -> &[u8] {
        &self.stdin
    }
}

/// The command line as a shell would take it. Never the standard input.
impl Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, value) in &self.env {
            write!(f, "{}={} ", key.to_string_lossy(), quote(value))?;
        }
        write!(f, "{}", quote(&self.program))?;
        self.args
            .iter()
            .try_for_each(|arg| write!(f, " {}", quote(arg)))
    }
}

impl Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = if self.secret_stdin { " (secret)" } else { "" };
        write!(
            f,
            "Command({self}, {} bytes of stdin{secret})",
            self.stdin.len()
        )
    }
}

fn quote(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// What a command printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Its exit code: one of those that are good.
    pub code: i32,
    /// Standard output, the first [`Output::MAX`] bytes.
    pub stdout: Vec<u8>,
    /// Standard error, the first [`Output::MAX`] bytes.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Bytes kept of each stream.
    pub const MAX: usize = 8 * 1024 * 1024;

    /// Standard output as text without the white space around it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }

    /// The last `count` lines of standard output, and then of standard error, `count` in all, without control characters.
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let mut lines = last_lines(&self.stdout, count);
        lines.extend(last_lines(&self.stderr, count));
        lines.split_off(lines.len().saturating_sub(count))
    }
}

/// Shows how much there is, not what: it may be a secret.
impl Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Output {
            code,
            stdout,
            stderr,
        } = self;
        write!(
            f,
            "Output(code {code}, {} bytes of stdout, {} of stderr)",
            stdout.len(),
            stderr.len()
        )
    }
}

/// A command that failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The program does not exist.
    #[error("`{program}` is not installed{}", package.map_or(String::new(), |p| format!("; it is in the Debian package {p}")))]
    Missing {
        /// The program.
        program: String,
        /// The Debian package that has it, where known.
        package: Option<&'static str>,
    },
    /// It could not be started, or its output not be read.
    #[error("cannot run `{command}`")]
    Io {
        /// The command line.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// It ended with a bad status.
    #[error("`{command}` ended with {status}{}", tail(stderr))]
    Failed {
        /// The command line.
        command: String,
        /// `exit code 1`, `signal 9`.
        status: String,
        /// Its exit code, unless a signal ended it.
        code: Option<i32>,
        /// The last lines that it wrote to standard error (standard output when there are none).
        stderr: Vec<String>,
    },
    /// It took too long and was killed.
    #[error("`{command}` did not end within {} s and was killed{}", limit.as_secs(), tail(stderr))]
    Timeout {
        /// The command line.
        command: String,
        /// The limit.
        limit: Duration,
        /// The last lines that it wrote to standard error.
        stderr: Vec<String>,
    },
}

impl RunError {
    /// For a command that could not be started.
    pub(super) fn start(command: &Command, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => {
                let program = command.program.to_string_lossy().into_owned();
                RunError::Missing {
                    package: package_of(&program),
                    program,
                }
            }
            _ => RunError::Io {
                command: command.to_string(),
                source,
            },
        }
    }

    /// For a command that ended badly. `output.code` is not looked at.
    pub(super) fn failed(
        command: &Command,
        status: String,
        code: Option<i32>,
        output: &Output,
    ) -> Self {
        RunError::Failed {
            command: command.to_string(),
            status,
            code,
            stderr: last_words(command, output),
        }
    }
}

fn tail(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n    {line}")).collect()
}

/// The last lines of standard error, or of standard output when there are none and it is no secret.
pub(super) fn last_words(command: &Command, output: &Output) -> Vec<String> {
    let stderr = last_lines(&output.stderr, ERROR_LINES);
    if stderr.is_empty() && !command.secret_stdout {
        last_lines(&output.stdout, ERROR_LINES)
    } else {
        stderr
    }
}

fn last_lines(bytes: &[u8], count: usize) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let visible = |line: &str| -> String {
        line.trim_end()
            .chars()
            .filter(|c| !c.is_control())
            .take(ERROR_LINE_CHARS)
            .collect()
    };
    // Progress bars overwrite their line with carriage returns: only what stood there last counts.
    let mut lines: Vec<_> = text
        .lines()
        .rev()
        .map(|line| visible(line.trim_end().rsplit('\r').next().unwrap_or(line)))
        .filter(|line| !line.is_empty())
        .take(count)
        .collect();
    lines.reverse();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_can_be_pasted_and_hold_no_secret() {
        let command = Command::new("chpasswd")
            .args(["-e", "it's", "a b", "", "$x"])
            .env("LANG", "C")
            .secret_stdin("root:hunter2");
        assert_eq!(
            command.to_string(),
            r"LANG=C chpasswd -e 'it'\''s' 'a b' '' '$x'"
        );
        assert!(!format!("{command:?}").contains("hunter2"));
    }

    #[test]
    fn a_missing_program_names_its_package() {
        let missing = |program: &str| {
            RunError::start(
                &Command::new(program),
                io::Error::from(io::ErrorKind::NotFound),
            )
            .to_string()
        };
        assert_eq!(
            missing("mkfs.vfat"),
            "`mkfs.vfat` is not installed; it is in the Debian package dosfstools"
        );
        assert_eq!(missing("frobnicate"), "`frobnicate` is not installed");
    }

    #[test]
    fn errors_carry_the_last_lines_without_control_characters() {
        let stderr: String = (0..30).map(|i| format!("line {i}\u{1b}[0m\n")).collect();
        let output = Output {
            stderr: (stderr + "10 %\r20 %\rfailed\r\n\n").into_bytes(),
            ..Output::default()
        };
        let error = RunError::failed(&Command::new("x"), "exit code 1".into(), Some(1), &output)
            .to_string();
        assert!(
            error.starts_with("`x` ended with exit code 1\n    line 19[0m\n"),
            "{error}"
        );
        assert!(error.ends_with("\n    failed"), "{error}");
    }

    #[test]
    fn standard_output_stands_in_unless_it_is_secret() {
        let output = Output {
            stdout: b"no room\n".to_vec(),
            ..Output::default()
        };
        assert_eq!(last_words(&Command::new("x"), &output), ["no room"]);
        assert!(last_words(&Command::new("x").secret_stdout(), &output).is_empty());
        assert!(!format!("{output:?}").contains("room"));
    }
}
