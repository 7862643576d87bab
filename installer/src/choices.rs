//! What the operator said, and nothing else. The answer file and the interview produce the same type.

mod boot;
mod hook;
mod network;
mod source;
mod storage;
mod webhook;

pub use boot::BootChoice;
pub use hook::{HookChoice, HookProgram};
pub use network::{
    AddressChoice, BondMode, BridgeChoice, InterfaceChoice, Ipv6Choice, MANAGEMENT_BRIDGE,
    NameChoice, NetworkChoice, StaticAddress, StaticAddress6, UplinkChoice,
};

pub use source::SourceChoice;
pub use storage::{StorageChoice, StorageKind};
pub use webhook::WebhookChoice;

use crate::selector::DiskSelector;
use crate::values::{
    HostnamePattern, Keymap, LicenseToken, Locale, PasswordHash, PlanHash, SshKey, Timezone, Unit,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Everything that an operator decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Choices {
    /// Which disk, and whether it may be wiped.
    pub disk: DiskChoice,
    /// Storage repositories on disks of their own.
    pub storage: Vec<StorageChoice>,
    /// Name, logins, clock; none where there shall be an upgrade only.
    pub system: Option<SystemChoice>,
    /// How the host is started.
    pub boot: BootChoice,
    /// The networks.
    pub network: NetworkChoice,
    /// What to do about hardware that the list does not approve.
    pub hcl: HclPolicy,
    /// The license; none for a host without automatic updates.
    pub license: Option<LicenseToken>,
    /// Who hears how the installation goes.
    pub webhook: Option<WebhookChoice>,
    /// A server that the release is fetched from; none for that of the medium.
    pub source: Option<SourceChoice>,
    /// Programs that run in the course of the installation, in their order.
    pub hooks: Vec<HookChoice>,
    /// The only plan that may be carried out, by its hash.
    pub expect_plan: Option<PlanHash>,
    /// What follows a finished installation.
    pub on_success: After,
    /// What follows a failed one.
    pub on_failure: After,
}

/// Which disk to install on.
#[derive(Debug, Clone, PartialEq)]
pub struct DiskChoice {
    /// How the disk is found. Exactly one disk must match; exactly two where a mirror has no [`DiskChoice::second`].
    pub select: DiskSelector,
    /// What is looked for where no disk matches [`DiskChoice::select`], in this order.
    pub fallbacks: Vec<DiskSelector>,
    /// Bytes of the state partition; none for what follows from the size of the disk.
    pub state_size: Option<u64>,
    /// How the storage repository on the disk keeps the disks of guests.
    pub storage: StorageKind,
    /// Install on two disks that hold the same.
    pub mirror: bool,
    /// How the second disk of a mirror is found. Exactly one disk must match.
    pub second: Option<DiskSelector>,
    /// Consent to lose everything on it.
    pub wipe: bool,
    /// Consent to lose a Bedplate host with everything in its storage repository. Apart from [`DiskChoice::wipe`], so that a
    /// medium that stays first in the boot order does not install the same host again at every restart.
    pub reinstall: bool,
    /// A Bedplate host on the disk gets the release beside the one that it runs, and stays what it is.
    pub upgrade: bool,
    /// The storage repository of that host stays, with the disks of its guests. There must be one.
    pub keep_storage: bool,
}

/// Name, logins and clock of the host.
#[derive(Debug, Clone, PartialEq)]
pub struct SystemChoice {
    /// Name of the host, with facts in it where the operator wants.
    pub hostname: HostnamePattern,
    /// Hash of root's password; without one root has no password login.
    pub root_password: Option<PasswordHash>,
    /// Keys that may log in as root by ssh.
    pub ssh_keys: Vec<SshKey>,
    /// Time zone.
    pub timezone: Timezone,
    /// Keyboard layout of the consoles; none for the image's own, which is that of the United States.
    pub keymap: Option<Keymap>,
    /// Locale; none for the image's own.
    pub locale: Option<Locale>,
    /// Services that are started with the host although the release does not.
    pub enable: Vec<Unit>,
    /// Services that are not started.
    pub disable: Vec<Unit>,
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
    /// Install as with [`HclPolicy::Warn`], without a warning for each finding: they are known.
    Allow {
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
