//! What an installation tells of itself, for the progress and finish screens.

use super::effects::Ended;
use crate::values::show_size;
use serde::{Deserialize, Serialize};
use steps::event::{Event, EventKind, Outcome, PlannedStep};

/// Lines of the log that are kept.
const LOG: usize = 500;
/// What a step counts for in the whole, in parts; one that is not listed counts for one. Measured: reading and writing the
/// root image is most of an installation.
const WEIGHTS: [(&str, u32); 3] = [("verify-release", 6), ("slot-a", 12), ("state", 2)];

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepState {
    /// Not begun.
    Waits,
    /// It runs.
    Runs,
    /// It is done.
    Done {
        /// Milliseconds that it took.
        took_ms: u64,
    },
    /// It failed.
    Failed,
}

/// A step as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepView {
    /// Its id.
    pub id: String,
    /// For people.
    pub title: String,
    /// How far it is.
    pub state: StepState,
    /// Bytes done.
    pub bytes: u64,
    /// Bytes in all; 0 when not known.
    pub total: u64,
    /// Bytes per second.
    pub rate: u64,
}

/// An installation while it runs and after it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunView {
    /// The steps.
    pub steps: Vec<StepView>,
    /// What was said, oldest first.
    pub log: Vec<String>,
    /// Milliseconds since the plan was told; before that, since the first event.
    pub ms: u64,
    started_ms: Option<u64>,
    /// True once it is over and went well; none while it runs.
    pub good: Option<bool>,
    /// Why it failed, outermost first.
    pub errors: Vec<String>,
    /// Warnings.
    pub warnings: Vec<String>,
    /// Fingerprint of the host's ssh key.
    pub fingerprint: Option<String>,
}

impl RunView {
    /// Takes an event. One that comes twice or that is not known changes nothing for the worse.
    pub fn event(&mut self, event: Event) {
        // Events count from the start of the program; what the operator took before is no part of the installation.
        if let EventKind::Plan { .. } = event.kind {
            (self.started_ms, self.ms) = (None, 0);
        }
        let started = *self.started_ms.get_or_insert(event.ms);
        self.ms = event.ms.saturating_sub(started).max(self.ms);
        match event.kind {
            EventKind::Plan { steps } => self.steps = steps.into_iter().map(waiting).collect(),
            EventKind::Started { step } => {
                let title = self.step(&step).map(|step| {
                    step.state = StepState::Runs;
                    step.title.clone()
                });
                self.say(title.unwrap_or(step));
            }
            EventKind::Progress {
                step,
                bytes,
                total,
                rate,
            } => {
                if let Some(step) = self.step(&step) {
                    (step.bytes, step.total, step.rate) = (bytes, total, rate);
                }
            }
            EventKind::Note { message, .. } => self.say(message),
            EventKind::Warning { message, .. } => {
                self.say(format!("warning: {message}"));
                if !self.warnings.contains(&message) {
                    self.warnings.push(message);
                }
            }
            EventKind::Failed { step, errors } => {
                if let Some(step) = self.step(&step) {
                    step.state = StepState::Failed;
                }
                for (index, error) in errors.iter().enumerate() {
                    let mark = if index == 0 {
                        "FAILED: "
                    } else {
                        "  because: "
                    };
                    self.say(format!("{mark}{error}"));
                }
                self.errors = errors;
            }
            EventKind::Done { step, took_ms } => {
                if let Some(step) = self.step(&step) {
                    step.state = StepState::Done { took_ms };
                }
            }
            EventKind::Finished { result } => {
                self.say(match result {
                    Outcome::Ok => "finished".to_owned(),
                    _ => "FAILED".to_owned(),
                });
            }
            EventKind::Unknown => {}
        }
    }

    /// Takes the end.
    pub fn ended(&mut self, ended: Ended) {
        self.good = Some(ended.report.result == Outcome::Ok);
        self.fingerprint = ended.fingerprint;
        if self.errors.is_empty() {
            self.errors = ended.report.errors;
        }
        self.warnings = ended.report.warnings;
    }

