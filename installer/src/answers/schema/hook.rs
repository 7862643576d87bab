//! `[[hook]]` as it is written.

use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt;

/// A program of yours that runs before the installation, before the first boot, or at the first boot.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// Its name in log and report: lowercase letters, digits and hyphens, 40 at most.
    pub name: Option<String>,
    /// `before-install`, `before-first-boot` or `first-boot`.
    pub when: Option<HookStage>,
    /// The script. Its first line names the program that reads it: `#!/bin/sh`.
    pub script: Option<String>,
    /// A file beside the answers, in place of `script`: `hooks/register.sh`.
    pub file: Option<String>,
    /// SHA-256 of `file`: any other content is refused.
    pub sha256: Option<String>,
    /// Seconds after which it is killed, 1 to 14400; 600 when absent.
    pub time_limit: Option<u64>,
    /// A failure is a warning and things go on; `false` when absent.
    pub may_fail: Option<bool>,
}

/// The script may hold secrets.
impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook(hidden)")
    }
}

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HookStage {
    /// In the live system, before anything is written.
    BeforeInstall,
    /// In the live system, when the host is laid down.
    BeforeFirstBoot,
    /// On the host, once.
    FirstBoot,
}
