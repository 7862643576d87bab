//! What the steps of a lay-down share.

use super::kept_group::KeptGroup;
use super::machine::{Machine, partition_path};
use super::mounts::Mounts;
use super::origin::Origin;
use crate::plan::{DiskIdentity, KeptStorage, Plan};
use crate::release_source::ImageRoot;
use release::OpenRelease;
use slots::gpt::Guids;
use slots::layout::{Layout, PartitionKind};
use std::path::{Path, PathBuf};
use steps::StepError;
use steps::system::{Command, Mount, Output, System};
use uuid::Uuid;

/// A disk that is installed to.
pub struct Member<'a> {
    /// What identifies it.
    pub identity: &'a DiskIdentity,
    /// Its partitions.
    pub layout: &'a Layout,
    /// The identities of those.
    pub guids: Guids,
}

impl<'a> Member<'a> {
    /// Its device path.
    pub fn disk(&self) -> &'a str {
        &self.identity.path
    }

    /// The device of one of its partitions.
    pub fn partition(&self, kind: PartitionKind) -> PathBuf {
        partition_path(self.disk(), kind.number())
    }

    /// The same as text, for commands.
    pub fn partition_text(&self, kind: PartitionKind) -> String {
        self.partition(kind).display().to_string()
    }
}

/// What the steps of a lay-down share.
pub struct Context<'a> {
    /// What to do.
    pub plan: &'a Plan,
    /// SHA-256 of the plan.
    pub plan_sha256: String,
    /// What is laid down.
    pub release: &'a OpenRelease,
    /// Commands and files.
    pub system: &'a dyn System,
    /// Disks.
    pub machine: &'a dyn Machine,
    /// Seconds since 1970 at the start; not before the release was made, whatever the clock says.
    pub now_unix: u64,
    /// The disk, or the two of a mirror.
    pub members: Vec<Member<'a>>,
    /// Identities of the partitions of disks that become storage repositories, in the order of the plan.
    pub storage_guids: Vec<Guids>,
    /// Identity of the new host.
    pub machine_id: Uuid,
    /// Identities of the partitions that were on the disks before.
    pub old_partitions: Vec<Uuid>,
    /// The volume groups that stay, as they were before the first write.
    pub(super) kept: Vec<KeptGroup>,
    /// Where the release is read from.
    pub origin: Origin,
    /// The tree of the root image that is laid down.
    pub image: ImageRoot,
    /// True from the first write on.
    pub written: bool,
    /// Arrays of the mirror that run.
    pub(super) arrays: Vec<PartitionKind>,
    mounts: Mounts<'a>,
}

impl<'a> Context<'a> {
    /// Nothing done yet.
    pub fn new(
        plan: &'a Plan,
        plan_sha256: String,
        release: &'a OpenRelease,
        system: &'a dyn System,
        machine: &'a dyn Machine,
        now_unix: u64,
    ) -> Self {
        Context {
            plan,
            plan_sha256,
            release,
            system,
            machine,
            // A battery that is empty: on day 0 a password would have to be changed at once (shadow(5)).
            now_unix: now_unix.max(release.manifest.epoch),
            members: plan
                .disk
                .members()
                .into_iter()
                .map(|(identity, layout)| Member {
                    identity,
                    layout,
                    guids: guids(machine, plan.disk.keeps.as_ref()),
                })
                .collect(),
            storage_guids: plan
                .storage
                .iter()
                .flat_map(|storage| &storage.disks)
                .map(|disk| guids(machine, disk.keeps.as_ref()))
                .collect(),
            machine_id: Uuid::new_v4(),
            old_partitions: Vec::new(),
            kept: Vec::new(),
            origin: Origin::Folder,
            image: ImageRoot::running(),
            written: false,
            arrays: Vec::new(),
            mounts: Mounts::new(system),
        }
    }

    /// True when two disks are made to hold the same.
    pub fn is_mirror(&self) -> bool {
        self.plan.disk.mirror.is_some()
    }

    /// The device that holds slots, state or storage: a partition, or the array over two of them.
    pub fn device(&self, kind: PartitionKind) -> PathBuf {
        device_of(self.plan, kind)
    }

    /// The same as text, for commands.
    pub fn device_text(&self, kind: PartitionKind) -> String {
        self.device(kind).display().to_string()
    }

    /// Runs a command.
    pub fn run(&self, command: Command) -> Result<Output, StepError> {
        Ok(self.system.run(&command)?)
    }

    /// Mounts the state file system, or the ESP of the first disk, and returns where. It is unmounted by
    /// [`Context::unmount`], or at the latest by the cleanup.
    pub fn mount(
        &mut self,
        kind: PartitionKind,
        fs_type: &str,
        read_only: bool,
    ) -> Result<PathBuf, StepError> {
        self.mount_device(self.device(kind), kind, fs_type, read_only)
    }

    /// Mounts `device` where [`Context::mount`] mounts what is of that kind.
    pub fn mount_device(
        &mut self,
        device: PathBuf,
        kind: PartitionKind,
        fs_type: &str,
        read_only: bool,
    ) -> Result<PathBuf, StepError> {
        self.mounts.mount_device(device, kind, fs_type, read_only)
    }

    /// Mounts something that [`Context::unmount_all`] takes away again.
    pub fn mount_at(&mut self, mount: Mount) -> Result<(), StepError> {
        self.mounts.mount_at(mount)
    }

    /// Makes everything below `target` durable, and unmounts it.
    pub fn unmount(&mut self, target: &Path) -> Result<(), StepError> {
        self.mounts.unmount(target)
    }

    /// Unmounts everything, the last first. Tries all, and reports the first failure.
    pub fn unmount_all(&mut self) -> Result<(), StepError> {
        self.mounts.unmount_all()
    }

    /// Unmounts what a failed step left, and stops its arrays. Tries all, and reports the first failure.
    pub fn clean_up(&mut self) -> Result<(), StepError> {
        let mut failure = self.unmount_all().err();
        while let Some(kind) = self.arrays.pop() {
            let stop = Command::new("mdadm").args(["--stop", &kind.array_device()]);
            if let Err(error) = self.system.run(&stop) {
                failure.get_or_insert(error.into());
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

/// The identities of the partitions of a disk: new ones, so that nothing that knows the old host starts half of it, but for the
/// partition that stays.
fn guids(machine: &dyn Machine, keeps: Option<&KeptStorage>) -> Guids {
    let mut guids = machine.random_guids();
    if let Some(kept) = keeps {
        guids.partitions[PartitionKind::Storage as usize] = kept.part_uuid;
    }
    guids
}

/// The device that holds slots, state or storage of the host in `plan`: a partition of its disk, or the array over two of
/// them.
pub fn device_of(plan: &Plan, kind: PartitionKind) -> PathBuf {
    if plan.disk.mirror.is_some() && PartitionKind::MIRRORED.contains(&kind) {
        kind.array_device().into()
    } else {
        partition_path(&plan.disk.identity.path, kind.number())
    }
}
