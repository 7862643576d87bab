//! What the owner of a machine left for the installer among the OEM strings of its SMBIOS table: answers, where they are, and by
//! what those from a network are trusted. With Secure Boot nobody can add to the kernel command line, and this is in its place.

use super::beside::Origin;
use super::find::{FindError, Finder, Found, limited};
use super::request::{Request, RequestError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hcl_checker::facts::{SMBIOS_TABLE, oem_strings};
use slots::names::{CMDLINE_ANSWERS, CMDLINE_ANSWERS_KEY, CMDLINE_ANSWERS_PIN};
use std::path::Path;
use steps::system::{FileError, System};

/// What stands before the text of answers, and before the same in base64: the form of systemd's credentials (systemd.exec(5),
/// systemd-creds(1)), so that what provisions machines knows it already.
const TEXT: &str = "io.systemd.credential:bedplate.answers=";
const BASE64: &str = "io.systemd.credential.binary:bedplate.answers=";

/// Why what is left cannot be used. No message repeats it: it may hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum OemStringsError {
    /// More than one place or text.
    #[error(
        "{0} OEM strings of SMBIOS hold answers or say where they are; let one remain, in the settings of the management controller \
         or of the virtual machine"
    )]
    Several(usize),
    /// A text that is no base64.
    #[error(
        "the OEM string `{BASE64}...` of SMBIOS holds no base64: {0}; write what `base64 answers.toml` prints"
    )]
    NoBase64(base64::DecodeError),
    /// A place that is none.
    #[error(
        "the OEM string `{CMDLINE_ANSWERS}=...` of SMBIOS names no place; write a URL, `dhcp`, `dns`, `discover`, `embedded` or a \
         device as on the kernel command line; the text of answers goes behind `{TEXT}`"
    )]
    NoPlace,
}

/// Answers, or where they are.
#[derive(Clone, PartialEq, Eq)]
pub enum Left {
    /// The text.
    Text(Vec<u8>),
    /// A place.
    At(Request),
}

/// The OEM strings of this machine.
#[derive(Clone, Default)]
pub struct OemStrings(Vec<Vec<u8>>);

impl OemStrings {
    /// Reads them. A machine without SMBIOS has none.
    ///
    /// # Errors
    /// When the table is there and cannot be read.
    pub fn read(system: &dyn System) -> Result<Self, FileError> {
        let path = Path::new(SMBIOS_TABLE);
        if !system.exists(path) {
            return Ok(Self::default());
        }
        Ok(OemStrings(oem_strings(&system.read_file(path)?)))
    }

