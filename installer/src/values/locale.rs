//! Locale of the host.

use super::ValueError;
use serde::Serialize;

/// The name of a locale. Whether the release has it is looked at before the first write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Locale(String);

impl Locale {
    /// `C`, `POSIX`, or language, country and UTF-8 as in `de_DE.UTF-8` (setlocale(3)).
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let advice = "write a name such as `C.UTF-8` or `en_US.UTF-8`";
        let error = || Err(ValueError::new("is no name of a locale", advice));
        if ["C", "POSIX", "C.UTF-8"].contains(&text) {
            return Ok(Locale(text.to_owned()));
        }
        let Some(name) = text.strip_suffix(".UTF-8") else {
            return error();
        };
        let (place, modifier) = name.split_once('@').unwrap_or((name, "x"));
        let (language, country) = place.split_once('_').unwrap_or((place, "XX"));
        let lower = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase());
        let good = language.len() <= 3
            && lower(language)
            && country.len() == 2
            && country.bytes().all(|b| b.is_ascii_uppercase())
            && lower(modifier);
        if good {
            Ok(Locale(text.to_owned()))
        } else {
            error()
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder below `/usr/lib/locale`, as glibc writes it; none for what glibc has built in.
    pub fn folder(&self) -> Option<String> {
        let name = self.0.strip_suffix(".UTF-8")?;
        (name != "C").then(|| format!("{name}.utf8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_their_folders() {
        let folder = |text| Locale::parse(text).unwrap().folder();
        assert_eq!(folder("C"), None);
        assert_eq!(folder("C.UTF-8"), None);
        assert_eq!(folder("de_DE.UTF-8").unwrap(), "de_DE.utf8");
        for bad in [
            "",
            "de_DE",
            "german",
            "de_de.UTF-8",
            "../x.UTF-8",
            "de_DE.UTF-8\nX=1",
            "C.utf8",
            "C@x\nLD_PRELOAD=/root/evil.so\n.UTF-8",
            "C@/../../x.UTF-8",
            "C_XX.UTF-8",
        ] {
            assert!(Locale::parse(bad).is_err(), "{bad}");
        }
    }
}
