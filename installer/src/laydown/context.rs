//! What the steps of a lay-down share.

use super::machine::{Machine, partition_path};
use crate::plan::Plan;
use release::OpenRelease;
use slots::gpt::Guids;
use slots::layout::PartitionKind;
use std::path::{Path, PathBuf};
use steps::StepError;
use steps::system::{Command, Mount, Output, System};
use uuid::Uuid;

/// Where the file systems of the new host are mounted while it is laid down.
const MOUNTS: &str = "/run/bedplate/target";

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
    /// Seconds since 1970 at the start.
    pub now_unix: u64,
    /// Identities of the new partitions.
    pub guids: Guids,
    /// Identities of the partitions of disks that become storage repositories, in the order of the plan.
    pub storage_guids: Vec<Guids>,
    /// Identity of the new host.
    pub machine_id: Uuid,
    /// Identities of the partitions that were on the disk before.
    pub old_partitions: Vec<Uuid>,
    /// True from the first write on.
    pub written: bool,
    mounted: Vec<PathBuf>,
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
            now_unix,
            guids: machine.random_guids(),
            storage_guids: plan
                .storage
                .iter()
                .flat_map(|storage| &storage.disks)
                .map(|_| machine.random_guids())
                .collect(),
            machine_id: Uuid::new_v4(),
            old_partitions: Vec::new(),
            written: false,
            mounted: Vec::new(),
        }
    }

    /// The disk's device path.
    pub fn disk(&self) -> &'a str {
        &self.plan.disk.identity.path
    }

    /// The device of a partition.
    pub fn partition(&self, kind: PartitionKind) -> PathBuf {
        partition_path(self.disk(), kind.number())
    }

    /// The same as text, for commands.
    pub fn partition_text(&self, kind: PartitionKind) -> String {
        self.partition(kind).display().to_string()
    }

    /// Runs a command.
    pub fn run(&self, command: Command) -> Result<Output, StepError> {
        Ok(self.system.run(&command)?)
    }

    /// Mounts a partition below `MOUNTS` and returns where. It is unmounted by [`Context::unmount`], or at the
    /// latest by the cleanup.
    pub fn mount(
        &mut self,
        kind: PartitionKind,
        fs_type: &str,
        read_only: bool,
    ) -> Result<PathBuf, StepError> {
        let target = Path::new(MOUNTS).join(kind.name());
        let mut mount = Mount::device(self.partition(kind), &target, fs_type).inert();
        if fs_type == "vfat" {
            mount = mount.options("umask=0077");
        }
        if read_only {
            mount = mount.read_only();
        }
        self.system.mount(&mount)?;
        self.mounted.push(target.clone());
        Ok(target)
    }

    /// Makes everything below `target` durable, and unmounts it.
    pub fn unmount(&mut self, target: &Path) -> Result<(), StepError> {
        self.system.sync(target)?;
        self.system.unmount(target)?;
        self.mounted.retain(|mounted| mounted != target);
        Ok(())
    }

    /// Unmounts what a failed step left. Tries all, and reports the first failure.
    pub fn unmount_all(&mut self) -> Result<(), StepError> {
        let mut failure = None;
        while let Some(target) = self.mounted.pop() {
            if let Err(error) = self.system.unmount(&target) {
                failure.get_or_insert(error);
            }
        }
        failure.map_or(Ok(()), |error| Err(error.into()))
    }
}
