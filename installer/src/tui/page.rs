//! A screen's body, filled from top to bottom.

use super::field::Field;
use super::theme::Theme;
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Text is not set wider than this: long lines are hard to read.
const TEXT_WIDTH: usize = 76;
/// Width of the names in front of fields.
const LABEL: usize = 16;

/// A place to draw on, with the row that is next.
pub struct Page<'p, 'f> {
    frame: &'p mut Frame<'f>,
    area: Rect,
    used: u16,
    /// How things look.
    pub theme: &'p Theme,
}

impl<'p, 'f> Page<'p, 'f> {
    /// On this part of the screen.
    pub fn new(frame: &'p mut Frame<'f>, area: Rect, theme: &'p Theme) -> Self {
        Page {
            frame,
            area,
            used: 0,
            theme,
        }
    }

    /// Columns.
    pub fn width(&self) -> usize {
        usize::from(self.area.width)
    }

    /// Rows that are left.
    pub fn left(&self) -> u16 {
        self.area.height.saturating_sub(self.used)
    }

    fn row(&mut self) -> Option<Rect> {
        (self.used < self.area.height).then(|| {
            let y = self.area.y + self.used;
            self.used += 1;
            Rect::new(self.area.x, y, self.area.width, 1)
        })
    }

    /// An empty row.
    pub fn gap(&mut self) {
        self.used = self.used.saturating_add(1).min(self.area.height);
    }

    /// A line as it is.
    pub fn line(&mut self, line: impl Into<Line<'static>>) {
        if let Some(row) = self.row() {
            self.frame.render_widget(Paragraph::new(line.into()), row);
        }
    }

    /// A heading, broken into lines.
    pub fn heading(&mut self, text: &str) {
        self.strong(text);
    }

    /// Text that explains, broken into lines.
    pub fn text(&mut self, text: &str) {
        self.styled(text, self.theme.quiet());
    }

    /// Text that matters, broken into lines.
    pub fn strong(&mut self, text: &str) {
        self.styled(text, self.theme.strong());
    }

    fn styled(&mut self, text: &str, style: Style) {
        for line in wrap(text, self.width().min(TEXT_WIDTH)) {
            self.line(Line::styled(line, style));
        }
    }

    /// Something that is in the way. Marked, so that it is seen without color.
    pub fn problem(&mut self, text: &str) {
        let style = self.theme.strong();
        for (index, line) in wrap(text, self.width().min(TEXT_WIDTH).saturating_sub(2))
            .into_iter()
            .enumerate()
        {
            let mark = if index == 0 { "! " } else { "  " };
            self.line(Line::styled(format!("{mark}{line}"), style));
        }
    }

    /// `name  value`.
    pub fn pair(&mut self, name: &str, value: &str) {
        let space = self.width().saturating_sub(LABEL + 1);
        let quiet = self.theme.quiet();
        for (index, part) in wrap(value, space).into_iter().enumerate() {
            let name = if index == 0 { name } else { "" };
            self.line(Line::from(vec![
                Span::styled(format!("{name:<LABEL$} "), quiet),
                Span::raw(part),
            ]));
        }
    }

    /// A line that can have the focus; the terminal's cursor goes there, so that a braille display follows.
    pub fn item(&mut self, text: &str, focused: bool) {
        let Some(row) = self.row() else { return };
        let width = usize::from(row.width).saturating_sub(2);
        let pointer = if focused {
            self.theme.glyphs.pointer
        } else {
            " "
        };
        let style = if focused {
            self.theme.focus()
        } else {
            self.theme.text()
        };
        let shown = format!("{:<width$}", cut(text, width, self.theme.glyphs.cut));
        let line = Line::from(vec![
            Span::styled(format!("{pointer} "), self.theme.accent()),
            Span::styled(shown, style),
        ]);
        self.frame.render_widget(Paragraph::new(line), row);
        if focused {
            self.frame.set_cursor_position(Position::new(row.x, row.y));
        }
    }

    /// Something to press.
    pub fn button(&mut self, label: &str, focused: bool) {
        let Some(row) = self.row() else { return };
        let pointer = if focused {
            self.theme.glyphs.pointer
        } else {
            " "
        };
        let style = if focused {
            self.theme.focus()
        } else {
            self.theme.strong()
        };
        let line = Line::from(vec![
            Span::styled(format!("{pointer} "), self.theme.accent()),
            Span::styled(format!("[ {label} ]"), style),
        ]);
        self.frame.render_widget(Paragraph::new(line), row);
        if focused {
            self.frame.set_cursor_position(Position::new(row.x, row.y));
        }
    }

