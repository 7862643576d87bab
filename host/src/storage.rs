//! Storage repositories and the virtual disks in them.
//!
//! A repository is a volume group of the host, where a disk is a logical volume; a folder on an ext4 file system that was
//! made for it, where a disk is a sparse file; or the folder with ISO images.

pub mod copy;
pub mod ext;
pub mod groups;
pub mod lvm;
pub mod revert;

use crate::XeError;
use crate::local::{derived_uuid, host_uuid};
use slots::names::{STORAGE_FILES, STORAGE_FILES_LV, STORAGE_VG};
use std::path::{Path, PathBuf};
use steps::System;

/// Where ISO images are; it is on the state partition.
pub const ISO_FOLDER: &str = "/srv/iso";

/// How disks are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Logical volumes of a volume group.
    Lvm,
    /// Sparse files on an ext4 file system.
    Ext,
    /// ISO images in a folder, which are only read.
    Iso,
}

impl Kind {
    /// As `sr-list` shows it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Lvm => "lvm",
            Kind::Ext => "ext",
            Kind::Iso => "iso",
        }
    }
}

/// A storage repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its identity.
    pub uuid: String,
    /// How disks are kept.
    pub kind: Kind,
    /// The volume group, or the folder.
    pub place: String,
    /// Bytes in all; unknown where it is not mounted, or its volume group is not there.
    pub size: Option<u64>,
    /// Bytes that are taken.
    pub used: Option<u64>,
    /// Where it has its bytes from, for `ext`: what is in /etc/fstab.
    pub device: Option<String>,
    /// A disk of its volume group is missing.
    pub partial: bool,
}

impl Repository {
    /// The volume group that belongs to it alone; none for folders elsewhere.
    pub fn group(&self) -> Option<&str> {
        match self.kind {
            Kind::Lvm => Some(&self.place),
            Kind::Ext if Path::new(&self.place).starts_with(STORAGE_FILES) => {
                let volume = self.device.as_deref()?.strip_prefix("/dev/")?;
                volume.strip_suffix(STORAGE_FILES_LV)?.strip_suffix('/')
            }
            Kind::Ext | Kind::Iso => None,
        }
    }

    /// True for the one on the disk of the host.
    pub fn is_local(&self) -> bool {
        self.group() == Some(STORAGE_VG)
    }

    /// The name that it has by itself.
    pub fn name(&self) -> String {
        match (self.group(), self.kind) {
            (Some(STORAGE_VG), _) => "Local storage".to_owned(),
            (Some(group), _) => groups::label(group).to_owned(),
            (None, Kind::Iso) => "ISO images".to_owned(),
            (None, _) => "Local files".to_owned(),
        }
    }

    /// The folder that the paths of its disks start with.
    pub fn folder(&self) -> PathBuf {
        match self.kind {
            Kind::Lvm => Path::new("/dev").join(&self.place),
            Kind::Ext | Kind::Iso => PathBuf::from(&self.place),
        }
    }

    /// # Errors
    /// Its disks cannot be reached.
    pub fn attached(&self) -> Result<(), XeError> {
        if self.size.is_some() || self.kind == Kind::Iso {
            return Ok(());
        }
        let what = match self.kind {
            Kind::Lvm => format!("The volume group {} is not there", self.place),
            Kind::Ext | Kind::Iso => format!("Nothing is mounted at {}", self.place),
        };
        Err(XeError::failure(
            "SR_NOT_ATTACHED",
            format!("{what}: is the disk there? sr-forget takes the repository out and keeps what is on it."),
        )
        .with("sr", self.uuid.clone()))
    }
}

/// A virtual disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Its identity.
    pub uuid: String,
    /// The name that it has by itself.
    pub name: String,
    /// UUID of its repository.
    pub repository: String,
    /// How it is kept.
    pub kind: Kind,
    /// The block device or file.
    pub path: PathBuf,
    /// Bytes that a guest sees.
    pub size: u64,
    /// Bytes that it takes of the repository.
    pub used: u64,
    /// The disk that it is a snapshot of.
    pub snapshot_of: Option<String>,
}

