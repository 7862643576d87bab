//! Guests: what their definitions say, how new ones are described, and libvirt, which runs them.

pub mod autostart;
pub mod devices;
pub mod domain;
mod foreign;
pub mod libvirt;
pub mod needs;
pub mod rename;
pub mod snapshots;
pub mod template;
mod xml;

pub use domain::{Domain, Virtualization, is_name};
