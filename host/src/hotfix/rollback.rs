//! Going back by hand.

use super::disk::slots;
use super::etc::Kept;
use super::precheck::boot_state;
use super::{PatchRecord, PatchState, Site, etc, internal, lock, tell_loaders};
use crate::XeError;
use crate::health::Baseline;
use crate::local::boot_record_at;
use crate::terminal::outdated;
use release::BOOT_FILES;
use slots::block::Access;
use slots::verity::root_fits;
use slots::{BootRecord, BootState, RootIdentity};

const CANNOT: &str = "HOST_CANNOT_ROLL_BACK";

/// What going back came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolledBack {
    /// A hotfix that waited for a restart waits no more.
    Canceled {
        /// The version that would have been tried.
        version: String,
        /// What went wrong without being in the way.
        warning: Option<String>,
    },
    /// The next start tries the release that was there before.
    Arranged {
        /// Its version.
        version: String,
        /// What it will start with.
        settings: Settings,
        /// What went wrong without being in the way.
        warning: Option<String>,
    },
}

/// Which /etc the release has that is gone back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settings {
    /// That of the release that runs, as it is by then: guests and settings made since stay.
    Running,
    /// Its own, as it was when the release that runs took its place: for one that spoilt it.
    Old,
}

/// Goes back: takes back a hotfix that waits for a restart, or else has the next start try the release before this one, with
/// the `settings` that are wanted.
///
/// The way back is a try, too: should the old release not come up, the host returns to the one that runs now. With
/// [`Settings::Old`], `agree` is told what that means, and ends it by an error. It may take hours: others may change hotfixes
/// meanwhile, and where what it was told is not true any more, nothing is done.
///
/// # Errors
/// When there is nothing to go back to, it is not whole, or something cannot be written. The host then starts what it did.
pub fn rollback(
    site: &Site<'_>,
    settings: Settings,
    agree: &mut dyn FnMut(&str) -> Result<(), XeError>,
) -> Result<RolledBack, XeError> {
    let agreed = match settings {
        Settings::Running => None,
        Settings::Old => {
            let _lock = lock(site.system, site.places, "host-rollback")?;
            match way(site)? {
                Way::Canceled { .. } => None,
                Way::Back { boot, root, .. } => Some(meaning(site, &boot, &root)?),
            }
        }
    };
    if let Some(meaning) = &agreed {
        agree(meaning)?;
    }
    let _lock = lock(site.system, site.places, "host-rollback")?;
    let (boot, state, root) = match way(site)? {
        Way::Canceled { .. } if agreed.is_some() => return Err(outdated()),
        Way::Canceled { state, waiting } => return cancel(site, &state, &waiting),
        Way::Back { boot, state, root } => (boot, state, root),
    };
    match settings {
        Settings::Running => keep(site, boot.root.id(), root.id())?,
        Settings::Old if agreed == Some(meaning(site, &boot, &root)?) => {
            etc::restore(site, root.id())?;
        }
        Settings::Old => return Err(outdated()),
    }
    let (baseline, _) = Baseline::now(site.system, root.id());
    baseline.save(site.system, site.places)?;
    let warning = write(site, &state.trying_once(root.id()))?;
    Ok(RolledBack::Arranged {
        version: root.version,
        settings,
        warning,
    })
}

/// What going back would be.
enum Way {
    /// What waits for a restart waits no more.
    Canceled { state: BootState, waiting: String },
    /// The release before the one that runs, which is whole.
    Back {
        boot: Box<BootRecord>,
        state: BootState,
        root: RootIdentity,
    },
}

/// Finds the way back, and refuses where there is none.
fn way(site: &Site<'_>) -> Result<Way, XeError> {
    let cannot = |message: String| XeError::failure(CANNOT, message);
    let boot = boot_record_at(site.system, &site.places.boot_record)
        .map_err(|e| cannot(format!("The running release is not known: {e}")))?;
    let state = boot_state(&site.places.esp)?;
    if state.good.as_deref() != Some(boot.root.id()) {
        return Err(cannot(
            "The release that runs is not known to be good; a restart goes back by itself."
                .to_owned(),
        ));
    }
    if let Some(waiting) = state.try_id.clone().filter(|_| state.tries > 0) {
        return Ok(Way::Canceled { state, waiting });
    }
    let running = boot.root.id();
    let Some(previous) = state.previous.clone().filter(|id| id != running) else {
        return Err(cannot(
            "There is no release to go back to: the other slot holds none that was good. Apply a hotfix, or install anew from \
             the medium."
                .to_owned(),
        ));
    };
    let root = whole(site, &boot, &previous)?;
    if state.try_id.as_ref() == Some(&previous) {
        // It was tried in vain, and that was not recorded: what it left is not what it had when it was good.
        etc::renew(site, &previous, running, Kept::Tried)?;
    }
    let boot = Box::new(boot);
    Ok(Way::Back { boot, state, root })
}

