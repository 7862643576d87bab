//! Activation records: which machine uses how many sockets of a license, signed by who issued the license.

use crate::claims::check_text;
use crate::token::{Signed, open, sign};
use crate::{Error, Fingerprint, KeyPair, PublicKeys};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// See the purpose of a license: a record is no license, and a license no record.
const PURPOSE: &[u8] = b"bedplate-activation-1";

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ActivationClaims {
    /// Schema of the claims: 1.
    pub schema: u32,
    /// Number of the license.
    pub license: String,
    /// The installation that asked: its machine id.
    pub installation: Uuid,
    /// The machine.
    pub fingerprint: Fingerprint,
    /// Populated sockets of the machine when it asked.
    pub sockets: u32,
    /// Sockets that all hosts of the license used when the record was made, this one among them.
    pub site_sockets: u32,
    /// Hosts of the license when the record was made, this one among them.
    pub site_hosts: u32,
    /// When it was made, in seconds since 1970.
    pub issued: u64,
}

impl ActivationClaims {
    /// The schema that this code reads and writes.
    pub const SCHEMA: u32 = 1;

    fn check(&self) -> Result<(), Error> {
        let problem = |problem: String| Err(Error::Claims { problem });
        if self.schema != ActivationClaims::SCHEMA {
            return problem(format!(
                "its activation record has schema {}, and this release knows {}",
                self.schema,
                ActivationClaims::SCHEMA
            ));
        }
        check_text("license", &self.license)?;
        if self.sockets > self.site_sockets || self.site_hosts == 0 {
            return problem("its activation record counts fewer sockets in all than here".into());
        }
        if self.fingerprint.is_empty() {
            return problem("its activation record is for no machine".into());
        }
        Ok(())
    }
}

/// A record whose signature was checked. There is no other way to get one than [`verify_activation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activation {
    claims: ActivationClaims,
    text: String,
}

impl Activation {
    /// What it says.
    pub fn claims(&self) -> &ActivationClaims {
        &self.claims
    }

    /// The record, one line.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Signs a record: one line of text.
pub fn issue_activation(key: &KeyPair, claims: &ActivationClaims) -> Result<String, Error> {
    claims.check()?;
    sign(key, PURPOSE, claims)
}

/// Checks the signature of a record against the keys of this host, and its claims.
pub fn verify_activation(text: &str, keys: &PublicKeys) -> Result<Activation, Error> {
    let (claims, Signed { text, .. }) = open::<ActivationClaims>(text, keys, PURPOSE)?;
    claims.check()?;
    Ok(Activation { claims, text })
}
