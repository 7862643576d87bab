//! The states follow the calendar and the sockets.

use crate::common::*;
use license::{
    Claims, Error, Evaluation, GRACE_DAYS, Machine, Memory, Observation, State, evaluate,
};
use proptest::prelude::*;

fn summary(evaluation: &Evaluation) -> (State, Option<u64>, bool) {
    let state = &evaluation.state;
    (
        state.state,
        state.days_left,
        state.allows_automatic_updates(),
    )
}

fn at(clock: u64) -> (State, Option<u64>, bool) {
    summary(&look(
        &bundle(&claims(), &[]),
        &machine(),
        clock,
        &Memory::default(),
    ))
}

fn remembered() -> Memory {
    Memory {
        license: Some("L-1".into()),
        ..Memory::default()
    }
}

#[test]
fn the_states_follow_the_calendar() {
    use State::*;
    assert_eq!(at(BEGIN - 1), (NotYetValid, Some(1), false));
    assert_eq!(at(BEGIN - 10 * DAY), (NotYetValid, Some(10), false));
    assert_eq!(at(BEGIN), (Licensed, Some(365), true));
    assert_eq!(at(END - 30 * DAY - 1), (Licensed, Some(31), true));
    assert_eq!(at(END - 30 * DAY), (ExpiresSoon, Some(30), true));
    assert_eq!(at(END - 1), (ExpiresSoon, Some(1), true));
    assert_eq!(at(END), (Grace, Some(30), true));
    assert_eq!(at(END + 30 * DAY - 1), (Grace, Some(1), true));
    assert_eq!(at(END + 30 * DAY), (Expired, None, false));
    assert_eq!(at(u64::MAX), (Expired, None, false));
    let machine = machine();
    let memory = Memory::default();
    let observed = Observation {
        machine: &machine,
        clock: BEGIN,
        clock_is_synchronized: false,
        released: 0,
        memory: &memory,
    };
    assert_eq!(
        summary(&evaluate(None, &observed)),
        (Unlicensed, None, false)
    );
    assert_eq!(
        summary(&evaluate(Some(Err(&Error::Signature)), &observed)),
        (Invalid, None, false)
    );
}

#[test]
fn over_use_warns_for_30_days_and_then_stops_only_the_automation() {
    use State::*;
    let three = Machine {
        sockets: Some(3),
        ..machine()
    };
    let over = |clock, since| {
        let memory = Memory {
            over_used_since: since,
            ..remembered()
        };
        summary(&look(&bundle(&claims(), &[]), &three, clock, &memory))
    };
    let now = BEGIN + 100 * DAY;
    assert_eq!(over(now, None), (OverUsed, Some(30), true));
    assert_eq!(over(now, Some(now - 29 * DAY)), (OverUsed, Some(1), true));
    assert_eq!(over(now, Some(now - 30 * DAY)), (OverUsed, Some(0), false));
    assert_eq!(over(now, Some(now - 300 * DAY)), (OverUsed, Some(0), false));
    assert_eq!(over(now, Some(u64::MAX)), (OverUsed, Some(30), true));
    // Ended as well: whichever stops first.
    assert_eq!(over(END + 20 * DAY, None), (OverUsed, Some(10), true));
    assert_eq!(over(END + 30 * DAY, None), (Expired, None, false));
}

#[test]
fn over_use_is_remembered_from_the_first_look_until_it_ends() {
    let three = Machine {
        sockets: Some(3),
        ..machine()
    };
    let unknown = Machine {
        sockets: None,
        ..machine()
    };
    let bundle = bundle(&claims(), &[]);
    let first = look(&bundle, &three, BEGIN + DAY, &Memory::default());
    assert_eq!(first.memory.over_used_since, Some(BEGIN + DAY));
    let second = look(&bundle, &three, BEGIN + 9 * DAY, &first.memory);
    assert_eq!(second.memory.over_used_since, Some(BEGIN + DAY));
    assert_eq!(second.state.days_left, Some(22));
    // Not counted is not the same as gone.
    let third = look(&bundle, &unknown, BEGIN + 10 * DAY, &second.memory);
    assert_eq!(third.memory.over_used_since, Some(BEGIN + DAY));
    assert_eq!(third.state.state, State::Licensed);
    assert!(
        third.state.reason.contains("could not be counted"),
        "{}",
        third.state.reason
    );
    let fourth = look(&bundle, &machine(), BEGIN + 11 * DAY, &third.memory);
    assert_eq!(fourth.memory.over_used_since, None);
    // Another license begins anew.
    let other = crate::common::bundle(
        &Claims {
            id: "L-2".into(),
            ..claims()
        },
        &[],
    );
    let fifth = look(&other, &three, BEGIN + 20 * DAY, &second.memory);
    assert_eq!(fifth.memory.over_used_since, Some(BEGIN + 20 * DAY));
    // Taking the license away and adding it again does not.
    let none = evaluate(
        None,
        &Observation {
            machine: &three,
            clock: BEGIN + 12 * DAY,
            clock_is_synchronized: false,
            released: 0,
            memory: &second.memory,
        },
    );
    assert_eq!(none.memory.over_used_since, Some(BEGIN + DAY));
}

#[test]
fn a_license_is_for_its_hosts() {
    let bundle = bundle(&claims(), &[]);
    let state = |hardware: Option<&str>| {
        let machine = Machine {
            hardware: hardware.map(str::to_owned),
            ..machine()
        };
        look(&bundle, &machine, BEGIN + DAY, &Memory::default())
            .state
            .state
    };
    assert_eq!(state(Some(HOST)), State::Licensed);
    assert_eq!(state(Some(&HOST.to_uppercase())), State::Licensed);
    assert_eq!(state(Some("another")), State::Invalid);
    assert_eq!(state(None), State::Invalid);
}

