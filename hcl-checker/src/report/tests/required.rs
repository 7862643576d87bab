//! What a certified machine must have passed, and what a report says where something is not known.

use super::*;
use crate::facts::FirmwareKind;

/// What is known of the machine is not enough for a verdict, and every test passed.
#[test]
fn an_unknown_verdict_certifies_nothing_whatever_the_report_says() {
    let mut facts = facts();
    facts.cpu.nested_paging = Known::unknown("nobody looked");
    let program = std::path::Path::new("/proc/self/exe");
    let state = state(facts);
    let report =
        Report::of_run(&state, &list(), None, &key(), Serials::Hashed, program).expect("report");
    assert_eq!(report.verdict, Level::Unknown);
    let certification = &report.certification;
    assert_eq!(certification.result, CertificationResult::Incomplete);
    assert!(
        certification.missing.len() == 1
            && certification.missing[0].contains("verdict by the list is unknown")
            && certification.missing[0].contains("nobody looked"),
        "{certification:?}"
    );
    let bytes = report.to_bytes().expect("bytes");
    assert_eq!(problems(&bytes), Vec::<String>::new());
    let entries = submit_entries(
        &report,
        &bytes,
        Some("https://example.org/r"),
        Date::today(),
    )
    .expect("entries of the devices");
    assert!(!entries.contains("level = \"certified\"") && !entries.contains("class = \"cpu\""));
    assert!(
        entries.contains("\n#   the verdict by the list is unknown"),
        "{entries}"
    );

    let mut changed: Value = serde_json::from_slice(&bytes).expect("JSON");
    changed["certification"] = serde_json::json!({"result": "passed", "failed": [], "missing": []});
    let problems = problems(&to_canonical(&changed).expect("canonical"));
    assert!(
        problems.len() == 1 && problems[0].contains("verdict by the list is unknown"),
        "{problems:?}"
    );
}

/// Each test of the plan is left out once, and a report that says passed all the same is refused.
#[test]
fn no_test_of_a_certified_machine_may_be_missing() {
    let program = std::path::Path::new("/proc/self/exe");
    let full = state(facts());
    let ids: Vec<&str> = full.results.iter().map(|test| test.id.as_str()).collect();
    for wanted in [
        "jumbo",
        "vlan",
        "sriov",
        "restart",
        "crash.kernel",
        "crash.xen",
    ] {
        assert!(
            ids.iter().any(|id| id.contains(wanted)),
            "{wanted} in {ids:?}"
        );
    }
    for number in 0..full.results.len() {
        let mut state = full.clone();
        let test = &mut state.results[number];
        test.status = Status::Skipped;
        test.reason = "because".to_owned();
        let report =
            Report::of_run(&state, &list(), None, &key(), Serials::Plain, program).expect("report");
        let told = format!("{}: because", full.results[number].id);
        assert_eq!(report.certification.result, CertificationResult::Incomplete);
        assert_eq!(report.certification.missing, [told]);
        let mut changed = serde_json::to_value(&report).expect("JSON");
        changed["certification"] =
            serde_json::json!({"result": "passed", "failed": [], "missing": []});
        let problems = problems(&to_canonical(&changed).expect("canonical"));
        assert!(
            problems
                .iter()
                .any(|problem| problem.contains("certification")),
            "{problems:?}"
        );
    }
}

#[test]
fn firmware_that_nobody_knows_is_told_once() {
    let program = std::path::Path::new("/proc/self/exe");
    let row = |facts: Facts| {
        let report = Report::of_run(
            &state(facts),
            &list(),
            None,
            &key(),
            Serials::Plain,
            program,
        )
        .expect("report");
        let page = html(&report, b"");
        let (_, rest) = page.split_once("<dt>Firmware</dt><dd>").expect("row");
        rest.split('<').next().unwrap_or_default().to_owned()
    };
    let mut facts = facts();
    assert_eq!(row(facts.clone()), "unknown");
    facts.firmware.kind = Known::Value(FirmwareKind::Bios);
    assert_eq!(row(facts.clone()), "BIOS, version unknown");
    facts.dmi.bios_version = text("2.1");
    assert_eq!(row(facts.clone()), "BIOS 2.1, date unknown");
    facts.dmi.bios_date = text("01/02/2025");
    assert_eq!(row(facts.clone()), "BIOS 2.1, 01/02/2025");
    facts.firmware.kind = Known::unknown("test");
    assert_eq!(row(facts.clone()), "kind unknown, 2.1, 01/02/2025");
    facts.dmi.bios_version = Known::Absent;
    assert_eq!(row(facts), "kind unknown, version none, 01/02/2025");
}

