//! Metadata signed by the right keys that nevertheless says wrong things: a broken build, or a signer gone bad.

use crate::keys::SigningKey;
use crate::{
    Artifact, ArtifactInfo, Error, KeyDates, Manifest, Policy, Repository, Source, Stamp, metadata,
};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::num::NonZeroU64;
use std::path::Path;
use tempfile::TempDir;
use tough::schema::RoleType;

const SHA: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn manifest(size: u64) -> Manifest {
    let info = |size| ArtifactInfo {
        size,
        sha256: SHA.into(),
    };
    let mut artifacts: BTreeMap<_, _> = Artifact::ALL.into_iter().map(|a| (a, info(5))).collect();
    artifacts.insert(Artifact::Root, info(size));
    Manifest {
        schema: 1,
        name: "bedplate".into(),
        version: "1.0".into(),
        kernel: "6.12".into(),
        xen: "4.20".into(),
        root: slots::RootIdentity {
            version: "1.0".into(),
            image_name: format!("{SHA}.root.img"),
            image_size: size,
            image_sha256: SHA.into(),
            verity: slots::Verity {
                data_blocks: 1,
                salt: String::new(),
                root_hash: SHA.into(),
            },
        },
        artifacts,
        epoch: 0,
    }
}

type Targets = HashMap<String, (u64, String)>;

