//! Runs steps in order, stops at the first failure, always cleans up, and reports.

use crate::event::{EventKind, Outcome, PlannedStep};
use crate::report::{Heading, REPORT_SCHEMA, Report, SinkFailure, StepReport, StepResult};
use crate::step::{Emitter, Reporter, Step, StepError, error_chain};
use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// An ordered list of steps.
pub struct Runner<'a, C: ?Sized> {
    steps: Vec<Box<dyn Step<C> + 'a>>,
}

impl<C: ?Sized> Default for Runner<'_, C> {
    fn default() -> Self {
        Runner { steps: Vec::new() }
    }
}

impl<'a, C: ?Sized> Runner<'a, C> {
    /// No steps yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a step behind the others.
    pub fn with(mut self, step: impl Step<C> + 'a) -> Self {
        self.add(step);
        self
    }

    /// Adds a step behind the others.
    pub fn add(&mut self, step: impl Step<C> + 'a) {
        self.steps.push(Box::new(step));
    }

    /// The steps as they are shown before they run.
    pub fn plan(&self) -> Vec<PlannedStep> {
        self.steps
            .iter()
            .map(|s| PlannedStep {
                id: s.id(),
                title: s.title(),
            })
            .collect()
    }

    /// Runs all steps. The report says how it went; a step that panics has failed, and the cleanup runs all the same.
    ///
    /// A failed cleanup makes the run a failed one: a mount that will not go away may hold unwritten data.
    pub fn run(mut self, context: &mut C, emitter: &mut Emitter, heading: Heading) -> Report {
        let (started_ms, started_unix) = (emitter.ms(), emitter.unix());
        let plan = self.plan();
        debug_assert_eq!(
            plan.iter().map(|s| &s.id).collect::<BTreeSet<_>>().len(),
            plan.len(),
            "step ids repeat"
        );
        emitter.emit(EventKind::Plan {
            steps: plan.clone(),
        });

        let mut warnings = Vec::new();
        let mut steps = Vec::with_capacity(plan.len());
        let mut started = 0;
        for (step, PlannedStep { id, title }) in self.steps.iter_mut().zip(plan) {
            let failed_before = steps
                .last()
                .is_some_and(|s: &StepReport| s.result != StepResult::Done);
            if failed_before {
                let result = StepResult::NotRun;
                steps.push(StepReport {
                    id,
                    title,
                    result,
                    took_ms: 0,
                    bytes: 0,
                    output: Vec::new(),
                    errors: Vec::new(),
                });
                continue;
            }
            started += 1;
            let before = emitter.emit(EventKind::Started { step: id.clone() });
            let mut reporter = Reporter::new(emitter, id.clone());
            let outcome = catch(|| step.run(context, &mut reporter));
            let (bytes, told, output) = reporter.into_parts();
            warnings.extend(told);
            let took_ms = emitter.ms().saturating_sub(before);
            let (result, errors) = match outcome {
                Ok(()) => {
                    emitter.emit(EventKind::Done {
                        step: id.clone(),
                        took_ms,
                    });
                    (StepResult::Done, Vec::new())
                }
                Err(errors) => {
                    emitter.emit(EventKind::Failed {
                        step: id.clone(),
                        errors: errors.clone(),
                    });
                    (StepResult::Failed, errors)
                }
            };
            steps.push(StepReport {
                id,
                title,
                result,
                took_ms,
                bytes,
                output,
                errors,
            });
        }

        let mut errors = Vec::new();
        for step in self.steps[..started].iter_mut().rev() {
            if let Err(lines) = catch(|| step.cleanup(context)) {
                let message = format!(
                    "cleaning up after {} failed: {}",
                    step.id(),
                    lines.join(": ")
                );
                emitter.emit(EventKind::Warning {
                    step: Some(step.id()),
                    message: message.clone(),
                });
                errors.push(message);
            }
        }

        let all_done = steps.iter().all(|s| s.result == StepResult::Done);
        let result = if all_done && errors.is_empty() {
            Outcome::Ok
        } else {
            Outcome::Failed
        };
        let end = emitter.emit(EventKind::Finished { result });
        let lost = emitter.sink_failures().into_iter();
        Report {
            schema: REPORT_SCHEMA,
            result,
            version: heading.version,
            plan_sha256: heading.plan_sha256,
            started_unix,
            took_ms: end.saturating_sub(started_ms),
            steps,
            warnings,
            errors,
            sink_failures: lost
                .map(|(sink, events)| SinkFailure { sink, events })
                .collect(),
            facts: heading.facts,
        }
    }
}

