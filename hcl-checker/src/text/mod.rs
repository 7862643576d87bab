//! Facts and verdict for a person at a terminal.

mod facts;
mod style;
mod verdict;

pub(crate) use facts::size;
pub use style::Style;

use crate::facts::Facts;
use crate::root::steers;
use crate::verdict::Verdict;
use std::fmt::Write;

/// The facts as text.
pub fn facts(facts: &Facts, style: Style) -> String {
    safe(&facts::facts(facts, style))
}

/// The verdict as text. `all` unfolds what is as it should be; `other_list` names the list it was judged by where that is
/// not the one of the release.
pub fn verdict(
    facts: &Facts,
    verdict: &Verdict,
    other_list: Option<&str>,
    style: Style,
    all: bool,
) -> String {
    safe(&verdict::verdict(facts, verdict, other_list, style, all))
}

/// Text that cannot steer a terminal, whatever stood in facts that somebody sent: every character that [`steers`] but the
/// line end becomes `\\xNN` or `\\u{NNNN}`. The colors of [`Style`] stay, and are all that could have come from elsewhere.
pub fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(sequence) = color(rest) {
            out.push_str(sequence);
            rest = &rest[sequence.len()..];
            continue;
        }
        if steers(c) && c != '\n' {
            // Writing to a String cannot fail.
            let _ = match u32::from(c) {
                number @ ..=0xff => write!(out, "\\x{number:02x}"),
                number => write!(out, "\\u{{{number:x}}}"),
            };
        } else {
            out.push(c);
        }
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// A sequence that sets colors (ECMA-48, SGR) at the start of `text`.
fn color(text: &str) -> Option<&str> {
    let numbers = text.strip_prefix("\x1b[")?;
    let end = numbers.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    (numbers[end..].starts_with('m') && end <= 8).then(|| &text[..end + 3])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn control_characters_are_shown_and_colors_stay() {
        assert_eq!(safe("a\tb\x07\u{9b}2J\n"), "a\\x09b\\x07\\x9b2J\n");
        assert_eq!(safe("\x1b[1;31mbad\x1b[0m"), "\x1b[1;31mbad\x1b[0m");
        assert_eq!(
            safe("\x1b[2J\x1b]0;title\x07"),
            "\\x1b[2J\\x1b]0;title\\x07"
        );
    }

    #[test]
    fn what_turns_text_around_or_hides_in_it_is_shown() {
        assert_eq!(
            safe("a\u{202e}b\u{200b}c\u{61c}"),
            "a\\u{202e}b\\u{200b}c\\u{61c}"
        );
        assert_eq!(safe("Größe ✓ 東\n"), "Größe ✓ 東\n");
    }

    proptest! {
        #[test]
        fn nothing_but_colors_is_left(text in "(\\PC|[\u{200b}-\u{206f}]|\x1b\\[[0-9;]{0,4}[mJH]|\x1b|\t|\n){0,40}") {
            let out = safe(&text);
            prop_assert!(!out.chars().any(|c| steers(c) && c != '\n' && c != '\x1b'));
            let all_colors = out.match_indices('\x1b').all(|(at, _)| color(&out[at..]).is_some());
            prop_assert!(all_colors);
        }
    }
}
