//! Verdicts on hand-picked real machines, from trees that hwloc gathered on them.
//!
//! `verdicts/MACHINE.txt` says in comments what the machine is and why the verdict must be this one, then the level of all,
//! and severity, level, rule and subject of each finding: what decides, without the words. `BEDPLATE_BLESS=1` writes all but
//! the comments anew.

use crate::{Outcome, entries, trial};
use hcl_checker::drivers::DriverIndex;
use hcl_checker::list::List;
use hcl_checker::verdict::{self, Finding, Verdict};
use hcl_checker::{Facts, Root};
use libtest_mimic::Trial;
use std::fs;
use std::path::{Path, PathBuf};

/// A test for each machine that there is an expectation for.
pub fn hwloc(folder: &Path) -> Vec<Trial> {
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/verdicts");
    let tests = entries(&expected, |name| name.ends_with(".txt"));
    let tests = tests.into_iter().map(|(name, file)| {
        let machine = name.trim_end_matches(".txt").to_owned();
        let tree = folder.join(&machine);
        trial(format!("verdict/{machine}"), move || judged(&tree, file))
    });
    tests.collect()
}

fn judged(tree: &Path, file: PathBuf) -> Outcome {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let root = Root::at(tree).map_err(|error| text(&error))?;
    let list = List::built_in().map_err(|error| text(&error))?;
    let drivers = DriverIndex::of_release().map_err(|error| text(&error))?;
    let verdict = verdict::judge(&Facts::read(&root), &list, Some(&drivers));
    let (is, old) = (
        decided(&verdict),
        fs::read_to_string(&file).map_err(|error| text(&error))?,
    );
    let (comments, expected): (Vec<&str>, Vec<&str>) =
        old.lines().partition(|line| line.starts_with('#'));
    if comments.is_empty() {
        return Err(format!(
            "{}: begin with `# ` and why the verdict must be this one",
            file.display()
        ));
    }
    if std::env::var_os("BEDPLATE_BLESS").is_some() {
        let new = comments.join("\n") + "\n" + &is.join("\n") + "\n";
        return fs::write(&file, new).map_err(|error| text(&error));
    }
    if is == expected {
        return Ok(());
    }
    Err(format!(
        "{}:\n{}\nbut it is judged\n{}",
        file.display(),
        expected.join("\n"),
        is.join("\n")
    ))
}

/// The level of all, then a line for each finding.
fn decided(verdict: &Verdict) -> Vec<String> {
    let line = |finding: &Finding| {
        let level = finding
            .level
            .map_or("-".to_owned(), |level| level.to_string());
        format!(
            "{:?}: {}: {level}: {}",
            finding.severity, finding.rule, finding.subject
        )
    };
    let mut lines = vec![verdict.level.to_string()];
    lines.extend(verdict.findings.iter().map(line));
    lines
}
