//! Hotfixes: from a file in the operator's hand to the release that the host runs, and back where it is not good.
//!
//! [`upload()`] verifies a file and keeps what is in it. [`precheck()`] says whether it can be applied here. [`apply()`] writes it
//! into the slot that does not run, and arranges one try. [`after_boot()`] decides what came of the try. [`rollback()`] goes
//! back by hand. What happened to each is in its [`PatchRecord`], which outlives its files.

mod after_boot;
mod apply;
mod clean;
mod disk;
mod etc;
mod lock;
mod machine;
mod places;
mod precheck;
mod record;
mod rollback;
mod seen;
mod standing;
mod upload;

pub use after_boot::{Verdict, after_boot, deadline, try_failed};
use apply::tell_loaders;
pub use apply::{Applied, apply};
pub use clean::{clean, destroy};
pub(crate) use disk::partition_name;
pub use lock::lock;
pub use machine::{Machine, RealMachine};
pub use places::Places;
pub(crate) use precheck::{NO_DELTA, sources};
pub use precheck::{Prepared, Source, boot_state, precheck};
pub use record::{PatchRecord, PatchState, patch_uuid};
pub use rollback::{RolledBack, Settings, rollback};
pub use upload::upload;
pub(crate) use upload::{free, out_of_space, remove_folder, require_room, take_fetched};

pub use release::is_older;

use crate::XeError;
use steps::System;

/// What every operation on hotfixes works with.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    /// Commands and files.
    pub system: &'a dyn System,
    /// Disks, free space, the boot loader's blocks.
    pub machine: &'a dyn Machine,
    /// Where everything is.
    pub places: &'a Places,
    /// The clock, in seconds since 1970.
    pub now: u64,
}

pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> XeError {
    XeError::system(error)
}
