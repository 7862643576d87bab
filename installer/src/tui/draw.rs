//! The frame around the screens: title, steps, message, keys; and what lies over them.

use super::app::App;
use super::page::{Page, wrap};
use super::screens;
use super::theme::Theme;
use ratatui::Frame;
use ratatui::layout::{Alignment, Rect};
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

/// The smallest terminal that everything fits on.
pub const SMALLEST: (u16, u16) = (80, 24);
/// From this width on the steps stand beside the screen.
const WITH_STEPS: u16 = 100;
/// Width of the steps.
const STEPS: u16 = 20;

/// Who sits at a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seat {
    /// Nobody touched any console yet.
    Free,
    /// The one who leads.
    Leader,
    /// One who looks on: the console of the leader.
    Mirror(String),
}

/// Draws everything.
pub fn draw(app: &App, theme: &Theme, seat: &Seat, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        too_small(theme, frame);
        return;
    }
    header(app, theme, frame);
    rule(theme, frame, 1);
    let bottom = area.height - 2;
    rule(theme, frame, bottom);
    let mut left = 2;
    if area.width >= WITH_STEPS {
        steps(app, theme, frame);
        left += STEPS;
    }
    let body = Rect::new(left, 3, area.width - left - 2, bottom - 4);
    screens::draw(app, &mut Page::new(frame, body, theme));
    if let Some(text) = &app.message {
        message(
            text,
            theme,
            frame,
            Rect::new(left, 3, area.width - left - 2, bottom - 3),
        );
    }
    keys(app, theme, seat, frame);
    if app.leaving {
        popup(
            theme,
            frame,
            "Leave?",
            "Leave without installing? Nothing was written.\n\nY leaves and opens a shell; any other key stays.",
        );
    } else if app.help {
        popup(
            theme,
            frame,
            app.screen.title(),
            &format!("{}\n\nAny key closes this.", screens::help(app.screen)),
        );
    }
}

fn header(app: &App, theme: &Theme, frame: &mut Frame<'_>) {
    let width = frame.area().width;
    let mut spans = vec![
        Span::styled("Bedplate", theme.accent()),
        Span::styled(format!(" installer {}", app.version), theme.quiet()),
    ];
    if app.simulation {
        let style = theme.strong().add_modifier(Modifier::REVERSED);
        spans.push(Span::raw("   "));
        spans.push(Span::styled(" SIMULATION: nothing is written ", style));
    }
    let row = Rect::new(2, 0, width - 4, 1);
    frame.render_widget(Paragraph::new(Line::from(spans)), row);
    let shown = screens::shown(app);
    let before = shown.iter().take_while(|screen| **screen != app.screen);
    let place = format!(
        "{} {}/{}",
        app.screen.title(),
        before.count() + 1,
        shown.len()
    );
    let line = Line::styled(place, theme.strong());
    frame.render_widget(Paragraph::new(line).alignment(Alignment::Right), row);
}

/// What is in the way, in the last rows of `area`.
fn message(text: &str, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let lines = wrap(text, usize::from(area.width) - 2);
    let height = (lines.len() as u16).min(4);
    let place = Rect::new(area.x, area.y + area.height - height, area.width, height);
    let lines: Vec<Line<'_>> = lines
        .into_iter()
        .enumerate()
        .map(|(index, line)| {
            let mark = if index == 0 { "! " } else { "  " };
            Line::from(vec![
                Span::styled(mark, theme.accent()),
                Span::styled(line, theme.strong()),
            ])
        })
        .collect();
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines), place);
}

fn rule(theme: &Theme, frame: &mut Frame<'_>, y: u16) {
    let width = frame.area().width;
    let line = Line::styled(theme.glyphs.rule.repeat(usize::from(width)), theme.quiet());
    frame.render_widget(Paragraph::new(line), Rect::new(0, y, width, 1));
}

fn steps(app: &App, theme: &Theme, frame: &mut Frame<'_>) {
    for (y, screen) in (3..).zip(screens::shown(app)) {
        let (mark, style) = match screen.index().cmp(&app.screen.index()) {
            std::cmp::Ordering::Less => (theme.glyphs.done, theme.text()),
            std::cmp::Ordering::Equal => (theme.glyphs.pointer, theme.accent()),
            std::cmp::Ordering::Greater => (theme.glyphs.todo, theme.quiet()),
        };
        let row = Rect::new(2, y, STEPS - 2, 1);
        let line = Line::styled(format!("{mark} {}", screen.title()), style);
        frame.render_widget(Paragraph::new(line), row);
    }
}

fn keys(app: &App, theme: &Theme, seat: &Seat, frame: &mut Frame<'_>) {
    let area = frame.area();
    let row = Rect::new(2, area.height - 1, area.width - 4, 1);
    let text = match seat {
        Seat::Free => "Press any key on the console that you want to use.".to_owned(),
        Seat::Leader => screens::hints(app).to_owned(),
        Seat::Mirror(leader) => {
            format!("{leader} leads; this console looks on.   Ctrl-T take over")
        }
    };
    frame.render_widget(Paragraph::new(Line::styled(text, theme.quiet())), row);
}

fn too_small(theme: &Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    let text = format!(
        "This terminal has {} columns and {} rows; {} and {} are needed. Enlarge it and press Ctrl-L, or start the medium \
         with plain questions.",
        area.width, area.height, SMALLEST.0, SMALLEST.1
    );
    let mut page = Page::new(frame, area, theme);
    page.strong(&text);
}

/// Text in a frame over the screen.
fn popup(theme: &Theme, frame: &mut Frame<'_>, title: &str, text: &str) {
    let area = frame.area();
    let width = 68.min(area.width - 4);
    let lines = wrap(text, usize::from(width) - 4);
    let height = (lines.len() as u16 + 4).min(area.height - 2);
    let place = Rect::new(
        (area.width - width) / 2,
        (area.height - height) / 2,
        width,
        height,
    );
    frame.render_widget(Clear, place);
    let glyphs = theme.glyphs;
    let inner = usize::from(width) - 2;
    let edge = |left: &str, right: &str| {
        let rule = glyphs.rule.repeat(inner);
        Line::styled(format!("{left}{rule}{right}"), theme.accent())
    };
    let [top_left, top_right, bottom_left, bottom_right] = glyphs.corners;
    let row = |text: &str, style| {
        Line::from(vec![
            Span::styled(glyphs.bar, theme.accent()),
            Span::styled(format!(" {text:<width$}", width = inner - 1), style),
            Span::styled(glyphs.bar, theme.accent()),
        ])
    };
    let mut all = vec![
        edge(top_left, top_right),
        row(title, theme.accent()),
        row("", theme.text()),
    ];
    let room = usize::from(height) - 4;
    all.extend(lines.iter().take(room).map(|line| row(line, theme.text())));
    all.push(edge(bottom_left, bottom_right));
    frame.render_widget(Paragraph::new(all), place);
}
