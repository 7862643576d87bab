//! What makes answers from a network trustworthy: the key of the server, or that of who signed them.

use super::request::RequestError;
use crate::values::Pin;
use hcl_checker::report::PublicKey;
use slots::names::{CMDLINE_ANSWERS_KEY, CMDLINE_ANSWERS_PIN};

/// What answers from a network must prove. By the operator's own hand, never by the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// The key that the server must have.
    pub pin: Option<Pin>,
    /// The key that must have signed the answers.
    pub key: Option<PublicKey>,
}

impl Trust {
    /// As `bedplate.answers-pin=` and `bedplate.answers-key=` say on a kernel command line, or among the OEM strings of SMBIOS; the
    /// last one counts.
    ///
    /// # Errors
    /// When a value is no pin or no key.
    pub fn from_command_line(command_line: &str) -> Result<Self, RequestError> {
        let word = |key: &str| {
            command_line
                .split_ascii_whitespace()
                .rev()
                .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
        };
        Self::parse(word(CMDLINE_ANSWERS_PIN), word(CMDLINE_ANSWERS_KEY))
    }

    /// From the text of both.
    ///
    /// # Errors
    /// When one is no pin or no key.
    pub fn parse(pin: Option<&str>, key: Option<&str>) -> Result<Self, RequestError> {
        let pin = pin.map(|text| Pin::parse(text).map_err(|_| RequestError::NoPin));
        let key = key.map(|text| PublicKey::from_hex(text).ok_or(RequestError::NoKey));
        Ok(Trust {
            pin: pin.transpose()?,
            key: key.transpose()?,
        })
    }

    /// True when nothing is asked for: then only a place that the operator named is taken.
    pub fn is_empty(&self) -> bool {
        self.pin.is_none() && self.key.is_none()
    }
}
