//! From the bytes of a terminal to keys.
//!
//! The event readers of crossterm and termion read the terminal of the process; the installer reads every console of the
//! machine by itself. Sequences: ECMA-48, xterm's ctlseqs, and the Linux console's own for F1 to F5 (console_codes(4)).

use super::key::{Input, Key};

/// A longer sequence is none: a line with the wrong speed sends anything.
const LONGEST: usize = 32;
/// More pasted text than this is dropped: the longest that fits anywhere is a license token.
const LONGEST_PASTE: usize = 256 * 1024;
const PASTE_END: &[u8] = b"\x1b[201~";

/// Gathers bytes until they make a key.
#[derive(Default)]
pub struct Decoder {
    pending: Vec<u8>,
    paste: Option<Vec<u8>>,
    after_return: bool,
}

/// What bytes at the start of the pending ones are.
enum Step {
    /// This many bytes are this input, or nothing that matters.
    Took(usize, Option<Input>),
    /// The start of a bracketed paste.
    PasteStarts(usize),
    /// More bytes are needed.
    Wait,
}

impl Decoder {
    /// Takes bytes as they come.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Input> {
        self.pending.extend_from_slice(bytes);
        let mut inputs = Vec::new();
        loop {
            if let Some(pasted) = &mut self.paste {
                let end = self
                    .pending
                    .windows(PASTE_END.len())
                    .position(|window| window == PASTE_END);
                let keep = PASTE_END.len() - 1;
                let until = end.unwrap_or(self.pending.len().saturating_sub(keep));
                pasted.extend(self.pending.drain(..until));
                pasted.truncate(LONGEST_PASTE);
                if end.is_none() {
                    return inputs;
                }
                self.pending.drain(..PASTE_END.len());
                let pasted = self.paste.take().unwrap_or_default();
                inputs.push(Input::Paste(String::from_utf8_lossy(&pasted).into_owned()));
                continue;
            }
            if self.pending.is_empty() {
                return inputs;
            }
            match step(&self.pending) {
                Step::Wait => return inputs,
                Step::PasteStarts(length) => {
                    self.pending.drain(..length);
                    self.paste = Some(Vec::new());
                }
                Step::Took(length, input) => {
                    let first = self.pending[0];
                    self.pending.drain(..length);
                    // Some terminals send a line feed behind the carriage return.
                    let twice = self.after_return && first == b'\n';
                    self.after_return = first == b'\r';
                    if !twice {
                        inputs.extend(input);
                    }
                }
            }
        }
    }

    /// True when bytes wait for more, which may never come: a lone escape.
    pub fn is_waiting(&self) -> bool {
        !self.pending.is_empty() && self.paste.is_none()
    }

    /// No more bytes came for a while: what waits is what it is.
    pub fn settle(&mut self) -> Vec<Input> {
        if !self.is_waiting() {
            return Vec::new();
        }
        let pending = std::mem::take(&mut self.pending);
        if pending[0] == 0x1b {
            vec![Input::Key(Key::Esc)]
        } else {
            Vec::new()
        }
    }
}

fn step(bytes: &[u8]) -> Step {
    let key = |length, key| Step::Took(length, Some(Input::Key(key)));
    match bytes {
        [0x1b] | [0x1b, b'['] | [0x1b, b'O'] | [0x1b, b'[', b'['] => Step::Wait,
        // The Linux console: F1 to F5.
        [0x1b, b'[', b'[', letter @ b'A'..=b'E', ..] => key(4, Key::F(letter - b'A' + 1)),
        [0x1b, b'[', b'[', ..] => Step::Took(4, None),
        [0x1b, b'[', rest @ ..] => control_sequence(rest),
        [0x1b, b'O', letter, ..] => match letter {
            b'P'..=b'S' => key(3, Key::F(letter - b'P' + 1)),
            _ => Step::Took(3, cursor_key(*letter).map(Input::Key)),
        },
        // Escape and a digit is a function key on serial lines, as in the setup programs of firmware.
        [0x1b, b'0', ..] => key(2, Key::F(10)),
        [0x1b, digit @ b'1'..=b'9', ..] => key(2, Key::F(digit - b'0')),
        [0x1b, 0x1b, ..] => key(1, Key::Esc),
        [0x1b, ..] => Step::Took(2, None),
        [b'\r' | b'\n', ..] => key(1, Key::Enter),
        [b'\t', ..] => key(1, Key::Tab),
        [0x08 | 0x7f, ..] => key(1, Key::Backspace),
        [control @ 1..=26, ..] => key(1, Key::Ctrl(char::from(control - 1 + b'a'))),
        [0 | 27..=31, ..] => Step::Took(1, None),
        [b' '..=b'~', ..] => key(1, Key::Char(char::from(bytes[0]))),
        _ => character(bytes),
    }
}

