//! The program as it is called.

use super::samples::{nvme_uefi, qemu_virtio};
use super::tree::Tree;
use std::process::{Command, Output, Stdio};

fn run(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_hcl-checker");
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("run")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

#[test]
fn checks_a_tree_and_its_facts_alike() {
    let tree = qemu_virtio();
    let root = tree.path().to_str().expect("UTF-8");
    let direct = run(&["check", "--root", root, "--json"]);
    assert_eq!(direct.status.code(), Some(0), "{}", stdout(&direct));
    let facts = run(&["facts", "--root", root, "--json"]);
    assert_eq!(facts.status.code(), Some(0));
    let file = tree.inside("facts.json");
    std::fs::write(&file, &facts.stdout).expect("write");
    let replayed = run(&["check", "--facts", file.to_str().expect("UTF-8"), "--json"]);
    assert_eq!(stdout(&replayed), stdout(&direct));
    let verdict: serde_json::Value = serde_json::from_slice(&direct.stdout).expect("JSON");
    assert_eq!(verdict["level"], "compatible");
}

#[test]
fn text_says_the_verdict_first_and_has_no_color_in_a_pipe() {
    let tree = nvme_uefi();
    let root = tree.path().to_str().expect("UTF-8");
    let output = run(&["check", "--root", root]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.starts_with("UNLISTED (DRIVER PRESENT)  can be installed\n"),
        "{text}"
    );
    // Nobody listed the model, and a captured tree does not tell the firmware of the two ports of an X710.
    assert!(
        text.contains("Warns (3)")
            && text.matches("wanted firmware 8.20 or newer").count() == 2
            && text.contains("Example Inc. Server 1000")
            && !text.contains('\x1b'),
        "{text}"
    );
    assert!(!text.contains("CMPXCHG16B"), "folded");
    assert!(stdout(&run(&["check", "--root", root, "--all"])).contains("CMPXCHG16B"));
    assert!(stdout(&run(&["facts", "--root", root])).contains("serial S675NX0T123456"));
}

#[test]
fn exit_codes() {
    let empty = Tree::empty();
    assert_eq!(
        run(&["check", "--root", empty.path().to_str().expect("UTF-8")])
            .status
            .code(),
        Some(4)
    );
    let unsupported = qemu_virtio();
    unsupported.base("AuthenticAMD", 15, 107, "lm", 4_000_000);
    assert_eq!(
        run(&[
            "check",
            "--root",
            unsupported.path().to_str().expect("UTF-8")
        ])
        .status
        .code(),
        Some(3)
    );
    for wrong in [
        &["check", "--root", "/nowhere/at/all"][..],
        &["check", "--facts", "/nowhere/at/all"],
        &["check", "--facts", "/proc/version"],
        &["check", "--frobnicate"],
        &[
            "check",
            "--modules",
            "/nowhere/at/all",
            "--root",
            empty.path().to_str().expect("UTF-8"),
        ],
        &[],
    ] {
        let output = run(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(!output.stderr.is_empty(), "{wrong:?}");
    }
    let lint = run(&["lint"]);
    assert_eq!(
        lint.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&lint.stderr)
    );
    assert!(stdout(&run(&["--version"])).starts_with("hcl-checker "));
}

#[test]
fn lint_looks_at_files_and_at_other_lists() {
    let folder = tempfile::tempdir().expect("temp dir");
    let path = |name: &str| format!("{}/{name}", folder.path().display());
    let entry = |evidence: &str| {
        format!(
            "[[entry]]\nid = \"for-a-test\"\nclass = \"nic\"\nlevel = \"certified\"\ndate = \"2026-01-01\"\n\
             match.pci = {{ vendor = 0x1234, devices = [0x5678] }}\nevidence = [{evidence}]\n"
        )
    };
    let lint = |args: &[&str]| {
        let output = run(&[&["lint"], args].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    let file = path("entry.toml");
    std::fs::write(&file, entry("")).expect("write");
    let (code, said) = lint(&[&file]);
    assert!(code == Some(1) && said.contains("for-a-test: "), "{said}");
    std::fs::write(&file, "[[entry]]\nid = 7\n").expect("write");
    let (code, said) = lint(&[&file]);
    assert!(code == Some(2) && said.contains("entry.toml"), "{said}");

    // A list of somebody else: it is looked at, and `check` tells that there is something to see.
    let mut list = hcl_checker::list::List::built_in().expect("list");
    list.extend(hcl_checker::list::List::parse("a", &entry("")).expect("entry"));
    let bundle = path("other.json");
    std::fs::write(&bundle, list.to_bundle()).expect("write");
    let (code, said) = lint(&["--list", &bundle]);
    assert!(code == Some(1) && said.contains("for-a-test: "), "{said}");
    let tree = nvme_uefi();
    tree.pci("0000:03:00.0", [0x1234, 0x5678, 1, 1], 0x02_0000, None);
    let root = tree.path().to_str().expect("UTF-8");
    let output = run(&["check", "--json", "--root", root, "--list", &bundle]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("lint --list"), "{said}");
    let verdict: hcl_checker::verdict::Verdict =
        serde_json::from_slice(&output.stdout).expect("verdict");
    let finding = verdict
        .findings
        .iter()
        .find(|finding| finding.rule == "for-a-test");
    assert_eq!(
        finding.and_then(|finding| finding.level),
        Some(hcl_checker::verdict::Level::Compatible),
        "without evidence it is not certified"
    );
}

#[test]
fn runs_on_the_machine_itself() {
    let output = run(&["facts", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let facts = hcl_checker::Facts::from_json(&output.stdout).expect("facts");
    assert!(facts.cpu.vendor.value().is_some() && facts.memory.total_bytes.value().is_some());
    let verdict = run(&["check", "--json"]);
    assert!(matches!(verdict.status.code(), Some(0 | 1 | 3 | 4)));
    serde_json::from_slice::<hcl_checker::verdict::Verdict>(&verdict.stdout).expect("verdict");
}

#[test]
fn a_capture_is_an_archive_or_a_folder_by_its_name() {
    let tree = qemu_virtio();
    let root = tree.path().to_str().expect("UTF-8");
    let folder = tempfile::tempdir().expect("temp dir");
    let inside = |name: &str| format!("{}/{name}", folder.path().display());
    let capture = |name: &str| run(&["facts", "--root", root, "--capture", &inside(name)]);
    for name in ["foo.zip", "foo.tar.gz", "machine.1"] {
        let output = capture(name);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(name) && said.contains("FILE.tar"), "{said}");
        assert!(!std::path::Path::new(&inside(name)).exists());
    }
    for name in ["archive.tar", "ARCHIVE.TAR"] {
        assert_eq!(capture(name).status.code(), Some(0));
        assert!(std::path::Path::new(&inside(name)).is_file());
    }
    for name in ["folder", "machine.1/"] {
        assert_eq!(capture(name).status.code(), Some(0));
        assert!(std::path::Path::new(&inside(name)).is_dir());
    }
    let archive = inside("archive.tar");
    for command in ["check", "facts"] {
        let output = run(&[command, "--root", &archive]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains(&format!("tar -xf {archive} -C machine")),
            "{said}"
        );
    }
}
