//! Storage repositories: looked through, made, taken away.

use super::uuid_of;
use crate::XeError;
use crate::change::Change;
use crate::labels;
use crate::locks;
use crate::record::Record;
use crate::storage::{
    self, Kind as Storage, create_repository, forget_repository, remove_repository,
};
use crate::verb::{Arg, Asked, Kind, Outcome, Run, Verb};
use std::path::Path;

pub(super) const VERBS: &[Verb] = &[
    Verb {
        name: "sr-scan",
        summary: "Looks for disks and images that were put there by hand; lists are always fresh, so it only checks",
        args: &[],
        run: Run::Each("sr", scan),
    },
    Verb {
        name: "sr-create",
        summary: "Makes a storage repository of sparse files on a disk, or in a volume of the local storage; prints its uuid",
        args: &[
            Arg::needed("name-label", Kind::Text, "its name"),
            Arg::needed(
                "type",
                Kind::OneOf(&["ext", "iso"]),
                "ext: files; iso: the folder for images of media",
            ),
            Arg::may(
                "device-config:device",
                Kind::File,
                "the disk or partition that it gets, which must be empty (ext)",
            ),
            Arg::may(
                "physical-size",
                Kind::Size,
                "how much of the local storage it gets, where no device is given (ext)",
            ),
        ],
        run: Run::Once(create),
    },
    Verb {
        name: "sr-forget",
        summary: "Takes a repository out of the host; its disks stay where they are",
        args: &[],
        run: Run::Each("sr", forget),
    },
    Verb {
        name: "sr-destroy",
        summary: "Takes an empty repository away, and frees its disks or what it had of the local storage",
        args: &[],
        run: Run::Each("sr", destroy),
    },
];

fn scan(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let repository = storage::repository(asked.around.system, &uuid_of(record)?)?;
    storage::disks(asked.around.system, &[repository]).map(|_| Outcome::Done)
}

fn create(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    let system = asked.around.system;
    let kind = match asked.needed("type")? {
        "iso" => Storage::Iso,
        _ => Storage::Ext,
    };
    let device = asked.get("device-config:device");
    let size = asked.size("physical-size")?;
    if kind == Storage::Ext && device.is_some() == size.is_some() {
        return Err(XeError::usage(
            "give device-config:device= for a disk of its own, or physical-size= for a part of the local storage",
        ));
    }
    if device.is_some_and(|path| !path.starts_with("/dev/")) {
        return Err(XeError::usage(
            "device-config:device= is no block device: write its path, as in /dev/sdb",
        ));
    }
    if let Some(device) = device {
        // Two of them may find the same device empty.
        asked
            .task
            .hold(locks::new_device(system, Path::new(device))?);
    }
    let uuid = create_repository(system, kind, device, size)?;
    let name = Change::Set("name-label", asked.needed("name-label")?.to_owned());
    labels::change(system, &uuid, &[name])?;
    Ok(Outcome::Made(uuid))
}

/// One that may go: nobody has a disk in it, and it is neither where the host is nor the folder of the images.
fn removable(asked: &Asked<'_>, record: &Record) -> Result<storage::Repository, XeError> {
    let repository = storage::repository(asked.around.system, &uuid_of(record)?)?;
    if repository.is_local() || repository.kind == Storage::Iso {
        return Err(XeError::failure(
            "SR_OPERATION_NOT_SUPPORTED",
            "This repository belongs to the installation and stays.",
        )
        .with("sr", repository.uuid));
    }
    let disks = storage::disks(asked.around.system, std::slice::from_ref(&repository))?;
    let mut places = vec![repository.folder()];
    places.extend(disks.into_iter().map(|disk| disk.path));
    super::disk::refuse_users(asked, &places)?;
    Ok(repository)
}

fn forget(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let repository = removable(asked, record)?;
    forget_repository(asked.around.system, &repository)?;
    Ok(Outcome::Done)
}

fn destroy(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let system = asked.around.system;
    let repository = removable(asked, record)?;
    // Nobody knows which disks are in one that cannot be seen.
    repository.attached()?;
    if repository.partial {
        return Err(XeError::failure(
            "SR_NOT_ATTACHED",
            "A disk of its volume group is missing: bring it back, or use sr-forget.",
        )
        .with("sr", repository.uuid));
    }
    if !storage::disks(system, std::slice::from_ref(&repository))?.is_empty() {
        return Err(XeError::failure(
            "SR_NOT_EMPTY",
            "There are disks in it; destroy them first, or use sr-forget to keep them.",
        )
        .with("sr", repository.uuid));
    }
    let others = storage::other_files(system, &repository)?;
    if !others.is_empty() {
        return Err(XeError::failure(
            "SR_NOT_EMPTY",
            "There are files in it that are no disks of xe; move them elsewhere first, or use sr-forget to keep them.",
        )
        .with("sr", repository.uuid)
        .with("files", others.join(", ")));
    }
    remove_repository(system, &repository)?;
    Ok(Outcome::Done)
}
