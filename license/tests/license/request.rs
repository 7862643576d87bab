//! Requests of hosts without a network.

use crate::common::*;
use license::{Error, Fingerprint, Kind, Machine, Request};
use proptest::prelude::*;
use uuid::Uuid;

fn request() -> Request {
    Request::of(Uuid::from_u128(0x0123_4567_89ab_cdef), &machine())
}

#[test]
fn a_request_says_after_reading_what_was_asked() {
    let text = request().to_string();
    let read: Request = text.parse().unwrap();
    assert_eq!(read, request());
    assert_eq!(read.sockets, Some(2));
    assert_eq!(read.hardware.unwrap().to_string(), HOST);
    assert!(
        read.fingerprint
            .recognize(&machine().fingerprint)
            .is_same_machine()
    );
    // As somebody typed it.
    let typed = format!("  {}\r\n {}", &text[..40].to_lowercase(), &text[40..]);
    assert_eq!(typed.parse::<Request>().unwrap(), request());
}

#[test]
fn the_longest_request_fits_a_qr_code_of_version_8() {
    let mut machine = machine();
    for extra in 0..9 {
        for kind in [Kind::Nic, Kind::Disk] {
            machine.fingerprint = machine
                .fingerprint
                .clone()
                .with(kind, &format!("more {extra}"));
        }
    }
    let text = Request::of(Uuid::from_u128(1), &machine).to_string();
    // ISO/IEC 18004, table 7: version 8 at level L holds 279 alphanumeric characters.
    assert!(text.len() <= 279, "{}", text.len());
    assert!(
        text.chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-')
    );
}

#[test]
fn what_is_not_known_stays_not_known() {
    let bare = Machine {
        sockets: None,
        hardware: None,
        fingerprint: Fingerprint::new(),
    };
    let read: Request = Request::of(Uuid::from_u128(1), &bare)
        .to_string()
        .parse()
        .unwrap();
    assert_eq!((read.sockets, read.hardware), (None, None));
    assert!(read.fingerprint.is_empty());
}

#[test]
fn what_is_cut_off_or_huge_is_no_request() {
    let text = request().to_string();
    for length in 0..text.len() {
        assert!(text[..length].parse::<Request>().is_err(), "{length}");
    }
    let huge = format!("BEDPLATE1-{}", "A".repeat(1 << 20));
    assert!(matches!(
        huge.parse::<Request>(),
        Err(Error::NotARequest { .. })
    ));
}

proptest! {
    #[test]
    fn one_wrong_letter_is_noticed(position in 10..400usize, letter in "[A-Z2-7]") {
        let text = request().to_string();
        let position = 10 + (position - 10) % (text.len() - 10);
        let mut changed = text.clone();
        changed.replace_range(position..position + 1, &letter);
        prop_assume!(changed != text);
        prop_assert!(changed.parse::<Request>().is_err());
    }

    #[test]
    fn any_text(text in "(BEDPLATE1-)?[A-Z2-7]{0,200}", wide in "\\PC{0,60}") {
        let _ = text.parse::<Request>();
        prop_assert!(wide.parse::<Request>().is_err());
    }
}
