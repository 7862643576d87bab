//! Keyboard layouts with Latin letters, which hostnames and passwords are typed with. Names: XKB (xkeyboard-config,
//! rules/base.lst), as keyboard(5) of Debian has them.

/// XKB name and name for people.
pub static KEYMAPS: [(&str, &str); 36] = [
    ("us", "English (US)"),
    ("gb", "English (UK)"),
    ("at", "German (Austria)"),
    ("be", "Belgian"),
    ("br", "Portuguese (Brazil)"),
    ("ca", "French (Canada)"),
    ("ch", "German (Switzerland)"),
    ("ch-fr", "French (Switzerland)"),
    ("cz", "Czech"),
    ("de", "German"),
    ("dk", "Danish"),
    ("ee", "Estonian"),
    ("es", "Spanish"),
    ("fi", "Finnish"),
    ("fr", "French"),
    ("hr", "Croatian"),
    ("hu", "Hungarian"),
    ("ie", "Irish"),
    ("is", "Icelandic"),
    ("it", "Italian"),
    ("jp", "Japanese"),
    ("latam", "Spanish (Latin America)"),
    ("lt", "Lithuanian"),
    ("lv", "Latvian"),
    ("nl", "Dutch"),
    ("no", "Norwegian"),
    ("pl", "Polish"),
    ("pt", "Portuguese"),
    ("ro", "Romanian"),
    ("rs-latin", "Serbian (Latin)"),
    ("se", "Swedish"),
    ("si", "Slovenian"),
    ("sk", "Slovak"),
    ("tr", "Turkish"),
    ("us-dvorak", "English (Dvorak)"),
    ("us-intl", "English (US, international)"),
];

/// Layout and variant of a name: `ch-fr` is the variant `fr` of `ch`.
pub fn layout_and_variant(name: &str) -> (&str, &str) {
    name.split_once('-').unwrap_or((name, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_are_no_options() {
        let names: std::collections::BTreeSet<_> = KEYMAPS.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), KEYMAPS.len());
        assert!(names.iter().all(
            |name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-')
                && !name.starts_with('-')
        ));
        assert_eq!(layout_and_variant("ch-fr"), ("ch", "fr"));
        assert_eq!(layout_and_variant("de"), ("de", ""));
    }
}
