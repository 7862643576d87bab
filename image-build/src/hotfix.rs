//! Hotfixes: the next release as one signed file, with deltas from the releases that it applies to.

use crate::paths::Paths;
use crate::tool::fresh_dir;
use anyhow::{Context, Result, bail, ensure};
use release::delta::{Base, make_delta};
use release::{
    Artifact, BOOT_FILES, DELTA_ARTIFACTS, DeltaFile, DeltaInfo, Guidance, HotfixInfo, MANIFEST,
    Manifest, Stamp, data_size, hash_file, pack_hotfix, publish_hotfix,
};
use slots::block::{Access, FileDevice};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Read};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

/// Days after which the metadata of a hotfix file is told to be old. It still applies: expiry is enforced for what comes over
/// the network only.
const VALID_DAYS: u64 = 365;

/// The guidance of that name, as `--guidance` takes it.
///
/// # Errors
/// When no host could keep it: what a hotfix brings is a root image, and a slot takes over with a start of the host alone.
pub fn guidance(name: &str) -> Result<Guidance, String> {
    Guidance::from_name(name).ok_or_else(|| {
        format!(
            "a hotfix brings a whole root image, which runs from the next start of the host on, so {} is all that can be asked for",
            Guidance::RestartHost.name()
        )
    })
}

/// What to make.
#[derive(Debug)]
pub struct Order {
    /// Releases that the hotfix applies to: folders as `image-build root` leaves them, or repositories.
    pub from: Vec<PathBuf>,
    /// The release that it brings.
    pub to: PathBuf,
    /// The file to write.
    pub out: PathBuf,
    /// Folder of the signing keys.
    pub keys: PathBuf,
    /// What to say about it.
    pub info: HotfixInfo,
    /// Whether whole files are in it, for hosts that run another release.
    pub full_image: bool,
}

/// The files of a release.
#[derive(Debug)]
pub struct ReleaseFiles {
    /// Its manifest. Nothing is verified by reading it: these are the maker's own files.
    pub manifest: Manifest,
    dir: PathBuf,
    hashed: bool,
}

impl ReleaseFiles {
    /// Reads the manifest in `dir`.
    ///
    /// # Errors
    /// When there is none, or several.
    pub fn open(dir: &Path) -> Result<ReleaseFiles> {
        let plain = dir.join(MANIFEST);
        let (path, dir, hashed) = if plain.is_file() {
            (plain, dir.to_owned(), false)
        } else {
            let targets = dir.join(release::TARGETS_DIR);
            let entries = std::fs::read_dir(&targets).with_context(|| {
                format!(
                    "{} is no release: it has neither {MANIFEST} nor a folder {}",
                    dir.display(),
                    release::TARGETS_DIR
                )
            })?;
            let suffix = format!(".{MANIFEST}");
            let mut found = Vec::new();
            for entry in entries {
                let path = entry?.path();
                if path.to_string_lossy().ends_with(&suffix) {
                    found.push(path);
                }
            }
            ensure!(
                found.len() == 1,
                "{} holds {} releases and not one",
                dir.display(),
                found.len()
            );
            (found.remove(0), targets, true)
        };
        let text =
            std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let manifest: Manifest = serde_json::from_slice(&text)
            .with_context(|| format!("{} is not a manifest of this version", path.display()))?;
        manifest
            .check()
            .with_context(|| format!("{}", path.display()))?;
        Ok(ReleaseFiles {
            manifest,
            dir,
            hashed,
        })
    }

    /// The file of an artifact.
    pub fn path(&self, artifact: Artifact) -> PathBuf {
        let name = artifact.target_name();
        match self.hashed {
            true => self.dir.join(format!(
                "{}.{name}",
                self.manifest.artifacts[&artifact].sha256
            )),
            false => self.dir.join(name),
        }
    }

    /// What a delta is made from or to: the file, or of the root image its data.
    fn part(&self, artifact: Artifact) -> Result<(PathBuf, u64)> {
        let size = match artifact {
            Artifact::Root => data_size(&self.manifest),
            other => self.manifest.artifacts[&other].size,
        };
        Ok((self.path(artifact), size))
    }
}

