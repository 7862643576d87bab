//! Classes of things that `xe` knows: hosts, VMs, storage repositories, networks, network interfaces, patches.

mod device;
mod host;
mod network;
mod patch;
mod pool;
mod snapshot;
mod sr;
mod task;
mod template;
mod vdi;
mod vm;

pub use vm::{DOM0, bad_power_state};

use crate::XeError;
use crate::change::Change;
use crate::commands::Surroundings;
use crate::record::{Field, Record};
use steps::System;

/// A class: its name, the fields of its records, and how to read them.
#[derive(Debug, Clone, Copy)]
pub struct Class {
    /// `vm`.
    pub name: &'static str,
    /// For help: `virtual machines`.
    pub plural: &'static str,
    /// The fields; the first one is the identity.
    pub fields: &'static [Field],
    /// Names, descriptions and notes are kept by [`crate::labels`].
    pub labeled: bool,
    /// There is exactly one record, so that a command need not say which.
    pub single: bool,
    read: fn(&dyn System, &Wanted<'_>) -> Result<Vec<Record>, XeError>,
    /// Changes a record; none where only labels can be changed.
    pub write: Option<Writer>,
}

/// Records, and why some are missing.
pub type Listed = (Vec<Record>, Option<XeError>);

/// Changes fields of a record.
pub type Writer = fn(&Surroundings<'_>, &Record, &[Change]) -> Result<(), XeError>;

/// The fields that somebody will look at, so that nothing slow is asked for in vain.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a>(&'a [&'a str]);

impl Wanted<'_> {
    /// Whether any of these is wanted.
    pub fn any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.0.contains(name))
    }
}

impl Class {
    /// Every class.
    pub const ALL: [Class; 15] = [
        vdi::CD,
        device::CONSOLE,
        host::CLASS,
        network::NETWORK,
        patch::CLASS,
        network::PIF,
        pool::CLASS,
        snapshot::CLASS,
        sr::CLASS,
        task::CLASS,
        template::CLASS,
        device::VBD,
        vdi::VDI,
        device::VIF,
        vm::CLASS,
    ];

    /// The class of that name.
    pub fn named(name: &str) -> Option<Class> {
        Class::ALL.into_iter().find(|class| class.name == name)
    }

    /// Reads all of its records, with at least the fields of `wanted`.
    pub fn records(&self, system: &dyn System, wanted: &[&str]) -> Result<Vec<Record>, XeError> {
        (self.read)(system, &Wanted(wanted))
    }

    /// What can be read of its records, and why the rest cannot: for whoever only looks.
    pub fn listed(&self, system: &dyn System, wanted: &[&str]) -> Result<Listed, XeError> {
        match self.name == vm::CLASS.name {
            true => vm::listed(system, &Wanted(wanted)),
            false => Ok((self.records(system, wanted)?, None)),
        }
    }
}
