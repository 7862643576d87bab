//! File systems of the host that are mounted while it is changed.

use slots::layout::PartitionKind;
use std::path::{Path, PathBuf};
use steps::StepError;
use steps::system::{Mount, System};

/// Where the file systems of the host are mounted meanwhile.
const MOUNTS: &str = "/run/bedplate/target";

/// What is mounted.
pub struct Mounts<'a> {
    system: &'a dyn System,
    mounted: Vec<PathBuf>,
}

impl<'a> Mounts<'a> {
    /// Nothing yet.
    pub fn new(system: &'a dyn System) -> Self {
        Mounts {
            system,
            mounted: Vec::new(),
        }
    }

    /// Mounts `device`, which is of that kind, below `MOUNTS`, and returns where. It is unmounted by [`Mounts::unmount`], or at the
    /// latest by the cleanup.
    pub fn mount_device(
        &mut self,
        device: PathBuf,
        kind: PartitionKind,
        fs_type: &str,
        read_only: bool,
    ) -> Result<PathBuf, StepError> {
        let target = Path::new(MOUNTS).join(kind.name());
        let mut mount = Mount::device(device, &target, fs_type).inert();
        if fs_type == "vfat" {
            mount = mount.options("umask=0077");
        }
        if read_only {
            mount = mount.read_only();
        }
        self.mount_at(mount)?;
        Ok(target)
    }

    /// Mounts something that [`Mounts::unmount_all`] takes away again.
    pub fn mount_at(&mut self, mount: Mount) -> Result<(), StepError> {
        self.system.mount(&mount)?;
        self.mounted.push(mount.target);
        Ok(())
    }

    /// Makes everything below `target` durable, and unmounts it.
    pub fn unmount(&mut self, target: &Path) -> Result<(), StepError> {
        self.system.sync(target)?;
        self.system.unmount(target)?;
        self.mounted.retain(|mounted| mounted != target);
        Ok(())
    }

    /// Unmounts everything, the last first. Tries all, and reports the first failure.
    pub fn unmount_all(&mut self) -> Result<(), StepError> {
        let mut failure = None;
        while let Some(target) = self.mounted.pop() {
            if let Err(error) = self.system.unmount(&target) {
                failure.get_or_insert(error.into());
            }
        }
        failure.map_or(Ok(()), Err)
    }
}
