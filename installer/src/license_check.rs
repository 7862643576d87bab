//! What a license is worth on this machine: the same for screens, plain questions and answer files.

use hcl_checker::facts::Facts;
use license::{
    Bundle, KEYS_FILE, LicenseState, Machine, Memory, Observation, PublicKeys, State, evaluate,
};
use serde::{Deserialize, Serialize};
use std::path::Path;
use steps::system::System;

/// What is to say about a license. Never the token itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseCheck {
    /// True when the license may be installed: its signature is right, and it is for this machine.
    pub usable: bool,
    /// Name of the state.
    pub state: String,
    /// Why, in a sentence.
    pub reason: String,
    /// Who it was issued to, and how many sockets it covers.
    pub about: Option<String>,
}

/// Checks a license file against the keys of the release and the facts of the machine. `now` is in seconds since 1970.
pub fn check(text: &str, keys: &PublicKeys, facts: &Facts, now: u64) -> LicenseCheck {
    // What is refused in a file that somebody hands over is a mistake, also where the rest would do.
    let bundle = Bundle::read(text, keys).and_then(|bundle| match bundle.refused.first() {
        Some(error) => Err(error.clone()),
        None => Ok(bundle),
    });
    let observed = Observation {
        machine: &Machine::of(facts),
        clock: now,
        clock_is_synchronized: false,
        released: 0,
        memory: &Memory::default(),
    };
    let LicenseState { state, reason, .. } = evaluate(Some(bundle.as_ref()), &observed).state;
    let license = bundle.ok().and_then(|bundle| bundle.license);
    LicenseCheck {
        usable: license.is_some() && state != State::Invalid,
        state: state.name().to_owned(),
        reason,
        about: license.map(|license| {
            let claims = license.claims();
            format!(
                "{}, {} sockets, number {}",
                claims.customer, claims.sockets, claims.id
            )
        }),
    }
}

/// The keys that licenses are accepted from; none where the file is missing, so that no token is taken.
pub fn keys(system: &dyn System) -> PublicKeys {
    system
        .read_file(Path::new(KEYS_FILE))
        .ok()
        .and_then(|json| PublicKeys::from_json(&json).ok())
        .unwrap_or_default()
}

/// What a plan warns of where the license in the answers cannot be used. The host is installed all the same, and says so
/// itself: a license stops nothing. Where there are no keys to check it with, as at a desk, nothing is known about it.
pub fn warning(system: &dyn System, text: &str, facts: &Facts) -> Option<String> {
    if !system.exists(Path::new(KEYS_FILE)) {
        return None;
    }
    // Whether it is genuine and for this machine does not depend on the day, and the hash of a plan must not either.
    let LicenseCheck { usable, reason, .. } = check(text, &keys(system), facts, 0);
    (!usable).then(|| {
        format!("the license cannot be used, so there will be no automatic updates: {reason}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use license::{Binding, Claims, KeyPair, issue};
    use steps::RecordingSystem;

    const NOW: u64 = 1_795_305_600;

    fn token(key: &KeyPair) -> String {
        let claims = Claims {
            schema: 1,
            id: "L-1".into(),
            customer: "Example".into(),
            issued: NOW,
            sockets: 2,
            not_before: NOW,
            updates_until: NOW + 86_400,
            binding: Binding::Site("lab".into()),
        };
        issue(key, &claims).unwrap()
    }

    #[test]
    fn a_plan_warns_of_a_license_that_cannot_be_used_and_of_no_other() {
        let (ours, stranger) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let public = ours.public_text().unwrap();
        let json = PublicKeys::from_texts([public.as_str()])
            .unwrap()
            .to_json()
            .unwrap();
        let live = RecordingSystem::new().file(KEYS_FILE, json);
        let facts = Facts::default();
        assert_eq!(warning(&live, &token(&ours), &facts), None);
        let forged = warning(&live, &token(&stranger), &facts).unwrap();
        assert!(forged.contains("does not know"), "{forged}");
        let both = format!("{}{}", token(&ours), token(&stranger));
        assert!(warning(&live, &both, &facts).is_some());
        // At a desk.
        let desk = RecordingSystem::new();
        assert_eq!(warning(&desk, &token(&stranger), &facts), None);
    }
}
