//! Keys and publishing: reproducible, complete, and nothing is overwritten.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::{EPOCH, Fixture, manifest_of, open, stamp, write_artifacts};
use release::{
    Artifact, Error, Expiry, KeyDates, Policy, Repository, Source, Stamp, generate, publish,
};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.extend(
                tree(&path)
                    .into_iter()
                    .map(|(n, b)| (format!("{name}/{n}"), b)),
            );
        } else {
            found.insert(name, fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn keys_are_private_and_never_overwritten() {
    let dir = TempDir::new().unwrap();
    let keys = dir.path().join("deep/keys");
    generate(&keys, KeyDates::ten_years_from(EPOCH)).unwrap();
    let mode = |name: &str| fs::metadata(keys.join(name)).unwrap().permissions().mode() & 0o777;
    for name in [
        "offline/root.pk8",
        "online/targets.pk8",
        "online/snapshot.pk8",
        "online/timestamp.pk8",
    ] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    assert_eq!(mode("."), 0o700);
    let before = tree(&keys);
    assert!(matches!(
        generate(&keys, KeyDates::ten_years_from(EPOCH)),
        Err(Error::KeysExist { .. })
    ));
    assert_eq!(tree(&keys), before);
    let entries: Vec<_> = fs::read_dir(dir.path().join("deep")).unwrap().collect();
    assert_eq!(entries.len(), 1, "nothing half-made is left behind");
    let root: serde_json::Value = serde_json::from_slice(&before["root.json"]).unwrap();
    assert_eq!(root["signed"]["expires"], "2036-11-19T00:00:00Z");
    let ids: std::collections::BTreeSet<_> = ["root", "targets", "snapshot", "timestamp"]
        .map(|role| {
            root["signed"]["roles"][role]["keyids"][0]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .into();
    assert_eq!(ids.len(), 4, "every role has its own key");
}

#[test]
fn the_same_input_makes_the_same_bytes() {
    let fixture = Fixture::new();
    let again = fixture.dir.path().join("again");
    let artifacts = write_artifacts(&fixture.dir.path().join("build2"), 1);
    publish(
        &fixture.keys,
        &again,
        &fixture.manifest,
        &artifacts,
        stamp(1),
    )
    .unwrap();
    assert_eq!(tree(&again), tree(&fixture.repository));
    // And a second run over the same folder changes nothing.
    publish(
        &fixture.keys,
        &again,
        &fixture.manifest,
        &artifacts,
        stamp(1),
    )
    .unwrap();
    assert_eq!(tree(&again), tree(&fixture.repository));
}

#[test]
fn publishing_needs_no_root_key() {
    let fixture = Fixture::new();
    fs::remove_dir_all(fixture.keys.join("offline")).unwrap();
    let newer = fixture.publish_another("newer", 2, stamp(2));
    open(&fixture.root, &newer)
        .unwrap()
        .verify_all(|_, _, _| {})
        .unwrap();
}

#[test]
fn an_interrupted_copy_is_made_anew_and_a_wrong_file_is_refused() {
    let fixture = Fixture::new();
    let out = fixture.dir.path().join("out");
    let artifacts = write_artifacts(&fixture.dir.path().join("build2"), 1);
    fs::create_dir_all(out.join("targets")).unwrap();
    fs::write(
        out.join("targets")
            .join(&fixture.published.artifacts[&Artifact::Root]),
        "half",
    )
    .unwrap();
    publish(&fixture.keys, &out, &fixture.manifest, &artifacts, stamp(1)).unwrap();
    open(&fixture.root, &out)
        .unwrap()
        .verify_all(|_, _, _| {})
        .unwrap();

    let out = fixture.dir.path().join("out2");
    fs::write(&artifacts[&Artifact::Xen], "something else").unwrap();
    match publish(&fixture.keys, &out, &fixture.manifest, &artifacts, stamp(1)) {
        Err(Error::Unpublishable { artifact, .. }) => assert_eq!(artifact, Artifact::Xen),
        other => panic!("{other:?}"),
    }
    assert!(!out.join("metadata/timestamp.json").exists());
    let mut fewer = artifacts.clone();
    fewer.remove(&Artifact::Root);
    assert!(matches!(
        publish(&fixture.keys, &out, &fixture.manifest, &fewer, stamp(1)),
        Err(Error::Unpublishable {
            artifact: Artifact::Root,
            ..
        })
    ));
}

#[test]
fn a_version_is_given_once() {
    let fixture = Fixture::new();
    let artifacts = write_artifacts(&fixture.dir.path().join("other"), 9);
    let other = manifest_of(&artifacts, "0.2.0");
    assert!(matches!(
        publish(
            &fixture.keys,
            &fixture.repository,
            &other,
            &artifacts,
            stamp(1)
        ),
        Err(Error::VersionTaken { .. })
    ));
    // With the next version it becomes the release of the repository, beside the files of the earlier one.
    publish(
        &fixture.keys,
        &fixture.repository,
        &other,
        &artifacts,
        stamp(2),
    )
    .unwrap();
    let source = Source::Directory(fixture.repository.clone());
    let store = fixture.dir.path().join("store");
    fs::create_dir(&store).unwrap();
    let release = Repository::open(&fixture.root, &source, &Policy::network(store)).unwrap();
    assert_eq!(release.manifest.version, "0.2.0");
    release.verify_all(|_, _, _| {}).unwrap();
    // A medium holds one release.
    assert!(matches!(
        fixture.open_and_verify(),
        Err(Error::ExtraFile { .. })
    ));
}

#[test]
fn an_older_release_is_a_rollback_where_versions_are_remembered() {
    let fixture = Fixture::new();
    let newer = fixture.publish_another("newer", 2, stamp(2));
    let store = fixture.dir.path().join("store");
    fs::create_dir(&store).unwrap();
    let policy = Policy {
        datastore: Some(store),
        ..Policy::medium()
    };
    let open =
        |dir: &Path| Repository::open(&fixture.root, &Source::Directory(dir.to_owned()), &policy);
    assert_eq!(open(&fixture.repository).unwrap().versions.targets, 1);
    assert_eq!(open(&newer).unwrap().versions.targets, 2);
    assert!(matches!(
        open(&fixture.repository),
        Err(Error::Rollback { .. })
    ));
    assert_eq!(open(&newer).unwrap().versions.timestamp, 2);
}

#[test]
fn expiry_is_told_for_a_medium_and_enforced_for_the_network() {
    let past = 1_000_000_000; // 2001
    let fixture = Fixture::with(
        1,
        Stamp {
            timestamp_expires: past,
            ..stamp(1)
        },
    );
    let release = fixture.open_and_verify().unwrap();
    assert_eq!(
        release.expired.as_deref(),
        Some("timestamp metadata expired on 2001-09-09T01:46:40Z")
    );
    let policy = Policy {
        expiry: Expiry::Enforced,
        ..Policy::medium()
    };
    let source = Source::Directory(fixture.repository.clone());
    match Repository::open(&fixture.root, &source, &policy) {
        Err(Error::Expired { problem }) => assert!(problem.contains("timestamp"), "{problem}"),
        other => panic!("{other:?}"),
    }
    let all = Stamp {
        targets_expires: past,
        snapshot_expires: past,
        ..stamp(3)
    };
    let told = open(&fixture.root, &fixture.publish_another("old", 3, all))
        .unwrap()
        .expired
        .unwrap();
    assert!(
        told.contains("targets") && told.contains("snapshot") && !told.contains("timestamp"),
        "{told}"
    );
}

#[test]
fn a_manifest_that_contradicts_itself_is_not_published() {
    let fixture = Fixture::new();
    let artifacts = write_artifacts(&fixture.dir.path().join("build2"), 1);
    let good = || fixture.manifest.clone();
    let mut cases = Vec::new();
    let mut bad = good();
    bad.schema = 2;
    cases.push((bad, "schema 2"));
    let mut bad = good();
    bad.version = "0.1.0 \u{1b}[2J".into();
    cases.push((bad, "is no version"));
    let mut bad = good();
    bad.root.version = "0.1.1".into();
    cases.push((bad, "0.1.1"));
    let mut bad = good();
    bad.artifacts.remove(&Artifact::Microcode);
    cases.push((bad, "ucode.img is not listed"));
    let mut bad = good();
    bad.artifacts
        .get_mut(&Artifact::Xen)
        .unwrap()
        .sha256
        .make_ascii_uppercase();
    cases.push((bad, "lowercase"));
    let mut bad = good();
    bad.artifacts.get_mut(&Artifact::Xen).unwrap().size = u64::MAX;
    cases.push((bad, "is not possible"));
    let mut bad = good();
    bad.root.verity.data_blocks = u64::MAX / 2;
    cases.push((bad, "cannot hold"));
    let mut bad = good();
    bad.root.verity.data_blocks = 9;
    cases.push((bad, "cannot hold"));
    let mut bad = good();
    bad.root.image_name = "../../etc/shadow".into();
    cases.push((bad, "is not its name"));
    for (bad, words) in cases {
        let out = fixture.dir.path().join("never");
        match publish(&fixture.keys, &out, &bad, &artifacts, stamp(1)) {
            Err(Error::Manifest { problem }) => {
                assert!(problem.contains(words), "{problem} lacks {words}")
            }
            other => panic!("{words}: {other:?}"),
        }
        assert!(!out.exists());
    }
    let bad_date = Stamp {
        targets_expires: u64::MAX,
        ..stamp(1)
    };
    let out = fixture.dir.path().join("never");
    assert!(matches!(
        publish(&fixture.keys, &out, &good(), &artifacts, bad_date),
        Err(Error::Date { .. })
    ));
}
