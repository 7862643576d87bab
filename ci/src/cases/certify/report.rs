//! The report of a certification in the hands of somebody else.

use super::CARD;
use crate::case::Run;
use crate::process;
use crate::ssh::Ssh;
use anyhow::{Context, Result, ensure};
use hcl_checker::date::Date;
use hcl_checker::list::{List, lint};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// A test of a report.
#[derive(Debug)]
pub(super) struct Test {
    pub status: String,
    pub reason: String,
    pub measurements: String,
}

/// Brings the folder of a run here as `NAME`, and returns the tests of its report.
pub(super) fn fetch(run: &Run, ssh: &Ssh, name: &str) -> Result<BTreeMap<String, Test>> {
    let limit = run.bench.limit(20);
    let archive = run.file(&format!("{name}.tar"));
    ssh.run(
        &format!("tar -C /root -cf /root/{name}.tar cert-{name}"),
        limit,
    )?;
    ssh.get(&format!("/root/{name}.tar"), &archive, limit)?;
    let mut untar = Command::new("tar");
    untar.args(["--strip-components=1", "-xf"]).arg(&archive);
    let folder = folder(run, name);
    std::fs::create_dir_all(&folder)?;
    untar.arg("-C").arg(&folder);
    process::run(&mut untar, b"", limit)?;
    let report = report(run, name)?;
    let tests = report["tests"].as_array().context("no tests")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tests = tests.iter().map(|test| {
        let test_of = Test {
            status: text(&test["status"]),
            reason: text(&test["reason"]),
            measurements: test["measurements"].to_string(),
        };
        (text(&test["id"]), test_of)
    });
    Ok(tests.collect())
}

/// Folders are not emptied with a case's folder of files, so that of a run is beside it.
fn folder(run: &Run, name: &str) -> PathBuf {
    run.dir().with_extension(name)
}

pub(super) fn report(run: &Run, name: &str) -> Result<Value> {
    let file = folder(run, name).join("report.json");
    let bytes = std::fs::read(&file).with_context(|| format!("{}", file.display()))?;
    serde_json::from_slice(&bytes).context("the report is not JSON")
}

/// The tests of a report, for whoever reads along.
pub(super) fn told(run: &Run, report: &Value) {
    for test in report["tests"].as_array().into_iter().flatten() {
        let text = |name: &str| test[name].as_str().unwrap_or_default().to_owned();
        run.note(&format!(
            "{:<8} {:<28} {:>7} ms  {}",
            text("status"),
            text("id"),
            test["duration_ms"],
            text("reason")
        ));
    }
}

fn checker(run: &Run, arguments: &[&str]) -> Result<std::process::Output> {
    let mut command = Command::new(run.bench.workspace.program("hcl-checker")?);
    command.args(arguments);
    process::output(&mut command, b"", Duration::from_secs(60))
}

/// What a report is for whoever gets it: signed, unchanged, without serial numbers.
pub(super) fn signed(run: &Run, name: &str) -> Result<PathBuf> {
    let file = folder(run, name).join("report.json");
    let path = file.to_string_lossy().into_owned();
    let verified = checker(run, &["report", "verify", &path])?;
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    run.note(said.lines().next().unwrap_or_default());
    ensure!(
        verified.status.success() && said.starts_with("GOOD"),
        "`report verify` says:\n{said}"
    );
    let bytes = std::fs::read(&file)?;
    // Any byte: the middle of the file is as good as another.
    let mut changed = bytes.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    let bad = run.file(&format!("{name}-changed.json"));
    std::fs::write(&bad, &changed)?;
    let signature = format!("{path}.sig");
    let bad = bad.to_string_lossy().into_owned();
    let refused = checker(run, &["report", "verify", &bad, "--signature", &signature])?;
    ensure!(
        refused.status.code() == Some(1),
        "a report with one other byte: {}",
        refused.status
    );
    let html = std::fs::read_to_string(folder(run, name).join("report.html"))?;
    for text in [String::from_utf8(bytes)?, html] {
        let text = text.to_lowercase();
        // Serial numbers of machine and disks, hardware addresses with and without colons.
        let card = CARD.replace(':', "");
        for secret in [
            "bp-test-1",
            "bpvirtio01",
            "bperase01",
            "52:54:00:be:d0",
            "525400bed0",
            &card,
        ] {
            ensure!(!text.contains(secret), "`{secret}` is in the report");
        }
    }
    Ok(file)
}

/// What was tested becomes entries that the list takes.
pub(super) fn other_hands(run: &Run, name: &str) -> Result<()> {
    let path = signed(run, name)?.to_string_lossy().into_owned();
    let page = "https://example.com/report";
    let submitted = checker(run, &["report", "submit-entry", &path, "--page", page])?;
    ensure!(
        submitted.status.success(),
        "`report submit-entry` says:\n{}",
        String::from_utf8_lossy(&submitted.stderr)
    );
    let text = String::from_utf8(submitted.stdout)?;
    std::fs::write(run.file("entries.toml"), &text)?;
    // As a reviewer takes them: beside those that the list has.
    let mut list = List::built_in()?;
    let before = list.entries().len();
    list.extend(List::parse("entries.toml", &text)?);
    let problems: Vec<String> = lint(&list, Date::today())
        .iter()
        .map(ToString::to_string)
        .collect();
    ensure!(
        problems.is_empty(),
        "the list refuses the entries:\n{}\n{text}",
        problems.join("\n")
    );
    run.note(&format!(
        "the list takes {} new entries",
        list.entries().len() - before
    ));
    Ok(())
}
