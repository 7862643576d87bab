//! Guests to a file and from a file.

use crate::bench::*;
use crate::disks::{Disks, SIZE, filled, holding};
use host::hotfix::Machine;
use host::terminal::Nobody;
use slots::block::{Access, BlockDevice, OpenError};
use slots::env_block::{EnvBlock, EnvFileError};
use std::io;
use std::path::Path;
use steps::{RecordingSystem, System};

#[test]
fn an_export_is_refused_where_it_would_overwrite_or_tear_a_disk() {
    for (on, line, code) in [
        (
            running(),
            "vm-export vm=web filename=/new",
            "VM_BAD_POWER_STATE",
        ),
        (
            system().file("/old", ""),
            "vm-export vm=web filename=/old",
            "FILE_EXISTS",
        ),
        (system(), "vm-import filename=/none", "INTERNAL_ERROR"),
        (
            system(),
            "snapshot-export uuid=nope filename=/new",
            "UUID_INVALID",
        ),
    ] {
        let error = run(&on, line).unwrap_err();
        assert_eq!(error.code, code, "{line}: {error}");
        assert_eq!(changes(&on), [""; 0], "{line}");
    }
}

#[test]
fn a_guest_goes_to_a_file_and_comes_back_as_another_one() {
    for compress in ["false", "true"] {
        let (system, disks) = (system(), Disks::default());
        let content = filled(&disks);
        let line = format!("vm-export vm=web filename=/new.xe compress={compress}");
        run_on(&system, &line, &Nobody, &disks).unwrap();
        let file = system.read_file(Path::new("/new.xe")).unwrap();
        assert!(file.len() < 3 << 20, "zeros take no room: {}", file.len());
        let put = |bytes: &[u8]| *disks.at(Path::new("/new.xe")).lock().unwrap() = holding(bytes);
        put(&file);
        let taken = run_on(&system, "vm-import filename=/new.xe", &Nobody, &disks).unwrap_err();
        assert_eq!(taken.code, "VM_NAME_IN_USE");
        let line = "vm-import filename=/new.xe new-name-label=again";
        let uuid = run_on(&system, line, &Nobody, &disks).unwrap();
        let domain = defined(&system);
        assert_eq!(
            (domain.uuid(), domain.name()),
            (uuid.trim().to_owned(), "again".into())
        );
        assert_ne!(domain.uuid(), VM);
        assert_ne!(domain.nics()[0].mac, "00:16:3e:11:22:33");
        let path = domain.disks()[0].source.clone().unwrap();
        assert!(path != "/dev/bedplate/vdi-aaaaaaaa-1111-4111-8111-111111111111");
        let disk = path.rsplit("vdi-").next().unwrap();
        assert_eq!(
            owner_of(&system, disk).as_deref(),
            Some(uuid.trim()),
            "it goes with the guest"
        );
        assert!(
            disks.at(Path::new(&path)).lock().unwrap().bytes(0, SIZE) == content,
            "what another guest left is gone, and what was exported is there"
        );
        put(&file[..file.len() * 9 / 10]);
        let line = "vm-import filename=/new.xe new-name-label=third";
        let error = run_on(&system, line, &Nobody, &disks).unwrap_err();
        assert_eq!(error.code, "IMPORT_ERROR_CORRUPT", "{error}");
        let last = changes(&system).pop().unwrap();
        assert!(last.starts_with("lvremove"), "half a disk stays: {last}");
    }
}

#[test]
fn an_export_holds_no_password() {
    for line in ["vm-export vm=web", "snapshot-export uuid=SNAPSHOT"] {
        let (system, snapshot) = snapshot_of(with_password(system()));
        let disks = Disks::default();
        let line = line.replace("SNAPSHOT", &snapshot);
        run_on(
            &system,
            &format!("{line} filename=/new.xe"),
            &Nobody,
            &disks,
        )
        .unwrap();
        let file = system.read_file(Path::new("/new.xe")).unwrap();
        let manifest = String::from_utf8_lossy(&file[..8192]);
        assert!(manifest.contains("graphics"), "{manifest}");
        assert!(!manifest.contains("hunter2"), "{manifest}");
    }
}

