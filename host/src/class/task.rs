//! Long commands that run now.

use super::Class;
use crate::record::{Field, Record};
use crate::task::{self, TaskRecord};

pub(super) const CLASS: Class = Class {
    name: "task",
    plural: "long commands that run",
    fields: &[
        Field::listed("uuid"),
        Field::listed("name-label"),
        Field::listed("status"),
        Field::listed("progress"),
        Field::more("created"),
        Field::more("process"),
    ],
    labeled: false,
    single: false,
    read: |system, _| Ok(task::all(system)?.iter().map(record).collect()),
    write: None,
};

fn record(task: &TaskRecord) -> Record {
    let created = crate::clock::shown(task.created);
    Record::new()
        .with("uuid", task.uuid.clone())
        .with("name-label", task.name.clone())
        .with("status", "pending")
        // From 0 to 1, as XenServer has it.
        .with(
            "progress",
            format!("{}.{:02}", task.percent / 100, task.percent % 100),
        )
        .with("created", created)
        .with("process", task.process.id)
}
