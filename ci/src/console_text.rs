//! Turns what a serial console sends into plain text that can be searched and read: terminal control sequences go,
//! lines stay.

/// Removes terminal control sequences from a stream, however it is cut into pieces.
#[derive(Debug, Default)]
pub struct Cleaner {
    state: State,
    /// Bytes of a UTF-8 character that is not complete yet.
    partial: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After `ESC (` and its like: one more byte belongs to it.
    Charset,
    /// Inside of `ESC [ ... final`.
    Control,
    /// Inside of `ESC ] ... BEL` (title and so on).
    Title,
}

impl Cleaner {
    /// The text in the next `bytes`.
    ///
    /// Moving the cursor becomes a line feed: a menu that is painted all over the screen stays readable line by line.
    pub fn clean(&mut self, bytes: &[u8]) -> String {
        let mut text = std::mem::take(&mut self.partial);
        for &byte in bytes {
            self.state = match (self.state, byte) {
                (State::Text, 0x1b) => State::Escape,
                (State::Text, b'\n' | b'\t') => keep(&mut text, byte),
                (State::Text, 0..0x20 | 0x7f) => State::Text,
                (State::Text, _) => keep(&mut text, byte),
                (State::Escape, b'[') => State::Control,
                (State::Escape, b']' | b'P' | b'_' | b'^') => State::Title,
                (State::Escape, b'(' | b')' | b'#' | b'%') => State::Charset,
                (State::Escape, _) | (State::Charset, _) => State::Text,
                (State::Control, b'H' | b'f') => keep(&mut text, b'\n'),
                (State::Control, 0x40..=0x7e) => State::Text,
                (State::Control, _) => State::Control,
                (State::Title, 0x07) => State::Text,
                (State::Title, 0x1b) => State::Escape,
                (State::Title, _) => State::Title,
            };
        }
        let complete = complete_prefix(&text);
        self.partial = text.split_off(complete);
        String::from_utf8_lossy(&text).into_owned()
    }
}

fn keep(text: &mut Vec<u8>, byte: u8) -> State {
    text.push(byte);
    State::Text
}

/// Bytes before an unfinished character at the end.
fn complete_prefix(text: &[u8]) -> usize {
    match std::str::from_utf8(text) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => text.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_pieces(bytes: &[u8], size: usize) -> String {
        let mut cleaner = Cleaner::default();
        bytes
            .chunks(size)
            .map(|piece| cleaner.clean(piece))
            .collect()
    }

    #[test]
    fn colors_titles_and_carriage_returns_go() {
        let raw = "\x1b]0;host\x07\x1b[1;32mok\x1b[0m\r\nnext\x1b(B\x1b[?2004h#\r\n".as_bytes();
        for size in [1, 2, 3, 100] {
            assert_eq!(in_pieces(raw, size), "ok\nnext#\n", "pieces of {size}");
        }
    }

    #[test]
    fn a_painted_menu_becomes_lines() {
        let raw = b"\x1b[2J\x1b[05;01H*Install\x1b[06;01H Rescue";
        assert_eq!(in_pieces(raw, 4), "\n*Install\n Rescue");
    }

    #[test]
    fn characters_cut_in_two_survive() {
        assert_eq!(in_pieces("┌─┐ ü".as_bytes(), 1), "┌─┐ ü");
        // Bytes that are no UTF-8 at all must not be waited for.
        assert_eq!(in_pieces(b"a\xff\xfeb", 1).chars().count(), 4);
    }
}
