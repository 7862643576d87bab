//! The exact plan.

use super::super::app::{App, Outcome, screen_of};
use super::super::effects::Job;
use super::super::field::Field;
use super::super::key::Key;
use super::super::page::{Page, wrap};
use super::Screen;
use crate::answers::export;
use ratatui::text::Line;

/// What F1 says.
pub const HELP: &str = "This is everything that will happen, and nothing else will. The same release, machine and choices give \
the same hash, which is kept in the report.\n\nF2 saves your choices as an answer file, to install again or to install more \
machines without questions. Name a file on a device, for example /dev/sdb1:/answers.toml: it holds the hash of root's password, \
so keep it safe.\n\nWhere something is missing, Enter goes to the screen on which it is put right.";

/// Where answers are saved unless the operator says otherwise.
const PLACE: &str = "/run/bedplate/answers.toml";
/// Rows that the smallest terminal shows of the plan.
const LEAST_ROWS: usize = 15;

/// The problems as lines, each with the screen on which it is put right.
fn problems(app: &App) -> Vec<(Screen, String)> {
    let upgrade = app.draft.upgrades().is_some();
    match &app.outcome {
        Outcome::Nothing => vec![(
            Screen::Verify,
            "The machine is still being looked at.".to_owned(),
        )],
        Outcome::Incomplete(problems) => problems
            .iter()
            .map(|problem| (problem.screen, problem.message.clone()))
            .collect(),
        Outcome::Refused(problems) => problems
            .0
            .iter()
            .map(|problem| (screen_of(problem.about, upgrade), problem.to_string()))
            .collect(),
        Outcome::Ready(_) => Vec::new(),
    }
}

/// Without a plan there is no way on.
pub fn problem(app: &App) -> Option<String> {
    (!problems(app).is_empty()).then(|| "There is no plan yet: see what is missing.".to_owned())
}

fn lines(app: &App, width: usize) -> Vec<String> {
    let Some(plan) = app.planned() else {
        return Vec::new();
    };
    let hash = plan
        .hash()
        .unwrap_or_else(|_| "it could not be worked out".to_owned());
    format!("{}Plan       {hash}", plan.describe())
        .lines()
        .flat_map(|line| {
            // Names stand in the first columns: what is broken goes on behind them.
            if line.chars().count() <= width {
                return vec![line.to_owned()];
            }
            let (name, rest) = line.split_at_checked(11).unwrap_or((line, ""));
            wrap(rest, width.saturating_sub(11))
                .into_iter()
                .enumerate()
                .map(|(index, part)| {
                    let name = if index == 0 { name } else { "" };
                    format!("{name:<11}{part}")
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Takes a key.
pub fn key(app: &mut App, key: Key, jobs: &mut Vec<Job>) {
    if let Some(place) = &mut app.marks.save {
        match key {
            Key::Esc => app.marks.save = None,
            Key::Enter => save(app, jobs),
            _ => {
                place.key(key);
            }
        }
        return;
    }
    let problems = problems(app);
    match key {
        Key::Esc => app.back(),
        Key::Enter if problems.is_empty() => app.next(),
        Key::Enter => {
            let focus = app.focus().min(problems.len() - 1);
            app.go(problems[focus].0);
        }
        Key::F(2) if problems.is_empty() => app.marks.save = Some(Field::with(PLACE)),
        _ if problems.is_empty() => {
            // What is behind the last line that fits is reached; more is not.
            let count = lines(app, 76).len().saturating_sub(LEAST_ROWS);
            app.scroll(key, count);
        }
        _ => {
            app.move_focus(key, problems.len());
        }
    }
}

fn save(app: &mut App, jobs: &mut Vec<Job>) {
    let Some(place) = app.marks.save.take() else {
        return;
    };
    let Outcome::Ready(ready) = &app.outcome else {
        return;
    };
    match export::to_toml(&ready.0) {
        Ok(text) => {
            jobs.push(Job::Save {
                place: place.value().to_owned(),
                text,
            });
            app.message = Some("The answers are being saved ...".to_owned());
        }
        Err(error) => app.message = Some(format!("The answers cannot be written down: {error}.")),
    }
}

/// Draws it.
pub fn draw(app: &App, page: &mut Page<'_, '_>) {
    let problems = problems(app);
    if !problems.is_empty() {
        page.heading("There is no plan yet.");
        page.text("Enter goes to the screen on which it is put right.");
        page.gap();
        let focus = app.focus().min(problems.len() - 1);
        for (index, (screen, text)) in problems.iter().enumerate() {
            page.item(screen.title(), index == focus);
            for line in text.lines() {
                page.text(&format!("    {line}"));
            }
        }
        return;
    }
    page.heading("The plan. Nothing was written yet.");
    let reserved = if app.marks.save.is_some() { 3 } else { 1 };
    let lines: Vec<Line<'static>> = lines(app, page.width())
        .into_iter()
        .map(|line| {
            let strong = line.starts_with("LOST") || line.starts_with("Warning");
            if strong {
                Line::styled(line, page.theme.strong())
            } else {
                Line::raw(line)
            }
        })
        .collect();
    let height = page.left().saturating_sub(reserved);
    let first = page.scrolled(&lines, app.marks.scroll[Screen::Summary.index()], height);
    let hidden = lines.len().saturating_sub(first + usize::from(height));
    if let Some(place) = &app.marks.save {
        page.gap();
        page.field("Save answers to", place, true, PLACE);
        page.text("A file, or a file on a device: /dev/sdb1:/answers.toml");
    } else if hidden > 0 {
        page.text(&format!("{hidden} more lines below"));
    } else if first > 0 {
        page.text(&format!("{first} more lines above"));
    }
}
