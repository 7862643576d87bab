//! The commands that do something, class by class.

mod device;
mod disk;
mod host;
mod license;
mod network;
mod owner;
mod patch;
mod repository;
mod task;
mod update;
mod vif;
mod vm_disk;
mod vm_export;
mod vm_install;
mod vm_life;
mod vm_snapshot;

pub(crate) use self::license::VIEW as VIEW_LICENSE;
pub use host::DISABLED;
pub(crate) use host::disable;
pub use patch::fits as fits_hotfix;
pub use task::is_long;

use crate::XeError;
use crate::record::Record;
use crate::verb::Verb;

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Verb> {
    let classes: [&'static [Verb]; 14] = [
        disk::VERBS,
        host::VERBS,
        license::VERBS,
        network::VERBS,
        patch::VERBS,
        repository::VERBS,
        task::VERBS,
        update::VERBS,
        vif::VERBS,
        vm_disk::VERBS,
        vm_export::VERBS,
        vm_install::VERBS,
        vm_life::VERBS,
        vm_snapshot::VERBS,
    ];
    classes.into_iter().flatten()
}

/// UUID of a record that a command acts on.
fn uuid_of(record: &Record) -> Result<String, XeError> {
    record
        .text("uuid")
        .ok_or_else(|| XeError::failure("INTERNAL_ERROR", "a record without a uuid"))
}
