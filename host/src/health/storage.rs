//! The storage repositories that the host was installed with.

use super::checks::{Check, Trial, gib, one_line};
use crate::XeError;
use crate::storage::{Kind, Repository, groups, repositories};
use std::collections::BTreeSet;
use steps::System;

/// All of them, also those that cannot be reached. What `xe sr-create` made is the administrator's to look after: it may be
/// on a disk that is only there at times.
pub(super) fn installed(system: &dyn System) -> Result<Vec<Repository>, XeError> {
    let mut all = repositories(system)?;
    all.retain(|repository| repository.group().is_some());
    Ok(all)
}

/// Volume groups of those that can be reached with all of their disks.
pub(super) fn reachable(system: &dyn System) -> Result<BTreeSet<String>, XeError> {
    let whole = |repository: &Repository| match problem(repository) {
        None => repository.group().map(str::to_owned),
        Some(_) => None,
    };
    Ok(installed(system)?.iter().filter_map(whole).collect())
}

/// The local one must be there. Of the others, those that were there before a release came on trial must be: a release that
/// lacks the driver of one must not become the good one, and one whose disk died is no fault of the release.
pub(super) fn check(system: &dyn System, trial: &Trial) -> Check {
    const NAME: &str = "storage";
    let all = match installed(system) {
        Ok(all) => all,
        Err(e) => return Check::unknown(NAME, one_line(&e.message)),
    };
    if !all.iter().any(Repository::is_local) {
        return Check::fail(NAME, "the host has no storage repository of its own");
    }
    let (mut faults, mut notes) = (Vec::new(), Vec::new());
    for (repository, problem) in all.iter().filter_map(|one| Some((one, problem(one)?))) {
        let group = repository.group().unwrap_or_default();
        let was_there = match &trial.before {
            Some(before) => before.repositories.contains(group),
            None => trial.has_way_back,
        };
        match repository.is_local() || was_there {
            true => faults.push(problem),
            false => notes.push(problem),
        }
    }
    match (faults.is_empty(), notes.is_empty()) {
        (true, true) => Check::pass(NAME, free(&all)),
        (true, false) => Check::warn(NAME, notes.join("; ")),
        (false, _) => {
            faults.append(&mut notes);
            Check::fail(NAME, faults.join("; "))
        }
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

#[cfg(test)]
mod tests {
    use crate::health::issue_text;
    use crate::health::testing::*;

    #[test]
    fn all_storage_that_was_installed_is_looked_at_and_shown() {
        let (system, esp) = (more_storage(), esp(&state(None, Some(RUNNING), 0)));
        let report = check_once(&system, &esp);
        assert!(report.passed, "{report}");
        let free = "local: 1.0 GiB of 2.0 GiB free, fast: 3.0 GiB of 4.0 GiB free, archive: 4.0 GiB of 8.0 GiB free";
        let check = report.checks.iter().find(|check| check.name == "storage");
        assert_eq!(check.unwrap().reason, free);
        assert!(issue_text(&system).contains(free));
        // On an ordinary boot a disk that died is told, and no reason to call the release bad.
        let missing = more_storage().prints("vgs", crate::storage::lvm::VGS);
        let report = check_once(&missing, &esp);
        assert!(report.passed, "{report}");
        assert!(
            report.to_string().contains(
                "there is no volume group bedplate-fast: bring its disk back, or take the repository out by xe sr-forget"
            ),
            "{report}"
        );
        let shown = issue_text(&missing);
        assert!(shown.contains("good, but look at: storage"), "{shown}");
    }

    #[test]
    fn storage_that_was_gone_before_makes_no_release_fall_back() {
        let trial = || esp(&state(Some(OTHER), Some(RUNNING), 0));
        let gone = || more_storage().prints("vgs", crate::storage::lvm::VGS);
        let lacks_driver = gone().file(BEFORE, before(&more_storage()));
        let report = check_once(&lacks_driver, &trial());
        assert!(!report.passed, "{report}");
        let died_before = gone().file(BEFORE, before(&gone()));
        let report = check_once(&died_before, &trial());
        assert!(report.passed, "{report}");
        assert!(report.to_string().contains("WARN     storage"), "{report}");
        // The disk of the host itself is no matter of before.
        let none = good_host().prints("vgs", r#"{"report":[{"vg":[]}]}"#);
        let report = check_once(&none.file(BEFORE, before(&gone())), &trial());
        assert!(!report.passed, "{report}");
    }
}
