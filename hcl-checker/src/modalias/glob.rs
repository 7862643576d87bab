//! `fnmatch(3)` with no flags, as far as alias patterns use it: `*`, `?`, `[...]` and backslash.

/// Whether `text` as a whole matches `pattern`.
///
/// `*` takes any run of bytes (also `/` and a leading dot), `?` one byte, `[a-f0-9]` one byte of the set, `[!...]` and
/// `[^...]` one byte outside of it, and a backslash takes the next byte literally. A `[` without its `]` stands for
/// itself. Character classes (`[[:digit:]]`) are not read: the kernel writes none. Runs in time
/// `pattern * text` at worst.
pub fn matches(pattern: &str, text: &str) -> bool {
    glob(pattern.as_bytes(), text.as_bytes())
}

/// [`matches()`] on bytes.
pub(super) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last `*`: the pattern behind it, and the text byte that it has not taken yet.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            retry = Some((p, t));
            continue;
        }
        if t == text.len() {
            if p == pattern.len() {
                return true;
            }
            // A longer `*` leaves even less text for the rest of the pattern.
            return false;
        }
        if let Some(width) = one(&pattern[p..], text[t]) {
            p += width;
            t += 1;
            continue;
        }
        match &mut retry {
            Some((after, start)) => {
                *start += 1;
                (p, t) = (*after, *start);
            }
            None => return false,
        }
    }
}

/// Matches one byte against the head of `pattern`: the width of that head where it matches.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => match set(pattern, byte) {
            Some((width, true)) => Some(width),
            Some((_, false)) => None,
            None => (byte == b'[').then_some(1),
        },
        b'\\' => match pattern.get(1) {
            Some(&literal) => (literal == byte).then_some(2),
            None => None,
        },
        literal => (literal == byte).then_some(1),
    }
}

/// Reads the bracket expression at the head of `pattern`: its width, and whether it holds `byte`. `None` where it has
/// no end.
fn set(pattern: &[u8], byte: u8) -> Option<(usize, bool)> {
    let mut at = 1;
    let negated = matches!(pattern.get(at), Some(b'!' | b'^'));
    if negated {
        at += 1;
    }
    let first = at;
    let mut found = false;
    loop {
        let mut low = *pattern.get(at)?;
        // A `]` that stands first is a member of the set.
        if low == b']' && at > first {
            return Some((at + 1, found != negated));
        }
        if low == b'\\' {
            at += 1;
            low = *pattern.get(at)?;
        }
        at += 1;
        let mut high = low;
        if pattern.get(at) == Some(&b'-') && pattern.get(at + 1).is_some_and(|&end| end != b']') {
            at += 1;
            high = *pattern.get(at)?;
            if high == b'\\' {
                at += 1;
                high = *pattern.get(at)?;
            }
            at += 1;
        }
        found |= (low..=high).contains(&byte);
    }
}

#[cfg(test)]
mod tests {
    use super::matches;
    use proptest::prelude::*;

    #[test]
    fn literals_and_stars() {
        assert!(matches("", ""));
        assert!(!matches("", "a"));
        assert!(matches("*", ""));
        assert!(matches("a*c", "abbbc"));
        assert!(matches("a*c", "ac"));
        assert!(!matches("a*c", "acb"));
        assert!(matches("*a*b", "xxaxxaxb"));
        assert!(!matches("*a*b", "xxbxxa"));
        assert!(matches("a?c", "abc"));
        assert!(!matches("a?c", "ac"));
        assert!(matches("a/*", "a/.b/c"));
    }

    #[test]
    fn sets() {
        assert!(matches("d01[4-7]x", "d015x"));
        assert!(!matches("d01[4-7]x", "d018x"));
        assert!(matches("[!0-9]", "a"));
        assert!(!matches("[^0-9]", "5"));
        assert!(matches("[]a]", "]"));
        assert!(matches("[a-]", "-"));
        assert!(matches("[", "["));
        assert!(!matches("[a", "a"));
        assert!(matches("[\\]]", "]"));
        assert!(matches("\\*", "*"));
        assert!(!matches("\\*", "a"));
        // An empty range holds nothing.
        assert!(!matches("[9-0]", "5"));
    }

    #[test]
    fn real_patterns() {
        let nvme = "pci:v*d*sv*sd*bc01sc08i02*";
        assert!(matches(
            nvme,
            "pci:v0000144Dd0000A80Asv0000144Dsd0000A801bc01sc08i02"
        ));
        assert!(!matches(
            nvme,
            "pci:v0000144Dd0000A80Asv0000144Dsd0000A801bc01sc06i01"
        ));
        assert!(matches("acpi*:PNP0303:*", "acpi:PNP0303:"));
        assert!(matches("virtio:d00000002v*", "virtio:d00000002v00001AF4"));
    }

    #[test]
    fn many_stars_end_soon() {
        let pattern = "*a".repeat(200);
        let text = "b".repeat(20_000);
        assert!(!matches(&pattern, &text));
    }

    /// The definition, without regard to time.
    fn slow(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.first() {
            None => text.is_empty(),
            Some(b'*') => (0..=text.len()).any(|n| slow(&pattern[1..], &text[n..])),
            Some(b'?') => !text.is_empty() && slow(&pattern[1..], &text[1..]),
            Some(c) => text.first() == Some(c) && slow(&pattern[1..], &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn never_panics(pattern in "\\PC{0,40}", text in "\\PC{0,40}") {
            let _ = matches(&pattern, &text);
        }

        #[test]
        fn brackets_never_panic(pattern in "[\\[\\]!^\\\\*?a-c\\-]{0,20}", text in "[a-c\\[\\]\\-]{0,12}") {
            let _ = matches(&pattern, &text);
        }

        #[test]
        fn equals_the_definition(pattern in "[ab*?]{0,10}", text in "[ab]{0,10}") {
            prop_assert_eq!(matches(&pattern, &text), slow(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn matches_itself(text in "[a-zA-Z0-9:_.,]{0,40}") {
            prop_assert!(matches(&text, &text));
            let longer = format!("{text}*");
            prop_assert!(matches(&longer, &text));
        }
    }
}
