//! Releases and hotfixes, as small as they can be and otherwise real.

use release::delta::{Base, make_delta};
use release::{
    Artifact, DELTA_ARTIFACTS, DeltaFile, DeltaInfo, Guidance, HotfixInfo, HotfixKind, KeyDates,
    Manifest, Stamp, generate, hash_file, pack_hotfix, publish_hotfix, trusted_root_path,
};
use sha2::{Digest, Sha256};
use slots::block::{Access, FileDevice};
use slots::verity::{BLOCK, TreeBuilder};
use slots::{RootIdentity, Verity};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

pub const EPOCH: u64 = 1_795_305_600;
const FAR: u64 = EPOCH + 100 * 365 * 86_400;
/// Blocks of a root image: more than one buffer of the writer, so that there is something to cut between.
const BLOCKS: u64 = 700;

/// Bytes that cannot be compressed; the same for the same seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// A release in a folder.
pub struct Release {
    pub manifest: Manifest,
    pub dir: PathBuf,
}

impl Release {
    pub fn path(&self, artifact: Artifact) -> PathBuf {
        self.dir.join(artifact.target_name())
    }

    pub fn id(&self) -> &str {
        self.manifest.root.id()
    }

    fn data_size(&self) -> u64 {
        release::data_size(&self.manifest)
    }
}

/// Data and tree of a root image, and what names it.
fn root_image(change: u64, version: &str) -> (Vec<u8>, RootIdentity) {
    let mut data = noise(1, (BLOCKS * BLOCK) as usize);
    // What a hotfix changes: a little in the middle.
    data[500_000..500_100].copy_from_slice(&noise(change, 100));
    let salt = hex::encode(Sha256::digest(&data));
    let mut verity = Verity {
        data_blocks: BLOCKS,
        salt: salt.clone(),
        root_hash: String::new(),
    };
    let mut tree = TreeBuilder::new(&verity).unwrap();
    tree.update(&data);
    let tree = tree.finish();
    let top = Sha256::new()
        .chain_update(hex::decode(salt).unwrap())
        .chain_update(&tree[..BLOCK as usize]);
    verity.root_hash = hex::encode(top.finalize());
    data.extend(tree);
    let sha256 = hex::encode(Sha256::digest(&data));
    let identity = RootIdentity {
        version: version.to_owned(),
        image_name: format!("{sha256}.root.img"),
        image_size: data.len() as u64,
        image_sha256: sha256,
        verity,
    };
    (data, identity)
}

/// A release whose kernel changes with every `change`, and whose microcode never does.
pub fn release(dir: &Path, version: &str, change: u64) -> Release {
    fs::create_dir_all(dir).unwrap();
    let (image, root) = root_image(change, version);
    let kernel = [noise(2, 40_000), noise(change + 100, 500)].concat();
    let initrd = [change.to_string().into_bytes(), noise(3, 30_000)].concat();
    let microcode = noise(4, 20_000);
    let joined = [
        noise(5, 5000),
        kernel.clone(),
        microcode.clone(),
        initrd.clone(),
    ]
    .concat();
    let mut infos = BTreeMap::new();
    for artifact in Artifact::ALL {
        let bytes = match artifact {
            Artifact::Root => image.clone(),
            Artifact::Kernel => kernel.clone(),
            Artifact::Initrd => initrd.clone(),
            Artifact::Microcode => microcode.clone(),
            Artifact::XenEfi => joined.clone(),
            other => noise(10 + other as u64, 3000),
        };
        let path = dir.join(artifact.target_name());
        fs::write(&path, bytes).unwrap();
        infos.insert(artifact, hash_file(&path).unwrap());
    }
    let manifest = Manifest {
        schema: 1,
        name: "bedplate".into(),
        version: version.into(),
        kernel: "6.12.117+deb13-amd64".into(),
        xen: "4.20.2".into(),
        root,
        artifacts: infos,
        epoch: EPOCH + change,
    };
    manifest.check().unwrap();
    Release {
        manifest,
        dir: dir.to_owned(),
    }
}

pub fn keys(dir: &Path) -> PathBuf {
    generate(dir, KeyDates::ten_years_from(EPOCH)).unwrap();
    dir.to_owned()
}

pub fn trusted_root(keys: &Path) -> Vec<u8> {
    fs::read(trusted_root_path(keys)).unwrap()
}

pub fn info() -> HotfixInfo {
    HotfixInfo {
        kind: HotfixKind::Security,
        notes: "OpenSSL".into(),
        cves: vec!["CVE-2026-1".into()],
        guidance: Guidance::RestartHost,
    }
}

pub fn stamp(version: u64) -> Stamp {
    Stamp {
        version: NonZeroU64::new(version).unwrap(),
        targets_expires: FAR,
        snapshot_expires: FAR,
        timestamp_expires: FAR,
    }
}

fn delta(from: &Release, to: &Release, artifact: Artifact, work: &Path) -> DeltaFile {
    let open = |path: &Path| Box::new(FileDevice::open(path, Access::ReadOnly).unwrap());
    let size = |release: &Release| match artifact {
        Artifact::Root => release.data_size(),
        other => release.manifest.artifacts[&other].size,
    };
    let info = DeltaInfo {
        artifact,
        base_sha256: from.manifest.artifacts[&artifact].sha256.clone(),
        also: match artifact {
            Artifact::XenEfi => vec![Artifact::Kernel, Artifact::Initrd, Artifact::Microcode],
            _ => vec![],
        },
    };
    let mut base = Base::new().with_len(open(&from.path(artifact)), size(from));
    for also in &info.also {
        base = base.with(open(&to.path(*also)));
    }
    let path = work.join(info.target_name());
    let target = File::open(to.path(artifact)).unwrap();
    make_delta(
        &mut base,
        &mut target.take(size(to)),
        size(to),
        &mut File::create(&path).unwrap(),
    )
    .unwrap();
    DeltaFile {
        info,
        file: hash_file(&path).unwrap(),
        path,
    }
}

/// The repository of a hotfix in `dir`.
pub fn repository(
    keys: &Path,
    from: Option<&Release>,
    to: &Release,
    full: bool,
    stamp: Stamp,
    dir: &Path,
) -> PathBuf {
    fs::create_dir_all(dir).unwrap();
    let mut deltas = Vec::new();
    if let Some(from) = from {
        for artifact in DELTA_ARTIFACTS {
            if from.manifest.artifacts[&artifact] != to.manifest.artifacts[&artifact] {
                deltas.push(delta(from, to, artifact, dir));
            }
        }
    }
    let artifacts = Artifact::ALL
        .into_iter()
        .filter(|artifact| full || !DELTA_ARTIFACTS.contains(artifact))
        .map(|artifact| (artifact, to.path(artifact)))
        .collect();
    let out = dir.join("repository");
    publish_hotfix(
        keys,
        &out,
        &to.manifest,
        &artifacts,
        &info(),
        &deltas,
        stamp,
    )
    .unwrap();
    out
}

/// A hotfix file of a repository, beside it.
pub fn pack(repository: &Path) -> PathBuf {
    let path = repository.with_extension("hotfix");
    pack_hotfix(repository, &mut File::create(&path).unwrap()).unwrap();
    path
}
