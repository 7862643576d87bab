//! Answers with any keys of the schema and any values, on every captured machine: no panic, no refusal without a reason, and
//! no plan that touches a disk that was not meant or the boot medium.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::{KEY, cases, manifest, verdict, zones};
use hcl_checker::Known;
use hcl_checker::facts::Facts;
use hcl_checker::verdict::Level;
use installer::answers::{
    Beside, MachineIdentity, export::to_toml, read_with_files, schema::json_schema,
};
use installer::plan::{Input, build};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value as Json;
use std::cell::Cell;
use std::fs;
use toml::{Table, Value};

/// Texts that mean something somewhere, and some that mean nothing anywhere.
const TEXTS: [&str; 44] = [
    "",
    " ",
    "x",
    "eno1",
    "eno2",
    "ens5f0np0",
    "52:54:00:00:01:02",
    "52:54:00:00:00:01",
    "0000:3b:00.0",
    "0000:af:00.1",
    "192.0.2.10/24",
    "192.0.2.1",
    "10.0.0.255/24",
    "2001:db8::10/64",
    "fe80::1",
    "fe80::1/64",
    "/dev/sda",
    "/dev/sdc",
    "/dev/nvme0n1",
    "/dev/nvme1n1",
    "/dev/../etc",
    "N0",
    "N1",
    "S1",
    "W2",
    "USB1",
    "SAMSUNG*",
    "[",
    "nvme",
    "sata",
    "400 GB",
    "1 TiB",
    "18446744073709551615 B",
    "xen-{serial}",
    "{mac}",
    "{",
    "CZJ2340D1K",
    "A-4711",
    "#!/bin/sh\n",
    "hooks/a.sh",
    "../a",
    "https://u:p@h/r?x=1",
    "a\u{0}\u{1b}[2J",
    "é\u{202e}",
];

