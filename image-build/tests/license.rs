//! `image-build keys new` and `image-build license`, as they are called.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

use license::{
    Binding, Bundle, Fingerprint, Kind, Machine, Memory, Observation, PublicKeys, Request, State,
    evaluate,
};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;
use uuid::Uuid;

/// A folder with keys, and how the program is called in it.
struct Office(TempDir);

impl Office {
    fn open() -> Office {
        let office = Office(TempDir::new().unwrap());
        let made = office.call(&["keys", "new", "--out", "keys"]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        office
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn call(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_image-build"))
            .args(args)
            .current_dir(self.path())
            .output()
            .unwrap()
    }

    /// `image-build license ARGS`, which must do its work; what it printed.
    fn license(&self, args: &[&str]) -> String {
        let fixed: &[&str] = match args {
            ["show", ..] => &["--keys", "keys"],
            _ => &["--keys", "keys", "--ledgers", "ledgers"],
        };
        let args: Vec<&str> = ["license"]
            .iter()
            .chain(args)
            .chain(fixed)
            .copied()
            .collect();
        let output = self.call(&args);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    fn bundle(&self, file: &str) -> Bundle {
        let json = std::fs::read(self.path().join("keys/license/license-keys.json")).unwrap();
        let keys = PublicKeys::from_json(&json).unwrap();
        let bundle = Bundle::read(file, &keys).unwrap();
        assert!(bundle.refused.is_empty());
        bundle
    }

    /// Writes the request of a host.
    fn ask(&self, file: &str, machines: &[&Machine]) {
        let requests: String = machines
            .iter()
            .map(|machine| format!("{}\n", Request::of(installation(machine), machine)))
            .collect();
        let text = format!("Send this:\n\n{requests}\nThen wait.\n");
        std::fs::write(self.path().join(file), text).unwrap();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Its number is in its UUID; 2 sockets.
fn machine(number: u128) -> Machine {
    Machine {
        sockets: Some(2),
        hardware: Some(Uuid::from_u128(number).to_string()),
        fingerprint: Kind::ALL.into_iter().fold(Fingerprint::new(), |all, kind| {
            all.with(kind, &format!("machine {number} {kind:?}"))
        }),
    }
}

fn installation(machine: &Machine) -> Uuid {
    let hardware: Uuid = machine.hardware.as_ref().unwrap().parse().unwrap();
    Uuid::from_u128(hardware.as_u128() + 1_000_000)
}

fn state(bundle: &Bundle, machine: &Machine, clock: u64) -> (State, Option<u32>) {
    let seen = evaluate(
        Some(Ok(bundle)),
        &Observation {
            machine,
            clock,
            clock_is_synchronized: false,
            released: 0,
            memory: &Memory::default(),
        },
    );
    (seen.state.state, seen.sockets_used)
}

/// 2026-12-01 and 2027-12-01 at midnight.
const BEGIN: u64 = 1_796_083_200;
const END: u64 = BEGIN + 365 * 86_400;
const YEAR: [&str; 4] = ["--from", "2026-12-01", "--until", "2027-12-01"];

#[test]
fn keys_are_made_once_and_secrets_are_kept_from_others() {
    let office = Office::open();
    let mode = |file: &str| {
        let metadata = std::fs::metadata(office.path().join(file)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("keys/license"), 0o700);
    assert_eq!(mode("keys/license/1.secret"), 0o600);
    assert_eq!(mode("keys/license/2.secret"), 0o600);
    let public = || std::fs::read(office.path().join("keys/license/license-keys.json")).unwrap();
    let keys = PublicKeys::from_json(&public()).unwrap();
    assert_eq!(keys.ids().count(), 2);
    let before = public();
    assert!(
        !office
            .call(&["keys", "new", "--out", "keys"])
            .status
            .success()
    );
    assert_eq!(public(), before);
    // Keys that were made before there were licenses.
    let root = std::fs::read(office.path().join("keys/root.json")).unwrap();
    std::fs::remove_dir_all(office.path().join("keys/license")).unwrap();
    assert!(
        office
            .call(&["keys", "new", "--out", "keys"])
            .status
            .success()
    );
    assert_ne!(public(), before);
    assert_eq!(
        std::fs::read(office.path().join("keys/root.json")).unwrap(),
        root
    );
}

#[test]
fn a_license_for_a_host_says_what_was_asked_for_with_either_key() {
    let office = Office::open();
    let host = Uuid::from_u128(1).to_string();
    let mut ids = Vec::new();
    for key in ["1", "2"] {
        let args = [
            &[
                "--customer",
                "Example Inc.",
                "--sockets",
                "2",
                "--id",
                "L-1",
                "--host",
                &host,
            ][..],
            &YEAR,
            &["--key", key],
        ];
        let bundle = office.bundle(&office.license(&args.concat()));
        let license = bundle.license().unwrap();
        let claims = license.claims();
        assert_eq!((claims.not_before, claims.updates_until), (BEGIN, END));
        assert_eq!((claims.sockets, claims.id.as_str()), (2, "L-1"));
        assert_eq!(claims.customer, "Example Inc.");
        assert_eq!(claims.binding, Binding::Hosts([host.clone()].into()));
        assert_eq!(state(&bundle, &machine(1), END - 1).0, State::ExpiresSoon);
        assert_eq!(state(&bundle, &machine(2), END - 1).0, State::Invalid);
        ids.push(license.key_id().to_owned());
    }
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn hosts_of_a_site_are_activated_and_their_sockets_add_up() {
    let office = Office::open();
    let args = [
        &[
            "--customer",
            "Example",
            "--sockets",
            "4",
            "--id",
            "S-1",
            "--site",
            "Berlin",
        ][..],
        &YEAR,
        &["--out", "site.license"],
    ];
    office.license(&args.concat());
    let mode = std::fs::metadata(office.path().join("site.license")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    let activate = |machines: &[&Machine]| {
        office.ask("requests", machines);
        let args = [
            "activate",
            "--license",
            "site.license",
            "--request",
            "requests",
        ];
        office.bundle(&office.license(&args))
    };
    let (one, two, three) = (machine(1), machine(2), machine(3));
    // Two requests in one file; one answer for both.
    let both = activate(&[&one, &two]);
    for host in [&one, &two] {
        assert_eq!(state(&both, host, BEGIN), (State::Licensed, Some(4)));
    }
    assert_eq!(state(&both, &three, BEGIN).0, State::Grace);
    // A host that asks again, installed anew or with a new main board, is not counted twice.
    let mut again = machine(1);
    again.hardware = Some(Uuid::from_u128(77).to_string());
    assert_eq!(
        state(&activate(&[&again]), &again, BEGIN),
        (State::Licensed, Some(4))
    );
    // The third makes it over-used, which is seen and issued all the same.
    assert_eq!(
        state(&activate(&[&three]), &three, BEGIN),
        (State::OverUsed, Some(6))
    );
    let shown = office.license(&["show", "site.license"]);
    assert!(
        shown.contains("\"Berlin\"") && shown.contains("k4.pid."),
        "{shown}"
    );
}

#[test]
fn one_step_from_a_request_to_a_license_with_its_record() {
    let office = Office::open();
    office.ask("request", &[&machine(5)]);
    let args = [
        &[
            "--customer",
            "Example",
            "--sockets",
            "2",
            "--request",
            "request",
        ][..],
        &YEAR,
    ];
    let bundle = office.bundle(&office.license(&args.concat()));
    let uuid = Uuid::from_u128(5).to_string();
    assert_eq!(
        bundle.license().unwrap().claims().binding,
        Binding::Hosts([uuid].into())
    );
    let mut repaired = machine(5);
    repaired.hardware = None;
    assert_eq!(state(&bundle, &repaired, BEGIN).0, State::Licensed);
}

#[test]
fn what_makes_no_sense_is_refused_with_a_sentence() {
    let office = Office::open();
    std::fs::write(office.path().join("empty"), "").unwrap();
    std::fs::write(office.path().join("typo"), "BEDPLATE1-ABCDEFGH\n").unwrap();
    let uuid = Uuid::from_u128(1).to_string();
    for (args, words) in [
        (&["--customer", "x", "--sockets", "1"][..], "who is it for"),
        (&["--customer", "x", "--sockets", "0", "--site", "s"], "0"),
        (
            &["--customer", "", "--sockets", "1", "--site", "s"],
            "customer",
        ),
        (
            &[
                "--customer",
                "x",
                "--sockets",
                "1",
                "--site",
                "s",
                "--from",
                "2026-12-02",
                "--until",
                "2026-12-01",
            ],
            "ends before it begins",
        ),
        (
            &["--customer", "x", "--sockets", "1", "--host", "nonsense"],
            "nonsense",
        ),
        (
            &[
                "--customer",
                "x",
                "--sockets",
                "1",
                "--site",
                "s",
                "--host",
                &uuid,
            ],
            "cannot be used",
        ),
        (
            &[
                "--customer",
                "x",
                "--sockets",
                "1",
                "--site",
                "s",
                "--request",
                "empty",
            ],
            "holds no request",
        ),
        (
            &[
                "--customer",
                "x",
                "--sockets",
                "1",
                "--site",
                "s",
                "--request",
                "typo",
            ],
            "typo",
        ),
        (&["show", "empty"], "license token"),
        (&["show", "missing"], "missing"),
        (&[], "--customer"),
    ] {
        let all: Vec<&str> = [&["license"], args, &["--keys", "keys"]].concat();
        // Without any argument the keys are not taken either.
        let all = if args.is_empty() {
            vec!["license"]
        } else {
            all
        };
        let output = office.call(&all);
        assert!(!output.status.success(), "{args:?}");
        assert!(
            text(&output.stderr).contains(words),
            "{args:?}: {}",
            text(&output.stderr)
        );
    }
}
