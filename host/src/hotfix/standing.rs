//! What a hotfix is to the host now. Its record says what happened to it; what runs and what starts next say where it is.

use super::{PatchRecord, PatchState, Site, boot_state, patch_uuid};
use crate::XeError;
use crate::local::boot_record_at;
use slots::boot_state::{BootState, Choice};
use slots::{BootRecord, RootIdentity};

/// Where the release of a hotfix is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It runs, and is good.
    Runs,
    /// It runs, and whether it is good is not known yet.
    OnTrial,
    /// The next start of the host tries it.
    Waits,
    /// It is good, and the host goes back to it where what runs is not.
    WayBack,
    /// None of these.
    Apart,
}

impl Standing {
    /// Of the release `root` on a host that runs `boot`; `loader` is none where it cannot be read.
    pub fn of(root: &RootIdentity, boot: &BootRecord, loader: Option<&BootState>) -> Standing {
        let (runs, id) = (boot.root == *root, root.id());
        let Some(loader) = loader else {
            return if runs {
                Standing::Runs
            } else {
                Standing::Apart
            };
        };
        match (runs, loader.good.as_deref() == Some(id)) {
            (true, true) => Standing::Runs,
            (true, false) => Standing::OnTrial,
            _ if loader.choice() == Choice::Try(id) => Standing::Waits,
            (false, true) => Standing::WayBack,
            (false, false) => Standing::Apart,
        }
    }

    /// Why `version` is not applied again, and what is to be done in place of that; none where it may be.
    fn already_applied(self, version: &str) -> Option<String> {
        match self {
            Standing::Runs => Some(format!(
                "This host runs {version} already, so nothing is left to do; `xe host-rollback` goes back to the release before it."
            )),
            Standing::OnTrial => Some(format!(
                "This host runs {version} already, on trial: wait for its health check, which keeps it or goes back \
                 (`systemctl status bedplate-health`)."
            )),
            Standing::Waits => Some(format!(
                "{version} is written and verified already, and the next start of the host tries it: shut the guests down and \
                 restart the host (`xe host-disable`, `xe host-reboot`). `xe host-rollback` takes it back."
            )),
            Standing::WayBack | Standing::Apart => None,
        }
    }

    /// Why the record of `version` must stay, and what takes it out of use; none where it need not.
    fn in_use(self, version: &str) -> Option<String> {
        match self {
            Standing::Runs => Some(format!(
                "The host runs {version}, so its record stays. `xe patch-clean` removes its files, which the host does not need; \
                 `xe host-rollback` goes back to the release before it."
            )),
            Standing::OnTrial => Some(format!(
                "The host runs {version} on trial, so its record stays: wait for its health check, which keeps it or goes back \
                 (`systemctl status bedplate-health`)."
            )),
            Standing::Waits => Some(format!(
                "The next start of the host tries {version}, so its record stays. `xe host-rollback` takes it back; then it can be \
                 destroyed."
            )),
            Standing::WayBack => Some(format!(
                "The host goes back to {version} where the release that runs on trial is not good, so its record stays: wait for the \
                 health check (`systemctl status bedplate-health`)."
            )),
            Standing::Apart => None,
        }
    }
}

/// Refuses to apply what runs or waits already.
pub(super) fn refuse_applied(
    record: &PatchRecord,
    boot: &BootRecord,
    loader: Option<&BootState>,
) -> Result<(), XeError> {
    let standing = Standing::of(&record.root, boot, loader);
    // The last step failed or was cut off when the loader was told already: applying it again finishes.
    let unfinished = matches!(record.state, PatchState::Applying | PatchState::Failed);
    match standing.already_applied(&record.root.version) {
        Some(_) if standing == Standing::Waits && unfinished => Ok(()),
        Some(message) => Err(already_applied(message, &record.uuid)),
        None => Ok(()),
    }
}

fn already_applied(message: String, uuid: &str) -> XeError {
    XeError::failure("PATCH_ALREADY_APPLIED", message).with("uuid", uuid)
}

