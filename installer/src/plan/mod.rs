//! The plan: everything decided, nothing optional. Shown before it runs, and hashed.

mod build;
mod contents;
mod describe;
mod describe_upgrade;
mod disk;
mod fingerprint;
mod hcl;
mod hook;
mod interfaces;
mod keep;
mod matches;
mod network;
mod network_plan;
mod planned;
mod problem;
mod secure_boot;
mod storage;
mod upgrade;
mod wish;

pub use build::{Input, build};
pub use contents::{contents, holds_bedplate};
pub use disk::{identity_of, unpairable, unusable, unusable_for_storage};
pub use hcl::Judge;
pub use hook::HookPlan;
pub use keep::{KeptStorage, kept_storage};
pub use matches::{MatchGroup, Matches};
pub use network::choose as choose_network;
pub use network_plan::{BondPlan, BridgePlan, InterfacePlan, NetworkPlan, VlanPlan};
pub use planned::{Planned, check, decide};
pub use problem::{About, DiskVerdict, PlanProblem, PlanProblems};
pub use secure_boot::{SWITCH_ON, SecureBoot};
pub use storage::{StorageDisk, StoragePlan};
pub use upgrade::{OpenedPartition, Refusal, UpgradePlan, UpgradedHost, upgradable};
pub use wish::join_paths;

use crate::choices::{After, Choices, HclPolicy, StorageKind};
use crate::values::{
    Hostname, Keymap, LicenseToken, Locale, PasswordHash, SshKey, Timezone, Unit, few,
};
use release::Manifest;
use serde::Serialize;
use slots::{Console, ExtraOptions, Layout};
use steps::Secrets;

/// What an installation will do.
///
/// Serializes without secrets, so it may be printed, logged and kept; [`Plan::root_password`] is left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// Schema of the serialized plan: 1.
    pub schema: u32,
    /// What is laid down.
    pub release: ReleasePlan,
    /// Where.
    pub disk: DiskPlan,
    /// Storage repositories on disks of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub storage: Vec<StoragePlan>,
    /// How the machine starts it.
    pub boot: BootPlan,
    /// Who the host is.
    pub system: SystemPlan,
    /// How it is reached.
    pub network: NetworkPlan,
    /// What the compatibility list said.
    pub hcl: HclPlan,
    /// SHA-256 of the license token, lowercase hexadecimal; none without a license. The token itself is a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license_sha256: Option<String>,
    /// SHA-256 of what the plan does not show: password hash, URLs in full, the token of the webhook. By it the hash of the plan
    /// tells whether somebody changed one of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets_sha256: Option<String>,
    /// Who hears how the installation goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookPlan>,
    /// The server that the release is fetched from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourcePlan>,
    /// Programs of the operator, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookPlan>,
    /// What follows success.
    pub on_success: After,
    /// What follows a failure.
    pub on_failure: After,
    /// What the operator should know; nothing here stops the installation.
    pub warnings: Vec<String>,
    /// Hash of root's password, kept apart from everything that is shown.
    #[serde(skip)]
    pub root_password: Option<PasswordHash>,
    /// The license token, kept apart likewise.
    #[serde(skip)]
    pub license: Option<LicenseToken>,
    /// What no program may show.
    #[serde(skip)]
    pub secrets: Secrets,
}

/// What is laid down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReleasePlan {
    /// Version of the release.
    pub version: String,
    /// Kernel of dom0.
    pub kernel: String,
    /// Version of the hypervisor.
    pub xen: String,
    /// Identity of the root image.
    pub root: slots::RootIdentity,
}

impl ReleasePlan {
    /// Of the release with this manifest.
    fn of(release: &Manifest) -> Self {
        ReleasePlan {
            version: release.version.clone(),
            kernel: release.kernel.clone(),
            xen: release.xen.clone(),
            root: release.root.clone(),
        }
    }
}

