//! File operations of the real system that survive a power cut.

use super::{FileError, MAX_FILE};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

fn error<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> FileError + use<'a> {
    move |source| FileError {
        action,
        path: path.to_owned(),
        source,
    }
}

/// The folder of `path`.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// A name beside `path` that no one else uses: one run of a step at a time.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    parent(path).join(name)
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Fills a new file beside `path`, makes it durable, and moves it over `path`.
fn replace(
    path: &Path,
    mode: u32,
    fill: impl FnOnce(&mut File) -> io::Result<u64>,
) -> io::Result<u64> {
    let new = beside(path);
    let write = || {
        // What a power cut left there goes first, so that its permissions and links do not count.
        remove(&new)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&new)?;
        // The process's umask took bits away. FAT has no permissions and refuses most: its mount options decide.
        match file.set_permissions(Permissions::from_mode(mode)) {
            Err(e) if e.raw_os_error() != Some(nix::libc::EPERM) => return Err(e),
            _ => {}
        }
        let bytes = fill(&mut file)?;
        file.sync_all()?;
        rename_by(rename_over, &new, path, &file)?;
        Ok(bytes)
    };
    let result = write();
    if result.is_err() {
        // Best effort: the first error is the one to tell.
        let _ = fs::remove_file(&new);
    }
    result
}

/// Moves `from`, which is open as `file`, over `to` in its folder by `rename`, durably.
///
/// FAT needs more than a sync of the folder. `vfat_rename` (Linux `fs/fat/namei_vfat.c`) gives the entry of the old file to the
/// new one: its first cluster and size, 32 bytes within one sector, which is what a power cut finds old or new. They get there
/// when the *file* is written (`fat_write_inode`), so that is synced again. And the clusters of the old file are freed as soon
/// as nobody has it open: it stays open until its entry is on the disk, or a power cut could leave an entry of freed clusters.
fn rename_by(
    rename: impl FnOnce(&Path, &Path) -> io::Result<()>,
    from: &Path,
    to: &Path,
    file: &File,
) -> io::Result<()> {
    // Held, not opened: whatever it is.
    let old = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_PATH | nix::libc::O_NOFOLLOW)
        .open(to);
    rename(from, to)?;
    file.sync_all()?;
    sync_dir(parent(to))?;
    drop(old);
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

pub(super) fn write_file(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let fill = |file: &mut File| file.write_all(bytes).map(|()| bytes.len() as u64);
    replace(path, mode, fill)
        .map(|_| ())
        .map_err(error("write", path))
}

pub(super) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let write = || {
        remove(path)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        sync_dir(parent(path))
    };
    write().map_err(error("write", path))
}

pub(super) fn write_stream(
    path: &Path,
    source: &mut dyn Read,
    mode: u32,
) -> Result<u64, FileError> {
    replace(path, mode, |file| io::copy(source, file)).map_err(error("write", path))
}

pub(super) fn copy_file(from: &Path, to: &Path, mode: u32) -> Result<u64, FileError> {
    let source = File::open(from).map_err(error("read", from))?;
    let mut source = BufReader::with_capacity(
        COPY_BUFFER,
        Source {
            file: source,
            failed: false,
        },
    );
    let copied = replace(to, mode, |file| io::copy(&mut source, file));
    // Which of the two failed is which one somebody has to look at.
    match source.get_ref().failed {
        true => copied.map_err(error("read", from)),
        false => copied.map_err(error("copy to", to)),
    }
}

/// Bytes that are copied at once.
const COPY_BUFFER: usize = 1 << 20;

/// A file that remembers that it could not be read.
struct Source {
    file: File,
    failed: bool,
}

impl Read for Source {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buf);
        self.failed |= read
            .as_ref()
            .is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        read
    }
}

pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, FileError> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?
            .take(MAX_FILE + 1)
            .read_to_end(&mut bytes)?;
        match bytes.len() as u64 > MAX_FILE {
            true => Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("it has more than {MAX_FILE} bytes"),
            )),
            false => Ok(bytes),
        }
    };
    read().map_err(error("read", path))
}

