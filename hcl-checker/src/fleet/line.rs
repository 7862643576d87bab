//! A line that goes out for a line that came in.

use crate::json_text::special;
use crate::verdict::{Finding, Judged, JudgedBy, Verdict};
use schemars::JsonSchema;
use serde::Serialize;

/// A line that goes out: what became of the line that came in.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line<'a> {
    /// Number of the line that came in, from 1.
    line: u64,
    /// By what the machine is known: its serial number, else its UUID.
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<&'a str>,
    #[serde(flatten)]
    outcome: Outcome<'a>,
}

/// What became of a line.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Outcome<'a> {
    /// As `check --json` writes it.
    Verdict(Judged<'a>),
    /// Why there is no verdict.
    Error(String),
}

/// The line of something that is no facts, with its end.
pub(super) fn error(line: u64, error: String) -> Vec<u8> {
    let mut out = Vec::new();
    push(
        &mut out,
        &Line {
            line,
            machine: None,
            outcome: Outcome::Error(error),
        },
    );
    out.push(b'\n');
    out
}

/// What comes behind the findings of a verdict: they are its last field, and it is that of its line.
const BEHIND_FINDINGS: &[u8] = b"]}}";

/// Adds the line of a machine, with its end. It is as serde writes it; but the findings, of which it is made, are written here,
/// because serde looks at each byte of a text whether it can stand there as it is, which takes as long as to judge.
pub(super) fn write_verdict(
    out: &mut Vec<u8>,
    line: u64,
    machine: Option<&str>,
    by: &JudgedBy,
    mut verdict: Verdict,
) {
    let findings = std::mem::take(&mut verdict.findings);
    let outcome = Outcome::Verdict(Judged {
        by,
        verdict: &verdict,
    });
    push(
        out,
        &Line {
            line,
            machine,
            outcome,
        },
    );
    out.truncate(out.len().saturating_sub(BEHIND_FINDINGS.len()));
    for (number, finding) in findings.iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        push_finding(out, finding);
    }
    out.extend(BEHIND_FINDINGS);
    out.push(b'\n');
}

fn push_finding(out: &mut Vec<u8>, finding: &Finding) {
    // A field that is added to a finding is missed here by the compiler, and its place by a test.
    let Finding {
        rule,
        subject,
        name,
        level,
        essential,
        severity,
        observed,
        source,
        expected,
        advice,
        notes,
    } = finding;
    push_field(out, b"{\"rule\":", rule);
    out.extend(b",\"subject\":");
    push(out, subject);
    push_field(out, b",\"name\":", name);
    out.extend(b",\"level\":");
    push(out, level);
    out.extend(b",\"essential\":");
    push(out, essential);
    out.extend(b",\"severity\":");
    push(out, severity);
    push_field(out, b",\"observed\":", observed);
    push_field(out, b",\"source\":", source);
    push_field(out, b",\"expected\":", expected);
    push_field(out, b",\"advice\":", advice);
    push_field(out, b",\"notes\":", notes);
    out.push(b'}');
}

fn push_field(out: &mut Vec<u8>, key: &[u8], text: &str) {
    out.extend(key);
    if special(text.as_bytes()).is_some() {
        return push(out, text);
    }
    out.push(b'"');
    out.extend(text.as_bytes());
    out.push(b'"');
}

/// Adds what serde makes of it.
fn push<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Memory takes everything, and all keys are texts: this cannot fail.
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known::Known;
    use crate::list::List;
    use crate::verdict::{Level, Severity, Subject};
    use proptest::prelude::*;

    fn finding(text: &str, subject: Subject, level: Option<Level>, essential: bool) -> Finding {
        let text = |name: &str| format!("{name} {text}");
        Finding {
            rule: text("rule"),
            subject,
            name: text("name"),
            level,
            essential,
            severity: Severity::Warns,
            observed: text("observed"),
            source: text("source"),
            expected: text("expected"),
            advice: String::new(),
            notes: text("notes"),
        }
    }

    proptest! {
        #[test]
        fn a_line_is_as_serde_writes_it(
            texts in proptest::collection::vec("(\\PC|[\"\\\\\n\u{1f}]){0,20}", 0..4),
            machine in proptest::option::of("(\\PC|\"){0,9}"),
        ) {
            let subjects = [Subject::Cpu, Subject::Pci("0000:00:1f.2".to_owned()), Subject::Nic("eth\"0".to_owned())];
            let levels = [None, Some(Level::Unknown), Some(Level::UnlistedWithDriver)];
            let findings = texts.iter().enumerate().map(|(n, text)| {
                finding(text, subjects[n % 3].clone(), levels[n % 3], n == 1)
            });
            let verdict = Verdict {
                schema: 1,
                level: Level::Unknown,
                context: Known::unknown("why\n"),
                kernel: Some("6.12".to_owned()),
                findings: findings.collect(),
            };
            let by = JudgedBy::of(&List::default(), false);
            let judged = Judged { by: &by, verdict: &verdict };
            let line = Line { line: 7, machine: machine.as_deref(), outcome: Outcome::Verdict(judged) };
            let expected = serde_json::to_string(&line).expect("JSON") + "\n";
            let mut out = b"before".to_vec();
            write_verdict(&mut out, 7, machine.as_deref(), &by, verdict.clone());
            prop_assert_eq!(String::from_utf8(out).expect("UTF-8"), format!("before{expected}"));
        }
    }
}