/// Where it is laid down: one disk, named so that no other can be taken for it, or two as a mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiskPlan {
    /// Identity; compared again just before the first write.
    pub identity: DiskIdentity,
    /// True when the operator agreed to lose what is on it.
    pub wipe: bool,
    /// True when the operator agreed to lose a host that is on it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reinstall: bool,
    /// What is on it now and will be lost, in plain words.
    pub loses: Vec<String>,
    /// The partitions that it gets.
    pub layout: Layout,
    /// The storage repository of the host that was on it, which stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keeps: Option<KeptStorage>,
    /// How a new storage repository on it keeps the disks of guests.
    #[serde(skip_serializing_if = "StorageKind::is_default")]
    pub storage: StorageKind,
    /// The other half of a mirror.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorPlan>,
}

/// The second disk of a mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MirrorPlan {
    /// Identity; compared again just before the first write.
    pub identity: DiskIdentity,
    /// What is on it now and will be lost, in plain words.
    pub loses: Vec<String>,
    /// The partitions that it gets: as those of the first disk, on a disk of its own size.
    pub layout: Layout,
}

impl DiskPlan {
    /// Each disk with its partitions: one, or the two of a mirror.
    pub fn members(&self) -> Vec<(&DiskIdentity, &Layout)> {
        let second = self.mirror.as_ref();
        std::iter::once((&self.identity, &self.layout))
            .chain(second.map(|half| (&half.identity, &half.layout)))
            .collect()
    }

    /// What is lost on any of the disks.
    pub fn all_loses(&self) -> impl Iterator<Item = &String> {
        let second = self.mirror.as_ref();
        self.loses
            .iter()
            .chain(second.into_iter().flat_map(|half| &half.loses))
    }
}

/// What identifies a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiskIdentity {
    /// Device path, for example `/dev/nvme0n1`.
    pub path: String,
    /// Model, as the disk says it.
    pub model: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// World wide name.
    pub wwn: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Bytes of a logical sector: 512 or 4096.
    pub sector_size: u32,
    /// Another disk of the machine that says all of this of itself, too: only the paths tell the two apart, and they may be
    /// the other way round at the next start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub twin: Option<String>,
}

/// How the machine was started, and so starts what is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Firmware {
    /// BIOS or a compatibility module.
    Bios,
    /// UEFI.
    Uefi,
}

/// How the machine starts the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BootPlan {
    /// Firmware of this machine.
    pub firmware: Firmware,
    /// True when BIOS boot code is written, too: always on disks with 512-byte sectors.
    pub bios_code: bool,
    /// True when an entry is added to the firmware's list: on UEFI.
    pub firmware_entry: bool,
    /// True when the release's keys of Secure Boot are enrolled in the firmware.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub enroll_keys: bool,
    /// Console of loader, hypervisor and kernel.
    pub console: Console,
    /// True when it is where the installer is seen, as the answers name none.
    #[serde(skip)]
    pub console_follows: bool,
    /// What is added to the command lines of hypervisor and kernel.
    #[serde(skip_serializing_if = "ExtraOptions::is_empty")]
    pub options: ExtraOptions,
}

/// What [`SystemPlan::root_password`] says where there is none.
pub const NO_PASSWORD: &str = "none";

/// Who the host is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SystemPlan {
    /// Name.
    pub hostname: Hostname,
    /// Time zone.
    pub timezone: Timezone,
    /// How root may log in with a password: the hash method, or [`NO_PASSWORD`].
    pub root_password: String,
    /// Keys that may log in as root.
    pub ssh_keys: Vec<SshKey>,
    /// Keyboard layout; none for the image's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keymap: Option<Keymap>,
    /// Locale; none for the image's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<Locale>,
    /// Services that are switched on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub enable: Vec<Unit>,
    /// Services that are switched off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disable: Vec<Unit>,
}

