//! Where to install.

use super::super::app::App;
use super::super::draft::{can_keep, needs_consent};
use super::super::effects::Job;
use super::super::key::Key;
use super::super::page::Page;
use super::super::text::disk_line;
use crate::plan::{contents, holds_bedplate, unpairable, unusable, unusable_for_storage};
use hcl_checker::facts::Disk;

/// What F1 says.
pub const HELP: &str = "Enter takes the disk and goes on. Below the list stands what is on it now. Everything on it will be lost, after you \
have typed your consent at the end. Of a Bedplate host on it the storage repository stays where that is possible; K has it lost, \
too. S makes another disk a storage repository of its own, beside the one on the host's disk.\n\nFor a host on two disks, take one \
with the space bar and mark the other with M: they hold the same, and either starts the host alone. The same key takes a mark \
back.\n\nDisks that cannot be taken are listed with the reason: the medium that this system was started from, read-only disks, disks \
in use. F5 looks again, for example after a disk was plugged in. A missing disk hides behind a controller in RAID or VMD mode, or \
has no driver.";

/// What is said where a host and its storage repository would go.
pub const ALL_LOST: &str =
    "It runs Bedplate. That host and everything in its storage repository would be lost.";
/// What is said where the storage repository of a host stays.
pub const HOST_LOST: &str = "It runs Bedplate. That host would be lost: its settings, its logs, and what its guests are (memory, \
network, which disks).";

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
        Key::Char('m' | 'M') => mark_mirror(app, count),
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
            take(app, &disk, key == Key::Enter);
        }
        _ => {
            app.move_in_list(key, count);
        }
    }
}

/// Takes the disk for the host; `on` goes on with what is taken.
fn take(app: &mut App, disk: &Disk, on: bool) {
    let is_second = app.draft.second() == Some(&disk.path);
    // Whoever marked the second disk and goes on from there means both.
    if !(is_second && on) {
        app.draft.storage.retain(|path| *path != disk.path);
        let second = app.draft.second().filter(|path| **path != disk.path);
        app.draft.disks = std::iter::once(disk.path.clone())
            .chain(second.cloned())
            .collect();
    }
    if !on {
        return;
    }
    match pair_problem(app) {
        Some(problem) => app.message = Some(problem),
        None => app.go(super::Screen::Layout),
    }
}

/// Why the two disks of a mirror cannot be one; none where they can, and where there is no mirror.
fn pair_problem(app: &App) -> Option<String> {
    let disk = |path: &String| app.disks().iter().find(|disk| disk.path == *path);
    let [first, second] = &app.draft.disks[..] else {
        return None;
    };
    let error = unpairable(disk(first)?, disk(second)?)?;
    Some(format!(
        "{first} and {second} cannot mirror each other: {error}."
    ))
}

/// Makes the disk under the focus the second one of a mirror, or takes that back.
fn mark_mirror(app: &mut App, count: usize) {
    let focus = app.focus().min(count.saturating_sub(1));
    let Some(disk) = app.disks().get(focus).cloned() else {
        return;
    };
    let reasons = reasons(app, &disk);
    match app.draft.disks.first() {
        _ if app.draft.second() == Some(&disk.path) => app.draft.disks.truncate(1),
        _ if !reasons.is_empty() => {
            app.message = Some(format!(
                "{} cannot be taken: {}.",
                disk.path,
                reasons.join("; ")
            ));
        }
        None => {
            app.message =
                Some("Take the first disk with the space bar, then mark the second.".to_owned());
        }
        Some(first) if *first == disk.path => {
            app.message = Some(format!(
                "{first} is the first disk already. Mark another one that holds the same."
            ));
        }
        Some(first) => {
            let disks = vec![first.clone(), disk.path.clone()];
            let before = std::mem::replace(&mut app.draft.disks, disks);
            if let Some(problem) = pair_problem(app) {
                app.message = Some(problem);
                app.draft.disks = before;
            } else {
                app.draft.storage.retain(|path| *path != disk.path);
            }
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
            let mark = if app.draft.second() == Some(&disk.path) {
                " M "
            } else if app.draft.disks.contains(&disk.path) {
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
    let in_mirror = app.draft.second().is_some() && app.draft.disks.contains(&disk.path);
    if in_mirror {
        page.text(&format!(
            "It becomes one half of a mirror: {} hold the same, and either starts the host alone.",
            app.draft.disks.join(" and ")
        ));
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
            _ if in_mirror => {
                page.problem(ALL_LOST);
                page.text("A mirror makes the storage repository anew, on both disks.");
            }
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
