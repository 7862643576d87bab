//! Answer files of the largest size: many hosts, and many mistakes. Each is done in a time that grows with the size alone, and tells no
//! more than anybody reads.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::{KEY, zones};
use installer::answers::{self, Beside, MAX_BYTES, MachineIdentity, Problems};
use installer::choices::{After, Choices};
use std::fmt::Write;
use std::time::{Duration, Instant};

/// A slow machine under load takes a small part of this; what grows with the square of the size takes minutes.
const LIMIT: Duration = Duration::from_secs(60);
/// Problems that are told, with the one that says how many are not.
const TOLD: usize = 501;

fn read(text: &str) -> Result<Choices, Problems> {
    read_for(text, None, &mut 0)
}

/// `files` counts how often a file was read.
fn read_for(
    text: &str,
    machine: Option<&MachineIdentity>,
    files: &mut usize,
) -> Result<Choices, Problems> {
    assert!(text.len() as u64 <= MAX_BYTES, "{} bytes", text.len());
    let started = Instant::now();
    let mut beside = Beside {
        signed: false,
        read: &mut |_| {
            *files += 1;
            Ok(b"#!/bin/sh\n".to_vec())
        },
    };
    let result = answers::read_with_files(text.as_bytes(), "x", &zones(), machine, &mut beside);
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
    let first = read(&text).unwrap();
    assert_eq!(first.on_success, After::Halt);
    // The last one was looked at, too.
    let last = text.rfind("hostname = \"y\"").unwrap();
    let wrong = text[..last].to_owned() + "hostname = \"-\"\n";
    let problems = read(&wrong).unwrap_err();
    assert_eq!(problems.list.len(), 1, "{problems}");
}

/// What stands above is read anew for each host, and may be nearly the whole file.
#[test]
fn thousands_of_hosts_below_a_large_top_are_refused_and_one_of_them_is_read() {
    let hook = format!(
        "[[hook]]\nname = \"a\"\nwhen = \"first-boot\"\nscript = \"\"\"\n#!/bin/sh\n{}\"\"\"\n",
        "true\n".repeat(100_000)
    );
    let text = hosts(12_000, "").replacen("[[host]]", &format!("{hook}[[host]]"), 1);
    let problems = read(&text).unwrap_err();
    assert_eq!(problems.list.len(), 1);
    let told = &problems.list[0].message;
    assert!(
        told.starts_with("the 12000 [[host]] sections") && told.contains("too much"),
        "{told}"
    );
    let machine = MachineIdentity {
        serial: Some("S11999".into()),
        ..MachineIdentity::default()
    };
    let one = read_for(&text, Some(&machine), &mut 0).unwrap();
    assert_eq!(one.hooks.len(), 1);
}

#[test]
fn a_file_that_all_hosts_name_is_read_once() {
    let hook = "[[hook]]\nname = \"a\"\nwhen = \"first-boot\"\nfile = \"a.sh\"\n";
    let text = hosts(5_000, "").replacen("[[host]]", &format!("{hook}[[host]]"), 1);
    let mut files = 0;
    let choices = read_for(&text, None, &mut files).unwrap();
    assert!(choices.hooks[0].script().is_some());
    assert_eq!(files, 1);
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