#[test]
fn a_clock_set_back_wins_nothing() {
    let bundle = bundle(&claims(), &[]);
    let state = |clock, mark| {
        let memory = Memory {
            high_water_mark: mark,
            ..remembered()
        };
        let evaluation = look(&bundle, &machine(), clock, &memory);
        assert_eq!(evaluation.memory.high_water_mark, mark.max(clock));
        summary(&evaluation)
    };
    assert_eq!(
        state(BEGIN + DAY, END + 40 * DAY),
        (State::Expired, None, false)
    );
    // And a clock that starts in 1970 after a dead battery does not make a license not yet valid.
    assert_eq!(
        state(0, BEGIN + 10 * DAY),
        (State::Licensed, Some(355), true)
    );
}

#[test]
fn signed_times_are_floors_that_nobody_can_delete() {
    let bundle = bundle(&claims(), &[]);
    let machine = machine();
    let look = |released| {
        evaluate(
            Some(Ok(&bundle)),
            &Observation {
                machine: &machine,
                clock: 0,
                clock_is_synchronized: true,
                released,
                memory: &Memory::default(),
            },
        )
    };
    // The license was issued 20 days before it begins: a clock at 1970 is at least there.
    assert_eq!(summary(&look(0)), (State::NotYetValid, Some(20), false));
    assert_eq!(look(BEGIN).state.state, State::Licensed);
    assert_eq!(look(END + 30 * DAY).state.state, State::Expired);
    // The record, too.
    let late = license::ActivationClaims {
        issued: BEGIN + 3 * DAY,
        ..record()
    };
    let bundle = crate::common::bundle(&claims(), &[&late]);
    let with_record = crate::common::look(&bundle, &machine, 0, &Memory::default());
    assert_eq!(with_record.memory.high_water_mark, BEGIN + 3 * DAY);
}

#[test]
fn a_synchronized_clock_ends_what_a_wrong_one_did() {
    let (bundle, machine) = (bundle(&claims(), &[]), machine());
    let memory = Memory {
        high_water_mark: END + 1000 * DAY,
        ..remembered()
    };
    let look = |clock_is_synchronized| {
        evaluate(
            Some(Ok(&bundle)),
            &Observation {
                machine: &machine,
                clock: BEGIN + DAY,
                clock_is_synchronized,
                released: BEGIN,
                memory: &memory,
            },
        )
    };
    assert_eq!(look(false).state.state, State::Expired);
    assert_eq!(look(true).state.state, State::Licensed);
    assert_eq!(look(true).memory.high_water_mark, BEGIN + DAY);
}

#[test]
fn the_memory_survives_its_file_and_a_damaged_one_is_noticed() {
    let memory = Memory {
        over_used_since: Some(1),
        ..look(
            &bundle(&claims(), &[]),
            &machine(),
            BEGIN,
            &Memory::default(),
        )
        .memory
    };
    let json = memory.to_json().unwrap();
    assert_eq!(Memory::from_json(json.as_bytes()).unwrap(), memory);
    for bad in [
        "",
        "{}",
        "[]",
        &json[..json.len() / 2],
        &json.replace("\"schema\": 1", "\"schema\": 2"),
    ] {
        assert!(Memory::from_json(bad.as_bytes()).is_err(), "{bad}");
    }
}

proptest! {
    /// Time never turns a state back: once automatic updates stopped for expiry, no later time and no clock brings
    /// them back, and the higher of clock and mark decides alone.
    #[test]
    fn only_the_later_of_clock_and_mark_counts(clock in 0..END * 2, mark in 0..END * 2, sockets in 1..4u32) {
        let machine = Machine { sockets: Some(sockets), ..machine() };
        let bundle = bundle(&claims(), &[]);
        let state = |clock, mark| {
            let memory = Memory { high_water_mark: mark, ..remembered() };
            look(&bundle, &machine, clock, &memory).state
        };
        prop_assert_eq!(state(clock, mark), state(mark, clock));
        if clock.max(mark) >= END + GRACE_DAYS * DAY {
            prop_assert!(!state(clock, mark).allows_automatic_updates());
        }
    }

    /// Whatever is true of the host: a sentence is there, and days are only promised while something lasts.
    #[test]
    fn every_state_has_a_reason(
        sockets in proptest::option::of(0..9u32),
        clock: u64,
        high_water_mark: u64,
        released: u64,
        clock_is_synchronized: bool,
        over_used_since: Option<u64>,
        unconfirmed_since: Option<u64>,
        site: bool,
    ) {
        let machine = Machine { sockets, ..machine() };
        let memory = Memory { high_water_mark, over_used_since, unconfirmed_since, ..remembered() };
        let bundle = bundle(&if site { site_claims() } else { claims() }, &[]);
        let observed = Observation { machine: &machine, clock, clock_is_synchronized, released, memory: &memory };
        let evaluation = evaluate(Some(Ok(&bundle)), &observed);
        prop_assert!(!evaluation.state.reason.is_empty());
        prop_assert!(evaluation.memory.high_water_mark >= clock.max(released));
        if evaluation.state.allows_automatic_updates() {
            prop_assert!(evaluation.state.days_left.is_some_and(|days| days > 0 && days <= 365));
        }
        // A second look at the same time sees the same.
        let again = Observation { memory: &evaluation.memory, ..observed };
        let again = evaluate(Some(Ok(&bundle)), &again);
        prop_assert_eq!(again.state, evaluation.state);
    }

    /// Any bytes as the memory: read or refused, never a panic.
    #[test]
    fn any_memory(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Memory::from_json(&bytes);
    }
}
