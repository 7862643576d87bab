//! Folders: sparse files on ext4 file systems that were made for them, and ISO images.

use super::{Disk, Kind, Repository};
use crate::XeError;
use crate::local::{derived_uuid, host_uuid};
use crate::locks;
use slots::names::STORAGE_FILES;
use std::path::{Path, PathBuf};
use steps::{Command, System};

/// Below it every repository that `xe` made is mounted at its UUID.
pub const MOUNTS: &str = "/srv/xen";
const FSTAB: &str = "/etc/fstab";

/// Devices and folders of the repositories in /etc/fstab.
pub(super) fn listed(system: &dyn System) -> Result<Vec<(String, String)>, XeError> {
    if !system.exists(Path::new(FSTAB)) {
        return Ok(Vec::new());
    }
    let fstab = system
        .read_file(Path::new(FSTAB))
        .map_err(|e| XeError::system(&e))?;
    Ok(parse_fstab(&String::from_utf8_lossy(&fstab)))
}

/// The repositories that /etc/fstab knows.
pub(super) fn repositories(system: &dyn System) -> Result<Vec<Repository>, XeError> {
    let host = host_uuid(system);
    Ok(listed(system)?
        .into_iter()
        .map(|(device, place)| {
            let own = Path::new(&place).strip_prefix(MOUNTS).ok();
            let uuid = match own {
                Some(uuid) => uuid.display().to_string(),
                None => derived_uuid(host, "sr", &place).to_string(),
            };
            let space = mounted_space(system, &place);
            Repository {
                uuid,
                kind: Kind::Ext,
                size: space.map(|(size, _)| size),
                used: space.map(|(_, used)| used),
                place,
                device: Some(device),
                partial: false,
            }
        })
        .collect())
}

/// Devices and folders of the repositories: those that `xe` made have a UUID for a name, those of the installation are in a
/// folder of theirs.
fn parse_fstab(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let device = words.next().filter(|word| !word.starts_with('#'))?;
            let place = words.next()?;
            let (folder, name) = place.rsplit_once('/')?;
            let made = folder == MOUNTS && uuid::Uuid::try_parse(name).is_ok();
            let installed = folder == STORAGE_FILES && !name.is_empty();
            (made || installed).then(|| (device.to_owned(), place.to_owned()))
        })
        .collect()
}

/// Size and used bytes of what is mounted at `place` itself; none where nothing is.
fn mounted_space(system: &dyn System, place: &str) -> Option<(u64, u64)> {
    let output = df(system, place)?;
    let (target, size, used) = parse_df(&output)?;
    (target == place).then_some((size, used))
}

/// Size and used bytes of the file system that `folder` is on.
pub(super) fn space(system: &dyn System, folder: &str) -> Option<(u64, u64)> {
    parse_df(&df(system, folder)?).map(|(_, size, used)| (size, used))
}

fn df(system: &dyn System, path: &str) -> Option<String> {
    let command = Command::new("df").args(["--block-size=1", "--output=target,size,used", path]);
    system.run(&command).ok().map(|output| output.text())
}

fn parse_df(text: &str) -> Option<(String, u64, u64)> {
    let mut words = text.lines().nth(1)?.split_whitespace();
    Some((
        words.next()?.to_owned(),
        words.next()?.parse().ok()?,
        words.next()?.parse().ok()?,
    ))
}

/// The files that are disks.
pub(super) fn disks(system: &dyn System, repository: &Repository) -> Result<Vec<Disk>, XeError> {
    // What is not mounted has no files, only an empty folder.
    if repository.kind == Kind::Ext && repository.size.is_none() {
        return Ok(Vec::new());
    }
    let command = Command::new("find").arg(&repository.place).args([
        "-maxdepth",
        "1",
        "-type",
        "f",
        "-printf",
        r"%s\t%b\t%f\n",
    ]);
    let output = system.run(&command).map_err(|e| XeError::system(&e))?;
    let host = host_uuid(system);
    let mut disks: Vec<_> = output
        .text()
        .lines()
        .filter_map(|line| parse_file(line, repository, host))
        .collect();
    disks.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(disks)
}

/// What is in the folder of a repository beside its disks: somebody put it there.
pub(super) fn other_files(
    system: &dyn System,
    repository: &Repository,
) -> Result<Vec<String>, XeError> {
    let disks: Vec<_> = disks(system, repository)?
        .into_iter()
        .map(|disk| disk.name)
        .collect();
    let names = system
        .list_dir(Path::new(&repository.place))
        .map_err(|e| XeError::system(&e))?;
    // mkfs.ext4 makes it.
    let mine = |name: &String| name == "lost+found" || disks.contains(name);
    Ok(names.into_iter().filter(|name| !mine(name)).collect())
}

