//! Long commands that run now.

use super::uuid_of;
use crate::XeError;
use crate::record::Record;
use crate::task;
use crate::verb::{Asked, Outcome, Run, Verb};

pub(super) const VERBS: &[Verb] = &[Verb {
    name: "task-cancel",
    summary: "Ends a long command; what it had made is taken back",
    args: &[],
    run: Run::Each("task", cancel),
}];

/// Commands that copy disks, and take as long as that does. They can be ended at any time.
const COPYING: [&str; 10] = [
    "snapshot-copy",
    "snapshot-export",
    "vdi-copy",
    "vdi-export",
    "vdi-import",
    "vm-clone",
    "vm-copy",
    "vm-export",
    "vm-import",
    "vm-install",
];

/// Commands that take a while and are not ended in the middle: something would be left half done.
const WHOLE: [&str; 5] = [
    "snapshot-revert",
    "snapshot-uninstall",
    "vm-snapshot",
    "vm-suspend",
    "vm-uninstall",
];

/// Commands that others should know of while they run: the host does not restart meanwhile.
pub fn is_long(verb: &Verb) -> bool {
    COPYING.contains(&verb.name) || WHOLE.contains(&verb.name)
}

fn cancel(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let name = record.text("name-label").unwrap_or_default();
    let uuid = uuid_of(record)?;
    match WHOLE.contains(&name.as_str()) {
        true => Err(XeError::failure(
            "OPERATION_NOT_ALLOWED",
            "This command is not ended in the middle: something would be left half done. Wait for its end.",
        )
        .with("task", uuid)
        .with("name-label", name)),
        false => task::cancel(asked.around.system, &uuid).map(|()| Outcome::Done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_a_task() {
        let long: Vec<_> = crate::verbs::all()
            .filter(|verb| is_long(verb))
            .map(|verb| verb.name)
            .collect();
        assert_eq!(long.len(), 15, "a name of the list is no command: {long:?}");
    }
}
