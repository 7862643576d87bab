//! One installation from choices to report: what the command line and the live system share.

use crate::choices::Choices;
use crate::laydown::{self, Machine, Origin};
use crate::license_check;
use crate::plan::{self, About, Judge, PlanProblem, PlanProblems, Planned, SourcePlan};
use crate::release_source::{self, ImageRoot, MountedImage, SOURCE_DIR};
use crate::run_dir::RunDir;
use crate::upgrade;
use crate::webhook::Webhook;
use hcl_checker::facts::Facts;
use release::{OpenRelease, Policy, Repository, Source};
use serde::Serialize;
use slots::BootRecord;
use slots::names::{CMDLINE_EXPECT_PLAN, ISO_REPOSITORY};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;
use steps::event::{EventKind, Outcome};
use steps::report::Heading;
use steps::step::error_chain;
use steps::system::System;
use steps::{Emitter, Report, StepError};

/// What does not change during a run.
pub struct Session<'a> {
    /// Commands and files.
    pub system: &'a dyn System,
    /// Disks.
    pub machine: &'a dyn Machine,
    /// Root of the medium (or of its copy in memory).
    pub medium: PathBuf,
    /// Public root that releases are signed under.
    pub trusted_root: PathBuf,
    /// What the initrd did; none outside of a Bedplate system.
    pub boot: Option<BootRecord>,
    /// The kernel command line.
    pub command_line: String,
}

/// Where the answers came from, for the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AnswersFrom {
    /// The place, without secrets.
    pub place: String,
    /// SHA-256 of the file; none for an interview.
    pub sha256: Option<String>,
}

/// What a plan is built from, apart from the choices.
pub struct Prepared<'a> {
    /// What will be laid down.
    pub release: OpenRelease,
    /// The machine.
    pub facts: Facts,
    /// The list, and the drivers of the release.
    pub judge: Judge,
    /// The root image of a release that is not the medium's.
    pub image: Option<MountedImage<'a>>,
}

/// What belongs in the report besides the steps.
#[derive(Serialize)]
struct Extras<'a> {
    answers: &'a AnswersFrom,
    plan: &'a Planned,
    boot: Option<&'a BootRecord>,
    metadata_expired: Option<&'a str>,
}

impl Prepared<'_> {
    /// Where the tree of the root image is that is laid down.
    fn root(&self) -> ImageRoot {
        self.image
            .as_ref()
            .map_or_else(ImageRoot::running, MountedImage::root)
    }
}

impl<'a> Session<'a> {
    /// Opens the release of the medium: signatures and manifest are verified, artifacts by the first step.
    pub fn open_release(&self) -> Result<OpenRelease, StepError> {
        let root = self.system.read_file(&self.trusted_root)?;
        let source = Source::Directory(self.medium.join(ISO_REPOSITORY));
        Ok(Repository::open(&root, &source, &Policy::medium())?)
    }

