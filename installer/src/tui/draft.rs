//! What the operator typed so far, and the choices that it makes.

use super::field::Field;
use super::network_draft::NetworkDraft;
use super::screens::Screen;
use crate::choices::{
    After, BootChoice, Choices, DiskChoice, HclPolicy, NetworkChoice, StorageChoice, StorageKind,
    SystemChoice,
};
use crate::plan::{KeptStorage, SecureBoot, holds_bedplate, identity_of, kept_storage};
use crate::selector::DiskSelector;
use crate::values::{
    HostnamePattern, Keymap, LicenseToken, PasswordHash, SshKey, StorageName, Timezone, ValueError,
    Zones,
};
use hcl_checker::Known;
use hcl_checker::facts::{Disk, Facts};
use serde::{Deserialize, Serialize};
use slots::Layout;

/// What can be done with a firmware that takes keys of Secure Boot, as it is shown; the second is [`Draft::enroll_keys`].
pub const ENROLL: [&str; 2] = ["leave the firmware as it is", "enroll the keys"];

/// Something that is missing or wrong in what was typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftProblem {
    /// The screen on which it is put right.
    pub screen: Screen,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl DraftProblem {
    pub(super) fn new(screen: Screen, message: impl Into<String>) -> Self {
        DraftProblem {
            screen,
            message: message.into(),
        }
    }

    pub(super) fn about(screen: Screen, what: &str, error: &ValueError) -> Self {
        Self::new(screen, format!("{what} {error}."))
    }
}

/// What is to be done about a host that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Existing {
    /// Nobody said so far, or there is none.
    #[default]
    Undecided,
    /// It may be lost.
    Anew,
    /// That on the disk with this path is upgraded.
    Upgrade(String),
}

/// What the operator typed so far. Kept as typed, so that going back loses nothing. Secrets are not serialized.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// Keyboard layout, by its XKB name.
    pub keymap: String,
    /// Why the operator installs on hardware that is not approved.
    pub reason: Field,
    /// What is to be done about a host that is there.
    #[serde(default)]
    pub existing: Existing,
    /// Device paths of the disks to install to: one, or the two of a mirror.
    pub disks: Vec<String>,
    /// Device paths of more disks, each of which becomes a storage repository.
    #[serde(default)]
    pub storage: Vec<String>,
    /// The storage repository of a host that is on the disk is lost, too, although it could stay.
    #[serde(default)]
    pub lose_storage: bool,
    /// The management network.
    pub network: NetworkDraft,
    /// Name of the host.
    pub hostname: Field,
    /// Time zone.
    pub timezone: Field,
    /// Whether the release's keys of Secure Boot are to be enrolled. Counts only where the firmware takes keys.
    #[serde(default)]
    pub enroll_keys: bool,
    /// Keys that were added.
    pub ssh_keys: Vec<String>,
    /// Hash of root's password.
    #[serde(skip)]
    pub root_password: Option<PasswordHash>,
    /// License token that was found usable.
    #[serde(skip)]
    pub license: Option<LicenseToken>,
}

impl Default for Draft {
    fn default() -> Self {
        Draft {
            keymap: "us".to_owned(),
            reason: Field::default(),
            existing: Existing::Undecided,
            disks: Vec::new(),
            storage: Vec::new(),
            lose_storage: false,
            network: NetworkDraft::default(),
            hostname: Field::default(),
            timezone: Field::with("Etc/UTC"),
            enroll_keys: false,
            ssh_keys: Vec::new(),
            root_password: None,
            license: None,
        }
    }
}