pub(super) fn create_dir_all(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(error("create the folder", path))
}

pub(super) fn make_symlink(target: &Path, link: &Path) -> Result<(), FileError> {
    let make = || {
        let new = beside(link);
        remove(&new)?;
        symlink(target, &new)?;
        fs::rename(&new, link)?;
        sync_dir(parent(link))
    };
    make().map_err(error("make the link", link))
}

pub(super) fn remove_file(path: &Path) -> Result<(), FileError> {
    remove(path).map_err(error("remove", path))
}

pub(super) fn move_file(from: &Path, to: &Path) -> Result<(), FileError> {
    move_by(rename_over, from, to)
}

pub(super) fn move_new(from: &Path, to: &Path) -> Result<(), FileError> {
    move_by(rename_new, from, to)
}

/// rename(2).
fn rename_over(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

/// The same, but it replaces nothing.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        // Some file systems, as NFS, have no such move: then a name that is taken is seen, and only one that comes in between is not.
        Err(Errno::EINVAL) => match to.symlink_metadata() {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        },
        moved => moved.map_err(io::Error::from),
    }
}

fn move_by(
    rename: impl FnOnce(&Path, &Path) -> io::Result<()>,
    from: &Path,
    to: &Path,
) -> Result<(), FileError> {
    let moved = || {
        // A folder, too, can be opened to be synced.
        rename_by(rename, from, to, &File::open(from)?)?;
        match parent(from) == parent(to) {
            true => Ok(()),
            false => sync_dir(parent(from)),
        }
    };
    moved().map_err(error("move to", to))
}

pub(super) fn file_size(path: &Path) -> Option<u64> {
    let meta = fs::metadata(path).ok()?;
    meta.is_file().then_some(meta.len())
}

pub(super) fn set_mode(path: &Path, mode: u32) -> Result<(), FileError> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(error("set the permissions of", path))
}

