//! Color, where the reader can see it.

use std::fmt;

/// Whether text is colored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For files, pipes and terminals without color.
    Plain,
    /// With escape sequences.
    Color,
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
    /// Wraps `text` in the color, if any.
    pub(super) fn paint(self, paint: Paint, text: impl fmt::Display) -> String {
        let code = match paint {
            Paint::Good => "1;32",
            Paint::Warning => "1;33",
            Paint::Bad => "1;31",
            Paint::Strong => "1",
            Paint::Dim => "2",
        };
        match self {
            Self::Plain => text.to_string(),
            Self::Color => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}
