//! JSON as text, and texts in JSON: where they end, and whether they stand there as they are.

/// JSON as text. Looked at as a whole once, it needs no look at each of the texts in it; and what is read from text alone is
/// in the program once.
pub(crate) fn utf8(json: &[u8]) -> serde_json::Result<&str> {
    str::from_utf8(json).map_err(serde::de::Error::custom)
}

/// Bytes before the next one that ends a text in JSON or cannot stand in one as it is: a quote, a backslash, a control
/// character.
///
/// Eight at a time, by the test for a byte of zero (<https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord>): of the
/// bytes that it marks the first one is always right.
pub(crate) fn special(text: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let mut at = 0;
    // Most texts are short, so that this does nothing before the first word.
    while let Some((bytes, _)) = text[at..].split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*bytes);
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let control = word.wrapping_sub(0x20 * ONES) & !word;
        let quote = zero(word ^ (u64::from(b'"') * ONES));
        let backslash = zero(word ^ (u64::from(b'\\') * ONES));
        let marked = (control | quote | backslash) & HIGH;
        if marked != 0 {
            return Some(at + marked.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20);
    let found = text[at..].iter().position(is_special)?;
    Some(at + found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_text_is_told_with_its_place() {
        assert_eq!(utf8("{\"ä\":1}".as_bytes()).expect("text"), "{\"ä\":1}");
        let error = utf8(b"{\"a\xff\":1}").expect_err("no UTF-8");
        assert!(error.to_string().contains("index 3"), "{error}");
    }

    #[test]
    fn the_next_special_character() {
        for (text, at) in [
            ("", None),
            ("abcdefg", None),
            ("abcdefgh", None),
            ("\"", Some(0)),
            ("abcdefg\"", Some(7)),
            ("abcdefgh\"", Some(8)),
            ("ab\\cd\"ef", Some(2)),
            ("äöü€\"", Some(9)),
            ("abc\ndefgh", Some(3)),
            ("abcdefghij\u{1f}", Some(10)),
            (" !#[]\u{7f}ab", None),
        ] {
            assert_eq!(special(text.as_bytes()), at, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn the_first_of_any_bytes(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            let plainly = text.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\');
            prop_assert_eq!(special(&text), plainly);
        }
    }
}
