//! Doing what the plan of an upgrade says: the release goes beside the one that a host on the disk runs, by the same steps as a
//! hotfix on the host, and in the same order ([`release::beside`]). The host starts what it started before until the last step is
//! done, and another run begins anew.

mod boot_files;
mod identify;
mod slot;
mod tell_loader;

pub use identify::UpgradeError;

use crate::laydown::{Machine, Mounts, Origin, verify};
use crate::plan::UpgradePlan;
use release::{OpenRelease, beside};
use slots::names::ETC_OVERLAYS;
use slots::{BootState, PartitionKind};
use std::path::{Path, PathBuf};
use steps::system::System;
use steps::{Report, Reporter, Runner, Step, StepError};

/// What is said where all went well.
pub const DONE: &str = "The new release is written. The next start of the host tries it.";
/// The step that no installation has.
const LAST: &str = "try";

/// What the steps of an upgrade share.
pub struct Context<'a> {
    /// What to do.
    pub plan: &'a UpgradePlan,
    /// What is written.
    pub release: &'a OpenRelease,
    /// Where the release is read from.
    pub origin: Origin,
    /// Commands and files.
    pub system: &'a dyn System,
    /// Disks.
    pub machine: &'a dyn Machine,
    /// What the boot loader does now; none before the host was identified.
    state: Option<BootState>,
    mounts: Mounts<'a>,
}

impl<'a> Context<'a> {
    /// Nothing done yet.
    pub fn new(
        plan: &'a UpgradePlan,
        release: &'a OpenRelease,
        system: &'a dyn System,
        machine: &'a dyn Machine,
    ) -> Self {
        Context {
            plan,
            release,
            origin: Origin::default(),
            system,
            machine,
            state: None,
            mounts: Mounts::new(system),
        }
    }

    fn new_id(&self) -> &'a str {
        self.plan.release.root.id()
    }

    fn old_id(&self) -> &'a str {
        let hash = &self.plan.host.root_hash;
        &hash[..hash.len().min(slots::boot_state::ID_LEN)]
    }

    fn state(&self) -> Result<&BootState, StepError> {
        Ok(self.state.as_ref().ok_or("the host was not identified")?)
    }

    fn mount_esp(&mut self, read_only: bool) -> Result<PathBuf, StepError> {
        let kind = PartitionKind::Esp;
        self.mounts
            .mount_device(self.plan.device(kind), kind, "vfat", read_only)
    }

    /// The folder of the overlays of /etc, and where what it is in is mounted.
    fn mount_etc(&mut self) -> Result<(PathBuf, PathBuf), StepError> {
        let kind = PartitionKind::State;
        let device = self.plan.device(kind);
        let target = self.mounts.mount_device(device, kind, "ext4", false)?;
        Ok((target.join(ETC_OVERLAYS), target))
    }

    fn unmount(&mut self, target: &Path) -> Result<(), StepError> {
        self.mounts.unmount(target)
    }
}

/// The steps, in order.
pub fn steps<'s, 'c>() -> Runner<'s, Context<'c>> {
    Runner::new()
        .with(VerifyRelease)
        .with(identify::IdentifyHost)
        .with(tell_loader::ForgetOther)
        .with(slot::WriteSlot)
        .with(boot_files::WriteBootFiles)
        .with(InheritEtc)
        .with(tell_loader::ArrangeTry)
}

/// True for the report of an upgrade.
pub fn is_of(report: &Report) -> bool {
    report.steps.iter().any(|step| step.id == LAST)
}

/// Step: the release is what its maker signed. Before anything is written.
struct VerifyRelease;

impl Step<Context<'_>> for VerifyRelease {
    fn id(&self) -> String {
        "verify-release".into()
    }

    fn title(&self) -> String {
        "Verify the release on the medium".into()
    }

    fn run(
        &mut self,
        context: &mut Context<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), StepError> {
        verify(context.release, &context.origin, reporter)
    }
}

/// Step: the settings of the host.
struct InheritEtc;

impl Step<Context<'_>> for InheritEtc {
    fn id(&self) -> String {
        "etc".into()
    }

    fn title(&self) -> String {
        "Have the new release start with the settings of the old one".into()
    }

    fn run(&mut self, context: &mut Context<'_>, _: &mut Reporter<'_>) -> Result<(), StepError> {
        let (etc, target) = context.mount_etc()?;
        beside::inherit_etc(context.system, &etc, context.new_id(), context.old_id())?;
        context.unmount(&target)
    }

    fn cleanup(&mut self, context: &mut Context<'_>) -> Result<(), StepError> {
        context.mounts.unmount_all()
    }
}
