//! Hotfixes and the folder of an update server, from small releases.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

use image_build::hotfix::{self, Order, ReleaseFiles};
use image_build::paths::Paths;
use image_build::repository;
use release::delta::{Base, DeltaStream};
use release::{
    Artifact, Guidance, HotfixInfo, HotfixKind, KeyDates, MANIFEST, Manifest, Policy, Repository,
    Source, generate, hash_file, unpack_hotfix,
};
use slots::block::{Access, FileDevice};
use slots::verity::{BLOCK, TreeBuilder};
use slots::{RootIdentity, Verity};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const EPOCH: u64 = 1_795_305_600;
const BLOCKS: u64 = 200;

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| step()).collect()
}

/// A release as `image-build root` leaves it; `change` is what differs.
fn release(dir: &Path, version: &str, change: u8) {
    fs::create_dir_all(dir).unwrap();
    let mut data = noise(1, (BLOCKS * BLOCK) as usize);
    data[300_000] ^= change;
    let verity = Verity {
        data_blocks: BLOCKS,
        salt: format!("{change:02x}"),
        root_hash: format!("{change:02x}").repeat(32),
    };
    let mut tree = TreeBuilder::new(&verity).unwrap();
    tree.update(&data);
    data.extend(tree.finish());
    let mut artifacts = BTreeMap::new();
    for artifact in Artifact::ALL {
        let bytes = match artifact {
            Artifact::Root => data.clone(),
            Artifact::XenEfi => [vec![change], noise(3, 9000)].concat(),
            other => noise(10 + other as u64, 2000),
        };
        let path = dir.join(artifact.target_name());
        fs::write(&path, bytes).unwrap();
        artifacts.insert(artifact, hash_file(&path).unwrap());
    }
    let root = &artifacts[&Artifact::Root];
    let manifest = Manifest {
        schema: 1,
        name: "bedplate".into(),
        version: version.into(),
        kernel: "6.12".into(),
        xen: "4.20".into(),
        root: RootIdentity {
            version: version.into(),
            image_name: format!("{}.root.img", root.sha256),
            image_size: root.size,
            image_sha256: root.sha256.clone(),
            verity,
        },
        artifacts,
        epoch: EPOCH + u64::from(change),
    };
    fs::write(dir.join(MANIFEST), serde_json::to_vec(&manifest).unwrap()).unwrap();
}

struct Bench {
    dir: TempDir,
    paths: Paths,
}