pub(super) fn list_dir(path: &Path) -> Result<Vec<String>, FileError> {
    let list = || {
        let entries = fs::read_dir(path)?;
        let mut names = entries
            .map(|entry| entry.map(|e| e.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    };
    list().map_err(error("list", path))
}

pub(super) fn sync(path: &Path) -> Result<(), FileError> {
    let sync = || Ok(nix::unistd::syncfs(File::open(path)?)?);
    sync().map_err(error("sync the file system of", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shadow");
        write_file(&path, b"old", 0o644).unwrap();
        fs::write(dir.path().join(".shadow.new"), "left by a power cut").unwrap();
        write_file(&path, b"new", 0o600).unwrap();
        assert_eq!(
            (read_file(&path).unwrap(), mode(&path)),
            (b"new".to_vec(), 0o600)
        );
        write_file(&path, b"new", 0o666).unwrap();
        assert_eq!(mode(&path), 0o666);
        assert_eq!(list_dir(dir.path()).unwrap(), ["shadow"]);
    }

    #[test]
    fn a_failed_replacement_keeps_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        write_file(&path, b"old", 0o644).unwrap();
        let result = replace(&path, 0o644, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("disk full"))
        });
        assert!(result.is_err());
        assert_eq!(read_file(&path).unwrap(), b"old");
        assert_eq!(list_dir(dir.path()).unwrap(), ["state"]);
    }

    #[test]
    fn a_stream_replaces_a_file_only_when_it_was_read_to_its_end() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the medium was pulled"))
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("xen.efi");
        assert_eq!(write_stream(&path, &mut &b"old"[..], 0o600).unwrap(), 3);
        assert!(write_stream(&path, &mut b"half".chain(Broken), 0o600).is_err());
        assert_eq!(read_file(&path).unwrap(), b"old");
        assert_eq!(list_dir(dir.path()).unwrap(), ["xen.efi"]);
    }

    #[test]
    fn a_file_moves_over_another_and_has_its_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        write_file(&path("a"), b"new", 0o600).unwrap();
        write_file(&path("b"), b"older", 0o600).unwrap();
        assert_eq!(file_size(&path("b")), Some(5));
        move_file(&path("a"), &path("b")).unwrap();
        assert_eq!(
            (file_size(&path("a")), file_size(&path("b"))),
            (None, Some(3))
        );
        assert_eq!(file_size(dir.path()), None, "a folder is no file");
        let error = move_file(&path("a"), &path("b")).unwrap_err();
        assert_eq!((error.action, error.path), ("move to", path("b")));
    }

    #[test]
    fn a_file_moves_over_nothing_where_it_is_new() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        write_file(&path("a"), b"new", 0o600).unwrap();
        write_file(&path("b"), b"older", 0o600).unwrap();
        // A link that leads nowhere has the name all the same.
        symlink("nowhere", path("c")).unwrap();
        for taken in ["b", "c"] {
            let error = move_new(&path("a"), &path(taken)).unwrap_err();
            assert_eq!(error.source.kind(), io::ErrorKind::AlreadyExists, "{taken}");
            assert_eq!(error.path, path(taken));
        }
        assert_eq!(read_file(&path("b")).unwrap(), b"older");
        move_new(&path("a"), &path("d")).unwrap();
        assert_eq!(read_file(&path("d")).unwrap(), b"new");
        assert_eq!(list_dir(dir.path()).unwrap(), ["b", "c", "d"]);
    }

    #[test]
    fn copies_links_and_removals() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("a"), b"content").unwrap();
        assert_eq!(copy_file(&path("a"), &path("b"), 0o755).unwrap(), 7);
        assert_eq!(
            (read_file(&path("b")).unwrap(), mode(&path("b"))),
            (b"content".to_vec(), 0o755)
        );
        make_symlink(Path::new("a"), &path("b")).unwrap();
        make_symlink(Path::new("c"), &path("b")).unwrap();
        assert_eq!(fs::read_link(path("b")).unwrap(), Path::new("c"));
        remove_file(&path("b")).unwrap();
        remove_file(&path("b")).unwrap();
        assert_eq!(list_dir(dir.path()).unwrap(), ["a"]);
        sync(dir.path()).unwrap();
    }

    #[test]
    fn a_new_file_takes_the_place_of_what_a_power_cut_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("grubx64.new");
        fs::write(&path, "half of a longer one").unwrap();
        write_new(&path, b"whole", 0o600).unwrap();
        assert_eq!(
            (read_file(&path).unwrap(), mode(&path)),
            (b"whole".to_vec(), 0o600)
        );
        assert_eq!(list_dir(dir.path()).unwrap(), ["grubx64.new"]);
    }

    #[test]
    fn errors_name_the_file() {
        let path = Path::new("/nonexistent/x");
        assert_eq!(
            write_file(path, b"", 0o600).unwrap_err().to_string(),
            "cannot write /nonexistent/x"
        );
        assert_eq!(
            copy_file(path, Path::new("/tmp/y"), 0o600)
                .unwrap_err()
                .to_string(),
            "cannot read /nonexistent/x"
        );
        // A folder can be opened and not read: what is wrong is the source, and nothing is left of the target.
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("vmlinuz");
        let error = copy_file(dir.path(), &target, 0o600).unwrap_err();
        assert_eq!((error.action, error.path.as_path()), ("read", dir.path()));
        assert_eq!(error.source.kind(), io::ErrorKind::IsADirectory);
        assert_eq!(list_dir(dir.path()).unwrap(), [""; 0]);
        let full = Path::new("/dev/full/vmlinuz");
        let error = copy_file(Path::new("/dev/null"), full, 0o600).unwrap_err();
        assert_eq!((error.action, error.path.as_path()), ("copy to", full));
        assert!(list_dir(path).is_err() && sync(path).is_err() && set_mode(path, 0o600).is_err());
        // Endless: the limit ends it.
        let error = read_file(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::FileTooLarge);
    }
}
