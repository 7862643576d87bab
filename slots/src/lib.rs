//! Disk layout (pure), the two root slots, the verified writer, boot state.

pub mod answer_area;
pub mod block;
pub mod boot_options;
mod boot_record;
pub mod boot_state;
pub mod env_block;
pub mod extra_options;
pub mod gpt;
pub mod grub;
pub mod grub_cfg;
mod identity;
pub mod layout;
pub mod md_superblock;
pub mod mirror;
pub mod names;
pub mod verity;
pub mod writer;

pub use boot_record::{BootRecord, Medium, MirrorBoot, Mode};
pub use boot_state::{BootState, Console};
pub use extra_options::ExtraOptions;
pub use identity::{RootIdentity, Verity};
pub use layout::{Layout, Partition, PartitionKind};
