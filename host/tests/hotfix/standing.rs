//! What `xe` says to who applies or forgets a hotfix that runs, is tried next, or is what the host goes back to.

use crate::commands::xe;
use crate::going_back::updated;
use crate::site::Host;
use crate::trial::{both_were_good, health, record, tried};
use host::hotfix::{PatchState, patch_uuid, upload};
use slots::boot_state::{GOOD_ENV, STATE_ENV};
use std::fs;

const APPLYING: [&str; 3] = ["patch-precheck", "patch-apply", "patch-pool-apply"];

/// Every command that applies says that there is nothing to do, and what there is to do in place of it.
fn already_applied(host: &Host, uuid: &str, words: &[&str]) {
    for command in APPLYING {
        refused(host, command, uuid, "PATCH_ALREADY_APPLIED", words);
    }
}

fn refused(host: &Host, command: &str, uuid: &str, code: &str, words: &[&str]) {
    let before = host.snapshot();
    let error = xe(host, &format!("{command} uuid={uuid}")).unwrap_err();
    assert_eq!(error.code, code, "{command}: {error}");
    assert_eq!(error.params, [("uuid", uuid.to_owned())], "{command}");
    for word in words {
        assert!(error.message.contains(word), "{command}: {word}: {error}");
    }
    assert!(host.snapshot() == before, "{command}");
}

#[test]
fn what_waits_for_a_restart() {
    let host = Host::new();
    let file = host.hotfix("hotfix", true);
    let uuid = xe(&host, &format!("patch-upload file-name={}", file.display())).unwrap();
    let uuid = uuid.trim();
    xe(&host, &format!("patch-apply uuid={uuid}")).unwrap();
    let next = ["1.0.1", "xe host-reboot", "xe host-rollback"];
    already_applied(&host, uuid, &next);
    let back = ["tries 1.0.1", "xe host-rollback"];
    refused(&host, "patch-destroy", uuid, "PATCH_IS_APPLIED", &back);
    // What runs need not be known for that.
    let boot = fs::read(&host.places.boot_record).unwrap();
    fs::write(&host.places.boot_record, "{").unwrap();
    refused(&host, "patch-destroy", uuid, "PATCH_IS_APPLIED", &back);
    fs::write(&host.places.boot_record, boot).unwrap();
    let again = upload(&host.site(), &file).unwrap_err();
    assert_eq!(again.code, "PATCH_ALREADY_EXISTS");
    assert!(again.message.contains("restart-needed"), "{again}");
    // As it says.
    xe(&host, "host-rollback").unwrap();
    xe(&host, &format!("patch-destroy uuid={uuid}")).unwrap();
}

#[test]
fn what_failed_when_the_loader_was_told_already_is_applied_again() {
    for state in [PatchState::Applying, PatchState::Failed] {
        let host = Host::new();
        let mut hotfix = upload(&host.site(), &host.hotfix("hotfix", true)).unwrap();
        xe(&host, &format!("patch-apply uuid={}", hotfix.uuid)).unwrap();
        hotfix.state = state;
        let json = serde_json::to_vec(&hotfix).unwrap();
        fs::write(host.places.record(&hotfix.uuid), json).unwrap();
        xe(&host, &format!("patch-apply uuid={}", hotfix.uuid)).unwrap();
        assert_eq!(record(&host, &hotfix.uuid).state, PatchState::RestartNeeded);
        assert_eq!(host.next_start(), "1.0.1");
    }
}

#[test]
fn what_is_on_trial_and_what_it_would_go_back_to() {
    let (host, new) = tried();
    host.boot(&host.new.manifest.root, "sda4");
    let wait = ["1.0.1", "on trial", "bedplate-health"];
    already_applied(&host, &new, &wait);
    refused(&host, "patch-destroy", &new, "PATCH_IS_APPLIED", &wait);
    // The release before it, whose hotfix was kept.
    let mut old = record(&host, &new);
    old.root = host.old.manifest.root.clone();
    old.uuid = patch_uuid(&old.root.verity.root_hash);
    old.state = PatchState::Applied;
    fs::write(
        host.places.record(&old.uuid),
        serde_json::to_vec(&old).unwrap(),
    )
    .unwrap();
    let back = ["goes back to 1.0.0", "bedplate-health"];
    refused(&host, "patch-destroy", &old.uuid, "PATCH_IS_APPLIED", &back);
    // When the new one is good, nothing needs the record of the old one.
    health(&host, true, true);
    xe(&host, &format!("patch-destroy uuid={}", old.uuid)).unwrap();
}

