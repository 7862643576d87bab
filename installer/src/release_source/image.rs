//! The root image that is laid down, as a tree to look into: which drivers, units and locales it has.

use release::{Artifact, OpenRelease};
use std::io;
use std::path::{Path, PathBuf};
use steps::StepError;
use steps::system::{Command, System};

/// Where the root image of a release from a server is mounted.
const MOUNT: &str = "/run/bedplate/source-root";

/// Where the tree of the root image is that is laid down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRoot(PathBuf);

impl ImageRoot {
    /// The running system, which is the same image as that of its medium.
    pub fn running() -> Self {
        ImageRoot("/".into())
    }

    /// A path of the image, as it is in the running system.
    pub fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }
}

/// A mounted root image; unmounted when it is dropped.
pub struct MountedImage<'a> {
    system: &'a dyn System,
}

impl<'a> MountedImage<'a> {
    /// Verifies and mounts the root image of `release`, read-only.
    ///
    /// # Errors
    /// When it is not the signed one, or cannot be mounted.
    pub fn mount(system: &'a dyn System, release: &OpenRelease) -> Result<Self, StepError> {
        // A file system is only given to the kernel when it is known to be ours.
        io::copy(&mut release.reader(Artifact::Root)?, &mut io::sink())?;
        system.create_dir_all(Path::new(MOUNT))?;
        // By the program, which makes the loop device. The dm-verity tree behind the squashfs does not matter to it.
        let mount =
            Command::new("mount").args(["-t", "squashfs", "-o", "loop,ro,nodev,nosuid,noexec"]);
        system.run(&mount.arg(release.path(Artifact::Root)).arg(MOUNT))?;
        Ok(MountedImage { system })
    }

    /// Where it is.
    pub fn root(&self) -> ImageRoot {
        ImageRoot(MOUNT.into())
    }
}

impl Drop for MountedImage<'_> {
    fn drop(&mut self) {
        // The live system ends soon, and nothing else is mounted there.
        let _ = self.system.unmount(Path::new(MOUNT));
    }
}
