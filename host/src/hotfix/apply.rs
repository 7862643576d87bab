//! Applying a hotfix: the steps, in the order that makes every power cut harmless.
//!
//! The release that runs is never touched, and the boot loader learns of the new one last, when everything of it was read
//! back: until then it starts the old one, and afterwards the new one once.

mod boot_files;
mod slot;
mod tell_loader;
mod verify;

pub(super) use tell_loader::tell_loaders;

use super::{PatchRecord, PatchState, Places, Prepared, Site, internal, lock, precheck};
use crate::XeError;
use crate::health::Baseline;
use steps::report::Heading;
use steps::sink::FanOut;
use steps::{Emitter, Outcome, Reporter, Runner, Step, StepError};

/// A hotfix that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its record now.
    pub record: PatchRecord,
    /// What the steps warned of.
    pub warnings: Vec<String>,
}

/// What the steps share.
pub(super) struct Context<'a> {
    site: Site<'a>,
    places: &'a Places,
    prepared: Prepared,
}

impl Context<'_> {
    fn new_id(&self) -> &str {
        self.prepared.record.root.id()
    }
}

/// Applies the hotfix with that UUID: the next start of the host tries it, once.
///
/// # Errors
/// When it cannot be applied, or a step failed. The host then starts what it starts now, and applying it again begins from
/// the start.
pub fn apply(site: &Site<'_>, uuid: &str, sinks: FanOut) -> Result<Applied, XeError> {
    let _lock = lock(site.system, site.places, "patch-apply")?;
    let prepared = precheck(site, uuid)?;
    let version = prepared.record.root.version.clone();
    let mut record = prepared.record.clone();
    record.become_state(PatchState::Applying, "", site.now);
    record.save(site.system, site.places)?;

    let mut context = Context {
        site: *site,
        places: site.places,
        prepared,
    };
    let heading = Heading {
        version,
        plan_sha256: String::new(),
        facts: serde_json::Value::Null,
    };
    let mut emitter = Emitter::new(sinks);
    let report = steps().run(&mut context, &mut emitter, heading);
    if report.result == Outcome::Ok {
        record.become_state(
            PatchState::RestartNeeded,
            "written and verified; the next start of the host tries it",
            site.now,
        );
        let mut warnings = report.warnings;
        // The try is arranged, and the next start will record what came of it.
        if let Err(error) = record.save(site.system, site.places) {
            warnings.push(format!("`xe patch-list` does not say so: {error}"));
        }
        return Ok(Applied { record, warnings });
    }
    let reason = match report.failed_step() {
        Some(step) => format!("{}: {}", step.title, step.errors.join(": ")),
        None => report.errors.join("; "),
    };
    record.become_state(PatchState::Failed, reason.clone(), site.now);
    // The first error is the one to tell.
    let _ = record.save(site.system, site.places);
    Err(XeError::failure(
        "PATCH_APPLY_FAILED",
        format!(
            "The hotfix was not applied; the host runs and starts what it did before. {reason}"
        ),
    )
    .with("uuid", record.uuid))
}

/// The steps, in order.
fn steps<'s, 'c>() -> Runner<'s, Context<'c>> {
    Runner::new()
        .with(verify::VerifyHotfix)
        .with(tell_loader::ForgetOther)
        .with(slot::WriteSlot)
        .with(boot_files::WriteBootFiles)
        .with(InheritEtc)
        .with(KeepBaseline)
        .with(tell_loader::ArrangeTry)
}

/// There is one slot to write: what waited in it for a restart waits no more.
fn give_up_others(site: &Site<'_>, record: &PatchRecord) -> Result<(), XeError> {
    for mut other in PatchRecord::all(site.system, site.places)? {
        let waits = matches!(
            other.state,
            PatchState::RestartNeeded | PatchState::Applying
        );
        if waits && other.uuid != record.uuid {
            let reason = format!(
                "{} was applied before the host was restarted",
                record.root.version
            );
            other.become_state(PatchState::Uploaded, reason, site.now);
            other.save(site.system, site.places)?;
        }
    }
    Ok(())
}

/// Step: the settings of the host.
struct InheritEtc;

impl Step<Context<'_>> for InheritEtc {
    fn id(&self) -> String {
        "etc".into()
    }

    fn title(&self) -> String {
        "Have the new release start with the settings of this one".into()
    }

    fn run(&mut self, context: &mut Context<'_>, _: &mut Reporter<'_>) -> Result<(), StepError> {
        let from = context.prepared.boot.root.id();
        Ok(super::etc::inherit(&context.site, context.new_id(), from)?)
    }
}

/// Step: what runs on the host.
struct KeepBaseline;

impl Step<Context<'_>> for KeepBaseline {
    fn id(&self) -> String {
        "baseline".into()
    }

    fn title(&self) -> String {
        "Write down which guests run and which storage is there".into()
    }

    fn run(
        &mut self,
        context: &mut Context<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), StepError> {
        let (baseline, unknown) = Baseline::now(context.site.system, context.new_id());
        for what in unknown {
            reporter.warn(what);
        }
        Ok(baseline.save(context.site.system, context.places)?)
    }
}

/// An error that is none of a step's own.
fn wrong(error: &(dyn std::error::Error + 'static)) -> StepError {
    internal(error).into()
}
