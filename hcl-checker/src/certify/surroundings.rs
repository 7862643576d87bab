//! What the plan has to know about the running system besides the facts about the machine.

use super::change::read_text;
use super::{Options, guests};
use crate::facts::{Context, Facts};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use steps::System;

/// The running system, as far as tests depend on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Surroundings {
    /// It runs as root.
    pub root: bool,
    /// Every network interface, those of software too.
    pub interfaces: Vec<String>,
    /// Kernel for test guests; none where there is none, or no Xen.
    pub guest_kernel: Option<PathBuf>,
    /// What keeps a dump of a crashed kernel: `kdump`, `pstore`.
    pub kernel_dump: Option<String>,
    /// What keeps a dump of a crashed hypervisor: `kdump`.
    pub xen_dump: Option<String>,
    /// systemd runs: it can restart the machine, and start the run again after that.
    pub systemd: bool,
    /// The folder of the run is still there after a restart.
    pub folder_survives: bool,
}

/// Where the kernel tells that a kernel for crashes is loaded (Documentation/ABI/testing/sysfs-kernel-kexec-kdump).
const CRASH_KERNEL: &str = "/sys/kernel/kexec_crash_loaded";
/// Which part of the firmware keeps the kernel's last words; `(null)` where none does.
const PSTORE: &str = "/sys/module/pstore/parameters/backend";

impl Surroundings {
    /// Looks around. What cannot be read is not there. `folder` is that of the run.
    pub fn read(system: &dyn System, facts: &Facts, options: &Options, folder: &Path) -> Self {
        let is_one = |path: &str| read_text(system, path).is_ok_and(|text| text == "1");
        let pstore =
            read_text(system, PSTORE).is_ok_and(|text| !text.is_empty() && text != "(null)");
        let kdump = is_one(CRASH_KERNEL);
        let dom0 = facts.context.value() == Some(&Context::Dom0);
        let guest_kernel = match &options.guest_kernel {
            Some(named) => Some(named.clone()),
            None if dom0 => guests::find_kernel(system, facts),
            None => None,
        };
        Self {
            root: nix::unistd::geteuid().is_root(),
            interfaces: system
                .list_dir(Path::new("/sys/class/net"))
                .unwrap_or_default(),
            guest_kernel,
            kernel_dump: match (kdump, pstore) {
                (true, _) => Some("kdump".to_owned()),
                (false, true) => Some("pstore".to_owned()),
                (false, false) => None,
            },
            xen_dump: (kdump && dom0).then(|| "kdump".to_owned()),
            systemd: system.exists(Path::new("/run/systemd/system")),
            folder_survives: survives(folder),
        }
    }
}

/// Whether a file system keeps its files: memory does not, and an overlay may be one over memory.
fn survives(folder: &Path) -> bool {
    use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC, statfs};
    /// `RAMFS_MAGIC` of Linux's uapi/linux/magic.h.
    const RAMFS: i64 = 0x8584_58f6;
    let nearest = folder.ancestors().find(|folder| folder.exists());
    let Some(Ok(found)) = nearest.map(statfs) else {
        return false;
    };
    let kind = found.filesystem_type();
    kind != TMPFS_MAGIC && kind != OVERLAYFS_SUPER_MAGIC && kind.0 != RAMFS
}
