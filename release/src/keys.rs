//! The keys that sign releases.
//!
//! Layout of a key folder: `root.json` (public; baked into the image as the trusted root), `offline/root.pk8`, and
//! `online/{targets,snapshot,timestamp}.pk8`. The root key signs nothing but the list of keys, so `offline/` can be
//! moved to a safe place: publishing does not need it. Keys are Ed25519 as PKCS#8 DER.

use crate::{Error, metadata};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use std::collections::HashMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::num::NonZeroU64;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use tough::schema::{RoleKeys, RoleType, Root};
use tough::sign::{Sign, parse_keypair};

/// Dates of a new root of trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyDates {
    /// When `root.json` expires, in seconds since 1970. It is the one document that must outlive the hosts: ten years.
    pub root_expires: u64,
}

impl KeyDates {
    /// Ten years of 365 days from `now`, in seconds since 1970.
    pub fn ten_years_from(now: u64) -> KeyDates {
        KeyDates {
            root_expires: now.saturating_add(10 * 365 * 86_400),
        }
    }
}

const ROLES: [RoleType; 4] = [
    RoleType::Root,
    RoleType::Targets,
    RoleType::Snapshot,
    RoleType::Timestamp,
];

/// Where the public root lies in a key folder: what the image carries as [`slots::names::TRUSTED_ROOT`].
pub fn trusted_root_path(dir: &Path) -> PathBuf {
    dir.join("root.json")
}

fn key_path(dir: &Path, role: RoleType) -> PathBuf {
    match role {
        RoleType::Root => dir.join("offline/root.pk8"),
        _ => dir.join("online").join(format!("{role}.pk8")),
    }
}

/// Makes a new root of trust in `dir`, which must not exist (or be empty): one key a role, threshold 1, and `root.json`
/// signed by the root key. Keys have mode 0600, their folders 0700. Either all of it comes to exist or nothing.
pub fn generate(dir: &Path, dates: KeyDates) -> Result<(), Error> {
    let exists = || Error::KeysExist {
        path: dir.to_owned(),
    };
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) || dir.is_file() {
        return Err(exists());
    }
    let parent = match dir.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
    let name = dir.file_name().ok_or_else(exists)?.to_string_lossy();
    let new = parent.join(format!(".{name}.new-{}", std::process::id()));
    let made = fill(&new, dates).and_then(|()| {
        // Fails where another process put something there meanwhile: an empty folder is replaced, a full one never.
        fs::rename(&new, dir).map_err(|source| match source.kind() {
            std::io::ErrorKind::DirectoryNotEmpty | std::io::ErrorKind::AlreadyExists => exists(),
            _ => Error::Io {
                action: "create",
                path: dir.to_owned(),
                source,
            },
        })
    });
    if made.is_err() {
        // Best effort: what failed is reported, and the half-made folder holds keys that nothing trusts.
        let _ = fs::remove_dir_all(&new);
    }
    made
}

fn fill(dir: &Path, dates: KeyDates) -> Result<(), Error> {
    let expires = metadata::date("the expiry of root", dates.root_expires)?;
    for folder in [dir.to_owned(), dir.join("offline"), dir.join("online")] {
        DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(Error::io("create", &folder))?;
    }
    let random = SystemRandom::new();
    let mut keys = HashMap::new();
    let mut roles = HashMap::new();
    for role in ROLES {
        let path = key_path(dir, role);
        let problem = |problem: String| Error::Key {
            path: path.clone(),
            problem,
        };
        let der = Ed25519KeyPair::generate_pkcs8(&random)
            .map_err(|_| problem("the system gave no random numbers".into()))?;
        write_new(&path, der.as_ref(), 0o600)?;
        let key = parse_keypair(der.as_ref())
            .map_err(|e| problem(e.to_string()))?
            .tuf_key();
        let id = key.key_id().map_err(|e| problem(e.to_string()))?;
        keys.insert(id.clone(), key);
        roles.insert(
            role,
            RoleKeys {
                keyids: vec![id],
                threshold: NonZeroU64::MIN,
                _extra: HashMap::new(),
            },
        );
    }
    let root = Root {
        spec_version: metadata::SPEC_VERSION.to_owned(),
        consistent_snapshot: true,
        version: NonZeroU64::MIN,
        expires,
        keys,
        roles,
        _extra: HashMap::new(),
    };
    let signer = SigningKey::load(dir, RoleType::Root)?;
    let bytes = metadata::sign(root, &signer)?;
    write_new(&trusted_root_path(dir), &bytes, 0o644)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(Error::io("create", path))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(Error::io("write", path))
}

/// A private key, ready to sign.
pub(crate) struct SigningKey {
    /// Where it came from, for messages.
    pub path: PathBuf,
    /// The key.
    pub key: Box<dyn Sign>,
}

impl SigningKey {
    /// Reads the key of `role` from the key folder.
    pub fn load(dir: &Path, role: RoleType) -> Result<SigningKey, Error> {
        let path = key_path(dir, role);
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        let key = parse_keypair(&bytes).map_err(|e| Error::Key {
            path: path.clone(),
            problem: e.to_string(),
        })?;
        Ok(SigningKey {
            path,
            key: Box::new(key),
        })
    }
}
