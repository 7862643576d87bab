//! The last word of the live installer: whatever fails outside of the steps, a defect of this program too, is told and kept.

use crate::after::follow;
use crate::choices::After;
use crate::consoles::Consoles;
use crate::exit::Exit;
use crate::run_dir::RunDir;
use crate::session::failed_early;
use std::any::Any;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use steps::sink::FanOut;
use steps::step::error_chain;
use steps::system::System;
use steps::{Emitter, StepError};

/// Does `work`. Where it fails or panics, the reason goes to the consoles and into the report in `folder`, and shells open.
pub fn guarded(
    consoles: &Consoles,
    folder: &Path,
    system: &dyn System,
    work: impl FnOnce() -> Result<Exit, StepError>,
) -> Result<Exit, StepError> {
    let error = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(exit)) => return Ok(exit),
        Ok(Err(error)) => error,
        Err(panic) => format!("the installer has a defect: {}", said(panic.as_ref())).into(),
    };
    let mut consoles = consoles.clone();
    let errors = error_chain(error.as_ref());
    writeln!(
        consoles,
        "\nBedplate is NOT installed. Log, events and report are in {}.",
        folder.display()
    )?;
    for line in &errors {
        writeln!(consoles, "  {line}")?;
    }
    // The folder may be what failed; the consoles have the reason in any case.
    let mut silent = Emitter::new(FanOut::new());
    let report = failed_early("installer", env!("CARGO_PKG_VERSION"), errors, &mut silent);
    let kept = RunDir::create(folder).and_then(|dir| dir.write_report(&report));
    if let Err(error) = kept {
        writeln!(consoles, "The report cannot be written: {error}.")?;
    }
    follow(After::Shell, system, &mut consoles)?;
    Ok(Exit::Failed)
}

/// The message of a panic.
fn said(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it gave no reason")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn whatever_fails_is_told_reported_and_ends_in_a_shell() {
        for (reason, is_defect) in [("a defect: slot 3 of 2", true), ("no boot record", false)] {
            let work = || match is_defect {
                true => panic!("slot {} of 2", 3),
                false => Err("no boot record".into()),
            };
            let dir = tempfile::tempdir().unwrap();
            let console = dir.path().join("console");
            fs::write(&console, "").unwrap();
            let system = steps::RecordingSystem::new();
            let consoles = Consoles::open([console.clone()]);
            let folder = dir.path().join("install");
            let exit = guarded(&consoles, &folder, &system, work).unwrap();
            assert_eq!(exit, Exit::Failed);
            let shown = fs::read_to_string(&console).unwrap();
            assert!(
                shown.contains("NOT installed") && shown.contains(reason),
                "{shown}"
            );
            let report = fs::read_to_string(folder.join("report.json")).unwrap();
            assert!(report.contains(reason), "{report}");
            assert!(system.command_lines()[0].contains("bedplate-shell@"));
        }
        let dir = tempfile::tempdir().unwrap();
        let system = steps::RecordingSystem::new();
        let consoles = Consoles::open([]);
        let exit = guarded(&consoles, dir.path(), &system, || Ok(Exit::Done)).unwrap();
        assert_eq!((exit, system.command_lines().len()), (Exit::Done, 0));
    }
}
