//! Checks a report: form, signature, and whether what it says follows from what it holds.

use super::{Certification, Check, ListId, PublicKey, Report, SCHEMA, is_canonical, judged};
use crate::certify::{Action, Plan, Status};
use crate::json_text;
use crate::list::List;

/// What to ask of a report.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// It must be signed by this key; none takes the key that it names.
    pub key: Option<PublicKey>,
    /// It must have this nonce; none takes any.
    pub nonce: Option<String>,
}

/// What came of it.
#[derive(Debug)]
pub struct Verification {
    /// The report, where it could be read.
    pub report: Option<Report>,
    /// What is wrong. A report with any of these must not be believed.
    pub problems: Vec<String>,
    /// What else to know.
    pub notes: Vec<String>,
}

impl Verification {
    /// Nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Checks a report and its signature. `list` is that of this program.
pub fn verify(
    bytes: &[u8],
    signature: &[u8],
    list: &List,
    options: &VerifyOptions,
) -> Verification {
    let mut verification = Verification {
        report: None,
        problems: Vec::new(),
        notes: Vec::new(),
    };
    match is_canonical(bytes) {
        Ok(true) => {}
        Ok(false) => verification
            .problem("the file is not in canonical form (RFC 8785), so it is not what was signed"),
        Err(error) => {
            verification.problem(format!("this is no report: {error}"));
            return verification;
        }
    }
    let report = match json_text::utf8(bytes).and_then(serde_json::from_str::<Report>) {
        Ok(report) => report,
        Err(error) => {
            verification.problem(format!("this is no report of the form {SCHEMA}: {error}"));
            return verification;
        }
    };
    if report.schema != SCHEMA {
        verification.problem(format!(
            "its form is {}, this program reads {SCHEMA}",
            report.schema
        ));
    }
    verification.signature(&report, bytes, signature, options);
    if let Some(nonce) = &options.nonce
        && *nonce != report.nonce
    {
        verification.problem(format!(
            "its nonce is `{}` and not `{nonce}`: it was made for another occasion",
            report.nonce
        ));
    }
    verification.verdict(&report, list);
    verification.summary(&report);
    verification.tests(&report);
    verification.report = Some(report);
    verification
}

impl Verification {
    fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(text.into());
    }

    fn signature(
        &mut self,
        report: &Report,
        bytes: &[u8],
        signature: &[u8],
        options: &VerifyOptions,
    ) {
        let named = PublicKey::from_hex(&report.submitter.public_key);
        let key = match (options.key, named) {
            (Some(asked), Some(named)) if asked != named => {
                self.problem(format!(
                    "it names the key {} and not the one that was asked for, {}",
                    report.submitter.public_key,
                    asked.hex()
                ));
                asked
            }
            (Some(asked), _) => asked,
            (None, Some(named)) => {
                self.notes.push(format!(
                    "signed by the key that it names itself, {}: whose that is must be known from elsewhere; --key asks for a certain one",
                    report.submitter.public_key
                ));
                named
            }
            (None, None) => {
                self.problem("it names no key that could have signed it");
                return;
            }
        };
        if !key.verifies(bytes, signature) {
            self.problem(format!(
                "the signature is not one of {} for this file: it was changed, or signed by another key",
                key.hex()
            ));
        }
    }

    /// Judges the facts again.
    fn verdict(&mut self, report: &Report, list: &List) {
        let same_list = ListId::of(list) == report.list;
        let (level, checks) = judged(&report.facts, list, report.drivers.as_ref());
        let mut differences = Vec::new();
        if level != report.verdict {
            differences.push(format!(
                "verdict: it says {}, its facts say {level}",
                report.verdict
            ));
        }
        differences.extend(compare(&report.checks, &checks));
        if same_list {
            self.problems.extend(differences);
        } else {
            self.notes.push(format!(
                "it was judged by another list ({}...); {} things are judged differently by the list of this program",
                report.list.sha256.get(..12).unwrap_or(&report.list.sha256),
                differences.len()
            ));
            self.notes.extend(differences);
        }
    }

    /// What the report says twice must be the same.
    fn summary(&mut self, report: &Report) {
        if report.context != report.facts.context {
            self.problem("context: not that of its facts");
        }
        if report.kernel != report.facts.kernel_release {
            self.problem("kernel: not that of its facts");
        }
        let xen = report.facts.xen.clone().and_then(|xen| xen.version);
        if report.xen != xen {
            self.problem("xen: not that of its facts");
        }
        let certification = Certification::of(
            &report.facts,
            &report.surroundings,
            report.verdict,
            &report.checks,
            &report.tests,
        );
        if certification != report.certification {
            self.problem(format!(
                "certification: it says {}, its tests say {}{}",
                report.certification.result.name(),
                certification.result.name(),
                match certification.reasons().next() {
                    Some(reason) => format!(" ({reason})"),
                    None => String::new(),
                }
            ));
        }
    }

