//! By what a machine is recognized.

use crate::common::fingerprint;
use license::{Fingerprint, Kind, Machine, RECORDED};
use proptest::prelude::*;

#[test]
fn half_of_the_kinds_must_be_there_and_three_always_suffice() {
    // Kinds that are known, and how many of them are needed.
    for (known, needed) in [(1, 1), (2, 2), (3, 2), (4, 2), (5, 3), (6, 3), (7, 3)] {
        for same in 0..=known {
            let mut then = Fingerprint::new();
            let mut now = Fingerprint::new();
            for (at, kind) in Kind::ALL.into_iter().take(known).enumerate() {
                then = then.with(kind, &format!("a{at}"));
                now = now.with(
                    kind,
                    &if at < same {
                        format!("a{at}")
                    } else {
                        format!("b{at}")
                    },
                );
            }
            let recognition = then.recognize(&now);
            assert_eq!(recognition.needed, needed, "{known}");
            assert_eq!(
                recognition.is_same_machine(),
                same >= needed,
                "{same} of {known}"
            );
        }
    }
    let nothing = Fingerprint::new();
    assert!(!nothing.recognize(&fingerprint("one")).is_same_machine());
    assert!(!fingerprint("one").recognize(&nothing).is_same_machine());
}

#[test]
fn one_interface_or_disk_of_those_recorded_is_enough() {
    let then = Fingerprint::new()
        .with(Kind::Nic, "02:00:00:00:00:01")
        .with(Kind::Nic, "02:00:00:00:00:02")
        .with(Kind::Nic, "02:00:00:00:00:03");
    assert_eq!(then.recorded().parts().count(), RECORDED);
    let other_card = Fingerprint::new()
        .with(Kind::Nic, "02:00:00:00:00:09")
        .with(Kind::Nic, "02:00:00:00:00:02");
    assert!(then.recorded().recognize(&other_card).is_same_machine());
    let third_alone = Fingerprint::new().with(Kind::Nic, "02:00:00:00:00:03");
    assert!(!then.recorded().recognize(&third_alone).is_same_machine());
}

#[test]
fn texts_that_name_no_machine_are_left_out() {
    for text in [
        "",
        "  ",
        "None",
        "To Be Filled By O.E.M.",
        "to be filled by o.e.m",
        "Default string",
        "System Serial Number",
        "0123456789",
        "00000000-0000-0000-0000-000000000000",
        "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
        "03000200-0400-0500-0006-000700080009",
        "xxxxxxx",
    ] {
        assert!(
            Fingerprint::new().with(Kind::SystemSerial, text).is_empty(),
            "{text}"
        );
    }
    let real = Fingerprint::new().with(Kind::SystemSerial, " CZ3221B6XF\n");
    assert!(
        real.recognize(&Fingerprint::new().with(Kind::SystemSerial, "cz3221b6xf"))
            .is_same_machine()
    );
    // The same text as another kind is another identifier.
    let board = Fingerprint::new().with(Kind::BoardSerial, "CZ3221B6XF");
    assert!(
        real.parts()
            .all(|part| board.parts().all(|other| part.1 != other.1))
    );
}

#[test]
fn facts_give_sockets_and_identifiers() {
    let facts = r#"{"schema":1,
        "cpu":{"vendor":"GenuineIntel","family":6,"model":85,"stepping":7},
        "dmi":{"uuid":"4C4C4544-0042-3510-8054-B7C04F4E5231","serial":"BZ5T2R1",
               "board_serial":".BZ5T2R1.CN0.1.","chassis":{"serial":"Default string"}}}"#;
    let facts = hcl_checker::Facts::from_json(facts.as_bytes());
    let Ok(facts) = facts else {
        panic!("{:?}", facts.err())
    };
    let machine = Machine::of(&facts);
    assert_eq!(machine.sockets, None, "nothing says how many there are");
    let kinds: Vec<_> = machine.fingerprint.parts().map(|(kind, _)| kind).collect();
    assert_eq!(
        kinds,
        [
            Kind::SystemUuid,
            Kind::SystemSerial,
            Kind::BoardSerial,
            Kind::Processor
        ]
    );
    assert_eq!(
        machine.hardware.as_deref(),
        Some("4c4c4544-0042-3510-8054-b7c04f4e5231")
    );
}

proptest! {
    #[test]
    fn a_machine_is_itself(values in proptest::collection::vec("[a-z0-9]{3,12}[A-Z]", 3..20)) {
        let all = values.iter().enumerate().fold(Fingerprint::new(), |all, (at, value)| {
            all.with(Kind::ALL[at % 7], &format!("{value}{at}"))
        });
        let recognition = all.recorded().recognize(&all);
        prop_assert!(recognition.is_same_machine());
        prop_assert!(recognition.changed.is_empty());
        let json = serde_json::to_string(&all.recorded()).unwrap();
        prop_assert_eq!(serde_json::from_str::<Fingerprint>(&json).unwrap(), all.recorded());
    }
}
