//! A line of text that is edited.

use super::key::Key;
use serde::{Deserialize, Serialize};

/// The longest text that is taken: a license token of a large site fits.
const LONGEST: usize = 128 * 1024;

/// A line of text with a cursor. Holds a password in places: no `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    text: String,
    /// Characters before the cursor.
    cursor: usize,
}

impl Field {
    /// With this text and the cursor behind it.
    pub fn with(text: impl Into<String>) -> Self {
        let text = text.into();
        Field {
            cursor: text.chars().count(),
            text,
        }
    }

    /// The text as it was typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text without blanks around it.
    pub fn value(&self) -> &str {
        self.text.trim()
    }

    /// True when nothing but blanks was typed.
    pub fn is_empty(&self) -> bool {
        self.value().is_empty()
    }

    /// Characters before the cursor.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Removes the text.
    pub fn clear(&mut self) {
        *self = Field::default();
    }

    fn at(&self, characters: usize) -> usize {
        self.text
            .char_indices()
            .nth(characters)
            .map_or(self.text.len(), |(at, _)| at)
    }

    fn count(&self) -> usize {
        self.text.chars().count()
    }

    /// Types text. Control characters and line ends are left out: what is pasted is one line.
    pub fn insert(&mut self, text: &str) {
        for c in text.chars().filter(|c| !c.is_control()) {
            if self.text.len() + c.len_utf8() > LONGEST {
                return;
            }
            let at = self.at(self.cursor);
            self.text.insert(at, c);
            self.cursor += 1;
        }
    }

    /// Edits. False when the key is none of editing.
    pub fn key(&mut self, key: Key) -> bool {
        match key {
            Key::Char(c) => self.insert(c.encode_utf8(&mut [0; 4])),
            Key::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                let at = self.at(self.cursor);
                self.text.remove(at);
            }
            Key::Delete if self.cursor < self.count() => {
                let at = self.at(self.cursor);
                self.text.remove(at);
            }
            Key::Backspace | Key::Delete => {}
            Key::Left => self.cursor = self.cursor.saturating_sub(1),
            Key::Right => self.cursor = (self.cursor + 1).min(self.count()),
            Key::Home | Key::Ctrl('a') => self.cursor = 0,
            Key::End | Key::Ctrl('e') => self.cursor = self.count(),
            Key::Ctrl('u') => self.clear(),
            Key::Ctrl('w') => {
                let before = &self.text[..self.at(self.cursor)];
                let kept = before.trim_end().rfind(' ').map_or(0, |blank| blank + 1);
                let kept_characters = before[..kept].chars().count();
                let at = self.at(self.cursor);
                self.text.replace_range(kept..at, "");
                self.cursor = kept_characters;
            }
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_is_edited() {
        let mut field = Field::with("xen one");
        assert!(field.key(Key::Ctrl('w')));
        assert_eq!((field.text(), field.cursor()), ("xen ", 4));
        field.insert("\u{e9}2\r\n");
        for key in [Key::Left, Key::Left, Key::Delete, Key::End, Key::Backspace] {
            assert!(field.key(key));
        }
        assert_eq!(field.text(), "xen ");
        assert!(!field.key(Key::Enter) && !field.key(Key::Up));
        field.key(Key::Ctrl('u'));
        assert!(field.is_empty());
    }

    proptest! {
        #[test]
        fn no_keys_break_it(text in "\\PC{0,8}", picks in prop::collection::vec(0..9u8, 0..40)) {
            let mut field = Field::with(text);
            for pick in picks {
                let key = [
                    Key::Left, Key::Right, Key::Home, Key::End, Key::Backspace, Key::Delete, Key::Char('\u{e9}'),
                    Key::Ctrl('w'), Key::Char(' '),
                ][usize::from(pick)];
                field.key(key);
                prop_assert!(field.cursor() <= field.text().chars().count());
            }
        }
    }
}
