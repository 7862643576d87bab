//! The ways to the verdict on a machine: from all of its facts, from those that a verdict asks for, and from a line of a stream in
//! the forms that lines have. All lead to the same one.

use crate::Outcome;
use hcl_checker::drivers::DriverIndex;
use hcl_checker::fleet::Fleet;
use hcl_checker::list::List;
use hcl_checker::text::{self, Style};
use hcl_checker::verdict::{Judged, JudgedBy, judge};
use hcl_checker::{Facts, Root};
use serde_json::Value;
use std::sync::OnceLock;

struct By {
    list: List,
    drivers: DriverIndex,
    by: JudgedBy,
}

fn by() -> &'static By {
    static BY: OnceLock<By> = OnceLock::new();
    BY.get_or_init(|| {
        let list = List::built_in().expect("the list");
        let by = JudgedBy::of(&list, true);
        let drivers = DriverIndex::shipped().expect("the drivers");
        By { list, drivers, by }
    })
}

/// Judges the machine in a tree in every way; `facts` are all that are read there.
pub fn lead_to_one_verdict(root: &Root, facts: &Facts) -> Outcome {
    let By { list, drivers, by } = by();
    let verdict = judge(facts, list, Some(drivers));
    let asked = Facts::read_for_verdict(root, &|ids| list.asks_revision(ids));
    let by_asked = judge(&asked, list, Some(drivers));
    if by_asked != verdict {
        return Err(format!(
            "by what a verdict asks for: {by_asked:#?}\nby all: {verdict:#?}"
        ));
    }
    let shown = |facts| text::verdict(facts, &verdict, None, Style::PLAIN, true);
    if shown(&asked) != shown(facts) {
        return Err(format!(
            "shown as {}\nand as {}",
            shown(&asked),
            shown(facts)
        ));
    }
    let error = |error: serde_json::Error| error.to_string();
    // As `facts --json` writes it, by `jq -c`, by `jq -cS`, by Python.
    let compact = serde_json::to_string(facts).map_err(error)?;
    let pretty = serde_json::to_string_pretty(facts).map_err(error)?;
    let value: Value = serde_json::from_str(&compact).map_err(error)?;
    let lines = [compact, value.to_string(), pretty.replace('\n', " ")];
    let fleet = Fleet {
        list,
        drivers: Some(drivers),
        by,
    };
    let mut answers = Vec::new();
    let code = fleet
        .judge(lines.join("\n").as_bytes(), &mut answers)
        .map_err(|error| error.to_string())?;
    if code != verdict.exit_code() {
        return Err(format!(
            "exit code {code} of a stream, {} alone",
            verdict.exit_code()
        ));
    }
    let alone = Judged {
        by,
        verdict: &verdict,
    };
    let alone = serde_json::to_string(&alone).map_err(error)?;
    let answers = String::from_utf8(answers).map_err(|error| error.to_string())?;
    let ends = format!(",\"verdict\":{alone}}}");
    let whole = |answer: &&str| {
        let begins = answer.strip_suffix(&ends);
        begins.is_some_and(|begins| begins.starts_with("{\"line\":"))
    };
    if answers.lines().count() == lines.len() && answers.lines().all(|answer| whole(&answer)) {
        return Ok(());
    }
    Err(format!("alone {alone}\nin a stream {answers}"))
}