/// Who hears how the installation goes. What sends it has the secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebhookPlan {
    /// The URL without what may be a secret.
    pub url: String,
    /// True when it hears of each step.
    pub progress: bool,
    /// True when a token is sent along.
    pub token: bool,
    /// The only key that the server may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
}

impl WebhookPlan {
    /// As the operator wants it.
    fn of(choices: &Choices) -> Option<Self> {
        choices.webhook.as_ref().map(|webhook| WebhookPlan {
            url: webhook.url.shown(),
            progress: webhook.progress,
            token: webhook.token.is_some(),
            pin: webhook.pin.as_ref().map(ToString::to_string),
        })
    }
}

/// The server that the release is fetched from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourcePlan {
    /// The URL without what may be a secret.
    pub url: String,
    /// The only key that the server may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
}

impl SourcePlan {
    /// As the operator wants it.
    fn of(choices: &Choices) -> Option<Self> {
        choices.source.as_ref().map(|source| SourcePlan {
            url: source.url.shown(),
            pin: source.pin.as_ref().map(ToString::to_string),
        })
    }
}

/// What the compatibility list said, and what the operator said to that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HclPlan {
    /// The level, as `hcl-checker` prints it.
    pub level: String,
    /// What the operator wanted in case of disapproval.
    pub policy: HclPolicy,
    /// True when the list disapproves and the operator's reason decided.
    pub overridden: bool,
}

impl Plan {
    /// True when the operator agreed to lose what is on any of the disks.
    pub fn wipes(&self) -> bool {
        !self.wiped().is_empty()
    }

    /// Device paths of the disks on which the operator agreed to lose everything.
    pub fn wiped(&self) -> Vec<&str> {
        let host = self
            .disk
            .members()
            .into_iter()
            .map(|(identity, _)| identity);
        let extra = self.storage.iter().filter(|storage| storage.wipe);
        let extra = extra
            .flat_map(|storage| &storage.disks)
            .map(|disk| &disk.identity);
        host.filter(|_| self.disk.wipe)
            .chain(extra)
            .map(|identity| identity.path.as_str())
            .collect()
    }

    /// What the operator agrees to lose, in one sentence without its full stop; none where nothing is lost. Of many disks it
    /// names a few: [`Plan::describe`] has them all.
    pub fn loss(&self) -> Option<String> {
        let keeps = |path: &str| self.disk.keeps.is_some() && path == self.disk.identity.path;
        let words = |path: &str| match keeps(path) {
            true => format!("{path} (but its storage repository)"),
            false => path.to_owned(),
        };
        let disks: Vec<String> = self.wiped().into_iter().map(words).collect();
        (!disks.is_empty()).then(|| {
            format!(
                "Everything on {} will be lost, and cannot be brought back",
                few(&disks)
            )
        })
    }

    /// What stays on the disks, in plain words.
    pub fn kept(&self) -> Vec<&str> {
        let extra = self.storage.iter().flat_map(|storage| &storage.disks);
        let host = self.disk.keeps.iter();
        host.chain(extra.filter_map(|disk| disk.keeps.as_ref()))
            .map(|kept| kept.shown.as_str())
            .collect()
    }

    /// What is lost on all of the disks, in plain words.
    pub fn losses(&self) -> Vec<&str> {
        let extra = self.storage.iter().flat_map(|storage| &storage.disks);
        self.disk
            .all_loses()
            .chain(extra.flat_map(|disk| &disk.loses))
            .map(String::as_str)
            .collect()
    }

    /// The plan as JSON, always the same for the same plan: two spaces, keys in the order of the types.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }

    /// SHA-256 of what the plan does to which disks and interfaces, lowercase hexadecimal.
    ///
    /// A plan has no random parts, and names that the kernel gives anew at each boot do not count: the same release, machine and
    /// choices give the same hash wherever and whenever it is asked for. See docs/adr/0033-what-the-hash-of-a-plan-covers.md.
    pub fn hash(&self) -> Result<String, serde_json::Error> {
        fingerprint::of_plan(self)
    }
}
