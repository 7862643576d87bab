//! Tokens that are not genuine are refused, and the states follow the calendar.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

use license::{
    Binding, Claims, Error, GRACE_DAYS, KeyPair, License, LicenseState, Observation, PublicKeys,
    State, evaluate, issue, verify,
};
use proptest::prelude::*;
use std::sync::OnceLock;

const DAY: u64 = 86_400;
const BEGIN: u64 = 20_000 * DAY;
const END: u64 = BEGIN + 365 * DAY;
const HOST: &str = "4c4c4544-0042-3510-8054-b7c04f4e5231";

fn claims() -> Claims {
    Claims {
        schema: 1,
        id: "L-1".into(),
        customer: "Example Inc.".into(),
        sockets: 2,
        not_before: BEGIN,
        updates_until: END,
        binding: Binding::Hosts([HOST.to_owned()].into()),
    }
}

fn keys(pairs: &[&KeyPair]) -> PublicKeys {
    let texts: Vec<_> = pairs
        .iter()
        .map(|pair| pair.public_text().unwrap())
        .collect();
    PublicKeys::from_texts(texts.iter().map(String::as_str)).unwrap()
}

fn pair() -> &'static KeyPair {
    static PAIR: OnceLock<KeyPair> = OnceLock::new();
    PAIR.get_or_init(|| KeyPair::generate().unwrap())
}

fn license(claims: &Claims) -> License {
    verify(&issue(pair(), claims).unwrap(), &keys(&[pair()])).unwrap()
}

fn at(now: u64) -> Observation<'static> {
    Observation {
        sockets: Some(2),
        host: Some(HOST),
        now,
        high_water_mark: 0,
        over_used_since: None,
    }
}

fn state(observed: &Observation<'_>) -> LicenseState {
    evaluate(Some(Ok(&license(&claims()))), observed)
}

fn summary(observed: &Observation<'_>) -> (State, Option<u64>, bool) {
    let state = state(observed);
    (
        state.state,
        state.days_left,
        state.allows_automatic_updates(),
    )
}

#[test]
fn a_token_says_after_verifying_what_was_issued() {
    let (old, new) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let both = keys(&[&old, &new]);
    assert_eq!(both.ids().count(), 2);
    for key in [&old, &new] {
        let token = issue(key, &claims()).unwrap();
        assert!(token.starts_with("v4.public."));
        let verified = verify(&token, &both).unwrap();
        assert_eq!(*verified.claims(), claims());
        assert_eq!(verified.key_id(), key.id());
    }
    // As a mail program breaks it.
    let token = issue(&old, &claims()).unwrap();
    let broken: Vec<_> = token
        .as_bytes()
        .chunks(60)
        .map(|c| std::str::from_utf8(c).unwrap())
        .collect();
    verify(&format!(" {}\r\n", broken.join("\r\n  ")), &both).unwrap();
}

#[test]
fn keys_survive_their_files() {
    let key = KeyPair::generate().unwrap();
    let again = KeyPair::from_secret_text(&format!("{}\n", key.to_secret_text().unwrap())).unwrap();
    assert_eq!(again.id(), key.id());
    let json = keys(&[&key, pair()]).to_json().unwrap();
    let read = PublicKeys::from_json(json.as_bytes()).unwrap();
    verify(&issue(&again, &claims()).unwrap(), &read).unwrap();
    assert!(matches!(
        KeyPair::from_secret_text(&key.public_text().unwrap()),
        Err(Error::Key { .. })
    ));
    let secret = key.to_secret_text().unwrap();
    assert!(
        PublicKeys::from_texts([secret.as_str()]).is_err(),
        "a secret key must not end up on hosts"
    );
    for bad in [
        "",
        "{}",
        r#"{"schema":2,"keys":[]}"#,
        r#"{"schema":1,"keys":["k4.public.x"]}"#,
    ] {
        assert!(
            matches!(
                PublicKeys::from_json(bad.as_bytes()),
                Err(Error::Key { .. })
            ),
            "{bad}"
        );
    }
}

#[test]
fn another_key_is_refused_by_name() {
    let stranger = KeyPair::generate().unwrap();
    let token = issue(&stranger, &claims()).unwrap();
    assert_eq!(
        verify(&token, &keys(&[pair()])),
        Err(Error::UnknownKey {
            key_id: stranger.id()
        })
    );
    assert!(matches!(
        verify(&token, &PublicKeys::default()),
        Err(Error::UnknownKey { .. })
    ));
}

