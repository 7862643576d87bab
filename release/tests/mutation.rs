//! Hotfixes with damage: the archive, the signed metadata and what they say, and the segments of deltas. Nothing that nobody signed
//! comes out, nothing panics, hangs or takes much memory.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

#[path = "../../hcl-checker/tests/mutation/allocations.rs"]
mod allocations;
mod common;
#[path = "../../hcl-checker/tests/mutation/fuzz.rs"]
#[allow(dead_code)]
mod fuzz;

use common::{Fixture, content, info, manifest_of, stamp, unpacked, write_artifacts};
use fuzz::{Measure, Parser, run};
use release::delta::{Base, apply, make_delta};
use release::{
    Artifact, DeltaFile, DeltaInfo, Error, HotfixInfo, Manifest, OpenRelease, Policy, hash_file,
    pack_hotfix, publish_hotfix, unpack_hotfix,
};
use sha2::{Digest, Sha256};
use slots::block::{Access, FileDevice, MemoryDevice};
use std::fs;
use std::path::Path;
use std::rc::Rc;
use tempfile::TempDir;

/// A mistake in JSON nests and grows by what is repeated in it.
const FACTOR: usize = 256;
/// The buffers of what copies and decodes.
const BASE: usize = 8 << 20;
/// The whole hotfix of this test, with room.
const LONGEST: usize = 512 * 1024;

/// A signed hotfix, and what it was before it was packed.
struct Hotfix {
    fixture: Fixture,
    packed: Vec<u8>,
    /// By name in the archive, in its order.
    files: Vec<(String, Vec<u8>)>,
    /// The delta of the kernel, what it is made from, and what comes out.
    delta: Vec<u8>,
    old: Vec<u8>,
    new: Vec<u8>,
}

impl Hotfix {
    fn new() -> Hotfix {
        let fixture = Fixture::new();
        let dir = fixture.dir.path();
        let artifacts = write_artifacts(&dir.join("new"), 2);
        // Two kernels that have much in common.
        let old = content(Artifact::Kernel, 1).repeat(20);
        let mut new = old.clone();
        new[30_000..30_100].copy_from_slice(&content(Artifact::Kernel, 2)[..100]);
        fs::write(dir.join("old"), &old).unwrap();
        fs::write(&artifacts[&Artifact::Kernel], &new).unwrap();
        let device = |path: &Path| Box::new(FileDevice::open(path, Access::ReadOnly).unwrap());
        let path = dir.join("delta");
        make_delta(
            &mut Base::new().with(device(&dir.join("old"))),
            &mut &new[..],
            new.len() as u64,
            &mut fs::File::create(&path).unwrap(),
        )
        .unwrap();
        let delta = fs::read(&path).unwrap();
        let repository = dir.join("hotfix");
        publish_hotfix(
            &fixture.keys,
            &repository,
            &manifest_of(&artifacts, "0.2.0"),
            &artifacts,
            &info(),
            &[DeltaFile {
                info: delta_info(&old),
                file: hash_file(&path).unwrap(),
                path,
            }],
            stamp(2),
        )
        .unwrap();
        let mut packed = Vec::new();
        pack_hotfix(&repository, &mut packed).unwrap();
        let files = unpacked(&packed);
        Hotfix {
            fixture,
            packed,
            files,
            delta,
            old,
            new,
        }
    }

    fn open(&self, bytes: &[u8]) -> Result<(TempDir, OpenRelease), Error> {
        let dir = TempDir::new().unwrap();
        let root = &self.fixture.root;
        let release = unpack_hotfix(&mut &bytes[..], dir.path(), root, &Policy::medium())?;
        Ok((dir, release))
    }

