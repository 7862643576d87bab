//! A license, its key, and a machine.

use license::{
    ActivationClaims, Binding, Bundle, Claims, Evaluation, Fingerprint, KeyPair, Kind, Machine,
    Memory, Observation, PublicKeys, evaluate, issue, issue_activation,
};
use std::sync::OnceLock;
use uuid::Uuid;

pub const DAY: u64 = 86_400;
pub const BEGIN: u64 = 20_000 * DAY;
pub const END: u64 = BEGIN + 365 * DAY;
pub const HOST: &str = "4c4c4544-0042-3510-8054-b7c04f4e5231";

/// Two sockets for a year, for one host.
pub fn claims() -> Claims {
    Claims {
        schema: 1,
        id: "L-1".into(),
        customer: "Example Inc.".into(),
        issued: BEGIN - 20 * DAY,
        sockets: 2,
        not_before: BEGIN,
        updates_until: END,
        binding: Binding::Hosts([HOST.to_owned()].into()),
    }
}

/// Eight sockets for a site.
pub fn site_claims() -> Claims {
    Claims {
        sockets: 8,
        binding: Binding::Site("Berlin".into()),
        ..claims()
    }
}

pub fn keys(pairs: &[&KeyPair]) -> PublicKeys {
    let texts: Vec<_> = pairs
        .iter()
        .map(|pair| pair.public_text().unwrap())
        .collect();
    PublicKeys::from_texts(texts.iter().map(String::as_str)).unwrap()
}

pub fn pair() -> &'static KeyPair {
    static PAIR: OnceLock<KeyPair> = OnceLock::new();
    PAIR.get_or_init(|| KeyPair::generate().unwrap())
}

/// The bundle of a license and records.
pub fn bundle(claims: &Claims, records: &[&ActivationClaims]) -> Bundle {
    let mut text = issue(pair(), claims).unwrap();
    for record in records {
        text = format!("{text}\n{}", issue_activation(pair(), record).unwrap());
    }
    let bundle = Bundle::read(&text, &keys(&[pair()])).unwrap();
    assert!(bundle.refused.is_empty());
    bundle
}

/// Seven identifiers, all with this in their name.
pub fn fingerprint(name: &str) -> Fingerprint {
    Kind::ALL.into_iter().fold(Fingerprint::new(), |all, kind| {
        all.with(kind, &format!("{name} {kind:?}"))
    })
}

/// Two sockets.
pub fn machine() -> Machine {
    Machine {
        sockets: Some(2),
        hardware: Some(HOST.to_owned()),
        fingerprint: fingerprint("one"),
    }
}

/// A record that [`machine`] is one of two hosts with four sockets.
pub fn record() -> ActivationClaims {
    ActivationClaims {
        schema: 1,
        license: "L-1".into(),
        installation: Uuid::from_u128(7),
        fingerprint: machine().fingerprint.recorded(),
        sockets: 2,
        site_sockets: 4,
        site_hosts: 2,
        issued: BEGIN,
    }
}

/// A look at a time, by an unsynchronized clock.
pub fn look(bundle: &Bundle, machine: &Machine, clock: u64, memory: &Memory) -> Evaluation {
    evaluate(
        Some(Ok(bundle)),
        &Observation {
            machine,
            clock,
            clock_is_synchronized: false,
            released: 0,
            memory,
        },
    )
}
