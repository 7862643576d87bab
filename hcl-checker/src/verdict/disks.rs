//! Findings about disks to install to: is there one, is it large enough, and what of them could not be read.

use super::names::disk_name;
use super::{Finding, Level, Subject};
use crate::facts::{Disk, PciFunction};
use crate::known::Known;
use crate::text::size;

/// Bytes of the smallest disk that a host can be installed to. `slots` lays out the partitions, and a test compares: it is no
/// part of a checker without `certify`.
const LEAST_DISK: u64 = (18 << 30) + (3 << 20);

/// Where the size is not known, [`unread_disk`] tells.
pub(super) fn is_large_enough(disk: &Disk) -> bool {
    disk.size_bytes
        .value()
        .is_some_and(|&size| size >= LEAST_DISK)
}

/// A disk was named that does not hold a host, as far as is known.
pub(super) fn too_small(disk: &Disk) -> Finding {
    let subject = Subject::Disk(disk.name.clone());
    let finding = match &disk.size_bytes {
        Known::Value(bytes) => Finding::new("disk-too-small", subject, Level::Unsupported, true)
            .observed(format!("it has {}", size(*bytes, 1000)), &disk.source)
            .advice("choose a larger disk"),
        unknown => Finding::new("unknown-disk", subject, Level::Unknown, true)
            .observed(format!("its size is {unknown}"), &disk.source)
            .advice("run the check on the machine itself, as root"),
    };
    finding
        .name(disk_name(disk))
        .expected(format!("at least {}", size(LEAST_DISK, 1000)))
}

/// Why it is not known whether there is a disk to install to, and where that was read: what cannot be read of a disk may be
/// what makes it one, and behind a function without a number may be a controller.
pub(super) fn unread_disk(disks: &[Disk], functions: &[PciFunction]) -> Option<(String, String)> {
    let unread = disks.iter().find_map(|disk| {
        let reason = (disk.size_bytes.reason())
            .or(disk.removable.reason())
            .or(disk.read_only.reason())?;
        Some((format!("{}: {reason}", disk.name), disk.source.clone()))
    });
    unread.or_else(|| {
        let (reason, source) = unread_function(functions).filter(|_| disks.is_empty())?;
        Some((reason.to_owned(), source.to_owned()))
    })
}

/// A function whose numbers could not be read, with the reason and the place.
pub(super) fn unread_function(functions: &[PciFunction]) -> Option<(&str, &str)> {
    functions
        .iter()
        .find_map(|function| Some((function.ids.reason()?, function.source.as_str())))
}

/// It is not known whether there is a disk that could be installed to.
pub(super) fn unknown_disks(reason: &str, source: &str) -> Finding {
    Finding::new("unknown-disks", Subject::Storage, Level::Unknown, true)
        .name("disks")
        .observed(reason, source)
        .expected("a disk to install to")
        .advice("run the check on the machine itself, as root")
}

/// There is no disk that could be installed to.
pub(super) fn no_disk(disks: &[Disk], controllers: &[Finding]) -> Finding {
    let seen = disks.iter().map(|disk| match disk.size_bytes.value() {
        Some(&bytes) if bytes < LEAST_DISK && disk.is_install_candidate() => {
            format!("{} ({})", disk.name, size(bytes, 1000))
        }
        _ => disk.name.clone(),
    });
    let seen: Vec<String> = seen.collect();
    let observed = if seen.is_empty() {
        "no disk".to_owned()
    } else {
        format!(
            "none that is fixed, writable and has {}, among {}",
            size(LEAST_DISK, 1000),
            seen.join(", ")
        )
    };
    let undriven = controllers
        .iter()
        .any(|finding| finding.level == Some(Level::UnlistedWithoutDriver));
    let advice = match (undriven, controllers.is_empty()) {
        (true, _) => {
            "the kernel has no driver for a storage controller that is there; use another one"
        }
        (false, true) => {
            "the machine shows no storage controller either; look into the firmware's setup"
        }
        (false, false) => {
            "connect a disk that is large enough, or make its RAID volume visible in the firmware's setup"
        }
    };
    Finding::new(
        "no-install-disk",
        Subject::Storage,
        Level::Unsupported,
        true,
    )
    .name("disks")
    .observed(observed, "/sys/block")
    .expected("a disk to install to")
    .advice(advice)
}