/// Runs `f`; a panic is an error like others. What `f` changed is only used for the cleanup afterwards, which has to
/// cope with a step that stopped anywhere.
fn catch(f: impl FnOnce() -> Result<(), StepError>) -> Result<(), Vec<String>> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error_chain(error.as_ref())),
        Err(panic) => Err(vec![
            "the program hit a fault of its own (panic)".to_owned(),
            panic_text(&*panic),
        ]),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::sink::{Collect, FanOut};
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Does {
        Well,
        Fail,
        Panic,
        CleanupFail,
        CleanupPanic,
    }

    struct Part(String, Does);

    /// What was called, in order.
    type Calls = Vec<String>;

    impl Step<Calls> for Part {
        fn id(&self) -> String {
            self.0.clone()
        }
        fn title(&self) -> String {
            format!("Do {}", self.0)
        }
        fn run(&mut self, calls: &mut Calls, reporter: &mut Reporter<'_>) -> Result<(), StepError> {
            calls.push(format!("run {}", self.0));
            reporter.progress(5, 10);
            match self.1 {
                Does::Fail => Err("out of paper".into()),
                Does::Panic => panic!("index {} is wrong", 7),
                _ => Ok(()),
            }
        }
        fn cleanup(&mut self, calls: &mut Calls) -> Result<(), StepError> {
            calls.push(format!("clean {}", self.0));
            match self.1 {
                Does::CleanupFail => Err("still busy".into()),
                Does::CleanupPanic => panic!("worse"),
                _ => Ok(()),
            }
        }
    }

    fn run(parts: &[Does]) -> (Calls, Vec<Event>, Report) {
        let collect = Collect::new();
        let mut runner = Runner::new();
        for (i, does) in parts.iter().enumerate() {
            runner.add(Part(format!("s{i}"), *does));
        }
        let mut emitter = Emitter::new(FanOut::new().with("all", collect.clone()));
        let mut calls = Vec::new();
        let heading = Heading {
            version: "1".into(),
            plan_sha256: "ab".into(),
            facts: 5.into(),
        };
        let report = runner.run(&mut calls, &mut emitter, heading);
        (calls, collect.events(), report)
    }

    fn kinds(events: &[Event]) -> Vec<String> {
        let kind = |e: &Event| {
            serde_json::to_value(e).unwrap()["kind"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        events.iter().map(kind).collect()
    }

    #[test]
    fn all_well() {
        let (calls, events, report) = run(&[Does::Well, Does::Well]);
        assert_eq!(calls, ["run s0", "run s1", "clean s1", "clean s0"]);
        let step = ["started", "progress", "done"];
        assert_eq!(
            kinds(&events),
            [&["plan"][..], &step, &step, &["finished"]].concat()
        );
        assert_eq!(
            (report.result, report.steps.len(), report.steps[1].bytes),
            (Outcome::Ok, 2, 5)
        );
        assert_eq!(
            (
                report.version.as_str(),
                report.plan_sha256.as_str(),
                &report.facts
            ),
            ("1", "ab", &5.into())
        );
    }

    #[test]
    fn a_failure_stops_the_run_and_cleans_up_what_was_started() {
        let (calls, events, report) = run(&[Does::Well, Does::Fail, Does::Well]);
        assert_eq!(calls, ["run s0", "run s1", "clean s1", "clean s0"]);
        assert_eq!(
            events.last().unwrap().kind,
            EventKind::Finished {
                result: Outcome::Failed
            }
        );
        let results: Vec<_> = report.steps.iter().map(|s| s.result).collect();
        assert_eq!(
            results,
            [StepResult::Done, StepResult::Failed, StepResult::NotRun]
        );
        assert_eq!(report.failed_step().unwrap().errors, ["out of paper"]);
    }

    #[test]
    fn a_panic_is_a_failure_and_is_cleaned_up() {
        let (calls, _, report) = run(&[Does::Panic, Does::Well]);
        assert_eq!(calls, ["run s0", "clean s0"]);
        assert_eq!(report.failed_step().unwrap().errors[1], "index 7 is wrong");
    }

    #[test]
    fn a_failed_cleanup_fails_the_run_and_the_others_are_cleaned_all_the_same() {
        let (calls, events, report) = run(&[Does::Well, Does::CleanupFail, Does::CleanupPanic]);
        assert_eq!(calls[3..], ["clean s2", "clean s1", "clean s0"]);
        assert_eq!(report.result, Outcome::Failed);
        assert!(report.steps.iter().all(|s| s.result == StepResult::Done));
        assert_eq!(report.errors.len(), 2);
        assert_eq!(report.errors[1], "cleaning up after s1 failed: still busy");
        assert_eq!(kinds(&events).iter().filter(|k| *k == "warning").count(), 2);
    }

    #[test]
    fn no_steps_are_a_good_run() {
        let (_, events, report) = run(&[]);
        assert_eq!(
            (kinds(&events), report.result),
            (vec!["plan".into(), "finished".into()], Outcome::Ok)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_happens_the_report_matches_the_events(
            parts in prop::collection::vec(
                prop::sample::select(vec![Does::Well, Does::Well, Does::Fail, Does::CleanupFail]), 0..6),
        ) {
            let (calls, events, report) = run(&parts);
            let stop = parts.iter().position(|d| *d == Does::Fail).map_or(parts.len(), |i| i + 1);
            let ran = calls.iter().filter(|c| c.starts_with("run")).count();
            let cleaned = calls.iter().filter(|c| c.starts_with("clean")).count();
            prop_assert_eq!((ran, cleaned), (stop, stop));
            prop_assert!(events.iter().enumerate().all(|(i, e)| e.seq == i as u64));
            prop_assert!(events.is_sorted_by_key(|e| e.ms));
            prop_assert_eq!(&events.last().unwrap().kind, &EventKind::Finished { result: report.result });
            let good = parts.iter().all(|d| *d == Does::Well);
            // A cleanup that fails behind the stop never runs.
            let reached = parts[..stop].iter().all(|d| *d == Does::Well);
            prop_assert_eq!(report.result == Outcome::Ok, good && reached);
            prop_assert_eq!(report.steps.len(), parts.len());
        }
    }
}