impl Draft {
    /// The choices, or everything that is missing or wrong. Consent to lose what is on the disks is assumed where it is
    /// needed: the operator types it with the plan in sight, and without that nothing runs.
    pub fn choices(&self, facts: &Facts, zones: &Zones) -> Result<Choices, Vec<DraftProblem>> {
        let mut problems = Vec::new();
        if let Some(path) = self.upgrades() {
            let hcl = self.hcl(&mut problems);
            let disk = upgraded(path, facts, &mut problems);
            return match (disk, hcl) {
                (Some(disk), Some(hcl)) if problems.is_empty() => Ok(upgrade_choices(disk, hcl)),
                _ => Err(problems),
            };
        }
        let disk = self.disk(facts, &mut problems);
        let system = self.system(zones, &mut problems);
        let network = self.network.choice(&mut problems);
        let hcl = self.hcl(&mut problems);
        match (disk, system, network, hcl) {
            (Some(disk), Some(system), Some(network), Some(hcl)) if problems.is_empty() => {
                Ok(Choices {
                    disk,
                    storage: self.storage_choices(facts),
                    system: Some(system),
                    boot: BootChoice {
                        enroll_keys: self.enroll_keys
                            && SecureBoot::of(&facts.firmware).takes_keys(),
                        ..BootChoice::default()
                    },
                    network,
                    hcl,
                    license: self.license.clone(),
                    webhook: None,
                    source: None,
                    hooks: Vec::new(),
                    expect_plan: None,
                    on_success: After::Reboot,
                    on_failure: After::Shell,
                })
            }
            _ => Err(problems),
        }
    }

    /// Path of the disk with the host that is upgraded; none where a host is installed.
    pub fn upgrades(&self) -> Option<&String> {
        match &self.existing {
            Existing::Upgrade(path) => Some(path),
            Existing::Undecided | Existing::Anew => None,
        }
    }

    /// Path of the second disk of a mirror; none without one.
    pub fn second(&self) -> Option<&String> {
        self.disks.get(1)
    }

    fn disk(&self, facts: &Facts, problems: &mut Vec<DraftProblem>) -> Option<DiskChoice> {
        let known = facts.disks.value().map_or(&[][..], Vec::as_slice);
        let find = |path: &String| known.iter().find(|disk| disk.path == *path);
        // Never the other half of a mirror alone.
        if let Some(gone) = self.disks.iter().find(|path| find(path).is_none()) {
            problems.push(DraftProblem::new(
                Screen::Disks,
                format!("{gone} is not there any more. Choose again where to install to."),
            ));
            return None;
        }
        let chosen: Vec<_> = self.disks.iter().filter_map(find).collect();
        let Some((first, rest)) = chosen.split_first() else {
            problems.push(DraftProblem::new(
                Screen::Disks,
                "No disk is chosen yet. Choose the one to install to.",
            ));
            return None;
        };
        Some(DiskChoice {
            select: selector(first, known),
            fallbacks: Vec::new(),
            state_size: None,
            storage: StorageKind::Lvm,
            mirror: !rest.is_empty(),
            second: rest.first().map(|disk| selector(disk, known)),
            wipe: chosen.iter().any(|disk| needs_consent(disk)),
            reinstall: chosen.iter().any(|disk| holds_bedplate(disk)),
            upgrade: false,
            keep_storage: self.kept(first).is_some(),
        })
    }

    /// The storage repository on the disk that stays when a host is installed on it, which is what happens unless the operator
    /// wants it lost. A mirror makes it anew.
    pub fn kept(&self, disk: &Disk) -> Option<KeptStorage> {
        if self.lose_storage || self.second().is_some() {
            return None;
        }
        can_keep(disk)?.ok()
    }

    /// A storage repository for each disk that was marked for one, in the order in which they were.
    fn storage_choices(&self, facts: &Facts) -> Vec<StorageChoice> {
        let known = facts.disks.value().map_or(&[][..], Vec::as_slice);
        let disks = self
            .storage
            .iter()
            .filter_map(|path| known.iter().find(|disk| disk.path == *path));
        (1..)
            .zip(disks)
            .filter_map(|(number, disk)| {
                Some(StorageChoice {
                    name: StorageName::parse(&format!("storage-{number}")).ok()?,
                    kind: StorageKind::Lvm,
                    select: selector(disk, known),
                    count: 1,
                    wipe: needs_consent(disk),
                    keep: false,
                })
            })
            .collect()
    }

