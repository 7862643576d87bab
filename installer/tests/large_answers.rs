//! Answer files of the largest size: many hosts, and many mistakes. Each is done in a time that grows with the size alone, and tells no
//! more than anybody reads.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::{KEY, zones};
use installer::answers::{self, Beside, MAX_BYTES, Problems};
use installer::choices::Choices;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// A slow machine under load takes a small part of this; what grows with the square of the size takes minutes.
const LIMIT: Duration = Duration::from_secs(60);
/// Problems that are told, with the one that says how many are not.
const TOLD: usize = 501;

fn read(text: &str) -> Result<Vec<Choices>, Problems> {
    assert!(text.len() as u64 <= MAX_BYTES, "{} bytes", text.len());
    let started = Instant::now();
    let mut beside = Beside {
        signed: false,
        read: &mut |_| Ok(b"#!/bin/sh\n".to_vec()),
    };
    let result = answers::read_with_files(text.as_bytes(), "x", &zones(), None, &mut beside);
    assert!(started.elapsed() < LIMIT, "it took {:?}", started.elapsed());
    result
}

fn top() -> String {
    format!(
        "schema = 1\n[disk]\npath = \"/dev/sda\"\n[system]\nhostname = \"x\"\nssh_keys = [\"{KEY}\"]\n"
    )
}

fn hosts(count: usize, more: &str) -> String {
    let mut text = top();
    for number in 0..count {
        writeln!(
            text,
            "[[host]]\nmatch = {{ serial = \"S{number}\" }}\n{more}"
        )
        .unwrap();
    }
    text
}

/// The last one says how many are left out.
fn untold(problems: &Problems) -> usize {
    let last = problems.list.last().unwrap();
    let number = last
        .message
        .strip_suffix(" more problems were found")
        .unwrap();
    number.parse().unwrap()
}

#[test]
fn thousands_of_hosts_are_read() {
    let text = hosts(
        10_000,
        "on_success = \"halt\"\n[host.system]\nhostname = \"y\"\n",
    );
    let all = read(&text).unwrap();
    assert_eq!(all.len(), 10_000);
}

#[test]
fn of_thousands_of_mistakes_some_hundreds_are_told() {
    let bad_hosts = read(&hosts(10_000, "[host.system]\nhostname = \"-\"\n")).unwrap_err();
    assert_eq!(bad_hosts.list.len(), TOLD);
    let mut keys = top();
    for number in 0..60_000 {
        writeln!(keys, "key{number} = 1").unwrap();
    }
    let problems = read(&keys).unwrap_err();
    assert_eq!(
        (problems.list.len(), untold(&problems)),
        (TOLD, 60_000 - (TOLD - 1))
    );
    assert_eq!(problems.list[0].place.line, 7);

    // All of them in one line.
    let list = "\"x\",".repeat(200_000);
    let line = top().replace(&format!("[\"{KEY}\"]"), &format!("[{list}]"));
    let problems = read(&line).unwrap_err();
    assert_eq!(
        (problems.list.len(), untold(&problems)),
        (TOLD, 200_000 - (TOLD - 1))
    );
    assert_eq!(problems.list[0].place.line, 6);

    // Nothing of it is TOML.
    let noise = read(&"= ]\n".repeat(200_000)).unwrap_err();
    assert_eq!(noise.list.len(), TOLD);
}

/// Deep and long things are refused as what they are.
#[test]
fn depth_and_length_are_no_trouble() {
    for text in [
        format!("a = {}", "[".repeat(500_000)),
        format!("a = {}", "{a=".repeat(300_000)),
        format!("{} = 1", "a.".repeat(400_000)),
        format!("[{}]", "a.".repeat(400_000)),
        format!("{} = 1", "a".repeat(900_000)),
        format!("on_success = \"{}\"", "r".repeat(900_000)),
        format!(
            "[[host]]\nmatch = {{ serial = \"{}\" }}\nwithout = [\"{}\"]",
            "s".repeat(400_000),
            "a.".repeat(200_000)
        ),
    ] {
        let problems = read(&text).unwrap_err();
        let told = problems.to_string().len();
        assert!(told < 100_000, "{told} bytes");
    }
}
