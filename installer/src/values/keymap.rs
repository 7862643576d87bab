//! Keyboard layout of the host.

use super::ValueError;
use super::keymaps::{KEYMAPS, layout_and_variant};
use serde::Serialize;

/// A keyboard layout that is known here, by its XKB name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Keymap(String);

impl Keymap {
    /// One of [`KEYMAPS`].
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        if KEYMAPS.iter().any(|(name, _)| *name == text) {
            return Ok(Keymap(text.to_owned()));
        }
        let names: Vec<&str> = KEYMAPS.iter().map(|(name, _)| *name).collect();
        Err(ValueError::new(
            "is no keyboard layout that is known here",
            format!("possible are {}", names.join(", ")),
        ))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `/etc/default/keyboard`, keyboard(5).
    pub fn settings(&self) -> String {
        let (layout, variant) = layout_and_variant(&self.0);
        format!(
            "XKBMODEL=\"pc105\"\nXKBLAYOUT=\"{layout}\"\nXKBVARIANT=\"{variant}\"\nXKBOPTIONS=\"\"\nBACKSPACE=\"guess\"\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_told_apart() {
        let settings = Keymap::parse("ch-fr").unwrap().settings();
        assert!(settings.contains("XKBLAYOUT=\"ch\"\nXKBVARIANT=\"fr\"\n"));
        assert!(
            Keymap::parse("german")
                .unwrap_err()
                .advice
                .contains("de, dk")
        );
    }
}