    /// The tests must be those that its own facts and options plan.
    fn tests(&mut self, report: &Report) {
        let plan = match Plan::build(&report.facts, &report.surroundings, &report.options) {
            Ok(plan) => plan,
            Err(problems) => {
                self.problem(format!(
                    "tests: its options make no plan: {}",
                    problems.join("; ")
                ));
                return;
            }
        };
        for planned in &plan.tests {
            let found = report.tests.iter().find(|test| test.id == planned.id);
            match (found, &planned.action) {
                (None, _) => self.problem(format!("test {}: planned, and not in it", planned.id)),
                (Some(test), Action::Skip(_)) if test.status != Status::Skipped => {
                    self.problem(format!(
                        "test {}: {}, though it could not run",
                        test.id,
                        test.status.name()
                    ));
                }
                (Some(test), _) if test.title != planned.title => {
                    self.problem(format!("test {}: another title than planned", test.id));
                }
                (Some(_), _) => {}
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        for test in &report.tests {
            if !seen.insert(&test.id) {
                self.problem(format!("test {}: twice in it", test.id));
            }
            if !plan.tests.iter().any(|planned| planned.id == test.id) {
                self.problem(format!("test {}: not planned", test.id));
            }
            if test.status != Status::Skipped
                && test.measurements.is_empty()
                && test.reason.is_empty()
            {
                self.problem(format!(
                    "test {}: {} without any measurement",
                    test.id,
                    test.status.name()
                ));
            }
            if test.status == Status::Passed {
                let differs = test.measurements.iter().filter(|one| !one.agrees());
                let told: Vec<String> = differs
                    .map(|one| format!("test {}: passed, though {}", test.id, one.difference()))
                    .collect();
                self.problems.extend(told);
            }
            // Both are RFC 3339 in UTC, so their order is that of their texts.
            if test.started < report.started || test.started > report.finished {
                self.problem(format!("test {}: started outside of the run", test.id));
            }
            for name in &test.evidence {
                if !report
                    .evidence
                    .iter()
                    .any(|evidence| evidence.name == *name)
                {
                    self.problem(format!(
                        "test {}: its evidence {name} is not in it",
                        test.id
                    ));
                }
            }
        }
        if report.finished < report.started {
            self.problem("finished: before it started");
        }
    }
}

/// Names the checks that differ.
fn compare(stated: &[Check], made: &[Check]) -> Vec<String> {
    let mut differences = Vec::new();
    let same = |a: &Check, b: &Check| a.id == b.id && a.rule == b.rule;
    for check in made {
        match stated.iter().find(|other| same(other, check)) {
            None => differences.push(format!("check {} ({}): missing", check.id, check.rule)),
            Some(other) if other != check => differences.push(format!(
                "check {} ({}): {}",
                check.id,
                check.rule,
                difference(other, check)
            )),
            Some(_) => {}
        }
    }
    let too_many = stated
        .iter()
        .filter(|check| !made.iter().any(|other| same(other, check)));
    differences.extend(too_many.map(|check| {
        format!(
            "check {} ({}): does not follow from its facts",
            check.id, check.rule
        )
    }));
    if differences.is_empty() && stated != made {
        differences.push("checks: in another order, or twice".to_owned());
    }
    differences
}

fn difference(stated: &Check, made: &Check) -> String {
    let level = |check: &Check| {
        check
            .level
            .map_or("none".to_owned(), |level| level.to_string())
    };
    let result = |check: &Check| format!("{:?}", check.result).to_lowercase();
    let fields = [
        ("name", stated.name.clone(), made.name.clone()),
        ("observed", stated.observed.clone(), made.observed.clone()),
        ("source", stated.source.clone(), made.source.clone()),
        ("expected", stated.expected.clone(), made.expected.clone()),
        ("result", result(stated), result(made)),
        ("level", level(stated), level(made)),
    ];
    let different = fields
        .into_iter()
        .filter(|(_, stated, made)| stated != made);
    let told = different
        .map(|(name, stated, made)| format!("{name} says `{stated}`, its facts say `{made}`"));
    told.collect::<Vec<_>>().join("; ")
}
