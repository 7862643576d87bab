//! A small release, signed and published.

use release::{
    Artifact, ArtifactInfo, KeyDates, Manifest, OpenRelease, Policy, Repository, Source, Stamp,
    generate, hash_file, publish, trusted_root_path,
};
use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU64;
use std::path::PathBuf;
use tempfile::TempDir;

/// 2026-11-22; nothing depends on it being now.
const EPOCH: u64 = 1_795_305_600;

pub struct Medium {
    dir: TempDir,
    pub manifest: Manifest,
}

fn content(artifact: Artifact) -> Vec<u8> {
    let noise = |size: usize| -> Vec<u8> {
        (0..size)
            .map(|at| {
                (at as u32)
                    .wrapping_mul(2_654_435_761)
                    .rotate_left(artifact as u32) as u8
                    | 1
            })
            .collect()
    };
    match artifact {
        Artifact::Root => noise(300 * 4096),
        Artifact::GrubBiosBoot => {
            let mut image = noise(512);
            image[0x66..0x68].copy_from_slice(&[0xeb, 0x05]);
            image[510..].copy_from_slice(&[0x55, 0xaa]);
            image
        }
        Artifact::GrubBiosCore => {
            let mut image = noise(5000);
            image[0x1e8..0x1f4].fill(0);
            image[0x1f4..0x200].copy_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0x08]);
            image
        }
        other => noise(2000 + 100 * other as usize),
    }
}

impl Medium {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let built = dir.path().join("built");
        fs::create_dir(&built).unwrap();
        let artifacts: BTreeMap<Artifact, PathBuf> = Artifact::ALL
            .into_iter()
            .map(|artifact| {
                let path = built.join(artifact.target_name());
                fs::write(&path, content(artifact)).unwrap();
                (artifact, path)
            })
            .collect();
        let infos: BTreeMap<Artifact, ArtifactInfo> = artifacts
            .iter()
            .map(|(artifact, path)| (*artifact, hash_file(path).unwrap()))
            .collect();
        let root = infos[&Artifact::Root].clone();
        let manifest = Manifest {
            schema: 1,
            name: "bedplate".into(),
            version: "0.1.0".into(),
            kernel: "6.12.117+deb13-amd64".into(),
            xen: "4.20.2+7-g1badcf5035-0+deb13u1".into(),
            root: slots::RootIdentity {
                version: "0.1.0".into(),
                image_name: format!("{}.root.img", root.sha256),
                image_size: root.size,
                image_sha256: root.sha256,
                verity: slots::Verity {
                    data_blocks: 297,
                    salt: "5a".repeat(32),
                    root_hash: "c3".repeat(32),
                },
            },
            artifacts: infos,
            epoch: EPOCH,
        };
        let far = EPOCH + 100 * 365 * 86_400;
        let stamp = Stamp {
            version: NonZeroU64::new(1).unwrap(),
            targets_expires: far,
            snapshot_expires: far,
            timestamp_expires: far,
        };
        let keys = dir.path().join("keys");
        generate(&keys, KeyDates::ten_years_from(EPOCH)).unwrap();
        publish(
            &keys,
            &dir.path().join("medium/bedplate/repository"),
            &manifest,
            &artifacts,
            stamp,
        )
        .unwrap();
        Medium { dir, manifest }
    }

    /// The root of the medium.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("medium")
    }

    pub fn trusted_root(&self) -> PathBuf {
        trusted_root_path(&self.dir.path().join("keys"))
    }

    pub fn open(&self) -> OpenRelease {
        let root = fs::read(self.trusted_root()).unwrap();
        let source = Source::Directory(self.path().join("bedplate/repository"));
        Repository::open(&root, &source, &Policy::medium()).unwrap()
    }

    pub fn content(&self, artifact: Artifact) -> Vec<u8> {
        content(artifact)
    }
}
