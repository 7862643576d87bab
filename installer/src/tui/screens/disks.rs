//! Where to install.

use super::super::app::App;
use super::super::draft::{can_keep, needs_consent};
use super::super::effects::Job;
use super::super::key::Key;
use super::super::page::Page;
use super::super::text::disk_line;
use crate::plan::{contents, holds_bedplate, unusable, unusable_for_storage};
use hcl_checker::facts::Disk;

/// What F1 says.
pub const HELP: &str = "Enter takes the disk and goes on. Below the list stands what is on it now. Everything on the disk that \
you take will be lost, after you have typed your consent at the end. Of a Bedplate host on it the storage repository stays \
where that is possible; K has it lost, too, and K again keeps it. S makes another disk a storage repository of its own, \
beside the one on the disk that the host goes on; S again takes that back.\n\nDisks that cannot be taken are listed with the \
reason: the medium that this system was started from, read-only disks, disks in use. F5 looks again, for example after a \
disk was plugged in. A missing disk hides behind a controller in RAID or VMD mode, or has no driver.";

/// What is said where a host and its storage repository would go.
pub const ALL_LOST: &str =
    "It runs Bedplate. That host and everything in its storage repository would be lost.";
/// What is said where the storage repository of a host stays.
pub const HOST_LOST: &str = "It runs Bedplate. That host would be lost: its settings, its logs, and what its guests are (memory, \
network, which disks).";

/// Disks that can be taken together.
const MOST: usize = 1;

/// Why the disk cannot be taken; empty when it can.
fn reasons(app: &App, disk: &Disk) -> Vec<String> {
    let medium = app
        .subject
        .as_ref()
        .and_then(|subject| subject.medium.as_deref());
    unusable(disk, medium)
}

/// The first disk that can be taken and holds nothing, else the first that can be taken.
pub fn first_focus(app: &App) -> usize {
    let good = |empty: bool| {
        app.disks()
            .iter()
            .position(|disk| reasons(app, disk).is_empty() && !(empty && needs_consent(disk)))
    };
    good(true).or(good(false)).unwrap_or(0)
}

/// Takes a key.
pub fn key(app: &mut App, key: Key, jobs: &mut Vec<Job>) {
    let count = app.disks().len();
    match key {
        Key::Esc => app.back(),
        Key::F(5) => {
            app.message = Some("The machine is looked at again.".to_owned());
            jobs.push(Job::Open);
        }
        Key::Char('k' | 'K') => turn_keep(app, count),
        Key::Char('s' | 'S') => mark_storage(app, count),
        Key::Enter | Key::Char(' ') => {
            let focus = app.focus().min(count.saturating_sub(1));
            let Some(disk) = app.disks().get(focus).cloned() else {
                return;
            };
            let reasons = reasons(app, &disk);
            if !reasons.is_empty() {
                app.message = Some(format!(
                    "{} cannot be taken: {}.",
                    disk.path,
                    reasons.join("; ")
                ));
                return;
            }
            app.draft.storage.retain(|path| *path != disk.path);
            if !app.draft.disks.contains(&disk.path) {
                while app.draft.disks.len() >= MOST {
                    app.draft.disks.remove(0);
                }
                app.draft.disks.push(disk.path);
            }
            if key == Key::Enter {
                app.go(super::Screen::Layout);
            }
        }
        _ => {
            app.move_in_list(key, count);
        }
    }
}

/// Has the storage repository of the host on the disk under the focus lost, or takes that back.
fn turn_keep(app: &mut App, count: usize) {
    let focus = app.focus().min(count.saturating_sub(1));
    match app.disks().get(focus).and_then(can_keep) {
        Some(Ok(_)) => app.draft.lose_storage = !app.draft.lose_storage,
        Some(Err(reason)) => {
            app.message = Some(format!("The storage repository cannot stay: {reason}."));
        }
        None => app.message = Some("No Bedplate host is on this disk.".to_owned()),
    }
}

