//! The repository of an update server: a static folder that any web server or object store serves.

use crate::paths::Paths;
use crate::tool::fresh_dir;
use anyhow::{Context, Result, bail};
use release::{METADATA_DIR, OpenRelease, Policy, TARGETS_DIR, refresh_timestamp, unpack_hotfix};
use std::fs;
use std::io::BufReader;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

/// What to publish.
#[derive(Debug)]
pub struct Order {
    /// Hotfix files to add, in any order. None: only the date is signed anew.
    pub hotfixes: Vec<PathBuf>,
    /// The folder.
    pub out: PathBuf,
    /// Folder of the signing keys.
    pub keys: PathBuf,
    /// Days for which clients believe that nothing newer is held back from them.
    pub valid_days: u64,
    /// Seconds since 1970.
    pub now: u64,
}

/// Adds hotfixes to the folder and signs its date anew. Returns the version of the release that clients are given.
///
/// Files are added and never changed or removed, but for `metadata/timestamp.json`, which is replaced at the very end and
/// says which release is the newest: a client sees the old state or the new one.
///
/// # Errors
/// When a file is no hotfix or not signed by these keys, or something cannot be written.
pub fn publish(paths: &Paths, order: &Order) -> Result<String> {
    let trusted_root_path = release::trusted_root_path(&order.keys);
    let trusted_root = fs::read(&trusted_root_path)
        .with_context(|| format!("{} cannot be read", trusted_root_path.display()))?;
    let mut releases: Vec<(OpenRelease, PathBuf)> = Vec::new();
    for (number, path) in order.hotfixes.iter().enumerate() {
        let dir = fresh_dir(&paths.target.join(format!("repository-{number}")))?;
        let file =
            fs::File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let release = unpack_hotfix(
            &mut BufReader::new(file),
            &dir,
            &trusted_root,
            &Policy::medium(),
        )
        .with_context(|| format!("{}", path.display()))?;
        releases.push((release, dir));
    }
    releases.sort_by_key(|(release, _)| release.versions.targets);
    for folder in [TARGETS_DIR, METADATA_DIR] {
        let to = order.out.join(folder);
        fs::create_dir_all(&to).with_context(|| format!("{} cannot be made", to.display()))?;
    }
    let open = || {
        release::Repository::open(
            &trusted_root,
            &release::Source::Directory(order.out.clone()),
            // The date is what is about to be signed anew.
            &Policy {
                extra_files: release::ExtraFiles::Ignored,
                ..Policy::medium()
            },
        )
    };
    let timestamp = order.out.join(METADATA_DIR).join("timestamp.json");
    let published = match timestamp.exists() {
        true => Some(open()?.versions),
        false => None,
    };
    for (release, dir) in &releases {
        for folder in [TARGETS_DIR, METADATA_DIR] {
            add(&dir.join(folder), &order.out.join(folder))?;
        }
        // An older one may be added for its deltas; what clients are given never goes back.
        if published.is_none_or(|seen| release.versions.snapshot >= seen.snapshot) {
            replace(&dir.join(METADATA_DIR).join("timestamp.json"), &timestamp)?;
        }
    }
    if !timestamp.exists() {
        bail!(
            "{} holds no release yet: name a hotfix file",
            order.out.display()
        );
    }
    // Higher than whatever was there, also where two runs fall into one second.
    let before = open()?
        .versions
        .timestamp
        .max(published.map_or(0, |seen| seen.timestamp));
    let version = NonZeroU64::new(order.now.max(before.saturating_add(1)))
        .context("the clock stands before 1970")?;
    let expires = order.now.saturating_add(order.valid_days * 86_400);
    refresh_timestamp(&order.keys, &order.out, version, expires)?;
    Ok(open()?.manifest.version)
}

/// Copies what is missing. What is there must be the same.
fn add(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let (path, name) = {
            let entry = entry?;
            (entry.path(), entry.file_name())
        };
        if name == "timestamp.json" {
            continue;
        }
        let target = to.join(&name);
        if target.exists() {
            let same = release::hash_file(&path)? == release::hash_file(&target)?;
            if !same {
                bail!(
                    "{} is there with other content: two hotfixes bring one release differently; publish one of them",
                    target.display()
                );
            }
            continue;
        }
        replace(&path, &target)?;
    }
    Ok(())
}

fn replace(from: &Path, to: &Path) -> Result<()> {
    let new = to.with_extension("new");
    fs::copy(from, &new).with_context(|| format!("{} cannot be written", new.display()))?;
    fs::File::open(&new)?.sync_all()?;
    fs::rename(&new, to).with_context(|| format!("{} cannot be written", to.display()))
}
