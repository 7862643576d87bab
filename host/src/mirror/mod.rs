//! The mirror of a host on two disks: how it stands, making it whole again, setting a second history aside, and keeping
//! both ESPs equal.

mod arrays;
mod esp;
mod members;
mod replace;

pub use arrays::{ArrayState, arrays, summary};
pub use esp::equal_esps;
pub(crate) use esp::{mounted, partition_of, with_esp};
pub(crate) use members::disk_of;
pub use members::{Settled, settle};
pub use replace::{Replaced, replace};
