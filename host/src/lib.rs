//! The `xe` command and the host services.
//!
//! `xe` is made of [`cmdline`] (what was typed), [`class`] (records of hosts, VMs and so on, read through
//! [`steps::System`]), [`query`] (filters and selectors), [`render`] (text, minimal, JSON) and [`commands`], which ties
//! them together. [`hotfix`] is everything about hotfixes, [`health`] decides at the end of a boot whether the running release is good.
//! [`licensing`] knows the license of this host, which decides about automatic updates alone.

pub mod class;
pub mod cmdline;
pub mod commands;
pub mod error;
pub mod health;
pub mod hotfix;
pub mod licensing;
pub mod local;
pub mod mirror;
pub mod patch_commands;
pub mod query;
pub mod record;
pub mod render;

pub use error::XeError;
