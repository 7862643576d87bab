//! A hotfix as one file: what is packed comes out again, and nothing else does.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::{Fixture, content, info, manifest_of, stamp, unpacked, write_artifacts};
use proptest::prelude::*;
use release::delta::{Base, make_delta};
use release::{
    Artifact, DeltaFile, DeltaInfo, Error, Guidance, HotfixInfo, OpenRelease, Policy, hash_file,
    pack_hotfix, publish_hotfix, refresh_timestamp, unpack_hotfix,
};
use slots::block::{Access, FileDevice};
use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use tempfile::TempDir;

/// A hotfix of version 2 from the release in `fixture`, whose kernel comes as a delta and in full.
fn repository(fixture: &Fixture, name: &str, full: bool, version: u64) -> PathBuf {
    let dir = fixture.dir.path();
    let mut artifacts = write_artifacts(&dir.join(format!("{name}-build")), 2);
    let old = dir.join(format!("{name}-old"));
    fs::write(&old, content(Artifact::Kernel, 1)).unwrap();
    let delta = dir.join(format!("{name}.delta"));
    let kernel = &artifacts[&Artifact::Kernel];
    let device = |path: &Path| Box::new(FileDevice::open(path, Access::ReadOnly).unwrap());
    make_delta(
        &mut Base::new().with(device(&old)),
        &mut fs::File::open(kernel).unwrap(),
        fs::metadata(kernel).unwrap().len(),
        &mut fs::File::create(&delta).unwrap(),
    )
    .unwrap();
    let deltas = [DeltaFile {
        info: DeltaInfo {
            artifact: Artifact::Kernel,
            base_sha256: hash_file(&old).unwrap().sha256,
            also: vec![],
        },
        file: hash_file(&delta).unwrap(),
        path: delta,
    }];
    let manifest = manifest_of(&artifacts, "0.2.0");
    if !full {
        artifacts.remove(&Artifact::Root);
    }
    let out = dir.join(name);
    publish_hotfix(
        &fixture.keys,
        &out,
        &manifest,
        &artifacts,
        &info(),
        &deltas,
        stamp(version),
    )
    .unwrap();
    out
}

fn packed(repository: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    pack_hotfix(repository, &mut bytes).unwrap();
    bytes
}

fn unpack(bytes: &[u8], root: &[u8]) -> Result<(TempDir, OpenRelease), Error> {
    let dir = TempDir::new().unwrap();
    let release = unpack_hotfix(&mut &bytes[..], dir.path(), root, &Policy::medium())?;
    Ok((dir, release))
}

#[test]
fn what_is_packed_comes_out_and_is_verified() {
    let fixture = Fixture::new();
    let repository = repository(&fixture, "hotfix", true, 2);
    let bytes = packed(&repository);
    assert_eq!(bytes, packed(&repository), "the same bytes every time");
    let (_dir, release) = unpack(&bytes, &fixture.root).unwrap();
    release.verify_all(|_, _, _| {}).unwrap();
    assert_eq!(release.hotfix, Some(info()));
    assert_eq!(release.manifest.version, "0.2.0");
    let base = &fixture.manifest.artifacts[&Artifact::Kernel].sha256;
    let delta = release.delta(Artifact::Kernel, base).unwrap();
    let mut read = Vec::new();
    std::io::Read::read_to_end(&mut release.delta_reader(delta).unwrap(), &mut read).unwrap();
    assert_eq!(read.len() as u64, delta.file.size);
    assert!(release.delta(Artifact::Kernel, &"0".repeat(64)).is_none());
    assert!(release.delta(Artifact::Initrd, base).is_none());
}

#[test]
fn the_full_image_may_be_left_out() {
    let fixture = Fixture::new();
    let bytes = packed(&repository(&fixture, "hotfix", false, 2));
    let (_dir, release) = unpack(&bytes, &fixture.root).unwrap();
    assert!(matches!(
        release.reader(Artifact::Root),
        Err(Error::TargetMissing { .. })
    ));
    assert!(release.reader(Artifact::Kernel).is_ok());
}

#[test]
fn a_fresh_timestamp_opens_over_the_network_and_an_older_one_is_refused() {
    let fixture = Fixture::new();
    let repository = repository(&fixture, "server", true, 2);
    let at = |n| NonZeroU64::new(n).unwrap();
    refresh_timestamp(&fixture.keys, &repository, at(9), common::FAR).unwrap();
    assert!(matches!(
        refresh_timestamp(&fixture.keys, &repository, at(9), common::FAR),
        Err(Error::VersionTaken { .. })
    ));
    let seen = TempDir::new().unwrap();
    let open = |dir: &Path| {
        release::Repository::open(
            &fixture.root,
            &release::Source::Directory(dir.to_owned()),
            &Policy::network(seen.path().to_owned()),
        )
    };
    assert_eq!(open(&repository).unwrap().versions.timestamp, 9);
    assert!(matches!(
        open(&fixture.repository),
        Err(Error::Rollback { .. })
    ));
}

/// A tar archive of these files, in this order.
fn archive(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        // As hostile as it needs to be: what a tar writer refuses is put in all the same.
        if header.set_path(name).is_err() {
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        }
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append(&header, &bytes[..]).unwrap();
    }
    archive.into_inner().unwrap()
}