    fn system(&self, zones: &Zones, problems: &mut Vec<DraftProblem>) -> Option<SystemChoice> {
        let screen = Screen::System;
        let mut keep = |what: &str, error: &ValueError| {
            problems.push(DraftProblem::about(screen, what, error));
        };
        let hostname = HostnamePattern::parse(self.hostname.value())
            .map_err(|error| keep("The name of the host", &error))
            .ok();
        let timezone = Timezone::parse(self.timezone.value(), zones)
            .map_err(|error| keep("The time zone", &error))
            .ok();
        let keys: Vec<SshKey> = self
            .ssh_keys
            .iter()
            .filter_map(|key| {
                SshKey::parse(key)
                    .map_err(|error| keep("An ssh key", &error))
                    .ok()
            })
            .collect();
        if self.root_password.is_none() && self.ssh_keys.is_empty() {
            problems.push(DraftProblem::new(
                screen,
                "Nobody could log in: give root a password or an ssh key.",
            ));
        }
        Some(SystemChoice {
            hostname: hostname?,
            root_password: self.root_password.clone(),
            ssh_keys: keys,
            timezone: timezone?,
            // The image has this layout already.
            keymap: Keymap::parse(&self.keymap)
                .ok()
                .filter(|keymap| keymap.as_str() != "us"),
            locale: None,
            enable: Vec::new(),
            disable: Vec::new(),
        })
    }

    fn hcl(&self, problems: &mut Vec<DraftProblem>) -> Option<HclPolicy> {
        let reason = self.reason.value();
        if reason.contains(char::is_control) {
            problems.push(DraftProblem::new(
                Screen::Hardware,
                "The reason must be one line without control characters.",
            ));
            return None;
        }
        Some(if reason.is_empty() {
            HclPolicy::Refuse
        } else {
            HclPolicy::Warn {
                reason: reason.to_owned(),
            }
        })
    }
}

/// The choice of the disk with the host that is upgraded.
fn upgraded(path: &str, facts: &Facts, problems: &mut Vec<DraftProblem>) -> Option<DiskChoice> {
    let known = facts.disks.value().map_or(&[][..], Vec::as_slice);
    let Some(disk) = known.iter().find(|disk| disk.path == path) else {
        problems.push(DraftProblem::new(
            Screen::Existing,
            format!("{path} is not there any more. Choose again what is to be done."),
        ));
        return None;
    };
    Some(DiskChoice {
        select: selector(disk, known),
        fallbacks: Vec::new(),
        state_size: None,
        storage: StorageKind::Lvm,
        mirror: false,
        second: None,
        wipe: false,
        reinstall: false,
        upgrade: true,
        keep_storage: false,
    })
}

/// The choices of an upgrade: everything else is as the host has it.
fn upgrade_choices(disk: DiskChoice, hcl: HclPolicy) -> Choices {
    Choices {
        disk,
        storage: Vec::new(),
        system: None,
        boot: BootChoice::default(),
        network: NetworkChoice::plain(),
        hcl,
        license: None,
        webhook: None,
        source: None,
        hooks: Vec::new(),
        expect_plan: None,
        on_success: After::Reboot,
        on_failure: After::Shell,
    }
}

/// True where something would be lost, or it is not known whether.
pub fn needs_consent(disk: &Disk) -> bool {
    !matches!(disk.holds_data(), Known::Value(false) | Known::Absent) || holds_bedplate(disk)
}

/// The storage repository on a disk that could stay when a host is installed on it anew, or why none can. None for a disk
/// without a host.
pub fn can_keep(disk: &Disk) -> Option<Result<KeptStorage, String>> {
    if !holds_bedplate(disk) {
        return None;
    }
    let fits = |kept: KeptStorage| {
        let identity = identity_of(disk)?;
        let place = (kept.start, kept.size);
        Layout::plan_keeping(identity.size, identity.sector_size, None, place)
            .map(|_| kept)
            .map_err(|error| error.to_string())
    };
    Some(kept_storage(disk).and_then(fits))
}

/// Names the disk so that an exported answer file finds it again whatever its path is then: by its serial number where no
/// other disk has the same, else by its world wide name, else by its path.
fn selector(disk: &Disk, all: &[Disk]) -> DiskSelector {
    let usable = |text: &&String| !text.trim().is_empty() && text.trim() == text.as_str();
    let alone = |fits: &dyn Fn(&Disk) -> bool| all.iter().filter(|disk| fits(disk)).count() == 1;
    let mut select = DiskSelector::default();
    if let Some(serial) = disk.serial.value().filter(usable)
        && alone(&|other| other.serial.value() == Some(serial))
    {
        select.serial = Some(serial.clone());
    } else if let Some(wwn) = disk.wwn.value().filter(usable)
        && alone(&|other| other.has_wwn(wwn))
    {
        select.wwn = Some(wwn.clone());
    } else {
        select.path = Some(disk.path.clone());
    }
    select
}
