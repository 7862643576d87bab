//! The license of a host: added, seen, replaced, removed, remembered.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

use host::licensing::{
    INSTALLED_FILE, ISSUE_FILE, LICENSE_FILE, MEMORY_FILE, add, look, reactivate, remove, request,
    request_text, warn,
};
use host::record::Value;
use license::{
    ActivationClaims, Binding, Claims, Fingerprint, KEYS_FILE, KeyPair, Kind, Machine, PublicKeys,
    RELEASED_FILE, Request, State, issue, issue_activation,
};
use std::sync::OnceLock;
use steps::RecordingSystem;

const NOW: u64 = 1_795_305_600;
const DAY: u64 = 86_400;
const HARDWARE: &str = "4c4c4544-0042-3510-8054-b7c04f4e5231";
const GIVEN: &str = "/root/new.license";

fn pair() -> &'static KeyPair {
    static PAIR: OnceLock<KeyPair> = OnceLock::new();
    PAIR.get_or_init(|| KeyPair::generate().unwrap())
}

/// A host with the keys of its image and nothing else.
fn bare() -> RecordingSystem {
    let public = pair().public_text().unwrap();
    let keys = PublicKeys::from_texts([public.as_str()]).unwrap();
    RecordingSystem::new()
        .strict()
        .file("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        .file(KEYS_FILE, keys.to_json().unwrap())
        .file(RELEASED_FILE, format!("{}\n", NOW - 100 * DAY))
}

fn claims() -> Claims {
    Claims {
        schema: 1,
        id: "L-7".into(),
        customer: "Example".into(),
        issued: NOW - DAY,
        sockets: 2,
        not_before: NOW,
        updates_until: NOW + 365 * DAY,
        binding: Binding::Hosts([HARDWARE.to_owned()].into()),
    }
}

fn site_claims() -> Claims {
    Claims {
        sockets: 8,
        binding: Binding::Site("Berlin".into()),
        ..claims()
    }
}

fn machine(name: &str) -> Machine {
    Machine {
        sockets: Some(2),
        hardware: Some(HARDWARE.into()),
        fingerprint: Kind::ALL.into_iter().fold(Fingerprint::new(), |all, kind| {
            all.with(kind, &format!("{name} {kind:?}"))
        }),
    }
}

/// A record of the machine, which has 2 of these sockets.
fn record_of(machine: &Machine, site_sockets: u32) -> String {
    let claims = ActivationClaims {
        schema: 1,
        license: "L-7".into(),
        installation: uuid::Uuid::from_u128(1),
        fingerprint: machine.fingerprint.recorded(),
        sockets: 2,
        site_sockets,
        site_hosts: 3,
        issued: NOW,
    };
    issue_activation(pair(), &claims).unwrap()
}

fn token(claims: &Claims) -> String {
    issue(pair(), claims).unwrap()
}

fn state(system: &RecordingSystem, machine: &Machine, now: u64) -> State {
    look(system, machine, now).evaluation.state.state
}

#[test]
fn what_the_installer_wrote_is_read_with_the_keys_of_the_image() {
    let one = machine("one");
    let system = bare().file(INSTALLED_FILE, token(&claims()) + "\n");
    let looked = look(&system, &one, NOW + 1);
    let state_now = &looked.evaluation.state;
    assert_eq!(
        (state_now.state, state_now.days_left),
        (State::Licensed, Some(365)),
        "{}",
        state_now.reason
    );
    assert!(looked.allows_automatic_updates());
    let record = looked.record();
    assert_eq!(
        record.get("updates-until"),
        &Value::from("2027-11-22T00:00:00Z")
    );
    assert_eq!(record.get("license-file"), &Value::from(INSTALLED_FILE));
    assert_eq!(state(&bare(), &one, NOW), State::Unlicensed);
    // Keys of another image, no keys, and damaged keys.
    let stranger = KeyPair::generate().unwrap().public_text().unwrap();
    let other = PublicKeys::from_texts([stranger.as_str()]).unwrap();
    for keys in [other.to_json().unwrap(), String::new(), "{".into()] {
        let system = bare()
            .file(INSTALLED_FILE, token(&claims()))
            .file(KEYS_FILE, keys);
        let looked = look(&system, &one, NOW + 1);
        assert_eq!(looked.evaluation.state.state, State::Invalid);
        assert_eq!(
            looked.record().get("customer"),
            &Value::Unknown,
            "nothing of a forged license is shown"
        );
    }
}

#[test]
fn a_license_is_added_seen_and_removed() {
    let one = machine("one");
    let system = bare().file(GIVEN, token(&claims()));
    let added = add(&system, GIVEN, &one, NOW + 1).unwrap();
    assert_eq!(
        added.told(false),
        "licensed: 2 of 2 sockets are used; the license ends in 365 days"
    );
    assert_eq!(added.told(true), "licensed");
    let stored = system.content(LICENSE_FILE).unwrap();
    assert_eq!(stored, format!("{}\n", token(&claims())).into_bytes());
    assert!(system.content(MEMORY_FILE).is_some());
    assert_eq!(state(&system, &one, NOW + 1), State::Licensed);
    let removed = remove(&system, &one, NOW + 1).unwrap();
    assert!(removed.told(true) == "unlicensed" && system.content(LICENSE_FILE).is_none());
    remove(&system, &one, NOW + 1).unwrap();
}

#[test]
fn the_added_license_goes_before_the_installers_and_removing_takes_both() {
    let one = machine("one");
    let longer = Claims {
        id: "L-8".into(),
        updates_until: NOW + 1000 * DAY,
        ..claims()
    };
    let system = bare()
        .file(INSTALLED_FILE, token(&claims()))
        .file(GIVEN, token(&longer));
    let looked = add(&system, GIVEN, &one, NOW + 1).unwrap();
    assert_eq!(looked.record().get("license-id"), &Value::from("L-8"));
    assert_eq!(
        look(&system, &one, NOW + 1).record().get("license-id"),
        &Value::from("L-8")
    );
    remove(&system, &one, NOW + 1).unwrap();
    assert_eq!(state(&system, &one, NOW + 1), State::Unlicensed);
}

#[test]
fn what_cannot_be_used_is_refused_and_what_was_there_stays() {
    let one = machine("one");
    let stranger = KeyPair::generate().unwrap();
    let good = token(&claims());
    let other_host = Claims {
        binding: Binding::Hosts(["another".to_owned()].into()),
        ..claims()
    };
    let mut forged = good.clone();
    forged.replace_range(40..41, if &good[40..41] == "A" { "B" } else { "A" });
    let bad: [(Vec<u8>, &str); 8] = [
        (issue(&stranger, &claims()).unwrap().into(), "does not know"),
        (forged.into(), "signature"),
        (good[..good.len() / 2].into(), "no license token"),
        (Vec::new(), "no license token"),
        (vec![0xff, 0xfe], "not text"),
        (vec![b'A'; 5 << 20], "too long"),
        (token(&other_host).into(), "other hosts"),
        (record_of(&machine("two"), 6).into(), "no activation record"),
    ];
    for (content, words) in bad {
        let system = bare().file(LICENSE_FILE, good.clone()).file(GIVEN, content);
        let error = add(&system, GIVEN, &one, NOW + 1).unwrap_err();
        assert_eq!(error.code, "LICENSE_PROCESSING_ERROR");
        assert!(error.to_string().contains(words), "{words}: {error}");
        assert!(error.to_string().contains("license-file: /root/new"));
        assert_eq!(system.content(LICENSE_FILE).unwrap(), good.as_bytes());
    }
    let error = add(&bare(), "/nowhere", &one, NOW).unwrap_err();
    assert!(error.to_string().contains("/nowhere"), "{error}");
    let alone = bare().file(GIVEN, record_of(&one, 6));
    let error = add(&alone, GIVEN, &one, NOW).unwrap_err();
    assert!(error.message.contains("add the license first"), "{error}");
}

#[test]
fn a_sites_host_asks_and_is_activated() {
    let one = machine("one");
    let system = bare().file(GIVEN, token(&site_claims()));
    let looked = add(&system, GIVEN, &one, NOW).unwrap();
    assert_eq!(looked.evaluation.state.state, State::Grace);
    let asked = request(&system, &one).unwrap();
    assert_eq!(asked.to_string().parse::<Request>().unwrap(), asked);
    assert_eq!(asked.sockets, Some(2));
    // The answer has the records of all hosts of the site.
    let answer = format!(
        "{}\n{}\n",
        record_of(&machine("two"), 6),
        record_of(&one, 6)
    );
    let system = system.file(GIVEN, answer);
    let looked = add(&system, GIVEN, &one, NOW + DAY).unwrap();
    assert_eq!(looked.evaluation.state.state, State::Licensed);
    assert_eq!(
        looked.record().get("sockets-used"),
        &Value::Number(6),
        "those of the whole site"
    );
    let stored = String::from_utf8(system.content(LICENSE_FILE).unwrap()).unwrap();
    assert_eq!(
        stored.lines().collect::<Vec<_>>(),
        [token(&site_claims()), record_of(&one, 6)],
        "the license and this host's record alone"
    );
    // Renewing the license keeps the record.
    let renewed = Claims {
        updates_until: NOW + 700 * DAY,
        ..site_claims()
    };
    let system = system.file(GIVEN, token(&renewed));
    let looked = add(&system, GIVEN, &one, NOW + 2 * DAY).unwrap();
    assert_eq!(looked.evaluation.state.days_left, Some(698));
}

#[test]
fn replaced_parts_are_taken_into_account_by_one_command() {
    let before = machine("one");
    // Mainboard with its network interfaces, then the processor and a disk: each step leaves enough.
    let part = |changed: &[Kind]| {
        let mut fingerprint = Fingerprint::new();
        for kind in Kind::ALL {
            let name = if changed.contains(&kind) {
                "new"
            } else {
                "one"
            };
            fingerprint = fingerprint.with(kind, &format!("{name} {kind:?}"));
        }
        Machine {
            fingerprint,
            hardware: Some("another".into()),
            ..machine("one")
        }
    };
    let board = part(&[Kind::SystemUuid, Kind::BoardSerial, Kind::Nic]);
    let more = part(&[
        Kind::SystemUuid,
        Kind::BoardSerial,
        Kind::Nic,
        Kind::Processor,
        Kind::Disk,
    ]);
    let licensed = || {
        let system = bare().file(GIVEN, token(&claims()));
        add(&system, GIVEN, &before, NOW + 1).unwrap();
        system
    };
    let system = licensed();
    assert_eq!(state(&system, &board, NOW + DAY), State::Licensed);
    reactivate(&system, &board, NOW + DAY).unwrap();
    assert_eq!(state(&system, &more, NOW + 2 * DAY), State::Licensed);
    // Without it the second repair is too much, and reactivating then is refused: that needs a new record.
    let system = licensed();
    assert_eq!(state(&system, &more, NOW + 2 * DAY), State::Grace);
    let error = reactivate(&system, &more, NOW + 2 * DAY).unwrap_err();
    assert_eq!(error.code, "LICENSE_HOST_NOT_RECOGNIZED");
    assert!(error.message.contains("xe host-license-request"), "{error}");
    let system = system.file(GIVEN, record_of(&more, 2));
    let looked = add(&system, GIVEN, &more, NOW + 2 * DAY).unwrap();
    assert_eq!(looked.evaluation.state.state, State::Licensed);
    assert_eq!(
        reactivate(&bare(), &before, NOW).unwrap_err().exit_code(),
        1,
        "without a license"
    );
}

#[test]
fn time_is_remembered_and_a_clock_set_back_asks_whether_it_is_synchronized() {
    let one = machine("one");
    let licensed = || bare().file(LICENSE_FILE, token(&claims()));
    let system = licensed();
    let end = NOW + 400 * DAY;
    look(&system, &one, end).remember(&system).unwrap();
    assert_eq!(state(&system, &one, end), State::Expired);
    assert!(
        system.command_lines().is_empty(),
        "nothing is asked in vain"
    );
    // `timedatectl` is not there, or says no, or says yes.
    assert_eq!(state(&system, &one, NOW + DAY), State::Expired);
    let memory = system.content(MEMORY_FILE).unwrap();
    for (answer, expected) in [("no\n", State::Expired), ("yes\n", State::Licensed)] {
        let system = licensed()
            .file(MEMORY_FILE, memory.clone())
            .prints("timedatectl show", answer);
        assert_eq!(state(&system, &one, NOW + DAY), expected, "{answer}");
    }
    // A damaged memory: what is left is the signed time of the release.
    let system = licensed()
        .file(MEMORY_FILE, "{")
        .file(RELEASED_FILE, format!("{end}\n"));
    assert_eq!(state(&system, &one, 0), State::Expired);
    let system = licensed().file(MEMORY_FILE, "{");
    assert_eq!(state(&system, &one, NOW + DAY), State::Licensed);
}

#[test]
fn a_memory_that_cannot_be_written_is_told_and_loses_no_license() {
    let one = machine("one");
    let system = bare()
        .file(LICENSE_FILE, token(&claims()))
        .breaks(MEMORY_FILE);
    let looked = look(&system, &one, NOW + 1);
    assert_eq!(looked.evaluation.state.state, State::Licensed);
    assert!(looked.remember(&system).is_err());
}

#[test]
fn the_console_is_told_what_needs_attention_and_no_more() {
    let one = machine("one");
    let licensed = bare().file(LICENSE_FILE, token(&claims()));
    for (now, words) in [
        (NOW + DAY, None),
        (NOW + 340 * DAY, Some("expires-soon")),
        (NOW + 370 * DAY, Some("grace")),
        (NOW + 400 * DAY, Some("expired")),
        (NOW + DAY, None),
    ] {
        let looked = look(&licensed, &one, now);
        let told = warn(&licensed, &looked).unwrap();
        let shown = licensed.content(ISSUE_FILE);
        assert_eq!(told.is_some(), words.is_some(), "{told:?}");
        assert_eq!(shown.is_some(), words.is_some());
        if let (Some(words), Some(shown)) = (words, shown) {
            assert!(String::from_utf8(shown).unwrap().contains(words));
        }
    }
    let bare = bare();
    assert_eq!(warn(&bare, &look(&bare, &one, NOW)).unwrap(), None);
}

#[test]
fn the_request_is_printed_as_text_and_as_a_code_that_fits_a_terminal() {
    let asked = request(&bare(), &machine("one")).unwrap();
    let text = request_text(&asked);
    assert!(text.contains(&format!("\n{asked}\n")));
    let code: Vec<&str> = text
        .lines()
        .filter(|line| line.contains(['\u{2580}', '\u{2584}', '\u{2588}']))
        .collect();
    let width = code[0].chars().count();
    assert!(code.iter().all(|line| line.chars().count() == width));
    // Square, two rows a line, and no wider than a console.
    assert!(
        code.len() == width.div_ceil(2) && width <= 80,
        "{width} x {}",
        code.len()
    );
    // The margin is light: the first line holds nothing dark.
    assert!(code[0].chars().all(|c| c == '\u{2588}'));
    let without_id = RecordingSystem::new();
    assert!(request(&without_id, &machine("one")).is_err());
}
