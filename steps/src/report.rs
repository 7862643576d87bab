//! What a run leaves behind: kept on the host and sent where the answers say, on success and on failure.

use crate::event::Outcome;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display};

/// Version of the report format. Later versions only add fields, so that old reports always parse.
pub const REPORT_SCHEMA: u32 = 1;

/// How far a step came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepResult {
    /// It is done.
    Done,
    /// It failed.
    Failed,
    /// An earlier step failed, so it never started.
    NotRun,
}

/// One step of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    /// Its id.
    pub id: String,
    /// For people.
    pub title: String,
    /// How far it came.
    pub result: StepResult,
    /// Milliseconds that it took; 0 when it never ran.
    pub took_ms: u64,
    /// Bytes of its last progress; 0 when it tells none.
    #[serde(default)]
    pub bytes: u64,
    /// The last lines that a program of the operator printed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<String>,
    /// Why it failed, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
}

/// A reader of the event stream that lost events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkFailure {
    /// Its name.
    pub sink: String,
    /// Events that it lost.
    pub events: u64,
}

/// What the caller of the runner knows about the run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heading {
    /// Version of the release that is installed.
    pub version: String,
    /// SHA-256 of the plan, hexadecimal.
    pub plan_sha256: String,
    /// Whatever else belongs in the report. No secrets.
    pub facts: serde_json::Value,
}

/// The report of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Version of the format: [`REPORT_SCHEMA`].
    pub schema: u32,
    /// How the run ended.
    pub result: Outcome,
    /// Version of the release.
    pub version: String,
    /// SHA-256 of the plan, hexadecimal; empty when there was no plan.
    pub plan_sha256: String,
    /// Start of the run in seconds since 1970, by the clock of the machine.
    pub started_unix: u64,
    /// Milliseconds that the run took.
    pub took_ms: u64,
    /// All steps of the plan in order.
    pub steps: Vec<StepReport>,
    /// Warnings, in order.
    pub warnings: Vec<String>,
    /// Why it failed, where that was not a step: before the first step, or in the cleanup.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// Readers that lost events.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sink_failures: Vec<SinkFailure>,
    /// Whatever else belongs in the report.
    #[serde(default)]
    pub facts: serde_json::Value,
}

impl Report {
    /// The report of a run that failed before its first step: no answers, no medium, no valid plan.
    pub fn failed_early(heading: Heading, started_unix: u64, errors: Vec<String>) -> Self {
        Report {
            schema: REPORT_SCHEMA,
            result: Outcome::Failed,
            version: heading.version,
            plan_sha256: heading.plan_sha256,
            started_unix,
            took_ms: 0,
            steps: Vec::new(),
            warnings: Vec::new(),
            errors,
            sink_failures: Vec::new(),
            facts: heading.facts,
        }
    }

    /// The step that failed.
    pub fn failed_step(&self) -> Option<&StepReport> {
        self.steps.iter().find(|s| s.result == StepResult::Failed)
    }

    /// The report as JSON for people and programs, with a line end.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }

    /// Parses what [`to_json`](Self::to_json) of this or an earlier version wrote.
    pub fn parse(json: &str) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }
}

/// The report as text, one line a fact.
impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let result = match self.result {
            Outcome::Ok => "ok",
            Outcome::Failed => "FAILED",
            Outcome::Unknown => "unknown",
        };
        writeln!(f, "result   {result}")?;
        writeln!(f, "version  {}", self.version)?;
        if !self.plan_sha256.is_empty() {
            writeln!(f, "plan     {}", self.plan_sha256)?;
        }
        if let Some(time) = seconds(self.took_ms) {
            writeln!(f, "took     {time}")?;
        }
        for step in &self.steps {
            let mark = match step.result {
                StepResult::Done => "done",
                StepResult::Failed => "FAILED",
                StepResult::NotRun => "not run",
            };
            write!(f, "{mark:<8} {}", step.title)?;
            if let Some(time) = seconds(step.took_ms) {
                write!(f, ", {time}")?;
            }
            if step.bytes > 0 {
                write!(f, ", {} MB", step.bytes.div_ceil(1_000_000))?;
            }
            writeln!(f)?;
            for line in &step.output {
                writeln!(f, "         | {line}")?;
            }
            write_errors(f, &step.errors)?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning  {warning}")?;
        }
        write_errors(f, &self.errors)?;
        for lost in &self.sink_failures {
            writeln!(
                f,
                "warning  the event reader {} lost {} events",
                lost.sink, lost.events
            )?;
        }
        Ok(())
    }
}