    /// The words about trust, as they would stand on a kernel command line.
    pub fn trust_words(&self) -> String {
        let words = self.0.iter().filter_map(|string| {
            let word = std::str::from_utf8(string).ok()?.trim();
            let (key, _) = word.split_once('=')?;
            [CMDLINE_ANSWERS_KEY, CMDLINE_ANSWERS_PIN]
                .contains(&key)
                .then_some(word)
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// The answers, or where they are; none where nothing is left.
    ///
    /// # Errors
    /// When there are several, or they make no sense.
    pub fn left(&self) -> Result<Option<Left>, OemStringsError> {
        let place = format!("{CMDLINE_ANSWERS}=");
        let after = |prefix: &str| {
            let strings = self.0.iter();
            let found = strings.filter_map(|string| string.strip_prefix(prefix.as_bytes()));
            found.collect::<Vec<_>>()
        };
        let (texts, encoded, places) = (after(TEXT), after(BASE64), after(&place));
        match (texts.as_slice(), encoded.as_slice(), places.as_slice()) {
            ([], [], []) => Ok(None),
            ([text], [], []) => Ok(Some(Left::Text(text.to_vec()))),
            ([], [encoded], []) => {
                // `base64` breaks lines.
                let packed: Vec<u8> = encoded
                    .iter()
                    .filter(|byte| !byte.is_ascii_whitespace())
                    .copied()
                    .collect();
                let text = STANDARD.decode(packed).map_err(OemStringsError::NoBase64)?;
                Ok(Some(Left::Text(text)))
            }
            ([], [], [place]) => {
                let place = std::str::from_utf8(place).map_err(|_| OemStringsError::NoPlace)?;
                match Request::parse(place.trim()) {
                    // It would name itself.
                    Ok(Request::Smbios) | Err(RequestError::Unknown(_)) => {
                        Err(OemStringsError::NoPlace)
                    }
                    Ok(request) => Ok(Some(Left::At(request))),
                    Err(_) => Err(OemStringsError::NoPlace),
                }
            }
            _ => Err(OemStringsError::Several(
                texts.len() + encoded.len() + places.len(),
            )),
        }
    }
}

impl Finder<'_> {
    /// What the owner of the machine left: the answers, or those at the place that is named.
    pub(super) fn left(
        &self,
        strings: &OemStrings,
        medium: &Path,
        tell: &mut dyn FnMut(String),
    ) -> Result<Option<Found>, FindError> {
        let place = Request::Smbios.to_string();
        match strings.left()? {
            None => Ok(None),
            Some(Left::Text(text)) => {
                let text = limited(&place, text)?;
                Ok(Some(Found::new(place, text, Origin::Alone)))
            }
            Some(Left::At(request)) => {
                let mut found = self.read(&request, medium, tell)?;
                found.place = format!("{}, named by {place}", found.place);
                Ok(Some(found))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Discovery;
    use super::*;

    fn of(strings: &[&str]) -> OemStrings {
        OemStrings(
            strings
                .iter()
                .map(|text| text.as_bytes().to_vec())
                .collect(),
        )
    }

    #[test]
    fn a_text_a_packed_text_and_a_place() {
        let text = Some(Left::Text(b"schema = 1\n".to_vec()));
        for (string, expected) in [
            (
                "io.systemd.credential:bedplate.answers=schema = 1\n",
                text.clone(),
            ),
            (
                "io.systemd.credential.binary:bedplate.answers=c2NoZW1h\nID0gMQo=\n",
                text,
            ),
            (
                "bedplate.answers=https://h/a.toml\n",
                Some(Left::At(Request::Url("https://h/a.toml".into()))),
            ),
            (
                "bedplate.answers=dhcp",
                Some(Left::At(Request::Discover(Discovery::Dhcp))),
            ),
            // Others' strings, and words that only look like ours.
            ("Dell System", None),
            ("io.systemd.credential:bedplate.answers.old=x", None),
            ("my bedplate.answers=dhcp", None),
        ] {
            assert!(
                of(&["other", string]).left().unwrap() == expected,
                "{string}"
            );
        }
    }

    #[test]
    fn what_makes_no_sense_is_an_error_that_does_not_repeat_it() {
        for (strings, says) in [
            (
                &["bedplate.answers=dhcp", "bedplate.answers=dhcp"][..],
                "2 OEM strings",
            ),
            (
                &[
                    "io.systemd.credential:bedplate.answers=s3cret",
                    "bedplate.answers=dhcp",
                ],
                "2 OEM strings",
            ),
            (
                &["io.systemd.credential.binary:bedplate.answers=s3cret!"],
                "no base64",
            ),
            (&["bedplate.answers=schema = 1 # s3cret"], "names no place"),
            (&["bedplate.answers=smbios"], "names no place"),
            (&["bedplate.answers=/dev/vdb:/../s3cret"], "names no place"),
            (&["bedplate.answers="], "names no place"),
        ] {
            let Err(error) = of(strings).left() else {
                panic!("{strings:?} was understood")
            };
            let error = error.to_string();
            assert!(error.contains(says) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn only_words_about_trust_are_words_about_trust() {
        let strings = of(&[
            "bedplate.answers-key=00\n",
            "bedplate.ui=plain",
            "bedplate.answers-pin=sha256//x",
            "bedplate.answers=dhcp",
        ]);
        assert_eq!(
            strings.trust_words(),
            "bedplate.answers-key=00 bedplate.answers-pin=sha256//x"
        );
    }
}
