//! Long commands that run now, so that another terminal sees how far they are and can end them in an orderly way.

use crate::XeError;
use crate::interrupt;
use crate::local::names_in;
use crate::process::Process;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use steps::System;
use steps::system::Held;

/// One file for each; gone with the next start of the host.
pub const FOLDER: &str = "/run/bedplate/xe-tasks";

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TaskRecord {
    /// Its identity.
    pub uuid: String,
    /// The command.
    pub name: String,
    /// The process that runs it.
    #[serde(flatten)]
    pub process: Process,
    /// When it began, in seconds since 1970.
    pub created: u64,
    /// How far it is, in percent.
    pub percent: u64,
}

/// A command that runs.
pub struct Task<'a> {
    system: &'a dyn System,
    /// None for a short one, which is not shown.
    record: Option<Mutex<TaskRecord>>,
    /// What the command has for itself until it ends.
    held: Mutex<Vec<Held>>,
}

fn file(uuid: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{uuid}.json"))
}

fn mark(uuid: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{uuid}.cancel"))
}

impl<'a> Task<'a> {
    /// One that is too short to be shown.
    pub fn short(system: &'a dyn System) -> Task<'a> {
        Task {
            system,
            record: None,
            held: Mutex::default(),
        }
    }

    /// Begins one that is shown until it is dropped. Where that does not work, the command works all the same.
    pub fn begin(system: &'a dyn System, name: &str, now: u64) -> Task<'a> {
        let task = Task {
            system,
            record: Some(Mutex::new(TaskRecord {
                uuid: uuid::Uuid::new_v4().to_string(),
                name: name.to_owned(),
                process: Process::own(system),
                created: now,
                percent: 0,
            })),
            held: Mutex::default(),
        };
        let _ = system.create_dir_all(Path::new(FOLDER));
        forget_dead(system);
        task.with_record(|record| write(system, record));
        task
    }

    fn with_record<T>(&self, act: impl FnOnce(&mut TaskRecord) -> T) -> Option<T> {
        let record = self.record.as_ref()?;
        let mut record = record
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        Some(act(&mut record))
    }

    /// Keeps locks until the command ends.
    pub fn hold(&self, held: impl IntoIterator<Item = Held>) {
        self.held
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .extend(held);
    }

    /// Tells how far it is; an error where somebody wants it to end.
    pub fn progress(&self, done: u64, all: u64) -> Result<(), XeError> {
        let percent = done
            .saturating_mul(100)
            .checked_div(all)
            .unwrap_or(100)
            .min(100);
        let canceled = self.with_record(|record| {
            if record.percent != percent {
                record.percent = percent;
                write(self.system, record);
            }
            // Of a large disk a percent takes minutes.
            self.system.exists(&mark(&record.uuid))
        });
        if self.record.is_some() && interrupt::is_wanted() {
            return Err(XeError::failure(
                "TASK_CANCELLED",
                "The command was ended by a signal; what it had made is taken back.",
            ));
        }
        match canceled {
            Some(true) => Err(XeError::failure(
                "TASK_CANCELLED",
                "The command was ended by task-cancel; what it had made is taken back.",
            )),
            _ => Ok(()),
        }
    }
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        let system = self.system;
        self.with_record(|record| {
            // A file that stays behind is told from a task by its process.
            let _ = system.remove_file(&file(&record.uuid));
            let _ = system.remove_file(&mark(&record.uuid));
        });
    }
}

fn write(system: &dyn System, record: &TaskRecord) {
    if let Ok(text) = serde_json::to_vec(record) {
        // Only shown; the command itself does not depend on it.
        let _ = system.write_file(&file(&record.uuid), &text, 0o644);
    }
}

/// Those whose process is there.
pub fn all(system: &dyn System) -> Result<Vec<TaskRecord>, XeError> {
    let read = |uuid: &String| {
        // One that ended meanwhile is none.
        let bytes = system.read_file(&file(uuid)).ok()?;
        serde_json::from_slice::<TaskRecord>(&bytes).ok()
    };
    let mut all: Vec<_> = names_in(system, FOLDER, ".json")?
        .iter()
        .filter_map(read)
        .filter(|task| task.process.is_there(system))
        .collect();
    all.sort_by_key(|task| (task.created, task.uuid.clone()));
    Ok(all)
}

/// Removes what processes left behind that were killed.
fn forget_dead(system: &dyn System) {
    for uuid in names_in(system, FOLDER, ".json").unwrap_or_default() {
        let bytes = system.read_file(&file(&uuid)).unwrap_or_default();
        let dead = serde_json::from_slice::<TaskRecord>(&bytes)
            .is_ok_and(|task| !task.process.is_there(system));
        if dead {
            // One that stays is told from a task by its process.
            let _ = system.remove_file(&file(&uuid));
            let _ = system.remove_file(&mark(&uuid));
        }
    }
}

/// Asks a task to end; it does so with its next step.
pub fn cancel(system: &dyn System, uuid: &str) -> Result<(), XeError> {
    system
        .write_file(&mark(uuid), b"", 0o644)
        .map_err(|e| XeError::system(&e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps::RecordingSystem;

    fn own_stat() -> String {
        format!("/proc/{}/stat", std::process::id())
    }

    #[test]
    fn a_task_is_seen_while_it_lives_and_ends_when_asked() {
        let system = RecordingSystem::new().file(own_stat(), "");
        assert!(all(&system).unwrap().is_empty());
        let task = Task::begin(&system, "vm-export", 7);
        task.progress(1, 4).unwrap();
        let seen = all(&system).unwrap();
        assert_eq!((seen.len(), seen[0].percent, seen[0].created), (1, 25, 7));
        let writes = system.calls().len();
        task.progress(1, 4).unwrap();
        assert_eq!(system.calls().len(), writes, "the same is not told twice");
        cancel(&system, &seen[0].uuid).unwrap();
        assert_eq!(task.progress(2, 4).unwrap_err().code, "TASK_CANCELLED");
        drop(task);
        assert!(
            system
                .list_dir(Path::new(FOLDER))
                .unwrap_or_default()
                .is_empty()
        );
        Task::short(&system).progress(1, 2).unwrap();
    }

    #[test]
    fn what_a_dead_process_left_behind_is_no_task() {
        let left = r#"{"uuid":"1","name":"vm-export","process":4194305,"created":1,"percent":5}"#;
        let system = RecordingSystem::new()
            .file(format!("{FOLDER}/1.json"), left)
            .file(format!("{FOLDER}/2.json"), "{");
        assert!(all(&system).unwrap().is_empty());
        drop(Task::begin(&system, "vm-export", 7));
        let names = system.list_dir(Path::new(FOLDER)).unwrap();
        assert_eq!(names, ["2.json"], "the next task cleans up");
    }

    #[test]
    fn a_process_that_got_the_id_of_a_dead_one_is_no_task() {
        let stat = |started: u64| {
            format!("1 (xe) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {started} 0 0 0\n")
        };
        let system = RecordingSystem::new().file(own_stat(), stat(100));
        // It is killed, and takes nothing back.
        std::mem::forget(Task::begin(&system, "vm-export", 7));
        assert_eq!(all(&system).unwrap().len(), 1);
        let system = system.file(own_stat(), stat(200));
        assert!(all(&system).unwrap().is_empty());
        drop(Task::begin(&system, "vm-export", 8));
        let names = system.list_dir(Path::new(FOLDER)).unwrap();
        assert_eq!(names, [""; 0], "the next task cleans up");
    }
}
