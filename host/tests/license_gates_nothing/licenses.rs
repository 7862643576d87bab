//! Licenses good and bad.

use host::licensing::{INSTALLED_FILE, LICENSE_FILE, MEMORY_FILE, look};
use license::{Binding, Claims, KEYS_FILE, KeyPair, Machine, Memory, PublicKeys, State, issue};
use std::collections::BTreeMap;
use steps::RecordingSystem;

pub const NOW: u64 = 1_795_305_600;
const DAY: u64 = 86_400;

/// Files by their paths.
#[derive(Clone, Default)]
pub struct Files(BTreeMap<&'static str, String>);

impl Files {
    fn with(mut self, path: &'static str, text: impl Into<String>) -> Files {
        self.0.insert(path, text.into());
        self
    }

    /// A system that has them.
    pub fn on(&self, system: RecordingSystem) -> RecordingSystem {
        let files = self.0.iter();
        files.fold(system, |system, (path, text)| {
            system.file(*path, text.clone())
        })
    }
}

/// The machine that the good license is for.
pub fn machine() -> Machine {
    Machine {
        sockets: Some(2),
        hardware: Some("host".into()),
        ..Machine::default()
    }
}

/// The files of licenses, by what they are worth on [`machine`] at [`NOW`].
pub fn licenses() -> BTreeMap<&'static str, Files> {
    let (ours, stranger) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let public = ours.public_text().unwrap();
    let keys = PublicKeys::from_texts([public.as_str()]).unwrap();
    let claims = |id: &str, from: u64, until: u64| Claims {
        schema: 1,
        id: id.into(),
        customer: "Example".into(),
        // A signed time counts as seen, so none is in the future.
        issued: from.min(NOW - DAY),
        sockets: 2,
        not_before: from,
        updates_until: until,
        binding: Binding::Hosts(["host".to_owned()].into()),
    };
    let good = claims("good", NOW - DAY, NOW + 365 * DAY);
    let token = |claims: &Claims| issue(&ours, claims).unwrap();
    let one_socket = Claims {
        sockets: 1,
        ..good.clone()
    };
    let long_ago = Memory {
        license: Some("good".into()),
        over_used_since: Some(NOW - 100 * DAY),
        ..Memory::default()
    };
    let known = Files::default().with(KEYS_FILE, keys.to_json().unwrap());
    let with = |token: String| known.clone().with(LICENSE_FILE, token);
    let mut changed = token(&good);
    changed.insert(30, 'A');
    BTreeMap::from([
        ("licensed", with(token(&good))),
        ("absent", known.clone()),
        (
            "without keys",
            Files::default().with(INSTALLED_FILE, token(&good)),
        ),
        (
            "expired",
            with(token(&claims("old", NOW - 400 * DAY, NOW - 40 * DAY))),
        ),
        (
            "in grace",
            with(token(&claims("old", NOW - 400 * DAY, NOW - 10 * DAY))),
        ),
        (
            "not yet valid",
            with(token(&claims("new", NOW + DAY, NOW + 365 * DAY))),
        ),
        (
            "over-used for long",
            with(token(&one_socket)).with(MEMORY_FILE, long_ago.to_json().unwrap()),
        ),
        ("forged", with(issue(&stranger, &good).unwrap())),
        ("changed", with(changed)),
        ("nonsense", with("nonsense".into())),
        (
            "for another host",
            with(token(&Claims {
                binding: Binding::Hosts(["other".to_owned()].into()),
                ..good.clone()
            })),
        ),
        ("damaged memory", with(token(&good)).with(MEMORY_FILE, "{")),
    ])
}

/// Else a test that compares them would compare nothing.
#[test]
fn they_are_worth_what_their_names_say() {
    let states: BTreeMap<_, _> = licenses()
        .into_iter()
        .map(|(name, files)| {
            let looked = look(&files.on(RecordingSystem::new()), &machine(), NOW);
            let automatic = looked.allows_automatic_updates();
            (name, (looked.evaluation.state.state, automatic))
        })
        .collect();
    let expected = BTreeMap::from([
        ("licensed", (State::Licensed, true)),
        ("absent", (State::Unlicensed, false)),
        ("without keys", (State::Invalid, false)),
        ("expired", (State::Expired, false)),
        ("in grace", (State::Grace, true)),
        ("not yet valid", (State::NotYetValid, false)),
        ("over-used for long", (State::OverUsed, false)),
        ("forged", (State::Invalid, false)),
        ("changed", (State::Invalid, false)),
        ("nonsense", (State::Invalid, false)),
        ("for another host", (State::Invalid, false)),
        ("damaged memory", (State::Licensed, true)),
    ]);
    assert_eq!(states, expected);
}
