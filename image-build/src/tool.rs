//! Running the programs of others: output to a log, the last lines on failure, a missing one named with its package.

use crate::paths::Paths;
use crate::tools_root;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Lines of output that an error repeats.
const LAST_LINES: usize = 15;

/// Debian packages of the programs that run outside the tools root.
const PACKAGES: [(&str, &str); 5] = [
    ("mmdebstrap", "mmdebstrap"),
    ("chroot", "coreutils"),
    ("unshare", "util-linux"),
    ("cargo", "rustup"),
    ("unsquashfs", "squashfs-tools"),
];

/// One run of a program.
#[derive(Debug)]
pub struct Tool<'a> {
    paths: &'a Paths,
    program: String,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
    root: Option<PathBuf>,
    quiet: bool,
}

impl<'a> Tool<'a> {
    /// A program of the machine that builds.
    pub fn host(paths: &'a Paths, program: &str) -> Tool<'a> {
        Tool {
            paths,
            program: program.to_string(),
            args: Vec::new(),
            env: Vec::new(),
            root: None,
            quiet: false,
        }
    }

    /// A program of the Debian 13 tools root, see [`tools_root`].
    pub fn locked(paths: &'a Paths, program: &str) -> Tool<'a> {
        Tool::within(paths, &paths.tools_root(), program)
    }

    /// A program of another Debian root, entered as the tools root is.
    pub fn within(paths: &'a Paths, root: &Path, program: &str) -> Tool<'a> {
        Tool {
            root: Some(root.to_owned()),
            ..Tool::host(paths, program)
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args<I: IntoIterator<Item = S>, S: Into<OsString>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, key: &str, value: impl Into<String>) -> Self {
        self.env.push((key.to_string(), value.into()));
        self
    }

    /// Does not say on the terminal that it runs.
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Runs it and returns what it wrote to standard output.
    ///
    /// # Errors
    /// When the program is missing (with the package that has it), or fails (with its command line, exit status, last
    /// lines and the path of the whole log).
    pub fn run(self) -> Result<String> {
        let started = Instant::now();
        if !self.quiet {
            eprintln!("  {} ...", self.program);
        }
        let logs = self.paths.logs();
        std::fs::create_dir_all(&logs)
            .with_context(|| format!("{} cannot be made", logs.display()))?;
        let log_path = logs.join(format!("{}.log", self.program.replace('/', "_")));
        let mut log = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&log_path)
            .with_context(|| format!("{} cannot be written", log_path.display()))?;
        let mut command = match &self.root {
            Some(root) => tools_root::command(root, &self.paths.workspace, &self.program),
            None => Command::new(&self.program),
        };
        // Who wants a date in a tool's output says so: some refuse it beside arguments that set times.
        command
            .args(&self.args)
            .env_remove("SOURCE_DATE_EPOCH")
            .envs(self.env.iter().map(|(k, v)| (k, v)));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.try_clone()?);
        let shown = self.command_line();
        let mut child = match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let package = PACKAGES
                    .iter()
                    .find(|(p, _)| *p == self.program)
                    .map_or("", |(_, package)| package);
                bail!(
                    "{} is not installed: `apt-get install {package}`, or run ./ci/setup",
                    self.program
                )
            }
            other => other.with_context(|| format!("{shown} did not start"))?,
        };
        let mut output = Vec::new();
        if let Some(mut stdout) = child.stdout.take() {
            stdout.read_to_end(&mut output)?;
        }
        let status = child.wait()?;
        let output = String::from_utf8_lossy(&output).into_owned();
        if !status.success() {
            let tail = last_lines(&mut log, &output);
            bail!(
                "{shown} failed ({status}); its last lines:\n{tail}\nwhole log: {}",
                log_path.display()
            );
        }
        let elapsed = started.elapsed().as_secs_f64();
        if !self.quiet && elapsed >= 1.0 {
            eprintln!("  {} took {elapsed:.1} s", self.program);
        }
        Ok(output)
    }

    fn command_line(&self) -> String {
        let mut line = self.program.clone();
        for arg in &self.args {
            line.push(' ');
            line.push_str(&arg.to_string_lossy());
        }
        line
    }
}

/// The last lines of the log (standard error), and of standard output where the log is empty.
fn last_lines(log: &mut File, output: &str) -> String {
    let mut text = String::new();
    let read = log.seek(SeekFrom::Start(0)).and_then(|_| {
        let mut bytes = Vec::new();
        log.read_to_end(&mut bytes)?;
        text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(())
    });
    if read.is_err() || text.trim().is_empty() {
        text = output.to_string();
    }
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..]
        .iter()
        .map(|l| format!("    {l}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Removes a file or a folder with everything in it, where it exists.
///
/// # Errors
/// When something in it cannot be removed.
pub fn remove_all(path: &Path) -> Result<()> {
    let Ok(meta) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    let removed = if meta.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
    removed.with_context(|| format!("{} cannot be removed", path.display()))
}

/// An empty folder at `path`, whatever was there.
///
/// # Errors
/// When it cannot be emptied or made.
pub fn fresh_dir(path: &Path) -> Result<PathBuf> {
    remove_all(path)?;
    std::fs::create_dir_all(path).with_context(|| format!("{} cannot be made", path.display()))?;
    Ok(path.to_path_buf())
}
