//! The `xe` command and the host services.
//!
//! `xe` is made of [`cmdline`] (what was typed), [`class`] (records of hosts, VMs and so on, read through
//! [`steps::System`]), [`query`] (filters and selectors), [`render`] (text, minimal, JSON) and [`commands`], which ties
//! them together. [`program`] tells it from the services, which are the same file under other names.
//! [`hotfix`] is everything about hotfixes, [`health`] decides at the end of a boot whether the running release is good.
//! [`loaders`] brings the boot loaders up to date after that.
//! [`first_boot`] runs the programs that the installer left for the first boot.
//! [`updates`] installs hotfixes without being told to.
//! [`crash_kernel`] loads what collects a dump when Xen or dom0 crashes.
//! [`licensing`] knows the license of this host, which decides about automatic updates alone.

pub mod change;
pub mod class;
mod clock;
pub mod cmdline;
pub mod commands;
pub mod complete;
pub mod crash_kernel;
pub mod error;
pub mod export;
pub mod first_boot;
pub mod guest;
pub mod health;
pub mod help;
pub mod hotfix;
pub mod interrupt;
pub mod labels;
pub mod licensing;
pub mod loaders;
pub mod local;
pub mod locks;
pub mod manual;
pub mod mirror;
pub mod network_files;
pub mod param_commands;
pub mod process;
pub mod program;
pub mod query;
pub mod record;
pub mod redact;
pub mod render;
pub mod selection;
pub mod size;
pub mod storage;
pub mod support;
pub mod task;
pub mod terminal;
pub mod updates;
pub mod verb;
pub mod verbs;
mod xenserver_args;

pub use error::XeError;
