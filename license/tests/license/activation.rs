//! Activation records: sites, replaced hardware, and what is no record.

use crate::common::*;
use license::{
    ActivationClaims, Bundle, Claims, Error, KeyPair, Kind, Machine, Memory, State, issue,
    issue_activation, verify, verify_activation,
};

/// [`machine`] with these kinds of identifiers changed, and with them the firmware's UUID.
fn repaired(kinds: &[Kind]) -> Machine {
    let mut fingerprint = license::Fingerprint::new();
    for kind in Kind::ALL {
        let name = if kinds.contains(&kind) { "new" } else { "one" };
        fingerprint = fingerprint.with(kind, &format!("{name} {kind:?}"));
    }
    Machine {
        fingerprint,
        hardware: Some("00000000-1111-2222-3333-444444444444".into()),
        ..machine()
    }
}

const BOARD: [Kind; 3] = [Kind::SystemUuid, Kind::BoardSerial, Kind::Nic];
const MOST: [Kind; 5] = [
    Kind::SystemUuid,
    Kind::SystemSerial,
    Kind::BoardSerial,
    Kind::Nic,
    Kind::Processor,
];

#[test]
fn a_host_of_a_site_is_activated_within_30_days() {
    let alone = bundle(&site_claims(), &[]);
    let first = look(&alone, &machine(), BEGIN, &Memory::default());
    assert_eq!(first.state.state, State::Grace);
    assert_eq!(first.state.days_left, Some(30));
    assert!(first.state.reason.contains("xe host-license-request"));
    let later = look(&alone, &machine(), BEGIN + 29 * DAY, &first.memory);
    assert!(later.state.allows_automatic_updates());
    let last = look(&alone, &machine(), BEGIN + 30 * DAY, &later.memory);
    assert_eq!(last.state.state, State::Invalid);
    assert!(last.state.reason.contains("xe host-license-request"));
    let activated = bundle(&site_claims(), &[&record()]);
    let then = look(&activated, &machine(), BEGIN + 40 * DAY, &last.memory);
    assert_eq!(
        (then.state.state, then.memory.unconfirmed_since),
        (State::Licensed, None)
    );
}

#[test]
fn the_sockets_of_all_hosts_of_a_site_count() {
    let state = |site_sockets, now: u32| {
        let record = ActivationClaims {
            site_sockets,
            ..record()
        };
        let machine = Machine {
            sockets: Some(now),
            ..machine()
        };
        let bundle = bundle(&site_claims(), &[&record]);
        let seen = look(&bundle, &machine, BEGIN + DAY, &Memory::default());
        (seen.sockets_used, seen.state.state)
    };
    assert_eq!(state(4, 2), (Some(4), State::Licensed));
    assert_eq!(state(8, 2), (Some(8), State::Licensed));
    assert_eq!(state(9, 2), (Some(9), State::OverUsed));
    // Processors added since, or taken out.
    assert_eq!(state(8, 4), (Some(10), State::OverUsed));
    assert_eq!(state(9, 1), (Some(8), State::Licensed));
}

#[test]
fn records_of_other_hosts_and_licenses_do_not_count_and_the_newest_does() {
    let other_host = ActivationClaims {
        fingerprint: fingerprint("two").recorded(),
        ..record()
    };
    let other_license = ActivationClaims {
        license: "L-2".into(),
        ..record()
    };
    let newer = ActivationClaims {
        site_sockets: 6,
        issued: BEGIN + DAY,
        ..record()
    };
    let used = |records: &[&ActivationClaims]| {
        let bundle = bundle(&site_claims(), records);
        let seen = look(&bundle, &machine(), BEGIN + 2 * DAY, &Memory::default());
        (seen.sockets_used, seen.state.state)
    };
    assert_eq!(used(&[&other_license]), (Some(2), State::Grace));
    assert_eq!(used(&[&other_host]), (Some(2), State::Grace));
    assert_eq!(
        used(&[&other_host, &newer, &record(), &other_license]),
        (Some(6), State::Licensed)
    );
}

#[test]
fn a_new_main_board_or_processor_is_the_same_host() {
    for kinds in [&BOARD[..], &[Kind::Processor], &[Kind::Disk]] {
        let repaired = repaired(kinds);
        // A site's host, by its record.
        let site = bundle(&site_claims(), &[&record()]);
        let seen = look(&site, &repaired, BEGIN + DAY, &Memory::default());
        assert_eq!(seen.state.state, State::Licensed, "{kinds:?}");
        assert_eq!(seen.recognition.unwrap().changed.len(), kinds.len());
        // A host that the license names, by what was remembered while it had its name.
        let named = bundle(&claims(), &[]);
        let before = look(&named, &machine(), BEGIN + DAY, &Memory::default());
        let after = look(&named, &repaired, BEGIN + 2 * DAY, &before.memory);
        assert_eq!(after.state.state, State::Licensed, "{kinds:?}");
        assert_eq!(after.memory.machine, before.memory.machine);
    }
}