#[test]
fn a_token_with_the_name_of_a_known_key_but_signed_by_another_is_forged() {
    let stranger = KeyPair::generate().unwrap();
    let genuine = issue(pair(), &claims()).unwrap();
    let forged = issue(
        &stranger,
        &Claims {
            sockets: 64,
            ..claims()
        },
    )
    .unwrap();
    // The stranger's claims and signature under the genuine footer, and the genuine signature over other claims.
    let part = |token: &str, n: usize| token.split('.').nth(n).unwrap().to_owned();
    let mixed = format!("v4.public.{}.{}", part(&forged, 2), part(&genuine, 3));
    assert_eq!(verify(&mixed, &keys(&[pair()])), Err(Error::Signature));
    let no_footer = format!("v4.public.{}", part(&genuine, 2));
    assert!(matches!(
        verify(&no_footer, &keys(&[pair()])),
        Err(Error::NotAToken { .. })
    ));
    // A token that the genuine key signed for another purpose.
    use pasetors::keys::AsymmetricSecretKey;
    let secret = AsymmetricSecretKey::<pasetors::version4::V4>::try_from(
        pair().to_secret_text().unwrap().as_str(),
    );
    let footer = format!("{{\"kid\":\"{}\"}}", pair().id());
    let message = serde_json::to_vec(&claims()).unwrap();
    let other = pasetors::version4::PublicToken::sign(
        &secret.unwrap(),
        &message,
        Some(footer.as_bytes()),
        None,
    )
    .unwrap();
    assert_eq!(verify(&other, &keys(&[pair()])), Err(Error::Signature));
}

#[test]
fn claims_that_make_no_sense_are_not_issued() {
    let site = |name: &str| Binding::Site(name.to_owned());
    let cases = [
        Claims {
            schema: 2,
            ..claims()
        },
        Claims {
            sockets: 0,
            ..claims()
        },
        Claims {
            updates_until: BEGIN,
            ..claims()
        },
        Claims {
            id: String::new(),
            ..claims()
        },
        Claims {
            customer: "\u{1b}[2J".into(),
            ..claims()
        },
        Claims {
            binding: Binding::Hosts([].into()),
            ..claims()
        },
        Claims {
            binding: site(""),
            ..claims()
        },
        Claims {
            binding: site(&"x".repeat(300)),
            ..claims()
        },
    ];
    for bad in cases {
        assert!(
            matches!(issue(pair(), &bad), Err(Error::Claims { .. })),
            "{bad:?}"
        );
    }
}

#[test]
fn the_states_follow_the_calendar() {
    use State::*;
    assert_eq!(summary(&at(BEGIN - 1)), (NotYetValid, Some(1), false));
    assert_eq!(
        summary(&at(BEGIN - 10 * DAY)),
        (NotYetValid, Some(10), false)
    );
    assert_eq!(summary(&at(BEGIN)), (Licensed, Some(365), true));
    assert_eq!(summary(&at(END - 30 * DAY - 1)), (Licensed, Some(31), true));
    assert_eq!(summary(&at(END - 30 * DAY)), (ExpiresSoon, Some(30), true));
    assert_eq!(summary(&at(END - 1)), (ExpiresSoon, Some(1), true));
    assert_eq!(summary(&at(END)), (Grace, Some(30), true));
    assert_eq!(summary(&at(END + 30 * DAY - 1)), (Grace, Some(1), true));
    assert_eq!(summary(&at(END + 30 * DAY)), (Expired, None, false));
    assert_eq!(summary(&at(u64::MAX)), (Expired, None, false));
    let none = evaluate(None, &at(BEGIN));
    assert_eq!(
        (none.state, none.allows_automatic_updates()),
        (Unlicensed, false)
    );
    let invalid = evaluate(Some(Err(&Error::Signature)), &at(BEGIN));
    assert_eq!(
        (invalid.state, invalid.allows_automatic_updates()),
        (Invalid, false)
    );
}

