//! Reports, good ones and ones that somebody changed.

mod beside;
mod required;

use super::*;
use crate::certify::{CrashOf, Measurement, PeerAt, Plan, Status, Target};
use crate::date::Date;
use crate::facts::{Disk, DiskKind, Nic, NicKind, PciFunction, PciIds, Sriov, Virtualization, Xen};
use crate::list::ListedLevel;
use serde_json::Value;

fn text(text: &str) -> Known<String> {
    Known::Value(text.to_owned())
}

const SECRETS: [&str; 6] = [
    "JX7Q2M3",
    "4c4c4544-0058-3710-8051-cac04f324d33",
    "S3Z8NB0K123456",
    "5002538e40a1b2c3",
    "24:6e:96:11:22:33",
    "246e96112233",
];

fn function(address: &str, device: u16, class: u32, driver: &str) -> PciFunction {
    PciFunction {
        address: address.to_owned(),
        source: format!("/sys/bus/pci/devices/{address}"),
        ids: Known::Value(PciIds {
            vendor: 0x8086,
            device,
            subsystem_vendor: Some(0x1028),
            subsystem_device: Some(0x1f9c),
            class,
            ..PciIds::default()
        }),
        modalias: text(&format!("pci:v00008086d{device:08X}")),
        driver: text(driver),
        sriov: Known::Absent,
        ..PciFunction::default()
    }
}

/// A server in dom0, with an interface named after its address as systemd does.
fn facts() -> Facts {
    let mut facts = Facts {
        schema: crate::facts::SCHEMA,
        context: Known::Value(Context::Dom0),
        kernel_release: text("6.12.57+deb13-amd64"),
        ..Facts::default()
    };
    facts.dmi.system_vendor = text("Dell Inc.");
    facts.dmi.product = text("PowerEdge R640");
    facts.dmi.serial = text(SECRETS[0]);
    facts.dmi.uuid = text(SECRETS[1]);
    facts.cpu.vendor = text("GenuineIntel");
    facts.cpu.family = Known::Value(6);
    facts.cpu.model = Known::Value(85);
    facts.cpu.virtualization = Known::Value(Virtualization::Hvm);
    facts.cpu.long_mode = Known::Value(true);
    facts.cpu.nested_paging = Known::Value(true);
    facts.memory.total_bytes = Known::Value(64 << 30);
    facts.xen = Known::Value(Xen {
        version: text("4.20.2"),
        ..Xen::default()
    });
    facts.pci = Known::Value(vec![
        function("0000:01:00.0", 0x1572, 0x02_0000, "i40e"),
        function("0000:02:00.0", 0x0a54, 0x01_0802, "nvme"),
    ]);
    if let Known::Value(functions) = &mut facts.pci {
        functions[0].sriov = Known::Value(Sriov {
            total: 64,
            enabled: 0,
        });
    }
    facts.disks = Known::Value(vec![Disk {
        name: "nvme0n1".to_owned(),
        path: "/dev/nvme0n1".to_owned(),
        by_id: vec![format!("/dev/disk/by-id/nvme-INTEL_{}", SECRETS[2])],
        kind: DiskKind::Disk,
        size_bytes: Known::Value(960_197_124_096),
        removable: Known::Value(false),
        read_only: Known::Value(false),
        serial: text(SECRETS[2]),
        wwn: text(&format!("eui.{}", SECRETS[3])),
        pci_address: text("0000:02:00.0"),
        ..Disk::default()
    }]);
    facts.nics = Known::Value(vec![Nic {
        name: "enx246e96112233".to_owned(),
        kind: Known::Value(NicKind::Ethernet),
        mac: text(SECRETS[4]),
        pci_address: text("0000:01:00.0"),
        driver: text("i40e"),
        ..Nic::default()
    }]);
    facts
}

