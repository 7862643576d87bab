//! Keys, apart from the bytes that stand for them.

use serde::{Deserialize, Serialize};

/// A key of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Key {
    /// A character.
    Char(char),
    /// A letter with the control key, in lower case.
    Ctrl(char),
    /// A function key, from 1.
    F(u8),
    /// Enter.
    Enter,
    /// Escape.
    Esc,
    /// Tabulator.
    Tab,
    /// Tabulator with the shift key.
    BackTab,
    /// Erase the character before the cursor.
    Backspace,
    /// Erase the character at the cursor.
    Delete,
    /// Arrow.
    Up,
    /// Arrow.
    Down,
    /// Arrow.
    Left,
    /// Arrow.
    Right,
    /// To the start.
    Home,
    /// To the end.
    End,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
}

/// What comes from a terminal.
#[derive(Clone, PartialEq, Eq)]
pub enum Input {
    /// A key.
    Key(Key),
    /// Text that was pasted at once. May be a secret.
    Paste(String),
    /// The terminal says where its cursor is, counted from 1: the answer to `CSI 6 n`.
    Position {
        /// Row.
        row: u16,
        /// Column.
        column: u16,
    },
}