#[test]
fn another_machine_has_30_days_to_be_activated() {
    let other = repaired(&MOST);
    for (claims, records) in [(claims(), vec![]), (site_claims(), vec![record()])] {
        let bundle = bundle(&claims, &records.iter().collect::<Vec<_>>());
        let before = look(&bundle, &machine(), BEGIN + DAY, &Memory::default());
        let moved = look(&bundle, &other, BEGIN + 2 * DAY, &before.memory);
        assert_eq!(
            (moved.state.state, moved.state.days_left),
            (State::Grace, Some(30))
        );
        assert!(
            moved.state.reason.contains("2 of 7") && moved.state.reason.contains("main board"),
            "{}",
            moved.state.reason
        );
        let end = look(&bundle, &other, BEGIN + 32 * DAY, &moved.memory);
        assert_eq!(end.state.state, State::Invalid);
        // The answer to its request ends it, in one command.
        let renewed = ActivationClaims {
            fingerprint: other.fingerprint.recorded(),
            site_sockets: 2,
            issued: BEGIN + 32 * DAY,
            ..record()
        };
        let bundle = crate::common::bundle(&claims, &[&renewed]);
        let then = look(&bundle, &other, BEGIN + 33 * DAY, &end.memory);
        assert_eq!(then.state.state, State::Licensed);
    }
    // Without anything remembered and without a record, a license for other hosts is just that.
    let fresh = look(
        &bundle(&claims(), &[]),
        &other,
        BEGIN + DAY,
        &Memory::default(),
    );
    assert_eq!(fresh.state.state, State::Invalid);
}

#[test]
fn a_record_is_no_license_and_a_license_no_record() {
    let keys = keys(&[pair()]);
    let token = issue(pair(), &site_claims()).unwrap();
    let record = issue_activation(pair(), &record()).unwrap();
    assert_eq!(verify(&record, &keys), Err(Error::Signature));
    assert_eq!(verify_activation(&token, &keys), Err(Error::Signature));
    let alone = Bundle::read(&record, &keys).unwrap();
    assert!(matches!(alone.license(), Err(Error::NotAToken { .. })));
}

#[test]
fn forged_records_are_refused_and_do_not_spoil_the_license() {
    let keys = keys(&[pair()]);
    let stranger = KeyPair::generate().unwrap();
    let token = issue(pair(), &site_claims()).unwrap();
    let forged = issue_activation(&stranger, &record()).unwrap();
    let genuine = issue_activation(pair(), &record()).unwrap();
    let part = |token: &str, n: usize| token.split('.').nth(n).unwrap().to_owned();
    let renamed = format!("v4.public.{}.{}", part(&forged, 2), part(&genuine, 3));
    for (record, error) in [
        (
            &forged,
            Error::UnknownKey {
                key_id: stranger.id(),
            },
        ),
        (&renamed, Error::Signature),
    ] {
        let bundle = Bundle::read(&format!("{token}\n{record}\n"), &keys).unwrap();
        assert_eq!(bundle.refused, [error]);
        assert!(bundle.license().is_ok() && bundle.activations.is_empty());
    }
}

#[test]
fn a_file_holds_one_license_and_any_number_of_records_however_it_is_broken() {
    let keys = keys(&[pair()]);
    let token = issue(pair(), &site_claims()).unwrap();
    let record = issue_activation(pair(), &record()).unwrap();
    // Joined without a blank between them.
    let bundle = Bundle::read(&format!("{record}{token}{record}"), &keys).unwrap();
    assert_eq!(bundle.activations.len(), 2);
    assert_eq!(bundle.license().unwrap().text(), token);
    // The same license twice is one.
    assert!(Bundle::read(&format!("{token} {token}"), &keys).is_ok());
    let second = issue(
        pair(),
        &Claims {
            id: "L-2".into(),
            ..claims()
        },
    )
    .unwrap();
    let error = Bundle::read(&format!("{token} {second}"), &keys).unwrap_err();
    assert!(error.to_string().contains("L-1 and L-2"), "{error}");
}

#[test]
fn records_that_make_no_sense_are_not_issued() {
    for bad in [
        ActivationClaims {
            schema: 2,
            ..record()
        },
        ActivationClaims {
            license: "\u{1b}".into(),
            ..record()
        },
        ActivationClaims {
            site_sockets: 1,
            ..record()
        },
        ActivationClaims {
            site_hosts: 0,
            ..record()
        },
        ActivationClaims {
            fingerprint: license::Fingerprint::new(),
            ..record()
        },
    ] {
        assert!(
            matches!(issue_activation(pair(), &bad), Err(Error::Claims { .. })),
            "{bad:?}"
        );
    }
}
