//! Doing what the plan says: an ordered list of steps. Boot loaders come last, so that a disk on which anything failed
//! does not start.

mod boot_state;
mod context;
mod enroll_keys;
mod erase;
mod esp;
mod extra_storage;
pub(crate) mod files;
mod firmware_entry;
mod hook;
mod identify;
mod kept_group;
mod loaders;
mod machine;
mod mirror;
mod mounts;
mod origin;
mod partition;
mod settings;
mod slot;
mod state;
mod storage;
mod verify;
mod volume_group;

pub use context::{Context, Member, device_of};
pub use hook::HOST_TREE;
pub use identify::IdentifyError;
pub(crate) use identify::same_disk;
pub use kept_group::KeptGroupError;
pub use machine::{Machine, RealMachine, partition_path};
pub(crate) use mounts::Mounts;
pub use origin::{Origin, OriginError};
pub use settings::SettingsError;
pub use state::HOST_KEY_NOTE;
pub(crate) use verify::verify;

use crate::plan::Plan;
use steps::Runner;
use steps::hook::Stage;

/// The steps of an installation by `plan`, in order.
pub fn steps<'a, 'c>(plan: &Plan) -> Runner<'a, Context<'c>> {
    let mut runner = Runner::new().with(verify::VerifyRelease);
    let system = &plan.system;
    if system.locale.is_some() || !system.enable.is_empty() || !system.disable.is_empty() {
        runner.add(settings::CheckSettings);
    }
    add_hooks(&mut runner, plan, Stage::BeforeInstall);
    let keeps = plan.disk.keeps.is_some();
    runner.add(identify::IdentifyDisk);
    if keeps {
        runner.add(erase::EraseHost);
    } else {
        runner.add(erase::EraseDisk);
    }
    runner.add(partition::PartitionDisk);
    if plan.disk.mirror.is_some() {
        runner.add(mirror::CreateMirror);
    }
    let mut runner = runner.with(slot::WriteSlot).with(state::CreateState);
    if keeps {
        runner.add(storage::KeepStorage);
    } else {
        runner.add(storage::CreateStorage);
    }
    if !plan.storage.is_empty() {
        runner.add(extra_storage::CreateExtraStorage);
    }
    runner.add(esp::FillEsp);
    // Before the boot loaders: a disk on which one failed does not start.
    add_hooks(&mut runner, plan, Stage::BeforeFirstBoot);
    if plan.boot.enroll_keys {
        runner.add(enroll_keys::EnrollKeys);
    }
    runner.add(loaders::WriteLoaders);
    if plan.boot.firmware_entry {
        runner.add(firmware_entry::FirmwareEntry);
    }
    runner
}

fn add_hooks<'a, 'c>(runner: &mut Runner<'a, Context<'c>>, plan: &Plan, stage: Stage) {
    for hook in plan.hooks.iter().filter(|plan| plan.hook.when == stage) {
        runner.add(hook::RunHook(hook.clone()));
    }
}