#[test]
fn over_use_warns_for_30_days_and_then_stops_only_the_automation() {
    use State::*;
    let over = |now, since| Observation {
        sockets: Some(3),
        over_used_since: since,
        ..at(now)
    };
    let now = BEGIN + 100 * DAY;
    assert_eq!(summary(&over(now, None)), (OverUsed, Some(30), true));
    assert_eq!(
        summary(&over(now, Some(now - 29 * DAY))),
        (OverUsed, Some(1), true)
    );
    assert_eq!(
        summary(&over(now, Some(now - 30 * DAY))),
        (OverUsed, Some(0), false)
    );
    assert_eq!(
        summary(&over(now, Some(now - 300 * DAY))),
        (OverUsed, Some(0), false)
    );
    assert_eq!(
        summary(&over(now, Some(u64::MAX))),
        (OverUsed, Some(30), true)
    );
    // Ended as well: whichever stops first.
    assert_eq!(
        summary(&over(END + 20 * DAY, None)),
        (OverUsed, Some(10), true)
    );
    assert_eq!(summary(&over(END + 30 * DAY, None)), (Expired, None, false));
    // Sockets that could not be counted are no over-use, but are told.
    let unknown = state(&Observation {
        sockets: None,
        ..at(now)
    });
    assert_eq!(unknown.state, Licensed);
    assert!(
        unknown.reason.contains("could not be counted"),
        "{}",
        unknown.reason
    );
}

#[test]
fn a_license_is_for_its_hosts() {
    let now = BEGIN + DAY;
    let upper = HOST.to_uppercase();
    assert_eq!(
        summary(&Observation {
            host: Some(&upper),
            ..at(now)
        })
        .0,
        State::Licensed
    );
    assert_eq!(
        summary(&Observation {
            host: Some("another"),
            ..at(now)
        })
        .0,
        State::Invalid
    );
    assert_eq!(
        summary(&Observation {
            host: None,
            ..at(now)
        })
        .0,
        State::Invalid
    );
    let site = license(&Claims {
        binding: Binding::Site("Berlin".into()),
        ..claims()
    });
    assert_eq!(
        evaluate(
            Some(Ok(&site)),
            &Observation {
                host: None,
                ..at(now)
            }
        )
        .state,
        State::Licensed
    );
}

#[test]
fn a_clock_set_back_wins_nothing() {
    let back = Observation {
        now: BEGIN + DAY,
        high_water_mark: END + 40 * DAY,
        ..at(0)
    };
    assert_eq!(summary(&back), (State::Expired, None, false));
    // And a clock that starts in 1970 after a dead battery does not make a license not yet valid.
    let battery = Observation {
        now: 0,
        high_water_mark: BEGIN + 10 * DAY,
        ..at(0)
    };
    assert_eq!(summary(&battery), (State::Licensed, Some(355), true));
}

proptest! {
    /// Any change of one character makes the token worthless.
    #[test]
    fn one_changed_character_is_noticed(position in 0..2000usize, replacement in "[A-Za-z0-9._-]") {
        let token = issue(pair(), &claims()).unwrap();
        let position = position % token.len();
        let mut changed = token.clone();
        changed.replace_range(position..position + 1, &replacement);
        prop_assume!(changed != token);
        prop_assert!(verify(&changed, &keys(&[pair()])).is_err());
    }

    /// No text makes it panic.
    #[test]
    fn nonsense_is_refused(text in "(v4\\.public\\.)?[ -~]{0,200}") {
        prop_assert!(verify(&text, &keys(&[pair()])).is_err());
    }

    /// Time never turns a state back: once automatic updates stopped for expiry, no later time and no clock brings
    /// them back, and the higher of clock and mark decides alone.
    #[test]
    fn only_the_later_of_clock_and_mark_counts(clock in 0..END * 2, mark in 0..END * 2, sockets in 1..4u32) {
        let observed = Observation { sockets: Some(sockets), high_water_mark: mark, ..at(clock) };
        let swapped = Observation { sockets: Some(sockets), high_water_mark: clock, ..at(mark) };
        prop_assert_eq!(state(&observed), state(&swapped));
        if clock.max(mark) >= END + GRACE_DAYS * DAY {
            prop_assert!(!state(&observed).allows_automatic_updates());
        }
    }

    /// Whatever is true of the host: a sentence is there, and days are only promised while something lasts.
    #[test]
    fn every_state_has_a_reason(
        sockets in proptest::option::of(0..9u32),
        now: u64,
        mark: u64,
        since: Option<u64>,
    ) {
        let observed = Observation { sockets, now, high_water_mark: mark, over_used_since: since, ..at(0) };
        let state = state(&observed);
        prop_assert!(!state.reason.is_empty());
        if state.allows_automatic_updates() {
            prop_assert!(state.days_left.is_some_and(|days| days > 0 && days <= 365));
        }
    }
}
