//! Hotfixes from the file to the next start, on disks in files: applied, refused, cut off, gone back from; and fetched from a server.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod apply;
mod commands;
mod going_back;
mod hostile;
mod maker;
mod mixed;
mod power_cut;
mod server;
mod site;
mod standing;
mod trial;
mod updates;
mod updates_faults;
mod updates_meanwhile;
