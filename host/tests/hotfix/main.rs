//! Hotfixes from the file to the next start, on disks in files: applied, refused, cut off, gone back from.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod apply;
mod commands;
mod hostile;
mod maker;
mod power_cut;
mod site;
mod trial;