fn machines() -> Vec<Facts> {
    let mut paths: Vec<_> = fs::read_dir(cases().join("machines"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let all: Vec<Facts> = paths
        .iter()
        .map(|path| Facts::from_json(&fs::read(path).unwrap()).unwrap())
        .collect();
    assert!(all.len() > 10);
    all
}

/// Every key of the schema with the part of the schema below it: `disk.match.serial`. Lists of sections are followed once.
fn keys(schema: &Json) -> Vec<(Vec<String>, Json)> {
    fn resolve<'j>(root: &'j Json, part: &'j Json) -> &'j Json {
        let part = part
            .get("anyOf")
            .and_then(Json::as_array)
            .and_then(|list| list.iter().find(|one| one["type"] != "null"))
            .unwrap_or(part);
        match part.get("$ref").and_then(Json::as_str) {
            Some(reference) => root.pointer(&reference[1..]).unwrap(),
            None => part,
        }
    }
    fn walk(root: &Json, part: &Json, path: &[String], found: &mut Vec<(Vec<String>, Json)>) {
        let part = resolve(root, part);
        if let Some(items) = part.get("items") {
            let item = resolve(root, items);
            if item.get("properties").is_some() {
                walk(root, item, &[path, &["0".to_owned()]].concat(), found);
            }
        }
        for (key, inner) in part
            .get("properties")
            .and_then(Json::as_object)
            .into_iter()
            .flatten()
        {
            let path = [path, std::slice::from_ref(key)].concat();
            let shape = resolve(root, inner).clone();
            walk(root, inner, &path, found);
            found.push((path, shape));
        }
    }
    let mut found = Vec::new();
    walk(schema, schema, &[], &mut found);
    found
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(TEXTS.to_vec()).prop_map(str::to_owned),
        1 => ".{0,30}",
    ]
}

/// A value that fits the schema at best, or anything.
fn value(shape: &Json) -> BoxedStrategy<Value> {
    let words: Vec<String> = shape
        .get("enum")
        .or_else(|| shape.get("oneOf"))
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(|word| word.get("const").unwrap_or(word).as_str())
        .map(str::to_owned)
        .collect();
    let kind = shape.get("type").map(Json::to_string).unwrap_or_default();
    let number = || {
        prop::sample::select(vec![-1, 0, 1, 2, 4094, 4095, 1500, 9216, i64::MAX])
            .prop_map(Value::Integer)
    };
    let fitting = if !words.is_empty() {
        prop::sample::select(words).prop_map(Value::String).boxed()
    } else if kind.contains("boolean") {
        any::<bool>().prop_map(Value::Boolean).boxed()
    } else if kind.contains("integer") {
        number().boxed()
    } else if kind.contains("array") {
        prop::collection::vec(text().prop_map(Value::String), 0..4)
            .prop_map(Value::Array)
            .boxed()
    } else {
        text().prop_map(Value::String).boxed()
    };
    let any = prop_oneof![
        text().prop_map(Value::String),
        number(),
        any::<bool>().prop_map(Value::Boolean),
        any::<f64>().prop_map(Value::Float),
        Just(Value::Array(Vec::new())),
        Just(Value::Table(Table::new())),
        Just(Value::Array(vec![Value::Table(Table::new())])),
    ];
    prop_oneof![9 => fitting, 1 => any].boxed()
}

/// Sets `path`, making sections and lists of sections as they are needed.
fn set(table: &mut Table, path: &[String], value: Value) {
    let [key, rest @ ..] = path else { return };
    match rest {
        [] => {
            table.insert(key.clone(), value);
        }
        [zero, rest @ ..] if zero == "0" => {
            let list = table
                .entry(key.clone())
                .or_insert_with(|| Value::Array(vec![Value::Table(Table::new())]));
            if let Value::Array(list) = list
                && let Some(Value::Table(inner)) = list.first_mut()
            {
                set(inner, rest, value);
            }
        }
        rest => {
            let inner = table
                .entry(key.clone())
                .or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

fn base(disk: &str) -> Table {
    toml::from_str(&format!(
        "schema = 1\n[disk]\n[disk.match]\n{disk}\n[system]\nhostname = \"xen1\"\nssh_keys = [\"{KEY}\"]\n[network]\ndhcp = true\n"
    ))
    .unwrap()
}

#[test]
fn any_keys_and_values_give_reasons_or_a_plan_for_the_disk_that_was_meant() {
    let all = keys(&json_schema());
    assert!(all.len() > 150, "only {} keys", all.len());
    for path in [
        "disk.match.serial",
        "hook.0.script",
        "host.0.network.bridge.0.static6.dns",
    ] {
        assert!(
            all.iter().any(|(key, _)| key.join(".") == path),
            "{path} is not among them"
        );
    }
    let machines = machines();
    let change = (0..all.len()).prop_flat_map({
        let all = all.clone();
        move |index| {
            let (path, shape) = all[index].clone();
            value(&shape).prop_map(move |value| (path.clone(), value))
        }
    });
    let disk = prop::sample::select(vec![
        "serial = \"N0\"",
        "serial = \"S1\"",
        "serial = \"W2\"",
        "path = \"/dev/vda\"",
        "serial = \"USB1\"",
    ]);
    let medium = prop::option::of(prop::sample::select(vec![
        "/dev/sda",
        "/dev/sda1",
        "/dev/nvme0n1",
        "/dev/sdc",
        "/dev/vda",
    ]));
    let input = (
        disk,
        prop::collection::vec(change, 0..5),
        0..machines.len(),
        any::<bool>(),
        medium,
    );
    let (accepted, planned) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(Config {
        cases: 20_000,
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(&input, |(disk, changes, machine, known, medium)| {
        let mut file = base(disk);
        for (path, value) in changes {
            set(&mut file, &path, value);
        }
        let text = toml::to_string(&file).unwrap();
        let facts = &machines[machine];
        let identity = MachineIdentity::of(facts);
        let mut beside = Beside {
            signed: false,
            read: &mut |_| Ok(b"#!/bin/sh\n".to_vec()),
        };
        let known = known.then_some(&identity);
        let choices = match read_with_files(text.as_bytes(), "x", &zones(), known, &mut beside) {
            Ok(choices) => choices,
            Err(problems) => {
                prop_assert!(!problems.list.is_empty());
                let shown = problems.to_string();
                prop_assert!(
                    !shown.contains(['\u{0}', '\u{1b}']),
                    "terminal codes in {shown:?}"
                );
                return Ok(());
            }
        };
        accepted.set(accepted.get() + 1);
        prop_assert!(to_toml(&choices).is_ok());
        let plan = match build(&Input {
            release: &manifest(),
            facts,
            judge: &|_| verdict(Level::Compatible),
            choices: &choices,
            medium,
            command_line: "",
        }) {
            Ok(plan) => plan,
            Err(problems) => {
                prop_assert!(!problems.0.is_empty() && !problems.to_string().is_empty());
                return Ok(());
            }
        };
        planned.set(planned.get() + 1);
        let path = plan.disk.identity.path.as_str();
        let disk = facts
            .disks
            .value()
            .unwrap()
            .iter()
            .find(|disk| disk.path == path)
            .unwrap();
        prop_assert!(choices.disk.select.mismatches(disk).is_empty(), "{text}");
        prop_assert_ne!(Some(path), medium);
        prop_assert!(
            disk.partitions
                .iter()
                .all(|part| Some(part.path.as_str()) != medium)
        );
        prop_assert!(!disk.is_in_use());
        prop_assert!(
            choices.disk.wipe || disk.holds_data() == Known::Value(false),
            "{text}"
        );
        prop_assert!(!plan.describe().to_string().is_empty());
        prop_assert!(plan.hash().is_ok());
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    // Were all refused, nothing would have been tried.
    let (accepted, planned) = (accepted.get(), planned.get());
    assert!(
        accepted > 3000 && planned > 300,
        "{accepted} accepted, {planned} planned"
    );
}