/// What a whole test of this id measures, with names that must not get out.
fn measurements(id: &str) -> Vec<Measurement> {
    let secret = format!("{} behind 24-6E-96-11-22-33", SECRETS[2]);
    let amounts = match id.rsplit('.').next().unwrap_or_default() {
        "load" => &[("time under load", "60 s", "")][..],
        "memory" => &[
            ("time of patterns", "300 s", ""),
            ("memory tested", "60000 MiB", ""),
            ("memory that could be tested", "60000 MiB", ""),
            ("passes", "12", "1 at least"),
        ],
        "throughput" => &[
            ("time of sending", "10 s", ""),
            ("time of receiving", "10 s", ""),
            ("sent", "900 Mbit/s", "800 Mbit/s at least"),
        ],
        "loss" => &[
            ("time of sending", "10 s", ""),
            ("lost on the way out", "1", "3 at most"),
        ],
        "log" => &[("errors of the kernel", "0", "0")],
        "virtualization" => &[("virtualization", "hvm", "vmx, svm or hvm")],
        _ if id.starts_with("disk.") => &[
            ("bytes of it", "960197124096", ""),
            ("bytes written", "5000000000", ""),
            ("time of writing", "30 s", ""),
            ("time of random reads", "30 s", ""),
        ],
        _ => &[],
    };
    let own = ("disk", secret.as_str(), "");
    let all = amounts.iter().chain(std::iter::once(&own));
    let measured = all.map(|(name, observed, expected)| Measurement {
        name: (*name).to_owned(),
        observed: (*observed).to_owned(),
        expected: (*expected).to_owned(),
        source: String::new(),
    });
    measured.collect()
}

/// A run in which everything that could run passed.
fn state(facts: Facts) -> RunState {
    let mut options = Options {
        erase: vec![PathBuf::from(format!(
            "/dev/disk/by-id/nvme-INTEL_{}",
            SECRETS[2]
        ))],
        vlan: Some(5),
        sriov: true,
        restart: true,
        crash: vec![CrashOf::Kernel, CrashOf::Xen],
        ..Options::default()
    };
    let peer = PeerAt {
        address: "192.0.2.2:47470".to_owned(),
        own_address: None,
    };
    options.peers.insert("enx246e96112233".to_owned(), peer);
    let surroundings = Surroundings {
        root: true,
        interfaces: vec!["enx246e96112233".to_owned(), "lo".to_owned()],
        targets: vec![Target {
            path: options.erase[0].clone(),
            stands_on: vec!["nvme0n1".to_owned()],
            used_by: Vec::new(),
        }],
        guest_kernel: Some(PathBuf::from("/boot/vmlinuz")),
        kernel_dump: Some("kdump".to_owned()),
        xen_dump: Some("kdump".to_owned()),
        systemd: true,
        folder_survives: true,
        ..Surroundings::default()
    };
    let plan = Plan::build(&facts, &surroundings, &options).expect("plan");
    let mut state = RunState::begin(
        options,
        facts,
        surroundings,
        "nonce-1".to_owned(),
        now() - 100,
    );
    for test in &plan.tests {
        let (status, reason) = match &test.action {
            crate::certify::Action::Run(_) => (Status::Passed, String::new()),
            crate::certify::Action::Skip(reason) => (Status::Skipped, reason.clone()),
        };
        state.results.push(TestResult {
            id: test.id.clone(),
            title: test.title.clone(),
            status,
            reason,
            measurements: measurements(&test.id),
            evidence: Vec::new(),
            started: stamp(now() - 50),
            duration_ms: 1000,
        });
    }
    let name = format!("{}.txt", SECRETS[4]);
    state.results[0].evidence.push(name.clone());
    state.evidence.push(Evidence::of(name, b"raw"));
    state
}

fn key() -> SubmitterKey {
    SubmitterKey::from_seed([9; 32])
}

fn list() -> List {
    List::built_in().expect("list")
}

fn report(serials: Serials) -> Report {
    let program = std::path::Path::new("/proc/self/exe");
    Report::of_run(&state(facts()), &list(), None, &key(), serials, program).expect("report")
}

/// What is wrong with these bytes when the submitter himself signs them: everything but the signature must be told.
fn problems(bytes: &[u8]) -> Vec<String> {
    verify(
        bytes,
        &key().sign(bytes),
        &list(),
        &VerifyOptions::default(),
    )
    .problems
}

#[test]
fn a_report_holds_when_it_is_checked() {
    let report = report(Serials::Hashed);
    let bytes = report.to_bytes().expect("bytes");
    assert_eq!(problems(&bytes), Vec::<String>::new());
    let against = report
        .checks
        .iter()
        .filter(|check| check.level == Some(Level::Unsupported));
    assert_eq!(against.collect::<Vec<_>>(), Vec::<&Check>::new());
    assert_eq!(
        report.certification.result,
        CertificationResult::Passed,
        "{:?}",
        report.certification
    );
    let again: Report = serde_json::from_slice(&bytes).expect("report");
    assert_eq!(again, report, "nothing is lost on the way");
}

