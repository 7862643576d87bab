//! What the readers of a run see: the terminal UI, the serial line, the JSONL stream and the webhook.
//!
//! Events never carry output of child processes, passwords, keys or tokens: only what a step puts in on purpose.

use serde::{Deserialize, Serialize};

/// Version of the event format. Raised only when a reader of the old version would be wrong about an event; new kinds
/// and new fields do not raise it.
pub const EVENT_VERSION: u32 = 1;

/// One event. As JSON: `{"v":1,"seq":3,"ms":1520,"unix":1795370000,"kind":"started","step":"slot-a"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Version: [`EVENT_VERSION`].
    pub v: u32,
    /// Number of the event in its run, from 0, without gaps.
    pub seq: u64,
    /// Milliseconds since the run started, by a clock that never goes back.
    pub ms: u64,
    /// Seconds since 1970 by the clock of the machine, which may be wrong and may be set during the run.
    pub unix: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// A step as the plan lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Short name, unique in the run: `slot-a`.
    pub id: String,
    /// For people: `Write the root image to slot A`.
    pub title: String,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every step is done.
    Ok,
    /// A step or the cleanup failed.
    Failed,
    /// A result that a later version knows.
    #[serde(other)]
    Unknown,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum EventKind {
    /// All steps in order. Only notes, warnings and early failures come before.
    Plan {
        /// The steps.
        steps: Vec<PlannedStep>,
    },
    /// A step starts.
    Started {
        /// Its id.
        step: String,
    },
    /// A step got further.
    Progress {
        /// Its id.
        step: String,
        /// Bytes done.
        bytes: u64,
        /// Bytes in all; 0 when that is not known.
        total: u64,
        /// Bytes per second since the step started.
        rate: u64,
    },
    /// Something worth keeping that is neither progress nor trouble: where the answers came from.
    Note {
        /// The step that says so; none when it is about the run as a whole.
        #[serde(default)]
        step: Option<String>,
        /// For people.
        message: String,
    },
    /// Something is not as it should be, and the run goes on.
    Warning {
        /// The step that says so; none when it is about the run as a whole.
        #[serde(default)]
        step: Option<String>,
        /// For people.
        message: String,
    },
    /// A step failed; the run ends after the cleanup.
    Failed {
        /// Its id.
        step: String,
        /// What happened, then why, outermost first.
        errors: Vec<String>,
    },
    /// A step is done.
    Done {
        /// Its id.
        step: String,
        /// Milliseconds that it took.
        took_ms: u64,
    },
    /// The last event.
    Finished {
        /// How the run ended.
        result: Outcome,
    },
    /// A kind that a later version knows. Its fields are not kept.
    #[serde(other)]
    Unknown,
}

impl Event {
    /// One line of JSON, without the line end.
    pub fn to_line(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// Parses one line. An event of a later version is [`EventKind::Unknown`], because its fields may mean something
    /// else by then.
    pub fn parse(line: &str) -> serde_json::Result<Event> {
        /// What is the same in all versions.
        #[derive(Deserialize)]
        struct Frame {
            v: u32,
            seq: u64,
            ms: u64,
            unix: u64,
        }
        let Frame { v, seq, ms, unix } = serde_json::from_str(line)?;
        if v > EVENT_VERSION {
            return Ok(Event {
                v,
                seq,
                ms,
                unix,
                kind: EventKind::Unknown,
            });
        }
        serde_json::from_str(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(kind: EventKind) -> Event {
        Event {
            v: EVENT_VERSION,
            seq: 3,
            ms: 1520,
            unix: 1_795_370_000,
            kind,
        }
    }

    #[test]
    fn the_lines_are_frozen() {
        let line = event(EventKind::Started {
            step: "slot-a".into(),
        })
        .to_line()
        .unwrap();
        assert_eq!(
            line,
            r#"{"v":1,"seq":3,"ms":1520,"unix":1795370000,"kind":"started","step":"slot-a"}"#
        );
        let line = event(EventKind::Finished {
            result: Outcome::Failed,
        })
        .to_line()
        .unwrap();
        assert!(
            line.ends_with(r#""kind":"finished","result":"failed"}"#),
            "{line}"
        );
    }

    #[test]
    fn later_versions_are_read_as_far_as_they_are_known() {
        let kind = |line: &str| Event::parse(line).unwrap().kind;
        let new_kind = r#"{"v":1,"seq":0,"ms":0,"unix":0,"kind":"rebooted","slots":[{"a":1}]}"#;
        assert_eq!(kind(new_kind), EventKind::Unknown);
        let new_field = r#"{"v":1,"seq":0,"ms":0,"unix":0,"kind":"started","step":"x","host":"h"}"#;
        assert_eq!(kind(new_field), EventKind::Started { step: "x".into() });
        let new_result = r#"{"v":1,"seq":0,"ms":0,"unix":0,"kind":"finished","result":"paused"}"#;
        assert_eq!(
            kind(new_result),
            EventKind::Finished {
                result: Outcome::Unknown
            }
        );
        let new_version = r#"{"v":2,"seq":7,"ms":0,"unix":0,"kind":"started","step":{"id":"x"}}"#;
        let event = Event::parse(new_version).unwrap();
        assert_eq!((event.seq, event.kind), (7, EventKind::Unknown));
    }

    #[test]
    fn lines_that_are_no_events_are_errors() {
        for line in [
            "",
            "{}",
            "[]",
            r#"{"v":1}"#,
            r#"{"v":1,"seq":0,"ms":0,"unix":0,"kind":"started"}"#,
        ] {
            assert!(Event::parse(line).is_err(), "{line}");
        }
    }

    pub(crate) fn kinds() -> impl Strategy<Value = EventKind> {
        let text = "\\PC{0,12}";
        prop_oneof![
            prop::collection::vec((text, text), 0..3).prop_map(|steps| EventKind::Plan {
                steps: steps
                    .into_iter()
                    .map(|(id, title)| PlannedStep { id, title })
                    .collect()
            }),
            text.prop_map(|step| EventKind::Started { step }),
            (text, any::<[u64; 3]>()).prop_map(|(step, [bytes, total, rate])| {
                EventKind::Progress {
                    step,
                    bytes,
                    total,
                    rate,
                }
            }),
            (prop::option::of(text), ".*")
                .prop_map(|(step, message)| EventKind::Warning { step, message }),
            (prop::option::of(text), ".*")
                .prop_map(|(step, message)| EventKind::Note { step, message }),
            (text, prop::collection::vec(".*", 0..3))
                .prop_map(|(step, errors)| EventKind::Failed { step, errors }),
            (text, any::<u64>()).prop_map(|(step, took_ms)| EventKind::Done { step, took_ms }),
            prop_oneof![Just(Outcome::Ok), Just(Outcome::Failed)]
                .prop_map(|result| EventKind::Finished { result }),
        ]
    }

    proptest! {
        #[test]
        fn every_event_is_one_line_that_parses_back(kind in kinds(), seq in any::<u64>(), ms in any::<u64>()) {
            let event = Event { v: EVENT_VERSION, seq, ms, unix: 5, kind };
            let line = event.to_line().unwrap();
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(Event::parse(&line).unwrap(), event);
        }

        #[test]
        fn no_line_makes_the_parser_panic(line in ".*") {
            let _ = Event::parse(&line);
        }
    }
}
