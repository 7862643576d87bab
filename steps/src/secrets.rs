//! Texts that must not be shown, and taking them out of what is.

use std::fmt;

/// What stands in the place of a secret.
const SHOWN: &str = "(secret)";
/// A shorter one would take half of every text away, and protects nothing.
const SHORTEST: usize = 6;

/// Texts that must not be shown. `Debug` hides them, and they are never serialized.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one. What is shorter than six bytes is not hidden.
    pub fn add(&mut self, secret: &str) {
        if secret.len() >= SHORTEST {
            self.0.push(secret.to_owned());
            // The longer one first: it may hold the other.
            self.0.sort_by_key(|text| std::cmp::Reverse(text.len()));
            self.0.dedup();
        }
    }

    /// True when there is nothing to hide.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `text` with `(secret)` in the place of each.
    pub fn hide(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret, SHOWN))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({} hidden)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_hidden_the_longest_first_and_none_in_debug() {
        let mut secrets = Secrets::new();
        for text in ["hunter2", "", "x", "hunter2-and-more", "hunter2"] {
            secrets.add(text);
        }
        assert_eq!(
            secrets.hide("x hunter2-and-more hunter2!"),
            "x (secret) (secret)!"
        );
        assert_eq!(format!("{secrets:?}"), "Secrets(2 hidden)");
        assert!(Secrets::new().is_empty());
    }
}