fn files(repository: &Path) -> Vec<(String, Vec<u8>)> {
    unpacked(&packed(repository))
}

#[test]
fn what_has_no_place_in_it_is_refused() {
    let fixture = Fixture::new();
    let good = files(&repository(&fixture, "hotfix", true, 2));
    let good: Vec<_> = good.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
    assert!(unpack(&archive(&good), &fixture.root).is_ok());
    let hash = "0".repeat(64);
    let unlisted = format!("targets/{hash}.root.img");
    for name in [
        "../../etc/passwd",
        "/etc/passwd",
        "metadata/../x",
        "targets/root.img",
        "other/x",
        "metadata/.hidden",
        unlisted.as_str(),
    ] {
        let mut files = good.clone();
        files.push((name, b"x".to_vec()));
        let error = unpack(&archive(&files), &fixture.root).unwrap_err();
        assert!(
            matches!(error, Error::HotfixFile { .. } | Error::ExtraFile { .. }),
            "{name}: {error}"
        );
    }
    // A link in the place of a target.
    let mut linked = tar::Builder::new(archive(&good[..6]));
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    linked
        .append_link(&mut header, &unlisted, "/etc/passwd")
        .unwrap();
    let bytes = linked.into_inner().unwrap();
    // Behind the end of the first archive, nothing is looked at: so the link goes in front.
    assert!(unpack(&bytes[bytes.len() - 1536..], &fixture.root).is_err());
}

#[test]
fn order_doubles_and_sizes() {
    let fixture = Fixture::new();
    let good = files(&repository(&fixture, "hotfix", true, 2));
    let good: Vec<_> = good.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
    let refused = |files: &[(&str, Vec<u8>)]| unpack(&archive(files), &fixture.root).unwrap_err();
    let mut late = good.clone();
    let first = late.remove(0);
    late.push(first);
    refused(&late);
    let mut twice = good.clone();
    twice.push(good[good.len() - 1].clone());
    assert!(matches!(refused(&twice), Error::Io { .. }));
    let mut changed = good.clone();
    changed.last_mut().unwrap().1[0] ^= 1;
    assert!(matches!(refused(&changed), Error::TargetHash { .. }));
    let mut longer = good.clone();
    longer.last_mut().unwrap().1.push(0);
    assert!(matches!(refused(&longer), Error::TargetSize { .. }));
    let mut endless = good.clone();
    endless.insert(0, ("metadata/9.root.json", vec![b' '; (1 << 20) + 1]));
    assert!(matches!(refused(&endless), Error::HotfixFile { .. }));
    let many: Vec<_> = (0..100)
        .map(|n| format!("metadata/{n}.root.json"))
        .collect();
    let mut many: Vec<_> = many.iter().map(|n| (n.as_str(), vec![])).collect();
    many.extend(good.clone());
    assert!(matches!(refused(&many), Error::HotfixFile { .. }));
    assert!(matches!(refused(&good[..3]), Error::HotfixFile { .. }));
    assert!(matches!(
        unpack(b"#!/bin/sh\necho hello\n", &fixture.root),
        Err(Error::HotfixFile { .. })
    ));
}

#[test]
fn what_the_maker_says_is_checked() {
    let good = info();
    assert!(good.check().is_ok());
    for notes in ["\x1b[2J", "a\0b", &"x".repeat(20_000)] {
        let notes = notes.to_owned();
        assert!(HotfixInfo { notes, ..info() }.check().is_err());
    }
    for cve in ["", "CVE 1", "\x1b", &"C".repeat(41)] {
        let cves = vec![cve.to_owned()];
        assert!(HotfixInfo { cves, ..info() }.check().is_err());
    }
}

#[test]
fn guidance_of_another_release_is_a_restart_of_the_host() {
    for name in ["restartHost", "restartXAPI", "restartHVM", "later"] {
        let read: Guidance = serde_json::from_str(&format!("{name:?}")).unwrap();
        assert_eq!(read, Guidance::RestartHost, "{name}");
    }
    assert_eq!(
        Guidance::from_name("restartHost"),
        Some(Guidance::RestartHost)
    );
    assert_eq!(Guidance::from_name("restartXAPI"), None);
}

static HOTFIX: LazyLock<(Fixture, Vec<u8>)> = LazyLock::new(|| {
    let fixture = Fixture::new();
    let bytes = packed(&repository(&fixture, "hotfix", true, 2));
    (fixture, bytes)
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn damage_is_refused_or_changes_nothing(
        at in any::<prop::sample::Index>(),
        mask in 1u8..,
        cut in any::<bool>(),
    ) {
        let (fixture, bytes) = &*HOTFIX;
        let mut bytes = bytes.clone();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= mask }
        if let Ok((_dir, release)) = unpack(&bytes, &fixture.root) {
            prop_assert_eq!(&release.manifest.version, "0.2.0");
            // What is in it is good; what was cut off at the end is missing, not wrong.
            for artifact in Artifact::ALL {
                match release.read(artifact, 1 << 20) {
                    Ok(_) | Err(Error::TargetMissing { .. }) => {}
                    Err(e) => prop_assert!(false, "{e}"),
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(unpack(&bytes, &HOTFIX.0.root).is_err());
    }
}