    /// The release of the medium, the facts of this machine and the verdict on it.
    pub fn prepare(&self, facts: Facts) -> Result<Prepared<'a>, StepError> {
        let release = self.open_release()?;
        let judge = Judge::load(&ImageRoot::running(), &release.manifest.kernel)?;
        Ok(Prepared {
            release,
            facts,
            judge,
            image: None,
        })
    }

    /// The same with the release that `choices` name: fetched from a server, where they say so.
    pub fn prepare_for(
        &self,
        choices: &Choices,
        facts: Facts,
        pause: &dyn Fn(Duration),
        emitter: &mut Emitter,
    ) -> Result<Prepared<'a>, StepError> {
        let Some(source) = &choices.source else {
            return self.prepare(facts);
        };
        let root = self.system.read_file(&self.trusted_root)?;
        let emitter = RefCell::new(emitter);
        let release = release_source::download(
            self.system,
            source,
            &root,
            Path::new(SOURCE_DIR),
            pause,
            &mut |message| {
                emitter.borrow_mut().emit(EventKind::Note {
                    step: None,
                    message,
                });
            },
            &mut |message| {
                emitter.borrow_mut().emit(EventKind::Warning {
                    step: None,
                    message,
                });
            },
        )?;
        let image = MountedImage::mount(self.system, &release)?;
        let judge = Judge::load(&image.root(), &release.manifest.kernel)?;
        Ok(Prepared {
            release,
            facts,
            judge,
            image: Some(image),
        })
    }

    /// The plan that follows from the choices.
    pub fn plan(
        &self,
        prepared: &Prepared<'_>,
        choices: &Choices,
    ) -> Result<Planned, PlanProblems> {
        let mut plan = plan::decide(&plan::Input {
            release: &prepared.release.manifest,
            facts: &prepared.facts,
            judge: &|disks| prepared.judge.verdict(&prepared.facts, disks),
            choices,
            medium: medium_device(self.boot.as_ref()),
            command_line: &self.command_line,
        })?;
        // The license of a host that is there stays.
        if let (Some(token), Some(_)) = (&choices.license, plan.install()) {
            let warning = license_check::warning(self.system, token.expose(), &prepared.facts);
            plan.warnings_mut().extend(warning);
        }
        let wanted = choices.expect_plan.as_ref().map(|hash| hash.as_str());
        let on_line = self
            .command_line
            .split_ascii_whitespace()
            .filter_map(|word| word.strip_prefix(CMDLINE_EXPECT_PLAN)?.strip_prefix('='));
        for wanted in wanted.into_iter().chain(on_line) {
            expect(&plan, wanted)?;
        }
        Ok(plan)
    }

    /// Does what the plan says, and keeps the report: in `run_dir`, and on the installed host.
    pub fn install(
        &self,
        prepared: &Prepared<'_>,
        plan: &Planned,
        answers: &AnswersFrom,
        run_dir: Option<&RunDir>,
        emitter: &mut Emitter,
    ) -> Result<Report, StepError> {
        let plan_sha256 = plan.hash()?;
        let extras = Extras {
            answers,
            plan,
            boot: self.boot.as_ref(),
            metadata_expired: prepared.release.expired.as_deref(),
        };
        let heading = Heading {
            version: plan.version().to_owned(),
            plan_sha256: plan_sha256.clone(),
            facts: serde_json::to_value(&extras)?,
        };
        for warning in plan.warnings() {
            emitter.emit(EventKind::Warning {
                step: None,
                message: warning.clone(),
            });
        }
        let medium = self.boot.as_ref().and_then(|boot| boot.medium.as_ref());
        let origin = |source: Option<&SourcePlan>| match source {
            Some(source) => Origin::Server(source.url.clone()),
            None => Origin::of_medium(medium),
        };
        let mut report = match plan {
            Planned::Install(plan) => {
                let now = emitter.unix();
                let mut context = laydown::Context::new(
                    plan,
                    plan_sha256,
                    &prepared.release,
                    self.system,
                    self.machine,
                    now,
                );
                context.image = prepared.root();
                context.origin = origin(plan.source.as_ref());
                laydown::steps(plan).run(&mut context, emitter, heading)
            }
            Planned::Upgrade(plan) => {
                let mut context =
                    upgrade::Context::new(plan, &prepared.release, self.system, self.machine);
                context.origin = origin(plan.source.as_ref());
                upgrade::steps().run(&mut context, emitter, heading)
            }
        };
        report
            .warnings
            .splice(0..0, plan.warnings().iter().cloned());
        if let Some(run_dir) = run_dir {
            self.keep(run_dir, plan, &mut report, emitter)?;
        }
        Ok(report)
    }

    /// Lets the webhook have the report. One that does not take it is told of in the report that is kept, on the host too.
    pub fn tell(
        &self,
        webhook: &Webhook,
        plan: &Planned,
        report: &mut Report,
        run_dir: &RunDir,
        emitter: &mut Emitter,
        pause: &dyn Fn(Duration),
    ) -> Result<(), StepError> {
        // It is kept before, as a server that is away takes its time, and power may fail.
        match webhook.report(report, emitter, pause) {
            true => Ok(()),
            false => self.keep(run_dir, plan, report, emitter),
        }
    }

    /// Keeps the report, on the host where there is one.
    fn keep(
        &self,
        run_dir: &RunDir,
        plan: &Planned,
        report: &mut Report,
        emitter: &mut Emitter,
    ) -> Result<(), StepError> {
        run_dir.write_report(report)?;
        if report.result == Outcome::Ok
            && let Err(error) = run_dir.keep_on_host(plan, self.system)
        {
            let message = format!(
                "the report could not be kept on the host: {}",
                error_chain(error.as_ref()).join(": ")
            );
            emitter.emit(EventKind::Warning {
                step: None,
                message: message.clone(),
            });
            report.warnings.push(message);
            run_dir.write_report(report)?;
        }
        Ok(())
    }
}

