//! A verdict as it leaves the program: with what it was reached by.

use super::Verdict;
use crate::list::{List, ListId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a machine was judged by. It is the same for all machines of a stream: made once, because the digest takes as long as
/// some machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JudgedBy {
    /// The program.
    pub tool: JudgingTool,
    /// The list.
    pub list: JudgingList,
}

/// The program that judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JudgingTool {
    /// Its version, which is that of the release.
    pub version: String,
}

/// The list that a machine was judged by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JudgingList {
    /// Whether it is the one of the release. Another one was given with `--list`.
    pub built_in: bool,
    /// SHA-256 of its bundle, as `hcl-checker bundle` writes it.
    pub sha256: String,
    /// Entries and requirements in it.
    pub rules: u64,
}

impl JudgedBy {
    /// This program and a list; `built_in` says whether that is the program's own.
    pub fn of(list: &List, built_in: bool) -> Self {
        let ListId { sha256, rules } = ListId::of(list);
        Self {
            tool: JudgingTool {
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            list: JudgingList {
                built_in,
                sha256,
                rules,
            },
        }
    }
}

/// A verdict and what it was reached by: what `check --json` writes.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "Verdict")]
pub struct Judged<'a> {
    /// What it was reached by.
    #[serde(flatten)]
    pub by: &'a JudgedBy,
    /// The verdict itself.
    #[serde(flatten)]
    pub verdict: &'a Verdict,
}