/// Refuses to forget what is in use.
pub(super) fn refuse_in_use(site: &Site<'_>, record: &PatchRecord) -> Result<(), XeError> {
    let boot = boot_record_at(site.system, &site.places.boot_record);
    let loader = boot_state(&site.places.esp).ok();
    let (version, id) = (&record.root.version, record.root.id());
    let standing = match (&boot, &loader) {
        (Ok(boot), loader) => Standing::of(&record.root, boot, loader.as_ref()),
        // What the next start tries is known without what runs.
        (Err(_), Some(loader)) if loader.choice() == Choice::Try(id) => Standing::Waits,
        (Err(_), _) => Standing::Apart,
    };
    let is_good = |loader: &BootState| loader.good.as_deref() == Some(id);
    let by_record = matches!(
        record.state,
        PatchState::Applied | PatchState::RestartNeeded
    );
    // Then the record is all there is to go by, and that a release is good: it runs, or is the way back.
    let unknown = match (&boot, &loader) {
        (_, None) if by_record => {
            Some("what the boot loader starts next cannot be read. Is the ESP mounted?".to_owned())
        }
        (Err(error), Some(loader)) if by_record || is_good(loader) => Some(format!(
            "what the host runs cannot be read: {error}. It is written anew when the host starts."
        )),
        _ => None,
    };
    let message = standing.in_use(version).or_else(|| {
        let state = record.state.name();
        let message =
            |why| format!("{version} is {state} by its record, which stays, because {why}");
        unknown.map(message)
    });
    message.map_or(Ok(()), |message| Err(is_applied(message, &record.uuid)))
}

fn is_applied(message: String, uuid: &str) -> XeError {
    XeError::failure("PATCH_IS_APPLIED", message).with("uuid", uuid)
}

/// The release that runs, where it is the one with this UUID. It is in the list of hotfixes also where it has no record, because it
/// came with the installation or from a medium.
pub(super) fn running(site: &Site<'_>, uuid: &str) -> Option<BootRecord> {
    boot_record_at(site.system, &site.places.boot_record)
        .ok()
        .filter(|boot| patch_uuid(&boot.root.verity.root_hash).eq_ignore_ascii_case(uuid))
}

/// What is said in place of `error`, which is that there is no record with this UUID, where it is what runs.
pub(super) fn without_record(
    site: &Site<'_>,
    uuid: &str,
    error: XeError,
    wanted: Unrecorded,
) -> XeError {
    let Some(boot) = running(site, uuid) else {
        return error;
    };
    let loader = boot_state(&site.places.esp).ok();
    let version = &boot.root.version;
    match wanted {
        Unrecorded::Apply => Standing::of(&boot.root, &boot, loader.as_ref())
            .already_applied(version)
            .map_or(error, |message| already_applied(message, uuid)),
        Unrecorded::Destroy => is_applied(
            format!(
                "The host runs {version}, which came with its installation or from a medium: there is nothing to forget."
            ),
            uuid,
        ),
    }
}

/// What was to be done with a release that has no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unrecorded {
    /// To apply it, or to see whether that is possible.
    Apply,
    /// To forget it.
    Destroy,
}

/// The state of a hotfix that is taken in: it may be what the host runs.
pub(super) fn state_at_upload(site: &Site<'_>, root: &RootIdentity) -> PatchState {
    let boot = boot_record_at(site.system, &site.places.boot_record);
    let (Ok(boot), Ok(loader)) = (boot, boot_state(&site.places.esp)) else {
        return PatchState::Uploaded;
    };
    match Standing::of(root, &boot, Some(&loader)) {
        Standing::Runs => PatchState::Applied,
        // The health check decides, as about one that was applied.
        Standing::OnTrial => PatchState::RestartNeeded,
        Standing::Waits | Standing::WayBack | Standing::Apart => PatchState::Uploaded,
    }
}
