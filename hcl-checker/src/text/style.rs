//! How text is laid out for its reader: color and width.

use std::fmt;
use textwrap::Options;

/// Lines of a terminal that is narrower than this are cut there, not wrapped word by word.
const LEAST_COLUMNS: usize = 40;

/// How text is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// With escape sequences for color (ECMA-48, SGR).
    pub color: bool,
    /// Columns of the terminal whose width long lines are wrapped to; none for files and pipes, where lines stay whole, for
    /// `grep` to find.
    pub columns: Option<usize>,
}

/// Colors of a verdict.
#[derive(Debug, Clone, Copy)]
pub(super) enum Paint {
    Good,
    Warning,
    Bad,
    Strong,
    Dim,
}

impl Style {
    /// For files, pipes and terminals that are not known.
    pub const PLAIN: Self = Self {
        color: false,
        columns: None,
    };

    /// Wraps `text` in the color, if any.
    pub(super) fn paint(self, paint: Paint, text: impl fmt::Display) -> String {
        let code = match paint {
            Paint::Good => "1;32",
            Paint::Warning => "1;33",
            Paint::Bad => "1;31",
            Paint::Strong => "1",
            Paint::Dim => "2",
        };
        if self.color {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }

    /// `first` and `text`, on as many lines as it takes, each with its line end; all but the first begin with `indent`
    /// spaces.
    pub(super) fn lines(self, first: &str, indent: usize, text: &str) -> String {
        let Some(columns) = self.columns else {
            return format!("{first}{text}\n");
        };
        let rest = " ".repeat(indent);
        let options = Options::new(columns.max(LEAST_COLUMNS))
            .initial_indent(first)
            .subsequent_indent(&rest)
            .break_words(false);
        textwrap::fill(text, options) + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_wrapped_to_the_terminal_and_nowhere_else() {
        let text = "connect a disk that is large enough, or make its RAID volume visible";
        let narrow = Style {
            columns: Some(40),
            ..Style::PLAIN
        };
        assert_eq!(
            narrow.lines("  do  ", 6, text),
            "  do  connect a disk that is large\n      enough, or make its RAID volume\n      visible\n"
        );
        assert_eq!(
            Style::PLAIN.lines("  do  ", 6, text),
            format!("  do  {text}\n")
        );
    }

    #[test]
    fn color_takes_no_room() {
        let style = Style {
            color: true,
            columns: Some(40),
        };
        let head = style.paint(Paint::Strong, "x".repeat(38));
        assert_eq!(style.lines("  ", 6, &head), format!("  {head}\n"));
    }
}