/// All repositories of this host.
pub fn repositories(system: &dyn System) -> Result<Vec<Repository>, XeError> {
    let host = host_uuid(system);
    let found = lvm::volume_groups(system)?;
    let mut files = ext::repositories(system)?;
    let mut all = Vec::new();
    for name in groups::names(system)? {
        let group = found.iter().find(|group| group.name == name);
        let partial = group.is_some_and(|group| group.partial);
        let of_group = |repository: &Repository| repository.group() == Some(name.as_str());
        all.push(match files.iter().position(of_group) {
            Some(index) => Repository {
                partial,
                ..files.remove(index)
            },
            None => Repository {
                uuid: match group {
                    Some(group) => group.uuid.clone(),
                    None => derived_uuid(host, "sr", &name).to_string(),
                },
                kind: Kind::Lvm,
                size: group.map(|group| group.size),
                used: group.map(|group| group.size.saturating_sub(group.free)),
                device: None,
                partial,
                place: name,
            },
        });
    }
    all.extend(files);
    if system.exists(Path::new(ISO_FOLDER)) {
        let space = ext::space(system, ISO_FOLDER);
        all.push(Repository {
            uuid: derived_uuid(host, "sr", ISO_FOLDER).to_string(),
            kind: Kind::Iso,
            place: ISO_FOLDER.to_owned(),
            size: space.map(|(size, _)| size),
            used: space.map(|(_, used)| used),
            device: None,
            partial: false,
        });
    }
    Ok(all)
}

/// All disks of these repositories.
pub fn disks(system: &dyn System, repositories: &[Repository]) -> Result<Vec<Disk>, XeError> {
    let mut all = Vec::new();
    for repository in repositories {
        all.extend(match repository.kind {
            Kind::Lvm => lvm::disks(system, repository)?,
            Kind::Ext | Kind::Iso => ext::disks(system, repository)?,
        });
    }
    Ok(all)
}

/// The disk with this UUID.
pub fn disk(system: &dyn System, uuid: &str) -> Result<Disk, XeError> {
    let repositories = repositories(system)?;
    disks(system, &repositories)?
        .into_iter()
        .find(|disk| disk.uuid == uuid)
        .ok_or_else(|| crate::selection::uuid_invalid("vdi", uuid))
}

/// The repository with this UUID.
pub fn repository(system: &dyn System, uuid: &str) -> Result<Repository, XeError> {
    repositories(system)?
        .into_iter()
        .find(|repository| repository.uuid == uuid)
        .ok_or_else(|| crate::selection::uuid_invalid("sr", uuid))
}

/// Makes a disk of at least `size` bytes, full of nothing in particular where it is a volume (what was there before), of
/// zeros where it is a file.
pub fn create(system: &dyn System, repository: &Repository, size: u64) -> Result<Disk, XeError> {
    repository.attached()?;
    let uuid = uuid::Uuid::new_v4().to_string();
    if let (Some(all), Some(used)) = (repository.size, repository.used)
        && repository.kind == Kind::Lvm
        && size > all.saturating_sub(used)
    {
        return Err(XeError::failure(
            "SR_FULL",
            "The storage repository has too little free space; remove disks or snapshots, or choose a smaller size.",
        )
        .with("requested", size.to_string())
        .with("free", all.saturating_sub(used).to_string()));
    }
    let path = match repository.kind {
        Kind::Lvm => lvm::create(system, &repository.place, &uuid, size)?,
        Kind::Ext => ext::create(system, repository, &uuid, size)?,
        Kind::Iso => {
            return Err(XeError::failure(
                "SR_OPERATION_NOT_SUPPORTED",
                format!("No disks are made among the ISO images: copy images to {ISO_FOLDER}."),
            )
            .with("sr", repository.uuid.clone()));
        }
    };
    Ok(Disk {
        name: uuid.clone(),
        uuid,
        repository: repository.uuid.clone(),
        kind: repository.kind,
        path,
        size,
        used: size,
        snapshot_of: None,
    })
}

/// Removes a disk. Whether somebody uses it is for the caller to know.
pub fn destroy(system: &dyn System, disk: &Disk) -> Result<(), XeError> {
    match disk.kind {
        Kind::Lvm => lvm::remove(system, &disk.path),
        Kind::Ext | Kind::Iso => system
            .remove_file(&disk.path)
            .map_err(|e| XeError::system(&e)),
    }
}

