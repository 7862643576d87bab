//! Uploading and applying where nothing goes wrong, and where the host or the hotfix is not as it should be.

use crate::going_back::rollback;
use crate::maker;
use crate::site::{Host, NOW};
use host::XeError;
use host::hotfix::{
    Machine, PatchRecord, PatchState, RealMachine, Settings, Source, apply, clean, destroy, lock,
    precheck, upload,
};
use release::Artifact;
use slots::block::{Access, BlockDevice, FileDevice, OpenError};
use slots::boot_state::BootState;
use slots::env_block::{EnvBlock, EnvFileError};
use std::fs;
use std::io;
use std::path::Path;
use steps::sink::{Collect, FanOut};

fn code(result: Result<impl std::fmt::Debug, XeError>) -> &'static str {
    result.unwrap_err().code
}

fn uploaded(host: &Host, full: bool) -> PatchRecord {
    upload(&host.site(), &host.hotfix("hotfix", full)).unwrap()
}

#[test]
fn a_hotfix_by_deltas_is_written_and_tried_next() {
    let host = Host::new();
    let record = uploaded(&host, false);
    assert_eq!(record.state, PatchState::Uploaded);
    assert_eq!(host.next_start(), "1.0.0");
    let prepared = precheck(&host.site(), &record.uuid).unwrap();
    let is = |artifact| prepared.source(artifact).unwrap();
    assert!(matches!(is(Artifact::Root), Source::Delta(_)));
    assert!(matches!(is(Artifact::XenEfi), Source::Delta(_)));
    assert_eq!(is(Artifact::Microcode), &Source::Unchanged);
    // The joined file is made from the other new parts: nothing of them is in its delta again.
    let Source::Delta(joined) = is(Artifact::XenEfi) else {
        unreachable!()
    };
    assert!(joined.file.size < 1000, "{}", joined.file.size);

    let events = Collect::new();
    let applied = apply(
        &host.site(),
        &record.uuid,
        FanOut::new().with("all", events.clone()),
    )
    .unwrap();
    let before = fs::read_to_string(host.places.store.join("trial/before.json")).unwrap();
    assert!(before.contains(host.new.id()), "{before}");
    assert_eq!(applied.record.state, PatchState::RestartNeeded);
    assert!(!events.events().is_empty());
    let expected = BootState {
        good: Some(host.old.id().into()),
        try_id: Some(host.new.id().into()),
        tries: 1,
        previous: None,
        console: slots::Console::Com2,
    };
    assert_eq!(host.state(), expected);
    assert_eq!(host.next_start(), "1.0.1");
    assert!(
        host.starts(&host.old, "sda3"),
        "the running release is whole"
    );
    let from = host.places.etc.join(host.new.id()).join("from");
    assert_eq!(fs::read_to_string(from).unwrap().trim(), host.old.id());
    let version = EnvBlock::read(&host.places.boot_files(host.new.id()).join("release.env"));
    assert_eq!(version.unwrap().get("version"), Some("1.0.1"));
    assert_eq!(
        code(precheck(&host.site(), &record.uuid)),
        "PATCH_ALREADY_APPLIED"
    );
}

#[test]
fn a_host_that_runs_another_release_needs_the_full_image() {
    for full in [false, true] {
        let host = Host::new();
        // A hotfix from 1.0.1 to 1.0.2, on a host with 1.0.0.
        let newest = maker::release(&host.at("1.0.2"), "1.0.2", 3);
        let repository = maker::repository(
            &host.keys,
            Some(&host.new),
            &newest,
            full,
            maker::stamp(newest.manifest.epoch),
            &host.at("hotfix"),
        );
        let record = upload(&host.site(), &maker::pack(&repository)).unwrap();
        let result = precheck(&host.site(), &record.uuid);
        if full {
            let prepared = result.unwrap();
            assert_eq!(prepared.source(Artifact::Root), Some(&Source::Full));
            apply(&host.site(), &record.uuid, FanOut::new()).unwrap();
            assert!(host.starts(&newest, "sda4") && host.starts(&host.old, "sda3"));
        } else {
            let error = result.unwrap_err();
            assert_eq!(error.code, "PATCH_PRECHECK_FAILED_WRONG_SERVER_BUILD");
            assert!(error.to_string().contains("full image"), "{error}");
            let before = host.snapshot();
            assert!(apply(&host.site(), &record.uuid, FanOut::new()).is_err());
            let same =
                |path: &Path| path.starts_with(host.at("dev")) || path.starts_with(host.at("esp"));
            let only = |all: std::collections::BTreeMap<_, _>| {
                all.into_iter()
                    .filter(|(p, _): &(std::path::PathBuf, _)| same(p))
                    .collect::<Vec<_>>()
            };
            assert!(only(before) == only(host.snapshot()));
        }
    }
}