#[test]
fn the_disks_of_a_copy_go_with_the_copy() {
    let (system, disks) = (owned(system()), Disks::default());
    let content = filled(&disks);
    let line = "vm-clone vm=web new-name-label=twin";
    let uuid = run_on(&system, line, &Nobody, &disks).unwrap();
    let path = defined(&system).disks()[0].source.clone().unwrap();
    let disk = path.rsplit("vdi-").next().unwrap();
    assert_eq!(owner_of(&system, disk).as_deref(), Some(uuid.trim()));
    assert_eq!(owner_of(&system, DISK).as_deref(), Some(VM));
    assert!(disks.at(Path::new(&path)).lock().unwrap().bytes(0, SIZE) == content);
}

#[test]
fn an_image_that_is_smaller_than_its_disk_leaves_nothing_of_another_guest() {
    const SPARE: &str = "/dev/bedplate/vdi-bbbbbbbb-1111-4111-8111-111111111111";
    const IMAGE: usize = (1 << 20) + 512;
    const ALIGNED: usize = 2 << 20;
    let import = "vdi-import uuid=bbbbbbbb-1111-4111-8111-111111111111 filename=/image";
    let install =
        "vm-install new-name-label=db template=\"Linux PVH\" import-file=/image disk-size=64MiB";
    for line in [import, install] {
        let (system, disks) = (system().file("/image", ""), Disks::default());
        *disks.at(Path::new("/image")).lock().unwrap() = holding(&[7; IMAGE]);
        run_on(&system, line, &Nobody, &disks).unwrap();
        let path = match line == import {
            true => SPARE.to_owned(),
            false => defined(&system).disks()[0].source.clone().unwrap(),
        };
        let disk = disks.at(Path::new(&path));
        let disk = disk.lock().unwrap();
        assert!(disk.bytes(0, IMAGE).iter().all(|byte| *byte == 7), "{line}");
        let rest = disk.bytes(IMAGE as u64, ALIGNED - IMAGE);
        assert!(rest.iter().all(|byte| *byte == 0), "{line}");
        let zeroed = format!("blkdiscard --force --zeroout --offset {ALIGNED} {path}");
        assert!(
            changes(&system).contains(&zeroed),
            "{line}: {:?}",
            changes(&system)
        );
    }
}

#[test]
fn a_canceled_export_leaves_no_file() {
    /// Cancels every task as soon as it is looked at.
    struct Canceling<'a>(&'a RecordingSystem, Disks);
    impl Machine for Canceling<'_> {
        fn open(
            &self,
            path: &Path,
            access: Access,
        ) -> Result<Box<dyn BlockDevice + Send>, OpenError> {
            for task in host::task::all(self.0).unwrap() {
                host::task::cancel(self.0, &task.uuid).unwrap();
            }
            self.1.open(path, access)
        }
        fn write_env(&self, path: &Path, block: &EnvBlock) -> Result<(), EnvFileError> {
            self.1.write_env(path, block)
        }
        fn free_space(&self, path: &Path) -> io::Result<u64> {
            self.1.free_space(path)
        }
    }
    let system = system().file(format!("/proc/{}/stat", std::process::id()), "");
    let disks = Disks::default();
    filled(&disks);
    let canceling = Canceling(&system, disks);
    let error = run_on(
        &system,
        "vm-export vm=web filename=/new.xe",
        &Nobody,
        &canceling,
    );
    let error = error.unwrap_err();
    assert!(error.to_string().contains("TASK_CANCELLED"), "{error}");
    assert!(!system.exists(Path::new("/new.xe")));
    assert!(host::task::all(&system).unwrap().is_empty());
}
