//! Doing what the plan says: an ordered list of steps. Boot loaders come last, so that a disk on which anything failed
//! does not start.

mod boot_state;
mod context;
mod erase;
mod esp;
mod extra_storage;
mod files;
mod firmware_entry;
mod identify;
mod loaders;
mod machine;
mod partition;
mod settings;
mod slot;
mod state;
mod storage;
mod verify;
mod volume_group;

pub use context::Context;
pub use identify::IdentifyError;
pub use machine::{Machine, RealMachine, partition_path};
pub use settings::SettingsError;
pub use state::HOST_KEY_NOTE;

use crate::plan::Plan;
use steps::Runner;

/// The steps of an installation by `plan`, in order.
pub fn steps<'a, 'c>(plan: &Plan) -> Runner<'a, Context<'c>> {
    let mut runner = Runner::new().with(verify::VerifyRelease);
    let system = &plan.system;
    if system.locale.is_some() || !system.enable.is_empty() || !system.disable.is_empty() {
        runner.add(settings::CheckSettings);
    }
    let mut runner = runner
        .with(identify::IdentifyDisk)
        .with(erase::EraseDisk)
        .with(partition::PartitionDisk)
        .with(slot::WriteSlot)
        .with(state::CreateState)
        .with(storage::CreateStorage);
    if !plan.storage.is_empty() {
        runner.add(extra_storage::CreateExtraStorage);
    }
    let mut runner = runner.with(esp::FillEsp).with(loaders::WriteLoaders);
    if plan.boot.firmware_entry {
        runner.add(firmware_entry::FirmwareEntry);
    }
    runner
}
