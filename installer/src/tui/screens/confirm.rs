//! The typed consent.

use super::super::app::{App, Verification};
use super::super::effects::Job;
use super::super::key::Key;
use super::super::page::Page;
use super::Screen;
use crate::interview::{CONSENT, CONSENT_NOTHING_LOST};
use crate::plan::{DiskIdentity, Plan, Planned, UpgradePlan};
use crate::values::{few, show_size};

/// What F1 says.
pub const HELP: &str = "The last step before anything is written. Where data is on the disk, the whole word is asked for, so \
that no habit types it. It cannot be pasted.\n\nJust before the first write the disk is identified once more by serial number, \
world wide name and size; if another disk answers, nothing is written.";

/// Storage repositories that are named, so that there is room for what is lost.
const STORAGES: usize = 3;

fn word(plan: &Planned) -> &'static str {
    if plan.wipes() {
        CONSENT
    } else {
        CONSENT_NOTHING_LOST
    }
}

/// Takes a key.
pub fn key(app: &mut App, key: Key, jobs: &mut Vec<Job>) {
    match key {
        Key::Esc => app.back(),
        Key::Enter => {
            let Some(plan) = app.planned() else {
                app.go(Screen::Summary);
                return;
            };
            if app.marks.consent.text() != word(plan) {
                app.message = Some(format!("Type {} to agree, or Esc to go back.", word(plan)));
                return;
            }
            if app.verification != Verification::Good {
                app.message = Some(match app.verification {
                    Verification::Failed(_) => {
                        "The medium is damaged: nothing can be installed from it.".to_owned()
                    }
                    _ => "The medium is still being verified. Press Enter again in a moment."
                        .to_owned(),
                });
                return;
            }
            jobs.push(Job::Install(Box::new(plan.clone())));
            app.go(Screen::Progress);
        }
        _ => {
            app.marks.consent.key(key);
        }
    }
}

/// Draws it.
pub fn draw(app: &App, page: &mut Page<'_, '_>) {
    let Some(planned) = app.planned() else {
        page.text("There is no plan any more: go back to it.");
        return;
    };
    match planned {
        Planned::Install(plan) => install(plan, page),
        Planned::Upgrade(plan) => upgrade(plan, page),
    }
    page.gap();
    page.text(&format!("Type {} to agree.", word(planned)));
    page.field("Consent", &app.marks.consent, true, "");
}

fn disk(id: &DiskIdentity, page: &mut Page<'_, '_>) {
    let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    page.pair(
        "Disk",
        &format!("{}, {}", show_size(id.size), known(&id.model)),
    );
    page.pair("Serial number", &known(&id.serial));
    page.pair("World wide name", &known(&id.wwn));
}

/// What tells a disk from others.
fn in_a_line(id: &DiskIdentity) -> String {
    let mut words = vec![show_size(id.size)];
    words.extend(id.model.clone());
    words.extend(id.serial.as_ref().map(|serial| format!("serial {serial}")));
    words.extend(id.wwn.as_ref().map(|wwn| format!("wwn {wwn}")));
    words.join(", ")
}

fn upgrade(plan: &UpgradePlan, page: &mut Page<'_, '_>) {
    page.heading(&format!(
        "Upgrade Bedplate on {} from {} to {}?",
        plan.disk.path, plan.host.version, plan.release.version
    ));
    page.gap();
    disk(&plan.disk, page);
    if let Some(name) = &plan.host.hostname {
        page.pair("Host", name);
    }
    page.pair(
        "Written",
        &format!(
            "{}, and boot files beside the old ones",
            plan.device(plan.writes).display()
        ),
    );
    page.gap();
    page.text("Nothing is lost. These stay:");
    for kept in UpgradePlan::kept() {
        page.text(&format!("    {kept}"));
    }
}

fn install(plan: &Plan, page: &mut Page<'_, '_>) {
    let id = &plan.disk.identity;
    let version = &plan.release.version;
    match &plan.disk.mirror {
        None => {
            page.heading(&format!("Install Bedplate {version} on {}?", id.path));
            page.gap();
            disk(id, page);
        }
        Some(half) => {
            let other = &half.identity;
            page.heading(&format!(
                "Install Bedplate {version} on {} and {}?",
                id.path, other.path
            ));
            page.gap();
            for id in [id, other] {
                page.pair("Disk", &format!("{}: {}", id.path, in_a_line(id)));
            }
        }
    }
    for storage in plan.storage.iter().take(STORAGES) {
        let paths = storage.disks.iter().map(|disk| disk.identity.path.as_str());
        let paths: Vec<&str> = paths.collect();
        page.pair("Storage", &format!("{} on {}", storage.name, few(&paths)));
    }
    if plan.storage.len() > STORAGES {
        let more = plan.storage.len() - STORAGES;
        page.pair(
            "",
            &format!("and {more} more: the plan before this has all"),
        );
    }
    page.pair("Host", plan.system.hostname.as_str());
    if plan.boot.enroll_keys {
        page.pair("Secure Boot", "keys are enrolled in the firmware");
    }
    page.gap();
    if let Some(loss) = plan.loss() {
        page.problem(&format!("{loss}:"));
        let kept = plan.kept();
        let room = usize::from(page.left().saturating_sub(4)).saturating_sub(kept.len());
        let lost = plan.losses();
        let shown = if lost.len() > room {
            room.saturating_sub(1)
        } else {
            lost.len()
        };
        for line in &lost[..shown] {
            page.text(&format!("    {line}"));
        }
        if shown < lost.len() {
            page.text(&format!("    and {} more", lost.len() - shown));
        }
        for line in kept {
            page.text(&format!("It stays: {line}"));
        }
    } else {
        page.text(if plan.storage.is_empty() && plan.disk.mirror.is_none() {
            "The disk is empty: nothing is lost."
        } else {
            "The disks are empty: nothing is lost."
        });
    }
}
