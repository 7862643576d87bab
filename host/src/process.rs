//! Which process it is: the kernel gives its ids anew, after a restart of the host from the beginning.

use crate::local::{BOOT_ID, short_text};
use serde::{Deserialize, Serialize};
use std::path::Path;
use steps::System;

/// A process, as files remember it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Process {
    /// Its id.
    #[serde(rename = "process")]
    pub id: u32,
    /// When it began, in clock ticks since the host started; none in what an earlier release wrote, or where it was not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started: Option<u64>,
    /// The start of the host that it is of; none as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boot: Option<String>,
}

impl Process {
    /// This one.
    pub fn own(system: &dyn System) -> Process {
        let id = std::process::id();
        Process {
            id,
            started: started(system, id),
            boot: short_text(system, BOOT_ID),
        }
    }

    /// Whether it lives. One that only has the same id is another.
    pub fn is_there(&self, system: &dyn System) -> bool {
        let boot = short_text(system, BOOT_ID);
        let is_of_earlier = self.boot.is_some() && boot.is_some() && self.boot != boot;
        !is_of_earlier
            && match self.started {
                Some(_) => started(system, self.id) == self.started,
                None => system.exists(Path::new(&format!("/proc/{}", self.id))),
            }
    }
}

/// When the process with this id began; none where there is none. Source: proc_pid_stat(5), field 22.
fn started(system: &dyn System, id: u32) -> Option<u64> {
    let stat = short_text(system, format!("/proc/{id}/stat"))?;
    // The second field is the name of the program in parentheses, with whatever it holds; the third follows.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps::{RealSystem, RecordingSystem};

    /// A program that makes it hard to find the fields.
    fn stat(started: u64) -> String {
        format!(
            "7 (a) b (c) S 1 7 7 0 -1 4194560 10 0 0 0 5 6 0 0 20 0 1 0 {started} 225280 100 0\n"
        )
    }

    #[test]
    fn one_that_only_has_the_same_id_is_another() {
        let host = |boot: &str, started: u64| {
            RecordingSystem::new()
                .file(BOOT_ID, format!("{boot}\n"))
                .file("/proc/7/stat", stat(started))
        };
        let process = Process {
            id: 7,
            started: Some(4711),
            boot: Some("first".into()),
        };
        assert!(process.is_there(&host("first", 4711)));
        assert!(!process.is_there(&host("first", 4712)));
        assert!(!process.is_there(&host("second", 4711)));
        assert!(!process.is_there(&RecordingSystem::new().file(BOOT_ID, "first")));
        // As an earlier release wrote it.
        let old: Process = serde_json::from_str(r#"{"process":7}"#).unwrap();
        assert!(old.is_there(&host("second", 4712)));
        assert!(!old.is_there(&RecordingSystem::new()));
    }

    #[test]
    fn this_process_is_there() {
        let system = RealSystem::silent();
        let own = Process::own(&system);
        assert!(own.started.is_some() && own.boot.is_some(), "{own:?}");
        assert!(own.is_there(&system));
        let text = serde_json::to_string(&own).unwrap();
        assert_eq!(serde_json::from_str::<Process>(&text).unwrap(), own);
    }
}
