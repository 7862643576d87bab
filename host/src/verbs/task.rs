//! Long commands that run now.

use super::uuid_of;
use crate::task;
use crate::verb::{Outcome, Run, Verb};

pub(super) const VERBS: &[Verb] = &[Verb {
    name: "task-cancel",
    summary: "Ends a long command; what it had made is taken back",
    args: &[],
    run: Run::Each("task", |asked, record| {
        task::cancel(asked.around.system, &uuid_of(record)?).map(|()| Outcome::Done)
    }),
}];

/// Commands that copy disks, and take as long as that does.
pub fn is_long(verb: &Verb) -> bool {
    const LONG: [&str; 10] = [
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
    LONG.contains(&verb.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_copies_disks_is_a_task() {
        let long: Vec<_> = crate::verbs::all()
            .filter(|verb| is_long(verb))
            .map(|verb| verb.name)
            .collect();
        assert_eq!(long.len(), 10, "a name of the list is no command: {long:?}");
    }
}
