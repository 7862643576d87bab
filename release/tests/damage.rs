//! A damaged or swapped release is refused, with the error that says what is wrong.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::{Fixture, content, open, stamp, with_flipped};
use release::{Artifact, Error};
use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use tough::schema::RoleType;

#[test]
fn an_undamaged_release_opens_and_every_byte_is_counted_once() {
    let fixture = Fixture::new();
    let release = fixture.open().unwrap();
    assert_eq!(release.manifest, fixture.manifest);
    assert_eq!(release.expired, None);
    let mut seen = Vec::new();
    let mut last = 0;
    release
        .verify_all(|done, total, artifact| {
            assert_eq!(total, release.total_size());
            assert!(done >= last && done <= total);
            last = done;
            if seen.last() != Some(&artifact) {
                seen.push(artifact);
            }
        })
        .unwrap();
    assert_eq!(seen, Artifact::ALL);
    assert_eq!(
        last,
        Artifact::ALL
            .iter()
            .map(|a| content(*a, 1).len() as u64)
            .sum::<u64>()
    );
    for artifact in Artifact::ALL {
        let mut bytes = Vec::new();
        release
            .reader(artifact)
            .unwrap()
            .read_to_end(&mut bytes)
            .unwrap();
        assert_eq!(bytes, content(artifact, 1));
        assert_eq!(release.read(artifact, 1 << 20).unwrap(), bytes);
        assert!(matches!(
            release.read(artifact, bytes.len() as u64 - 1),
            Err(Error::TargetSize { .. })
        ));
    }
}

#[test]
fn a_flipped_byte_in_an_artifact_is_named() {
    let fixture = Fixture::new();
    let release = fixture.open().unwrap();
    for artifact in Artifact::ALL {
        let path = fixture.target(artifact);
        let size = content(artifact, 1).len();
        let positions = (0..size)
            .step_by(size / 40 + 1)
            .chain([1, size - 2, size - 1]);
        for position in positions {
            with_flipped(&path, position, 1 << (position % 8), || {
                match release.verify_all(|_, _, _| {}) {
                    Err(Error::TargetHash { name, .. }) => assert_eq!(name, artifact.target_name()),
                    other => panic!("{artifact:?} at {position}: {other:?}"),
                }
                let mut reader = release.reader(artifact).unwrap();
                let mut bytes = Vec::new();
                let error = reader.read_to_end(&mut bytes).unwrap_err();
                assert!(error.to_string().contains("is damaged"), "{error}");
                assert!(reader.read(&mut [0; 16]).is_err(), "the error must stay");
            });
        }
    }
    fixture.open_and_verify().unwrap();
}

#[test]
fn a_flipped_byte_of_the_metadata_and_the_manifest_is_refused() {
    let fixture = Fixture::new();
    let mut files: Vec<_> = fixture
        .published
        .metadata
        .iter()
        .map(|name| fixture.metadata(name))
        .collect();
    assert_eq!(files.len(), 4);
    files.push(
        fixture
            .repository
            .join("targets")
            .join(&fixture.published.manifest),
    );
    for path in files {
        // A hash covers every byte of the others; here every byte is tried.
        let hashed = !path.ends_with("timestamp.json") && !path.ends_with("1.root.json");
        let good = fs::read(&path).unwrap();
        for position in (0..good.len()).step_by(if hashed { 5 } else { 1 }) {
            // The lowest bit changes every character of JSON into another one; bit 5 is upper and lower case.
            let masks: &[u8] = match good[position].is_ascii_alphabetic() {
                true => &[0x01, 0x20],
                false => &[0x01],
            };
            for &mask in masks {
                with_flipped(&path, position, mask, || {
                    if let Ok(release) = fixture.open() {
                        let byte = good[position] as char;
                        panic!("{} at {position} ({byte:?}): {release:?}", path.display());
                    }
                });
            }
        }
    }
    fixture.open_and_verify().unwrap();
}

