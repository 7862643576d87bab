//! Guests by `xe`: what is asked of LVM and libvirt, and what is refused before anything is made.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod apart;
mod bench;
mod devices;
mod disks;
mod files;
mod install;
mod life;
mod loss;
mod owner;
mod shell;
mod snapshots;
mod storage;
