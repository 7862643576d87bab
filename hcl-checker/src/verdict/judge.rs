//! Puts facts and list together. Pure: the same facts give the same verdict, at any time and place.

use super::{Level, SCHEMA, Verdict, devices, platform};
use crate::drivers::DriverIndex;
use crate::facts::{Context, Facts};
use crate::list::List;
use std::cmp::Reverse;

/// Judges a machine before anybody said to which disk to install: the best disk that could be installed to counts.
///
/// `drivers` are those of the kernel that is going to run there. Without them a device that is not listed is unknown.
pub fn judge(facts: &Facts, list: &List, drivers: Option<&DriverIndex>) -> Verdict {
    judge_for_disks(facts, list, drivers, &[])
}

/// Judges a machine for an install to these disks, by kernel name (`vda`): each of their controllers counts. With no
/// disk named this is [`judge`].
pub fn judge_for_disks(
    facts: &Facts,
    list: &List,
    drivers: Option<&DriverIndex>,
    disks: &[&str],
) -> Verdict {
    let mut findings = vec![
        platform::context(facts),
        platform::system(facts, list),
        platform::cpu(facts, list),
    ];
    findings.extend(platform::sockets(facts));
    findings.extend(platform::requirements(facts, list));
    findings.extend(
        devices::Judge {
            facts,
            list,
            drivers,
        }
        .all(disks),
    );
    let worst = findings
        .iter()
        .filter(|finding| finding.essential)
        .filter_map(|finding| finding.level)
        .max();
    let mut level = worst.unwrap_or(Level::Unknown);
    // A virtual machine shows what its host likes to show, and where it is not known what this is, it may be one.
    if facts.context.value() != Some(&Context::Bare) {
        level = level.max(Level::Compatible);
    }
    findings.sort_by_key(|finding| Reverse((finding.severity, finding.level)));
    let kernel = drivers.map(|drivers| drivers.release.clone());
    Verdict {
        schema: SCHEMA,
        level,
        context: facts.context.clone(),
        kernel,
        findings,
    }
}
