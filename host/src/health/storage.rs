//! The storage repositories that the host was installed with.

use super::checks::{Check, gib, one_line};
use crate::XeError;
use crate::storage::{Kind, Repository, groups, repositories};
use steps::System;

/// All of them, also those that cannot be reached. What `xe sr-create` made is the administrator's to look after: it may be
/// on a disk that is only there at times.
pub(super) fn installed(system: &dyn System) -> Result<Vec<Repository>, XeError> {
    let mut all = repositories(system)?;
    all.retain(|repository| repository.group().is_some());
    Ok(all)
}

/// Each must be there with all of its disks: a release that lacks the driver of one must not become the good one.
pub(super) fn check(system: &dyn System) -> Check {
    const NAME: &str = "storage";
    let all = match installed(system) {
        Ok(all) => all,
        Err(e) => return Check::unknown(NAME, one_line(&e.message)),
    };
    if !all.iter().any(Repository::is_local) {
        return Check::fail(NAME, "the host has no storage repository of its own");
    }
    let problems: Vec<_> = all.iter().filter_map(problem).collect();
    match problems.is_empty() {
        true => Check::pass(NAME, free(&all)),
        false => Check::fail(NAME, problems.join("; ")),
    }
}

fn problem(repository: &Repository) -> Option<String> {
    let group = repository.group()?;
    let what = match (repository.partial, repository.size, repository.kind) {
        (true, ..) => format!("a disk of the volume group {group} is missing"),
        (false, Some(_), _) => return None,
        (false, None, Kind::Lvm) => format!("there is no volume group {group}"),
        (false, None, _) => format!("nothing is mounted at {}", repository.place),
    };
    let advice = match repository.is_local() {
        true => "",
        false => ": bring its disk back, or take the repository out by xe sr-forget",
    };
    Some(format!("{what}{advice}"))
}

/// How much is free in each of those that can be reached.
pub(super) fn free(all: &[Repository]) -> String {
    let line = |repository: &Repository| {
        let (size, used) = (repository.size?, repository.used?);
        let free = format!("{} of {} free", gib(size.saturating_sub(used)), gib(size));
        match all.len() {
            1 => Some(free),
            _ => Some(format!("{}: {free}", groups::label(repository.group()?))),
        }
    };
    all.iter().filter_map(line).collect::<Vec<_>>().join(", ")
}