/// Whether `plan` is the one with the hash `wanted`.
///
/// # Errors
/// When it is another one, which then must not be carried out, and when no hash can tell which disk is meant.
pub fn expect(plan: &Planned, wanted: &str) -> Result<(), PlanProblems> {
    if let Some((disk, twin)) = plan.twins() {
        return Err(PlanProblems(vec![PlanProblem::new(
            About::Disk,
            format!(
                "a plan is expected, and only the paths {disk} and {twin} tell those two disks apart, which another start may exchange"
            ),
            "leave one of the two connected, or do without the hash and see which disk is meant",
        )]));
    }
    let found = plan.hash().unwrap_or_else(|error| error.to_string());
    if found.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    // It may have come from anywhere.
    let clean: String = wanted
        .chars()
        .filter(|c| c.is_ascii_alphanumeric())
        .take(64)
        .collect();
    Err(PlanProblems(vec![PlanProblem::new(
        About::Machine,
        format!("this is not the plan that was expected: its hash is {found}, not {clean}"),
        "see with `installer plan` what changed: answers, machine or release; if it is right, expect its hash",
    )]))
}

/// The report of a run that ended before its first step, which the event stream hears of, too.
pub fn failed_early(
    step: &str,
    version: &str,
    errors: Vec<String>,
    emitter: &mut Emitter,
) -> Report {
    emitter.emit(EventKind::Failed {
        step: step.to_owned(),
        errors: errors.clone(),
    });
    emitter.emit(EventKind::Finished {
        result: Outcome::Failed,
    });
    let heading = Heading {
        version: version.to_owned(),
        ..Heading::default()
    };
    Report::failed_early(heading, emitter.unix(), errors)
}

/// What the initrd left, which must be there and name the medium in the live system: without it the boot medium would be a disk
/// like any other.
///
/// # Errors
/// When the kernel command line says that this is the live system, and the record is missing, unreadable or names no medium.
pub fn boot_record_of(
    system: &dyn System,
    command_line: &str,
) -> anyhow::Result<Option<BootRecord>> {
    let record = boot_record(system);
    let live = format!("{}=live", slots::names::CMDLINE_MODE);
    if command_line.split_whitespace().any(|word| word == live)
        && record.as_ref().is_none_or(|record| record.medium.is_none())
    {
        anyhow::bail!(
            "{} is missing or does not name the boot medium, which must never be installed on; start from the medium again",
            slots::names::BOOT_RECORD
        );
    }
    Ok(record)
}

/// The block device that the medium is.
pub fn medium_device(boot: Option<&BootRecord>) -> Option<&str> {
    boot?.medium.as_ref().map(|medium| medium.device.as_str())
}

/// What the initrd left; none outside of a Bedplate system.
fn boot_record(system: &dyn System) -> Option<BootRecord> {
    let bytes = system
        .read_file(Path::new(slots::names::BOOT_RECORD))
        .ok()?;
    serde_json::from_slice(&bytes).ok()
}