    /// A field with its name in front.
    pub fn field(&mut self, label: &str, field: &Field, focused: bool, example: &str) {
        self.any_field(label, field, focused, example, false);
    }

    /// A field whose text is not shown.
    pub fn secret(&mut self, label: &str, field: &Field, focused: bool, example: &str) {
        self.any_field(label, field, focused, example, true);
    }

    fn any_field(
        &mut self,
        label: &str,
        field: &Field,
        focused: bool,
        example: &str,
        secret: bool,
    ) {
        let Some(row) = self.row() else { return };
        let glyphs = self.theme.glyphs;
        let pointer = if focused { glyphs.pointer } else { " " };
        let label_style = if focused {
            self.theme.accent()
        } else {
            self.theme.text()
        };
        let head = 2 + LABEL as u16 + 1;
        let space = usize::from(row.width.saturating_sub(head)).clamp(4, TEXT_WIDTH);
        let shown: Vec<char> = if secret {
            glyphs
                .hidden
                .repeat(field.text().chars().count())
                .chars()
                .collect()
        } else {
            field.text().chars().collect()
        };
        // The window follows the cursor; a cut end is marked.
        let start = field.cursor().saturating_sub(space - 2);
        let mut window: String = shown.iter().skip(start).take(space - 1).collect();
        if start > 0 {
            window = format!("<{}", window.chars().skip(1).collect::<String>());
        }
        if shown.len() > start + space - 1 {
            window.push_str(glyphs.cut);
        }
        let (text, style) = if shown.is_empty() && !focused {
            (example.to_owned(), self.theme.quiet())
        } else if focused {
            (format!("{window:<space$}"), self.theme.focus())
        } else {
            (window, self.theme.text())
        };
        let line = Line::from(vec![
            Span::styled(format!("{pointer} "), self.theme.accent()),
            Span::styled(format!("{label:<LABEL$} "), label_style),
            Span::styled(text, style),
        ]);
        self.frame.render_widget(Paragraph::new(line), row);
        if focused {
            let column = (field.cursor() - start) as u16;
            self.frame
                .set_cursor_position(Position::new(row.x + head + column, row.y));
        }
    }

    /// One of several, chosen with the arrows left and right.
    pub fn choice(&mut self, label: &str, options: &[&str], chosen: usize, focused: bool) {
        let Some(row) = self.row() else { return };
        let glyphs = self.theme.glyphs;
        let pointer = if focused { glyphs.pointer } else { " " };
        let label_style = if focused {
            self.theme.accent()
        } else {
            self.theme.text()
        };
        let mut spans = vec![
            Span::styled(format!("{pointer} "), self.theme.accent()),
            Span::styled(format!("{label:<LABEL$} "), label_style),
        ];
        let mut column = 2 + LABEL as u16 + 1;
        let mut cursor = column;
        for (index, option) in options.iter().enumerate() {
            let mark = if index == chosen {
                glyphs.radio_on
            } else {
                glyphs.radio_off
            };
            let text = format!("{mark} {option}");
            if index == chosen {
                cursor = column;
            }
            column += text.chars().count() as u16 + 3;
            let style = match (index == chosen, focused) {
                (true, true) => self.theme.focus(),
                (true, false) => self.theme.strong(),
                _ => self.theme.quiet(),
            };
            spans.push(Span::styled(text, style));
            spans.push(Span::raw("   "));
        }
        self.frame
            .render_widget(Paragraph::new(Line::from(spans)), row);
        if focused {
            self.frame
                .set_cursor_position(Position::new(row.x + cursor, row.y));
        }
    }

    /// One of many, turned with the arrows left and right.
    pub fn pick(&mut self, label: &str, value: &str, focused: bool) {
        let Some(row) = self.row() else { return };
        let pointer = if focused {
            self.theme.glyphs.pointer
        } else {
            " "
        };
        let (label_style, style) = if focused {
            (self.theme.accent(), self.theme.focus())
        } else {
            (self.theme.text(), self.theme.strong())
        };
        let line = Line::from(vec![
            Span::styled(format!("{pointer} "), self.theme.accent()),
            Span::styled(format!("{label:<LABEL$} "), label_style),
            Span::styled(format!("< {value} >"), style),
        ]);
        self.frame.render_widget(Paragraph::new(line), row);
        if focused {
            let column = 2 + LABEL as u16 + 1;
            self.frame
                .set_cursor_position(Position::new(row.x + column, row.y));
        }
    }

