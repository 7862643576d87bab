//! One end-to-end case while it runs: its folder of evidence, its phases with their times, its messages.

use crate::accelerator::Accelerator;
use crate::machine::Machine;
use crate::qemu::Spec;
use crate::timings::Timings;
use crate::tools_root::ToolsRoot;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What all cases of a run share.
#[derive(Debug, Clone)]
pub struct Bench {
    /// The checkout.
    pub workspace: Workspace,
    /// Where QEMU is.
    pub tools: ToolsRoot,
    /// How guests run.
    pub accelerator: Accelerator,
    /// Waits are this many times longer than usual.
    pub patience: u32,
    /// Take the disk that an earlier run installed, where there is one.
    pub reuse_install: bool,
    /// At how many moments the power goes, where a case is about that.
    pub moments: usize,
    /// What random choices begin with.
    pub seed: u64,
}

impl Bench {
    /// `seconds` as on hardware, stretched for emulation and for the patience that was asked for.
    pub fn limit(&self, seconds: u64) -> Duration {
        Duration::from_secs(seconds) * self.accelerator.slowness() * self.patience
    }
}

/// A case that runs.
#[derive(Debug)]
pub struct Run<'b> {
    /// What all cases share.
    pub bench: &'b Bench,
    name: &'static str,
    dir: PathBuf,
    timings: Timings,
    /// What went wrong without ending the case.
    wrong: Vec<anyhow::Error>,
    /// Held as long as the case runs.
    _lock: File,
}

impl<'b> Run<'b> {
    /// Begins a case with an empty folder, but for what `reuse_install` keeps.
    ///
    /// # Errors
    /// When the folder cannot be emptied or made, or the same case already runs in this checkout.
    pub fn begin(bench: &'b Bench, name: &'static str) -> Result<Run<'b>> {
        let dir = bench.workspace.case(name);
        std::fs::create_dir_all(&dir)
            .with_context(|| format!("{} cannot be made", dir.display()))?;
        let lock =
            File::create(dir.with_extension("lock")).context("the case's lock cannot be made")?;
        if lock.try_lock().is_err() {
            bail!("the case {name} already runs in this checkout: wait for it, or end it");
        }
        for entry in std::fs::read_dir(&dir)? {
            let path = entry?.path();
            let kept = path
                .file_name()
                .is_some_and(|file| KEPT.iter().any(|kept| file == *kept));
            if !(bench.reuse_install && kept) {
                std::fs::remove_file(&path)
                    .with_context(|| format!("{} cannot be removed", path.display()))?;
            }
        }
        Ok(Run {
            bench,
            name,
            dir,
            timings: Timings::new(name, bench.accelerator.name()),
            wrong: Vec::new(),
            _lock: lock,
        })
    }

    /// Does `work` as a phase: its time is kept, and printed when it is done.
    ///
    /// # Errors
    /// What `work` fails with, with the name of the phase.
    pub fn phase<T>(&mut self, name: &str, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let started = Instant::now();
        let result = work(self);
        let seconds = started.elapsed().as_secs_f64();
        let mark = if result.is_ok() { "" } else { "  FAILED" };
        println!("[{}] {seconds:7.1} s  {name}{mark}", self.name);
        self.timings.add(name, seconds);
        self.timings.write(&self.file("times.json"))?;
        result.with_context(|| format!("phase `{name}`"))
    }

    /// Does `work` as a phase that others do not depend on: where it fails the case goes on, and fails at its end. A case
    /// takes minutes; one run tells everything that is wrong.
    ///
    /// # Errors
    /// Only when the times cannot be written.
    pub fn look(&mut self, name: &str, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if let Err(error) = self.phase(name, work) {
            self.note(&format!("{error:#}"));
            self.wrong.push(error);
        }
        Ok(())
    }

    /// How the case ended, when its own `result` is known.
    ///
    /// # Errors
    /// What ended it, or all that went wrong in its looks; or the times cannot be written.
    pub fn end(&mut self, result: Result<()>) -> Result<()> {
        let mut wrong: Vec<String> = self
            .wrong
            .drain(..)
            .map(|error| format!("{error:#}"))
            .collect();
        wrong.extend(result.err().map(|error| format!("{error:#}")));
        if wrong.is_empty() {
            self.timings.passed = true;
            return self.timings.write(&self.file("times.json"));
        }
        bail!("{}", wrong.join("\n"))
    }

    /// Says something on the way.
    pub fn note(&self, text: &str) {
        for line in text.lines() {
            println!("[{}]            {line}", self.name);
        }
    }

    /// The folder of evidence.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file in the folder of evidence.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Starts a machine; its logs are named after `name`.
    ///
    /// # Errors
    /// When QEMU does not start.
    pub fn start(&self, spec: &Spec, name: &str) -> Result<Machine> {
        Machine::start(
            &self.bench.tools,
            self.bench.accelerator,
            spec,
            &self.dir,
            name,
        )
    }

    /// Keeps a picture of the machine's screen as `NAME.png`.
    ///
    /// # Errors
    /// When QEMU cannot take it.
    pub fn screenshot(&self, machine: &mut Machine, name: &str) -> Result<()> {
        machine
            .qmp
            .screenshot(&self.file(&format!("{}.png", name.replace(' ', "-"))))
    }

    /// The phases so far.
    pub fn timings(&self) -> &Timings {
        &self.timings
    }
}

/// What is left from an install and can be used again.
pub const KEPT: [&str; 10] = [
    "installed.raw",
    "second.raw",
    "third.raw",
    "installed.variables",
    "id_ed25519",
    "id_ed25519.pub",
    // What a machine wrote while a hotfix was applied: see `cases::power_cuts`.
    "before.raw",
    "writes.log",
    "recording.json",
    "next.hotfix",
];