#[test]
fn no_serial_number_and_no_address_leaves_the_machine() {
    let report = report(Serials::Hashed);
    let bytes = report.to_bytes().expect("bytes");
    let page = html(&report, &bytes);
    for output in [String::from_utf8(bytes).expect("UTF-8"), page] {
        let output = output.to_lowercase();
        for secret in SECRETS {
            assert!(
                !output.contains(&secret.to_lowercase()),
                "{secret} is in\n{output}"
            );
        }
        assert!(!output.contains("24-6e-96"), "{output}");
        assert!(output.contains("hmac-sha256:"));
    }
}

#[test]
fn with_serials_they_are_there() {
    let json = String::from_utf8(report(Serials::Plain).to_bytes().expect("bytes")).expect("UTF-8");
    assert!(SECRETS[..5].iter().all(|secret| json.contains(secret)));
    assert_eq!(problems(json.as_bytes()), Vec::<String>::new());
}

#[test]
fn somebody_elses_signature_and_changed_bytes_are_refused() {
    let bytes = report(Serials::Hashed).to_bytes().expect("bytes");
    let good = key().sign(&bytes);
    let ask = |bytes: &[u8], signature: &[u8], options: VerifyOptions| {
        verify(bytes, signature, &list(), &options).problems
    };
    let other = SubmitterKey::from_seed([8; 32]);
    assert!(ask(&bytes, &other.sign(&bytes), VerifyOptions::default())[0].contains("signature"));
    assert!(ask(&bytes, &good[..63], VerifyOptions::default())[0].contains("signature"));
    let asked = VerifyOptions {
        key: Some(other.public()),
        nonce: Some("nonce-2".to_owned()),
    };
    let problems = ask(&bytes, &good, asked);
    assert!(
        problems
            .iter()
            .any(|problem| problem.contains("not the one that was asked for")),
        "{problems:?}"
    );
    assert!(
        problems.iter().any(|problem| problem.contains("nonce")),
        "{problems:?}"
    );
    for at in (0..bytes.len()).step_by(97) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(
            !ask(&changed, &good, VerifyOptions::default()).is_empty(),
            "byte {at}"
        );
    }
    let mut spaced = bytes.clone();
    spaced.push(b'\n');
    assert!(self::problems(&spaced)[0].contains("canonical"));
    for nonsense in [&b""[..], b"{}", b"null", b"[1.5]"] {
        assert!(!self::problems(nonsense).is_empty());
    }
}

/// Every field that says something about the result, changed and signed again by the submitter.
#[test]
fn what_does_not_follow_from_the_facts_is_named() {
    let good: Value =
        serde_json::from_slice(&report(Serials::Hashed).to_bytes().expect("bytes")).expect("JSON");
    let failed = serde_json::json!("failed");
    let cases: Vec<(String, Value, &str)> = [
        ("/schema", serde_json::json!("other"), "form"),
        ("/verdict", serde_json::json!("certified"), "verdict"),
        ("/context", serde_json::json!("bare"), "context"),
        ("/kernel", serde_json::json!("6.1"), "kernel"),
        ("/xen", serde_json::json!("4.21"), "xen"),
        (
            "/facts/context",
            serde_json::json!({"guest": {"hypervisor": "KVM"}}),
            "context",
        ),
        (
            "/facts/cpu/nested_paging",
            serde_json::json!(false),
            "check",
        ),
        (
            "/facts/cpu/virtualization",
            serde_json::json!("missing"),
            "check",
        ),
        ("/facts/pci", serde_json::json!([]), "check"),
        ("/certification/result", failed.clone(), "certification"),
        (
            "/certification/missing",
            serde_json::json!(["x"]),
            "certification",
        ),
        ("/checks/0/observed", serde_json::json!("x"), "check"),
        ("/checks/0/result", serde_json::json!("fine"), "check"),
        ("/checks/0/rule", serde_json::json!("x"), "check"),
        ("/checks/0/expected", serde_json::json!("x"), "check"),
        ("/checks/0/source", serde_json::json!("x"), "check"),
        ("/checks/0/name", serde_json::json!("x"), "check"),
        ("/checks/0/level", serde_json::json!("unsupported"), "check"),
        ("/checks/0/id", serde_json::json!("x"), "check"),
        ("/checks", serde_json::json!([]), "check"),
        ("/tests", serde_json::json!([]), "planned"),
        ("/tests/0/id", serde_json::json!("x"), "planned"),
        ("/tests/0/title", serde_json::json!("x"), "title"),
        ("/tests/0/status", failed, "certification"),
        ("/tests/0/evidence", serde_json::json!(["x"]), "evidence"),
        (
            "/tests/0/measurements",
            serde_json::json!([]),
            "measurement",
        ),
        (
            "/tests/0/started",
            serde_json::json!("1999-01-01T00:00:00Z"),
            "outside",
        ),
        (
            "/finished",
            serde_json::json!("1999-01-01T00:00:00Z"),
            "finished",
        ),
        (
            "/started",
            serde_json::json!("2999-01-01T00:00:00Z"),
            "started",
        ),
        ("/options/restart", serde_json::json!(false), "restart"),
        ("/options/crash", serde_json::json!([]), "could not run"),
        ("/options/only", serde_json::json!(["cpux"]), "no plan"),
        (
            "/surroundings/root",
            serde_json::json!(false),
            "could not run",
        ),
        ("/submitter/public_key", serde_json::json!("00"), "key"),
        ("/tests/0/duration_ms", serde_json::json!(-1), "no report"),
        ("/unknown", serde_json::json!(1), "no report"),
    ]
    .map(|(path, value, told)| (path.to_owned(), value, told))
    .into();
    for (path, value, told) in cases {
        let mut changed = good.clone();
        match changed.pointer_mut(&path) {
            Some(field) => {
                assert_ne!(*field, value, "{path}: nothing is changed");
                *field = value;
            }
            None => {
                changed[path.trim_start_matches('/')] = value;
            }
        }
        let problems = problems(&to_canonical(&changed).expect("canonical"));
        assert!(
            problems.iter().any(|problem| problem.contains(told)),
            "{path}: {problems:?}"
        );
    }
}

