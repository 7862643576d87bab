//! Why there is no plan.

use serde::Serialize;
use std::fmt;

/// What a [`PlanProblem`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// The choice of the disk, or the disk itself.
    Disk,
    /// The network interface.
    Network,
    /// The verdict on the hardware.
    Verdict,
    /// The machine as such.
    Machine,
}

/// One disk or interface that was looked at, and why it was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiskVerdict {
    /// Device path or interface name.
    pub name: String,
    /// What it is, for people: model, size, serial.
    pub description: String,
    /// Why it was not taken; empty for one that would have been.
    pub reasons: Vec<String>,
}

/// One reason why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanProblem {
    /// What it is about.
    pub about: About,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub advice: String,
    /// What was looked at.
    pub candidates: Vec<DiskVerdict>,
}

impl PlanProblem {
    /// A problem without candidates.
    pub fn new(about: About, message: impl Into<String>, advice: impl Into<String>) -> Self {
        PlanProblem {
            about,
            message: message.into(),
            advice: advice.into(),
            candidates: Vec::new(),
        }
    }

    /// The same with what was looked at.
    pub fn with(mut self, candidates: Vec<DiskVerdict>) -> Self {
        self.candidates = candidates;
        self
    }
}

/// Candidates that are told of: a screen full. A machine may have hundreds of disks.
const TOLD: usize = 12;

impl PlanProblem {
    /// What of the candidates is not told.
    fn untold(&self) -> Option<String> {
        let more = self.candidates.len().saturating_sub(TOLD);
        (more > 0).then(|| format!("and {more} more: `installer match` tells of all"))
    }

    /// The problem in one line, for events and reports.
    fn line(&self) -> String {
        let mut line = format!("{}; {}", self.message, self.advice);
        for DiskVerdict {
            name,
            description,
            reasons,
        } in self.candidates.iter().take(TOLD)
        {
            line.push_str(&format!(" [{name}, {description}"));
            line.push_str(if reasons.is_empty() { "" } else { ": " });
            line.push_str(&format!("{}]", reasons.join(", ")));
        }
        if let Some(untold) = self.untold() {
            line.push_str(&format!(" [{untold}]"));
        }
        line
    }
}

impl fmt::Display for PlanProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n    {}", self.message, self.advice)?;
        for candidate in self.candidates.iter().take(TOLD) {
            write!(f, "\n    {}  {}", candidate.name, candidate.description)?;
            for reason in &candidate.reasons {
                write!(f, "\n        - {reason}")?;
            }
        }
        if let Some(untold) = self.untold() {
            write!(f, "\n    {untold}")?;
        }
        Ok(())
    }
}

/// All reasons why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct PlanProblems(pub Vec<PlanProblem>);

impl PlanProblems {
    /// For events and reports: what happened, and then one line for each problem.
    pub fn lines(&self) -> Vec<String> {
        let head = "there is no plan for this machine that fits the answers; nothing was written"
            .to_owned();
        std::iter::once(head)
            .chain(self.0.iter().map(PlanProblem::line))
            .collect()
    }

    /// True when the verdict on the hardware is the only thing in the way.
    pub fn only_verdict(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|problem| problem.about == About::Verdict)
    }
}

impl fmt::Display for PlanProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{problem}")?;
        }
        match self.0.len() {
            1 => write!(f, "1 problem; nothing was written"),
            n => write!(f, "{n} problems; nothing was written"),
        }
    }
}
