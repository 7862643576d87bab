//! Public SSH keys.

use super::ValueError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Key types that OpenSSH 10 in Debian 13 accepts for user keys (ssh -Q PubkeyAcceptedAlgorithms), without DSA.
const TYPES: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

const ADVICE: &str =
    "put the one line of a public key file here, for example `ssh-ed25519 AAAA... name`";

/// One line of `authorized_keys` without options: type, key, comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SshKey(String);

impl SshKey {
    /// Checks the shape: a known type, and a key blob that says the same type and is complete.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let text = text.trim();
        if text.contains("PRIVATE KEY") {
            return Err(ValueError::new(
                "is a private key, which must stay where it is",
                ADVICE,
            ));
        }
        if text.contains(|c: char| c.is_control()) {
            return Err(ValueError::new("has more than one line", ADVICE));
        }
        let mut words = text.split_ascii_whitespace();
        let (Some(kind), Some(blob)) = (words.next(), words.next()) else {
            return Err(ValueError::new("is not a public key", ADVICE));
        };
        if kind == "ssh-dss" {
            return Err(ValueError::new(
                "is a DSA key, which OpenSSH refuses",
                ADVICE,
            ));
        }
        if !TYPES.contains(&kind) {
            return Err(ValueError::new(
                "does not start with a known key type",
                ADVICE,
            ));
        }
        let Ok(bytes) = STANDARD.decode(blob) else {
            return Err(ValueError::new(
                "is cut or damaged (its base64 is not complete)",
                ADVICE,
            ));
        };
        if !well_formed(&bytes, kind) {
            return Err(ValueError::new(
                "is cut or damaged (its content does not fit its type)",
                ADVICE,
            ));
        }
        Ok(SshKey(text.to_owned()))
    }

    /// The line for `authorized_keys`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What identifies the key to a reader, as `ssh-keygen -l` shows it: `SHA256:... comment`.
    pub fn fingerprint(&self) -> String {
        let mut words = self.0.split_ascii_whitespace().skip(1);
        let bytes = words
            .next()
            .and_then(|blob| STANDARD.decode(blob).ok())
            .unwrap_or_default();
        let hash = base64::engine::general_purpose::STANDARD_NO_PAD.encode(Sha256::digest(bytes));
        let comment: Vec<&str> = words.collect();
        format!("SHA256:{hash} {}", comment.join(" "))
            .trim_end()
            .to_owned()
    }
}

/// True when `blob` is a sequence of length-prefixed strings (RFC 4251, section 5) whose first is `kind`, with nothing
/// left over.
fn well_formed(mut blob: &[u8], kind: &str) -> bool {
    let mut strings = 0;
    while !blob.is_empty() {
        let Some((length, rest)) = blob.split_first_chunk::<4>() else {
            return false;
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > rest.len() {
            return false;
        }
        let (string, rest) = rest.split_at(length);
        if strings == 0 && string != kind.as_bytes() {
            return false;
        }
        if kind == "ssh-ed25519" && strings == 1 && string.len() != 32 {
            return false;
        }
        strings += 1;
        blob = rest;
    }
    strings >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJv52XAS0Ionp5KePpmfoBhm7LJxthWj6ydvIN9QDXie admin@example.org";

    #[test]
    fn takes_a_public_key() {
        assert_eq!(SshKey::parse(&format!(" {KEY} ")).unwrap().as_str(), KEY);
        assert!(
            SshKey::parse(KEY)
                .unwrap()
                .fingerprint()
                .ends_with(" admin@example.org")
        );
    }

    #[test]
    fn refuses_everything_else() {
        let cut = KEY.replace("DXie ", "DXi ");
        let lied = KEY.replacen("ssh-ed25519", "ssh-rsa", 1);
        let two = format!("{KEY}\n{KEY}");
        for bad in [
            "",
            "ssh-ed25519",
            "AAAA",
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "ssh-dss AAAA x",
            &cut,
            &lied,
            &two,
        ] {
            assert!(SshKey::parse(bad).is_err(), "{bad:?} was taken");
        }
    }
}