#[test]
fn another_list_is_a_note_and_its_differences_too() {
    let bytes = report(Serials::Hashed).to_bytes().expect("bytes");
    let verification = verify(
        &bytes,
        &key().sign(&bytes),
        &List::default(),
        &VerifyOptions::default(),
    );
    assert!(verification.is_good(), "{:?}", verification.problems);
    assert!(
        verification
            .notes
            .iter()
            .any(|note| note.contains("another list")),
        "{:?}",
        verification.notes
    );
}

#[test]
fn entries_are_made_of_what_passed() {
    let report = report(Serials::Hashed);
    let bytes = report.to_bytes().expect("bytes");
    let today = Date::today();
    let entries = submit_entries(&report, &bytes, Some("https://example.org/report"), today)
        .expect("entries");
    let made = List::parse("made", &entries).expect("a list");
    let ids: Vec<&str> = made
        .entries()
        .iter()
        .map(|entry| entry.id.as_str())
        .collect();
    assert_eq!(
        ids,
        [
            "system-dell-inc-poweredge-r640",
            "cpu-genuineintel-6-85",
            "storage-8086-0a54-1028-1f9c",
            "nic-8086-1572-1028-1f9c"
        ]
    );
    let certified = |list: &List| {
        list.entries()
            .iter()
            .filter(|entry| entry.level == ListedLevel::Certified)
            .count()
    };
    assert_eq!(certified(&made), 4);
    assert_eq!(made.entries()[3].require.driver.as_deref(), Some("i40e"));
    let without = submit_entries(&report, &bytes, None, today).expect("entries");
    assert_eq!(
        certified(&List::parse("made", &without).expect("a list")),
        0
    );
}

#[test]
fn a_failure_makes_no_entry_and_an_incomplete_run_only_those_of_devices() {
    let made = |status: Status| {
        let mut state = state(facts());
        state.results[0].status = status;
        state.results[0].reason = "because".to_owned();
        let program = std::path::Path::new("/proc/self/exe");
        let report = Report::of_run(&state, &list(), None, &key(), Serials::Hashed, program)
            .expect("report");
        let bytes = report.to_bytes().expect("bytes");
        submit_entries(&report, &bytes, None, Date::today())
    };
    let error = made(Status::Failed).expect_err("no entry").to_string();
    assert!(
        error.contains("failed") && error.contains("because"),
        "{error}"
    );
    let entries = made(Status::Skipped).expect("entries");
    assert_eq!(entries.matches("[[entry]]").count(), 2, "{entries}");
    assert!(!entries.contains("system-") && !entries.contains("certified\""));
}