fn write_errors(f: &mut fmt::Formatter<'_>, errors: &[String]) -> fmt::Result {
    for (i, error) in errors.iter().enumerate() {
        writeln!(
            f,
            "         {}{error}",
            if i == 0 { "" } else { "because: " }
        )?;
    }
    Ok(())
}

/// `1.2 s`; none for what took no time that anybody would notice.
pub fn seconds(ms: u64) -> Option<String> {
    (ms >= 100).then(|| format!("{}.{} s", ms / 1000, ms % 1000 / 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let step = |id: &str, result, took_ms, bytes, errors: &[&str]| StepReport {
            id: id.into(),
            title: format!("Do {id}"),
            result,
            took_ms,
            bytes,
            output: Vec::new(),
            errors: errors.iter().map(|e| (*e).to_owned()).collect(),
        };
        Report {
            schema: REPORT_SCHEMA,
            result: Outcome::Failed,
            version: "0.1.0".into(),
            plan_sha256: "ab12".into(),
            started_unix: 1_700_000_000,
            took_ms: 61_250,
            steps: vec![
                step("disk", StepResult::Done, 1250, 0, &[]),
                step(
                    "slot-a",
                    StepResult::Failed,
                    60_000,
                    3 << 20,
                    &["cannot write", "disk gone"],
                ),
                step("boot", StepResult::NotRun, 0, 0, &[]),
            ],
            warnings: vec!["no EFI variables".into()],
            errors: vec![],
            sink_failures: vec![SinkFailure {
                sink: "webhook".into(),
                events: 4,
            }],
            facts: serde_json::json!({ "disk": "sda" }),
        }
    }

    #[test]
    fn the_text_tells_all() {
        let expected = "\
result   FAILED
version  0.1.0
plan     ab12
took     61.2 s
done     Do disk, 1.2 s
FAILED   Do slot-a, 60.0 s, 4 MB
         cannot write
         because: disk gone
not run  Do boot
warning  no EFI variables
warning  the event reader webhook lost 4 events
";
        assert_eq!(report().to_string(), expected);
    }

    #[test]
    fn what_a_hook_printed_stands_below_its_step() {
        let mut report = report();
        report.steps[0].output = vec!["registered as 4711".into()];
        let text = report.to_string();
        assert!(
            text.contains("done     Do disk, 1.2 s\n         | registered as 4711\nFAILED"),
            "{text}"
        );
        assert_eq!(Report::parse(&report.to_json().unwrap()).unwrap(), report);
    }

    #[test]
    fn json_parses_back() {
        assert_eq!(
            Report::parse(&report().to_json().unwrap()).unwrap(),
            report()
        );
    }

    /// A report as version 1 wrote it: hosts keep theirs for years, so this text never changes.
    #[test]
    fn the_first_reports_still_parse_and_so_do_later_ones() {
        let first = r#"{"schema":1,"result":"ok","version":"0.1.0","plan_sha256":"","started_unix":5,"took_ms":7,
            "steps":[{"id":"disk","title":"Do","result":"done","took_ms":7}],"warnings":[]}"#;
        let parsed = Report::parse(first).unwrap();
        assert_eq!(
            (parsed.result, parsed.steps[0].bytes, parsed.facts),
            (Outcome::Ok, 0, serde_json::Value::Null)
        );
        let later = first.replacen("\"schema\":1", "\"schema\":1,\"rack\":\"b7\"", 1);
        assert!(Report::parse(&later).is_ok());
    }

    #[test]
    fn a_run_that_never_started_has_a_report_too() {
        // 99 ms would be shown as 0.0 s.
        assert_eq!((seconds(99), seconds(100)), (None, Some("0.1 s".into())));
        let report = Report::failed_early(
            Heading::default(),
            5,
            vec!["no answers".into(), "no network".into()],
        );
        assert!(
            !report.to_string().contains("took")
                && report
                    .to_string()
                    .ends_with("         no answers\n         because: no network\n")
        );
        assert_eq!(Report::parse(&report.to_json().unwrap()).unwrap(), report);
    }
}