#[test]
fn what_runs_and_is_good() {
    let (host, uuid) = both_were_good();
    let back = ["runs 1.0.1", "xe host-rollback"];
    already_applied(&host, &uuid, &back);
    let stays = ["runs 1.0.1", "xe patch-clean", "xe host-rollback"];
    refused(&host, "patch-destroy", &uuid, "PATCH_IS_APPLIED", &stays);
    // Also where the boot loader cannot be asked.
    for name in [STATE_ENV, GOOD_ENV] {
        fs::remove_file(host.places.esp.join(name)).unwrap();
    }
    already_applied(&host, &uuid, &back);
    refused(&host, "patch-destroy", &uuid, "PATCH_IS_APPLIED", &stays);
    host.boot(&host.old.manifest.root, "sda3");
    let unknown = ["applied by its record", "ESP"];
    refused(&host, "patch-destroy", &uuid, "PATCH_IS_APPLIED", &unknown);
    // Nor is it known what runs, with the boot loader and without.
    fs::write(&host.places.boot_record, "{").unwrap();
    refused(&host, "patch-destroy", &uuid, "PATCH_IS_APPLIED", &unknown);
    host.set_state(&slots::BootState {
        good: Some(host.old.id().to_owned()),
        ..slots::BootState::default()
    });
    let unknown = ["applied by its record", "what the host runs", "starts"];
    refused(&host, "patch-destroy", &uuid, "PATCH_IS_APPLIED", &unknown);
    // Whatever the record says, one that is good runs or is the way back.
    host.set_state(&slots::BootState {
        good: Some(host.new.id().to_owned()),
        ..slots::BootState::default()
    });
    let mut record = record(&host, &uuid);
    record.state = PatchState::Uploaded;
    let json = serde_json::to_vec(&record).unwrap();
    fs::write(host.places.record(&uuid), json).unwrap();
    let unknown = ["uploaded by its record", "what the host runs"];
    refused(&host, "patch-destroy", &uuid, "PATCH_IS_APPLIED", &unknown);
}

#[test]
fn a_way_back_that_was_arranged_waits_as_well() {
    let (host, new) = updated();
    let mut old = record(&host, &new);
    old.root = host.old.manifest.root.clone();
    old.uuid = patch_uuid(&old.root.verity.root_hash);
    old.state = PatchState::Superseded;
    fs::write(
        host.places.record(&old.uuid),
        serde_json::to_vec(&old).unwrap(),
    )
    .unwrap();
    let error = xe(&host, &format!("patch-apply uuid={}", old.uuid)).unwrap_err();
    assert_eq!(error.code, "PATCH_PRECHECK_FAILED_WRONG_SERVER_VERSION");
    xe(&host, "host-rollback").unwrap();
    already_applied(&host, &old.uuid, &["1.0.0", "xe host-reboot"]);
    let back = ["tries 1.0.0", "xe host-rollback"];
    refused(&host, "patch-destroy", &old.uuid, "PATCH_IS_APPLIED", &back);
}

#[test]
fn the_release_of_the_installation_has_no_record_and_is_known() {
    let host = Host::new();
    let uuid = patch_uuid(&host.old.manifest.root.verity.root_hash);
    already_applied(&host, &uuid, &["runs 1.0.0 already"]);
    let none = ["1.0.0", "installation"];
    refused(&host, "patch-destroy", &uuid, "PATCH_IS_APPLIED", &none);
    assert_eq!(xe(&host, &format!("patch-clean uuid={uuid}")).unwrap(), "");
}

#[test]
fn an_upload_of_what_runs_is_known_to_run() {
    for (good, state) in [
        (true, PatchState::Applied),
        (false, PatchState::RestartNeeded),
    ] {
        let host = Host::new();
        let file = host.hotfix("hotfix", true);
        // Brought by a medium.
        host.boot(&host.new.manifest.root, "sda4");
        let id = match good {
            true => host.new.id(),
            false => host.old.id(),
        };
        host.set_state(&slots::BootState {
            good: Some(id.to_owned()),
            ..host.state()
        });
        let hotfix = upload(&host.site(), &file).unwrap();
        assert_eq!(hotfix.state, state);
        already_applied(&host, &hotfix.uuid, &["1.0.1"]);
    }
}
