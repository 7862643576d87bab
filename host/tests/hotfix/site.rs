//! A host on which a release is installed: slots and ESP in a folder.

use crate::maker::{self, Release};
use host::hotfix::{Machine, Places, RealMachine, Site};
use release::Artifact;
use release::BOOT_FILES;
use slots::block::{Access, FileDevice};
use slots::boot_state::{BootState, Choice, Console, GOOD_ENV, STATE_ENV};
use slots::env_block::EnvBlock;
use slots::verity::root_fits;
use slots::{BootRecord, Mode, RootIdentity};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use steps::{RealSystem, System};
use tempfile::TempDir;

pub const NOW: u64 = 1_800_000_000;
const SLOT_SIZE: u64 = 4 << 20;

/// A host, and what hotfixes for it are made of.
pub struct Host {
    pub dir: TempDir,
    pub keys: PathBuf,
    pub places: Places,
    pub old: Release,
    pub new: Release,
    pub system: RealSystem,
}

impl Host {
    /// Release 1.0.0 is installed in slot A and good; 1.0.1 is to come.
    pub fn new() -> Host {
        let dir = TempDir::new().unwrap();
        let at = |name: &str| dir.path().join(name);
        let keys = maker::keys(&at("keys"));
        let old = maker::release(&at("1.0.0"), "1.0.0", 1);
        let new = maker::release(&at("1.0.1"), "1.0.1", 2);
        let places = Places {
            store: at("var/hotfix"),
            esp: at("esp"),
            etc: at("state/etc"),
            trusted_root: at("trusted-root.json"),
            boot_record: at("run/boot.json"),
            sys_block: at("sys"),
            lock: at("run/lock"),
            updates: at("var/updates"),
            update_policy: at("etc/updates.toml"),
            zone: at("etc/localtime"),
            update_issue: at("run/updates.issue"),
            update_motd: at("run/updates.motd"),
        };
        fs::write(&places.trusted_root, maker::trusted_root(&keys)).unwrap();
        for (device, name) in [("sda3", "bedplate-a"), ("sda4", "bedplate-b")] {
            let sys = places.sys_block.join(device);
            fs::create_dir_all(&sys).unwrap();
            fs::write(
                sys.join("uevent"),
                format!("DEVTYPE=partition\nPARTNAME={name}\n"),
            )
            .unwrap();
            fs::create_dir_all(at("dev")).unwrap();
            // An old disk, full of something else.
            fs::write(at("dev").join(device), maker::noise(77, SLOT_SIZE as usize)).unwrap();
        }
        let slot = at("dev/sda3");
        let mut bytes = fs::read(&slot).unwrap();
        let image = fs::read(old.path(Artifact::Root)).unwrap();
        bytes[..image.len()].copy_from_slice(&image);
        fs::write(&slot, bytes).unwrap();
        let boot_files = places.boot_files(old.id());
        fs::create_dir_all(&boot_files).unwrap();
        for (artifact, name) in BOOT_FILES {
            fs::copy(old.path(artifact), boot_files.join(name)).unwrap();
        }
        fs::create_dir_all(places.esp.join("grub")).unwrap();
        let etc = places.etc.join(old.id()).join("upper");
        fs::create_dir_all(&etc).unwrap();
        fs::write(etc.join("hostname"), "node-1").unwrap();
        let host = Host {
            keys,
            places,
            old,
            new,
            system: RealSystem::silent(),
            dir,
        };
        host.set_state(&BootState {
            good: Some(host.old.id().to_owned()),
            ..BootState::default()
        });
        host.boot(&host.old.manifest.root, "sda3");
        host
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn slot(&self, device: &str) -> PathBuf {
        self.at("dev").join(device)
    }

    pub fn site(&self) -> Site<'_> {
        self.site_with(&self.system, &RealMachine)
    }

    pub fn site_with<'a>(&'a self, system: &'a dyn System, machine: &'a dyn Machine) -> Site<'a> {
        Site {
            system,
            machine,
            places: &self.places,
            now: NOW,
        }
    }

    /// The system runs this root from that device.
    pub fn boot(&self, root: &RootIdentity, device: &str) {
        let record = BootRecord {
            mode: Mode::Host,
            root: root.clone(),
            root_device: self.slot(device).display().to_string(),
            medium: None,
            state_device: None,
            mirror: None,
            root_opened_ms: 1,
            warnings: vec![],
        };
        fs::create_dir_all(self.places.boot_record.parent().unwrap()).unwrap();
        fs::write(
            &self.places.boot_record,
            serde_json::to_vec(&record).unwrap(),
        )
        .unwrap();
    }

    pub fn record(&self) -> BootRecord {
        serde_json::from_slice(&fs::read(&self.places.boot_record).unwrap()).unwrap()
    }

    pub fn set_state(&self, state: &BootState) {
        let state = BootState {
            console: Console::Com2,
            ..state.clone()
        };
        let write = |name: &str, block: EnvBlock| {
            fs::write(self.places.esp.join(name), block.to_bytes().unwrap()).unwrap();
        };
        write(STATE_ENV, state.to_env().unwrap());
        write(GOOD_ENV, state.to_good_env().unwrap());
    }

    pub fn state(&self) -> BootState {
        BootState::from_env(&EnvBlock::read(&self.places.esp.join(STATE_ENV)).unwrap())
    }

    /// A hotfix file to the new release.
    pub fn hotfix(&self, name: &str, full: bool) -> PathBuf {
        let repository = maker::repository(
            &self.keys,
            Some(&self.old),
            &self.new,
            full,
            maker::stamp(self.new.manifest.epoch),
            &self.at(name),
        );
        maker::pack(&repository)
    }

    /// Whether the host would start with this release from that slot: the root verifies to its last block, and every boot
    /// file is as it was signed.
    pub fn starts(&self, release: &Release, device: &str) -> bool {
        let mut slot = FileDevice::open(&self.slot(device), Access::ReadOnly).unwrap();
        let verity = &release.manifest.root.verity;
        let image = fs::read(release.path(Artifact::Root)).unwrap();
        let slot_bytes = fs::read(self.slot(device)).unwrap();
        let folder = self.places.boot_files(release.id());
        let boot_file = |(artifact, name): &(Artifact, &str)| {
            fs::read(folder.join(name)).ok() == fs::read(release.path(*artifact)).ok()
        };
        root_fits(&mut slot, verity).unwrap()
            && slot_bytes[..image.len()] == image[..]
            && BOOT_FILES.iter().all(boot_file)
    }

    /// What the boot loader would do, and that it can. Returns the version that starts.
    pub fn next_start(&self) -> String {
        let state = self.state();
        let id = match state.choice() {
            Choice::Try(id) | Choice::Good(id) => id.to_owned(),
            Choice::Rescue => panic!("nothing is good: {state:?}"),
        };
        let (release, device) = if id == self.old.id() {
            (&self.old, "sda3")
        } else {
            assert_eq!(id, self.new.id());
            (&self.new, "sda4")
        };
        assert!(
            self.starts(release, device),
            "{} would not start",
            release.manifest.version
        );
        release.manifest.version.clone()
    }

    /// Everything that must survive whatever is thrown at the host: the slots, the ESP, the settings.
    pub fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        for top in ["dev", "esp", "state", "var"] {
            collect(&self.at(top), &mut found);
        }
        found
    }
}

fn collect(dir: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
}
