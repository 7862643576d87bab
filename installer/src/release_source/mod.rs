//! A release from a server, in place of that of the medium: fetched into memory, verified like every other, and looked into.

mod download;
mod image;

pub use download::{SOURCE_DIR, SourceError, download};
pub use image::{ImageRoot, MountedImage};
