//! Signatures of answers: Ed25519 (RFC 8032) over the bytes of the file, 64 bytes in a file of the same name with `.sig` behind
//! it. `openssl pkeyutl -sign -rawin` makes the same.

use super::fetch::fetch;
use super::find::{FindError, Finder};
use hcl_checker::report::PublicKey;

/// What is behind the name of the answers.
pub const SIGNATURE_ENDING: &str = ".sig";

impl Finder<'_> {
    /// Fetches the signature of `content`, which came from `url`, and checks it.
    pub(super) fn check_signature(
        &self,
        key: &PublicKey,
        url: &str,
        shown: &str,
        content: &[u8],
        tell: &mut dyn FnMut(String),
    ) -> Result<(), FindError> {
        let signature = fetch(
            self.system,
            &signature_url(url),
            self.trust.pin.as_ref(),
            self.pause,
            tell,
        )
        .map_err(|source| FindError::NoSignature {
            place: shown.to_owned(),
            source,
        })?;
        if key.verifies(content, &signature) {
            return Ok(());
        }
        Err(FindError::Forged {
            place: shown.to_owned(),
            key: key.hex(),
        })
    }
}

/// The ending goes behind the path, and before the query.
fn signature_url(url: &str) -> String {
    let url = url.split('#').next().unwrap_or_default();
    match url.split_once('?') {
        Some((path, query)) => format!("{path}{SIGNATURE_ENDING}?{query}"),
        None => format!("{url}{SIGNATURE_ENDING}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_beside_the_answers() {
        for (url, expected) in [
            ("https://h/a.toml", "https://h/a.toml.sig"),
            ("https://h/a.toml?t=1#x", "https://h/a.toml.sig?t=1"),
        ] {
            assert_eq!(signature_url(url), expected);
        }
    }
}
