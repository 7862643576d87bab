//! Licenses, requests and what a host remembers, with damage: nothing that nobody signed is taken, nothing panics, hangs or takes much
//! memory, and whatever an issuer signs is judged.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

#[path = "../../hcl-checker/tests/mutation/allocations.rs"]
mod allocations;
#[path = "license/common.rs"]
#[allow(dead_code)]
mod common;
#[path = "../../hcl-checker/tests/mutation/fuzz.rs"]
#[allow(dead_code)]
mod fuzz;

use common::{BEGIN, DAY, END, claims, keys, machine, pair, record, site_claims};
use fuzz::{Measure, Parser, run};
use license::{
    ActivationClaims, Bundle, Claims, Error, Machine, Memory, Observation, PublicKeys, Request,
    evaluate, issue, issue_activation, verify, verify_activation,
};
use uuid::Uuid;

/// A record is little more than its text; a short one stands for a token of its own in a list.
const FACTOR: usize = 64;
/// The tables of the curve, and what tests print.
const BASE: usize = 4 << 20;
/// More than any token, so that what is too long is refused, too.
const LONGEST: usize = 160 * 1024;

/// Judged on this machine at times before, within and after, whatever is remembered; what is said can be shown on a terminal.
fn judge(license: Option<Result<&Bundle, &Error>>, memory: &Memory) {
    for clock in [0, BEGIN, END, END + 60 * DAY, u64::MAX] {
        for machine in [machine(), Machine::default()] {
            let evaluation = evaluate(
                license,
                &Observation {
                    machine: &machine,
                    clock,
                    clock_is_synchronized: clock == BEGIN,
                    released: 0,
                    memory,
                },
            );
            let reason = &evaluation.state.reason;
            assert!(
                !reason.is_empty() && !reason.chars().any(char::is_control),
                "{reason:?}"
            );
            // What is to be remembered can be.
            let json = evaluation.memory.to_json().unwrap();
            assert_eq!(
                Memory::from_json(json.as_bytes()).unwrap(),
                evaluation.memory
            );
        }
    }
}

fn text(input: &[u8]) -> String {
    String::from_utf8_lossy(input).into_owned()
}

/// What a bundle holds was signed, whatever is around it.
fn hold(bundle: &Result<Bundle, Error>) {
    if let Ok(bundle) = bundle {
        if let Some(license) = &bundle.license {
            assert!([claims(), site_claims()].contains(license.claims()));
        }
        for activation in &bundle.activations {
            assert_eq!(*activation.claims(), record());
        }
    }
    judge(Some(bundle.as_ref()), &Memory::default());
}

fn parsers() -> Vec<Parser> {
    let known = keys(&[pair()]);
    let token = issue(pair(), &claims()).unwrap();
    let site = issue(pair(), &site_claims()).unwrap();
    let activation = issue_activation(pair(), &record()).unwrap();
    let bytes = |text: &str| text.as_bytes().to_vec();
    let request = Request::of(Uuid::from_u128(7), &machine()).to_string();
    let memory = Memory {
        high_water_mark: BEGIN,
        license: Some("L-1".into()),
        over_used_since: Some(BEGIN),
        unconfirmed_since: Some(BEGIN),
        machine: Some(machine().fingerprint.recorded()),
        ..Memory::default()
    };
    let json = |value: serde_json::Value| serde_json::to_vec_pretty(&value).unwrap();
    let (for_tokens, for_bundles, for_claims) = (known.clone(), known.clone(), known.clone());
    let for_memory = Bundle::read(&format!("{site}\n{activation}"), &known).unwrap();
    vec![
        Parser {
            name: "token",
            seeds: vec![bytes(&token), bytes(&site), bytes(&activation)],
            read: Box::new(move |input| {
                let text = text(input);
                if let Ok(license) = verify(&text, &for_tokens) {
                    assert!([claims(), site_claims()].contains(license.claims()));
                }
                if let Ok(activation) = verify_activation(&text, &for_tokens) {
                    assert_eq!(*activation.claims(), record());
                }
            }),
        },
        Parser {
            name: "file",
            seeds: vec![
                bytes(&format!("{token}\n")),
                bytes(&format!("{site}\n{activation}\n{activation}")),
                bytes(&format!("{activation}\n{token}")),
            ],
            read: Box::new(move |input| hold(&Bundle::read(&text(input), &for_bundles))),
        },
        // An issuer's mistakes are signed like everything else.
        Parser {
            name: "claims",
            seeds: [claims(), site_claims()]
                .map(|claims| json(serde_json::to_value(claims).unwrap()))
                .to_vec(),
            read: Box::new(move |input| {
                let Ok(claims) = serde_json::from_slice::<Claims>(input) else {
                    return;
                };
                let Ok(token) = issue(pair(), &claims) else {
                    return;
                };
                let bundle = Bundle::read(&token, &for_claims);
                if let Ok(bundle) = &bundle
                    && let Some(license) = &bundle.license
                {
                    assert_eq!(*license.claims(), claims);
                }
                judge(Some(bundle.as_ref()), &Memory::default());
            }),
        },
        Parser {
            name: "record",
            seeds: vec![json(serde_json::to_value(record()).unwrap())],
            read: Box::new(move |input| {
                let Ok(claims) = serde_json::from_slice::<ActivationClaims>(input) else {
                    return;
                };
                if let Ok(activation) = issue_activation(pair(), &claims) {
                    let bundle = Bundle::read(&format!("{site}\n{activation}"), &known);
                    judge(Some(bundle.as_ref()), &Memory::default());
                }
            }),
        },
        Parser {
            name: "request",
            seeds: vec![bytes(&request), bytes(&request.to_lowercase())],
            read: Box::new(|input| {
                if let Ok(request) = text(input).parse::<Request>() {
                    assert_eq!(request.to_string().parse::<Request>(), Ok(request));
                }
            }),
        },
        Parser {
            name: "keys",
            seeds: vec![bytes(&keys(&[pair()]).to_json().unwrap())],
            read: Box::new(|input| {
                if let Ok(keys) = PublicKeys::from_json(input) {
                    assert!(!keys.ids().any(|id| id.chars().any(char::is_control)));
                }
            }),
        },
        Parser {
            name: "memory",
            seeds: vec![bytes(&memory.to_json().unwrap())],
            read: Box::new(move |input| {
                if let Ok(memory) = Memory::from_json(input) {
                    judge(Some(Ok(&for_memory)), &memory);
                    judge(None, &memory);
                }
            }),
        },
    ]
}

#[test]
fn damaged_licenses_are_refused_and_signed_ones_are_judged() {
    let measure = Measure {
        factor: FACTOR,
        base: BASE,
        longest: LONGEST,
    };
    run(parsers(), &measure);
}