#[test]
fn what_is_not_right_with_the_host_is_told() {
    let host = Host::new();
    let record = uploaded(&host, true);
    let check = || code(precheck(&host.site(), &record.uuid));
    let good = host.state();

    host.set_state(&BootState {
        good: Some(host.new.id().into()),
        ..good.clone()
    });
    assert_eq!(
        check(),
        "PATCH_PRECHECK_FAILED_UNKNOWN_ERROR",
        "not good yet"
    );
    host.set_state(&good);

    host.boot(&host.new.manifest.root, "sda4");
    assert_eq!(check(), "PATCH_ALREADY_APPLIED");
    let newer = maker::release(&host.at("1.0.10"), "1.0.10", 5);
    host.boot(&newer.manifest.root, "sda3");
    host.set_state(&BootState {
        good: Some(newer.id().into()),
        ..good.clone()
    });
    assert_eq!(check(), "PATCH_PRECHECK_FAILED_WRONG_SERVER_VERSION");
    host.set_state(&good);

    host.boot(&host.old.manifest.root, "sda2");
    assert_eq!(check(), "PATCH_PRECHECK_FAILED_UNKNOWN_ERROR", "no slot");
    host.boot(&host.old.manifest.root, "sda3");
    fs::write(host.places.sys_block.join("sda4/uevent"), "PARTNAME=data\n").unwrap();
    assert_eq!(check(), "PATCH_PRECHECK_FAILED_UNKNOWN_ERROR", "not ours");
    fs::write(
        host.places.sys_block.join("sda4/uevent"),
        "PARTNAME=bedplate-b\n",
    )
    .unwrap();

    fs::write(host.slot("sda4"), [0; 8192]).unwrap();
    assert_eq!(check(), "PATCH_PRECHECK_FAILED_OUT_OF_SPACE");
    for uuid in [
        "",
        "nonsense",
        "../../x",
        "00000000-0000-0000-0000-000000000000",
    ] {
        assert_eq!(code(precheck(&host.site(), uuid)), "CANNOT_FIND_PATCH");
    }
}

/// A machine with little room.
struct Full(u64);

impl Machine for Full {
    fn open(&self, path: &Path, access: Access) -> Result<Box<dyn BlockDevice + Send>, OpenError> {
        Ok(Box::new(FileDevice::open(path, access)?))
    }
    fn write_env(&self, path: &Path, block: &EnvBlock) -> Result<(), EnvFileError> {
        RealMachine.write_env(path, block)
    }
    fn free_space(&self, _: &Path) -> io::Result<u64> {
        Ok(self.0)
    }
}

#[test]
fn a_full_disk_breaks_nothing_and_says_what_to_clean() {
    let host = Host::new();
    let record = uploaded(&host, false);
    let before = host.snapshot();
    let file = host.hotfix("again", true);
    let error = upload(&host.site_with(&host.system, &Full(60 << 20)), &file).unwrap_err();
    assert_eq!(error.code, "OUT_OF_SPACE");
    let clean = format!("xe patch-clean uuid={}", record.uuid);
    assert!(error.to_string().contains(&clean), "{error}");
    assert!(host.snapshot() == before);
    let error = precheck(&host.site_with(&host.system, &Full(8 << 20)), &record.uuid).unwrap_err();
    assert_eq!(error.code, "PATCH_PRECHECK_FAILED_OUT_OF_SPACE");
}

#[test]
fn the_second_of_two_is_told() {
    let host = Host::new();
    let record = uploaded(&host, false);
    let held = lock(&host.system, &host.places, "patch-apply").unwrap();
    let busy = "OTHER_OPERATION_IN_PROGRESS";
    assert_eq!(code(apply(&host.site(), &record.uuid, FanOut::new())), busy);
    assert_eq!(code(upload(&host.site(), &host.at("hotfix.hotfix"))), busy);
    assert_eq!(code(clean(&host.site(), &record.uuid)), busy);
    assert_eq!(code(destroy(&host.site(), &record.uuid)), busy);
    assert_eq!(code(rollback(&host, Settings::Running)), busy);
    drop(held);
    apply(&host.site(), &record.uuid, FanOut::new()).unwrap();
}