impl Bench {
    fn new() -> Bench {
        let dir = TempDir::new().unwrap();
        let paths = Paths::at(dir.path());
        generate(&paths.keys(), KeyDates::ten_years_from(EPOCH)).unwrap();
        for (version, change) in [("1.0.0", 1), ("1.0.1", 2), ("1.0.2", 3)] {
            release(&dir.path().join(version), version, change);
        }
        Bench { dir, paths }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn order(&self, from: &[&str], to: &str, full_image: bool) -> Order {
        Order {
            from: from.iter().map(|name| self.at(name)).collect(),
            to: self.at(to),
            out: self.at(&format!("{to}.hotfix")),
            keys: self.paths.keys(),
            info: HotfixInfo {
                kind: HotfixKind::Feature,
                notes: String::new(),
                cves: vec![],
                guidance: Guidance::RestartHost,
            },
            full_image,
        }
    }

    fn root(&self) -> Vec<u8> {
        fs::read(release::trusted_root_path(&self.paths.keys())).unwrap()
    }

    fn publish(&self, hotfixes: &[&str], now: u64) -> anyhow::Result<String> {
        repository::publish(
            &self.paths,
            &repository::Order {
                hotfixes: hotfixes.iter().map(|name| self.at(name)).collect(),
                out: self.at("server"),
                keys: self.paths.keys(),
                valid_days: 36_500,
                now,
            },
        )
    }
}

#[test]
fn every_stated_base_has_deltas_that_give_the_new_image() {
    let bench = Bench::new();
    let order = bench.order(&["1.0.0", "1.0.1"], "1.0.2", false);
    let bytes = hotfix::make(&bench.paths, &order).unwrap();
    assert_eq!(bytes, fs::metadata(&order.out).unwrap().len());
    let image = fs::read(bench.at("1.0.2/root.img")).unwrap();
    assert!(bytes < image.len() as u64 / 10, "{bytes}");
    let dir = TempDir::new().unwrap();
    let mut file = fs::File::open(&order.out).unwrap();
    let release = unpack_hotfix(&mut file, dir.path(), &bench.root(), &Policy::medium()).unwrap();
    for from in ["1.0.0", "1.0.1"] {
        let files = ReleaseFiles::open(&bench.at(from)).unwrap();
        let base = files.path(Artifact::Root);
        let delta = release
            .delta(Artifact::Root, &hash_file(&base).unwrap().sha256)
            .unwrap();
        let device = FileDevice::open(&base, Access::ReadOnly).unwrap();
        let mut stream = DeltaStream::with_tree(
            Box::new(release.delta_reader(delta).unwrap()),
            Base::new().with_len(Box::new(device), BLOCKS * BLOCK),
            TreeBuilder::new(&release.manifest.root.verity).unwrap(),
        );
        let mut made = Vec::new();
        stream.read_to_end(&mut made).unwrap();
        assert!(made == image, "from {from}");
    }
    // What did not change has no delta, and is not in the file.
    assert!(
        release
            .deltas
            .iter()
            .all(|delta| delta.info.artifact != Artifact::Kernel)
    );
    for artifact in [Artifact::Kernel, Artifact::Root, Artifact::GrubEfi] {
        assert!(!release.path(artifact).exists(), "{artifact:?}");
    }
}

#[test]
fn the_full_image_is_in_it_unless_told_otherwise() {
    let bench = Bench::new();
    let order = bench.order(&[], "1.0.1", true);
    hotfix::make(&bench.paths, &order).unwrap();
    let dir = TempDir::new().unwrap();
    let mut file = fs::File::open(&order.out).unwrap();
    unpack_hotfix(&mut file, dir.path(), &bench.root(), &Policy::medium())
        .unwrap()
        .verify_all(|_, _, _| {})
        .unwrap();
    let refused = |from: &[&str], to, full| {
        let error = hotfix::make(&bench.paths, &bench.order(from, to, full)).unwrap_err();
        format!("{error:#}")
    };
    assert!(refused(&[], "1.0.1", false).contains("has to hold the full image"));
    assert!(refused(&["1.0.1"], "1.0.0", true).contains("rollback"));
    assert!(refused(&["1.0.1"], "1.0.1", true).contains("is made from"));
    assert!(refused(&["nothing"], "1.0.1", true).contains("is no release"));
}

#[test]
fn a_server_gives_the_newest_and_never_goes_back() {
    let bench = Bench::new();
    assert!(bench.publish(&[], EPOCH).is_err(), "nothing to give yet");
    for (from, to) in [("1.0.0", "1.0.1"), ("1.0.1", "1.0.2")] {
        hotfix::make(&bench.paths, &bench.order(&[from], to, true)).unwrap();
    }
    let now = EPOCH + 1000;
    let seen = TempDir::new().unwrap();
    let client = || {
        let release = Repository::open(
            &bench.root(),
            &Source::Directory(bench.at("server")),
            &Policy::network(seen.path().to_owned()),
        )
        .unwrap();
        release.verify_all(|_, _, _| {}).unwrap();
        (release.manifest.version, release.versions.timestamp)
    };
    assert_eq!(bench.publish(&["1.0.1.hotfix"], now).unwrap(), "1.0.1");
    assert_eq!(client(), ("1.0.1".into(), now));
    assert_eq!(bench.publish(&["1.0.2.hotfix"], now).unwrap(), "1.0.2");
    assert_eq!(client(), ("1.0.2".into(), now + 1));
    // The same again, an older one again, and the date alone.
    assert_eq!(bench.publish(&["1.0.2.hotfix"], now).unwrap(), "1.0.2");
    assert_eq!(bench.publish(&["1.0.1.hotfix"], now).unwrap(), "1.0.2");
    assert_eq!(bench.publish(&[], now + 9000).unwrap(), "1.0.2");
    assert_eq!(client(), ("1.0.2".into(), now + 9000));
    assert!(bench.publish(&["1.0.0/root.img"], now).is_err());
}

#[test]
fn a_maker_states_the_guidance_and_none_that_no_host_can_keep() {
    assert_eq!(hotfix::guidance("restartHost"), Ok(Guidance::RestartHost));
    for other in ["none", "restartXAPI", "restartHVM", "restarthost", ""] {
        let problem = hotfix::guidance(other).unwrap_err();
        assert!(problem.contains("restartHost"), "{other}: {problem}");
    }
    // It is signed with the hotfix, and is what a host reads.
    let bench = Bench::new();
    let order = bench.order(&["1.0.0"], "1.0.1", false);
    hotfix::make(&bench.paths, &order).unwrap();
    let packed = fs::read(&order.out).unwrap();
    let signed = b"\"guidance\": \"restartHost\"";
    assert!(packed.windows(signed.len()).any(|part| part == signed));
}