    /// A part of a long list, so that `selected` is in sight; how much is above and below is said.
    pub fn list(&mut self, lines: &[String], selected: Option<usize>, height: u16) {
        let height = usize::from(height.min(self.left()));
        let first = first_shown(lines.len(), selected.unwrap_or(0), height);
        for (index, text) in lines.iter().enumerate().skip(first).take(height) {
            self.item(text, selected == Some(index));
        }
        for _ in lines.len().saturating_sub(first)..height {
            self.gap();
        }
    }

    /// Lines that are scrolled, not selected. Returns the first line that is shown.
    pub fn scrolled(&mut self, lines: &[Line<'static>], first: usize, height: u16) -> usize {
        let height = height.min(self.left());
        let first = first.min(lines.len().saturating_sub(usize::from(height)));
        for line in lines.iter().skip(first).take(usize::from(height)) {
            self.line(line.clone());
        }
        first
    }

    /// A bar that is full to `fraction`, with text behind it.
    pub fn gauge(&mut self, fraction: f64, text: &str) {
        let space = self
            .width()
            .min(TEXT_WIDTH)
            .saturating_sub(text.chars().count() + 2);
        let full = ((space as f64) * fraction.clamp(0.0, 1.0)).round() as usize;
        let glyphs = self.theme.glyphs;
        let line = Line::from(vec![
            Span::styled(glyphs.full.repeat(full), self.theme.accent()),
            Span::styled(
                glyphs.empty.repeat(space.saturating_sub(full)),
                self.theme.quiet(),
            ),
            Span::raw(format!("  {text}")),
        ]);
        self.line(line);
    }
}

/// The first of `count` entries that is shown in `height` rows, so that `selected` is in sight.
fn first_shown(count: usize, selected: usize, height: usize) -> usize {
    if height == 0 || count <= height {
        return 0;
    }
    selected.saturating_sub(height / 2).min(count - height)
}

/// `text` in `width` characters; a cut end is marked.
pub fn cut(text: &str, width: usize, mark: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if clean.chars().count() <= width {
        return clean;
    }
    let mut short: String = clean.chars().take(width.saturating_sub(1)).collect();
    short.push_str(mark);
    short
}

/// Breaks text between words; a word that is longer than a line is broken, too. Blanks at the start are kept before every
/// line. At least one line.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let blanks = paragraph.len() - paragraph.trim_start_matches(' ').len();
        let blanks = blanks.min(width / 2);
        let start = lines.len();
        let width = (width - blanks).max(8);
        let mut line = String::new();
        let mut length = 0;
        for word in paragraph.split(' ').filter(|word| !word.is_empty()) {
            let mut word: Vec<char> = word.chars().filter(|c| !c.is_control()).collect();
            if length > 0 && length + 1 + word.len() > width {
                lines.push(std::mem::take(&mut line));
                length = 0;
            }
            while word.len() > width {
                lines.push(word.drain(..width).collect());
            }
            if length > 0 {
                line.push(' ');
                length += 1;
            }
            length += word.len();
            line.extend(word);
        }
        lines.push(line);
        for line in &mut lines[start..] {
            line.insert_str(0, &" ".repeat(blanks));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_is_broken_between_words() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("a\n\nbcdefghijk l", 8), ["a", "", "bcdefghi", "jk l"]);
    }

    #[test]
    fn the_selected_entry_is_in_sight() {
        for selected in 0..20 {
            let first = first_shown(20, selected, 6);
            assert!((first..first + 6).contains(&selected) && first <= 14);
        }
        assert_eq!(first_shown(3, 2, 6), 0);
    }

    #[test]
    fn the_indent_is_kept() {
        assert_eq!(wrap("    one two three", 12), ["    one two", "    three"]);
        assert_eq!(wrap("", 12), [""]);
    }

    proptest! {
        #[test]
        fn no_line_is_too_long_and_no_word_is_lost(text in "[a-z ]{0,60}", width in 16..30usize) {
            let lines = wrap(&text, width);
            prop_assert!(lines.iter().all(|line| line.chars().count() <= width));
            let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