/// `size <tab> blocks of 512 bytes <tab> name`. Files that are no disks are none.
fn parse_file(line: &str, repository: &Repository, host: Option<uuid::Uuid>) -> Option<Disk> {
    let mut words = line.splitn(3, '\t');
    let size = words.next()?.parse().ok()?;
    let used = words.next()?.parse::<u64>().ok()?.saturating_mul(512);
    let name = words.next()?;
    let path = PathBuf::from(&repository.place).join(name);
    let uuid = match repository.kind {
        Kind::Iso => {
            let lower = name.to_lowercase();
            (lower.ends_with(".iso") || lower.ends_with(".img")).then_some(())?;
            derived_uuid(host, "vdi", &path.to_string_lossy()).to_string()
        }
        _ => {
            let stem = name.strip_suffix(".raw")?;
            uuid::Uuid::try_parse(stem).ok()?;
            stem.to_owned()
        }
    };
    Some(Disk {
        uuid,
        name: name.to_owned(),
        repository: repository.uuid.clone(),
        kind: repository.kind,
        path,
        size,
        used,
        snapshot_of: None,
    })
}

pub(super) fn create(
    system: &dyn System,
    repository: &Repository,
    uuid: &str,
    size: u64,
) -> Result<PathBuf, XeError> {
    let path = Path::new(&repository.place).join(format!("{uuid}.raw"));
    extend(system, &path, size)?;
    Ok(path)
}

pub(super) fn extend(system: &dyn System, path: &Path, size: u64) -> Result<(), XeError> {
    system
        .run(
            &Command::new("truncate")
                .arg(format!("--size={size}"))
                .arg(path),
        )
        .map(drop)
        .map_err(|e| XeError::system(&e))
}

/// The line of /etc/fstab for a repository. A disk that is gone must not stop the host from coming up.
fn fstab_line(device: &str, uuid: &str) -> String {
    format!("{device} {MOUNTS}/{uuid} ext4 noatime,nofail,x-systemd.device-timeout=30s 0 2\n")
}

/// Refuses a device that holds something. Where nobody can be asked, mkfs.ext4 writes over a file system without a word.
pub(super) fn refuse_content(system: &dyn System, device: &Path) -> Result<(), XeError> {
    // Without `--all` it only looks (wipefs(8)): file systems, volumes, members of arrays, partition tables.
    let look = Command::new("wipefs")
        .args(["--noheadings", "--output", "TYPE", "--"])
        .arg(device);
    let output = system
        .run(&look)
        .map_err(|e| XeError::failure("SR_BACKEND_FAILURE", XeError::system(&e).message))?;
    let found: Vec<_> = output
        .text()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    match found.is_empty() {
        true => Ok(()),
        false => Err(XeError::failure(
            "SR_DEVICE_IN_USE",
            "The device holds something; choose another one, or empty it by `wipefs --all` where nobody needs what is on it.",
        )
        .with("device", device.display().to_string())
        .with("holds", found.join(", "))),
    }
}

/// Makes a file system on `device`, has it mounted now and at every start.
pub fn make(system: &dyn System, device: &Path, uuid: &str) -> Result<(), XeError> {
    let run = |command: Command| {
        system
            .run(&command)
            .map_err(|e| XeError::failure("SR_BACKEND_FAILURE", XeError::system(&e).message))
    };
    // Without -F it refuses a device that is in use.
    run(Command::new("mkfs.ext4")
        .args(["-q", "-m", "0", "-U", uuid])
        .arg(device)
        .dies_with_us())?;
    let folder = format!("{MOUNTS}/{uuid}");
    system
        .create_dir_all(Path::new(&folder))
        .map_err(|e| XeError::system(&e))?;
    let held = locks::edit(system, FSTAB)?;
    let mut fstab = match system.exists(Path::new(FSTAB)) {
        true => system
            .read_file(Path::new(FSTAB))
            .map_err(|e| XeError::system(&e))?,
        false => Vec::new(),
    };
    if !fstab.is_empty() && !fstab.ends_with(b"\n") {
        fstab.push(b'\n');
    }
    fstab.extend(fstab_line(&format!("UUID={uuid}"), uuid).bytes());
    system
        .write_file(Path::new(FSTAB), &fstab, 0o644)
        .map_err(|e| XeError::system(&e))?;
    drop(held);
    run(Command::new("systemctl").arg("daemon-reload"))?;
    run(Command::new("mount").arg(folder)).map(drop)
}

