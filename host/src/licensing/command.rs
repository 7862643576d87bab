//! The names of the commands about the license.

use crate::verb::{Arg, Kind};

/// A command about the license.
#[derive(Debug, Clone, Copy)]
pub enum LicenseCommand {
    /// Shows it.
    View,
    /// Installs one.
    Add,
    /// Takes it away.
    Remove,
    /// Asks for one.
    Request,
    /// Takes replaced parts into account.
    Reactivate,
}

impl LicenseCommand {
    /// All of them.
    pub const ALL: [LicenseCommand; 5] = [
        LicenseCommand::View,
        LicenseCommand::Add,
        LicenseCommand::Remove,
        LicenseCommand::Request,
        LicenseCommand::Reactivate,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            LicenseCommand::View => "host-license-view",
            LicenseCommand::Add => "host-license-add",
            LicenseCommand::Remove => "host-license-remove",
            LicenseCommand::Request => "host-license-request",
            LicenseCommand::Reactivate => "host-license-reactivate",
        }
    }

    /// What it does.
    pub fn summary(self) -> &'static str {
        match self {
            LicenseCommand::View => "Shows the license of this host, its state and why",
            LicenseCommand::Add => "Installs a license, or the answer to a request, from a file",
            LicenseCommand::Remove => {
                "Takes the license away; everything but automatic updates goes on"
            }
            LicenseCommand::Request => {
                "Prints what to send for a license, as text and as a QR code"
            }
            LicenseCommand::Reactivate => "Tells the license that parts of this host were replaced",
        }
    }

    /// Its arguments.
    pub fn args(self) -> &'static [Arg] {
        match self {
            LicenseCommand::View => {
                const { &[Arg::may("params", Kind::Text, "the fields to show, or all")] }
            }
            LicenseCommand::Add => {
                const {
                    &[Arg::needed(
                        "license-file",
                        Kind::File,
                        "where is the license?",
                    )]
                }
            }
            LicenseCommand::Remove | LicenseCommand::Request | LicenseCommand::Reactivate => &[],
        }
    }
}
