//! What the operator said, and nothing else. The answer file and the interview produce the same type.

use crate::selector::DiskSelector;
use crate::values::{Cidr, Hostname, Mac, PasswordHash, SshKey, Timezone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// Everything that an operator decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Choices {
    /// Which disk, and whether it may be wiped.
    pub disk: DiskChoice,
    /// Name, logins, clock.
    pub system: SystemChoice,
    /// The management network.
    pub network: NetworkChoice,
    /// What to do about hardware that the list does not approve.
    pub hcl: HclPolicy,
    /// What follows a finished installation.
    pub on_success: After,
    /// What follows a failed one.
    pub on_failure: After,
}

/// Which disk to install on.
#[derive(Debug, Clone, PartialEq)]
pub struct DiskChoice {
    /// How the disk is found. Exactly one disk must match.
    pub select: DiskSelector,
    /// Consent to lose everything on it.
    pub wipe: bool,
    /// Consent to lose a Bedplate host with everything in its storage repository. Apart from [`DiskChoice::wipe`], so that a
    /// medium that stays first in the boot order does not install the same host again at every restart.
    pub reinstall: bool,
}

/// Name, logins and clock of the host.
#[derive(Debug, Clone, PartialEq)]
pub struct SystemChoice {
    /// Name of the host.
    pub hostname: Hostname,
    /// Hash of root's password; without one root has no password login.
    pub root_password: Option<PasswordHash>,
    /// Keys that may log in as root by ssh.
    pub ssh_keys: Vec<SshKey>,
    /// Time zone.
    pub timezone: Timezone,
}

/// The management network: one interface below the bridge `xenbr0`.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkChoice {
    /// Which interface.
    pub interface: InterfaceChoice,
    /// How the bridge gets its address.
    pub address: AddressChoice,
}

/// Which interface carries the management network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterfaceChoice {
    /// The only one, or the first with a link in the order of names.
    Auto,
    /// By the kernel's name.
    Name(String),
    /// By hardware address.
    Mac(Mac),
}

/// How the management bridge gets its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressChoice {
    /// From DHCP.
    Dhcp,
    /// A fixed IPv4 address.
    Static(StaticAddress),
}

/// A fixed IPv4 configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StaticAddress {
    /// Address and prefix length.
    pub address: Cidr,
    /// The router, in the same network.
    pub gateway: Option<Ipv4Addr>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
}

/// What to do about hardware that the Hardware Compatibility List does not approve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HclPolicy {
    /// Do not install.
    Refuse,
    /// Install, and keep the reason in the report.
    Warn {
        /// Why the operator wants it anyway.
        reason: String,
    },
}

/// What follows an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum After {
    /// Boot again.
    Reboot,
    /// Switch the power off.
    Poweroff,
    /// Stop, with the last lines on the screen.
    Halt,
    /// Open a shell on the consoles.
    Shell,
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            After::Reboot => "reboot",
            After::Poweroff => "poweroff",
            After::Halt => "halt",
            After::Shell => "shell",
        })
    }
}