    fn step(&mut self, id: &str) -> Option<&mut StepView> {
        self.steps.iter_mut().find(|step| step.id == id)
    }

    fn say(&mut self, text: String) {
        if self.log.len() >= LOG {
            self.log.remove(0);
        }
        self.log.push(format!("{:>4} s  {text}", self.ms / 1000));
    }

    /// How much of the whole is done, from 0 to 1.
    pub fn fraction(&self) -> f64 {
        let (mut all, mut done) = (0.0, 0.0);
        for step in &self.steps {
            let weight = WEIGHTS
                .iter()
                .find(|(id, _)| *id == step.id)
                .map_or(1.0, |(_, weight)| f64::from(*weight));
            all += weight;
            done += weight * step.fraction();
        }
        if all > 0.0 { done / all } else { 0.0 }
    }

    /// Seconds that are left, by how it went so far; none where it is too early to say.
    pub fn seconds_left(&self) -> Option<u64> {
        let fraction = self.fraction();
        (fraction > 0.05 && self.ms > 2000 && self.good.is_none())
            .then(|| ((self.ms as f64 / 1000.0) * (1.0 - fraction) / fraction).ceil() as u64)
    }

    /// The step that runs.
    pub fn current(&self) -> Option<&StepView> {
        self.steps.iter().find(|step| step.state == StepState::Runs)
    }
}

impl StepView {
    /// How much is done, from 0 to 1.
    pub fn fraction(&self) -> f64 {
        match self.state {
            StepState::Done { .. } => 1.0,
            StepState::Waits => 0.0,
            StepState::Runs | StepState::Failed if self.total > 0 => {
                (self.bytes as f64 / self.total as f64).min(1.0)
            }
            StepState::Runs | StepState::Failed => 0.0,
        }
    }

    /// What stands behind its title.
    pub fn words(&self) -> String {
        match self.state {
            StepState::Waits => String::new(),
            StepState::Failed => "FAILED".to_owned(),
            StepState::Done { took_ms } => {
                steps::report::seconds(took_ms).unwrap_or_else(|| "done".to_owned())
            }
            StepState::Runs if self.total > 0 => {
                let left = (self.total.saturating_sub(self.bytes))
                    .checked_div(self.rate)
                    .map_or(String::new(), |left| format!(", {left} s left"));
                format!(
                    "{:.0} %, {}/s{left}",
                    self.fraction() * 100.0,
                    show_size(self.rate)
                )
            }
            StepState::Runs => "...".to_owned(),
        }
    }
}

fn waiting(step: PlannedStep) -> StepView {
    StepView {
        id: step.id,
        title: step.title,
        state: StepState::Waits,
        bytes: 0,
        total: 0,
        rate: 0,
    }
}

/// `1.5 s`.
pub fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps::event::EVENT_VERSION;

    fn told(view: &mut RunView, ms: u64, kind: EventKind) {
        view.event(Event {
            v: EVENT_VERSION,
            seq: 0,
            ms,
            unix: 0,
            kind,
        });
    }

    #[test]
    fn the_time_before_the_installation_does_not_count() {
        let mut view = RunView::default();
        let step = || "slot-a".to_owned();
        let warning = EventKind::Warning {
            step: None,
            message: "unlisted".into(),
        };
        told(&mut view, 59_000, warning);
        assert_eq!(view.log, ["   0 s  warning: unlisted"]);
        let planned = PlannedStep {
            id: step(),
            title: "Write".into(),
        };
        let steps = vec![planned];
        told(&mut view, 59_100, EventKind::Plan { steps });
        told(&mut view, 59_200, EventKind::Started { step: step() });
        let half = EventKind::Progress {
            step: step(),
            bytes: 50,
            total: 100,
            rate: 10,
        };
        told(&mut view, 62_100, half);
        assert_eq!((view.ms, view.seconds_left()), (3000, Some(3)));
    }
}