/// Takes a repository out of the host; its disks stay where they are.
pub fn forget(system: &dyn System, repository: &Repository) -> Result<(), XeError> {
    if repository.size.is_some() {
        system
            .run(&Command::new("umount").arg(&repository.place))
            .map_err(|e| XeError::failure("SR_BACKEND_FAILURE", XeError::system(&e).message))?;
    }
    unlist(system, &repository.place)
}

/// Takes back what [`make`] did before it failed, but for the file system, which is on a device that held nothing.
pub(super) fn unmake(system: &dyn System, uuid: &str) -> Result<(), XeError> {
    match system.exists(Path::new(FSTAB)) {
        true => unlist(system, &format!("{MOUNTS}/{uuid}")),
        false => Ok(()),
    }
}

/// Takes the folder `place` out of /etc/fstab.
fn unlist(system: &dyn System, place: &str) -> Result<(), XeError> {
    let _held = locks::edit(system, FSTAB)?;
    let fstab = system
        .read_file(Path::new(FSTAB))
        .map_err(|e| XeError::system(&e))?;
    let old = String::from_utf8_lossy(&fstab);
    let text: String = old
        .split_inclusive('\n')
        .filter(|line| line.split_whitespace().nth(1) != Some(place))
        .collect();
    if text == old {
        return Ok(());
    }
    system
        .write_file(Path::new(FSTAB), text.as_bytes(), 0o644)
        .map_err(|e| XeError::system(&e))?;
    system
        .run(&Command::new("systemctl").arg("daemon-reload"))
        .map(drop)
        .map_err(|e| XeError::system(&e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps::RecordingSystem;

    const UUID: &str = "aaaaaaaa-1111-4111-8111-111111111111";

    fn repository(kind: Kind) -> Repository {
        Repository {
            uuid: UUID.into(),
            kind,
            place: format!("{MOUNTS}/{UUID}"),
            size: Some(1 << 30),
            used: Some(0),
            device: None,
            partial: false,
        }
    }

    #[test]
    fn what_is_made_is_found_again_and_can_be_forgotten() {
        let system = RecordingSystem::new()
            .file(FSTAB, "# none\nproc /proc proc defaults 0 0")
            .prints(
                "df",
                "Mounted on 1B-blocks Used\n/srv/xen/aaaaaaaa-1111-4111-8111-111111111111 1000 10\n",
            );
        make(&system, Path::new("/dev/sdb"), UUID).unwrap();
        let found = repositories(&system).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].size, found[0].used), (Some(1000), Some(10)));
        assert_eq!(found[0].uuid, UUID);
        forget(&system, &found[0]).unwrap();
        assert!(repositories(&system).unwrap().is_empty());
        let fstab = system.read_file(Path::new(FSTAB)).unwrap();
        assert_eq!(
            String::from_utf8(fstab).unwrap(),
            "# none\nproc /proc proc defaults 0 0\n"
        );
    }

    #[test]
    fn a_repository_that_is_not_mounted_has_no_size_and_takes_no_disk() {
        // What df says of the folder alone: it is on the root.
        let system = RecordingSystem::new()
            .file(FSTAB, fstab_line("UUID=x", UUID))
            .prints("df", "Mounted on 1B-blocks Used\n/ 1000 10\n");
        let found = repositories(&system).unwrap();
        assert_eq!(found[0].size, None);
        let error = super::super::create(&system, &found[0], 1).unwrap_err();
        assert_eq!(error.code, "SR_NOT_ATTACHED");
    }

    #[test]
    fn disks_are_files_with_a_uuid_and_media_are_iso_files() {
        let files = "1048576\t8\tbbbbbbbb-1111-4111-8111-111111111111.raw\n100\t8\tnotes.txt\n2048\t8\tdebian 13.ISO\n";
        let system = RecordingSystem::new().prints("find", files);
        let found = disks(&system, &repository(Kind::Ext)).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].size, found[0].used), (1 << 20, 4096));
        let media = disks(&system, &repository(Kind::Iso)).unwrap();
        assert_eq!(media.len(), 1);
        assert_eq!(media[0].name, "debian 13.ISO");
    }
}
