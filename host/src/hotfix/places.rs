//! Where everything is on a host.

use release::beside;
use slots::names;
use std::path::PathBuf;

/// Folders and files of a host. Tests have their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Records and files of hotfixes.
    pub store: PathBuf,
    /// The EFI system partition.
    pub esp: PathBuf,
    /// The overlays of /etc, one folder for each release.
    pub etc: PathBuf,
    /// The public TUF root that signs releases.
    pub trusted_root: PathBuf,
    /// What the initrd recorded about this boot.
    pub boot_record: PathBuf,
    /// The kernel's block devices.
    pub sys_block: PathBuf,
    /// Held while something is changed.
    pub lock: PathBuf,
    /// What automatic updates remember.
    pub updates: PathBuf,
    /// What the administrator decided about automatic updates.
    pub update_policy: PathBuf,
    /// The time zone of the host, as tzfile(5) describes it.
    pub zone: PathBuf,
    /// What the console shows above the login prompt about updates.
    pub update_issue: PathBuf,
    /// What a login shows about updates.
    pub update_motd: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Places {
            store: names::HOTFIX_STORE.into(),
            esp: "/boot/efi".into(),
            etc: PathBuf::from(names::STATE_MOUNT).join(names::ETC_OVERLAYS),
            trusted_root: names::TRUSTED_ROOT.into(),
            boot_record: names::BOOT_RECORD.into(),
            sys_block: "/sys/class/block".into(),
            lock: "/run/bedplate/hotfix.lock".into(),
            updates: "/var/lib/bedplate/updates".into(),
            update_policy: "/etc/bedplate/updates.toml".into(),
            zone: "/etc/localtime".into(),
            update_issue: "/run/issue.d/70-bedplate-updates.issue".into(),
            update_motd: "/run/motd.d/70-bedplate-updates".into(),
        }
    }
}

impl Places {
    /// The record of a hotfix.
    pub fn record(&self, uuid: &str) -> PathBuf {
        self.store.join(format!("{uuid}.json"))
    }

    /// The folder of the boot files of a root, on the ESP.
    pub fn boot_files(&self, id: &str) -> PathBuf {
        beside::boot_files(&self.esp, id)
    }

    /// The identity of a root that was good on this host.
    pub fn root(&self, id: &str) -> PathBuf {
        self.store
            .join(names::GOOD_ROOTS)
            .join(format!("{id}.json"))
    }

    /// What is remembered about updates between two runs.
    pub fn update_state(&self) -> PathBuf {
        self.updates.join("state.json")
    }

    /// Is there while the next run has to forget the pauses after failures.
    pub fn update_at_once(&self) -> PathBuf {
        self.updates.join("at-once")
    }

    /// The versions of the newest metadata that was good on this host.
    pub fn seen(&self) -> PathBuf {
        self.store.join("seen")
    }
}