#[test]
fn cleaned_uploaded_again_and_destroyed() {
    let host = Host::new();
    let record = uploaded(&host, false);
    assert_eq!(
        code(upload(
            &host.site(),
            &host.at("hotfix").join("repository.hotfix")
        )),
        "PATCH_ALREADY_EXISTS"
    );
    clean(&host.site(), &record.uuid).unwrap();
    clean(&host.site(), &record.uuid).unwrap();
    let kept = PatchRecord::find(&host.system, &host.places, &record.uuid).unwrap();
    assert_eq!((kept.folder, kept.state), (None, PatchState::Uploaded));
    let names = fs::read_dir(&host.places.store).unwrap().count();
    assert_eq!(names, 1, "the record and nothing else");
    assert_eq!(
        code(apply(&host.site(), &record.uuid, FanOut::new())),
        "PATCH_PRECHECK_FAILED_PREREQUISITE_MISSING"
    );
    let again = uploaded(&host, false);
    assert_eq!(again.uuid, record.uuid);
    apply(&host.site(), &record.uuid, FanOut::new()).unwrap();
    assert_eq!(
        code(destroy(&host.site(), &record.uuid)),
        "PATCH_IS_APPLIED"
    );
    rollback(&host, Settings::Running).unwrap();
    destroy(&host.site(), &record.uuid).unwrap();
    assert_eq!(
        code(precheck(&host.site(), &record.uuid)),
        "CANNOT_FIND_PATCH"
    );
}

#[test]
fn what_a_broken_upload_left_is_removed_by_the_next() {
    let host = Host::new();
    let stray = host.places.store.join("files-dead-1/repository");
    fs::create_dir_all(&stray).unwrap();
    fs::write(stray.join("half"), "x").unwrap();
    let record = uploaded(&host, false);
    assert!(!stray.exists());
    assert_eq!(record.changed, NOW);
}

#[test]
fn files_that_changed_after_the_upload_are_refused_before_anything_is_written() {
    let host = Host::new();
    let record = uploaded(&host, false);
    let targets = host
        .places
        .store
        .join(record.folder.clone().unwrap())
        .join("repository/targets");
    for entry in fs::read_dir(&targets).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with("root.img.delta") {
            let mut bytes = fs::read(&path).unwrap();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
    }
    let slot = fs::read(host.slot("sda4")).unwrap();
    let error = apply(&host.site(), &record.uuid, FanOut::new()).unwrap_err();
    assert_eq!(error.code, "PATCH_APPLY_FAILED");
    assert!(fs::read(host.slot("sda4")).unwrap() == slot);
    let record = PatchRecord::find(&host.system, &host.places, &record.uuid).unwrap();
    assert_eq!(record.state, PatchState::Failed);
    assert!(record.reason.contains("damaged"), "{}", record.reason);
    assert_eq!(host.next_start(), "1.0.0");
}

#[test]
fn a_slot_that_is_not_what_runs_is_no_base() {
    let host = Host::new();
    let record = uploaded(&host, false);
    // A bit far from what is looked at first: the delta's own hashes find it.
    let mut bytes = fs::read(host.slot("sda3")).unwrap();
    bytes[1_000_000] ^= 1;
    fs::write(host.slot("sda3"), &bytes).unwrap();
    let error = apply(&host.site(), &record.uuid, FanOut::new()).unwrap_err();
    assert!(error.to_string().contains("base of the delta"), "{error}");
    let state = host.state();
    assert_eq!((state.try_id, state.tries), (None, 0));
}

#[test]
fn what_waits_for_a_restart_waits_until_the_loader_forgets_it() {
    let host = Host::new();
    let waiting = uploaded(&host, false);
    apply(&host.site(), &waiting.uuid, FanOut::new()).unwrap();
    let next = maker::release(&host.at("1.0.2"), "1.0.2", 9);
    let stamp = maker::stamp(next.manifest.epoch);
    let repository = maker::repository(&host.keys, None, &next, true, stamp, &host.at("next"));
    let record = upload(&host.site(), &maker::pack(&repository)).unwrap();
    let folder = host.places.store.join(record.folder.clone().unwrap());
    for entry in fs::read_dir(folder.join("repository/targets")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with("root.img") {
            let mut bytes = fs::read(&path).unwrap();
            bytes[4096] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
    }
    let state = |uuid: &str| {
        let record = PatchRecord::find(&host.system, &host.places, uuid).unwrap();
        record.state
    };
    let error = apply(&host.site(), &record.uuid, FanOut::new()).unwrap_err();
    assert_eq!(error.code, "PATCH_APPLY_FAILED");
    assert_eq!(state(&record.uuid), PatchState::Failed);
    assert_eq!(state(&waiting.uuid), PatchState::RestartNeeded);
    assert_eq!(host.next_start(), "1.0.1");
}