/// Makes a disk larger.
pub fn resize(system: &dyn System, disk: &Disk, size: u64) -> Result<(), XeError> {
    if size < disk.size {
        return Err(XeError::failure(
            "VDI_TOO_SMALL",
            "A disk is never made smaller: its end would be lost.",
        )
        .with("vdi", disk.uuid.clone())
        .with("current", disk.size.to_string()));
    }
    match disk.kind {
        Kind::Lvm => lvm::extend(system, &disk.path, size),
        Kind::Ext => ext::extend(system, &disk.path, size),
        Kind::Iso => Err(read_only(disk)),
    }
}

/// Images of media are not changed.
pub fn read_only(disk: &Disk) -> XeError {
    XeError::failure(
        "VDI_READONLY",
        "This is the image of a medium, which is only read.",
    )
    .with("vdi", disk.uuid.clone())
}

/// Makes a file of `size` zeros that takes no room yet.
pub fn make_file(system: &dyn System, path: &Path, size: u64) -> Result<(), XeError> {
    ext::extend(system, path, size)
}

/// The repository for disks that nobody said a place for: the one on the disk of the host, else the first one that takes
/// disks.
pub fn default_repository(system: &dyn System) -> Result<Repository, XeError> {
    repositories(system)?
        .into_iter()
        .find(|repository| repository.kind != Kind::Iso && repository.attached().is_ok())
        .ok_or_else(|| {
            XeError::failure(
                "DEFAULT_SR_NOT_FOUND",
                "There is no storage repository that takes disks; make one by sr-create.",
            )
        })
}

/// Makes a repository: the folder for ISO images, or files on `device`, or on a volume of `size` bytes. Returns its UUID.
pub fn create_repository(
    system: &dyn System,
    kind: Kind,
    device: Option<&str>,
    size: Option<u64>,
) -> Result<String, XeError> {
    if kind == Kind::Iso {
        system
            .create_dir_all(Path::new(ISO_FOLDER))
            .map_err(|e| XeError::system(&e))?;
        return Ok(derived_uuid(host_uuid(system), "sr", ISO_FOLDER).to_string());
    }
    let uuid = uuid::Uuid::new_v4().to_string();
    let (device, own) = match (device, size) {
        (Some(device), _) => {
            let device = PathBuf::from(device);
            ext::refuse_content(system, &device)?;
            (device, false)
        }
        (None, size) => {
            let volume = lvm::create_repository_volume(system, &uuid, size.unwrap_or(0))?;
            (volume, true)
        }
    };
    if let Err(error) = ext::make(system, &device, &uuid) {
        // The error that is told is the first one.
        let _ = ext::unmake(system, &uuid);
        if own {
            let _ = lvm::remove(system, &device);
        }
        return Err(error);
    }
    Ok(uuid)
}

/// True when both are the same device or file, whatever they are called: a logical volume is `/dev/GROUP/NAME` and
/// `/dev/mapper/GROUP-NAME`, and a definition that somebody wrote by hand may have either.
pub fn is_same(system: &dyn System, one: &Path, other: &Path) -> bool {
    one == other || system.real_path(one) == system.real_path(other)
}

/// What is in a repository beside its disks; none where it keeps volumes, which are all disks.
pub fn other_files(system: &dyn System, repository: &Repository) -> Result<Vec<String>, XeError> {
    match repository.kind {
        Kind::Ext => ext::other_files(system, repository),
        Kind::Lvm | Kind::Iso => Ok(Vec::new()),
    }
}

/// Takes an empty repository away, and its volume or volume group where it has one.
pub fn remove_repository(system: &dyn System, repository: &Repository) -> Result<(), XeError> {
    if repository.kind == Kind::Ext {
        ext::forget(system, repository)?;
    }
    let Some(group) = repository.group() else {
        let volume = lvm::repository_volume(&repository.uuid);
        return match system.exists(&volume) {
            true => lvm::remove(system, &volume),
            false => Ok(()),
        };
    };
    if let Some(volume) = &repository.device {
        lvm::remove(system, Path::new(volume))?;
    }
    lvm::remove_group(system, group)?;
    groups::forget(system, group)
}

/// Takes a repository out of the host; its disks stay where they are.
pub fn forget_repository(system: &dyn System, repository: &Repository) -> Result<(), XeError> {
    if repository.kind == Kind::Ext {
        ext::forget(system, repository)?;
    }
    let Some(group) = repository.group() else {
        return Ok(());
    };
    if lvm::volume_groups(system)?
        .iter()
        .any(|found| found.name == group)
    {
        lvm::deactivate_group(system, group)?;
    }
    groups::forget(system, group)
}