/// Makes a hotfix and returns its bytes.
///
/// # Errors
/// When a release cannot be read, the releases do not follow each other, or something cannot be written.
pub fn make(paths: &Paths, order: &Order) -> Result<u64> {
    let to = ReleaseFiles::open(&order.to)?;
    if order.from.is_empty() && !order.full_image {
        bail!("a hotfix without a base has to hold the full image: leave out --no-full-image");
    }
    let work = fresh_dir(&paths.target.join("hotfix"))?;
    let mut deltas: Vec<DeltaFile> = Vec::new();
    let mut changed = BTreeSet::new();
    for dir in &order.from {
        let from = ReleaseFiles::open(dir)?;
        changed.extend(Artifact::ALL.into_iter().filter(|artifact| {
            from.manifest.artifacts.get(artifact) != to.manifest.artifacts.get(artifact)
        }));
        check_order(&from.manifest, &to.manifest)?;
        for artifact in DELTA_ARTIFACTS {
            let base = &from.manifest.artifacts[&artifact].sha256;
            let known = |delta: &DeltaFile| {
                delta.info.artifact == artifact && delta.info.base_sha256 == *base
            };
            if *base != to.manifest.artifacts[&artifact].sha256 && !deltas.iter().any(known) {
                deltas.push(delta(&from, &to, artifact, &work)?);
            }
        }
    }
    let full = |artifact: &Artifact| {
        // Loaders, signatures and lists of packages are small, and no host has them as files to make deltas from. A signature
        // that is the same in both releases is there for a host whose own copy is damaged.
        let boot_file = BOOT_FILES.iter().any(|(known, _)| known == artifact);
        order.full_image
            || ((changed.contains(artifact) || boot_file) && !DELTA_ARTIFACTS.contains(artifact))
    };
    let artifacts: BTreeMap<Artifact, PathBuf> = Artifact::ALL
        .into_iter()
        .filter(full)
        .map(|artifact| (artifact, to.path(artifact)))
        .collect();
    let expires = to.manifest.epoch + VALID_DAYS * 86_400;
    let stamp = Stamp {
        // As on the medium: later releases have later dates, and so higher versions.
        version: NonZeroU64::new(to.manifest.epoch).unwrap_or(NonZeroU64::MIN),
        targets_expires: expires,
        snapshot_expires: expires,
        timestamp_expires: expires,
    };
    let repository = work.join("repository");
    publish_hotfix(
        &order.keys,
        &repository,
        &to.manifest,
        &artifacts,
        &order.info,
        &deltas,
        stamp,
    )?;
    // Beside its place, so that there never is half a hotfix under its name.
    let new = order.out.with_extension("new");
    let file =
        File::create(&new).with_context(|| format!("{} cannot be written", new.display()))?;
    let mut out = BufWriter::new(file);
    pack_hotfix(&repository, &mut out)?;
    let file = out
        .into_inner()
        .with_context(|| format!("{} cannot be written", new.display()))?;
    file.sync_all()?;
    std::fs::rename(&new, &order.out)
        .with_context(|| format!("{} cannot be written", order.out.display()))?;
    Ok(file.metadata()?.len())
}

fn check_order(from: &Manifest, to: &Manifest) -> Result<()> {
    ensure!(
        from.root != to.root,
        "the hotfix would bring {}, which is what it is made from",
        to.version
    );
    ensure!(
        from.version != to.version,
        "both releases call themselves {}: build the new one with `image-build root --version`",
        to.version
    );
    ensure!(
        from.epoch <= to.epoch,
        "{} is dated before {}: hosts would refuse it as a rollback",
        to.version,
        from.version
    );
    Ok(())
}

fn delta(
    from: &ReleaseFiles,
    to: &ReleaseFiles,
    artifact: Artifact,
    work: &Path,
) -> Result<DeltaFile> {
    let info = DeltaInfo {
        artifact,
        base_sha256: from.manifest.artifacts[&artifact].sha256.clone(),
        // The joined file holds these whole.
        also: match artifact {
            Artifact::XenEfi => vec![Artifact::Kernel, Artifact::Initrd, Artifact::Microcode],
            _ => Vec::new(),
        },
    };
    let open = |path: &Path| {
        FileDevice::open(path, Access::ReadOnly)
            .with_context(|| format!("{} cannot be read", path.display()))
    };
    let (path, size) = from.part(artifact)?;
    let mut base = Base::new().with_len(Box::new(open(&path)?), size);
    for also in &info.also {
        base = base.with(Box::new(open(&to.path(*also))?));
    }
    let (path, size) = to.part(artifact)?;
    let target = File::open(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let out = work.join(info.target_name());
    let mut file = BufWriter::new(
        File::create(&out).with_context(|| format!("{} cannot be written", out.display()))?,
    );
    let made = make_delta(&mut base, &mut target.take(size), size, &mut file)?;
    file.into_inner()
        .with_context(|| format!("{} cannot be written", out.display()))?;
    eprintln!(
        "  {} {} -> {}: {} bytes for {}",
        artifact.target_name(),
        from.manifest.version,
        to.manifest.version,
        made.delta_size,
        made.target_size
    );
    Ok(DeltaFile {
        info,
        file: hash_file(&out)?,
        path: out,
    })
}