/// Makes the disk under the focus a storage repository of its own, or takes that back.
fn mark_storage(app: &mut App, count: usize) {
    let focus = app.focus().min(count.saturating_sub(1));
    let Some(disk) = app.disks().get(focus).cloned() else {
        return;
    };
    let marked = &mut app.draft.storage;
    if let Some(at) = marked.iter().position(|path| *path == disk.path) {
        marked.remove(at);
        return;
    }
    if app.draft.disks.contains(&disk.path) {
        app.message = Some(format!(
            "{} is where the host goes, with a storage repository in the rest of it.",
            disk.path
        ));
        return;
    }
    let medium = app
        .subject
        .as_ref()
        .and_then(|subject| subject.medium.as_deref());
    let mut reasons = unusable_for_storage(&disk, medium);
    if holds_bedplate(&disk) {
        reasons.push("it runs Bedplate".to_owned());
    }
    if reasons.is_empty() {
        app.draft.storage.push(disk.path);
    } else {
        app.message = Some(format!(
            "{} cannot be taken: {}.",
            disk.path,
            reasons.join("; ")
        ));
    }
}

/// Draws it.
pub fn draw(app: &App, page: &mut Page<'_, '_>) {
    page.heading("Which disk does Bedplate go on?");
    let disks = app.disks();
    if disks.is_empty() {
        page.gap();
        page.problem("This machine has no disk that the kernel knows.");
        page.text(
            "Check its controller: RAID and VMD modes hide disks, and some controllers need a driver. F5 looks again.",
        );
        return;
    }
    page.gap();
    let glyphs = page.theme.glyphs;
    let lines: Vec<String> = disks
        .iter()
        .map(|disk| {
            let mark = if app.draft.disks.contains(&disk.path) {
                glyphs.radio_on
            } else if app.draft.storage.contains(&disk.path) {
                " S "
            } else if reasons(app, disk).is_empty() {
                glyphs.radio_off
            } else {
                " - "
            };
            format!("{mark} {}", disk_line(disk))
        })
        .collect();
    let focus = app.focus().min(disks.len() - 1);
    let height = (disks.len() as u16).min(page.left().saturating_sub(8));
    page.list(&lines, Some(focus), height);
    page.gap();
    let disk = &disks[focus];
    page.heading(&format!(
        "{}  {}",
        disk.path,
        disk.model.value().map_or("", String::as_str)
    ));
    let known = |value: Option<&String>| value.cloned().unwrap_or_else(|| "none".to_owned());
    page.text(&format!(
        "serial {}, world wide name {}",
        known(disk.serial.value()),
        known(disk.wwn.value())
    ));
    let is_storage = app.draft.storage.contains(&disk.path);
    if is_storage {
        page.text("It becomes a storage repository of its own.");
    }
    let why = reasons(app, disk);
    if !why.is_empty() && !is_storage {
        page.problem(&format!("It cannot be taken: {}.", why.join("; ")));
        return;
    }
    let on_it = contents(disk);
    if !needs_consent(disk) {
        page.text("It is empty: nothing is lost.");
    } else if let Some(stays) = can_keep(disk) {
        match stays {
            Ok(kept) if !app.draft.lose_storage => {
                page.problem(HOST_LOST);
                page.text(&format!("Its storage repository stays: {}.", kept.shown));
                page.text(
                    "The disks of guests are in it. K has it lost, too, for a host that is all new.",
                );
            }
            Ok(_) => {
                page.problem(ALL_LOST);
                page.text("K keeps the storage repository with the disks of guests.");
            }
            Err(reason) => {
                page.problem(ALL_LOST);
                page.text(&format!("The storage repository cannot stay: {reason}."));
            }
        }
    } else if on_it.is_empty() {
        page.problem("What is on it is not known. All of it would be lost.");
    } else {
        page.problem("It holds data. All of it would be lost:");
        let room = usize::from(page.left());
        let shown = if on_it.len() > room {
            room.saturating_sub(1)
        } else {
            on_it.len()
        };
        for line in &on_it[..shown] {
            page.text(&format!("  {line}"));
        }
        if shown < on_it.len() {
            page.text(&format!("  and {} more", on_it.len() - shown));
        }
    }
}