/// Signs and writes a repository with this manifest and these targets, whatever they say, and opens it.
fn opened(
    manifest: &[u8],
    change: impl FnOnce(&mut Targets),
    good: &Manifest,
) -> Result<(), Error> {
    let dir = TempDir::new().unwrap();
    let keys = dir.path().join("keys");
    crate::generate(
        &keys,
        KeyDates {
            root_expires: 4_000_000_000,
        },
    )
    .unwrap();
    let mut targets = metadata::targets_of(good, manifest);
    let manifest_name = format!("{}.release.json", targets["release.json"].1);
    change(&mut targets);
    let far = 4_000_000_000;
    let stamp = Stamp {
        version: NonZeroU64::MIN,
        targets_expires: far,
        snapshot_expires: far,
        timestamp_expires: far,
    };
    let signers = [RoleType::Targets, RoleType::Snapshot, RoleType::Timestamp];
    let signers = signers.map(|role| SigningKey::load(&keys, role).unwrap());
    let files = metadata::build(targets, &HashMap::new(), stamp, &signers).unwrap();
    let repository = dir.path().join("repository");
    let write = |name: &Path, bytes: &[u8]| {
        let path = repository.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    for file in files {
        write(&Path::new("metadata").join(file.name), &file.bytes);
    }
    let root = fs::read(keys.join("root.json")).unwrap();
    write(Path::new("metadata/1.root.json"), &root);
    write(&Path::new("targets").join(manifest_name), manifest);
    for artifact in Artifact::ALL {
        write(
            &Path::new("targets").join(format!("{SHA}.{}", artifact.target_name())),
            b"12345",
        );
    }
    let release = Repository::open(&root, &Source::Directory(repository), &Policy::medium())?;
    release.verify_all(|_, _, _| {})
}

fn refused(manifest: &Manifest, change: impl FnOnce(&mut Targets), good: &Manifest) -> String {
    let bytes = metadata::to_sorted_json(manifest).unwrap();
    match opened(&bytes, change, good) {
        Err(Error::Manifest { problem }) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_huge_size_is_found_without_reading_or_reserving_anything() {
    let huge = manifest(u64::MAX / 4096 * 4096 - 4096);
    let bytes = metadata::to_sorted_json(&huge).unwrap();
    match opened(&bytes, |_| {}, &huge) {
        Err(Error::TargetSize { name, found, .. }) => {
            assert_eq!((name.as_str(), found), ("root.img", 5))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_manifest_and_the_signed_list_must_agree() {
    let good = manifest(8192);
    let problem = refused(&good, |t| t.get_mut("xen.gz").unwrap().0 = 6, &good);
    assert!(problem.contains("xen.gz"), "{problem}");
    let problem = refused(
        &good,
        |t| t.get_mut("vmlinuz").unwrap().1 = SHA.replace('0', "1"),
        &good,
    );
    assert!(problem.contains("vmlinuz"), "{problem}");
    let problem = refused(&good, |t| drop(t.remove("initrd.img")), &good);
    assert!(problem.contains("does not name initrd.img"), "{problem}");
    let problem = refused(
        &good,
        |t| drop(t.insert("../../run.sh".into(), (1, SHA.into()))),
        &good,
    );
    assert!(problem.contains("no artifact known here"), "{problem}");
    let problem = refused(&good, |t| drop(t.remove("release.json")), &good);
    assert!(problem.contains("does not name it"), "{problem}");
    let mut wrong = good.clone();
    wrong.root.version = "2.0".into();
    assert!(refused(&wrong, |_| {}, &good).contains("2.0"));
}

#[test]
fn a_manifest_that_is_none_is_refused() {
    let good = manifest(8192);
    let mut value = serde_json::to_value(&good).unwrap();
    value["surprise"] = true.into();
    for bytes in [
        b"".to_vec(),
        b"[]".to_vec(),
        value.to_string().into_bytes(),
        b"[".repeat(100_000),
    ] {
        assert!(matches!(
            opened(&bytes, |_| {}, &good),
            Err(Error::Manifest { .. })
        ));
    }
    let long = vec![b' '; 2 << 20];
    match opened(&long, |_| {}, &good) {
        Err(Error::Manifest { problem }) => assert!(problem.contains("is the most"), "{problem}"),
        other => panic!("{other:?}"),
    }
}

/// A root of trust whose targets need two keys; `forge` changes the signatures of a good list of artifacts.
fn opened_with_two_keys(
    forge: impl FnOnce(Vec<serde_json::Value>) -> Vec<serde_json::Value>,
) -> Result<(), Error> {
    let dir = TempDir::new().unwrap();
    let keys = [dir.path().join("keys"), dir.path().join("more")];
    for keys in &keys {
        crate::generate(
            keys,
            KeyDates {
                root_expires: 4_000_000_000,
            },
        )
        .unwrap();
    }
    let load = |number: usize, role| SigningKey::load(&keys[number], role).unwrap();
    let targets_keys = [load(0, RoleType::Targets), load(1, RoleType::Targets)];
    let root_path = crate::trusted_root_path(&keys[0]);
    let root: tough::schema::Signed<tough::schema::Root> =
        serde_json::from_slice(&fs::read(&root_path).unwrap()).unwrap();
    let mut root = root.signed;
    let second = targets_keys[1].key.tuf_key();
    let id = second.key_id().unwrap();
    root.keys.insert(id.clone(), second);
    let role = root.roles.get_mut(&RoleType::Targets).unwrap();
    role.keyids.push(id);
    role.threshold = NonZeroU64::new(2).unwrap();
    let root = metadata::sign(root, &load(0, RoleType::Root)).unwrap();
    let manifest = manifest(8192);
    let bytes = metadata::to_sorted_json(&manifest).unwrap();
    let targets = metadata::targets_of(&manifest, &bytes);
    let manifest_name = format!("{}.release.json", targets["release.json"].1);
    let far = 4_000_000_000;
    let stamp = Stamp {
        version: NonZeroU64::MIN,
        targets_expires: far,
        snapshot_expires: far,
        timestamp_expires: far,
    };
    let build = |targets_key: usize, targets_bytes: Option<Vec<u8>>| {
        let signers = [
            load(targets_key, RoleType::Targets),
            load(0, RoleType::Snapshot),
            load(0, RoleType::Timestamp),
        ];
        let customs = HashMap::new();
        match targets_bytes {
            None => metadata::build(targets.clone(), &customs, stamp, &signers).unwrap(),
            Some(bytes) => metadata::above(bytes, stamp, &signers[1], &signers[2]).unwrap(),
        }
    };
    // One list of artifacts, signed by each key.
    let parse = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    let mut list = parse(&build(0, None)[0].bytes);
    let other = parse(&build(1, None)[0].bytes);
    let signatures = vec![
        list["signatures"][0].clone(),
        other["signatures"][0].clone(),
    ];
    list["signatures"] = forge(signatures).into();
    let files = build(0, Some(metadata::to_sorted_json(&list).unwrap()));
    let repository = dir.path().join("repository");
    for folder in ["metadata", "targets"] {
        fs::create_dir_all(repository.join(folder)).unwrap();
    }
    for file in files {
        fs::write(repository.join("metadata").join(file.name), file.bytes).unwrap();
    }
    fs::write(repository.join("metadata/1.root.json"), &root).unwrap();
    fs::write(repository.join("targets").join(manifest_name), &bytes).unwrap();
    Repository::open(&root, &Source::Directory(repository), &Policy::medium()).map(drop)
}

#[test]
fn one_signature_twice_is_not_two() {
    assert!(opened_with_two_keys(|both| both).is_ok());
    for forge in [
        |both: Vec<serde_json::Value>| vec![both[0].clone()],
        |both: Vec<serde_json::Value>| vec![both[0].clone(), both[0].clone()],
        |both: Vec<serde_json::Value>| {
            // The same signature under the name of the other key.
            let mut copy = both[0].clone();
            copy["keyid"] = both[1]["keyid"].clone();
            vec![both[0].clone(), copy]
        },
        |both: Vec<serde_json::Value>| {
            // One key under another spelling of its name.
            let mut copy = both[0].clone();
            copy["keyid"] = copy["keyid"].as_str().unwrap().to_uppercase().into();
            vec![both[0].clone(), copy]
        },
    ] {
        let result = opened_with_two_keys(forge);
        assert!(
            matches!(
                result,
                Err(Error::Signature { .. } | Error::MetadataDamaged { .. })
            ),
            "{result:?}"
        );
    }
}