/// The old root gets the settings of the running one.
fn keep(site: &Site<'_>, running: &str, old: &str) -> Result<(), XeError> {
    let upper = etc::current(site, running).ok_or_else(|| {
        XeError::failure(
            CANNOT,
            "The settings of the release that runs are not where they should be.",
        )
        .with(
            "folder",
            site.places.etc.join(running).display().to_string(),
        )
    })?;
    etc::require_room(site, &upper)?;
    etc::renew(site, old, running, Kept::Own)
}

/// What an administrator must know before the settings of now are left behind. Refuses where the old root has none of its own.
fn meaning(site: &Site<'_>, boot: &BootRecord, root: &RootIdentity) -> Result<String, XeError> {
    let (old, new) = (&root.version, &boot.root.version);
    let own = etc::own(site, root.id()).ok_or_else(|| {
        let message =
            format!("{old} has no settings of its own any more; go back without settings=old.");
        XeError::failure(CANNOT, message)
    })?;
    let mut text = format!(
        "{old} starts with /etc as it was when {old} ran last. What was set since under {new} is not in it: networks, passwords, \
         ssh keys, lines of /etc/fstab, guests that were defined.\n"
    );
    let known = etc::guests(site, &own);
    let mut lost = etc::current(site, boot.root.id())
        .map(|upper| etc::guests(site, &upper))
        .unwrap_or_default();
    lost.retain(|name| !known.contains(name));
    if !lost.is_empty() {
        text += &format!(
            "Guests that {old} will not know (their disks stay): {}.\n",
            lost.join(", ")
        );
    }
    Ok(text)
}

fn cancel(site: &Site<'_>, state: &BootState, waiting: &str) -> Result<RolledBack, XeError> {
    let next = BootState {
        try_id: None,
        tries: 0,
        ..state.clone()
    };
    let warning = write(site, &next)?;
    // A way back that waits may have no record, but it was good once.
    let mut version =
        remembered(site, waiting).map_or_else(|| waiting.to_owned(), |root| root.version);
    for mut record in PatchRecord::all(site.system, site.places)? {
        if record.root.id() == waiting {
            version.clone_from(&record.root.version);
            let waits = matches!(
                record.state,
                PatchState::RestartNeeded | PatchState::Applying
            );
            if waits {
                record.become_state(
                    PatchState::RolledBack,
                    "taken back before the host was restarted",
                    site.now,
                );
                record.save(site.system, site.places)?;
            }
        }
    }
    Ok(RolledBack::Canceled { version, warning })
}

/// Everything of the root `id` that its start needs is there.
fn whole(site: &Site<'_>, boot: &BootRecord, id: &str) -> Result<RootIdentity, XeError> {
    let cannot = |message: String| XeError::failure(CANNOT, message).with("root-id", id);
    let root = remembered(site, id)
        .ok_or_else(|| cannot("Nothing is known about the release before this one.".to_owned()))?;
    let slots = slots(site.system, site.places, &boot.root_device)
        .map_err(|e| cannot(format!("The slots are not known: {e}")))?;
    let mut device = site
        .machine
        .open(&slots.inactive, Access::ReadOnly)
        .map_err(|e| internal(&e))?;
    if !root_fits(device.as_mut(), &root.verity).map_err(|e| internal(&e))? {
        return Err(cannot(format!(
            "The slot {} does not hold {} any more.",
            slots.inactive.display(),
            root.version
        )));
    }
    let folder = site.places.boot_files(id);
    match BOOT_FILES
        .iter()
        .find(|(_, name)| !site.system.exists(&folder.join(name)))
    {
        Some((_, name)) => Err(cannot(format!(
            "The boot file {name} of {} is missing on the EFI system partition.",
            root.version
        ))),
        None => Ok(root),
    }
}

/// What is known about the root `id`, which was good on this host.
fn remembered(site: &Site<'_>, id: &str) -> Option<RootIdentity> {
    let json = site.system.read_file(&site.places.root(id)).ok()?;
    serde_json::from_slice(&json).ok()
}

/// Tells the boot loader. Returns why the one of the other disk of a mirror is not told, if so.
fn write(site: &Site<'_>, state: &BootState) -> Result<Option<String>, XeError> {
    tell_loaders(site, state).map_err(|e| internal(e.as_ref()))
}
