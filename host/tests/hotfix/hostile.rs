//! One hostile hotfix for each attack on an update framework (theupdateframework.io, "Security"): each is refused, nothing
//! of the host changes, and a good hotfix goes in afterwards without a network.

use crate::maker;
use crate::site::Host;
use host::health::HealthReport;
use host::hotfix::{PatchRecord, after_boot, apply, upload};
use release::{Artifact, Policy, Repository, Source, Stamp};
use slots::boot_state::BootState;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use steps::sink::FanOut;

/// Refused with these words, and nothing changed; afterwards a good one is applied.
fn refused(host: &Host, file: &Path, words: &str) {
    let before = host.snapshot();
    let error = upload(&host.site(), file).unwrap_err();
    assert_eq!(error.code, "INVALID_PATCH", "{error}");
    assert!(error.to_string().contains(words), "{error}");
    assert!(host.snapshot() == before, "the old state is intact");
    assert_eq!(host.next_start(), "1.0.0");
    let record = upload(&host.site(), &host.hotfix("good", false)).unwrap();
    apply(&host.site(), &record.uuid, FanOut::new()).unwrap();
    assert_eq!(host.next_start(), "1.0.1");
}

fn repository(host: &Host, keys: &Path, stamp: Stamp, name: &str) -> PathBuf {
    maker::repository(
        keys,
        Some(&host.old),
        &host.new,
        true,
        stamp,
        &host.at(name),
    )
}

/// The archive of a repository with its files changed, in the order of the archive.
fn changed(repository: &Path, mut change: impl FnMut(&str, Vec<u8>) -> Vec<u8>) -> PathBuf {
    let packed = maker::pack(repository);
    let mut archive = tar::Archive::new(fs::File::open(&packed).unwrap());
    let out = packed.with_extension("hostile");
    let mut hostile = tar::Builder::new(fs::File::create(&out).unwrap());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let bytes = change(&name, bytes);
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        hostile.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    hostile.into_inner().unwrap();
    out
}

#[test]
fn arbitrary_software() {
    let host = Host::new();
    let repository = repository(&host, &host.keys, maker::stamp(9), "x");
    let file = changed(&repository, |name, mut bytes| {
        if name.ends_with(".vmlinuz") {
            bytes[100] ^= 1;
        }
        bytes
    });
    refused(&host, &file, "vmlinuz is damaged");
}

#[test]
fn wrong_key() {
    let host = Host::new();
    let theirs = maker::keys(&host.at("theirs"));
    let repository = repository(&host, &theirs, maker::stamp(9), "x");
    refused(&host, &maker::pack(&repository), "not signed by the keys");
}

#[test]
fn endless_data() {
    let host = Host::new();
    let repository = repository(&host, &host.keys, maker::stamp(9), "x");
    let file = changed(&repository, |name, mut bytes| {
        if name.ends_with("targets.json") {
            bytes.resize(bytes.len() + (2 << 20), b' ');
        }
        bytes
    });
    refused(&host, &file, "is the most");
    let host = Host::new();
    let repository = self::repository(&host, &host.keys, maker::stamp(9), "x");
    let file = changed(&repository, |name, mut bytes| {
        if name.ends_with(".root.img") {
            bytes.resize(bytes.len() + (9 << 20), 0);
        }
        bytes
    });
    refused(&host, &file, "bytes where the signed release says");
}

#[test]
fn a_file_that_never_ends_is_never_read_to_its_end() {
    let host = Host::new();
    let path = host.at("endless");
    fs::write(&path, vec![0x41; 3 << 20]).unwrap();
    refused(&host, &path, "no hotfix file");
    let host = Host::new();
    let error = upload(&host.site(), Path::new("/dev/zero")).unwrap_err();
    assert!(error.to_string().contains("no regular file"), "{error}");
}

#[test]
fn mix_and_match() {
    let host = Host::new();
    let good = repository(&host, &host.keys, maker::stamp(9), "x");
    // A list of artifacts of another release, by the same keys and of the same version.
    let other = maker::release(&host.at("other"), "1.0.5", 5);
    let other = maker::repository(
        &host.keys,
        None,
        &other,
        true,
        maker::stamp(9),
        &host.at("y"),
    );
    let theirs = fs::read(other.join("metadata/9.targets.json")).unwrap();
    let file = changed(&good, |name, bytes| match name.ends_with("targets.json") {
        true => theirs.clone(),
        false => bytes,
    });
    refused(&host, &file, "damaged");
}

#[test]
fn a_delta_that_is_called_something_else() {
    let host = Host::new();
    let repository = repository(&host, &host.keys, maker::stamp(9), "x");
    let file = changed(&repository, |name, mut bytes| {
        if name.ends_with("targets.json") {
            let text = String::from_utf8(bytes).unwrap();
            bytes = text
                .replace("\"artifact\": \"kernel\"", "\"artifact\": \"xen\"")
                .into_bytes();
        }
        bytes
    });
    refused(&host, &file, "damaged");
}

