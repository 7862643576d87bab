//! The installation.

use super::super::app::App;
use super::super::key::Key;
use super::super::page::{Page, cut};
use super::super::run_view::{StepState, seconds};
use super::Screen;
use crate::values::show_memory;
use ratatui::text::{Line, Span};

/// What F1 says.
pub const HELP: &str = "The steps of the plan, one after the other. Boot loaders come last: a disk on which something failed does \
not start.\n\nL shows the whole log. The machine can be left alone. A restart now leaves the disk without a host, \
or in an upgrade with the old release; start the medium again to finish.";

/// Takes a key.
pub fn key(app: &mut App, key: Key) {
    let open = app.marks.log_open;
    match key {
        Key::Char('l' | 'L') => app.marks.log_open = !open,
        Key::Esc if open => app.marks.log_open = false,
        Key::Esc | Key::Char('q') => {
            app.message = Some(
                "An installation is not stopped half-way. It ends by itself, well or not."
                    .to_owned(),
            );
        }
        _ => {
            let lines = app.run.log.len();
            app.scroll(key, lines);
        }
    }
}

/// Draws it.
pub fn draw(app: &App, page: &mut Page<'_, '_>) {
    if app.marks.log_open {
        log(app, page);
        return;
    }
    let run = &app.run;
    let fraction = run.fraction();
    page.gauge(fraction, &format!("{:3.0} %", fraction * 100.0));
    let left = run
        .seconds_left()
        .map_or(String::new(), |left| format!(", about {left} s left"));
    let load = app.load.map_or(String::new(), |load| {
        format!(
            ", memory {} of {}, load {:.2}",
            show_memory(load.used),
            show_memory(load.total),
            load.one
        )
    });
    page.text(&format!("{}{left}{load}", seconds(run.ms)));
    page.gap();
    let glyphs = page.theme.glyphs;
    for step in &run.steps {
        let (mark, style) = match step.state {
            StepState::Waits => (glyphs.todo, page.theme.quiet()),
            StepState::Runs => (glyphs.pointer, page.theme.accent()),
            StepState::Done { .. } => (glyphs.done, page.theme.text()),
            StepState::Failed => ("!", page.theme.strong()),
        };
        let space = page.width().saturating_sub(30).min(60);
        let title = cut(&step.title, space, glyphs.cut);
        page.line(Line::from(vec![
            Span::styled(format!("{mark} {title:<space$} "), style),
            Span::styled(step.words(), page.theme.quiet()),
        ]));
    }
    page.gap();
    let rows = usize::from(page.left());
    let start = run.log.len().saturating_sub(rows);
    for line in &run.log[start..] {
        let text = cut(line, page.width(), glyphs.cut);
        page.line(Line::styled(text, page.theme.quiet()));
    }
}

/// The whole log; its end unless it was scrolled.
fn log(app: &App, page: &mut Page<'_, '_>) {
    page.heading("Log");
    let width = page.width();
    let lines: Vec<Line<'static>> = app
        .run
        .log
        .iter()
        .map(|line| Line::raw(cut(line, width, page.theme.glyphs.cut)))
        .collect();
    let height = page.left();
    let end = lines.len().saturating_sub(usize::from(height));
    // Up from the end.
    let first = match app.marks.scroll[Screen::Progress.index()] {
        0 => end,
        scrolled => scrolled,
    };
    page.scrolled(&lines, first, height);
}