/// Changes a run whose every test passed. What its report says is missing, and that a verifier sees the same.
fn missing(change: impl FnOnce(&mut RunState)) -> Vec<String> {
    let mut state = state(facts());
    change(&mut state);
    let program = std::path::Path::new("/proc/self/exe");
    let report =
        Report::of_run(&state, &list(), None, &key(), Serials::Plain, program).expect("report");
    let bytes = report.to_bytes().expect("bytes");
    assert_eq!(problems(&bytes), Vec::<String>::new());
    let mut changed: Value = serde_json::from_slice(&bytes).expect("JSON");
    changed["certification"] = serde_json::json!({"result": "passed", "failed": [], "missing": []});
    let problems = problems(&to_canonical(&changed).expect("canonical"));
    assert_eq!(problems.is_empty(), report.certification.missing.is_empty());
    report.certification.missing
}

/// Sets what a measurement of a test says.
fn observe(state: &mut RunState, id: &str, name: &str, observed: &str) {
    let test = state.results.iter_mut().find(|test| test.id == id);
    let mut all = test.expect("test").measurements.iter_mut();
    let one = all.find(|one| one.name == name).expect("measurement");
    observed.clone_into(&mut one.observed);
}

#[test]
fn a_small_test_passes_and_certifies_nothing() {
    assert_eq!(missing(|_| {}), Vec::<String>::new());
    let loss = "nic.enx246e96112233.loss";
    for (id, name, observed) in [
        ("cpu.load", "time under load", "0 s"),
        ("memory", "memory tested", "1 MiB"),
        (loss, "time of sending", "1 s"),
    ] {
        let missing = missing(|state| observe(state, id, name, observed));
        let told = format!("{id}: tested for less than ");
        assert!(
            missing.len() == 1
                && missing[0].starts_with(&told)
                && missing[0].contains(&format!("({name}: {observed})")),
            "{missing:?}"
        );
    }
    let gone = missing(|state| {
        let test = state.results.iter_mut().find(|test| test.id == "memory");
        test.expect("test").measurements.drain(..3);
    });
    assert!(
        gone[0].starts_with("memory: tested for less than 300 s"),
        "{gone:?}"
    );
}

#[test]
fn what_stands_on_no_disk_of_the_machine_is_no_disk() {
    for ends in [&["loop0"][..], &["nvme0n1", "loop0"], &[]] {
        let missing = missing(|state| {
            let ends = ends.iter().map(|&name| name.to_owned());
            state.surroundings.targets[0].stands_on = ends.collect();
        });
        assert!(
            missing.len() == 1
                && missing[0].starts_with("no disk of this machine was tested: disk."),
            "{ends:?}: {missing:?}"
        );
    }
    assert_eq!(missing(|state| state.surroundings.targets.clear()).len(), 1);
}

#[test]
fn a_test_that_passed_against_its_own_measurement_is_named() {
    let throughput = "nic.enx246e96112233.throughput";
    for (id, name, observed, expected) in [
        (
            "cpu.virtualization",
            "virtualization",
            "missing",
            "vmx, svm or hvm",
        ),
        ("memory", "passes", "0", "1 at least"),
        (throughput, "sent", "799 Mbit/s", "800 Mbit/s at least"),
        ("log", "errors of the kernel", "3", "0"),
    ] {
        let mut state = state(facts());
        observe(&mut state, id, name, observed);
        let program = std::path::Path::new("/proc/self/exe");
        let report =
            Report::of_run(&state, &list(), None, &key(), Serials::Plain, program).expect("report");
        let bytes = report.to_bytes().expect("bytes");
        assert_eq!(
            problems(&bytes),
            [format!(
                "test {id}: passed, though {name} is `{observed}` and should be `{expected}`"
            )]
        );
    }
}
