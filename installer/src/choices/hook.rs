//! Programs of the operator that run in the course of the installation.

use crate::values::Script;
use steps::hook::Stage;

/// A program of the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookChoice {
    /// Its name, also that of its file: lowercase letters, digits and hyphens. Each is there once.
    pub name: String,
    /// When it runs.
    pub when: Stage,
    /// What runs.
    pub program: HookProgram,
    /// Seconds after which it is killed.
    pub time_limit_s: u64,
    /// True when a failure is a warning.
    pub may_fail: bool,
}

/// What a hook runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookProgram {
    /// A script in the answers.
    Inline(Script),
    /// A file beside the answers.
    File {
        /// Its path from the folder of the answers.
        file: String,
        /// The only content that it may have, lowercase hexadecimal.
        sha256: Option<String>,
        /// Its content; none until [`crate::answers::load_hooks`] read it.
        content: Option<Script>,
    },
}

impl HookChoice {
    /// What runs; none for a file that was not read.
    pub fn script(&self) -> Option<&Script> {
        match &self.program {
            HookProgram::Inline(script) => Some(script),
            HookProgram::File { content, .. } => content.as_ref(),
        }
    }
}
