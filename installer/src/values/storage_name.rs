//! Name of a storage repository.

use super::ValueError;
use serde::Serialize;
use slots::names::{LOCAL_STORAGE, STORAGE_VG};
use std::fmt;

/// Longest name: with what is put before it, it fits every place where LVM, fstab and people need it.
const LONGEST: usize = 32;

/// Name of a storage repository on disks of its own: lowercase letters, digits and hyphens, a letter first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct StorageName(String);

impl StorageName {
    /// Checks the name.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let text = text.trim();
        let plain = text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-')
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !plain || text.len() > LONGEST {
            return Err(ValueError {
                message: "is not a name for a storage repository".to_owned(),
                advice: format!(
                    "write lowercase letters, digits and hyphens, a letter first, {LONGEST} at most: `fast`"
                ),
            });
        }
        if text == LOCAL_STORAGE {
            return Err(ValueError {
                message: "is \"local\", which is the storage repository on the disk of the host"
                    .to_owned(),
                advice: "choose another name".to_owned(),
            });
        }
        Ok(StorageName(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its section in answers, as messages name it.
    pub fn section(&self) -> String {
        format!("[[storage]] \"{self}\"")
    }

    /// The volume group that it is.
    pub fn group(&self) -> String {
        format!("{STORAGE_VG}-{}", self.0)
    }
}

impl fmt::Display for StorageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        assert_eq!(
            StorageName::parse(" fast-2 ").unwrap().group(),
            "bedplate-fast-2"
        );
        for bad in [
            "",
            "2fast",
            "Fast",
            "a_b",
            "a/b",
            "a-",
            "local",
            "\u{e9}",
            &"a".repeat(33),
        ] {
            assert!(StorageName::parse(bad).is_err(), "{bad}");
        }
    }
}
