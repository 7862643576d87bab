//! What the initrd did, left for the system that it started.

use crate::RootIdentity;
use serde::{Deserialize, Serialize};

/// How this system was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// From the medium, to install, check or rescue.
    Live,
    /// From a slot, under Xen.
    Host,
    /// From a slot, on bare Linux.
    Rescue,
}

/// Where the release medium is, in the live system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Medium {
    /// The block device it was read from, for example `/dev/sr0`. Never a candidate for installing.
    pub device: String,
    /// True when the repository was copied into memory and the medium may be pulled.
    pub in_memory: bool,
    /// Bytes copied into memory.
    pub copied_bytes: u64,
    /// Milliseconds that the copy took.
    pub copied_ms: u64,
}

/// How a host on two disks was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MirrorBoot {
    /// Kernel name of the disk that the loader came from.
    pub booted: String,
    /// Kernel name of the disk whose state counts. Another one where the loader came from an older half: what its ESP
    /// says is older, too.
    pub kept: String,
    /// The PARTUUID of the ESP on the disk that counts.
    pub esp: String,
}

/// Written by the initrd to [`crate::names::BOOT_RECORD`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootRecord {
    /// Live, host or rescue.
    pub mode: Mode,
    /// The root that runs.
    pub root: RootIdentity,
    /// The block device that holds the root image (a slot partition, or a loop device).
    pub root_device: String,
    /// The medium, in the live system.
    pub medium: Option<Medium>,
    /// The block device of the state file system; none in the live system.
    pub state_device: Option<String>,
    /// How the mirror was started; none on a host with one disk, and in the live system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorBoot>,
    /// Milliseconds since the kernel's start at which the root was opened (CLOCK_BOOTTIME).
    pub root_opened_ms: u64,
    /// Things that went wrong but did not stop the boot.
    pub warnings: Vec<String>,
}
