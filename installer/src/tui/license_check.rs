//! What a license token is worth on this machine.

use hcl_checker::facts::Facts;
use license::{LicenseState, Observation, PublicKeys, evaluate, verify};
use serde::{Deserialize, Serialize};

/// What is to say about a token. Never the token itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseCheck {
    /// True when the token may be installed: its signature is right, and it is for this machine.
    pub usable: bool,
    /// Name of the state.
    pub state: String,
    /// Why, in a sentence.
    pub reason: String,
    /// Who it was issued to, and how many sockets it covers.
    pub about: Option<String>,
}

/// Checks `token` against the keys of the release and the facts of the machine. `now` is in seconds since 1970.
pub fn check(token: &str, keys: &PublicKeys, facts: &Facts, now: u64) -> LicenseCheck {
    let verified = verify(token, keys);
    let uuid = facts.dmi.uuid.value();
    let observed = Observation {
        sockets: facts.topology.sockets.value().copied(),
        host: uuid.map(String::as_str),
        now,
        high_water_mark: now,
        over_used_since: None,
    };
    let LicenseState { state, reason, .. } = evaluate(Some(verified.as_ref()), &observed);
    LicenseCheck {
        usable: verified.is_ok() && state != license::State::Invalid,
        state: state.name().to_owned(),
        reason,
        about: verified.ok().map(|license| {
            let claims = license.claims();
            format!(
                "{}, {} sockets, number {}",
                claims.customer, claims.sockets, claims.id
            )
        }),
    }
}