#[test]
fn the_error_says_which_metadata_is_damaged() {
    let fixture = Fixture::new();
    let at = |name: &str, text: &str| {
        let found = fs::read_to_string(fixture.metadata(name))
            .unwrap()
            .find(text)
            .unwrap();
        (fixture.metadata(name), found + text.len())
    };
    // A version number: covered by the signature.
    let (path, position) = at("timestamp.json", "\"version\": ");
    with_flipped(&path, position, 2, || {
        assert!(matches!(
            fixture.open(),
            Err(Error::Signature {
                role: RoleType::Timestamp,
                ..
            })
        ));
    });
    let (path, position) = at("1.snapshot.json", "\"sha256\": \"");
    with_flipped(&path, position, 1, || {
        assert!(matches!(
            fixture.open(),
            Err(Error::MetadataDamaged {
                role: RoleType::Snapshot,
                ..
            })
        ));
    });
    let (path, position) = at("1.targets.json", "\"sha256\": \"");
    with_flipped(&path, position, 1, || {
        assert!(matches!(
            fixture.open(),
            Err(Error::MetadataDamaged {
                role: RoleType::Targets,
                ..
            })
        ));
    });
    let (path, position) = at("1.root.json", "\"threshold\": ");
    with_flipped(&path, position, 2, || {
        assert!(matches!(
            fixture.open(),
            Err(Error::MetadataDamaged {
                role: RoleType::Root,
                ..
            })
        ));
    });
    for name in &fixture.published.metadata {
        let path = fixture.metadata(name);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        match fixture.open() {
            Err(Error::MetadataMissing { file, .. }) => assert_eq!(&file, name),
            other => panic!("without {name}: {other:?}"),
        }
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(
            matches!(fixture.open(), Err(Error::MetadataDamaged { .. })),
            "half of {name}"
        );
        fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn cut_off_longer_missing_and_swapped_artifacts_are_named() {
    let fixture = Fixture::new();
    let release = fixture.open().unwrap();
    for artifact in Artifact::ALL {
        let path = fixture.target(artifact);
        let good = fs::read(&path).unwrap();
        let size = good.len() as u64;
        for length in [0, 1, good.len() / 2, good.len() - 1] {
            fs::write(&path, &good[..length]).unwrap();
            match release.verify_all(|_, _, _| panic!("sizes are compared before anything is read"))
            {
                Err(Error::TargetSize {
                    name,
                    expected,
                    found,
                    ..
                }) => {
                    assert_eq!(
                        (name.as_str(), expected, found),
                        (artifact.target_name(), size, length as u64)
                    );
                }
                other => panic!("{artifact:?} cut to {length}: {other:?}"),
            }
        }
        fs::write(&path, [&good[..], b"\0"].concat()).unwrap();
        assert!(
            matches!(release.verify_all(|_, _, _| {}), Err(Error::TargetSize { found, .. }) if found == size + 1)
        );
        fs::remove_file(&path).unwrap();
        match release.verify_all(|_, _, _| {}) {
            Err(Error::TargetMissing { name, .. }) => assert_eq!(name, artifact.target_name()),
            other => panic!("{artifact:?} removed: {other:?}"),
        }
        fs::write(&path, good).unwrap();
    }
    // The content of another artifact, cut to the right length.
    let kernel = fs::read(fixture.target(Artifact::Kernel)).unwrap();
    let initrd = fs::read(fixture.target(Artifact::Initrd)).unwrap();
    fs::write(fixture.target(Artifact::Kernel), &initrd[..kernel.len()]).unwrap();
    assert!(
        matches!(release.verify_all(|_, _, _| {}), Err(Error::TargetHash { name, .. }) if name == "vmlinuz")
    );
}

#[test]
fn a_file_that_grows_while_it_is_read_is_refused() {
    let fixture = Fixture::new();
    let release = fixture.open().unwrap();
    let mut reader = release.reader(Artifact::Xen).unwrap();
    let good = content(Artifact::Xen, 1);
    fs::write(
        fixture.target(Artifact::Xen),
        [&good[..], &[0; 100_000]].concat(),
    )
    .unwrap();
    let mut bytes = Vec::new();
    let error = reader.read_to_end(&mut bytes).unwrap_err();
    let error = *error.downcast::<Error>().map(Box::new).unwrap();
    assert!(matches!(error, Error::TargetSize { name, .. } if name == "xen.gz"));
}

#[test]
fn links_pipes_and_folders_are_not_followed() {
    let fixture = Fixture::new();
    let release = fixture.open().unwrap();
    let path = fixture.target(Artifact::Kernel);
    let elsewhere = fixture.dir.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    let refused = |what: &str| match release.verify_all(|_, _, _| {}) {
        Err(Error::TargetNotRegular { name, found, .. }) => {
            assert_eq!((name.as_str(), found), ("vmlinuz", what))
        }
        other => panic!("{what}: {other:?}"),
    };
    // Even with the right content: what a link points to can change after it was checked.
    symlink(&elsewhere, &path).unwrap();
    refused("symbolic link");
    fs::remove_file(&path).unwrap();
    symlink("/dev/zero", &path).unwrap();
    refused("symbolic link");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused("folder");
    fs::remove_dir(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    refused("pipe");
    fs::remove_file(&path).unwrap();

    fs::rename(&elsewhere, &path).unwrap();
    let timestamp = fixture.metadata("timestamp.json");
    fs::rename(&timestamp, &elsewhere).unwrap();
    symlink(&elsewhere, &timestamp).unwrap();
    assert!(matches!(
        fixture.open(),
        Err(Error::MetadataDamaged {
            role: RoleType::Timestamp,
            ..
        })
    ));
    fs::remove_file(&timestamp).unwrap();
    nix::unistd::mkfifo(&timestamp, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(matches!(
        fixture.open(),
        Err(Error::MetadataDamaged {
            role: RoleType::Timestamp,
            ..
        })
    ));
}

#[test]
fn a_file_that_nothing_signed_lists_is_refused_on_a_medium() {
    let fixture = Fixture::new();
    let extra = fixture.repository.join("targets/autorun.sh");
    fs::write(&extra, "#!/bin/sh").unwrap();
    match fixture.open_and_verify() {
        Err(Error::ExtraFile { path }) => assert_eq!(path.file_name(), extra.file_name()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn endless_metadata_is_cut_off() {
    let fixture = Fixture::new();
    for name in [
        "timestamp.json",
        "1.snapshot.json",
        "1.targets.json",
        "1.root.json",
    ] {
        let path = fixture.metadata(name);
        let good = fs::read(&path).unwrap();
        // Sparse: one terabyte that costs nothing to hold and must not be read.
        fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(
            matches!(fixture.open(), Err(Error::MetadataDamaged { .. })),
            "{name}"
        );
        fs::write(&path, good).unwrap();
    }
}

#[test]
fn another_root_of_trust_refuses_the_release() {
    let (ours, theirs) = (Fixture::new(), Fixture::new());
    assert!(matches!(
        open(&ours.root, &theirs.repository),
        Err(Error::Signature {
            role: RoleType::Timestamp,
            ..
        })
    ));
    let mut changed = ours.root.clone();
    let at = String::from_utf8(changed.clone())
        .unwrap()
        .find("\"expires\": \"")
        .unwrap()
        + 14;
    changed[at] ^= 1;
    assert!(matches!(
        open(&changed, &ours.repository),
        Err(Error::TrustedRoot { .. })
    ));
    assert!(matches!(
        open(b"", &ours.repository),
        Err(Error::TrustedRoot { .. })
    ));
}

#[test]
fn parts_of_two_releases_do_not_mix() {
    let fixture = Fixture::new();
    let newer = fixture.publish_another("newer", 2, stamp(2));
    open(&fixture.root, &newer)
        .unwrap()
        .verify_all(|_, _, _| {})
        .unwrap();
    // The timestamp of the newer one over the rest of the older one.
    let timestamp = fs::read(newer.join("metadata/timestamp.json")).unwrap();
    let old = fs::read(fixture.metadata("timestamp.json")).unwrap();
    fs::write(fixture.metadata("timestamp.json"), timestamp).unwrap();
    assert!(
        matches!(fixture.open(), Err(Error::MetadataMissing { file, .. }) if file == "2.snapshot.json")
    );
    fs::write(fixture.metadata("timestamp.json"), old).unwrap();
    // The snapshot and the targets of the newer one under the names of the older ones.
    for (ours, theirs) in [
        ("1.snapshot.json", "2.snapshot.json"),
        ("1.targets.json", "2.targets.json"),
    ] {
        let good = fs::read(fixture.metadata(ours)).unwrap();
        fs::copy(newer.join("metadata").join(theirs), fixture.metadata(ours)).unwrap();
        assert!(
            matches!(fixture.open(), Err(Error::MetadataDamaged { .. })),
            "{ours}"
        );
        fs::write(fixture.metadata(ours), good).unwrap();
    }
    // The manifest and an artifact of the newer one, each by the name that the older one looks for.
    let newer_release = open(&fixture.root, &newer).unwrap();
    fs::copy(
        newer_release.path(Artifact::Root),
        fixture.target(Artifact::Root),
    )
    .unwrap();
    assert!(
        matches!(fixture.open_and_verify(), Err(Error::TargetHash { name, .. }) if name == "root.img")
    );
}