    /// What opens is what was signed: all of it, but for what is missing.
    fn hold(&self, bytes: &[u8]) {
        let Ok((_dir, release)) = self.open(bytes) else {
            return;
        };
        assert_eq!(release.manifest.version, "0.2.0");
        assert_eq!(release.hotfix, Some(info()));
        for artifact in Artifact::ALL {
            match release.read(artifact, 1 << 20) {
                Ok(read) => {
                    let found = hex::encode(Sha256::digest(read));
                    assert_eq!(found, release.info(artifact).sha256);
                }
                Err(Error::TargetMissing { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The archive with this in the place of the file `at`.
    fn with(&self, at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (place, (name, content)) in self.files.iter().enumerate() {
            let content = if place == at { bytes } else { content };
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, content).unwrap();
        }
        archive.into_inner().unwrap()
    }
}

fn delta_info(old: &[u8]) -> DeltaInfo {
    DeltaInfo {
        artifact: Artifact::Kernel,
        base_sha256: hex::encode(Sha256::digest(old)),
        also: vec![],
    }
}

fn parsers() -> Vec<Parser> {
    let hotfix = Rc::new(Hotfix::new());
    let (_dir, release) = hotfix.open(&hotfix.packed).unwrap();
    release.verify_all(|_, _, _| {}).unwrap();
    let own = hotfix.clone();
    let mut parsers = vec![Parser {
        name: "archive",
        seeds: vec![hotfix.packed.clone()],
        read: Box::new(move |input| own.hold(input)),
    }];
    // Behind headers that are right, so that it is the content that is read.
    for (at, (path, content)) in hotfix.files.iter().enumerate() {
        let name = [
            "root.json",
            "snapshot",
            "targets.json",
            "timestamp",
            "release.json",
        ]
        .into_iter()
        .find(|name| path.contains(name) && !path.ends_with(".img"));
        let Some(name) = name else {
            continue;
        };
        let own = hotfix.clone();
        parsers.push(Parser {
            name,
            seeds: vec![content.clone()],
            read: Box::new(move |input| own.hold(&own.with(at, input))),
        });
    }
    assert!(parsers.len() >= 6, "metadata and manifest are there");
    // What is read behind a good signature.
    let json = |value: serde_json::Value| serde_json::to_vec_pretty(&value).unwrap();
    parsers.push(Parser {
        name: "manifest",
        seeds: vec![json(serde_json::to_value(&release.manifest).unwrap())],
        read: Box::new(|input| {
            let Ok(manifest) = serde_json::from_slice::<Manifest>(input) else {
                return;
            };
            if manifest.check().is_ok() {
                assert!(!manifest.version.chars().any(char::is_control));
            }
        }),
    });
    parsers.push(Parser {
        name: "info",
        seeds: vec![json(serde_json::to_value(info()).unwrap())],
        read: Box::new(|input| {
            let Ok(info) = serde_json::from_slice::<HotfixInfo>(input) else {
                return;
            };
            let steers = |text: &str| text.chars().any(|c| c.is_control() && c != '\n');
            if info.check().is_ok() {
                assert!(!steers(&info.notes) && !info.cves.iter().any(|cve| steers(cve)));
            }
        }),
    });
    parsers.push(Parser {
        name: "delta",
        seeds: vec![hotfix.delta.clone()],
        read: Box::new(move |input| {
            let mut base = Base::new().with(Box::new(MemoryDevice::from_bytes(&hotfix.old)));
            let mut made = 0;
            let mut hash = Sha256::new();
            let done = apply(&mut &input[..], &mut base, &mut |piece| {
                made += piece.len() as u64;
                hash.update(piece);
                Ok(())
            });
            let promised = input
                .get(16..24)
                .map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
            assert!(made <= promised, "{made} of {promised} bytes");
            if done.is_ok() {
                // Nothing of a segment can be another one without its hash being so.
                assert!(made == promised && promised <= hotfix.new.len() as u64);
                let whole = promised == hotfix.new.len() as u64;
                assert!(!whole || hash.finalize() == Sha256::digest(&hotfix.new));
            }
        }),
    });
    parsers
}

#[test]
fn damaged_hotfixes_are_refused() {
    let measure = Measure {
        factor: FACTOR,
        base: BASE,
        longest: LONGEST,
    };
    run(parsers(), &measure);
}
