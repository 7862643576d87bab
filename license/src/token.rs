//! Issuing and verifying tokens.

use crate::{Claims, Error, KeyPair, PublicKeys};
use pasetors::token::UntrustedToken;
use pasetors::version4::{PublicToken, V4};
use pasetors::{Public, errors};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Signed along with every token but not part of it: a token that the same key signed for another purpose is none here.
const PURPOSE: &[u8] = b"bedplate-license-1";

/// Bytes of a token. One of a site with a thousand hosts fits easily.
pub const MAX_TOKEN: usize = 128 * 1024;

/// What every token begins with: PASETO, version 4, signed.
pub(crate) const HEADER: &str = "v4.public.";

/// Footer of a token, as PASETO names it: in the clear, and covered by the signature.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Footer {
    kid: String,
}

/// A license whose signature was checked. There is no other way to get one than [`verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct License {
    claims: Claims,
    key_id: String,
    text: String,
}

impl License {
    /// What it says.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The key that signed it.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The token, one line.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Signs `claims` into a token: one line of text.
pub fn issue(key: &KeyPair, claims: &Claims) -> Result<String, Error> {
    claims.check()?;
    sign(key, PURPOSE, claims)
}

/// Checks the signature of a token against the keys of this host, and its claims. Blanks and line breaks in the text,
/// as mail programs put them there, are ignored.
pub fn verify(text: &str, keys: &PublicKeys) -> Result<License, Error> {
    let (claims, signed) = open::<Claims>(text, keys, PURPOSE)?;
    claims.check()?;
    Ok(License {
        claims,
        key_id: signed.key_id,
        text: signed.text,
    })
}

/// What is left of a token besides its claims.
pub(crate) struct Signed {
    pub key_id: String,
    pub text: String,
}

/// Signs anything for a purpose.
pub(crate) fn sign(
    key: &KeyPair,
    purpose: &[u8],
    claims: &impl Serialize,
) -> Result<String, Error> {
    let json = |e: serde_json::Error| Error::Claims {
        problem: e.to_string(),
    };
    let message = serde_json::to_vec(claims).map_err(json)?;
    let footer = serde_json::to_vec(&Footer { kid: key.id() }).map_err(json)?;
    PublicToken::sign(&key.secret, &message, Some(&footer), Some(purpose)).map_err(|e| Error::Key {
        problem: format!("{e:?}"),
    })
}

/// Checks the signature of a token that was signed for this purpose. Nothing of what it says is looked at before.
pub(crate) fn open<T: DeserializeOwned>(
    text: &str,
    keys: &PublicKeys,
    purpose: &[u8],
) -> Result<(T, Signed), Error> {
    let not_a_token = |problem: &str| Error::NotAToken {
        problem: problem.to_owned(),
    };
    if text.len() > MAX_TOKEN {
        return Err(not_a_token("it is too long"));
    }
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let token: UntrustedToken<Public, V4> = UntrustedToken::try_from(text.as_str())
        .map_err(|_| not_a_token("it is cut off or has wrong characters"))?;
    let footer: Footer = serde_json::from_slice(token.untrusted_footer())
        .map_err(|_| not_a_token("it names no key"))?;
    let Some(key) = keys.get(&footer.kid) else {
        // What the token says is not checked yet: keep its text from writing to a terminal.
        let key_id = footer
            .kid
            .chars()
            .filter(|c| c.is_ascii_graphic())
            .take(64)
            .collect();
        return Err(Error::UnknownKey { key_id });
    };
    let trusted = PublicToken::verify(key, &token, None, Some(purpose)).map_err(|e| match e {
        errors::Error::Key => Error::Key {
            problem: format!("{} is damaged", footer.kid),
        },
        _ => Error::Signature,
    })?;
    let claims = serde_json::from_str(trusted.payload()).map_err(|e| Error::Claims {
        problem: e.to_string(),
    })?;
    Ok((
        claims,
        Signed {
            key_id: footer.kid,
            text,
        },
    ))
}