/// What follows `CSI`: parameters, intermediate bytes, and a final byte from `@` to `~` (ECMA-48, 5.4).
fn control_sequence(rest: &[u8]) -> Step {
    let Some(end) = rest.iter().position(|byte| (0x40..=0x7e).contains(byte)) else {
        return if rest.len() > LONGEST {
            Step::Took(rest.len() + 2, None)
        } else {
            Step::Wait
        };
    };
    let length = end + 3;
    let text = String::from_utf8_lossy(&rest[..end]);
    let mut numbers = text.split(';').map(|number| number.parse::<u16>().ok());
    let (first, second) = (numbers.next().flatten(), numbers.next().flatten());
    let input = match (rest[end], first) {
        (b'R', Some(row)) => second.map(|column| Input::Position { row, column }),
        (b'~', Some(200)) => return Step::PasteStarts(length),
        (b'~', Some(number)) => tilde_key(number).map(Input::Key),
        (b'Z', _) => Some(Input::Key(Key::BackTab)),
        (letter @ b'P'..=b'S', _) => Some(Input::Key(Key::F(letter - b'P' + 1))),
        (letter, _) => cursor_key(letter).map(Input::Key),
    };
    Step::Took(length, input)
}

fn cursor_key(letter: u8) -> Option<Key> {
    Some(match letter {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'H' => Key::Home,
        b'F' => Key::End,
        b'M' => Key::Enter,
        _ => return None,
    })
}

fn tilde_key(number: u16) -> Option<Key> {
    Some(match number {
        1 | 7 => Key::Home,
        3 => Key::Delete,
        4 | 8 => Key::End,
        5 => Key::PageUp,
        6 => Key::PageDown,
        11..=15 => Key::F((number - 10) as u8),
        17..=21 => Key::F((number - 11) as u8),
        23 | 24 => Key::F((number - 12) as u8),
        _ => return None,
    })
}

/// A character of UTF-8 beyond ASCII.
fn character(bytes: &[u8]) -> Step {
    let length = match bytes[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Step::Took(1, None),
    };
    let Some(whole) = bytes.get(..length) else {
        return Step::Wait;
    };
    match std::str::from_utf8(whole)
        .ok()
        .and_then(|text| text.chars().next())
    {
        Some(c) => Step::Took(length, Some(Input::Key(Key::Char(c)))),
        None => Step::Took(1, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        let mut inputs = decoder.feed(bytes);
        inputs.extend(decoder.settle());
        inputs
            .into_iter()
            .map(|input| match input {
                Input::Key(key) => key,
                _ => panic!("not a key"),
            })
            .collect()
    }

    #[test]
    fn function_keys_of_all_terminals() {
        // xterm, vt220, the Linux console, escape and digit.
        for f1 in [&b"\x1bOP"[..], b"\x1b[11~", b"\x1b[[A", b"\x1b1"] {
            assert_eq!(keys(f1), [Key::F(1)], "{f1:?}");
        }
        assert_eq!(keys(b"\x1b[21~\x1b0"), [Key::F(10), Key::F(10)]);
        assert_eq!(keys(b"\x1b[24~"), [Key::F(12)]);
    }

    #[test]
    fn editing_keys() {
        assert_eq!(
            keys(b"\x1b[A\x1bOB\x1b[1;5C\x1b[D"),
            [Key::Up, Key::Down, Key::Right, Key::Left]
        );
        assert_eq!(
            keys(b"\x1b[1~\x1b[4~\x1b[H\x1b[F"),
            [Key::Home, Key::End, Key::Home, Key::End]
        );
        assert_eq!(
            keys(b"\x1b[3~\x7f\x08"),
            [Key::Delete, Key::Backspace, Key::Backspace]
        );
        assert_eq!(keys(b"\r\n\r\r"), [Key::Enter, Key::Enter, Key::Enter]);
        assert_eq!(
            keys(b"\t\x1b[Z\x0c"),
            [Key::Tab, Key::BackTab, Key::Ctrl('l')]
        );
        assert_eq!(
            keys("a\u{e9}\u{4e2d}".as_bytes()),
            [Key::Char('a'), Key::Char('\u{e9}'), Key::Char('\u{4e2d}')]
        );
    }

    #[test]
    fn a_lone_escape_is_one_after_a_while() {
        let mut decoder = Decoder::default();
        assert!(decoder.feed(b"\x1b").is_empty());
        assert!(decoder.is_waiting());
        assert!(decoder.settle() == [Input::Key(Key::Esc)]);
        // What came in pieces in time is one key.
        assert!(decoder.feed(b"\x1b[").is_empty());
        assert!(decoder.feed(b"6~") == [Input::Key(Key::PageDown)]);
        assert!(!decoder.is_waiting());
    }

    #[test]
    fn pasted_text_is_one_input_whatever_is_in_it() {
        let mut decoder = Decoder::default();
        assert!(decoder.feed(b"\x1b[200~v4.pub\r\nlic\x1b[2").is_empty());
        let inputs = decoder.feed(b"01~x");
        assert!(
            inputs
                == [
                    Input::Paste("v4.pub\r\nlic".into()),
                    Input::Key(Key::Char('x'))
                ]
        );
    }

    #[test]
    fn the_cursor_position_is_no_key() {
        assert!(
            Decoder::default().feed(b"\x1b[24;80R")
                == [Input::Position {
                    row: 24,
                    column: 80
                }]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_digested(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
            let mut decoder = Decoder::default();
            for chunk in chunks {
                decoder.feed(&chunk);
                prop_assert!(decoder.pending.len() <= LONGEST + 48);
            }
            decoder.settle();
        }
    }
}
