//! The Bedplate hosts on the disks of a machine: read from their own files, which nobody has mounted in a live system.

use crate::laydown::{Machine, partition_path};
use crate::plan::holds_bedplate;
use hcl_checker::Known;
use hcl_checker::facts::{BedplateHost, Disk, Facts};
use hcl_checker::root::Root;
use slots::block::Access;
use slots::boot_state::{BootState, GOOD_ENV, STATE_ENV};
use slots::env_block::EnvBlock;
use slots::names::{ETC_OVERLAYS, GOOD_ROOTS, HOTFIX_STORE};
use slots::verity::root_fits;
use slots::{PartitionKind, RootIdentity};
use std::path::Path;
use steps::StepError;
use steps::step::error_chain;
use steps::system::{Mount, System};

/// Where a file system is mounted while it is looked at.
const MOUNT: &str = "/run/bedplate/look";

/// The facts of this machine, with the Bedplate hosts on its disks.
pub fn facts(system: &dyn System, machine: &dyn Machine) -> Facts {
    let mut facts = Facts::read(&Root::system());
    look(system, machine, &mut facts);
    facts
}

/// Adds the Bedplate hosts to the facts. Writes nothing.
pub fn look(system: &dyn System, machine: &dyn Machine, facts: &mut Facts) {
    let Known::Value(disks) = &mut facts.disks else {
        return;
    };
    for disk in disks.iter_mut().filter(|disk| holds_bedplate(disk)) {
        disk.host = host(system, machine, disk);
    }
}

fn host(system: &dyn System, machine: &dyn Machine, disk: &Disk) -> Known<BedplateHost> {
    if disk.is_in_use() {
        return Known::unknown("the disk is in use");
    }
    match Installed::read(system, machine, &disk.path) {
        Ok(installed) => Known::Value(installed.fact()),
        Err(error) => Known::unknown(error_chain(error.as_ref()).join(": ")),
    }
}

/// A Bedplate host on a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The root that came up last with everything it needs.
    pub root: RootIdentity,
    /// The slot that holds it.
    pub slot: PartitionKind,
    /// What the boot loader would do.
    pub state: BootState,
    /// Its name, where it has one of its own.
    pub hostname: Option<String>,
}

/// Why nothing is known about a host.
#[derive(Debug, thiserror::Error)]
pub enum InstalledError {
    /// Nothing came up yet.
    #[error("no release on it came up with everything it needs yet")]
    NeverGood,
    /// It is not known what should be in the slots.
    #[error("it does not say what its release {0} is")]
    NoIdentity(String),
    /// It is in none of the slots.
    #[error("neither slot holds {0}, the release that came up last")]
    NoSlot(String),
}

impl Installed {
    /// Reads what is on `disk`, which nobody may have mounted. Writes nothing: the journal of its file system stays as it is.
    ///
    /// # Errors
    /// When there is no host, or not enough of it.
    pub fn read(system: &dyn System, machine: &dyn Machine, disk: &str) -> Result<Self, StepError> {
        let device = |kind: PartitionKind| partition_path(disk, kind.number());
        let esp = Mount::device(device(PartitionKind::Esp), MOUNT, "vfat");
        let state = mounted(system, esp, |esp| boot_state(system, esp))?;
        let good = state.good.clone().ok_or(InstalledError::NeverGood)?;
        let files = Mount::device(device(PartitionKind::State), MOUNT, "ext4").options("noload");
        let (root, hostname) = mounted(system, files, |files| of_state(system, files, &good))?;
        for slot in [PartitionKind::SlotA, PartitionKind::SlotB] {
            let mut device = machine.open(&device(slot), Access::ReadOnly)?;
            if root_fits(device.as_mut(), &root.verity)? {
                return Ok(Installed {
                    root,
                    slot,
                    state,
                    hostname,
                });
            }
        }
        Err(InstalledError::NoSlot(root.version).into())
    }

    /// What facts say of it.
    pub fn fact(&self) -> BedplateHost {
        BedplateHost {
            hostname: self.hostname.clone(),
            version: self.root.version.clone(),
            root_hash: self.root.verity.root_hash.clone(),
            slot: self.slot.name().to_owned(),
            trial: self.state.try_id.clone().filter(|_| self.state.tries > 0),
        }
    }
}

/// Does something with a file system that is mounted meanwhile, read-only.
fn mounted<T>(
    system: &dyn System,
    mount: Mount,
    look: impl FnOnce(&Path) -> Result<T, StepError>,
) -> Result<T, StepError> {
    let mount = mount.inert().read_only();
    system.mount(&mount)?;
    let found = look(&mount.target);
    system.unmount(&mount.target)?;
    found
}

/// From the second block where the first cannot be read, as the boot loader does.
fn boot_state(system: &dyn System, esp: &Path) -> Result<BootState, StepError> {
    let read = |name: &str| -> Result<EnvBlock, StepError> {
        Ok(EnvBlock::parse(&system.read_file(&esp.join(name))?)?)
    };
    let block = read(STATE_ENV).or_else(|error| read(GOOD_ENV).map_err(|_| error))?;
    Ok(BootState::from_env(&block))
}

/// The identity of the root `good`, and the name of the host.
fn of_state(
    system: &dyn System,
    state: &Path,
    good: &str,
) -> Result<(RootIdentity, Option<String>), StepError> {
    // Folders of the host are on its state file system under the same names.
    let store = state.join(HOTFIX_STORE.trim_start_matches('/'));
    let path = store.join(GOOD_ROOTS).join(format!("{good}.json"));
    if !system.exists(&path) {
        return Err(InstalledError::NoIdentity(good.to_owned()).into());
    }
    let root: RootIdentity = serde_json::from_slice(&system.read_file(&path)?)?;
    if root.id() != good {
        return Err(InstalledError::NoIdentity(good.to_owned()).into());
    }
    let hostname = state.join(ETC_OVERLAYS).join(good).join("upper/hostname");
    let hostname = system.read_file(&hostname).ok().and_then(|bytes| {
        let name = String::from_utf8_lossy(&bytes).trim().to_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        (!name.is_empty() && name.len() <= 64 && name.chars().all(plain)).then_some(name)
    });
    Ok((root, hostname))
}
