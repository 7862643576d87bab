//! Installing a license, taking it away, and taking replaced parts into account.

use super::{FOLDER, INSTALLED_FILE, LICENSE_FILE, Look, evaluate, keys, look};
use crate::XeError;
use crate::error::chain;
use license::{Activation, Bundle, Error, Machine, State};
use std::path::Path;
use steps::System;

/// As XenServer calls whatever is wrong with a license file.
fn refused(file: &str, reason: impl Into<String>) -> XeError {
    XeError::failure("LICENSE_PROCESSING_ERROR", reason.into()).with("license-file", file)
}

fn not_written(error: steps::system::FileError) -> XeError {
    XeError::system(&error)
}

/// Installs the license in a file, or the activation record for the license that is installed. One that is forged or for
/// another host is refused, and what was there stays.
pub fn add(system: &dyn System, file: &str, machine: &Machine, now: u64) -> Result<Look, XeError> {
    let text = system
        .read_file(Path::new(file))
        .map_err(|e| refused(file, chain(&e)))?;
    let text = std::str::from_utf8(&text)
        .map_err(|_| refused(file, "The file is not text, so it is no license."))?;
    let tell = |error: Error| refused(file, error.to_string());
    let new = Bundle::read(text, &keys(system).map_err(tell)?).map_err(tell)?;
    if let Some(error) = new.refused.first() {
        return Err(tell(error.clone()));
    }
    let present = look(system, machine, now)
        .bundle
        .and_then(Result::ok)
        .unwrap_or_default();
    let license = new
        .license
        .clone()
        .or(present.license)
        .ok_or_else(|| refused(file, "The file holds activation records alone, and no license is installed that they belong to: add the license first."))?;
    let of_license = |record: &Activation| record.claims().license == license.claims().id;
    if new.license.is_none() && new.activation_for(&license, machine).is_none() {
        return Err(refused(
            file,
            format!(
                "The file has no activation record for license {} and this host: send what `xe host-license-request` prints.",
                license.claims().id
            ),
        ));
    }
    let mut candidate = Bundle {
        activations: new
            .activations
            .into_iter()
            .chain(present.activations)
            .filter(of_license)
            .collect(),
        license: Some(license.clone()),
        refused: Vec::new(),
    };
    // The file of a site may hold the records of a thousand hosts; kept is this one's. Without one, what an earlier look
    // may have recognized this machine by is worth keeping.
    if let Some(ours) = candidate.activation_for(&license, machine).cloned() {
        candidate.activations = vec![ours];
    } else {
        candidate.activations.truncate(1);
    }
    let kept = candidate.activations.first().map(Activation::text);
    let lines: String = [Some(license.text()), kept]
        .into_iter()
        .flatten()
        .map(|token| format!("{token}\n"))
        .collect();
    let looked = evaluate(
        system,
        machine,
        now,
        Some(LICENSE_FILE),
        Some(Ok(candidate)),
    );
    if looked.evaluation.state.state == State::Invalid {
        return Err(refused(file, looked.evaluation.state.reason));
    }
    system
        .create_dir_all(Path::new(FOLDER))
        .map_err(not_written)?;
    // The token lets others have what was paid for: only root reads it.
    system
        .write_file(Path::new(LICENSE_FILE), lines.as_bytes(), 0o600)
        .map_err(not_written)?;
    looked.remember(system).map_err(not_written)?;
    Ok(looked)
}

/// Takes the license away, wherever it is. Without one there is nothing to do, and that is no failure.
pub fn remove(system: &dyn System, machine: &Machine, now: u64) -> Result<Look, XeError> {
    for path in [LICENSE_FILE, INSTALLED_FILE] {
        system.remove_file(Path::new(path)).map_err(not_written)?;
    }
    Ok(look(system, machine, now))
}

/// After parts were replaced: from now on the machine is recognized by those that are there. Only where enough of the old
/// ones still are; else the license is to be activated anew.
pub fn reactivate(system: &dyn System, machine: &Machine, now: u64) -> Result<Look, XeError> {
    let mut looked = look(system, machine, now);
    let evaluation = &mut looked.evaluation;
    let genuine = matches!(&looked.bundle, Some(Ok(bundle)) if bundle.license.is_some());
    let confirmed = genuine
        && evaluation.memory.unconfirmed_since.is_none()
        && evaluation.state.state != State::Invalid;
    if !confirmed {
        return Err(XeError::failure(
            "LICENSE_HOST_NOT_RECOGNIZED",
            format!(
                "This host cannot be confirmed without who issued the license: {}.",
                evaluation.state.reason
            ),
        ));
    }
    evaluation.memory.machine = Some(machine.fingerprint.recorded());
    looked.remember(system).map_err(not_written)?;
    // As it is seen from now on.
    Ok(look(system, machine, now))
}
