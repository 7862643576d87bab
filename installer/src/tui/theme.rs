//! How things look: one accent color or none, and characters that every console font has or plain ASCII.

use ratatui::style::{Color, Modifier, Style};

/// How a terminal is drawn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    color: bool,
    /// The characters.
    pub glyphs: &'static Glyphs,
}

/// Characters that are drawn with.
#[derive(Debug, PartialEq, Eq)]
pub struct Glyphs {
    /// A horizontal rule.
    pub rule: &'static str,
    /// A vertical rule.
    pub bar: &'static str,
    /// Corners: top left, top right, bottom left, bottom right.
    pub corners: [&'static str; 4],
    /// In front of what is selected.
    pub pointer: &'static str,
    /// In front of what is done.
    pub done: &'static str,
    /// In front of what is still to do.
    pub todo: &'static str,
    /// The chosen one of several.
    pub radio_on: &'static str,
    /// One that is not chosen.
    pub radio_off: &'static str,
    /// One that was taken, of several that can be taken together.
    pub box_on: &'static str,
    /// One that was not taken.
    pub box_off: &'static str,
    /// The part of a gauge that is full.
    pub full: &'static str,
    /// The part that is not.
    pub empty: &'static str,
    /// Stands for text that was cut.
    pub cut: &'static str,
    /// Stands for a character that is not shown.
    pub hidden: &'static str,
}

/// Only characters that both the built-in font of the Linux console (code page 437) and Debian's console fonts have.
static UNICODE: Glyphs = Glyphs {
    rule: "\u{2500}",
    bar: "\u{2502}",
    corners: ["\u{250c}", "\u{2510}", "\u{2514}", "\u{2518}"],
    pointer: "\u{bb}",
    done: "\u{25a0}",
    todo: "\u{b7}",
    radio_on: "(\u{2022})",
    radio_off: "( )",
    box_on: "[x]",
    box_off: "[ ]",
    full: "\u{2588}",
    empty: "\u{2591}",
    cut: ">",
    hidden: "\u{2022}",
};

static ASCII: Glyphs = Glyphs {
    rule: "-",
    bar: "|",
    corners: ["+"; 4],
    pointer: ">",
    done: "*",
    todo: ".",
    radio_on: "(*)",
    radio_off: "( )",
    box_on: "[x]",
    box_off: "[ ]",
    full: "#",
    empty: ".",
    cut: ">",
    hidden: "*",
};

impl Theme {
    /// With or without color, and with the characters that the terminal has.
    pub fn new(color: bool, utf8: bool) -> Self {
        Theme {
            color,
            glyphs: if utf8 { &UNICODE } else { &ASCII },
        }
    }

    /// Ordinary text.
    pub fn text(&self) -> Style {
        Style::new()
    }

    /// What matters on the screen.
    pub fn strong(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Where the operator is, and what runs: the accent color.
    pub fn accent(&self) -> Style {
        if self.color {
            // Not bold: the Linux console forgets bold when a color is set (rgb_foreground in drivers/tty/vt/vt.c), and what
            // follows in bold would not be.
            Style::new().fg(Color::Cyan)
        } else {
            self.strong()
        }
    }

    /// What explains.
    pub fn quiet(&self) -> Style {
        if self.color {
            Style::new().fg(Color::Gray)
        } else {
            Style::new()
        }
    }

    /// What has the focus. Reversed, so that it shows on every terminal.
    pub fn focus(&self) -> Style {
        self.accent().add_modifier(Modifier::REVERSED)
    }
}
