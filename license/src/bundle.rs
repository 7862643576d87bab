//! License files: a license, activation records, or both, as they are sent around.

use crate::token::{HEADER, MAX_TOKEN};
use crate::{Activation, Error, License, Machine, PublicKeys, verify, verify_activation};

/// Bytes of a license file: one license, and the records of some thousand hosts.
pub const MAX_FILE: usize = 4 * 1024 * 1024;

/// What was found in a license file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bundle {
    /// The license, where there is one.
    pub license: Option<License>,
    /// Records of machines.
    pub activations: Vec<Activation>,
    /// Why the rest was refused.
    pub refused: Vec<Error>,
}

impl Bundle {
    /// Reads a license file: tokens, with any blanks and line breaks in and between them.
    ///
    /// # Errors
    /// The text is too long, holds no token at all, or several different licenses.
    pub fn read(text: &str, keys: &PublicKeys) -> Result<Bundle, Error> {
        let mut bundle = Bundle::default();
        for token in split(text)? {
            // Both are tried: what kind of token it is, is part of what was signed.
            let tried = verify(&token, keys);
            match tried {
                Ok(license) => match &bundle.license {
                    Some(known) if *known != license => {
                        return Err(Error::Claims {
                            problem: format!(
                                "the file holds several: {} and {}; give one",
                                known.claims().id,
                                license.claims().id
                            ),
                        });
                    }
                    _ => bundle.license = Some(license),
                },
                Err(Error::Signature) => match verify_activation(&token, keys) {
                    Ok(record) => bundle.activations.push(record),
                    Err(error) => bundle.refused.push(error),
                },
                Err(error) => bundle.refused.push(error),
            }
        }
        Ok(bundle)
    }

    /// The license; where there is none, why.
    pub fn license(&self) -> Result<&License, Error> {
        match (&self.license, self.refused.first()) {
            (Some(license), _) => Ok(license),
            (None, Some(error)) => Err(error.clone()),
            (None, None) => Err(Error::NotAToken {
                problem: "it holds activation records alone".into(),
            }),
        }
    }

    /// The newest record for this license and machine; records for other licenses and machines do not count.
    pub fn activation_for(&self, license: &License, machine: &Machine) -> Option<&Activation> {
        self.activations
            .iter()
            .filter(|record| {
                let claims = record.claims();
                claims.license == license.claims().id
                    && claims
                        .fingerprint
                        .recognize(&machine.fingerprint)
                        .is_same_machine()
            })
            .max_by_key(|record| record.claims().issued)
    }
}

/// The tokens of a text. A dot is no character of base64url, so where a header stands, a token begins.
fn split(text: &str) -> Result<Vec<String>, Error> {
    let not_a_token = |problem: &str| Error::NotAToken {
        problem: problem.to_owned(),
    };
    if text.len() > MAX_FILE {
        return Err(not_a_token("it is too long"));
    }
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let mut parts = text.split(HEADER);
    if parts.next().is_none_or(|before| !before.is_empty()) {
        return Err(not_a_token("it does not start like one"));
    }
    let tokens: Vec<String> = parts.map(|part| format!("{HEADER}{part}")).collect();
    if tokens.is_empty() {
        return Err(not_a_token("it is empty"));
    }
    if tokens.iter().any(|token| token.len() > MAX_TOKEN) {
        return Err(not_a_token("it is too long"));
    }
    Ok(tokens)
}