/// 1.0.1 with metadata of that version was applied, came up, and is remembered.
fn after(host: &Host, version: u64) {
    let repository = repository(host, &host.keys, maker::stamp(version), "applied");
    let record = upload(&host.site(), &maker::pack(&repository)).unwrap();
    apply(&host.site(), &record.uuid, FanOut::new()).unwrap();
    let before = host.state();
    host.boot(&host.new.manifest.root, "sda4");
    let report = HealthReport {
        schema: 1,
        version: None,
        root_id: None,
        passed: true,
        failed_try: None,
        uptime_ms: None,
        checks: vec![],
    };
    after_boot(&host.site(), &host.record(), &before, &report).unwrap();
    host.set_state(&BootState {
        good: Some(host.new.id().into()),
        previous: Some(host.old.id().into()),
        ..BootState::default()
    });
}

#[test]
fn rollback_is_refused_and_what_is_newer_is_not() {
    let host = Host::new();
    after(&host, 1000);
    let next = maker::release(&host.at("1.0.2"), "1.0.2", 7);
    let file = |version, name: &str| {
        let dir = host.at(name);
        maker::pack(&maker::repository(
            &host.keys,
            Some(&host.new),
            &next,
            false,
            maker::stamp(version),
            &dir,
        ))
    };
    let error = upload(&host.site(), &file(999, "older")).unwrap_err();
    assert_eq!(error.code, "INVALID_PATCH");
    assert!(error.to_string().contains("older than one"), "{error}");
    let record = upload(&host.site(), &file(1001, "newer")).unwrap();
    apply(&host.site(), &record.uuid, FanOut::new()).unwrap();
    assert!(host.starts(&next, "sda3") && host.starts(&host.new, "sda4"));
}

#[test]
fn fast_forward_does_not_lock_the_host_out() {
    let host = Host::new();
    // Merely uploading the highest version there is changes nothing for what follows.
    let repository = repository(&host, &host.keys, maker::stamp(u64::MAX), "highest");
    let record = upload(&host.site(), &maker::pack(&repository)).unwrap();
    host::hotfix::destroy(&host.site(), &record.uuid).unwrap();
    let record = upload(&host.site(), &host.hotfix("good", false)).unwrap();
    apply(&host.site(), &record.uuid, FanOut::new()).unwrap();
    assert_eq!(host.next_start(), "1.0.1");
}

#[test]
fn expired_and_frozen_are_told_for_a_file_and_refused_over_the_network() {
    let host = Host::new();
    let past = maker::EPOCH - 86_400;
    let stamp = Stamp {
        targets_expires: past,
        snapshot_expires: past,
        timestamp_expires: past,
        ..maker::stamp(9)
    };
    let repository = repository(&host, &host.keys, stamp, "x");
    let seen = host.at("network");
    fs::create_dir_all(&seen).unwrap();
    let root = maker::trusted_root(&host.keys);
    let opened = Repository::open(
        &root,
        &Source::Directory(repository.clone()),
        &Policy::network(seen),
    );
    // The clock of the machine that tests run on stands after the dates in them.
    assert!(
        matches!(opened, Err(release::Error::Expired { .. })),
        "{opened:?}"
    );
    let record = upload(&host.site(), &maker::pack(&repository)).unwrap();
    let applied = apply(&host.site(), &record.uuid, FanOut::new()).unwrap();
    assert!(
        applied.warnings.iter().any(|w| w.contains("expired")),
        "{:?}",
        applied.warnings
    );
    assert_eq!(host.next_start(), "1.0.1");
}

#[test]
fn a_wrong_clock_of_the_host_does_not_strand_it() {
    let host = Host::new();
    after(&host, 1000);
    // The clock was in the future when something was good: what the TUF client remembers of that is not kept.
    assert!(!host.places.seen().join("latest_known_time.json").exists());
    assert!(host.places.seen().join("snapshot.json").exists());
    // Nor when its date was signed: that says nothing about which release is newer.
    assert!(!host.places.seen().join("timestamp.json").exists());
}

#[test]
fn a_release_that_is_no_hotfix() {
    let host = Host::new();
    let out = host.at("plain");
    let artifacts = Artifact::ALL
        .into_iter()
        .map(|artifact| (artifact, host.new.path(artifact)))
        .collect();
    release::publish(
        &host.keys,
        &out,
        &host.new.manifest,
        &artifacts,
        maker::stamp(9),
    )
    .unwrap();
    refused(
        &host,
        &maker::pack(&out),
        "nothing in it says that it is a hotfix",
    );
}

#[test]
fn something_else_altogether() {
    let host = Host::new();
    let path = host.at("patch.sh");
    let mut file = fs::File::create(&path).unwrap();
    writeln!(file, "#!/bin/sh\nrm -rf /").unwrap();
    refused(&host, &path, "no hotfix file");
    let host = Host::new();
    let error = upload(&host.site(), &host.at("missing")).unwrap_err();
    assert_eq!(error.code, "INVALID_PATCH");
    assert!(
        PatchRecord::all(&host.system, &host.places)
            .unwrap()
            .is_empty()
    );
}
