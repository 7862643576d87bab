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

const SPARE: &str = "bbbbbbbb-1111-4111-8111-111111111111";

#[test]
fn two_exports_do_not_write_the_same_file() {
    let others = [
        format!("vdi-export uuid={SPARE} filename=/srv/new"),
        "vm-export vm=web filename=/srv/new".to_owned(),
    ];
    // The folder has another name as well.
    for name in ["/srv/new", "/link/new"] {
        let results = Results::default();
        let (lines, told) = (others.clone(), results.clone());
        let system = system()
            .linked("/link", "/srv")
            .meanwhile("truncate", move |system| {
                let begun = Path::new(name).with_extension("incomplete");
                system.write_file(&begun, b"half", 0o600).unwrap();
                let all = lines.map(|line| run(system, &line));
                told.lock().unwrap().extend(all);
            });
        let line = format!("vdi-export uuid={DISK} filename={name}");
        run_on(&system, &line, &Nobody, &Disks::default()).unwrap();
        let results = results.lock().unwrap();
        for result in results.iter() {
            let error = result.as_ref().unwrap_err();
            assert_eq!(error.code, "OTHER_OPERATION_IN_PROGRESS", "{error}");
            assert!(error.to_string().contains("this file"), "{error}");
        }
        assert_eq!(results.len(), 2);
        assert_eq!(system.content(name).as_deref(), Some(&b"half"[..]));
    }
}

#[test]
fn an_export_replaces_nothing_that_came_meanwhile() {
    /// Somebody writes the file while the disks are read.
    struct Writing<'a>(&'a RecordingSystem, Disks);
    impl Machine for Writing<'_> {
        fn open(
            &self,
            path: &Path,
            access: Access,
        ) -> Result<Box<dyn BlockDevice + Send>, OpenError> {
            self.0
                .write_file(Path::new("/new"), b"other", 0o600)
                .unwrap();
            self.1.open(path, access)
        }
        fn write_env(&self, path: &Path, block: &EnvBlock) -> Result<(), EnvFileError> {
            self.1.write_env(path, block)
        }
        fn free_space(&self, path: &Path) -> io::Result<u64> {
            self.1.free_space(path)
        }
    }
    let disk = format!("vdi-export uuid={DISK} filename=/new");
    for line in [disk.as_str(), "vm-export vm=web filename=/new"] {
        let system = system();
        let writing = Writing(&system, Disks::default());
        let error = run_on(&system, line, &Nobody, &writing).unwrap_err();
        assert_eq!(error.code, "FILE_EXISTS", "{line}: {error}");
        assert_eq!(system.content("/new").as_deref(), Some(&b"other"[..]));
        assert!(!system.exists(Path::new("/new.incomplete")), "{line}");
        // Somebody's own file, or what a command left that was killed.
        let system = self::system().file("/new.incomplete", "mine");
        let error = run_on(&system, line, &Nobody, &Disks::default()).unwrap_err();
        assert_eq!(error.code, "FILE_EXISTS", "{line}: {error}");
        assert!(error.to_string().contains("/new.incomplete"), "{error}");
        let kept = system.content("/new.incomplete");
        assert_eq!(kept.as_deref(), Some(&b"mine"[..]), "{line}");
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
            true => format!("/dev/bedplate/vdi-{SPARE}"),
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
