//! What the program writes is what its published schemas say, and names what it was judged by.

use super::json_schema::{assert_fits, fits};
use super::samples::{nvme_uefi, qemu_virtio, sata};
use super::tree::Tree;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs the program with text on its standard input.
fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hcl-checker"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A program that refuses its arguments reads nothing.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("run")
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// The facts of a tree on one line.
fn line(tree: &Tree) -> String {
    let output = run(&["facts", "--json", "--root", utf8(tree.path())], "");
    let facts: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_fits("hcl-facts.json", &facts);
    facts.to_string()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = str::from_utf8(&output.stdout).expect("UTF-8");
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    lines.collect()
}

#[test]
fn every_line_of_a_stream_is_as_published() {
    let trees = [qemu_virtio(), nvme_uefi(), sata(), Tree::empty()];
    let mut input: Vec<String> = trees.iter().map(line).collect();
    input.extend(["nonsense", "", "{\"schema\":9}"].map(str::to_owned));
    let output = run(&["check", "--jsonl"], &(input.join("\n") + "\n"));
    let lines = lines(&output);
    assert_eq!(lines.len(), input.len(), "one line out for one in");
    for (n, line) in lines.iter().enumerate() {
        assert_fits("hcl-fleet.json", line);
        assert_eq!(line["line"], n + 1);
        let has_verdict = n < trees.len();
        assert_eq!(line["verdict"].is_object(), has_verdict, "{line}");
        assert_eq!(line["error"].is_string(), !has_verdict, "{line}");
    }
    // The schema says something: what is wrong does not fit it.
    for wrong in [
        json!({"line": 1}),
        json!({"line": 1, "error": 2}),
        json!({"line": "1", "error": "x"}),
        json!({"line": 1, "verdict": {"level": "compatible"}}),
        json!({"error": "x"}),
    ] {
        assert!(!fits("hcl-fleet.json", &wrong), "{wrong}");
    }
    let mut wrong = lines[0].clone();
    wrong["verdict"]["level"] = json!("splendid");
    assert!(!fits("hcl-fleet.json", &wrong), "{wrong}");
}

#[test]
fn empty_lines_count_unless_they_end_the_stream() {
    let good = line(&qemu_virtio());
    let code = |input: String| run(&["check", "--jsonl"], &input).status.code();
    assert_eq!(code(format!("{good}\n")), Some(0));
    assert_eq!(code(format!("{good}\n\n\n")), Some(0));
    assert_eq!(code(format!("{good}\n\n{good}\n")), Some(4));
    assert_eq!(code(String::new()), Some(4), "nothing was judged");
}

#[test]
fn a_stream_refuses_what_is_asked_of_one_machine() {
    let good = line(&qemu_virtio());
    for option in [&["--disk", "vda"][..], &["--all"]] {
        let output = run(&[&["check", "--jsonl"], option].concat(), &good);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(
            told.contains("--jsonl") && output.stdout.is_empty(),
            "{told}"
        );
    }
}

#[test]
fn a_verdict_is_as_published_and_names_what_it_was_reached_by() {
    for tree in [qemu_virtio(), nvme_uefi(), sata(), Tree::empty()] {
        let output = run(&["check", "--json", "--root", utf8(tree.path())], "");
        let verdict: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_fits("hcl-verdict.json", &verdict);
        assert_eq!(verdict["list"]["built_in"], true);
        assert_eq!(verdict["tool"]["version"], env!("CARGO_PKG_VERSION"));
    }
}

#[test]
fn another_list_is_told() {
    let tree = qemu_virtio();
    let own = tree.inside("own.json");
    let other = tree.inside("other.json");
    let nothing = tree.inside("nothing.json");
    let bundle = run(&["bundle"], "").stdout;
    std::fs::write(&own, &bundle).expect("write");
    let mut list: Value = serde_json::from_slice(&bundle).expect("JSON");
    list["entry"].as_array_mut().expect("entries").truncate(3);
    std::fs::write(&other, list.to_string()).expect("write");
    std::fs::write(&nothing, "{}").expect("write");
    let check = |file: &Path, more: &[&str]| {
        let mut arguments = vec!["check", "--root", utf8(tree.path()), "--list", utf8(file)];
        arguments.extend(more);
        run(&arguments, "")
    };
    let sentence = format!(
        "judged by the list {}, not by that of this release",
        other.display()
    );
    let text = |output: Output| String::from_utf8(output.stdout).expect("UTF-8");
    let said = text(check(&other, &[]));
    assert_eq!(
        said.lines().filter(|line| *line == sentence).count(),
        1,
        "{said}"
    );
    let said = text(check(&own, &[]));
    assert!(
        said.contains("COMPATIBLE") && !said.contains("judged by the list"),
        "{said}"
    );

    let named = |file: &Path| {
        let verdict: Value =
            serde_json::from_slice(&check(file, &["--json"]).stdout).expect("JSON");
        assert_fits("hcl-verdict.json", &verdict);
        verdict["list"].clone()
    };
    let (of_own, of_other) = (named(&own), named(&other));
    assert_eq!(
        (&of_own["built_in"], &of_other["built_in"]),
        (&json!(true), &json!(false))
    );
    assert_ne!(of_own["sha256"], of_other["sha256"]);
    let rules = list["requirement"]
        .as_array()
        .map(Vec::len)
        .expect("requirements")
        + 3;
    assert_eq!(of_other["rules"], rules);
    let stream = run(&["check", "--jsonl", "--list", utf8(&other)], &line(&tree));
    assert_eq!(lines(&stream)[0]["verdict"]["list"], of_other);

    let refused = check(&nothing, &[]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(
        said.contains("nothing.json") && said.contains("no compatibility list"),
        "{said}"
    );
}
