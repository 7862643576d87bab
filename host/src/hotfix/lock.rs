//! One change at a time.

use super::Places;
use crate::XeError;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};

/// Held while it exists. The kernel lets go of it when the process ends, however that happens.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code)] Flock<File>);

/// Takes the lock for `what`, or tells who has it.
pub fn lock(places: &Places, what: &str) -> Result<Lock, XeError> {
    let path = &places.lock;
    let failed = |source: std::io::Error| {
        XeError::failure(
            "INTERNAL_ERROR",
            format!("the lock {} cannot be used: {source}", path.display()),
        )
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(failed)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut held) => {
            // For whoever comes second; the lock holds without it.
            let _ = held.set_len(0);
            let _ = held.seek(SeekFrom::Start(0));
            let _ = write!(held, "{what}, process {}", std::process::id());
            Ok(Lock(held))
        }
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let mut other = String::new();
            let _ = (&mut file).take(200).read_to_string(&mut other);
            Err(XeError::failure(
                "OTHER_OPERATION_IN_PROGRESS",
                "Another command is changing the hotfixes of this host; wait for it to end and try again.",
            )
            .with("operation", other.trim().to_owned()))
        }
        Err((_, errno)) => Err(failed(errno.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places {
            lock: dir.path().join("run/lock"),
            ..Places::default()
        };
        let first = lock(&places, "patch-apply").unwrap();
        let error = lock(&places, "patch-upload").unwrap_err();
        assert_eq!(error.code, "OTHER_OPERATION_IN_PROGRESS");
        assert!(
            error.to_string().contains("patch-apply, process"),
            "{error}"
        );
        drop(first);
        lock(&places, "patch-upload").unwrap();
    }
}
