//! A small release, signed and published, to be damaged.
#![allow(clippy::unwrap_used)] // a panic is how a test fails
#![allow(dead_code)] // every test file uses another part of it

use release::{
    Artifact, ArtifactInfo, Error, Guidance, HotfixInfo, HotfixKind, KeyDates, Manifest,
    OpenRelease, Policy, Published, Repository, Source, Stamp, generate, hash_file, publish,
    trusted_root_path,
};
use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// 2026-11-22; nothing depends on it being now.
pub const EPOCH: u64 = 1_795_305_600;
/// Far enough: 2126.
pub const FAR: u64 = EPOCH + 100 * 365 * 86_400;

/// Everything on disk.
pub struct Fixture {
    pub dir: TempDir,
    pub keys: PathBuf,
    pub repository: PathBuf,
    pub root: Vec<u8>,
    pub manifest: Manifest,
    pub published: Published,
}

pub fn stamp(version: u64) -> Stamp {
    Stamp {
        version: NonZeroU64::new(version).unwrap(),
        targets_expires: FAR,
        snapshot_expires: FAR,
        timestamp_expires: FAR,
    }
}

/// Bytes that look like nothing, different for every artifact and `seed`; sizes cross the 4096-byte block.
pub fn content(artifact: Artifact, seed: u64) -> Vec<u8> {
    let size = match artifact {
        Artifact::Root => 9 * 4096,
        Artifact::GrubBiosBoot => 512,
        other => 3000 + 700 * other as usize,
    };
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (artifact as u64 + 1);
    (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

/// What the maker of a hotfix says.
pub fn info() -> HotfixInfo {
    HotfixInfo {
        kind: HotfixKind::Security,
        notes: "OpenSSL\nand more".into(),
        cves: vec!["CVE-2026-1".into()],
        guidance: Guidance::RestartHost,
    }
}

/// The files of a hotfix by their names in the archive, in its order.
pub fn unpacked(packed: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(packed);
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            (name, bytes)
        })
        .collect()
}

pub fn write_artifacts(dir: &Path, seed: u64) -> BTreeMap<Artifact, PathBuf> {
    fs::create_dir_all(dir).unwrap();
    Artifact::ALL
        .into_iter()
        .map(|artifact| {
            let path = dir.join(artifact.target_name());
            fs::write(&path, content(artifact, seed)).unwrap();
            (artifact, path)
        })
        .collect()
}

pub fn manifest_of(artifacts: &BTreeMap<Artifact, PathBuf>, version: &str) -> Manifest {
    let infos: BTreeMap<Artifact, ArtifactInfo> = artifacts
        .iter()
        .map(|(artifact, path)| (*artifact, hash_file(path).unwrap()))
        .collect();
    let root = &infos[&Artifact::Root];
    Manifest {
        schema: 1,
        name: "bedplate".into(),
        version: version.into(),
        kernel: "6.12.117+deb13-amd64".into(),
        xen: "4.20.2+7-g1badcf5035-0+deb13u1".into(),
        root: slots::RootIdentity {
            version: version.into(),
            image_name: format!("{}.root.img", root.sha256),
            image_size: root.size,
            image_sha256: root.sha256.clone(),
            verity: slots::Verity {
                data_blocks: 8,
                salt: "00".repeat(32),
                root_hash: "ab".repeat(32),
            },
        },
        artifacts: infos,
        epoch: EPOCH,
    }
}

impl Fixture {
    pub fn new() -> Fixture {
        Fixture::with(1, stamp(1))
    }

    pub fn with(seed: u64, stamp: Stamp) -> Fixture {
        let dir = TempDir::new().unwrap();
        let keys = dir.path().join("keys");
        generate(&keys, KeyDates::ten_years_from(EPOCH)).unwrap();
        let artifacts = write_artifacts(&dir.path().join("build"), seed);
        let manifest = manifest_of(&artifacts, "0.1.0");
        let repository = dir.path().join("repository");
        let published = publish(&keys, &repository, &manifest, &artifacts, stamp).unwrap();
        // Hard links: what a test does to the repository must not reach the next publishing.
        fs::remove_dir_all(dir.path().join("build")).unwrap();
        let root = fs::read(trusted_root_path(&keys)).unwrap();
        Fixture {
            dir,
            keys,
            repository,
            root,
            manifest,
            published,
        }
    }

    /// A second release by the same keys, in a folder of its own.
    pub fn publish_another(&self, name: &str, seed: u64, stamp: Stamp) -> PathBuf {
        let artifacts = write_artifacts(&self.dir.path().join(format!("{name}-build")), seed);
        let repository = self.dir.path().join(name);
        publish(
            &self.keys,
            &repository,
            &manifest_of(&artifacts, "0.2.0"),
            &artifacts,
            stamp,
        )
        .unwrap();
        repository
    }

    pub fn open(&self) -> Result<OpenRelease, Error> {
        open(&self.root, &self.repository)
    }

    pub fn open_and_verify(&self) -> Result<OpenRelease, Error> {
        let release = self.open()?;
        release.verify_all(|_, _, _| {})?;
        Ok(release)
    }

    pub fn target(&self, artifact: Artifact) -> PathBuf {
        self.repository
            .join("targets")
            .join(&self.published.artifacts[&artifact])
    }

    pub fn metadata(&self, name: &str) -> PathBuf {
        self.repository.join("metadata").join(name)
    }
}

pub fn open(root: &[u8], repository: &Path) -> Result<OpenRelease, Error> {
    Repository::open(
        root,
        &Source::Directory(repository.to_owned()),
        &Policy::medium(),
    )
}

/// Runs `check` with the byte at `position` changed by `mask`, and puts the byte back.
pub fn with_flipped(path: &Path, position: usize, mask: u8, check: impl FnOnce()) {
    let good = fs::read(path).unwrap();
    let mut bad = good.clone();
    bad[position] ^= mask;
    fs::write(path, &bad).unwrap();
    check();
    fs::write(path, &good).unwrap();
}
